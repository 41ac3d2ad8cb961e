"""Masks as pictures: read for a photo, and saved as they were used."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from restore_cli.errors import PictureError, RestoreError
from restore_cli.image import Picture, Pixels, read_picture, write_picture
from restore_cli.pipeline.measure import in_gray
from restore_cli.tasks import Task


def read_mask(path: Path, picture: Picture, task: Task, max_pixels: int | None) -> Pixels:
    """H x W in [0, 1], of a picture's brightness, black where it is transparent; at the result's
    size.

    Args:
        picture: whose mask it is.
        task: that makes the result.
        max_pixels: as of `read_picture`.

    Raises:
        RestoreError: it cannot be read, or has another size than the picture.
    """
    try:
        drawn = read_picture(path, max_pixels=max_pixels)
    except PictureError as error:
        raise RestoreError(f"its mask fails: {error}") from error
    pixels = in_gray(drawn.pixels)
    if pixels.shape[:2] != picture.pixels.shape[:2]:
        sizes = [f"{image.shape[1]} x {image.shape[0]}" for image in (pixels, picture.pixels)]
        raise RestoreError(
            f"its mask {path} has {sizes[0]} pixels, not the photo's {sizes[1]}; make it of the"
            " same size."
        )
    if drawn.alpha is not None:
        pixels *= drawn.alpha[..., None] / np.float32(np.iinfo(drawn.alpha.dtype).max)
    return task.unrestored(pixels)[..., 0]


def save_mask(mask: Pixels, path: Path) -> None:
    """Write a mask, H x W in [0, 1], into a folder that is made if need be; raises PictureError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PictureError(
            f"cannot write the mask {path}: its folder cannot be made ({error.strerror}),"
            " give another --save-mask"
        ) from error
    write_picture(Picture(mask[..., None]), path)
