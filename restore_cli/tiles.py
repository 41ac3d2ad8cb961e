"""Cuts an image into tiles and assembles the restored tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from restore_cli.image import Pixels

OVERLAP = 64  # pixels, for networks that look at the entire image


@dataclass(frozen=True)
class Box:
    """The position of a tile in the image, in input pixels; bottom and right are exclusive."""

    top: int
    left: int
    bottom: int
    right: int


def split(box: Box, side: int, grid: int) -> Iterator[Box]:
    """Cut a box into tiles of nearly equal size on the grid, none larger than `side`."""

    def even(length: int) -> int:
        count = -(-length // side)
        return min(side, -(-length // (count * grid)) * grid)

    down, across = even(box.bottom - box.top), even(box.right - box.left)
    for top in range(box.top, box.bottom, down):
        for left in range(box.left, box.right, across):
            yield Box(top, left, min(top + down, box.bottom), min(left + across, box.right))


def grow(box: Box, overlap: int, height: int, width: int) -> Box:
    """Extend a tile on all sides by its overlap, within the image."""
    top, left = max(0, box.top - overlap), max(0, box.left - overlap)
    return Box(top, left, min(box.bottom + overlap, height), min(box.right + overlap, width))


def cut_window(
    image: Pixels, top: int, left: int, bottom: int, right: int, multiple: int
) -> Pixels:
    """Cut a window out of H x W x C as C x h x w, extended to the grid by mirroring at its end."""
    cut = image[top:bottom, left:right]
    padding = [(0, -size % multiple) for size in cut.shape[:2]]
    if any(after for _, after in padding):
        cut = np.pad(cut, [*padding, (0, 0)], mode="symmetric")
    return np.ascontiguousarray(cut.transpose(2, 0, 1))


class Canvas:
    """Assembles the output image, H x W x channels, from tiles.

    Args:
        size: height, width and channels of the input.
        scale: output pixels for each input pixel along a side.
        blends: whether tiles overlap and are blended.
        over: the input, to write the output over it; only if tiles neither overlap nor grow.
    """

    def __init__(
        self, size: tuple[int, int, int], scale: int, blends: bool, over: Pixels | None = None
    ) -> None:
        height, width, channels = size
        self._scale = scale
        self._overwrites = over is not None
        if over is None:
            over = np.zeros((height * scale, width * scale, channels), np.float32)
        self._pixels = over
        self._waiting: list[tuple[Box, Pixels]] = []
        self._total = np.zeros((*self._pixels.shape[:2], 1), np.float32) if blends else None

    def add(self, box: Box, seen: Box, restored: Pixels) -> None:
        """Add a restored tile; `seen` is the tile with its overlap, if any."""
        scale = self._scale
        place = (
            slice(seen.top * scale, seen.bottom * scale),
            slice(seen.left * scale, seen.right * scale),
        )
        if self._overwrites:
            self._waiting.append((seen, restored.copy()))
        elif self._total is None:
            self._pixels[place] = restored
        else:
            share = _fade(box, seen, scale)
            self._pixels[place] += share * restored
            self._total[place] += share

    def settle(self, windows: Sequence[Box]) -> None:
        """Write the tiles that wait, such as those of one row, over the input.

        Args:
            windows: the parts of the input that following tiles need.
        """
        waiting, self._waiting = self._waiting, []
        for box, tile in waiting:
            if any(_overlap(box, window) for window in windows):
                self._waiting.append((box, tile))
            else:
                self._pixels[box.top : box.bottom, box.left : box.right] = tile

    def finish(self) -> Pixels:
        """Return the image after all tiles were added."""
        if self._total is not None:
            self._pixels /= self._total
        return self._pixels


def _overlap(one: Box, other: Box) -> bool:
    return (
        one.top < other.bottom
        and other.top < one.bottom
        and one.left < other.right
        and other.left < one.right
    )


def _fade(box: Box, seen: Box, scale: int) -> Pixels:
    """Return the blending weights of a tile, h x w x 1: they fall to zero across the overlap."""

    def ramp(before: int, length: int, after: int) -> Pixels:
        at = (np.arange(length * scale) + 0.5) / (2 * scale)
        rise, fall = (np.clip(at / max(over, 0.25 / scale), 0, 1) for over in (before, after))
        return np.asarray(np.minimum(rise, fall[::-1]), np.float32)

    down = ramp(box.top - seen.top, seen.bottom - seen.top, seen.bottom - box.bottom)
    across = ramp(box.left - seen.left, seen.right - seen.left, seen.right - box.right)
    return np.asarray(np.multiply.outer(down, across)[..., None])
