"""Reads a set from a folder, in one of these layouts.

*.png                       clean images, to be degraded
x2/hr, x2/lr, x3/hr, ...    clean images, and the same downscaled by MATLAB's imresize
clean/, rainy/              real pairs, in folders of these or other common names
*.png, rainy/               real pairs, in the layout of Rain100H and Rain100L
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore_cli.datasets.known import known_sets
from restore_cli.datasets.pairing import (
    check_sizes,
    has_images,
    list_images,
    match_images,
    split_pairs,
)
from restore_cli.errors import UsageError

_CLEAN = ("clean", "gt", "target", "groundtruth", "norain", "hr")
_DAMAGED = ("rainy", "input", "noisy", "damaged", "blurry", "hazy", "rain", "lr")


@dataclass(frozen=True)
class Example:
    """A clean image, and the degraded image that belongs to it if the pair is real.

    `name` is the path of the clean image inside the folder of the set, without suffix.
    """

    name: str
    clean: Path
    damaged: Path | None = None


@dataclass(frozen=True)
class ImageSet:
    """The examples of a folder, sorted by name; `warning` is a sentence for the user, or ""."""

    name: str
    folder: Path
    examples: tuple[Example, ...]
    warning: str = ""


def read_folder(
    folder: Path, name: str, *, scale: int | None = None, pairs: str = "", degrade: bool = False
) -> ImageSet:
    """Read the examples of an existing folder; see `open_set`."""
    if pairs:
        clean_folder, damaged_folder = split_pairs(folder, pairs)
    else:
        clean_folder, damaged_folder, scale = _find_sides(folder, scale)
    if degrade:
        damaged_folder = None
    elif damaged_folder is None and not pairs and _is_damaged(clean_folder, name):
        raise UsageError(
            f"Cannot benchmark on {clean_folder}: it has no ground-truth images. Use --pairs to"
            " name their folder, or --degrade KEY=VALUE to treat these images as clean."
        )
    clean = list_images(clean_folder)
    if not clean:
        raise UsageError(f"No images found in {clean_folder}; pass a folder of images.")
    if damaged_folder is None:
        examples = [Example(key, path) for key, path in clean.items()]
    else:
        found = match_images(clean_folder, damaged_folder)
        examples = [Example(key, *pair) for key, pair in found.items()]
        for pair in found.values():
            check_sizes(*pair, scale)
    return ImageSet(name, folder, tuple(sorted(examples, key=lambda example: example.name)))


def _is_damaged(folder: Path, name: str) -> bool:
    """Whether the images of a set are known to be degraded, without ground truth."""
    entry = known_sets().get(name.lower())
    return folder.resolve().name.lower() in _DAMAGED or (entry is not None and not entry.clean)


def _find_sides(folder: Path, scale: int | None) -> tuple[Path, Path | None, int | None]:
    """The folder of clean images, that of degraded ones if any, and the scale between them."""
    inner = {child.name.lower(): child for child in sorted(folder.iterdir()) if child.is_dir()}
    scales = {int(key[1:]): child for key, child in inner.items() if re.fullmatch(r"x[1-9]", key)}
    if scale in scales:
        return _find_sides(scales[scale], scale)
    if scale is None and re.fullmatch(r"x[1-9]", folder.name.lower()):
        scale = int(folder.name[1:])
    clean = _first(inner, _CLEAN)
    damaged = _first(inner, _DAMAGED)
    if clean and damaged:
        return clean, damaged, scale
    if has_images(folder):
        return folder, damaged, scale
    if scales and scale:
        there = ", ".join(f"x{factor}" for factor in sorted(scales))
        raise UsageError(f"{folder} does not contain x{scale}; available: {there}.")
    if scales:
        return _find_sides(scales[min(scales)], None)[0], None, None
    return clean or (damaged if len(inner) == 1 else None) or folder, None, scale


def _first(folders: Mapping[str, Path], names: Sequence[str]) -> Path | None:
    return next((folders[name] for name in names if name in folders), None)
