"""The quality with which a picture was compressed as JPEG, estimated from its pixels alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from restore_cli.image import Pixels

# Pixels looked at, blocks at most, and the least deviation of brightness in a block, on the 0..255
# scale, since what rounding does to a flat one is not random; the variance that rounding leaves in
# an orthonormal DCT, the share of coefficients that clipping and color conversion bring off the
# lattice, and the log-likelihood by which a quality must beat "never compressed".
_PIXELS = 2**20
_BLOCKS = 1024
_CONTRAST = 2.0
_ROUNDING = 1 / 12
_OUTLIERS = 0.02
_EVIDENCE = 20.0


def estimate_quality(
    image: Pixels, visible: NDArray[np.bool_] | None = None
) -> tuple[int, tuple[int, int]]:
    """JPEG quality with which a picture was compressed, and where a block starts, from its pixels
    alone.

    The DCT coefficients of a decoded picture lie near multiples of the steps they were quantized
    with. The answer is the quality whose steps make the coefficients most likely: a Laplace density
    quantized with the step and spread by rounding, but for some strays. After Fan and de Queiroz,
    "Identification of bitmap compression history", IEEE Transactions on Image Processing 12(2),
    2003.

    A picture never compressed gives 100, as does one that was scaled afterwards; one that was
    cropped or turned is understood. Tables other than libjpeg's give the nearest quality or 100.

    Args:
        image: H x W x C in [0, 1]; fewer than 16 pixels a side give 100.
        visible: H x W; what it leaves out, such as what lies under transparency, does not count.

    Returns:
        The quality, 1 to 100 on libjpeg's scale; row and column of a block's first pixel, 0 to 7.
    """
    if min(image.shape[:2]) < 16:
        return 100, (0, 0)
    strips = (np.arange(len(image)) // 64) % math.ceil(
        image.shape[0] * image.shape[1] / _PIXELS
    ) == 0
    samples = np.rint(image[strips] * 255)
    weights = np.array([0.299, 0.587, 0.114] if samples.shape[2] == 3 else [1], np.float32)
    bright = samples @ weights
    usable: NDArray[np.bool_] = np.asarray(((samples > 0) & (samples < 255)).all(axis=2))
    if visible is not None:
        usable &= visible[strips]
    best, quality, corner = _EVIDENCE, 100, (0, 0)
    for top, left in dict.fromkeys([(0, 0), _block_corner(bright)]):
        cut, counts = np.rint(bright[top:, left:]) - 128, usable[top:, left:]
        for gains in (_quality_gains(cut, counts), _quality_gains(cut.T, counts.T)):
            if gains.max() > best:
                best, quality, corner = float(gains.max()), int(gains.argmax()) + 1, (top, left)
    return quality, corner


def _block_corner(bright: Pixels) -> tuple[int, int]:
    """Where a block starts: the row and the column of eight across which the picture jumps most."""

    def phase(image: Pixels) -> int:
        jumps = np.abs(image[1:] - image[:-1])
        excess = 2 * jumps[1:-1] - jumps[:-2] - jumps[2:]  # across the edge below row i + 1
        means = [excess[start::8].clip(-16, 16).mean() for start in range(8)]
        return (int(np.argmax(means)) + 2) % 8

    return phase(bright), phase(bright.T)


def _quality_gains(bright: Pixels, usable: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For quality 1 to 100 the log-likelihood of the blocks' coefficients, less that of never
    compressed.
    """
    from scipy.fft import dctn

    from restore_cli.image import jpeg_steps

    height, width = (size // 8 * 8 for size in bright.shape)
    blocks = bright[:height, :width].reshape(height // 8, 8, -1, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    whole = usable[:height, :width].reshape(height // 8, 8, -1, 8).all(axis=(1, 3)).ravel()
    contrast = np.where(whole, blocks.std(axis=(1, 2)), 0)
    busiest = np.argsort(contrast)[::-1][:_BLOCKS]
    blocks = blocks[busiest[contrast[busiest] > _CONTRAST]]
    coefficients = dctn(blocks.astype(np.float64), axes=(1, 2), norm="ortho")
    steps = jpeg_steps().astype(np.float64)
    gains = np.zeros(100)
    for row, column in np.argwhere(np.add.outer(np.arange(8), np.arange(8)) < 6):
        distinct, index = np.unique(steps[:, row, column], return_inverse=True)
        gains += _step_gains(coefficients[:, row, column], distinct)[index]
    return gains


def _step_gains(values: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each step the log-likelihood that these coefficients were quantized with it, less that of
    none.

    Coefficients near zero fit every step and do not count.
    """
    size = np.abs(values)
    size = size[size > 1]  # 3.5 deviations of rounding
    if not len(size):
        return np.zeros(len(steps))
    scale = float(size.mean())  # of the Laplace density
    level = np.maximum(np.rint(size / steps[:, None]), 1)
    error = size - level * steps[:, None]
    ratio = steps[:, None] / scale
    mass = np.log1p(-np.exp(-ratio)) - ratio * (level - 1)
    spread = -(error**2) / (2 * _ROUNDING) - math.log(2 * math.pi * _ROUNDING) / 2
    density = -size / scale - math.log(scale)
    lattice = mass + spread - density + math.log(1 - _OUTLIERS)
    return np.asarray(np.logaddexp(lattice, math.log(_OUTLIERS)).sum(axis=1))
