"""Versions of one picture, made alike and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from restore_cli.errors import PictureError
from restore_cli.image import Pixels, read_picture, resize, to_rgb
from restore_cli.metrics import SSIM_WINDOW, psnr, ssim
from restore_cli.report.html import Version


def read_versions(paths: Sequence[Path]) -> list[Version]:
    """The pictures, called by their paths where names are not enough; raises PictureError."""
    named = [path.name for path in paths]
    names = named if len(set(named)) == len(named) else [str(path) for path in paths]
    return [Version(name, read_picture(path).pixels) for name, path in zip(names, paths, strict=True)]


def make_alike(versions: Sequence[Version]) -> list[Version]:
    """Two versions or more in one size and as many channels: the first enlarged, gray made RGB.

    Raises:
        PictureError: their sizes differ.
    """
    first, *others = versions
    height, width = others[0].pixels.shape[:2]
    factor = height // len(first.pixels)
    if factor > 1 and (height, width) == tuple(factor * side for side in first.pixels.shape[:2]):
        enlarged = resize(first.pixels, height, width).clip(0, 1)
        first = replace(first, pixels=enlarged, note=f"enlarged {factor} times")
    versions = [first, *others]
    if len({version.pixels.shape[:2] for version in versions}) > 1:
        sizes = ", ".join(f"{version.name} is {_size(version.pixels)}" for version in versions)
        raise PictureError(f"The sizes differ: {sizes}; compare pictures of one size.")
    if len({version.pixels.shape[2] for version in versions}) > 1:
        versions = [
            replace(version, pixels=to_rgb(version.pixels)) if version.pixels.shape[2] == 1 else version
            for version in versions
        ]
    return versions


def measure(versions: Sequence[Version]) -> list[Version]:
    """The versions, of one shape, with PSNR and SSIM against the last one in the others' notes."""
    *others, reference = versions
    return [*(_measure(version, reference.pixels) for version in others), reference]


def _measure(version: Version, reference: Pixels) -> Version:
    pixels = np.nan_to_num(version.pixels)  # black, as it is shown
    if np.array_equal(pixels, reference):
        return replace(version, note="equal to the reference")
    notes = [version.note] if version.note else []
    notes.append(f"{psnr(pixels, reference):.2f} dB")
    if min(reference.shape[:2]) >= SSIM_WINDOW:
        notes.append(f"SSIM {ssim(pixels, reference):.4f}")
    return replace(version, note=", ".join(notes))


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
