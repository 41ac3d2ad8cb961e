"""Finds an image set: by name, downloaded if necessary, or by the path of a folder.

name -> DIR/name, the cache, or a download of sets.toml -> folder -> ImageSet
path --------------------------------------------------------^
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from restore_cli.datasets.fetch import fetch
from restore_cli.datasets.known import known_sets
from restore_cli.datasets.layout import ImageSet, read_folder
from restore_cli.errors import UsageError
from restore_cli.models.store import cache_dir


def open_set(
    name_or_path: str,
    data: Sequence[Path] = (),
    *,
    scale: int | None = None,
    pairs: str = "",
    degrade: bool = False,
    offline: bool = False,
) -> ImageSet:
    """Find a set and pair its images; the result has a warning if a known set is incomplete.

    Args:
        name_or_path: the path of a folder, or the name of a set in upper or lower case.
        data: folders that are searched for the named set first.
        scale: use the images that were downscaled by this factor, if there are any.
        pairs: "CLEAN:DAMAGED", subfolders of the set, if they do not have standard names; "CLEAN:"
            for clean images only.
        degrade: treat all images as clean, and ignore degraded ones.
        offline: do not download; HF_HUB_OFFLINE does the same.

    Raises:
        UsageError: the set or folder does not exist, is empty or has no clean images, or its pairs
            do not match.
        RestoreError: the set cannot be downloaded.
        PictureError: an image of a pair cannot be read.
    """
    if os.sep in name_or_path or "/" in name_or_path or os.path.lexists(name_or_path):
        folder = Path(name_or_path)
        if not folder.is_dir():
            raise UsageError(f"Cannot open {name_or_path}: it is not a folder. Check the path.")
        return read_folder(folder, folder.resolve().name, scale=scale, pairs=pairs, degrade=degrade)
    name = name_or_path.lower()
    found = find_folder(name, data) if name else None
    if not found:
        fetch(name, _cached_folder(name), offline)
    folder = found or _cached_folder(name)
    images = read_folder(folder, name, scale=scale, pairs=pairs, degrade=degrade)
    entry, count = known_sets().get(name), len(images.examples)
    if entry is None or count == entry.images:
        return images
    return replace(
        images, warning=f"{entry.title} has {entry.images} images, but {folder} holds {count}."
    )


def find_sets(task: str, data: Sequence[Path]) -> tuple[str, ...]:
    """The names of the sets in these folders that suit a task.

    A folder without such sets counts as a set itself. If several folders contain the same set, all
    but the first are given by path.
    """
    found: list[str] = []
    for folder in dict.fromkeys(data):
        below = {
            name: place
            for name, entry in known_sets().items()
            if task in entry.tasks and entry.clean and (place := _below(name, [folder]))
        }
        names = [str(place) if name in found else name for name, place in below.items()]
        found += names or [str(folder.absolute())]
    return tuple(found)


def find_folder(name: str, data: Sequence[Path] = ()) -> Path | None:
    """The folder of a set, in one of these folders or in the cache; None if there is none."""
    folder = _below(name, data) or _cached_folder(name)
    return folder if folder.is_dir() else None


def _below(name: str, data: Sequence[Path]) -> Path | None:
    for folder in data:
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder; pass one that contains image sets.")
        for child in sorted(folder.iterdir()):
            if child.name.lower() == name and child.is_dir():
                return child
    return None


def _cached_folder(name: str) -> Path:
    return cache_dir() / "sets" / name
