"""Finds a set of images: by a known name, downloaded on request, or any folder.

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
from restore_cli.download import Progress
from restore_cli.errors import UsageError
from restore_cli.models.store import cache_dir


def open_set(
    word: str,
    data: Sequence[Path] = (),
    *,
    scale: int | None = None,
    pairs: str = "",
    degrade: bool = False,
    offline: bool = False,
    progress: Progress | None = None,
) -> ImageSet:
    """Find a set, and pair its images; warns if a set known by name does not have all of its
    images.

    Args:
        word: the path of a folder, or a name in any case.
        data: folders below which a folder of that name is looked for first.
        scale: takes the images reduced by so much, where there are any.
        pairs: "CLEAN:DAMAGED", folders below the set's, where their names do not tell; "CLEAN:" for
            one.
        degrade: take the images as clean, whatever is known of them, and no damaged ones.
        offline: do not download; HF_HUB_OFFLINE does the same.
        progress: called while downloading.

    Raises:
        UsageError: there is no such set or folder, it is empty or has no clean images, or its pairs
            do not fit.
        RestoreError: the set cannot be downloaded.
        PictureError: an image of a pair cannot be read.
    """
    if os.sep in word or "/" in word or os.path.lexists(word):
        folder = Path(word)
        if not folder.is_dir():
            raise UsageError(f"{word} is no folder; check the path.")
        return read_folder(folder, folder.resolve().name, scale=scale, pairs=pairs, degrade=degrade)
    name = word.lower()
    found = find_folder(name, data) if name else None
    if not found:
        fetch(name, _cached_folder(name), offline, progress)
    folder = found or _cached_folder(name)
    images = read_folder(folder, name, scale=scale, pairs=pairs, degrade=degrade)
    entry, count = known_sets().get(name), len(images.examples)
    if entry is None or count == entry.images:
        return images
    return replace(
        images, warning=f"{entry.title} has {entry.images} images, but {folder} holds {count}."
    )


def find_sets(task: str, data: Sequence[Path]) -> tuple[str, ...]:
    """The sets of a task that lie below folders, by their names; a folder that has none is one
    itself.

    A set that an earlier folder has, too, goes by its path.
    """
    found: list[str] = []
    for folder in dict.fromkeys(data):
        below = {
            name: place
            for name, entry in known_sets().items()
            if task in entry.tasks and entry.clean and (place := _below(name, [folder]))
        }
        words = [str(place) if name in found else name for name, place in below.items()]
        found += words or [str(folder.absolute())]
    return tuple(found)


def find_folder(name: str, data: Sequence[Path] = ()) -> Path | None:
    """Where a set lies, below one of some folders or in the cache; None where it must be
    fetched.
    """
    folder = _below(name, data) or _cached_folder(name)
    return folder if folder.is_dir() else None


def _below(name: str, data: Sequence[Path]) -> Path | None:
    for folder in data:
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder; give one that has folders of images.")
        for child in sorted(folder.iterdir()):
            if child.name.lower() == name and child.is_dir():
                return child
    return None


def _cached_folder(name: str) -> Path:
    return cache_dir() / "sets" / name
