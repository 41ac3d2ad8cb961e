"""The images of a training: read once, and split into training and held-out images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from restore_cli.datasets.pairing import find_pairs, fits
from restore_cli.degradations import find_degradation
from restore_cli.errors import PictureError, UsageError
from restore_cli.image import find_images, read_picture, resize, to_gray, to_rgb
from restore_cli.training.recipe import Recipe
from restore_cli.training.samples import Bytes, Sample, to_float
from restore_cli.training.store import keep


@dataclass(frozen=True)
class TrainingData:
    """Training images, the centers of held-out images, and one error per unreadable file."""

    training: list[Sample]
    holdout: list[Sample]
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """A file, or the clean and the degraded file of a pair; optionally reduced to half size."""

    paths: tuple[Path, ...]
    half_size: bool = False


def load_data(
    data: Path, recipe: Recipe, channels: int, validation: Path | None = None
) -> TrainingData:
    """Read the images of a recipe, and hold out every n-th of the sorted names.

    A held-out image is not in the training data in any size, nor is an image below the folder of
    validation images. Images that are too small to be scored
    are not held out.

    Args:
        data: the folder that contains the recipe's folders.
        channels: 1 or 3; images are converted.
        validation: a folder of images to use instead of held-out ones; for a recipe with pairs, one
            that contains the folders of its pairs.

    Raises:
        UsageError: a folder is missing, the images of a pair do not fit, or there is no image for
            training or validation.
        RestoreError: the images fit neither into memory nor on the disk.
    """
    for option, folder in (("--data", data), ("--val", validation)):
        if folder and not folder.is_dir():
            raise UsageError(f"Cannot find images: {folder} is not a folder. Check {option}.")
    unreadable: dict[_Source, str] = {}
    excluded = _read_excluded(data / recipe.exclude) if recipe.exclude else frozenset()
    sources = [
        source
        for source in _find_sources(data, recipe)
        if source.paths[0].relative_to(data).as_posix() not in excluded
        and not (validation and source.paths[0].resolve().is_relative_to(validation.resolve()))
    ]
    samples = keep(_read_samples(sources, channels, unreadable))
    paired = [sample for sample in samples if sample.damaged is not None]
    if len({sample.scale for sample in paired}) > 1:
        raise UsageError(
            "Cannot train on pairs of different scales. Use pairs of one scale, or several"
            " trainings."
        )
    for sample in paired[:1]:
        _check_scale(sample, recipe)
    if validation:
        apart = list(_find_pairs(validation, recipe))
        apart = apart or [_Source((path,)) for path in images_in(validation)]
        read = list(_read_samples(apart, channels, unreadable))
        for sample in read:
            if sample.damaged is not None:
                _check_scale(sample, recipe)
        held, training = [sample for sample in read if _can_be_scored(sample, recipe)], samples
    else:
        paths = [source.paths[0] for source in sources if source not in unreadable]
        held, training = _hold_out(paths, samples, recipe)
    if not samples:
        where = f"it has no readable images outside of {validation}"
        raise UsageError(
            f"Cannot train on {data}: {where if validation else 'it has no readable images'}."
            " Give a folder of images."
        )
    if not held:
        raise UsageError(
            f"Cannot score with {validation or data}: it has no readable images that are large"
            " enough. Give larger images."
        )
    if not training:
        raise UsageError(
            f"Cannot train on {data}: its only image is held out. Add images, or give --val."
        )
    grid = find_degradation(recipe.task).grid
    crops = [sample.center_crop(grid) for sample in held]
    return TrainingData(training, crops, tuple(unreadable.values()))


def _check_scale(sample: Sample, recipe: Recipe) -> None:
    """Raise UsageError if real pairs have another scale than the recipe."""
    drawn = find_degradation(recipe.task).draw(recipe.validation[0], np.random.RandomState(0))
    expected = getattr(drawn, "scale", 1)
    if sample.scale == expected:
        return
    hint = "Use images of equal sizes."
    if hasattr(drawn, "scale"):
        hint = f"Use --level scale={sample.scale}, and a network for it."
    raise UsageError(
        f"Cannot train on {', '.join(recipe.pairs)}: the clean images are {sample.scale} times as"
        f" large as the degraded ones, not {expected} times. {hint}"
    )


def _hold_out(
    paths: Sequence[Path], samples: Sequence[Sample], recipe: Recipe
) -> tuple[list[Sample], list[Sample]]:
    """Split images into held-out ones, each in its first size, and the others for training."""
    first: dict[Path, Sample] = {}
    for path, sample in zip(paths, samples, strict=True):
        if _can_be_scored(sample, recipe):
            first.setdefault(path, sample)
    held = dict(list(first.items())[:: recipe.holdout])
    training = [sample for path, sample in zip(paths, samples, strict=True) if path not in held]
    return list(held.values()), training


def _can_be_scored(sample: Sample, recipe: Recipe) -> bool:
    kind, clean = find_degradation(recipe.task), to_float(sample.center_crop().clean)
    damages = [kind.draw(level, np.random.RandomState(0)) for level in recipe.validation]
    return all(one.crop_border(one.crop_to_scale(clean)).size for one in damages)


def _read_excluded(path: Path) -> frozenset[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()  # Windows puts a mark first
        return frozenset(PurePosixPath(line.strip()).as_posix() for line in lines)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise UsageError(f"Cannot read {path}: {reason}. Check the key exclude.") from error


def _find_sources(data: Path, recipe: Recipe) -> Iterator[_Source]:
    yield from _find_pairs(data, recipe)
    for folder in recipe.folders or (() if recipe.pairs or recipe.halved else (".",)):
        for path in images_in(data / folder):
            yield _Source((path,))
    for folder in recipe.halved:
        for path in images_in(data / folder):
            yield _Source((path,), half_size=True)


def _find_pairs(data: Path, recipe: Recipe) -> Iterator[_Source]:
    for folders in recipe.pairs:
        for clean, damaged in find_pairs(data, folders, recursive=True):
            assert damaged  # a recipe names both folders
            yield _Source((clean, damaged))


def images_in(folder: Path) -> list[Path]:
    """Return the images in a folder and its subfolders; raises UsageError if it is missing."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; check --data and the folders of the recipe.")
    return find_images(folder)


def _read_samples(
    sources: Iterable[_Source], channels: int, unreadable: dict[_Source, str]
) -> Iterator[Sample]:
    """Yield the images of readable files, and add an error to `unreadable` for each other one."""
    for source in sources:
        try:
            images = [_read_image(path, channels, source.half_size) for path in source.paths]
        except PictureError as error:
            unreadable[source] = str(error)
            continue
        large, small = ((image.shape[0], image.shape[1]) for image in (images[0], images[-1]))
        scale = max(1, large[0] // small[0])
        if not fits(large, small, scale):
            raise UsageError(
                f"Cannot pair {source.paths[0]} and {source.paths[-1]}: their sizes do not match,"
                f" {large[1]} x {large[0]} and {small[1]} x {small[0]} pixels. Remove the pair."
            )
        images[0] = images[0][: scale * small[0], : scale * small[1]]
        yield Sample(*images)


def _read_image(path: Path, channels: int, half_size: bool) -> Bytes:
    pixels = read_picture(path).opaque_pixels()
    if half_size:
        pixels = resize(pixels, *(max(1, size // 2) for size in pixels.shape[:2])).clip(0, 1)
    pixels = to_gray(pixels) if channels == 1 else to_rgb(pixels)
    return (pixels * 255).round().astype(np.uint8)
