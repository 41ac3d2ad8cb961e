"""Restores pictures: one in memory, or files one after the other."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from restore_cli import engine
from restore_cli.atomic import sweep
from restore_cli.degradations import Image
from restore_cli.engine import Result, Settings
from restore_cli.errors import PictureError, RestoreError, UsageError, WeightsError
from restore_cli.image import (
    LOSSY,
    Picture,
    encode_picture,
    find_damage,
    format_of,
    is_altered,
    luma,
    read_file,
    read_picture,
    resize,
    to_gray,
    to_rgb,
    write_encoded,
    write_picture,
)
from restore_cli.metrics import SSIM_WINDOW, psnr, ssim
from restore_cli.models import catalog, checkpoint
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.noise import measure_noise
from restore_cli.pipeline.compare import measure
from restore_cli.pipeline.files import STREAM, Item, Naming, find_partner
from restore_cli.report import Record
from restore_cli.report.html import Comparison, Version
from restore_cli.tasks import Feed, Task, find_task

CONTEXT = (
    128  # pixels, at least, that networks which look at all of a photo see around what is missing
)
WORK = 64  # times the work of the whole picture that tiles may cost
APPROXIMATE = (
    "looks at the whole photo, so its tiles are approximate; --tile 0 avoids that,"
    " with more memory."
)
FIXED = (
    "takes {0} x {0} pixels at once, so it runs in tiles that are blended, which is approximate."
)


@dataclass(frozen=True)
class Request:
    """What to restore, and how.

    Attributes:
        task: with its options.
        items: inputs and outputs, from `files.plan`.
        model: as `catalog.choose` takes it; None is the task's default.
        settings: how to run the network.
        naming: as outputs were named, for the format of what goes to standard output.
        jpeg_quality: 1 to 100, of JPEG, WebP and AVIF; None is 95, or that of a better JPEG that
            was read, or 99 where little is mended of a good one.
        max_pixels: of a picture that is read, as `read_picture` has it.
        skip_existing: leave inputs alone whose output exists.
        reference: the clean picture, or a folder that has one of the same relative path or stem for
            each.
        strength: 0 to 1, how much of the change is made.
        mask: a picture, or a folder of them as of references: white where the change is made, black
            where it is not, gray where in part; where it is transparent it counts as black.
        check_tiles: measure what tiling changes.
        offline: never download.
        debug: raise the first error instead of going on.
    """

    task: Task
    items: Sequence[Item]
    model: str | None = None
    settings: Settings = field(default_factory=Settings)
    naming: Naming = field(default_factory=Naming)
    jpeg_quality: int | None = None
    max_pixels: int | None = None
    skip_existing: bool = False
    reference: Path | None = None
    strength: float = 1.0
    mask: Path | None = None
    check_tiles: bool = False
    offline: bool = False
    debug: bool = False


@dataclass(frozen=True)
class Watch:
    """Who is told what happens within a file.

    Attributes:
        download: bytes done and bytes in all, 0 if not known, of a model that is fetched.
        restored: a share more of the current picture, and how many megapixels of its result that
            is.
        compared: of a picture that was written its PSNR, infinite where there is none, and what
            makes the comparison with the input and, if there is one, the reference; None wants no
            comparisons.
    """

    download: Callable[[int, int], None] = lambda done, total: None
    restored: Callable[[float, float], None] = lambda share, megapixels: None
    compared: Callable[[float, Callable[[], Comparison]], None] | None = None


def load(
    model: str | None = None,
    task: str = "denoise",
    channels: int = 3,
    scale: float = 1,
    *,
    offline: bool = False,
    download: Callable[[int, int], None] | None = None,
) -> Checkpoint:
    """Load the network that `model`, a name or a path, stands for; by default the task's own.

    Args:
        channels, scale: of the pictures, and by which they are enlarged; a name may stand for
            several networks, of which one fits best.

    Raises:
        WeightsError: there is no such model, it cannot be fetched or read, or it does what the task
            does not.
        UsageError: it is for another task.
    """
    loaded = checkpoint.load(
        catalog.choose(model, task, channels, scale), offline=offline, progress=download
    )
    if loaded.task not in (task, ""):
        raise UsageError(
            f"{loaded.name} is for {loaded.task}, not for {task}; choose another --model."
        )
    scale = loaded.network.geometry.scale
    if scale > 1 and not find_task(task).enlarges:
        raise WeightsError(
            f"Cannot use {loaded.name} for {task}: its network enlarges {scale} times. Give"
            " another --model."
        )
    return loaded


@dataclass(frozen=True)
class Models:
    """Networks by their names; each is loaded once.

    Attributes:
        offline: never download.
        download: told bytes done and bytes in all, 0 if not known.
    """

    offline: bool = False
    download: Callable[[int, int], None] = lambda done, total: None
    loaded: dict[str, Checkpoint] = field(default_factory=dict)

    def find(self, model: str | None, task: str, channels: int, scale: float = 1) -> Checkpoint:
        """What `--model` means for such a picture, as `catalog.choose` has it."""
        chosen = catalog.choose(model, task, channels, scale)
        name = str(chosen) if isinstance(chosen, Path) else chosen.name
        if name not in self.loaded:
            self.loaded[name] = load(name, task, offline=self.offline, download=self.download)
        return self.loaded[name]


def restore(
    picture: Picture,
    task: Task,
    model: Checkpoint | str | None = None,
    settings: Settings | None = None,
    *,
    strength: float = 1.0,
    mask: Image | None = None,
) -> Picture:
    """Restore one picture; what is beside its colours stays as it was.

    A gray network restores a colour picture channel by channel, or its luma, as the task has it; a
    colour network restores a gray picture as three equal channels, whose gray is kept.

    Args:
        picture: of any size.
        task: with its options.
        model: a name, a path, or what `load` gave; by default the task's own.
        settings: how to run the network.
        strength: 0 to 1, how much of the change is made.
        mask: H x W in [0, 1], where it is made.

    Raises:
        WeightsError, UsageError: as `load` and `engine.run`.
        EngineError: memory is too short, or the result is no picture.
    """
    task = task.look(picture)
    if not isinstance(model, Checkpoint):
        model = load(
            model or task.model,
            task.name,
            picture.channels,
            task.enlargement(picture.height, picture.width),
        )
    change = _change(picture, task, model, load, settings or Settings(), strength, mask)
    return picture.with_pixels(change.pixels)


def restore_files(
    request: Request,
    *,
    stdin: BinaryIO | None = None,
    stdout: BinaryIO | None = None,
    watch: Watch | None = None,
) -> Iterator[Record]:
    """Restore files, yielding the record of each as it is finished; a failure is a record too.

    Args:
        stdin, stdout: what STREAM stands for.

    Raises:
        WeightsError, UsageError: no file can be restored like this.
    """
    watch = watch or Watch()
    engine.find_device(request.settings.device)
    for kind, path in (("reference", request.reference), ("mask", request.mask)):
        if path and not path.exists():
            raise UsageError(f"There is no {kind} {path}; check its path.")
    if request.reference and not request.reference.is_dir() and len(request.items) > 1:
        raise UsageError(
            f"{request.reference} is one picture; give a folder as reference of several."
        )
    models = Models(request.offline, watch.download)
    if request.model and isinstance(catalog.choose(request.model, request.task.name, 3), Path):
        models.find(
            request.model, request.task.name, 3
        )  # of a name, what fits depends on the photo
    for folder in {os.path.dirname(item.output) for item in request.items if item.output != STREAM}:
        sweep(Path(folder).resolve())
    for item in request.items:
        start = Record(item.input, "done", item.output, task=request.task.name)
        if request.skip_existing and os.path.isfile(item.output):
            yield replace(start, status="skipped")
            continue
        try:
            yield _restore_file(request, item, start, models, stdin, stdout, watch)
        except (WeightsError, UsageError, BrokenPipeError):
            raise
        except Exception as error:  # one file, whatever is wrong with it, does not stop a batch
            if request.debug:
                raise
            yield replace(start, status="failed", error=_sentence(item, error))


def _sentence(item: Item, error: Exception) -> str:
    match error:
        case PictureError():
            return str(error)  # names the file
        case RestoreError():
            return f"{item.input}: {error}"
        case MemoryError():
            return (
                f"{item.input}: memory is too short; close other programs, or give a smaller"
                " --tile."
            )
        case OSError(strerror=reason) if reason:
            place = "standard output" if item.output == STREAM else item.output
            return f"{error.filename or place}: {reason}; choose another place for the result."
    return f"{item.input}: unexpected {type(error).__name__}: {error}; --debug shows where."


def _restore_file(
    request: Request,
    item: Item,
    record: Record,
    models: Models,
    stdin: BinaryIO | None,
    stdout: BinaryIO | None,
    watch: Watch,
) -> Record:
    """Read, restore, write, measure. Arrays go as soon as they can: 48 megapixels are 576 MB
    each.
    """
    started = time.perf_counter()
    piped = stdin if item.input == STREAM else None
    data = read_file(
        piped or Path(item.input), request.max_pixels
    )  # once, for a pipe gives it only once
    name = "standard input" if piped else item.input
    picture = read_picture(data, name, max_pixels=request.max_pixels)
    task = request.task.look(picture)
    reading = time.perf_counter() - started

    scale = task.enlargement(picture.height, picture.width)
    model = models.find(request.model or task.model, task.name, picture.channels, scale)
    started = time.perf_counter() - reading
    mask = _read_mask(request, request.mask, item, picture) if request.mask else None
    change = _change(
        picture, task, model, models.find, request.settings, request.strength, mask, watch.restored
    )
    mask, feed = change.mask, change.feed
    if item.mask and mask is None:
        raise UsageError("There is no mask to save; give --mask.")
    last = change.passes[-1] if change.passes else None
    difference = _check_tiles(last, request.settings) if last and request.check_tiles else None
    uncut = ("No tile was cut, so there is nothing to check.",) * (
        request.check_tiles and difference is None
    )
    noise = (
        measure_noise(picture.pixels, picture.visible).level if feed.noise is None else feed.noise
    )
    advice = task.advise(picture, noise, model.conditions)
    record = replace(
        record,
        model=" + ".join(one.model.name for one in change.passes) or None,
        options={
            **(feed.options or {}),
            **({"strength": request.strength} if request.strength < 1 else {}),
        },
        device=last.result.device if last else None,
        precision=last.result.precision if last else None,
        tile=last.result.tile if last else None,
        width=picture.width,
        height=picture.height,
        channels=picture.channels,
        depth=picture.depth,
        noise_before=noise,
        tile_difference=difference,
        warnings=(*find_damage(data), *feed.warnings, *filter(None, [advice]), *uncut),
    )
    restored = picture.with_pixels(change.pixels)
    same = change.pixels is change.plain and restored.pixels.shape == picture.pixels.shape
    used = Picture(mask[..., None]) if item.mask and mask is not None else None
    observed = change.plain if request.reference else None
    # Found before the result is written, which in the same folder could be taken for it.
    reference = find_partner(request.reference, item) if request.reference else None
    before = None
    if watch.compared:
        note = f"enlarged {scale:.3g} times" if scale > 1 else ""
        alike = change.seen.shape == change.plain.shape
        shown = picture.with_pixels(change.seen if alike else change.plain)  # seen has NaN, black
        before = Version("input", shown.pixels, note)
    masked = mask is not None
    del picture, change, feed, mask, last

    format = _format(item, restored, request)
    notes: tuple[str, ...] = ()  # of what reading and writing lose; a copy loses nothing
    if request.jpeg_quality:
        restored = replace(restored, lossless=False)
    if not same or format != restored.format or request.jpeg_quality:  # else it is copied
        data, losses = encode_picture(
            restored, format, jpeg_quality=_jpeg_quality(restored, request)
        )
        notes = (*restored.notes, *losses)
        if masked and is_altered(restored, format):
            notes += (
                f"{format} alters a photo outside the mask, too, by a little; PNG or TIFF do not",
            )
    if used is not None:  # first, so that no photo is written of one that failed
        _save_mask(used, Path(item.mask))
    _write(data, item, stdout)
    seconds = time.perf_counter() - started
    record = replace(
        record,
        output_width=restored.width,
        output_height=restored.height,
        seconds=seconds,
        megapixels_per_s=restored.megapixels / max(seconds, 1e-9),
        noise_after=measure_noise(restored.pixels, restored.visible).level,
        warnings=(*record.warnings, *notes),
    )
    if format in LOSSY and (request.reference or watch.compared):
        written = read_picture(data).pixels  # WebP and AVIF make RGB of gray
        restored = replace(restored, pixels=written if restored.channels == 3 else _gray(written))
    clean = None
    if reference and observed is not None:
        record, clean = _measure(record, observed, restored, reference, request.max_pixels)
    if watch.compared and before:
        watch.compared(
            math.inf if record.psnr is None else record.psnr,
            lambda: _compare(item, before, Version(task.suffix, _written(restored)), clean),
        )
    return record


@dataclass(frozen=True)
class _Pass:
    """A network that was run over a picture: what it was fed, and what it gave."""

    model: Checkpoint
    feed: Feed
    result: Result


@dataclass(frozen=True)
class _Change:
    """What is made of a picture.

    Attributes:
        pixels: of the result, in [0, 1]; `plain` itself where nothing is changed.
        plain: what was observed, at the result's size.
        seen: what was observed; what is missing is NaN.
        mask: H x W in [0, 1], where the change is made; None is everywhere.
        feed: what the task has to say.
        passes: the networks that were run, the one that finds damage first; none where nothing can
            change.
    """

    pixels: Image
    plain: Image
    seen: Image
    mask: Image | None
    feed: Feed
    passes: tuple[_Pass, ...]


def _change(
    picture: Picture,
    task: Task,
    model: Checkpoint,
    find: Callable[[str | None, str, int, float], Checkpoint],
    settings: Settings,
    strength: float,
    mask: Image | None,
    on_tile: Callable[[float, float], None] = lambda share, megapixels: None,
) -> _Change:
    """Find the damage, if it is to be found, and make the change that is asked for, there too.

    A network that finds damage does no more; the model makes the change, or the task's default,
    where the model itself is the one that finds.

    Args:
        find: loads a network, of a name, for a task, so many channels, and an enlargement.
        on_tile: told a share more, and how many megapixels of the result that is.
    """

    def told(share: float) -> None:
        on_tile(share, share * plain.shape[0] * plain.shape[1] / 1e6)

    pixels = picture.opaque_pixels()
    plain = task.plain(pixels)
    scale = task.enlargement(*pixels.shape[:2])
    passes: tuple[_Pass, ...] = ()
    known, doubt = pixels, ""
    if detector := task.detector(model.conditions):  # at strength 0, too, for its mask may be kept
        blind, names = detector
        for name in names:
            finder = find(name, blind.name, picture.channels, scale) if name else model
            feed = blind.prepare(pixels, finder.conditions, finder.network.geometry)
            result = _restore(
                finder, blind, pixels, feed, settings, lambda share: told(share / len(names))
            )
            passes += (_Pass(finder, feed, result),)
        known, doubt = task.locate(
            [blind.finish(one.result.pixels, pixels) for one in passes], pixels
        )
    seen, mask = task.mark(known, mask)
    if passes and mask is not None:
        mask = np.maximum(mask, (known != pixels).any(axis=2))
    wanted = strength > 0 and (mask is None or bool(mask.any()))
    if wanted and passes and passes[0].model is model:
        model = find(None, task.name, picture.channels, scale)
    feed = task.prepare(seen, model.conditions, model.network.geometry, picture)
    feed = replace(feed, warnings=(*feed.warnings, *filter(None, [doubt])))
    strength *= feed.strength
    restored = plain
    if wanted and strength:
        result = _restore(
            model, task, seen, feed, settings, (lambda share: None) if passes else told
        )
        if fault := _find_fault(model, result):
            model = find(None, task.name, picture.channels, scale)
            feed = task.prepare(seen, model.conditions, model.network.geometry, picture)
            result = _restore(model, task, seen, feed, settings, lambda share: None)
            feed = replace(
                feed, warnings=(*feed.warnings, f"{fault}; it was restored by {model.name}.")
            )
        geometry = model.network.geometry
        if result.tile and not geometry.local:
            words = FIXED.format(geometry.largest) if geometry.largest else APPROXIMATE
            feed = replace(feed, warnings=(*feed.warnings, f"{model.name} {words}"))
        passes += (_Pass(model, feed, result),)
        restored = task.finish(result.pixels, seen)
    if restored is not plain:
        restored = _blend(restored, plain, strength, mask)
    return _Change(restored, plain, seen, mask, feed, passes)


def _find_fault(model: Checkpoint, result: Result) -> str:
    """What is wrong with a result that is no picture, if anything is."""
    low, high = (float(edge) for edge in (result.pixels.min(), result.pixels.max()))
    bounds = model.network.bounds
    if not bounds or (low >= bounds[0] and high <= bounds[1]):
        return ""
    return f"{model.name} fails on it, with values from {low:.1f} to {high:.1f} for 0 to 1"


def _read_mask(request: Request, mask: Path, item: Item, picture: Picture) -> Image:
    """H x W in [0, 1], of a picture's brightness, black where it is transparent; at the result's
    size.
    """
    path = find_partner(mask, item)
    try:
        drawn = read_picture(path, max_pixels=request.max_pixels)
    except PictureError as error:
        raise RestoreError(f"its mask fails: {error}") from error
    pixels = _gray(drawn.pixels)
    if pixels.shape[:2] != picture.pixels.shape[:2]:
        sizes = [f"{image.shape[1]} x {image.shape[0]}" for image in (pixels, picture.pixels)]
        raise RestoreError(
            f"its mask {path} has {sizes[0]} pixels, not the photo's {sizes[1]}; make it of the"
            " same size."
        )
    if drawn.alpha is not None:
        pixels *= drawn.alpha[..., None] / np.float32(np.iinfo(drawn.alpha.dtype).max)
    return request.task.plain(pixels)[..., 0]


def _save_mask(mask: Picture, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(
            f"cannot write the mask {path}: its folder cannot be made ({error.strerror}),"
            " give another --save-mask"
        ) from error
    write_picture(mask, path)


def _blend(restored: Image, observed: Image, strength: float, mask: Image | None) -> Image:
    """Make a part of the change, everywhere or by a mask; where it is 0 the observed pixels stay
    exactly.
    """
    if strength == 1 and mask is None:
        return restored
    restored -= observed
    restored *= np.float32(strength) if mask is None else np.float32(strength) * mask[..., None]
    restored += observed
    return restored


def _restore(
    model: Checkpoint,
    task: Task,
    seen: Image,
    feed: Feed,
    settings: Settings,
    on_tile: Callable[[float], None],
) -> Result:
    """What the network gives; where the task asks for it, from coarse to fine.

    A network that looks at the whole picture needs no coarser guess; it sees what is missing, and
    as much again around it.
    """
    if task.exact and not model.network.geometry.local:
        part = _around(seen)
        planes = tuple(one if isinstance(one, float) else one[part] for one in feed.conditions)
        cut = replace(feed, pixels=np.ascontiguousarray(feed.pixels[part]), conditions=planes)
        result = _run(model, task, cut, settings, on_tile)
        pixels = feed.pixels.copy()
        pixels[part] = result.pixels
        return replace(result, pixels=pixels)
    smaller = task.coarsen(seen)
    if smaller is not None:
        first = task.prepare(smaller, model.conditions, model.network.geometry)
        guess = _restore(model, task, smaller, first, settings, lambda share: None)
        feed = replace(feed, pixels=task.refine(feed.pixels, seen, guess.pixels))
    return _run(model, task, feed, settings, on_tile)


def _around(seen: Image) -> tuple[slice, slice]:
    """Rows and columns of what is missing, grown by their number on each side; all where nothing
    is.
    """

    def grow(lines: NDArray[np.intp]) -> slice:
        first, end = int(lines.min()), int(lines.max()) + 1
        margin = max(CONTEXT, end - first)
        return slice(max(0, first - margin), end + margin)

    rows, columns, _ = np.nonzero(np.isnan(seen))
    return (grow(rows), grow(columns)) if len(rows) else (slice(None), slice(None))


def _run(
    model: Checkpoint, task: Task, feed: Feed, settings: Settings, on_tile: Callable[[float], None]
) -> Result:
    """Run a network of one or three channels over a picture of either.

    Raises:
        UsageError: tiles are so small that what is around them would take nearly all the time.
    """
    tile, halo = settings.tile or max(feed.pixels.shape), model.network.geometry.halo
    work = math.prod(max(1, min(tile + 2 * halo, side) / tile) for side in feed.pixels.shape[:2])
    if work > WORK:
        raise UsageError(
            f"Cannot cut tiles of {tile} pixels: {model.name} looks at {halo} around each, which"
            " makes it"
            f" {work:.0f} times slower. Give {halo} or more, or auto."
        )
    network, (given, wanted) = (
        model.network,
        (feed.pixels.shape[2], model.network.geometry.channels),
    )
    if given == wanted:
        return engine.run(network, feed.pixels, feed.conditions, settings, on_tile)
    if given == 1:
        result = engine.run(network, to_rgb(feed.pixels), feed.conditions, settings, on_tile)
        return replace(result, pixels=to_gray(result.pixels))
    if task.luma:
        gray = to_gray(feed.pixels)
        result = engine.run(network, gray, feed.conditions, settings, on_tile)
        colours = feed.pixels - gray
        if network.geometry.scale > 1:
            colours = resize(colours, *result.pixels.shape[:2])
        return replace(result, pixels=result.pixels + colours)
    output = np.empty_like(feed.pixels)
    for channel in range(given):
        plane = np.ascontiguousarray(feed.pixels[..., channel : channel + 1])
        result = engine.run(
            network, plane, feed.conditions, settings, lambda share: on_tile(share / given)
        )
        output[..., channel] = result.pixels[..., 0]
    return replace(result, pixels=output)


def _check_tiles(last: _Pass, settings: Settings) -> float | None:
    network, pixels = last.model.network, last.feed.pixels[..., :1]
    if network.geometry.channels == 3:
        pixels = last.feed.pixels if last.feed.pixels.shape[2] == 3 else to_rgb(pixels)
    return engine.check_tiles(network, pixels, last.feed.conditions, settings)


def _format(item: Item, picture: Picture, request: Request) -> str:
    """Pillow's name of the format to write."""
    return (
        request.naming.choose(picture.format)
        if item.output == STREAM
        else format_of(Path(item.output))
    )


def _jpeg_quality(picture: Picture, request: Request) -> int:
    """At least as high as the photo came with; what is mended of good JPEGs is less than 95 would
    cost.
    """
    own = picture.jpeg_quality or 0
    return request.jpeg_quality or (99 if request.task.blocks and own > 85 else max(95, own))


def _write(data: bytes, item: Item, stdout: BinaryIO | None) -> None:
    if item.output == STREAM and stdout:
        rest = memoryview(data)
        while rest:  # unbuffered, as under PYTHONUNBUFFERED, it takes what a pipe holds
            rest = rest[stdout.write(rest) :]
        stdout.flush()
    else:
        Path(item.output).parent.mkdir(parents=True, exist_ok=True)
        write_encoded(data, Path(item.output))


def _measure(
    record: Record, observed: Image, restored: Picture, reference: Path, max_pixels: int | None
) -> tuple[Record, Image | None]:
    """Add PSNR and SSIM of the picture as it was written; a warning if it cannot be compared.

    Returns:
        The record, and what it was compared with: the reference, gray or RGB as the picture.
    """
    try:
        clean = read_picture(reference, max_pixels=max_pixels).pixels
    except PictureError as error:
        return replace(record, warnings=(*record.warnings, f"not compared: {error}")), None
    if clean.shape[:2] != observed.shape[:2]:
        sizes = [f"{image.shape[1]} x {image.shape[0]}" for image in (clean, observed)]
        fault = f"not compared: the reference {reference} has {sizes[0]} pixels, not {sizes[1]}"
        return replace(record, warnings=(*record.warnings, fault)), None
    if clean.shape[2] != observed.shape[2]:
        clean = _gray(clean) if observed.shape[2] == 1 else to_rgb(clean)
    written = _written(restored)
    record = replace(record, psnr=psnr(written, clean), input_psnr=psnr(observed, clean))
    large = min(clean.shape[:2]) >= SSIM_WINDOW
    if large:
        record = replace(record, ssim=ssim(written, clean))
    if clean.shape[2] == 3:
        y, clean_y = luma(written)[..., None], luma(clean)[..., None]
        record = replace(
            record, psnr_y=psnr(y, clean_y), ssim_y=ssim(y, clean_y) if large else None
        )
    return record, clean


def _gray(pixels: Image) -> Image:
    return pixels if pixels.shape[2] == 1 else to_gray(pixels)


def _written(picture: Picture) -> Image:
    """The pixels, rounded to the picture's bits."""
    peak = np.float32(2**picture.depth - 1)
    return np.asarray(np.rint(picture.pixels * peak) / peak, np.float32)


def _compare(item: Item, before: Version, after: Version, clean: Image | None) -> Comparison:
    versions = [before, after]
    if clean is not None:
        versions = measure([*versions, Version("reference", clean)])
    return Comparison("standard input" if item.input == STREAM else item.relative, tuple(versions))
