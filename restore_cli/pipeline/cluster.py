"""Workers on a Ray cluster: actors that hold a model, each with a GPU or a CPU core."""

from __future__ import annotations

import logging
import os
import platform
import socket
import threading
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import Any

import cv2
import torch

from restore_cli import __version__, storage
from restore_cli.errors import EngineError, PictureError, RestoreError, UsageError
from restore_cli.pipeline.files import FileJob
from restore_cli.pipeline.photo import Loaded, PhotoRestorer
from restore_cli.pipeline.records import failed
from restore_cli.pipeline.request import Request
from restore_cli.pipeline.workers import LOST, is_large
from restore_cli.report.record import Record

_LOCAL = "local"
_IN_FLIGHT = 2  # photos of an actor: one is read or written while the other is restored
_RETRIES = 3  # of a photo whose actor died, by Ray
_POLL_SECONDS = 0.5  # how often new files are looked for while all actors work
_REACH_SECONDS = 10.0
_STORE_BYTES = 10**8  # Ray's shared memory, which only has to hold records
_ENVIRONMENT = {  # unless the user has set it
    "RAY_USAGE_STATS_ENABLED": "0",  # no reports to Ray's authors
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # no warning about the GPUs of CPU workers
    "RAY_worker_niceness": "0",  # instead of 15, as for the processes of --jobs
}


class Cluster:
    """Restores files with the actors of a Ray cluster, a few at a time.

    Ray restarts actors that die, and gives them their photos again. A photo whose actors died each
    time is then restored alone, because another photo may have been the reason. If that fails, too,
    its record is "failed".

    Args:
        request: what to restore, and how; its items are not used.
        address: see `Request.ray`.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster, or it has no CPU or GPU.
    """

    def __init__(self, request: Request, address: str) -> None:
        self._ray = _import_ray()
        self._plan = request.plan
        self._starts = not self._ray.is_initialized()
        if self._starts:
            _connect(self._ray, address, len(request.devices) or None)
        has_gpu = request.settings.device != "cpu" and self._count("GPU") > 0
        count = len(request.devices) or self._count("GPU" if has_gpu else "CPU")
        if not count:
            raise UsageError(
                f"Cannot use the Ray cluster at {address}: it has no CPU or GPU yet. Give --jobs N,"
                " so that it starts some."
            )
        kind = self._ray.remote(_Actor).options(
            num_cpus=1,
            num_gpus=int(has_gpu),
            max_restarts=-1,
            max_task_retries=_RETRIES,
            max_concurrency=_IN_FLIGHT,
        )
        request = replace(request, items=(), ray=None)
        self._actors = [kind.remote(request, os.getcwd()) for _ in range(count)]
        self._starting = {_ask_version(actor): actor for actor in self._actors}
        self._load: dict[Any, int] = {}  # photos in flight, of the actors that are ready
        self._running: dict[Any, tuple[FileJob, Any, int]] = {}  # file, actor, its load
        self._waiting: deque[FileJob] = deque()
        self._suspects: deque[FileJob] = deque()  # photos whose actors died

    def _count(self, resource: str) -> int:
        return int(self._ray.cluster_resources().get(resource, 0))

    @property
    def has_room(self) -> bool:
        """Whether an actor can take another file."""
        return not (self._waiting or self._suspects) and any(
            load < _IN_FLIGHT for load in self._load.values()
        )

    @property
    def is_busy(self) -> bool:
        """Whether submitted files were not returned yet."""
        return bool(self._running or self._waiting or self._suspects)

    def submit(self, item: FileJob) -> None:
        """Start to restore a file."""
        for path in filter(None, (item.output, item.mask)):
            if not storage.is_url(path):  # see `_check_shared`
                with suppress(OSError):
                    os.makedirs(storage.parent_of(path) or ".", exist_ok=True)
        self._waiting.append(item)
        self._dispatch()

    def _dispatch(self) -> None:
        """Give waiting files to the actors with the fewest ones; suspects are alone."""
        while self._load and (self._suspects or self._waiting):
            actor = min(self._load, key=self._load.__getitem__)
            added = _IN_FLIGHT if self._suspects else 1
            if self._load[actor] + added > _IN_FLIGHT:
                return
            item = (self._suspects or self._waiting).popleft()
            self._load[actor] += added
            self._running[actor.restore.remote(item)] = item, actor, added

    def collect(self) -> list[Record]:
        """Wait a moment for files to finish; return the records."""
        pending = [*self._starting, *self._running]
        self._ray.wait(pending, num_returns=1, timeout=_POLL_SECONDS)
        done = self._ray.wait(pending, num_returns=len(pending), timeout=0)[0]
        records = [self._finish(found) for found in done if found in self._running]
        for found in done:
            if found in self._starting:
                self._welcome(found)
        self._dispatch()
        return [record for record in records if record]

    def _welcome(self, reference: Any) -> None:
        """Add an actor that is ready."""
        actor = self._starting.pop(reference)
        try:
            version = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1].strip().rstrip(".")
            raise RestoreError(
                f"Cannot start restore-cli on the Ray cluster: {reason}. Install restore-cli"
                f" {__version__} on each node."
            ) from error
        if version != __version__:
            raise UsageError(
                f"Cannot use the Ray cluster: a node has restore-cli {version}. Install"
                f" {__version__} on each node."
            )
        self._load[actor] = 0

    def _finish(self, reference: Any) -> Record | None:
        """The record of a photo; None if its actor died and it is tried again."""
        item, actor, added = self._running.pop(reference)
        if actor in self._load:
            self._load[actor] -= added
        try:
            record: Record = self._ray.get(reference)
            return record
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError:
            if self._load.pop(actor, None) is not None:
                self._starting[_ask_version(actor)] = actor
            if added == _IN_FLIGHT:
                return failed(item, self._plan, EngineError(LOST))
            self._suspects.append(item)
            return None

    def close(self) -> None:
        """Start no further work, and disconnect; a local Ray ends."""
        if self._starts:
            self._ray.shutdown()
        else:
            for actor in self._actors:
                self._ray.kill(actor)


def _ask_version(actor: Any) -> Any:
    """Ask an actor for its version; it answers once it has started, or has started again."""
    return actor.version.options(max_task_retries=-1).remote()


def _import_ray() -> Any:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            'Cannot use Ray: it is not installed. Run `pip install "restore-cli[ray]"`.'
        ) from error
    return ray


def _connect(ray: Any, address: str, jobs: int | None) -> None:
    """Connect to a cluster or start a local one; raises UsageError."""
    local = {
        "num_cpus": jobs,
        "include_dashboard": False,
        "object_store_memory": _STORE_BYTES,
    }
    try:
        _check_reachable(address)
        ray.init(
            address,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            **(local if address == _LOCAL else {}),
        )
    except Exception as error:
        reason = " ".join(str(error).split()).partition(". ")[0].rstrip(".")
        raise UsageError(
            f"Cannot connect to Ray at {address}: {reason}. Check the address and any"
            f" RAY_AUTH_TOKEN, and that the cluster has Ray {ray.__version__} and Python"
            f" {platform.python_version()}."
        ) from error
    # Ray has no option for its messages on standard output, where our results are.
    ray._private.worker._worker_logs_enabled = False


def _check_reachable(address: str) -> None:
    """Raise OSError if nothing answers, for which Ray waits several minutes."""
    host, _, port = address.removeprefix("ray://").partition("/")[0].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()


class _Actor:
    """Restores photos in a process of the cluster.

    Several threads read and write photos, while one at a time is restored.

    Args:
        request: what to restore, and how.
        folder: the current folder of the main process, where relative paths begin.
    """

    def __init__(self, request: Request, folder: str) -> None:
        self._request = request
        self._restorer: PhotoRestorer | None = None
        self._network = threading.Lock()
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        with suppress(OSError):  # only relative paths need it
            os.chdir(folder)

    def version(self) -> str:
        """The version of this package."""
        return __version__

    def restore(self, item: FileJob) -> Record:
        """Restore a file; a failure is a record, too.

        Raises:
            WeightsError, UsageError: the request cannot be carried out for any file.
        """
        with self._network:
            restorer = self._restorer = self._restorer or PhotoRestorer(self._request)
        try:
            _check_shared(item)
            data = restorer.read(item)
            loaded = data if is_large(data) else restorer.decode(item, data)
            with self._network:
                if not isinstance(loaded, Loaded):
                    return restorer(item, loaded)
                restored = restorer.restore(item, loaded)
            return restorer.save(item, restored)
        except Exception as error:
            return restorer.fail(item, error)


def _check_shared(item: FileJob) -> None:
    """Raise PictureError if an output's folder, which the main process created, is not here."""
    for path in filter(None, (item.output, item.mask)):
        if not storage.is_url(path) and not os.path.isdir(storage.parent_of(path) or "."):
            raise PictureError(
                f"Cannot write {path}: its folder does not exist on {platform.node()}. Use a folder"
                " that all nodes share at the same path, or a URL such as s3://."
            )
