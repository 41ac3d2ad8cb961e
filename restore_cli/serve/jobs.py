"""The queue: photos that wait for the one thread that restores, and results that wait for pickup.

All methods run in the thread of the event loop; only `_work` runs in the thread that restores.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from restore_cli.serve.work import CanceledError, Order, Outcome, Worker

State = Literal["waiting", "running", "done", "failed"]


class FullError(Exception):
    """The server holds as many photos as it may."""


@dataclass(eq=False)
class Job:
    """A photo that waits, is being restored, or was restored.

    Attributes:
        order: what to do.
        id: cannot be guessed, so that only its owner can fetch the result.
        progress: share of the work that is done, 0 to 1.
        canceled: whether the result is no longer wanted.
        touched: when the job was created, finished or fetched last, by `time.monotonic`.
    """

    order: Order
    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    progress: float = 0.0
    canceled: bool = False
    touched: float = field(default_factory=time.monotonic)
    future: Future[Outcome] = field(default_factory=Future)

    @property
    def outcome(self) -> Outcome | None:
        """The outcome; None as long as there is none."""
        return self.future.result() if self.future.done() and not self.canceled else None

    @property
    def state(self) -> State:
        """What happens to the photo now."""
        if self.outcome:
            return "done" if self.outcome.status == 200 else "failed"
        return "running" if self.future.running() else "waiting"


class Jobs:
    """All photos that the server holds, in order of arrival.

    Args:
        folder: holds their files.
        most: the largest number of photos.
        keep: seconds after which a finished photo is deleted.
    """

    def __init__(self, folder: Path, most: int, keep: float) -> None:
        self._folder, self._most, self._keep = folder, most, keep
        self._jobs: dict[str, Job] = {}
        self._arriving = 0
        self._worker = Worker()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="restore")

    @contextmanager
    def receive(self) -> Iterator[Path]:
        """Reserve a place for a photo during its upload; yields a new folder for its files.

        Raises:
            FullError: there is none.
        """
        if len(self._jobs) + self._arriving >= self._most:
            raise FullError
        self._arriving += 1
        folder = self._folder / secrets.token_hex(8)
        try:
            folder.mkdir(parents=True)  # systems remove old folders of temporary files
            yield folder
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            self._arriving -= 1

    def add(self, order: Order) -> Job:
        """Put an order at the end of the queue."""
        job = Job(order)
        self._jobs[job.id] = job
        job.future = self._thread.submit(self._work, job)
        return job

    def _work(self, job: Job) -> Outcome:
        def report(share: float) -> None:
            if job.canceled:
                raise CanceledError
            job.progress = min(1.0, job.progress + share)

        outcome = self._worker.restore(job.order, report)
        job.touched = time.monotonic()
        return outcome

    def find(self, id: str) -> Job | None:
        """Find a job by its id, and keep it for longer."""
        job = self._jobs.get(id)
        if job:
            job.touched = time.monotonic()
        return job

    def count_before(self, job: Job) -> int:
        """The number of unfinished photos before this one."""
        before = 0
        for other in self._jobs.values():
            if other is job:
                break
            before += not other.future.done()
        return before

    def remove(self, job: Job) -> None:
        """Delete a job with its files; if it is being restored, after the current tile."""
        self._jobs.pop(job.id, None)
        job.canceled = True
        job.future.cancel()
        job.future.add_done_callback(lambda _: shutil.rmtree(job.order.folder, ignore_errors=True))

    async def forget(self, job: Job) -> None:
        """Delete a job, as a background task; one that is not async would run in a thread."""
        self.remove(job)

    def expire(self) -> None:
        """Delete the finished jobs that nobody asked for in a while."""
        oldest = time.monotonic() - self._keep
        for job in tuple(self._jobs.values()):
            if job.future.done() and job.touched < oldest:
                self.remove(job)

    def close(self) -> None:
        """Delete all jobs."""
        for job in tuple(self._jobs.values()):
            self.remove(job)
        self._thread.shutdown(wait=False, cancel_futures=True)
