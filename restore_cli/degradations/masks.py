"""Masks of missing pixels: text, scratches, boxes, or a hole."""

from __future__ import annotations

import functools
import math
import string

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Random
from restore_cli.degradations.lettering import FACES, set_line
from restore_cli.image import Pixels


def draw_mask(
    damage: str, height: int, width: int, rng: Random, *, size: float = 16, share: float = 0.15
) -> Pixels:
    """Draw a mask of missing pixels, H x W in [0, 1].

    Pixels above 0 are missing; values below 1 are the soft edges of letters. The same random state
    gives the same mask, as long as the versions of Pillow and OpenCV draw the same letters.

    Args:
        damage: "text": horizontal lines of random words, with little space between the lines;
            "scratches": curves 1 to 3 pixels wide; "boxes": rectangles with sides of 1/20 to 1/3 of
            the image's; "hole": one rectangle in the middle, with the shape of the image (a quarter
            of the pixels is half of each side); "shifted": the part of the hole that a rectangle
            of the same size at a random place covers. The last follows IRAE's paper, which has
            128x128 of 256x256 pixels and does not state the size of its "central region".
        height, width: in pixels.
        rng: draws shapes and places.
        size: of the type in pixels, rounded: the em of Pillow's typeface, or the height of capitals
            of OpenCV's.
        share: of missing pixels. The last shape may exceed it, the sides of the hole are rounded, a
            shifted hole is smaller, and text ends at 0.2 to 0.4, when its lines are full.
    """
    if damage in ("hole", "shifted"):
        return _draw_hole(height, width, rng, share, shifted=damage == "shifted")
    if damage == "text":
        return _draw_text(height, width, rng, round(size), share)
    return _draw_shapes(damage, height, width, rng, share)


def _draw_hole(height: int, width: int, rng: Random, share: float, shifted: bool) -> Pixels:
    mask = np.zeros((height, width), np.float32)
    tall, wide = (round(side * math.sqrt(share)) for side in (height, width))
    top, left = (height - tall) // 2, (width - wide) // 2
    mask[top : top + tall, left : left + wide] = 1
    if shifted:
        top, left = int(rng.uniform(0, height - tall + 1)), int(rng.uniform(0, width - wide + 1))
        covered = np.zeros_like(mask)
        covered[top : top + tall, left : left + wide] = 1
        mask *= covered
    return mask


def _draw_shapes(damage: str, height: int, width: int, rng: Random, share: float) -> Pixels:
    import cv2

    mask = np.zeros((height, width), np.uint8)
    shapes: list[NDArray[np.int32]] = []
    while cv2.countNonZero(mask) < share * mask.size:
        if not shapes:
            shapes = list((_draw_boxes if damage == "boxes" else _draw_curves)(height, width, rng))
        shape = shapes.pop()
        if damage == "boxes":
            (left, top), (right, bottom) = shape
            mask[top:bottom, left:right] = 1
        else:
            cv2.polylines(mask, list(shape), False, 1)
    return mask.astype(np.float32)


def _draw_boxes(height: int, width: int, rng: Random) -> NDArray[np.int32]:
    """Draw eight rectangles: 8 x (first corner, end corner) x (column, row)."""
    extent = np.array([width, height])
    sides = np.maximum(1, extent * rng.uniform(1 / 20, 1 / 3, (8, 2)))
    corners = rng.uniform(0, 1, (8, 2)) * (extent - sides)
    return np.asarray(np.rint(np.stack([corners, corners + sides], axis=1)), np.int32)


def _draw_curves(height: int, width: int, rng: Random) -> list[NDArray[np.int32]]:
    """Draw eight scratches: parabolas that are bent by up to a fifth of their length.

    Returns:
        For each scratch, 1 to 3 lines x 17 points x (column, row).
    """
    start, end = np.moveaxis(rng.uniform(-0.1, 1.1, (8, 2, 2)) * np.array([width, height]), 1, 0)
    away = end - start
    bend = (start + end) / 2 + rng.uniform(-0.4, 0.4, (8, 1)) * away[:, ::-1] * [1, -1]
    t = np.linspace(0, 1, 17)[:, None]
    curves = start[:, None] * (1 - t) ** 2 + 2 * bend[:, None] * t * (1 - t) + end[:, None] * t**2
    # OpenCV draws lines of width 2 as wide as those of width 3, so wide ones are several thin ones.
    aside = np.abs(away) < np.abs(away)[:, ::-1]
    lines = curves[:, None] + np.arange(3)[:, None, None] * aside[:, None, None]
    widths = rng.uniform(1, 4, 8).astype(int)
    return [
        line[:width] for line, width in zip(np.rint(lines).astype(np.int32), widths, strict=True)
    ]


def _draw_text(height: int, width: int, rng: Random, size: int, share: float) -> Pixels:
    strip = _text_strip(int(rng.choice(FACES)), size)
    tall, long = strip.shape
    pitch = tall + max(1, size // 5)
    mask = np.zeros((height, width), np.uint8)
    wanted = math.ceil(share * mask.size)
    tops = np.arange(-int(rng.uniform(0, pitch)), height, pitch)
    for top in rng.permutation(tops):
        first = int(rng.uniform(0, long))
        line = strip[max(0, -top) : height - top].take(
            range(first, first + width), axis=1, mode="wrap"
        )
        counts = np.cumsum(np.count_nonzero(line, axis=0))
        if counts[-1] > wanted:
            line = line[:, : int(np.searchsorted(counts, wanted)) + 1]
        top = max(0, int(top))
        mask[top : top + len(line), : line.shape[1]] = line
        wanted -= int(counts[-1])
        if wanted <= 0:
            break
    return mask.astype(np.float32) / np.float32(255)


@functools.lru_cache(maxsize=256)
def _text_strip(face: int, size: int) -> NDArray[np.uint8]:
    """Draw a long line of made-up words, white on black; the same arguments give the same line."""
    letters = np.random.RandomState(face * 100 + size)
    alphabet = list(string.ascii_lowercase * 4 + string.ascii_uppercase + string.digits)
    words = ("".join(letters.choice(alphabet, length)) for length in letters.randint(1, 11, 60))
    line = " ".join(words)
    return set_line(line, size, face)
