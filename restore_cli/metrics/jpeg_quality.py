"""Estimates the quality of a JPEG compression from pixels alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from restore_cli.image import Pixels

_PIXELS = 2**20  # number of pixels to use
_STRIP = 64  # rows of a strip, a multiple of 8
_BLOCKS = 1024  # maximum number of blocks to use
_CONTRAST = 2.0  # lowest deviation of a block, 0..255; rounding errors of flat ones are not random
_ROUNDING = 1 / 12  # variance of rounding errors in an orthonormal DCT
_OUTLIERS = 0.02  # share of coefficients that clipping and color conversion move off the lattice
_EVIDENCE = 20.0  # log-likelihood by which a quality must exceed "never compressed"
# The same for an earlier compression. On 320 x 320 pixels of 23 training photos, it was 2,059 or
# more if they were compressed twice (60 to 85, 75 to 95, 30 to 90), and negative if once; but one
# in ten with the tables of Photoshop exceeds it.
_EVIDENCE_BEFORE = 1500.0
_COARSER = 1.8  # steps of an earlier compression, relative to those of the last one


def estimate_quality(
    image: Pixels, visible: NDArray[np.bool_] | None = None
) -> tuple[int, tuple[int, int]]:
    """Estimate the JPEG quality of an image, and where its blocks start.

    The DCT coefficients of a decoded image are close to multiples of their quantization steps. The
    result is the quality with the most likely steps, for a Laplace density that is quantized and
    then spread by rounding, with a share of outliers. This follows Fan and de Queiroz,
    "Identification of bitmap compression history", IEEE Transactions on Image Processing 12(2),
    2003.

    The result is 100 for images that were never compressed, or that were scaled afterwards. Cropped
    and rotated images are supported. Tables other than those of libjpeg and mozjpeg give the
    nearest quality or 100.

    Args:
        image: H x W x C in [0, 1]; the result is 100 if a side is shorter than 16 pixels.
        visible: H x W; pixels that are False, such as transparent ones, are ignored.

    Returns:
        The quality, 1 to 100 on libjpeg's scale; row and column of a block's first pixel, 0 to 7.
    """
    return _find(image, visible, (0, 0), _EVIDENCE) or (100, (0, 0))


def estimate_first_quality(
    image: Pixels,
    last: tuple[int, tuple[int, int]],
    visible: NDArray[np.bool_] | None = None,
) -> tuple[int, tuple[int, int]] | None:
    """Estimate the quality of a JPEG compression before the last one, if it was clearly lower.

    The errors of the last compression spread the coefficients around the multiples of the earlier
    steps, so they are treated as `estimate_quality` treats rounding errors.

    Args:
        image: H x W x C in [0, 1].
        last: quality of the last compression, and row and column where its blocks start.
        visible: H x W; pixels that are False are ignored.

    Returns:
        The quality, and row and column of a block's first pixel, 0 to 7; None if there was no
        earlier compression, or none that is visible behind the last one.
    """
    quality, (row, column) = last
    return _find(image, visible, (row % 8, column % 8), _EVIDENCE_BEFORE, quality)


def estimate_compressions(
    image: Pixels,
    last: tuple[int, tuple[int, int]] | None = None,
    visible: NDArray[np.bool_] | None = None,
) -> tuple[tuple[int, tuple[int, int]], ...]:
    """Estimate the JPEG compressions of an image; the last result has the strongest artifacts.

    Args:
        image: H x W x C in [0, 1].
        last: the last compression, as for `estimate_first_quality`; None estimates it.
        visible: H x W; pixels that are False are ignored.

    Returns:
        Quality, and row and column of a block's first pixel: of the last compression, and of an
        earlier one if its quality was clearly lower; empty if there was none.
    """
    if last is None:
        last = estimate_quality(image, visible)
        if last[0] == 100:
            return ()
    first = estimate_first_quality(image, last, visible)
    return (last, first) if first else (last,)


def _find(
    image: Pixels,
    visible: NDArray[np.bool_] | None,
    start: tuple[int, int],
    evidence: float,
    later: int | None = None,
) -> tuple[int, tuple[int, int]] | None:
    """Find the most likely compression, whose rows may have become columns.

    Args:
        start: where a block may start, besides the place with the largest steps.
        evidence: log-likelihood by which it must exceed "never compressed".
        later: as for `_quality_gains`.

    Returns:
        The quality, and where a block starts; None without enough evidence or pixels.
    """
    if min(image.shape[:2]) < 16:
        return None
    bright, usable = _sample(image, visible)
    best, found = evidence, None
    for top, left in dict.fromkeys([start, _block_corner(bright)]):
        cut, counts = np.rint(bright[top:, left:]) - 128, usable[top:, left:]
        for turned in (False, True):
            part = (cut.T, counts.T) if turned else (cut, counts)
            gains = _quality_gains(*part, later, turned)
            if gains.max() > best:
                best, found = float(gains.max()), (int(gains.argmax()) + 1, (top, left))
    return found


def _sample(image: Pixels, visible: NDArray[np.bool_] | None) -> tuple[Pixels, NDArray[np.bool_]]:
    """Return the brightness of strips of an image, 0 to 255, and which of its pixels are usable.

    There are 8 rows of NaN between strips.
    """
    height, width, channels = image.shape
    weights = np.array([0.299, 0.587, 0.114] if channels == 3 else [1], np.float32)
    gap = np.full((8, width, channels), np.nan, np.float32)  # so that joints are no edges of blocks
    starts = range(0, height, _STRIP * math.ceil(height * width / _PIXELS))
    strips = [part for top in starts for part in (image[top : top + _STRIP], gap)][:-1]
    samples = np.rint(np.concatenate(strips) * 255)
    usable: NDArray[np.bool_] = np.asarray(((samples > 0) & (samples < 255)).all(axis=2))
    if visible is not None:
        seen = [part for top in starts for part in (visible[top : top + _STRIP], gap[..., 0] > 0)]
        usable &= np.concatenate(seen[:-1])
    return samples @ weights, usable


def _block_corner(bright: Pixels) -> tuple[int, int]:
    """Return where a block starts: row and column, 0 to 7, with the largest steps in the image."""

    def phase(image: Pixels) -> int:
        jumps = np.abs(image[1:] - image[:-1])
        excess = 2 * jumps[1:-1] - jumps[:-2] - jumps[2:]  # across the edge below row i + 1
        means = [np.nanmean(excess[start::8].clip(-16, 16)) for start in range(8)]
        return (int(np.argmax(means)) + 2) % 8

    return phase(bright), phase(bright.T)


def _quality_gains(
    bright: Pixels, usable: NDArray[np.bool_], later: int | None, turned: bool
) -> NDArray[np.float64]:
    """Return the log-likelihood ratio of each quality, 1 to 100, to "never compressed".

    Args:
        later: quality of a later compression, whose errors are added to those of rounding;
            qualities that are not clearly lower have no gain.
        turned: whether rows were columns in the later compression.
    """
    from scipy.fft import dctn

    from restore_cli.image import MOZJPEG, jpeg_steps, nearest_quality

    height, width = (size // 8 * 8 for size in bright.shape)
    blocks = bright[:height, :width].reshape(height // 8, 8, -1, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    complete = usable[:height, :width].reshape(height // 8, 8, -1, 8).all(axis=(1, 3)).ravel()
    contrast = np.where(complete, blocks.std(axis=(1, 2)), 0)
    busiest = np.argsort(contrast)[::-1][:_BLOCKS]
    blocks = blocks[busiest[contrast[busiest] > _CONTRAST]]
    coefficients = dctn(blocks.astype(np.float64), axes=(1, 2), norm="ortho")
    steps = np.concatenate([jpeg_steps(), jpeg_steps(MOZJPEG)]).astype(np.float64)
    gains = np.zeros(len(steps))
    for row, column in np.argwhere(np.add.outer(np.arange(8), np.arange(8)) < 6):
        distinct, index = np.unique(steps[:, row, column], return_inverse=True)
        place = (column, row) if turned else (row, column)
        error = _ROUNDING + (steps[later - 1][place] ** 2 / 12 if later else 0)
        gains += _step_gains(coefficients[:, row, column], distinct, error)[index]
    best = gains[:100].copy()
    for table, gain in zip(jpeg_steps(MOZJPEG), gains[100:], strict=True):
        same = nearest_quality({0: table.ravel()}) - 1
        best[same] = max(best[same], gain)
    if later:
        best[100 - np.arange(1, 101) < _COARSER * max(1, 100 - later)] = -np.inf
    return best


def _step_gains(
    values: NDArray[np.float64], steps: NDArray[np.float64], variance: float
) -> NDArray[np.float64]:
    """Return the log-likelihood ratio of each quantization step to no quantization.

    Coefficients near zero fit every step and are ignored.

    Args:
        variance: of errors after the quantization.
    """
    size = np.abs(values)
    size = size[size > math.sqrt(12 * variance)]  # 3.5 standard deviations
    if not len(size):
        return np.zeros(len(steps))
    scale = float(size.mean())  # of the Laplace density
    level = np.maximum(np.rint(size / steps[:, None]), 1)
    error = size - level * steps[:, None]
    ratio = steps[:, None] / scale
    mass = np.log1p(-np.exp(-ratio)) - ratio * (level - 1)
    spread = -(error**2) / (2 * variance) - math.log(2 * math.pi * variance) / 2
    density = -size / scale - math.log(scale)
    lattice = mass + spread - density + math.log(1 - _OUTLIERS)
    return np.asarray(np.logaddexp(lattice, math.log(_OUTLIERS)).sum(axis=1))
