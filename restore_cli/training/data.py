"""The images of a training: read once, and split into training and held-out images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restore_cli.errors import PictureError, UsageError
from restore_cli.image import is_image_name, read_picture, resize, to_gray, to_rgb
from restore_cli.training.recipe import Recipe
from restore_cli.training.samples import Bytes, Sample
from restore_cli.training.store import ImageStore


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

    Args:
        data: the folder that contains the recipe's folders.
        channels: 1 or 3; images are converted.
        validation: a folder of images to use instead of held-out ones.

    Raises:
        UsageError: a folder is missing, the images of a pair do not fit, or there is no image for
            training or validation.
        RestoreError: the images fit neither into memory nor on the disk.
    """
    unreadable: list[str] = []
    excluded = _read_excluded(data / recipe.exclude) if recipe.exclude else frozenset()
    sources = [
        source
        for source in _find_sources(data, recipe)
        if source.paths[0].relative_to(data).as_posix() not in excluded
    ]
    samples = ImageStore().keep(_read_samples(sources, channels, unreadable))
    if validation:
        apart = [_Source((path,)) for path in _find_images(validation)]
        held = [sample.center_crop() for sample in _read_samples(apart, channels, unreadable)]
        training = samples
    else:
        held = [sample.center_crop() for sample in samples[:: recipe.holdout]]
        training = [sample for i, sample in enumerate(samples) if i % recipe.holdout]
    for images, place in ((training, data), (held, validation or data)):
        if not images:
            raise UsageError(f"No readable images found in {place}; give a folder of images.")
    return TrainingData(training, held, tuple(unreadable))


def _read_excluded(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a text file"
        raise UsageError(f"Cannot read {path}: {reason}. Check the key exclude.") from error


def _find_sources(data: Path, recipe: Recipe) -> Iterator[_Source]:
    for folders in recipe.pairs:
        clean, _, damaged = folders.partition(":")
        yield from map(_Source, _match_pairs(data / clean, data / damaged))
    for folder in recipe.folders or (() if recipe.pairs or recipe.halved else (".",)):
        for path in _find_images(data / folder):
            yield _Source((path,))
    for folder in recipe.halved:
        for path in _find_images(data / folder):
            yield _Source((path,), half_size=True)


def _match_pairs(clean: Path, damaged: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the clean and degraded images that have the same path apart from the suffix."""
    others = {path.relative_to(damaged).with_suffix(""): path for path in _find_images(damaged)}
    for path in _find_images(clean):
        other = others.get(path.relative_to(clean).with_suffix(""))
        if other is None:
            raise UsageError(f"{path} has no matching file in {damaged}.")
        yield path, other


def _find_images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; give --data the folder that contains it.")
    return sorted(path for path in folder.rglob("*") if is_image_name(path))


def _read_samples(
    sources: Iterable[_Source], channels: int, unreadable: list[str]
) -> Iterator[Sample]:
    """Yield the images of readable files, and add an error to `unreadable` for each other one."""
    for source in sources:
        try:
            images = [_read_image(path, channels, source.half_size) for path in source.paths]
        except PictureError as error:
            unreadable.append(str(error))
            continue
        sizes = [image.shape[:2] for image in images]
        if any(a % b for a, b in zip(sizes[0], sizes[-1], strict=True)):
            raise UsageError(
                f"Cannot pair {source.paths[0]} and {source.paths[-1]}: their sizes do not match,"
                f" {sizes[0]} and {sizes[-1]} pixels."
            )
        yield Sample(*images)


def _read_image(path: Path, channels: int, half_size: bool) -> Bytes:
    pixels = read_picture(path).pixels
    if half_size:
        pixels = resize(pixels, *(max(1, size // 2) for size in pixels.shape[:2])).clip(0, 1)
    if pixels.shape[2] != channels:
        pixels = to_gray(pixels) if channels == 1 else to_rgb(pixels)
    return (pixels * 255).round().astype(np.uint8)
