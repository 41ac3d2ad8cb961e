"""White noise, and filters for it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Random
from restore_cli.image import Pixels


def white_noise(shape: tuple[int, ...], rng: Random) -> Pixels:
    """Draw white noise of standard deviation 1."""
    if isinstance(rng, np.random.Generator):
        return rng.standard_normal(shape, np.float32)
    return rng.standard_normal(shape).astype(np.float32)


def gaussian_kernel(radius: float) -> NDArray[np.float64]:
    """Make a one-dimensional Gaussian kernel of sum 1; `radius` is its deviation in pixels."""
    reach = math.ceil(3 * radius)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    return np.asarray(kernel / kernel.sum(), np.float64)


def filter_image(image: Pixels, kernel: NDArray[np.float64]) -> Pixels:
    """Filter an image by a one-dimensional kernel in both directions, with mirrored borders."""
    import cv2

    filtered = cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    return np.asarray(filtered.reshape(image.shape), np.float32)


def sharpen(image: Pixels, rng: Random) -> Pixels:
    """Apply unsharp masking of random amount and radius."""
    blurred = filter_image(image, gaussian_kernel(rng.uniform(0.4, 1.5)))
    return image + np.float32(rng.uniform(0.1, 1.2)) * (image - blurred)
