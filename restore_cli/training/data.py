"""The images of a training: read once, and parted into those to train on and those held out."""

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
    """Images to train on, the centers of those held out, and why others cannot be read."""

    training: list[Sample]
    holdout: list[Sample]
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class _Source:
    """A file, or the clean and the damaged one of a real pair; taken at half their size or not."""

    paths: tuple[Path, ...]
    half_size: bool = False


def load_data(
    data: Path, recipe: Recipe, channels: int, validation: Path | None = None
) -> TrainingData:
    """Read the images of a recipe; every n-th of the sorted names is held out, or those of another
    folder.

    Raises:
        UsageError: a folder is missing, pairs do not fit, or there is no image to train or score
            with.
        RestoreError: what finds no room in memory finds none on the disk either.
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
            raise UsageError(f"No image can be read below {place}; give a folder of images.")
    return TrainingData(training, held, tuple(unreadable))


def _read_excluded(path: Path) -> frozenset[str]:
    try:
        return frozenset(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"Cannot read {path}: {reason}. Check exclude.") from error


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
    """The images of two folders that have the same path but for their suffix, clean and damaged."""
    others = {path.relative_to(damaged).with_suffix(""): path for path in _find_images(damaged)}
    for path in _find_images(clean):
        other = others.get(path.relative_to(clean).with_suffix(""))
        if other is None:
            raise UsageError(f"{path} has no image of the same name in {damaged}.")
        yield path, other


def _find_images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is no folder; check its path, and give --data the folder above it."
        )
    return sorted(path for path in folder.rglob("*") if is_image_name(path))


def _read_samples(
    sources: Iterable[_Source], channels: int, unreadable: list[str]
) -> Iterator[Sample]:
    """The images of readable files; adds to `unreadable` why others are not."""
    for source in sources:
        try:
            images = [_read_image(path, channels, source.half_size) for path in source.paths]
        except PictureError as error:
            unreadable.append(str(error))
            continue
        sizes = [image.shape[:2] for image in images]
        if any(a % b for a, b in zip(sizes[0], sizes[-1], strict=True)):
            raise UsageError(
                f"{source.paths[0]} and {source.paths[-1]} do not fit: {sizes[0]} and {sizes[-1]}"
                " pixels."
            )
        yield Sample(*images)


def _read_image(path: Path, channels: int, half_size: bool) -> Bytes:
    pixels = read_picture(path).pixels
    if half_size:
        pixels = resize(pixels, *(max(1, size // 2) for size in pixels.shape[:2])).clip(0, 1)
    if pixels.shape[2] != channels:
        pixels = to_gray(pixels) if channels == 1 else to_rgb(pixels)
    return (pixels * 255).round().astype(np.uint8)
