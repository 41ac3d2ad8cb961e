"""Versions of one photo: finding them, matching their shapes and measuring them."""

from __future__ import annotations

import glob
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from restore_cli.errors import PictureError, UsageError
from restore_cli.image import Pixels, find_images, is_image_name, read_picture, resize, to_rgb
from restore_cli.metrics import SSIM_WINDOW, psnr, ssim
from restore_cli.report.comparison import Version


def pair(paths: Sequence[Path]) -> dict[str, list[Path | None]]:
    """Group the files to compare by title; of folders, group photos with matching names.

    Names are those of the photos in the first folder and its subfolders, without hidden ones. In
    the other folders the extension may differ, and a suffix may precede it: photo.denoised.png
    matches photo.jpg. The most similar name counts; if there is none, or several, the entry of the
    folder is None.

    Raises:
        UsageError: files and folders are mixed, or the folders have no matching photos.
    """
    folders = [path.is_dir() for path in paths]
    if not any(folders):
        return {paths[0].name: list(paths)}
    if not all(folders):
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise UsageError(f"Cannot compare {missing[0]}: it does not exist. Check the path.")
        raise UsageError("Cannot compare folders with files. Give only folders or only files.")
    first, *others = paths
    names = [
        path.relative_to(first)
        for path in find_images(first)
        if not any(map(path.is_relative_to, others))
    ]
    stems = {name.with_suffix("") for name in names}
    pairs = {
        str(name): [first / name, *(_find(other, name, stems) for other in others)]
        for name in names
    }
    if not any(map(all, pairs.values())):
        listed = " and ".join(map(str, others))
        raise UsageError(f"Cannot compare {first}: no photo in it has one match in {listed}.")
    return pairs


def _find(folder: Path, name: Path, stems: Collection[Path]) -> Path | None:
    """Find the photo that matches a name; `stems` are all names without their extensions."""
    parent = (folder / name).parent

    def belongs_to_another(path: Path) -> bool:
        ends = [at for at, sign in enumerate(f"{path.stem}.") if sign == "."]
        longer = [path.stem[:end] for end in ends if end > len(name.stem)]
        return any(name.with_name(stem) in stems for stem in longer)

    alike = [
        path
        for path in parent.glob(f"{glob.escape(name.stem)}.*")
        if is_image_name(path) and not belongs_to_another(path)
    ]

    def differences(path: Path) -> tuple[bool, bool, bool, int]:
        """How a name differs: at all, in its stem, in its extension, and by the length of it."""
        suffixed = path.stem != name.stem
        return path.name != name.name, suffixed, path.suffix != name.suffix, path.stem.count(".")

    ranked = sorted(alike, key=differences)
    best = [path for path in ranked if differences(path) == differences(ranked[0])]
    return best[0] if len(best) == 1 else None


def read_versions(paths: Sequence[Path]) -> list[Version]:
    """Read photos, titled by name, or by path if names repeat; raises PictureError."""
    named = [path.name for path in paths]
    names = named if len(set(named)) == len(named) else [str(path) for path in paths]
    pictures = map(read_picture, paths)
    return [
        Version(name, picture.pixels, icc=picture.metadata.icc)
        for name, picture in zip(names, pictures, strict=True)
    ]


def make_alike(versions: Sequence[Version]) -> list[Version]:
    """Give two or more versions one shape: upscale the first, and convert gray to RGB.

    Raises:
        PictureError: the sizes differ by more than an integer factor of the first.
    """
    first, *others = versions
    height, width = others[0].pixels.shape[:2]
    factor = height // len(first.pixels)
    if factor > 1 and (height, width) == tuple(factor * side for side in first.pixels.shape[:2]):
        enlarged = resize(first.pixels, height, width).clip(0, 1)
        first = replace(first, pixels=enlarged, note=f"upscaled {factor} times")
    versions = [first, *others]
    if len({version.pixels.shape[:2] for version in versions}) > 1:
        sizes = ", ".join(f"{version.name} is {_size(version.pixels)}" for version in versions)
        raise PictureError(f"Cannot compare images of different sizes: {sizes}.")
    if len({version.pixels.shape[2] for version in versions}) > 1:
        versions = [replace(version, pixels=to_rgb(version.pixels)) for version in versions]
    return versions


def measure(versions: Sequence[Version]) -> list[Version]:
    """Note PSNR and SSIM against the last version on all others; all have one shape."""
    *others, reference = versions
    return [*(_measure(version, reference.pixels) for version in others), reference]


def _measure(version: Version, reference: Pixels) -> Version:
    pixels = np.nan_to_num(version.pixels)  # missing pixels are shown black
    if np.array_equal(pixels, reference):
        return replace(version, note="equal to the reference")
    notes = [version.note] if version.note else []
    notes.append(f"{psnr(pixels, reference):.2f} dB")
    if min(reference.shape[:2]) >= SSIM_WINDOW:
        notes.append(f"SSIM {ssim(pixels, reference):.4f}")
    return replace(version, note=", ".join(notes))


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
