"""Restores files one by one: read, restore, encode, write, measure."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from restore_cli import engine
from restore_cli.atomic import sweep
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


def restore_files(
    request: Request,
    *,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
    callbacks: Callbacks | None = None,
) -> Iterator[Record]:
    """Restore files and yield a record for each one, also if it fails.

    Args:
        stdin, stdout: the streams to use for STREAM.

    Raises:
        WeightsError, UsageError: the request cannot be carried out for any file.
    """
    callbacks = callbacks or Callbacks()
    engine.find_device(request.settings.device)
    models = Models(request.offline, callbacks.on_download)
    if request.model and isinstance(catalog.choose(request.model, request.task.name, 3), Path):
        models.find(request.model, request.task.name, 3)  # fail early; a name depends on the photo
    for folder in {os.path.dirname(item.output) for item in request.items if item.output != STREAM}:
        sweep(Path(folder).resolve())
    for item in request.items:
        start = Record(item.input, "done", item.output, task=request.task.name)
        if request.skip_existing and os.path.isfile(item.output):
            yield replace(start, status="skipped")
            continue
        try:
            yield _restore_file(request, item, start, models, stdin, stdout, callbacks)
        except (WeightsError, UsageError, BrokenPipeError):
            raise
        except Exception as error:  # a file that fails does not stop the batch
            if request.debug:
                raise
            yield replace(start, status="failed", error=_sentence(item, error))


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


@dataclass(frozen=True, eq=False)
class _Result:
    """A restored photo, with all that is needed to write and measure it.

    Attributes:
        record: the record so far.
        picture: the result.
        copied: whether the photo was not changed.
        masked: whether a mask limited the change.
        mask: the mask that was used, if it will be saved.
        observed: the photo at the result's size, if it will be measured.
        before: the photo at the result's size, if it will be shown.
        loading: seconds spent on loading models.
    """

    record: Record
    picture: Picture
    copied: bool
    masked: bool
    mask: Pixels | None
    observed: Pixels | None
    before: Version | None
    loading: float


def _restore_file(
    request: Request,
    item: FileJob,
    record: Record,
    models: Models,
    stdin: BinaryIO | None,
    stdout: BinaryIO | None,
    callbacks: Callbacks,
) -> Record:
    """Read, restore, write and measure a file.

    Each stage is a function, so that its arrays are freed at its end: 48 megapixels are 576 MB.
    """
    started = time.perf_counter()
    piped = stdin if item.input == STREAM else None
    data = read_file(piped or Path(item.input), request.max_pixels)  # only once: it may be a pipe
    result = _restore(request, item, record, data, models, callbacks)
    data, format, notes = _encode(request, item, result, data)
    if result.mask is not None:  # first: if it fails, the photo is not written
        save_mask(result.mask, Path(item.mask))
    _write(data, item, stdout)
    seconds = time.perf_counter() - started - result.loading
    picture = result.picture
    record = replace(
        result.record,
        output_width=picture.width,
        output_height=picture.height,
        seconds=seconds,
        megapixels_per_s=picture.megapixels / max(seconds, 1e-9),
        noise_after=measure_noise(picture.pixels, picture.visible).level,
        warnings=(*result.record.warnings, *notes),
    )
    if result.observed is None and result.before is None:
        return record
    return _compare(request, item, record, result, as_written(picture, data, format), callbacks)


def _restore(
    request: Request,
    item: FileJob,
    record: Record,
    data: bytes,
    models: Models,
    callbacks: Callbacks,
) -> _Result:
    name = "standard input" if item.input == STREAM else item.input
    picture = read_picture(data, name, max_pixels=request.max_pixels)
    task = request.task.look(picture) or request.task
    scale = task.enlargement(picture.height, picture.width)
    started = time.perf_counter()
    model = models.find(request.model or task.model, task.name, picture.channels, scale)
    loading = time.perf_counter() - started
    mask = None
    if item.mask_in:
        mask = read_mask(Path(item.mask_in), picture, task, request.max_pixels)
    change = apply(
        picture,
        task,
        model,
        models,
        request.settings,
        request.strength,
        mask,
        callbacks.on_progress,
    )
    if item.mask and change.mask is None:
        raise UsageError("Cannot save a mask: none was used. Give --mask.")
    record = _report(request, record, picture, task, change, model.conditions)
    record = replace(record, warnings=(*find_damage(data), *record.warnings))
    restored = picture.with_pixels(change.pixels)
    before = None
    if callbacks.on_comparison:
        note = f"upscaled {scale:.3g} times" if scale > 1 else ""
        alike = change.observed.shape == change.unrestored.shape
        shown = change.observed if alike else change.unrestored  # missing pixels are black
        before = Version("input", picture.with_pixels(shown).pixels, note)
    return _Result(
        record=record,
        picture=restored,
        copied=not change.changed and restored.pixels.shape == picture.pixels.shape,
        masked=change.mask is not None,
        mask=change.mask if item.mask else None,
        observed=change.unrestored if item.reference else None,
        before=before,
        loading=loading,
    )


def _report(
    request: Request,
    record: Record,
    picture: Picture,
    task: Task,
    change: Restoration,
    trained: Levels,
) -> Record:
    """The record of a photo that is restored, but not yet written."""
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
        record,
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


def _encode(
    request: Request, item: FileJob, result: _Result, data: bytes
) -> tuple[bytes, str, tuple[str, ...]]:
    """Encode the file to write; also returns its format and notes on what is lost.

    Args:
        data: the contents of the input file, which an unchanged photo may reuse.
    """
    picture = result.picture
    exact = request.task.keeps_most_pixels or bool(item.mask_in)
    format = item.format or choose_format(picture.format, exact)
    if result.copied and format == picture.format and not request.jpeg_quality:
        return data, format, ()
    if request.jpeg_quality:
        picture = replace(picture, lossless=False)
    quality = _jpeg_quality(picture, request)
    data, losses = encode_picture(picture, format, jpeg_quality=quality)
    notes = (*picture.notes, *losses)
    if result.masked and is_altered(picture, format):
        notes += (
            f"{format} is lossy: pixels outside the mask change slightly. Use PNG or TIFF to keep"
            " them exactly.",
        )
    return data, format, notes


def _compare(
    request: Request,
    item: FileJob,
    record: Record,
    result: _Result,
    written: Picture,
    callbacks: Callbacks,
) -> Record:
    """Measure the photo as it was written, and pass it to the comparison callback."""
    clean: Pixels | None = None
    if item.reference and result.observed is not None:
        path = Path(item.reference)
        record, clean = measure(record, result.observed, written.pixels, path, request.max_pixels)
    if callbacks.on_comparison and result.before:
        versions = [result.before, Version(request.task.suffix, written.pixels)]
        if clean is not None:
            versions.append(Version("reference", clean))
        title = "standard input" if item.input == STREAM else item.relative
        rank = math.inf if record.psnr is None else record.psnr
        callbacks.on_comparison(rank, lambda: _make_comparison(title, versions))
    return record


def _make_comparison(title: str, versions: Sequence[Version]) -> Comparison:
    return Comparison(title, tuple(measure_versions(versions) if len(versions) > 2 else versions))


def _jpeg_quality(picture: Picture, request: Request) -> int:
    """The quality to write, at least that of the photo.

    Deblocking a good JPEG improves it by less than quality 95 would cost, so that uses 99.
    """
    own = picture.jpeg_quality or 0
    return request.jpeg_quality or (99 if request.task.has_blocking and own > 85 else max(95, own))


def _write(data: bytes, item: FileJob, stdout: BinaryIO | None) -> None:
    if item.output == STREAM and stdout:
        rest = memoryview(data)
        while rest:  # an unbuffered pipe may write only a part
            rest = rest[stdout.write(rest) :]
        stdout.flush()
    else:
        Path(item.output).parent.mkdir(parents=True, exist_ok=True)
        write_encoded(data, Path(item.output))
