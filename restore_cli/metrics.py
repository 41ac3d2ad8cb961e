"""How good a picture is: PSNR and SSIM as the field measures them, and its noise without a reference."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


def psnr(image: Image, reference: Image, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB, one mean squared error over all samples; infinite if equal.

    Args:
        image, reference: arrays of one shape, on a scale where `peak` is white.
    """
    if image.shape != reference.shape:
        raise ValueError(f"shapes differ: {image.shape} and {reference.shape}")
    error = np.mean(np.square(np.subtract(image, reference, dtype=np.float64)))
    return math.inf if error == 0 else float(10 * np.log10(peak**2 / error))


def ssim(image: Image, reference: Image) -> float:
    """Structural similarity of Wang et al. 2004, mean over channels, in [-1, 1].

    The field's settings: Gaussian window 11x11 of sigma 1.5, K 0.01 and 0.03, population covariance,
    no down-sampling first.

    Args:
        image, reference: H x W x C in [0, 1], at least 11 pixels a side.
    """
    from skimage.metrics import structural_similarity  # half a second to import

    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            image,
            reference,
            data_range=1.0,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def estimate_noise(image: Image, patch: int = 6, samples: int = 40_000) -> float:
    """Standard deviation of white noise in an image, on the 0..255 scale, from the image alone.

    Chen, Zhu and Heng, "An Efficient Statistical Method for Image Noise Level Estimation", ICCV 2015:
    patches of a clean image lie near a low-dimensional subspace, so the smallest eigenvalues of their
    covariance are the noise variance; the largest are dropped until mean and median of the rest agree.
    Clipping at black and white hides noise, so that a second round keeps only patches whose mean is two
    standard deviations away from both.

    Args:
        image: H x W x C in [0, 1]; smaller than two patches a side gives 0.
        patch: side of a patch.
        samples: patches used at most, spread evenly over the image.
    """
    height, width, channels = image.shape
    if min(height, width) < 2 * patch:
        return 0.0
    stride = max(2, math.ceil(math.sqrt(height * width / samples)))
    windows = np.lib.stride_tricks.sliding_window_view(image, (patch, patch), (0, 1))
    vectors = windows[::stride, ::stride].reshape(-1, channels * patch * patch)
    means = vectors.mean(axis=1)
    sigma = _smallest_deviation(vectors)
    for _ in range(2):
        inside = vectors[np.abs(means - 0.5) < 0.5 - 2 * min(sigma, 0.2)]
        if len(inside) > 4 * vectors.shape[1]:
            sigma = _smallest_deviation(inside)
    return 255 * sigma


def _smallest_deviation(vectors: Image) -> float:
    eigenvalues = np.linalg.eigvalsh(np.cov(vectors, rowvar=False)).clip(0)
    for count in range(len(eigenvalues), 1, -1):
        if np.median(eigenvalues[:count]) >= eigenvalues[:count].mean():
            return float(np.sqrt(eigenvalues[:count].mean()))
    return float(np.sqrt(eigenvalues[0]))
