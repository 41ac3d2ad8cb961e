"""The types of pixel arrays, and the blocks of rows in which they are converted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

_BLOCK = 2**20  # pixels that are converted or compared at a time


def round_to_bytes(pixels: Pixels) -> Pixels:
    """Round pixels to the 256 levels of an 8-bit file; they stay in [0, 1]."""
    return np.asarray(np.rint(pixels.clip(0, 1) * 255) / 255, np.float32)


def is_gray(pixels: Pixels) -> bool:
    """Return whether all channels of H x W x C are equal; NaN equals NaN."""
    blocks = (pixels[top:bottom] for top, bottom in row_blocks(*pixels.shape[:2]))
    return all(  # up to the first block with a color
        np.array_equal(block[..., 0], block[..., channel], equal_nan=True)
        for block in blocks
        for channel in range(1, pixels.shape[2])
    )


def block_rows(width: int) -> int:
    """Return the number of rows in a block of this width."""
    return max(1, _BLOCK // width)


def row_blocks(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Return the blocks of an image as (first row, row after the last)."""
    step = block_rows(width)
    return ((top, min(top + step, height)) for top in range(0, height, step))
