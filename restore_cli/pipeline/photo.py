"""Restores one file in four stages: read, decode, restore, save."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from restore_cli import engine, storage
from restore_cli.errors import UsageError, WeightsError
from restore_cli.image import (
    FIRST_FRAME,
    Pages,
    Picture,
    Pixels,
    check_size,
    encode_pages,
    encode_picture,
    find_damage,
    is_altered,
    open_pages,
    read_file,
    read_picture,
    write_encoded,
)
from restore_cli.models import catalog
from restore_cli.noise import measure_noise
from restore_cli.pipeline.compare import measure as measure_versions
from restore_cli.pipeline.files import STREAM, FileJob, choose_format
from restore_cli.pipeline.masks import read_mask, save_mask
from restore_cli.pipeline.measure import as_written, measure
from restore_cli.pipeline.networks import Models
from restore_cli.pipeline.plan import Step, keeps_most_pixels, result_size
from restore_cli.pipeline.provenance import record_run, stamp
from restore_cli.pipeline.records import complete, describe, failed
from restore_cli.pipeline.request import Callbacks, Request
from restore_cli.pipeline.steps import Progress, Walker
from restore_cli.report.comparison import Comparison, Version
from restore_cli.report.provenance import Provenance
from restore_cli.report.record import Record


@dataclass(eq=False)
class Loaded:
    """A decoded photo.

    Attributes:
        data: the contents of its file.
        picture: the photo, or its first page.
        seconds: the time that decoding took.
        pages: all frames or pages, if they are restored and there are several.
        share: the share of the work for the file that this photo is, 0 to 1.
    """

    data: bytes
    picture: Picture
    seconds: float
    pages: Pages | None = None
    share: float = 1.0

    def release(self) -> Picture:
        """Return the photo, and drop it here, so that it can be freed while it is restored."""
        picture = self.picture
        del self.picture
        return picture


@dataclass(frozen=True, eq=False)
class Restored:
    """A restored photo, with all that is needed to write and measure it.

    Attributes:
        record: the record so far.
        data: the contents of the input file, which an unchanged photo may reuse.
        picture: the result, of the first page.
        steps: the steps that it went through.
        copied: whether the photo was not changed.
        masked: whether a mask limited the change.
        mask: the mask that was used, if it will be saved.
        observed: the photo at the result's size, if it will be measured.
        before: the photo at the result's size, if it will be shown.
        run: how the photo was restored, if it will be written into its metadata.
        seconds: the time that decoding and restoring took, without loading models.
        megapixels: of the result, of all pages.
        encoded: the file and notes on what is lost, if it has several pages.
    """

    record: Record
    data: bytes
    picture: Picture
    steps: tuple[Step, ...]
    copied: bool
    masked: bool
    mask: Pixels | None
    observed: Pixels | None
    before: Version | None
    run: Provenance | None
    seconds: float
    megapixels: float
    encoded: tuple[bytes, tuple[str, ...]] | None = None


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
        models = models or Models(request.offline, self._callbacks.on_download)
        self._walker = Walker(
            models,
            request.settings,
            request.check_tiles,
            request.noise_levels,
            advises=not request.plan.looks,
        )
        engine.find_device(request.settings.device)
        for step in request.plan.steps:
            model, task = step.model, step.task.name
            if model and isinstance(catalog.choose(model, task, 3), Path):
                models.find(model, task, 3)  # a name depends on the photo

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
        name, most = item.name, self._request.max_pixels
        pages = open_pages(data, name, max_pixels=most) if self._request.pages == "all" else None
        picture = next(pages.pictures()) if pages else read_picture(data, name, max_pixels=most)
        return Loaded(data, picture, time.perf_counter() - started, pages)

    def restore(self, item: FileJob, loaded: Loaded) -> Restored:
        """Restore a photo in memory, or all its pages."""
        if loaded.pages:
            return self._restore_pages(item, loaded, loaded.pages)
        request, callbacks, picture = self._request, self._callbacks, loaded.release()
        started = time.perf_counter() - loaded.seconds
        choice = request.plan.choose(picture)
        steps = choice.steps
        data, quality, shape = loaded.data, picture.jpeg_quality, picture.pixels.shape
        record = describe(item, picture, choice, find_damage(data))
        check_size(self._format(item, picture), *result_size(steps, *shape[:2]))
        if item.kept:
            warning = f"{item.kept} exists and was kept; it may not be the mask of this result."
            record = replace(record, warnings=(*record.warnings, warning))
        drawn, mask_sha256 = None, None
        if item.mask_in:
            drawn, mask_sha256, warnings = read_mask(
                Path(item.mask_in), picture, request.max_pixels
            )
            record = replace(record, warnings=(*record.warnings, *warnings))
        run = record_run(request, data, picture, mask_sha256) if request.provenance else None
        unrestored = None
        if item.reference or callbacks.on_comparison:
            unrestored = picture.opaque_pixels()
        start = [Progress(picture, drawn=drawn, unrestored=unrestored, shown=unrestored)]
        share = loaded.share
        del picture  # so that `walk` frees the photo after the first step
        end = self._walker.walk(
            steps,
            start,
            lambda part, megapixels: callbacks.on_progress(part * share, megapixels),
        )
        used = end.mask if steps or drawn is None else drawn[..., 0]
        observed = None
        if item.reference and end.unrestored is not None:
            observed = end.picture.with_pixels(end.unrestored).pixels
        before = None
        if callbacks.on_comparison and end.shown is not None:
            scale = max(end.picture.height / shape[0], end.picture.width / shape[1])
            note = f"upscaled {scale:.3g} times" if scale > 1 else ""
            pixels = end.picture.with_pixels(end.shown).pixels
            before = Version("input", pixels, note, end.picture.metadata.icc)
        return Restored(
            record=complete(record, request.plan, end),
            data=data,
            picture=replace(end.picture, jpeg_quality=quality),
            steps=steps,
            copied=not end.changed and end.picture.pixels.shape == shape,
            masked=end.masked and bool(steps),
            mask=used if item.mask else None,
            observed=observed,
            before=before,
            run=replace(run, steps=end.past) if run else None,
            seconds=time.perf_counter() - started - end.loading,
            megapixels=end.picture.megapixels,
        )

    def _restore_pages(self, item: FileJob, loaded: Loaded, pages: Pages) -> Restored:
        """Restore frames or pages one by one, and encode each one before the next is decoded."""
        kept: list[Restored] = []  # the first page that changed; others are not kept
        copied, megapixels, loading = True, 0.0, 0.0
        warnings: dict[str, list[int]] = {}  # numbers of the pages
        notes: dict[str, None] = {}
        started = time.perf_counter()

        def pictures() -> Iterator[Picture]:
            nonlocal copied, megapixels, loading
            for number, page in enumerate(pages.pictures(), 1):
                begun = time.perf_counter()
                one = self.restore(item, Loaded(b"", page, 0.0, share=1 / pages.count))
                loading += time.perf_counter() - begun - one.seconds
                copied, megapixels = copied and one.copied, megapixels + one.megapixels
                for warning in one.record.warnings:
                    warnings.setdefault(warning, []).append(number)
                notes.update(dict.fromkeys(page.notes))
                if not kept or (kept[0].copied and not one.copied):
                    kept[:] = [one]
                yield self._to_encode(one.picture)

        data, losses = encode_pages(
            pictures(),
            pages,
            self._format(item, loaded.picture),
            jpeg_quality=self._quality(loaded.picture, self._request.plan.steps),
        )
        own = (
            warning if len(at) == pages.count else f"{_list_pages(at)}: {warning}"
            for warning, at in warnings.items()
        )
        found = (*find_damage(loaded.data), *own)
        return replace(
            kept[0],
            record=replace(kept[0].record, pages=pages.count, warnings=found),
            data=loaded.data,
            copied=copied,
            seconds=loaded.seconds + time.perf_counter() - started - loading,
            megapixels=megapixels,
            encoded=(data, (*notes, *losses)),
        )

    def save(self, item: FileJob, restored: Restored) -> Record:
        """Encode, write and measure a restored photo."""
        started = time.perf_counter()
        picture = restored.picture
        data, format, notes = self._encode(item, restored)
        if restored.mask is not None:  # first: if it fails, the photo is not written
            save_mask(restored.mask, item.mask)
        self._write(data, item)
        noise = None
        if self._request.noise_levels:
            noise = measure_noise(picture.opaque_pixels(), picture.visible).level
        seconds = restored.seconds + time.perf_counter() - started
        record = replace(
            restored.record,
            output_width=picture.width,
            output_height=picture.height,
            seconds=seconds,
            megapixels_per_s=restored.megapixels / max(seconds, 1e-9),
            noise_after=noise,
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
        return failed(item, self._request.plan, error)

    def _format(self, item: FileJob, picture: Picture) -> str:
        exact = keeps_most_pixels(self._request.plan) or bool(item.mask_in)
        return item.format or choose_format(picture.format, exact)

    def _to_encode(self, picture: Picture) -> Picture:
        return replace(picture, lossless=False) if self._request.jpeg_quality else picture

    def _quality(self, picture: Picture, steps: Sequence[Step]) -> int:
        return self._request.jpeg_quality or _jpeg_quality(picture, steps)

    def _encode(self, item: FileJob, restored: Restored) -> tuple[bytes, str, tuple[str, ...]]:
        """Encode the file to write; also returns its format and notes on what is lost."""
        request, picture = self._request, self._to_encode(restored.picture)
        format = self._format(item, picture)
        if restored.copied and format == picture.format and not request.jpeg_quality:
            notes = tuple(note for note in picture.notes if note.startswith(FIRST_FRAME))
            if restored.run:
                notes += ("The photo was not changed, so it was copied without provenance.",)
            return restored.data, format, notes
        if restored.encoded:
            data, notes = restored.encoded
        else:
            quality = self._quality(picture, restored.steps)
            notes = picture.notes
            if restored.run:
                picture, problems = stamp(picture, format, quality, restored.run)
                notes += problems
            data, losses = encode_picture(picture, format, jpeg_quality=quality)
            notes += losses
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
        clean: Picture | None = None
        if item.reference and restored.observed is not None:
            path = Path(item.reference)
            record, clean = measure(record, restored.observed, written, path, request.max_pixels)
        if on_comparison and restored.before:
            icc = written.metadata.icc
            versions = [restored.before, Version(request.plan.suffix, written.pixels, icc=icc)]
            if clean is not None:
                versions.append(Version("reference", clean.pixels, icc=clean.metadata.icc))
            title = "standard input" if item.input == STREAM else item.relative
            rank = math.inf if record.psnr is None else record.psnr
            on_comparison(rank, lambda: _make_comparison(title, versions))
        return record


def _list_pages(numbers: Sequence[int]) -> str:
    """Frames or pages by number: "page 2", "pages 2, 5 and 6" or "pages 2, 5, 6 and 8 others"."""
    shown = [str(number) for number in (numbers if len(numbers) < 5 else numbers[:3])]
    if others := len(numbers) - len(shown):
        shown.append(f"{others} others")
    *most, last = shown
    return f"pages {', '.join(most)} and {last}" if most else f"page {last}"


def _make_comparison(title: str, versions: Sequence[Version]) -> Comparison:
    return Comparison(title, tuple(measure_versions(versions) if len(versions) > 2 else versions))


def _jpeg_quality(picture: Picture, steps: Sequence[Step]) -> int:
    """The quality to write, at least that of the photo.

    Deblocking a good JPEG improves it by less than quality 95 would cost, so that uses 99.
    """
    own = picture.jpeg_quality or 0
    deblocked = any(step.task.has_blocking for step in steps)
    return 99 if deblocked and own > 85 else max(95, own)
