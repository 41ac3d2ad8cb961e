"""The types of pixel arrays, and the blocks of rows in which they are converted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_BLOCK = 2**20  # pixels widened or quantized at a time


def round_to_bytes(pixels: Pixels) -> Pixels:
    """Round pixels to the 256 levels of an 8-bit file; they stay in [0, 1]."""
    return np.asarray(np.rint(pixels.clip(0, 1) * 255) / 255, np.float32)


def is_gray(pixels: Pixels) -> bool:
    """Return whether all channels of H x W x C are equal; NaN equals NaN."""
    first, *others = np.moveaxis(pixels, 2, 0)
    return all(np.array_equal(first, other, equal_nan=True) for other in others)


def block_rows(width: int) -> int:
    """Return the number of rows in a block of this width."""
    return max(1, _BLOCK // width)


def row_blocks(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Return the blocks of an image as (first row, row after the last)."""
    step = block_rows(width)
    return ((top, min(top + step, height)) for top in range(0, height, step))
