"""Cuts an image into tiles and assembles the restored tiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

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

    @property
    def size(self) -> tuple[int, int]:
        """Its height and width."""
        return self.bottom - self.top, self.right - self.left

    @property
    def area(self) -> int:
        """The number of its pixels."""
        height, width = self.size
        return max(0, height) * max(0, width)

    def common(self, other: Box) -> Box:
        """The part that both boxes cover; its area is 0 if there is none."""
        return Box(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )


@dataclass(frozen=True)
class Tile:
    """A part of the image to restore, and the larger window that the network sees for it."""

    box: Box
    window: Box


@dataclass(frozen=True)
class Limits:
    """The largest window of a tile in input pixels: its side and its area."""

    side: float = math.inf
    area: float = math.inf


def split(region: Box, limits: Limits, halo: int, grid: int) -> list[Tile]:
    """Cut a region into tiles whose windows have one size, so that each reuses the last's memory.

    Of all numbers of rows and columns whose windows fit the limits, those with the fewest computed
    pixels are used. Windows start on the grid, stay within the region and share at least two halos
    with their neighbors; the boxes meet in the middle of what they share. If no window fits, the
    smallest ones are used.

    Args:
        region: starts on the grid; its end is extended to the grid.
        limits: of a window.
        halo: the margin of a box within its window, a multiple of the grid.
        grid: the multiple that the network's input needs.
    """
    height, width = region.size
    down, across = (_sides(-(-length // grid), halo // grid) for length in (height, width))
    fitting = [
        (rows * tall * columns * wide, rows, columns)
        for rows, tall in down.items()
        for columns, wide in across.items()
        if max(tall, wide) * grid <= limits.side and tall * wide * grid**2 <= limits.area
    ]
    _, rows, columns = min(fitting, default=(0, max(down), max(across)))
    return [
        Tile(Box(top, left, bottom, right), Box(window_top, window_left, low, far))
        for top, bottom, window_top, low in _cut(region.top, height, rows, halo, grid)
        for left, right, window_left, far in _cut(region.left, width, columns, halo, grid)
    ]


def _sides(length: int, halo: int) -> dict[int, int]:
    """The sides of windows by their number along a length; all in cells of the grid."""
    sides = {1: length}
    for count in range(2, length + 1):
        side = -(-(length + 2 * halo * (count - 1)) // count)
        if side <= 2 * halo:
            break
        if side < min(sides.values()):
            sides[count] = side
    return sides


def _cut(start: int, length: int, count: int, halo: int, grid: int) -> list[tuple[int, ...]]:
    """The (start, end) of each box and of its window along one side."""
    cells = -(-length // grid)
    side = _sides(cells, halo // grid)[count]
    starts = [index * (cells - side) // max(1, count - 1) for index in range(count)]
    meets = [(before + side + after) // 2 for before, after in pairwise(starts)]
    end = start + length
    return [
        (
            start + first * grid,
            min(start + last * grid, end),
            start + at * grid,
            min(start + (at + side) * grid, end),
        )
        for first, last, at in zip([0, *meets], [*meets, cells], starts, strict=True)
    ]


def within(tile: Tile, parts: list[Tile]) -> list[Tile]:
    """Keep of the smaller tiles of a tile's window what lies in its box."""
    cut = [Tile(part.box.common(tile.box), part.window) for part in parts]
    return [part for part in cut if part.box.area]


def cut_window(image: Pixels, window: Box, multiple: int) -> Pixels:
    """Cut a window out of H x W x C as C x h x w, extended to the grid by mirroring at its end."""
    cut = image[_slices(window, 1)]
    padding = [(0, -size % multiple) for size in cut.shape[:2]]
    if any(after for _, after in padding):
        cut = np.pad(cut, [*padding, (0, 0)], mode="symmetric")
    return cut.transpose(2, 0, 1)


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

    def add(self, tile: Tile, restored: Pixels) -> None:
        """Add the restored window of a tile, h x w x channels."""
        box, window, scale = tile.box, tile.window, self._scale
        if self._total is None:
            top, left = (box.top - window.top) * scale, (box.left - window.left) * scale
            place = _slices(box, scale)
            height, width = self._pixels[place].shape[:2]
            inner = restored[top : top + height, left : left + width]
            if self._overwrites:
                self._waiting.append((box, inner.copy()))
            else:
                self._pixels[place] = inner
            return
        place = _slices(window, scale)
        share = _fade(box, window, scale)
        self._pixels[place] += share * restored
        self._total[place] += share

    def settle(self, windows: Sequence[Box]) -> None:
        """Write the tiles that wait, such as those of one row, over the input.

        Args:
            windows: the parts of the input that following tiles need.
        """
        waiting, self._waiting = self._waiting, []
        for box, inner in waiting:
            if any(box.common(window).area for window in windows):
                self._waiting.append((box, inner))
            else:
                self._pixels[_slices(box, 1)] = inner

    def finish(self) -> Pixels:
        """Return the image after all tiles were added."""
        if self._total is not None:
            self._pixels /= self._total
        return self._pixels


def _slices(box: Box, scale: int) -> tuple[slice, slice]:
    return (
        slice(box.top * scale, box.bottom * scale),
        slice(box.left * scale, box.right * scale),
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
