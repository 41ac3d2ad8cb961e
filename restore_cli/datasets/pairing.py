"""Pairs of clean and degraded images, by their names in two folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from restore_cli.datasets.known import known_sets
from restore_cli.errors import UsageError
from restore_cli.image import is_image_name, read_size


def find_pairs(
    folder: Path, pairs: str, *, recursive: bool = False
) -> list[tuple[Path, Path | None]]:
    """The clean and degraded images of a folder, sorted by the clean ones' paths.

    Args:
        folder: has both sides below it.
        pairs: "CLEAN:DAMAGED", the folders of both sides; "CLEAN:" for clean images alone, whose
            degraded side is None.
        recursive: as of `list_images`.

    Raises:
        UsageError: there is no such folder, or an image matches none or several.
    """
    clean, damaged = split_pairs(folder, pairs)
    if damaged is None:
        return [(path, None) for path in list_images(clean, recursive=recursive).values()]
    return list(match_images(clean, damaged, recursive=recursive).values())


def split_pairs(folder: Path, pairs: str) -> tuple[Path, Path | None]:
    """The folders that "CLEAN:DAMAGED" or "CLEAN:" names below a folder; raises UsageError."""
    clean, colon, damaged = pairs.partition(":")
    if not colon:
        raise UsageError(f"Pairs are CLEAN:DAMAGED, or CLEAN: for one folder, not {pairs!r}.")
    for side in filter(None, (clean, damaged)):
        if not (folder / side).is_dir():
            raise UsageError(f"{folder / side} is no folder; check the names of the pairs.")
    return folder / clean, folder / damaged if damaged else None


def list_images(folder: Path, *, recursive: bool = False) -> dict[str, Path]:
    """A folder's images, or else those of the folders in it, by their path below it without
    suffix.

    Args:
        recursive: list the images of all folders in it, even where it has images itself.

    Raises:
        UsageError: two have one name, or the folder holds several known sets.
    """
    paths = [] if recursive else sorted(filter(_is_image, folder.iterdir()))
    if not paths:
        inner = sorted(child.name for child in folder.iterdir() if child.is_dir())
        if not recursive and any(name.lower() in known_sets() for name in inner):
            raise UsageError(
                f"{folder} is no set but holds {', '.join(inner)}; name what to measure on."
            )
        paths = sorted(filter(_is_image, folder.rglob("*")))
    images: dict[str, Path] = {}
    for path in paths:
        other = images.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
        if other != path:
            raise UsageError(f"{other} and {path} have one name; remove one of them.")
    return images


def match_images(
    clean_folder: Path, damaged_folder: Path, *, recursive: bool = False
) -> dict[str, tuple[Path, Path]]:
    """The pairs of two folders, by the clean image's path below its folder without suffix.

    Raises:
        UsageError: an image matches none or several of the other folder.
    """
    clean = list_images(clean_folder, recursive=recursive)
    damaged: dict[str, Path] = {}
    for name, path in list_images(damaged_folder, recursive=recursive).items():
        match = next((key for key in _clean_names(name) if key in clean), None)
        if match is None:
            raise _unmatched(path, clean_folder)
        if match in damaged:
            raise UsageError(
                f"{damaged[match]} and {path} both match {clean[match]}; remove one of them."
            )
        damaged[match] = path
    for name, path in clean.items():
        if name not in damaged:
            raise _unmatched(path, damaged_folder)
    return {name: (path, damaged[name]) for name, path in clean.items()}


def _unmatched(path: Path, folder: Path) -> UsageError:
    return UsageError(f"{path} has no matching image in {folder}; add it, or remove the file.")


def _clean_names(damaged: str) -> Iterator[str]:
    """What the clean one may be called: the same, or baby for babyx2, or norain-001 for
    rain-001.
    """
    for name in (damaged, re.sub(r"x[1-9]$", "", damaged)):
        yield name
        yield re.sub(r"(^|/)rain-(?=[^/]*$)", r"\1norain-", name)


def check_sizes(clean: Path, damaged: Path, scale: int | None) -> None:
    """Raise UsageError unless the sizes of a pair are equal, or differ by the scale, but for what
    fills no whole pixel of the reduced image.
    """
    large, small = read_size(clean), read_size(damaged)
    if small == large or (scale and small == (large[0] // scale, large[1] // scale)):
        return
    sizes = " and ".join(
        f"{path} is {width} x {height}"
        for path, (height, width) in ((clean, large), (damaged, small))
    )
    wanted = (
        f"the second should be the first's, or that reduced by {scale}"
        if scale
        else "give the scale"
    )
    raise UsageError(f"The sizes of a pair differ: {sizes} pixels; {wanted}.")


def is_image_path(path: PurePath) -> bool:
    """Whether a path names an image that is not hidden."""
    return path.name[0] != "." and is_image_name(Path(path))


def has_images(folder: Path) -> bool:
    """Whether a folder itself holds images."""
    return any(map(_is_image, folder.iterdir()))


def _is_image(path: Path) -> bool:
    return is_image_path(path) and path.is_file()
