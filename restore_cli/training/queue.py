"""Trains from a list: one process with one thread for each slot, the next job when one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from restore_cli.atomic import lock

_POLL_SECONDS = 0.2

_Kind = Literal["started", "finished", "failed", "waiting", "stopped"]


@dataclass(frozen=True)
class Event:
    """What became of a job.

    Attributes:
        job: its name.
        kind: "started", "finished", "failed", "waiting" for an earlier list that still trains it,
            or, in the log alone, "stopped".
        seconds: since it was started.
    """

    job: str
    kind: _Kind
    seconds: float = 0.0


def run_queue(jobs: Mapping[str, Sequence[str]], slots: int, log: Path) -> Generator[Event]:
    """Run `restore` commands in their order, `slots` at a time.

    Whoever interrupts it, or closes the iterator, ends the jobs that run; each keeps its state. So
    do those of a list that was killed, for their standard input ends with it; NAME.log is locked
    until they end.

    Args:
        jobs: the words after `restore`, by the job's name; what a job prints goes to NAME.log.
        log: a file that gets a line for each event, with its time.
    """
    environment = {"OMP_NUM_THREADS": "1"} | os.environ | {"RESTORE_FOLLOWS": "1"}
    pending, running = deque(jobs), dict[str, tuple[subprocess.Popen[bytes], float]]()
    waiting = ""

    def note(event: Event) -> Event:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{stamp}  {event.kind:8}  {event.seconds:8.0f} s  {event.job}\n")
        return event

    try:
        while pending or running:
            while pending and len(running) < slots:
                name = pending[0]
                command = [sys.executable, "-m", "restore_cli", *jobs[name]]
                with Path(f"{name}.log").open("ab") as output:
                    if lock(output.fileno()) is False:
                        if waiting != name:
                            waiting = name
                            yield note(Event(name, "waiting"))
                        break
                    process = subprocess.Popen(
                        command,
                        env=environment,
                        stdin=subprocess.PIPE,
                        stdout=output,
                        stderr=output,
                    )
                running[pending.popleft()] = process, time.monotonic()
                yield note(Event(name, "started"))
            time.sleep(_POLL_SECONDS)
            for name, (process, started) in list(running.items()):
                if process.poll() is not None:
                    del running[name]
                    assert process.stdin
                    process.stdin.close()
                    kind: _Kind = "failed" if process.returncode else "finished"
                    yield note(Event(name, kind, time.monotonic() - started))
    finally:
        for process, _ in running.values():
            process.send_signal(signal.SIGTERM)
        for name, (process, started) in running.items():
            process.wait()
            note(Event(name, "stopped", time.monotonic() - started))
