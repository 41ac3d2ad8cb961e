"""Reads the mask for a photo, and saves the mask that was used."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from restore_cli import storage
from restore_cli.errors import PictureError, RestoreError
from restore_cli.image import (
    PAGES_HINT,
    Picture,
    Pixels,
    read_file,
    read_picture,
    to_gray,
    write_picture,
)


def read_mask(
    path: Path, picture: Picture, max_pixels: int | None
) -> tuple[Pixels, str, tuple[str, ...]]:
    """Read a mask, H x W x 1 in [0, 1] at the photo's size.

    Transparent pixels count as black. Also returns the sha256 of its file, and warnings.

    Args:
        path: image file of the mask, or a pipe.
        picture: the photo that the mask is for.
        max_pixels: see `read_picture`.

    Raises:
        RestoreError: the mask cannot be read, or its size differs from the photo's.
    """
    try:
        data = read_file(path, max_pixels)
        drawn = read_picture(data, str(path), max_pixels=max_pixels)
    except PictureError as error:
        raise RestoreError(f"mask: {error}") from error
    pixels = to_gray(drawn.pixels)
    if pixels.shape[:2] != picture.pixels.shape[:2]:
        sizes = [f"{image.shape[1]} x {image.shape[0]}" for image in (pixels, picture.pixels)]
        turned = pixels.shape[1::-1] == picture.pixels.shape[:2]
        hint = "Rotate the mask; the photo is upright." if turned else "Resize the mask."
        raise RestoreError(
            f"Cannot use the mask {path}: it has {sizes[0]} pixels, but the photo has {sizes[1]}."
            f" {hint}"
        )
    if drawn.alpha is not None:
        pixels *= drawn.alpha[..., None] / np.float32(np.iinfo(drawn.alpha.dtype).max)
    warnings = tuple(f"mask: {note.replace(PAGES_HINT, '')}" for note in drawn.notes)
    return pixels, hashlib.sha256(data).hexdigest(), warnings


def save_mask(mask: Pixels, path: str) -> None:
    """Write a mask, H x W in [0, 1], and create its folder if needed; raises PictureError.

    Args:
        mask: the mask.
        path: path or URL of the file.
    """
    try:
        if not storage.is_url(path):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(
            f"Cannot write the mask {path}: its folder cannot be created ({error.strerror})."
            " Give another --save-mask."
        ) from error
    write_picture(Picture(mask[..., None]), path)
