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


def estimate_noise(image: Image, samples: int = 40_000) -> float:
    """Standard deviation of white noise in an image, on the 0..255 scale, from the image alone.

    Chen, Zhu and Heng, "An Efficient Statistical Method for Image Noise Level Estimation", ICCV 2015:
    patches of a clean image lie near a low-dimensional subspace, so the smallest eigenvalues of their
    covariance are the noise variance; the largest are dropped until mean and median of the rest agree.

    Clipping at black and white hides noise. A second round therefore keeps only patches whose mean is two
    standard deviations away from both, and where samples are clipped there too, the level is raised to the
    one that clipping reduces to what was found.

    Args:
        image: H x W x C in [0, 1]; fewer than 20 pixels a side give 0.
        samples: patches used at most, spread evenly over the image.
    """
    height, width, channels = image.shape
    if min(height, width) < 20:
        return 0.0
    patch = 10 if channels == 1 else 6  # about a hundred samples
    stride = max(2, math.ceil(math.sqrt(height * width / samples)))
    windows = np.lib.stride_tricks.sliding_window_view(image, (patch, patch), (0, 1))
    vectors = windows[::stride, ::stride].reshape(-1, channels * patch * patch)
    means = vectors.reshape(len(vectors), channels, -1).mean(axis=2)
    found = _smallest_deviation(vectors)
    for _ in range(2):
        inside = np.abs(means.mean(axis=1) - 0.5) < 0.5 - 2 * min(found, 0.2)
        if inside.sum() > 4 * vectors.shape[1]:
            vectors, means = vectors[inside], means[inside]
            found = _smallest_deviation(vectors)
    sigma = found
    if image.min() == 0 or image.max() == 1:
        for _ in range(5):
            sigma *= found / math.sqrt(_clipped_variance(means, sigma).mean()) if sigma else 1
    return 255 * sigma


def _smallest_deviation(vectors: Image) -> float:
    eigenvalues = np.linalg.eigvalsh(np.cov(vectors, rowvar=False)).clip(0)
    for count in range(len(eigenvalues), 1, -1):
        if np.median(eigenvalues[:count]) >= eigenvalues[:count].mean():
            return float(np.sqrt(eigenvalues[:count].mean()))
    return float(np.sqrt(eigenvalues[0]))


def _clipped_variance(means: Image, sigma: float) -> NDArray[np.float64]:
    """Variance of normal variables about these means once they are clipped to [0, 1]."""
    from scipy.special import ndtr

    low, high = -means / sigma, (1 - means) / sigma
    density_low, density_high = (np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) for z in (low, high))
    below, above = ndtr(low), ndtr(-high)
    within = 1 - below - above
    mean = low * below + high * above + density_low - density_high
    square = low**2 * below + high**2 * above + within + low * density_low - high * density_high
    return np.asarray((square - mean**2) * sigma**2, np.float64)
