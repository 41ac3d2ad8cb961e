"""Estimates how noisy a photo is, for any kind of noise."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from restore_cli.image import Mask, Pixels, is_gray
from restore_cli.metrics import estimate_noise

if TYPE_CHECKING:
    from restore_cli.network import Restorer

Parts = NDArray[np.float64]  # fine, coarse and color; see `split`

SIDE, ACROSS = 128, 4  # pixels of a window, and windows along each side of a photo
COARSE = 4  # pixels from which noise counts as coarse
SHORTEST = 20  # side in pixels of the smallest photo whose noise can be measured
MIN_VISIBLE = 0.5  # share of a window that must be visible
OUTLIERS = 0.15  # share of the lowest and of the highest windows that is ignored
CALM = 20  # percentage of the windows that may have less noise than `Noise.least`
RAISE = 1.1  # the network underestimates, real noise above all
ALIKE = 0.25  # two estimates agree if they differ by at most this share of the level,
CLOSE = 0.7  # or by at most this much
_AREA = 9  # side in pixels of the smallest black or white area without noise
_BLACK, _WHITE = 1.5 / 255, 253.5 / 255
KNOWN = 40.0  # beyond this level of white noise, the network overestimates more and more


@dataclass(frozen=True)
class Noise:
    """The noise of a photo.

    Attributes:
        level: standard deviation over all channels on the 0..255 scale.
        white: whether the noise is white.
        parts: its components, see `split`.
        least: level that four fifths of the windows exceed. Noise is everywhere in a photo, while
            fine texture, which looks like noise, seldom is.
    """

    level: float
    white: bool
    parts: tuple[float, ...] = (0.0, 0.0, 0.0)
    least: float = 0.0


def split(noise: Pixels) -> Parts:
    """Standard deviations of the components of noise; their squares add up to its variance.

    Args:
        noise: H x W x C, at least 4 x 4, on the 0..1 scale.

    Returns:
        Brightness finer than 4 pixels, brightness coarser than that, and color; on the 0..255
        scale.
    """
    gray = noise.mean(axis=2, dtype=np.float64)
    height, width = (size // COARSE for size in gray.shape)
    blocks = gray[: COARSE * height, : COARSE * width].reshape(height, COARSE, width, COARSE)
    coarse = np.square(blocks.mean(axis=(1, 3))).mean()
    fine = max(np.square(gray).mean() - coarse, 0)
    return 255 * np.sqrt([fine, coarse, np.square(noise - gray[..., None]).mean()])


def split_white(level: float, channels: int) -> Parts:
    """The components of white noise of a level in 1 or 3 channels, as `split` measures them."""
    coarse = 1 / COARSE**2
    return level * np.sqrt([(1 - coarse) / channels, coarse / channels, 1 - 1 / channels])


def measure_noise(image: Pixels, visible: Mask | None = None) -> Noise:
    """Estimate the noise of a photo from the photo alone.

    A small network, trained on the noise of many cameras and JPEGs, judges windows all over the
    photo. If `estimate_noise` agrees, or finds more white noise than the network was trained for,
    the noise is white, and its more exact value is used.

    Args:
        image: H x W x C in [0, 1]; with a side below `SHORTEST` the level is below 1.
        visible: H x W; other pixels, such as transparent ones, are ignored.

    Raises:
        WeightsError: the network's file is missing or damaged.
    """
    if is_gray(image):  # its noise is that of one channel, also in RGB
        image = image[..., :1]
    visible = exposed(image, visible)
    white = estimate_noise(image, visible)
    parts, least = np.zeros(3), 0.0
    if min(image.shape[:2]) >= SHORTEST:
        parts, least = _look(image, visible)
    found = float(np.linalg.norm(parts))
    agree = abs(white - found) <= max(ALIKE * found, CLOSE)
    if agree or KNOWN < white < found:
        return Noise(white, True, tuple(split_white(white, image.shape[2])), least)
    return Noise(found, False, tuple(parts.tolist()), least)


def exposed(image: Pixels, visible: Mask | None) -> Mask | None:
    """The pixels that can show noise: visible, and not in an area that is all black or white.

    Args:
        image: H x W x C in [0, 1].
        visible: H x W; None means all pixels, also of the result.
    """
    import cv2

    dark, bright = (image <= _BLACK).all(axis=2), (image >= _WHITE).all(axis=2)
    square = np.ones((_AREA, _AREA), np.uint8)
    areas = cv2.erode(np.asarray(dark | bright, np.uint8), square)
    if not areas.any():
        return visible
    shown = np.asarray(cv2.dilate(areas, square) == 0)
    return shown if visible is None else shown & visible


def to_plane(level: float | NDArray[np.floating]) -> NDArray[np.floating]:
    """Convert levels from 0 to 255 to the network's logarithmic scale from 0 to 1."""
    return np.asarray(np.log1p(level) / math.log(256))


def from_plane(value: NDArray[np.floating]) -> NDArray[np.floating]:
    """Convert the network's output to levels from 0 to 255."""
    return np.asarray(np.expm1(value.clip(0, 1) * math.log(256)))


def _look(image: Pixels, visible: Mask | None) -> tuple[Parts, float]:
    """Let the network judge windows all over a photo; returns `Noise.parts` and `Noise.least`."""
    from restore_cli.models.checkpoint import load_default

    network = load_default("noise")
    places = list(visible_windows(image, visible))
    if not places:
        return np.zeros(3), 0.0
    windows = cut_windows(image, visible, network)
    height, width = (min(SIDE, size) for size in image.shape[:2])
    planes = run_windows(network, windows)[:, :, :height, :width]
    if visible is None:
        means = planes.mean(axis=(2, 3), dtype=np.float64)
    else:
        seen = [visible[top : top + SIDE, left : left + SIDE] for top, left in places]
        means = np.stack(
            [
                part[:, mask].mean(axis=1, dtype=np.float64)
                for part, mask in zip(planes, seen, strict=True)
            ]
        )
    squares = np.square(from_plane(means))
    least = RAISE * float(np.percentile(np.sqrt(squares.sum(axis=1)), CALM))
    squares, cut = np.sort(squares, axis=0), int(OUTLIERS * len(squares))
    return RAISE * np.sqrt(squares[cut : len(squares) - cut].mean(axis=0)), least


def cut_windows(image: Pixels, visible: Mask | None, network: Restorer) -> Pixels:
    """Cut windows for a network, which are spread over a photo.

    Args:
        image: H x W x C.
        visible: H x W; windows that are mostly invisible are left out.
        network: the windows are extended to its grid.

    Returns:
        N x C x h x w; N is 0 if most of the photo is invisible.
    """
    from restore_cli.tiles import Box, cut_window

    windows = [
        cut_window(image, Box(top, left, top + SIDE, left + SIDE), network.geometry.multiple)
        for top, left in visible_windows(image, visible)
    ]
    return np.stack(windows) if windows else np.empty((0, image.shape[2], 0, 0), np.float32)


def run_windows(network: Restorer, windows: Pixels) -> Pixels:
    """Run a color network on all windows at once: one by one is slow on a CPU.

    Args:
        windows: N x C x h x w on the network's grid; C is 1, or 3 and the network's conditions.

    Returns:
        N x 3 x h x w.
    """
    import torch

    from restore_cli.device import autocast, find_precision

    cpu = torch.device("cpu")
    colors = torch.from_numpy(windows).expand(-1, max(3, windows.shape[1]), -1, -1)
    with torch.inference_mode(), autocast(cpu, find_precision("auto", cpu, network)):
        planes: Pixels = (
            network(colors.contiguous(memory_format=torch.channels_last)).float().numpy()
        )
    return planes


def visible_windows(
    image: Pixels, visible: Mask | None, side: int = SIDE, across: int = ACROSS
) -> Iterator[tuple[int, int]]:
    """Yield the upper left corners of windows that are spread evenly; a small photo has fewer.

    Args:
        image: H x W x C.
        visible: H x W; windows are spread over the rows and columns with visible pixels, and those
            that are mostly invisible are left out.
        side: of a window, in pixels.
        across: windows along each side of a large photo.
    """

    def starts(size: int, axis: int) -> list[int]:
        shown = np.arange(size) if visible is None else np.flatnonzero(visible.any(axis=1 - axis))
        if not len(shown):
            return []
        first = max(0, min(int(shown[0]), size - side))
        size = max(side, int(shown[-1]) + 1 - first)
        count = min(across, math.ceil(size / side))
        return [int(start) for start in np.linspace(first, first + size - side, count)]

    height, width = image.shape[:2]
    for top, left in itertools.product(starts(height, 0), starts(width, 1)):
        part = slice(top, top + side), slice(left, left + side)
        if visible is None or visible[part].mean() >= MIN_VISIBLE:
            yield top, left
