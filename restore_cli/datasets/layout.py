"""Reads a set from a folder, by what is in it.

*.png                       clean images; the task makes the damage
x2/hr, x2/lr, x3/hr, ...    and the same reduced by MATLAB's imresize
clean/, rainy/              real pairs, by these or the field's other names
*.png, rainy/               the same, as Rain100H and Rain100L come
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
    """A clean image, and the damaged one that matches where the pair is real.

    `name` is the clean one's path below the set's folder, without suffix.
    """

    name: str
    clean: Path
    damaged: Path | None = None


@dataclass(frozen=True)
class ImageSet:
    """Examples of a folder, sorted by name; `warning` is what to tell the user."""

    name: str
    folder: Path
    examples: tuple[Example, ...]
    warning: str = ""


def read_folder(
    folder: Path, name: str, *, scale: int | None = None, pairs: str = "", degrade: bool = False
) -> ImageSet:
    """The examples of a folder that exists; see `open_set`."""
    if pairs:
        clean_folder, damaged_folder = split_pairs(folder, pairs)
    else:
        clean_folder, damaged_folder, scale = _find_sides(folder, scale)
    if degrade:
        damaged_folder = None
    elif damaged_folder is None and not pairs and _is_damaged(clean_folder, name):
        raise UsageError(
            f"Cannot measure on {clean_folder}: its images have no clean side. Name the clean ones"
            " with --pairs, or take these as clean and say what to add with --degrade KEY=VALUE."
        )
    clean = list_images(clean_folder)
    if not clean:
        raise UsageError(f"No image in {clean_folder}; give a folder of images.")
    if damaged_folder is None:
        examples = [Example(key, path) for key, path in clean.items()]
    else:
        found = match_images(clean_folder, damaged_folder)
        examples = [Example(key, *pair) for key, pair in found.items()]
        for pair in found.values():
            check_sizes(*pair, scale)
    return ImageSet(name, folder, tuple(sorted(examples, key=lambda example: example.name)))


def _is_damaged(folder: Path, name: str) -> bool:
    """Whether the images of a set are known to have no clean side."""
    entry = known_sets().get(name.lower())
    return folder.resolve().name.lower() in _DAMAGED or (entry is not None and not entry.clean)


def _find_sides(folder: Path, scale: int | None) -> tuple[Path, Path | None, int | None]:
    """The folder of clean images, that of damaged ones if there are any, and the scale between
    them.
    """
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
        raise UsageError(f"{folder} has no x{scale}; it has {there}.")
    if scales:
        return _find_sides(scales[min(scales)], None)[0], None, None
    return clean or (damaged if len(inner) == 1 else None) or folder, None, scale


def _first(folders: Mapping[str, Path], names: Sequence[str]) -> Path | None:
    return next((folders[name] for name in names if name in folders), None)
