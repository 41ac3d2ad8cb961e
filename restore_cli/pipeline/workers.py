"""Workers that restore the files of a batch: this process, or several processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from functools import cache
from signal import SIG_IGN, SIGINT, signal
from typing import Protocol

import cv2
import torch

from restore_cli.atomic import abandon
from restore_cli.errors import EngineError, ExitCode, PictureError, UsageError
from restore_cli.image import read_size
from restore_cli.pipeline.files import FileJob
from restore_cli.pipeline.photo import Loaded, PhotoRestorer
from restore_cli.pipeline.records import failed
from restore_cli.pipeline.request import Request
from restore_cli.report.record import Record

# Larger photos are decoded and written while no other one is in memory.
_LARGE_BYTES, _LARGE_PIXELS = 2**25, 16_000_000


_POLL_SECONDS = 0.5  # how often new files are looked for while all processes work
LOST = (
    "The process that restored it ended unexpectedly, perhaps because memory ran out. Use fewer"
    " --jobs or a smaller --tile."
)


class Workers(Protocol):
    """Restores files, a few at a time."""

    @property
    def has_room(self) -> bool:
        """Whether another file can be submitted."""

    @property
    def is_busy(self) -> bool:
        """Whether submitted files were not returned yet."""

    def submit(self, item: FileJob) -> None:
        """Start to restore a file."""

    def collect(self) -> list[Record]:
        """Wait for progress; return the records of the files that are finished, if any."""

    def close(self) -> None:
        """Start no further work."""


class ThisProcess:
    """Restores a file while the next one is read and the last one is written.

    Each of the three has its own thread. The records come in the order of the files.
    """

    def __init__(self, restorer: PhotoRestorer) -> None:
        self._restorer = restorer
        self._reader, self._network, self._writer = (ThreadPoolExecutor(1) for _ in range(3))
        self._running: deque[tuple[FileJob, Future[Future[Record]]]] = deque()
        self._saving: Future[Record] | None = None

    @property
    def has_room(self) -> bool:
        """Whether another file can be submitted."""
        return len(self._running) < 3

    @property
    def is_busy(self) -> bool:
        """Whether submitted files were not returned yet."""
        return bool(self._running)

    def submit(self, item: FileJob) -> None:
        """Start to restore a file."""
        reading = self._reader.submit(self._read, item)
        self._running.append((item, self._network.submit(self._restore, item, reading)))

    def collect(self) -> list[Record]:
        """Wait for the first file; return its record."""
        item, restoring = self._running.popleft()
        try:
            return [restoring.result().result()]
        except Exception as error:
            return [self._restorer.fail(item, error)]

    def close(self) -> None:
        """Start no further work."""
        for thread in (self._reader, self._network, self._writer):
            thread.shutdown(wait=False, cancel_futures=True)

    def _read(self, item: FileJob) -> Loaded | bytes:
        """Read a file, and decode it unless it is large."""
        data = self._restorer.read(item)
        return data if is_large(data) else self._restorer.decode(item, data)

    def _restore(self, item: FileJob, reading: Future[Loaded | bytes]) -> Future[Record]:
        """Restore a photo and start to write it; a large one is written here."""
        loaded = reading.result()
        if isinstance(loaded, Loaded):
            restored = self._restorer.restore(item, loaded)
            self._saving = self._writer.submit(self._restorer.save, item, restored)
        else:
            if self._saving:
                wait([self._saving])
            record = self._restorer(item, loaded)
            self._saving = Future()
            self._saving.set_result(record)
        return self._saving


def is_large(data: bytes) -> bool:
    """Whether a photo is so large that no other one should be in memory."""
    if len(data) > _LARGE_BYTES:
        return True
    try:
        height, width = read_size(data)
    except PictureError:  # decoding reports it
        return False
    return height * width > _LARGE_PIXELS


class Processes:
    """Restores each file in one of several processes, which share the CPU's cores.

    Args:
        request: what to restore, and how, and the devices; its items are not used.
    """

    def __init__(self, request: Request) -> None:
        devices, request = request.devices, replace(request, items=())
        self._requests = [
            replace(request, settings=replace(request.settings, device=device))
            for device in devices
        ]
        self._threads = max(1, torch.get_num_threads() // len(devices))
        self._pools = [self._start() for _ in devices]
        self._free = deque(range(len(devices)))
        self._running: dict[Future[Record], tuple[FileJob, int]] = {}

    def _start(self) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(1, context, _prepare, (self._threads,))

    @property
    def has_room(self) -> bool:
        """Whether a process is free."""
        return bool(self._free)

    @property
    def is_busy(self) -> bool:
        """Whether submitted files were not returned yet."""
        return bool(self._running)

    def submit(self, item: FileJob) -> None:
        """Start to restore a file in a free process."""
        place = self._free.popleft()
        request = self._requests[place]
        try:
            future = self._pools[place].submit(_restore, request, item)
        except BrokenProcessPool:  # the process ended while it was free
            self._pools[place] = self._start()
            future = self._pools[place].submit(_restore, request, item)
        self._running[future] = item, place

    def collect(self) -> list[Record]:
        """Wait a moment for a file to finish; return the records."""
        records = []
        for future in wait(self._running, _POLL_SECONDS, FIRST_COMPLETED).done:
            item, place = self._running.pop(future)
            self._free.append(place)
            try:
                records.append(future.result())
            except BrokenProcessPool:
                self._pools[place] = self._start()
                records.append(failed(item, self._requests[place].plan, EngineError(LOST)))
        return records

    def close(self) -> None:
        """Start no further work."""
        for pool in self._pools:
            pool.shutdown(wait=False, cancel_futures=True)


def share_devices(names: str, jobs: int | None, ray: bool = False) -> tuple[str, ...]:
    """The device of each process.

    Args:
        names: devices, separated by commas; "all" is all CUDA devices, or "auto" without any.
        jobs: the number of processes; None is one for each device.
        ray: whether Ray starts the processes, and gives each one its GPU.

    Raises:
        UsageError: Ray cannot choose these devices.
    """
    if ray:
        if names not in ("auto", "all", "cpu", "cuda"):
            raise UsageError(
                f"Cannot use --device {names} with --ray, which assigns the GPUs. Use auto or cpu."
            )
        return ("auto" if names == "all" else names,) * (jobs or 1)
    devices = names.split(",")
    if names == "all":
        devices = [f"cuda:{number}" for number in range(torch.cuda.device_count())] or ["auto"]
    count = len(devices) if jobs is None else jobs
    return tuple(devices[place % len(devices)] for place in range(count))


def _prepare(threads: int) -> None:
    """Set up a new process, which ends with the main one."""
    signal(SIGINT, SIG_IGN)  # Ctrl-C also reaches the main process, which decides
    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    abandon()
    os._exit(ExitCode.INTERRUPTED)


_restorer = cache(PhotoRestorer)


def _restore(request: Request, item: FileJob) -> Record:
    return _restorer(request)(item)
