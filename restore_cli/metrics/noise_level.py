"""Estimates the standard deviation of white noise from an image alone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from restore_cli.image import Pixels

_PATCH = 8  # side of a patch in pixels
_SAMPLES = 40_000  # maximum number of patches, approximately
_LEVELS = 513  # from 0 to 1, for which the effect of clipping is computed
# Brightness and color difference of RGB, orthonormal so that white noise is as strong in both.
_OPPONENT = np.array([[1, 1, 1], [1, 0, -1]]) / np.sqrt([[3], [2]])


def estimate_noise(image: Pixels, visible: NDArray[np.bool_] | None = None) -> float:
    """Estimate the standard deviation of white noise in an image, on the 0..255 scale.

    Chen, Zhu and Heng, "An Efficient Statistical Method for Image Noise Level Estimation", ICCV
    2015: patches of a clean image lie near a low-dimensional subspace, so the smallest eigenvalues
    of their covariance are the noise variance. In addition:

    - Texture looks like noise, but is seldom everywhere: only the smoothest parts of the image
      count.
    - Color differences have less texture than brightness and take precedence, unless they were
      smoothed, as by JPEG and cameras: then they show less than an eighth of the noise in
      brightness.
    - Clipping at black and white hides noise: dark and bright patches are left out if there are
      enough others, and the level is raised to one that clipping would reduce to the estimate.

    Args:
        image: H x W x C in [0, 1]; the result is 0 if a side is shorter than 20 pixels.
        visible: H x W; pixels that are False, such as transparent ones, are ignored.
    """
    height, width, channels = image.shape
    if min(height, width) < 20:
        return 0.0
    stride = max(1, math.ceil(math.sqrt(height * width / _SAMPLES)))
    views = np.lib.stride_tricks.sliding_window_view(image, (_PATCH, _PATCH), (0, 1))
    windows = np.moveaxis(views, 2, -1)[::stride, ::stride]
    parts = max(1, min(4, int(math.sqrt(windows.shape[0] * windows.shape[1] / 1000))))
    # patches, pixels, channels
    blocks = [part.reshape(-1, _PATCH * _PATCH, channels) for part in _split(windows, parts)]
    if visible is not None:
        seen = np.lib.stride_tricks.sliding_window_view(visible, (_PATCH, _PATCH))
        complete = [
            part.all(axis=(2, 3)).ravel() for part in _split(seen[::stride, ::stride], parts)
        ]
        blocks = [block[whole] for block, whole in zip(blocks, complete, strict=True)]
    blocks = _large(blocks) or [np.concatenate(blocks)]
    if len(blocks[0]) <= _PATCH**2:
        return 0.0
    clipped = bool(image.min() == 0 or image.max() == 1)
    if clipped:
        blocks = _away_from_clipping(blocks)
    axes = _OPPONENT if channels == 3 else np.ones((1, 1))
    levels = np.array([_brightness(block) for block in blocks]) if clipped else None
    brightness, *color = (_noise_along(axis, blocks, levels) for axis in axes)
    return 255 * (color[0] if color and color[0] > brightness / 8 else brightness)


def _split(windows: NDArray[Any], parts: int) -> list[NDArray[Any]]:
    """Split the rows and the columns of windows into a number of parts each."""
    return [
        part
        for rows in np.array_split(windows, parts)
        for part in np.array_split(rows, parts, axis=1)
    ]


def _large(blocks: list[Pixels]) -> list[Pixels]:
    """Return the blocks with enough patches for a covariance."""
    return [block for block in blocks if len(block) > 4 * _PATCH**2]


def _away_from_clipping(blocks: list[Pixels]) -> list[Pixels]:
    """Return the patches with means farthest from black and white, at least a tenth of all."""
    distances = [0.5 - np.abs(block.mean(axis=(1, 2)) - 0.5) for block in blocks]
    for margin in (0.3, 0.2, 0.1, 0.05):
        kept = [block[far > margin] for block, far in zip(blocks, distances, strict=True)]
        kept = _large(kept)
        if sum(map(len, kept)) > sum(map(len, blocks)) / 10:
            return kept
    return blocks


def _noise_along(
    axis: NDArray[np.float64], blocks: list[Pixels], brightness: NDArray[np.intp] | None
) -> float:
    """Return the standard deviation along an axis of color space, in the smoothest blocks.

    Args:
        brightness: how often each level occurs in each block, if pixels are clipped.
    """
    moments = np.array([_moments(axis, block) for block in blocks])

    def deviation(chosen: NDArray[np.intp]) -> float:
        found = _smallest_deviation(moments[chosen].sum(axis=0))
        return found if brightness is None else _unclip(found, brightness[chosen].sum(axis=0))

    levels = np.array([deviation(np.array([index])) for index in range(len(blocks))])
    return deviation(np.flatnonzero(levels <= 1.15 * np.quantile(levels, 0.1)))


def _moments(axis: NDArray[np.float64], block: Pixels) -> NDArray[np.float64]:
    """Return the sums of products of the pixels of a patch and 1, along an axis of color space.

    The last row has the sums of the pixels and the number of patches.
    """
    import cv2

    along = cv2.transform(block, axis[None].astype(np.float32))
    extended = np.concatenate([along, np.ones((len(block), 1))], axis=1, dtype=np.float64)
    return np.asarray(extended.T @ extended)


def _brightness(block: Pixels) -> NDArray[np.intp]:
    """Count how often each level occurs in about 300 patches, as the mean of 2 x 2 pixels."""
    some = block[:: len(block) // 300 + 1]
    pixels = some.reshape(len(some), _PATCH, _PATCH, -1)
    pairs = pixels[:, ::2] + pixels[:, 1::2]
    means = (pairs[:, :, ::2] + pairs[:, :, 1::2]) / 4
    levels = np.rint(means * (_LEVELS - 1)).astype(np.intp)
    return np.bincount(levels.ravel(), minlength=_LEVELS)


def _unclip(found: float, brightness: NDArray[np.intp]) -> float:
    """Return the standard deviation that clipping reduces to one at these levels."""
    present = np.flatnonzero(brightness)
    means, weights = present / (_LEVELS - 1), brightness[present] / brightness.sum()
    sigma = found
    for _ in range(5 if found else 0):
        sigma *= found / math.sqrt(weights @ _clipped_variance(means, sigma))
    return sigma


def _smallest_deviation(moments: NDArray[np.float64]) -> float:
    """Average as many of the smallest eigenvalues as have a median that is not below their mean."""
    sums, count = moments[-1, :-1], moments[-1, -1]
    covariance = (moments[:-1, :-1] - np.outer(sums, sums) / count) / (count - 1)
    eigenvalues = np.linalg.eigvalsh(covariance).clip(0)  # in ascending order
    counts = np.arange(1, len(eigenvalues) + 1)
    medians = (eigenvalues[(counts - 1) // 2] + eigenvalues[counts // 2]) / 2
    count = counts[medians >= eigenvalues.cumsum() / counts].max()
    return float(np.sqrt(eigenvalues[:count].mean()))


def _clipped_variance(means: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Return the variance of normal variables with these means after clipping to [0, 1]."""
    (shift_low, square_low), (shift_high, square_high) = (
        _clipped_moments(distance / sigma) for distance in (means, 1 - means)
    )
    variance = 1 + square_low + square_high - (shift_low - shift_high) ** 2
    return np.asarray(variance * sigma**2, np.float64)


def _clipped_moments(
    distance: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return by how much clipping changes the mean and mean square of standard normal variables.

    Args:
        distance: of the limit below the variables, in standard deviations.
    """
    from scipy.special import ndtr

    shift, square = np.zeros_like(distance), np.zeros_like(distance)
    near = distance < 6.5  # beyond it, all terms are below 1e-9
    z = distance[near]
    beyond, density = ndtr(-z), np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    shift[near] = density - z * beyond
    square[near] = (z**2 - 1) * beyond - z * density
    return shift, square
