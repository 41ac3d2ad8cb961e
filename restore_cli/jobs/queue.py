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

POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Event:
    """What became of a job.

    Attributes:
        job: its name.
        kind: "started", "finished" or "failed".
        seconds: since it was started.
    """

    job: str
    kind: str
    seconds: float = 0.0


def run_queue(jobs: Mapping[str, Sequence[str]], slots: int, log: Path) -> Generator[Event]:
    """Run `restore` commands in their order, `slots` at a time.

    Whoever interrupts it, or closes the iterator, ends the jobs that run; each keeps its state.

    Args:
        jobs: the words after `restore`, by the job's name; what a job prints goes to NAME.log.
        log: a file that gets a line for each event, with its time.
    """
    environment = {"OMP_NUM_THREADS": "1"} | os.environ
    pending, running = deque(jobs), dict[str, tuple[subprocess.Popen[bytes], float]]()

    def tell(event: Event) -> Event:
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        with log.open("a", encoding="utf-8") as file:
            file.write(f"{stamp}  {event.kind:8}  {event.seconds:8.0f} s  {event.job}\n")
        return event

    try:
        while pending or running:
            while pending and len(running) < slots:
                name = pending.popleft()
                command = [sys.executable, "-m", "restore_cli", *jobs[name]]
                with Path(f"{name}.log").open("ab") as output:
                    process = subprocess.Popen(
                        command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                    )
                running[name] = process, time.monotonic()
                yield tell(Event(name, "started"))
            time.sleep(POLL_SECONDS)
            for name, (process, started) in list(running.items()):
                if process.poll() is not None:
                    del running[name]
                    kind = "failed" if process.returncode else "finished"
                    yield tell(Event(name, kind, time.monotonic() - started))
    finally:
        for process, _ in running.values():
            process.send_signal(signal.SIGTERM)
        for process, _ in running.values():
            process.wait()
