"""Shared by the fuzzing of photos and checkpoints: random damage, and proper ends of a command.

Whatever a file contains, a command must end within `PATIENCE` seconds with one of its exit codes,
and with one error on standard error unless that is 0.
"""

from __future__ import annotations

import random
import re
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from unittest.mock import patch

import typer
from typer.testing import CliRunner

from restore_cli.cli import app

PATIENCE = 20  # seconds
COMMAND = typer.main.get_command(app)  # created once, because that takes longer than most cases


@dataclass(frozen=True)
class Case:
    """A file, and the commands that are run on it."""

    file: Path
    commands: tuple[tuple[str, ...], ...]


def garble(rng: random.Random, data: bytes) -> bytes:
    """Flip, cut, remove, repeat or replace bytes, many of them near the beginning."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 3, 20))):
        at = rng.randrange(min(len(changed), rng.choice((16, 400, 10**9, 10**9)))) if changed else 0
        match rng.randrange(12):
            case 0:
                del changed[at:]
            case 1:
                del changed[at : at + rng.choice((1, 8, 500))]
            case 2:
                changed[at:at] = changed[at : at + rng.choice((1, 8, 500))]
            case 3:
                changed[at : at + 8] = struct.pack(
                    "<q", rng.choice((-1, 0, 1, 2**31, 2**62, 10**8))
                )
            case _:
                changed[at : at + 1] = bytes([rng.randrange(256)])
    return bytes(changed)


# Results


@dataclass(frozen=True)
class Verdict:
    """The outcome of a case in a few words, and its faults, one line each."""

    outcome: str
    faults: list[str]


class Hang(BaseException):
    """A command took longer than PATIENCE."""


@contextmanager
def impatient() -> Iterator[None]:
    """Raise Hang after PATIENCE seconds, or after six times as long if the machine is busy."""
    started, waited = time.process_time(), 0

    def give_up(_signal: int, _frame: FrameType | None) -> None:
        nonlocal waited
        waited += 1
        if time.process_time() - started > PATIENCE / 4 or waited >= 6:
            raise Hang

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def invoke(command: tuple[str, ...]) -> tuple[int, str]:
    """Run a command in this process; return its exit code, and what is wrong with its output."""
    try:
        with impatient(), patch("typer.testing._get_command", lambda app: COMMAND):
            result = CliRunner().invoke(app, command)
    except Hang:
        return -1, f"it hangs for {PATIENCE} s"
    faults = []
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        faults.append(f"{type(result.exception).__name__} is not caught")
    if result.exit_code not in (0, 1, 2, 3):
        faults.append(f"exit code {result.exit_code}")
    if found := re.search(r"Traceback|[Uu]nexpected [A-Z]\w*", result.output):
        faults.append(f"it says {found[0]!r}")
    if len(result.stderr) > 3000:
        faults.append(f"{len(result.stderr)} characters of standard error")
    if re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", result.output):
        faults.append("control characters")
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    if result.exit_code in (1, 2, 3) and len(errors) != 1:
        faults.append(f"{len(errors)} sentences with exit code {result.exit_code}")
    return result.exit_code, "; ".join([*faults, *([result.stderr[-600:]] if faults else [])])
