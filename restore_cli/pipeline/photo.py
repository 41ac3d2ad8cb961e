"""Restores one file in four stages: read, decode, restore, save."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from restore_cli import engine, storage
from restore_cli.errors import PictureError, RestoreError, UsageError, WeightsError
from restore_cli.image import (
    Picture,
    Pixels,
    encode_picture,
    find_damage,
    is_altered,
    read_file,
    read_picture,
    write_encoded,
)
from restore_cli.levels import Levels
from restore_cli.models import catalog
from restore_cli.noise import measure_noise
from restore_cli.pipeline.apply import apply, check_tiles
from restore_cli.pipeline.compare import measure as measure_versions
from restore_cli.pipeline.files import STREAM, FileJob, choose_format
from restore_cli.pipeline.masks import read_mask, save_mask
from restore_cli.pipeline.measure import as_written, measure
from restore_cli.pipeline.networks import Models
from restore_cli.pipeline.request import Callbacks, Request
from restore_cli.report.comparison import Comparison, Version
from restore_cli.report.record import Record
from restore_cli.tasks import Task
from restore_cli.tasks.restoration import Finding, Restoration


@dataclass(frozen=True, eq=False)
class Loaded:
    """A decoded photo.

    Attributes:
        data: the contents of its file.
        picture: the photo.
        seconds: the time that decoding took.
    """

    data: bytes
    picture: Picture
    seconds: float


@dataclass(frozen=True, eq=False)
class Restored:
    """A restored photo, with all that is needed to write and measure it.

    Attributes:
        record: the record so far.
        data: the contents of the input file, which an unchanged photo may reuse.
        picture: the result.
        copied: whether the photo was not changed.
        masked: whether a mask limited the change.
        mask: the mask that was used, if it will be saved.
        observed: the photo at the result's size, if it will be measured.
        before: the photo at the result's size, if it will be shown.
        seconds: the time that decoding and restoring took, without loading models.
    """

    record: Record
    data: bytes
    picture: Picture
    copied: bool
    masked: bool
    mask: Pixels | None
    observed: Pixels | None
    before: Version | None
    seconds: float


class PhotoRestorer:
    """Restores files; the stages of different files may run in different threads.

    Each stage is a function, so that its arrays are freed at its end: 48 megapixels are 576 MB.

    Args:
        request: what to restore, and how; its items are not used.
        stdin, stdout: the streams to use for STREAM.
        callbacks: report the progress.
        models: finds the models; by default, those that this restorer loads.

    Raises:
        WeightsError, UsageError: the request cannot be carried out for any file.
    """

    def __init__(
        self,
        request: Request,
        stdin: BinaryIO | None = None,
        stdout: BinaryIO | None = None,
        callbacks: Callbacks | None = None,
        models: Models | None = None,
    ) -> None:
        self._request, self._stdin, self._stdout = request, stdin, stdout
        self._callbacks = callbacks or Callbacks()
        self._models = models or Models(request.offline, self._callbacks.on_download)
        engine.find_device(request.settings.device)
        task = request.task.name
        if request.model and isinstance(catalog.choose(request.model, task, 3), Path):
            self._models.find(request.model, task, 3)  # a name depends on the photo

    def __call__(self, item: FileJob, data: bytes | None = None) -> Record:
        """Restore a file; a failure is a record, too.

        Args:
            item: the file.
            data: its contents, if they were read before.
        """
        try:
            data = self.read(item) if data is None else data
            return self.save(item, self.restore(item, self.decode(item, data)))
        except Exception as error:
            return self.fail(item, error)

    def read(self, item: FileJob) -> bytes:
        """Read a file, only once, because it may be a pipe."""
        source = self._stdin if item.input == STREAM else None
        return read_file(source or item.input, self._request.max_pixels)

    def decode(self, item: FileJob, data: bytes) -> Loaded:
        """Decode the contents of a file."""
        started = time.perf_counter()
        name = "standard input" if item.input == STREAM else item.input
        picture = read_picture(data, name, max_pixels=self._request.max_pixels)
        return Loaded(data, picture, time.perf_counter() - started)

    def restore(self, item: FileJob, loaded: Loaded) -> Restored:
        """Restore a photo in memory."""
        request, callbacks, picture = self._request, self._callbacks, loaded.picture
        started = time.perf_counter()
        task = request.task.look(picture) or request.task
        scale = task.enlargement(picture.height, picture.width)
        before_model = time.perf_counter()
        model = self._models.find(request.model or task.model, task.name, picture.channels, scale)
        loading = time.perf_counter() - before_model
        mask = None
        if item.mask_in:
            mask = read_mask(Path(item.mask_in), picture, task, request.max_pixels)
        change = apply(
            picture,
            task,
            model,
            self._models,
            request.settings,
            request.strength,
            mask,
            callbacks.on_progress,
        )
        if item.mask and change.mask is None:
            raise UsageError("Cannot save a mask: none was used. Give --mask.")
        record = self._report(item, picture, task, change, model.conditions)
        record = replace(record, warnings=(*find_damage(loaded.data), *record.warnings))
        restored = picture.with_pixels(change.pixels)
        before = None
        if callbacks.on_comparison:
            note = f"upscaled {scale:.3g} times" if scale > 1 else ""
            alike = change.observed.shape == change.unrestored.shape
            shown = change.observed if alike else change.unrestored  # missing pixels are black
            before = Version("input", picture.with_pixels(shown).pixels, note)
        return Restored(
            record=record,
            data=loaded.data,
            picture=restored,
            copied=not change.changed and restored.pixels.shape == picture.pixels.shape,
            masked=change.mask is not None,
            mask=change.mask if item.mask else None,
            observed=change.unrestored if item.reference else None,
            before=before,
            seconds=loaded.seconds + time.perf_counter() - started - loading,
        )

    def save(self, item: FileJob, restored: Restored) -> Record:
        """Encode, write and measure a restored photo."""
        started = time.perf_counter()
        data, format, notes = self._encode(item, restored)
        if restored.mask is not None:  # first: if it fails, the photo is not written
            save_mask(restored.mask, item.mask)
        self._write(data, item)
        picture = restored.picture
        seconds = restored.seconds + time.perf_counter() - started
        record = replace(
            restored.record,
            output_width=picture.width,
            output_height=picture.height,
            seconds=seconds,
            megapixels_per_s=picture.megapixels / max(seconds, 1e-9),
            noise_after=measure_noise(picture.pixels, picture.visible).level,
            warnings=(*restored.record.warnings, *notes),
        )
        if self._request.checksums:
            record = replace(
                record,
                input_sha256=hashlib.sha256(restored.data).hexdigest(),
                output_sha256=hashlib.sha256(data).hexdigest(),
            )
        if restored.observed is None and restored.before is None:
            return record
        return self._compare(item, record, restored, as_written(picture, data, format))

    def fail(self, item: FileJob, error: Exception) -> Record:
        """The record of a file that failed; raises what stops the entire batch."""
        if self._request.debug or isinstance(error, (WeightsError, UsageError, BrokenPipeError)):
            raise error
        return failed(item, self._request.task, error)

    def _report(
        self,
        item: FileJob,
        picture: Picture,
        task: Task,
        change: Restoration,
        trained: Levels,
    ) -> Record:
        """The record of a photo that is restored, but not yet written."""
        request = self._request
        report, last = change.report, change.runs[-1] if change.runs else None
        warnings = list(report.warnings)
        noise = report.noise
        if noise is None:
            noise = measure_noise(picture.pixels, picture.visible).level
        if advice := task.advise(Finding(picture, noise, trained)):
            warnings.append(advice)
        difference = None
        if request.check_tiles:
            difference = check_tiles(last, request.settings) if last else None
            if difference is None:
                warnings.append("--check-tiles had no effect: the photo fits in one tile.")
        options = dict(report.options)
        if request.strength < 1:
            options["strength"] = request.strength
        return replace(
            Record(item.input, "done", item.output, task=task.name),
            model=" + ".join(run.model.name for run in change.runs) or None,
            options=options,
            device=last.result.device if last else None,
            precision=last.result.precision if last else None,
            tile=last.result.tile if last else None,
            width=picture.width,
            height=picture.height,
            channels=picture.channels,
            depth=picture.depth,
            noise_before=noise,
            tile_difference=difference,
            warnings=tuple(warnings),
        )

    def _encode(self, item: FileJob, restored: Restored) -> tuple[bytes, str, tuple[str, ...]]:
        """Encode the file to write; also returns its format and notes on what is lost."""
        request, picture = self._request, restored.picture
        exact = request.task.keeps_most_pixels or bool(item.mask_in)
        format = item.format or choose_format(picture.format, exact)
        if restored.copied and format == picture.format and not request.jpeg_quality:
            return restored.data, format, ()
        if request.jpeg_quality:
            picture = replace(picture, lossless=False)
        quality = _jpeg_quality(picture, request)
        data, losses = encode_picture(picture, format, jpeg_quality=quality)
        notes = (*picture.notes, *losses)
        if restored.masked and is_altered(picture, format):
            notes += (
                f"{format} is lossy: pixels outside the mask change slightly. Use PNG or TIFF to"
                " keep them exactly.",
            )
        return data, format, notes

    def _write(self, data: bytes, item: FileJob) -> None:
        if item.output == STREAM and self._stdout:
            rest = memoryview(data)
            while rest:  # an unbuffered pipe may write only a part
                rest = rest[self._stdout.write(rest) :]
            self._stdout.flush()
        else:
            if not storage.is_url(item.output):
                Path(item.output).parent.mkdir(parents=True, exist_ok=True)
            write_encoded(data, item.output)

    def _compare(
        self, item: FileJob, record: Record, restored: Restored, written: Picture
    ) -> Record:
        """Measure the photo as it was written, and pass it to the comparison callback."""
        request, on_comparison = self._request, self._callbacks.on_comparison
        clean: Pixels | None = None
        if item.reference and restored.observed is not None:
            path = Path(item.reference)
            record, clean = measure(
                record, restored.observed, written.pixels, path, request.max_pixels
            )
        if on_comparison and restored.before:
            versions = [restored.before, Version(request.task.suffix, written.pixels)]
            if clean is not None:
                versions.append(Version("reference", clean))
            title = "standard input" if item.input == STREAM else item.relative
            rank = math.inf if record.psnr is None else record.psnr
            on_comparison(rank, lambda: _make_comparison(title, versions))
        return record


def failed(item: FileJob, task: Task, error: Exception) -> Record:
    """The record of a file that failed."""
    return Record(item.input, "failed", item.output, task.name, error=_sentence(item, error))


def _sentence(item: FileJob, error: Exception) -> str:
    match error:
        case PictureError():
            return str(error)  # names the file
        case RestoreError():
            return f"{item.input}: {error}"
        case MemoryError():
            return f"{item.input}: Out of memory. Use a smaller --tile, or close other programs."
        case OSError(strerror=reason) if reason:
            target = "to standard output" if item.output == STREAM else item.output
            return f"Cannot write {error.filename or target}: {reason}."
    return f"{item.input}: Unexpected {type(error).__name__}: {error}. Use --debug for details."


def _make_comparison(title: str, versions: Sequence[Version]) -> Comparison:
    return Comparison(title, tuple(measure_versions(versions) if len(versions) > 2 else versions))


def _jpeg_quality(picture: Picture, request: Request) -> int:
    """The quality to write, at least that of the photo.

    Deblocking a good JPEG improves it by less than quality 95 would cost, so that uses 99.
    """
    own = picture.jpeg_quality or 0
    return request.jpeg_quality or (99 if request.task.has_blocking and own > 85 else max(95, own))
