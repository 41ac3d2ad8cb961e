"""Trains a list of models, each in its own process with one thread."""

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
    """A change in the state of a job.

    Attributes:
        job: the name of the job.
        kind: "started", "finished", "failed", "waiting" for an earlier list that is still training
            it, or "stopped", which appears in the log only.
        seconds: time since the start of the job.
    """

    job: str
    kind: _Kind
    seconds: float = 0.0


def run_queue(jobs: Mapping[str, Sequence[str]], slots: int, log: Path) -> Generator[Event]:
    """Run `restore` commands in their order, `slots` at a time.

    On an interruption, or when the iterator is closed, the running jobs save their states and end.
    They also do so when this process is killed, because their standard input is closed then.
    NAME.log is locked until its job ends.

    Args:
        jobs: the arguments of `restore` for each job, by its name; its output goes to NAME.log.
        slots: the number of jobs that run at the same time.
        log: a file that gets a line with a time for each event.
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
