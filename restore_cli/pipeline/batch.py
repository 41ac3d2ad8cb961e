"""Restores the files of a batch, and keeps account of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from restore_cli import storage
from restore_cli.atomic import sweep
from restore_cli.engine import estimate_memory
from restore_cli.errors import PictureError, RestoreError, UsageError, WeightsError
from restore_cli.image import check_size, format_of, read_picture, read_size
from restore_cli.models import catalog
from restore_cli.pipeline.apply import replaces_all
from restore_cli.pipeline.cluster import Cluster
from restore_cli.pipeline.files import STREAM, FileJob
from restore_cli.pipeline.journal import Journal, digest, digest_item
from restore_cli.pipeline.masks import read_mask
from restore_cli.pipeline.networks import Models
from restore_cli.pipeline.photo import PhotoRestorer
from restore_cli.pipeline.plan import Step, result_size
from restore_cli.pipeline.records import failed
from restore_cli.pipeline.request import Callbacks, Request
from restore_cli.pipeline.workers import Processes, ThisProcess, Workers
from restore_cli.report.record import Record

_LATER = 60.0  # seconds until a file that could not be written is tried again


def restore_files(
    request: Request,
    *,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
    callbacks: Callbacks | None = None,
    journal: Journal | None = None,
) -> Iterator[Record]:
    """Restore files and yield a record for each one, also if it fails.

    Args:
        request: what to restore, and how.
        stdin, stdout: the streams to use for STREAM.
        callbacks: report the progress of the photos that this process restores.
        journal: lists the photos that are done, which are skipped.

    Raises:
        WeightsError, UsageError: the request cannot be carried out for any file.
        RestoreError: the journal, a folder with a URL or the Ray cluster cannot be used.
    """
    workers = _hire(request, stdin, stdout, callbacks)
    ledger = _Ledger(request, journal)
    try:
        for item in request.items:
            if item is None:
                if workers.is_busy:
                    yield from map(ledger.finish, workers.collect())
                    continue
                item = ledger.take_late()
                if item is None:
                    continue
            while journal and ledger.is_running(item):  # it changed while it was being restored
                yield from map(ledger.finish, workers.collect())
            if record := ledger.find(item):
                yield record
            else:
                ledger.begin(item)
                workers.submit(item)
                while not workers.has_room:
                    yield from map(ledger.finish, workers.collect())
        while workers.is_busy:
            yield from map(ledger.finish, workers.collect())
    finally:
        workers.close()


def preview(request: Request, journal: Journal | None = None) -> Iterator[Record]:
    """Yield a record for each file that says whether it would be restored or skipped.

    A planned record has an estimate of the peak memory, if photo and model can be read without a
    download.
    """
    ledger = _Ledger(request, journal, sweeps=False)
    models = Models(offline=True)
    for item in request.items:
        if item:
            yield ledger.find(item) or _plan(request, item, models)


def _plan(request: Request, item: FileJob, models: Models) -> Record:
    """The record of a file that would be restored.

    It is decoded if its steps or its mask depend on it.
    """
    plan, steps = request.plan, request.plan.steps
    record = Record(item.input, "planned", item.output, task=plan.name)
    if item.input == STREAM or storage.is_url(item.input):
        return record
    if not os.path.exists(item.input):
        missing = f"Cannot read {item.input}: the file does not exist. Check its path."
        return failed(item, plan, PictureError(missing))
    if not os.path.isfile(item.input):  # a pipe
        return record
    try:
        masked = bool(item.mask_in) and not Path(item.mask_in).is_fifo()  # read only once
        if plan.looks or masked:
            picture = read_picture(item.input, max_pixels=request.max_pixels)
            choice = plan.choose(picture)
            steps = choice.steps
            record = replace(record, found=choice.found, findings=choice.findings)
            if masked:
                read_mask(Path(item.mask_in), picture, request.max_pixels)
        if item.output != STREAM:
            size = result_size(steps, *read_size(Path(item.input)))
            check_size(format_of(item.output), *size)
        memory = _estimate_memory(request, item, steps, models)
    except (UsageError, WeightsError):
        raise
    except RestoreError as error:  # of this photo
        return failed(item, plan, error)
    return replace(record, memory=memory)


def _estimate_memory(
    request: Request, item: FileJob, steps: Sequence[Step], models: Models
) -> int | None:
    """The memory to restore a file; None if a model is not downloaded, or none is needed."""
    most = 0
    height, width = read_size(Path(item.input))
    for step in steps:
        task, scale = step.task, step.task.enlargement(height, width)
        name = step.model or task.model
        catalog.choose(name, task.name, 3, scale)  # fails if the name is unknown
        try:
            model = models.find(name, task.name, 3, scale)
        except WeightsError:
            return None
        overwrite = replaces_all(task, step.strength, bool(item.mask_in)) and not (
            item.reference or request.check_tiles
        )
        needed = estimate_memory(
            model.network, height, width, request.settings, overwrite, task.maps
        )
        height, width = task.target_size(height, width)
        if task.enlarges:  # the photo in the result's size, and the result
            needed += 2 * 4 * model.network.geometry.channels * height * width
        most = max(most, needed)
    return most or None


def _hire(
    request: Request,
    stdin: BinaryIO | None,
    stdout: BinaryIO | None,
    callbacks: Callbacks | None,
) -> Workers:
    if request.ray:
        return Cluster(request, request.ray)
    if len(request.devices) > 1:
        return Processes(request)
    return ThisProcess(PhotoRestorer(request, stdin, stdout, callbacks))


class _Ledger:
    """Which files are done, by the journal or because their outputs exist."""

    def __init__(self, request: Request, journal: Journal | None, sweeps: bool = True) -> None:
        self._request, self._journal, self._sweeps = request, journal, sweeps
        self._settings = digest(request) if journal else ""
        self._running: dict[str, tuple[FileJob, str, str]] = {}  # by output
        self._swept: set[str] = set()
        self._late: dict[str, tuple[float, FileJob]] = {}  # when to try again, by output
        self._sources: dict[int, int] = {}  # hashes of outputs and inputs; paths need more memory

    def is_running(self, item: FileJob) -> bool:
        """Whether an earlier version of the same file is being restored."""
        running = self._running.get(item.output)
        return running is not None and running[0].input == item.input

    def find(self, item: FileJob) -> Record | None:
        """The record of a file that is not restored, or None.

        What killed runs left in the folder of its output is removed.
        """
        folder = storage.parent_of(item.output)
        local = item.output != STREAM and not storage.is_url(folder)
        if self._sweeps and local and folder not in self._swept:
            sweep(Path(os.path.realpath(folder)))
            self._swept.add(folder)
        refusal = item.refusal
        if item.output in self._running or not self._claim(item):
            refusal = (
                f"Cannot write {item.output} twice: another input has the same output or mask, or"
                f" {item.input} is listed twice. Rename it, or give another -o."
            )
        if refusal:
            return failed(item, self._request.plan, PictureError(refusal))
        if self._request.existing == "skip" and storage.is_file(item.output):
            return Record(item.input, "skipped", item.output, task=self._request.plan.name)
        if self._journal:
            record = self._journal.find(item, digest_item(self._settings, item))
            if record and not (record.error and self._request.retry_failed):
                return record
        if self._request.existing == "refuse" and self._is_foreign(item):
            error = f"Cannot write {item.output}: it was created during this run. Give another -o."
            return failed(item, self._request.plan, PictureError(error))
        return None

    def _is_foreign(self, item: FileJob) -> bool:
        """Whether another program has written a local output."""
        if not os.path.isfile(item.output):
            return False
        return not (self._journal and self._journal.owns(item.output, item.input))

    def _claim(self, item: FileJob) -> bool:
        """Whether no other input of this run has the same output or mask."""
        source = storage.absolute(item.input)
        return all(
            self._sources.setdefault(hash(storage.same_name(path)), hash(owner)) == hash(owner)
            for path, owner in ((item.output, source), (item.mask, f"the mask of {source}"))
            if path not in ("", STREAM)
        )

    def begin(self, item: FileJob) -> None:
        """Note that a file is being restored."""
        self._late.pop(item.output, None)
        settings = read = ""
        if self._journal:
            settings = digest_item(self._settings, item)
            read = self._journal.begin(item, settings)
        if item.output != STREAM:
            self._running[item.output] = item, settings, read

    def finish(self, record: Record) -> Record:
        """Note that a file is done or has failed; returns its record."""
        output = record.output or ""
        running = self._running.pop(output, None)
        if record.status == "done" and storage.is_url(output):
            storage.note_written(output)
        if self._journal and running and record.temporary:
            self._late[output] = time.monotonic() + _LATER, running[0]
        elif self._journal and running:
            self._journal.finish(*running, record)
        return record

    def take_late(self) -> FileJob | None:
        """A file that failed a while ago because of the disk, the network or memory."""
        for output, (due, item) in self._late.items():
            if due <= time.monotonic():
                del self._late[output]
                gone = not storage.is_url(item.input) and not os.path.lexists(item.input)
                return None if gone else item
        return None
