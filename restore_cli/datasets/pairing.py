"""Pairs clean and degraded images by their names in two folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath

from restore_cli.datasets.known import known_sets
from restore_cli.errors import UsageError
from restore_cli.image import find_images, is_image_name, read_picture, read_size


def find_pairs(
    folder: Path, pairs: str, *, recursive: bool = False
) -> list[tuple[Path, Path | None]]:
    """The clean and degraded images of a folder, sorted by the clean ones' paths.

    Args:
        folder: the folder that contains the folders of both sides.
        pairs: "CLEAN:DAMAGED", the folders of both sides; "CLEAN:" for clean images only, whose
            degraded side is then None.
        recursive: see `list_images`.

    Raises:
        UsageError: a folder does not exist, or an image matches no other image or several.
    """
    clean, damaged = split_pairs(folder, pairs)
    if damaged is None:
        return [(path, None) for path in list_images(clean, recursive=recursive).values()]
    return list(match_images(clean, damaged, recursive=recursive).values())


def split_pairs(folder: Path, pairs: str) -> tuple[Path, Path | None]:
    """The subfolders that "CLEAN:DAMAGED" or "CLEAN:" names; raises UsageError."""
    clean, colon, damaged = pairs.partition(":")
    if not colon:
        raise UsageError(
            f"{pairs!r} is not a valid pair of folders; expected CLEAN:DAMAGED, or CLEAN: for one."
        )
    for side in filter(None, (clean, damaged)):
        if not (folder / side).is_dir():
            raise UsageError(f"{folder / side} is not a folder; check the names of the pair.")
    return folder / clean, folder / damaged if damaged else None


def list_images(folder: Path, *, recursive: bool = False) -> dict[str, Path]:
    """The images of a folder by their path inside it without suffix.

    If the folder itself does not contain images, those of its subfolders are listed.

    Args:
        folder: the folder.
        recursive: always list the images of all subfolders, too.

    Raises:
        UsageError: two images have the same name, or the folder contains several known sets.
    """
    paths = [] if recursive else sorted(filter(_is_image, folder.iterdir()))
    if not paths:
        inner = sorted(child.name for child in folder.iterdir() if child.is_dir())
        if not recursive and any(name.lower() in known_sets() for name in inner):
            raise UsageError(
                f"{folder} contains several sets: {', '.join(inner)}. Name one of them."
            )
        paths = find_images(folder)
    images: dict[str, Path] = {}
    for path in paths:
        other = images.setdefault(path.relative_to(folder).with_suffix("").as_posix(), path)
        if other != path:
            raise UsageError(f"{other} and {path} have the same name; remove one of them.")
    return images


def match_images(
    clean_folder: Path, damaged_folder: Path, *, recursive: bool = False
) -> dict[str, tuple[Path, Path]]:
    """The pairs of two folders, by the path of the clean image inside its folder without suffix.

    Raises:
        UsageError: an image matches no image of the other folder, or several.
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
    """Possible names of the clean image: the same, baby for babyx2, or norain-001 for rain-001."""
    for name in (damaged, re.sub(r"x[1-9]$", "", damaged)):
        yield name
        yield re.sub(r"(^|/)rain-(?=[^/]*$)", r"\1norain-", name)


def check_sizes(clean: Path, damaged: Path, scale: int | None) -> None:
    """Raise UsageError unless the images of a pair have equal sizes, or differ by the scale.

    The size of the smaller image is rounded down.
    """
    large, small = read_size(clean), read_size(damaged)
    if fits(large, small, scale):
        return
    pictures = read_picture(clean), read_picture(damaged)  # upright, unlike the sizes
    large, small = ((picture.height, picture.width) for picture in pictures)
    if fits(large, small, scale):
        return
    sizes = " and ".join(
        f"{path} is {width} x {height}"
        for path, (height, width) in ((clean, large), (damaged, small))
    )
    wanted = f"equal sizes, or the second {scale} times smaller" if scale else "equal sizes"
    raise UsageError(f"The sizes of a pair do not match: {sizes} pixels; expected {wanted}.")


def fits(large: tuple[int, int], small: tuple[int, int], scale: int | None) -> bool:
    """Whether the sizes of a pair are equal, or differ by the scale, rounded down."""
    return small == large or bool(scale and small == (large[0] // scale, large[1] // scale))


def is_image_path(path: PurePath) -> bool:
    """Whether a path names an image that is not hidden."""
    return path.name[0] != "." and is_image_name(Path(path))


def has_images(folder: Path) -> bool:
    """Whether a folder itself contains images."""
    return any(map(_is_image, folder.iterdir()))


def _is_image(path: Path) -> bool:
    return is_image_path(path) and path.is_file()
