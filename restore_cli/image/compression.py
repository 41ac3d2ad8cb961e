"""JPEG compression by libjpeg: its quantization tables, and its effect on pixels."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from restore_cli.image.arrays import Pixels
from restore_cli.image.pillow import to_pillow

# Luminance steps at quality 50 (ITU-T T.81, table K.1); one row per vertical frequency.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)

# The same of mozjpeg by default, after N. Robidoux.
MOZJPEG = np.array(
    [
        [16, 16, 16, 18, 25, 37, 56, 85],
        [16, 17, 20, 27, 34, 40, 53, 75],
        [16, 20, 24, 31, 43, 62, 91, 135],
        [18, 27, 31, 40, 53, 74, 106, 156],
        [25, 34, 43, 53, 69, 94, 131, 189],
        [37, 40, 62, 74, 94, 124, 169, 238],
        [56, 53, 91, 106, 131, 169, 226, 311],
        [85, 75, 135, 156, 189, 238, 311, 418],
    ]
)


def jpeg_steps(table: NDArray[np.int64] = _LUMINANCE) -> NDArray[np.int64]:
    """Return the quantization steps for luma, 100 x 8 x 8, at quality 1 to 100.

    Args:
        table: at quality 50; that of libjpeg, or MOZJPEG.
    """
    qualities = np.arange(1, 101)
    factors = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    return ((table * factors[:, None, None] + 50) // 100).clip(1, 255)


def nearest_quality(tables: dict[int, Any]) -> int:
    """Return the libjpeg quality, 1 to 100, with the luma steps closest to those of a file.

    Args:
        tables: of the file, as Pillow reads them, in any order of frequencies.
    """
    own = np.sort(np.asarray(tables[min(tables)]))
    standard = np.sort(jpeg_steps().reshape(100, 64))
    return int(np.abs(standard - own).sum(axis=1).argmin()) + 1


def compress(image: Pixels, quality: int, subsampling: str = "4:4:4") -> Pixels:
    """Round an image to 8 bits, encode it with libjpeg and decode it again.

    Args:
        image: H x W x C in [0, 1].
        quality: the quality of libjpeg, 1 to 100.
        subsampling: of the color channels, "4:4:4", "4:2:2" or "4:2:0".

    Returns:
        H x W x C in [0, 1].
    """
    buffer = io.BytesIO()
    to_pillow(image).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(buffer) as decoded:
        return np.asarray(decoded).reshape(image.shape).astype(np.float32) / np.float32(255)
