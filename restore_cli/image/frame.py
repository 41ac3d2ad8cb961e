"""Finds the frame of a photo: borders of one color, such as black bars."""

from __future__ import annotations

import numpy as np

from restore_cli.image.arrays import Pixels

_EVEN = 2.5 / 255  # deviation of a line of one color that was compressed
_EDGE = 16 / 255  # the least difference between a frame and most pixels next to it
_NEAR = 8  # lines next to a frame
_LEAST = 32  # side of what is inside, in pixels

Box = tuple[slice, slice]


def find_inside(pixels: Pixels, margin: int = 0) -> Box | None:
    """Find the part of a photo inside its frame.

    Lines along the border belong to the frame if they have one color, and most of the photo next to
    them differs clearly. So a white sky is no frame.

    Args:
        pixels: H x W x C in [0, 1].
        margin: pixels at the inner edge of the frame to leave out, too.

    Returns:
        Rows and columns; None if there is no frame, or hardly a photo in it.
    """
    rows = _inside(pixels, margin)
    columns = _inside(pixels[rows].swapaxes(0, 1), margin)
    height, width = pixels[rows, columns].shape[:2]
    if (height, width) == pixels.shape[:2] or min(height, width) < _LEAST:
        return None
    return rows, columns


def _inside(lines: Pixels, margin: int) -> slice:
    before, after = _count(lines), _count(lines[::-1])
    return slice(before and before + margin, len(lines) - (after and after + margin))


def _count(lines: Pixels) -> int:
    """The number of lines, from the first one on, that belong to a frame."""
    color = lines[0, 0]
    if (lines[0] != color).any():
        return 0
    half = len(lines) // 2
    count = next((at for at in range(half) if np.abs(lines[at] - color).max() > _EVEN), half)
    near = np.abs(lines[count : count + _NEAR] - color).max(axis=2)
    return count if np.median(near) >= _EDGE else 0
