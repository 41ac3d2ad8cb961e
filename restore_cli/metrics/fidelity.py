"""Metrics of the distance from a reference: PSNR, SSIM and PSNR-B with the usual settings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from restore_cli.image import Pixels

_ROWS = 64  # of a part of an image
SSIM_WINDOW = 11  # pixels; smaller images have no SSIM


def psnr(image: Pixels, reference: Pixels) -> float:
    """Return the peak signal-to-noise ratio in dB over all samples; infinite for equal images.

    Args:
        image, reference: arrays of the same shape, 1 is white.

    Raises:
        ValueError: the shapes differ.
    """
    if image.shape != reference.shape:
        raise ValueError(f"shapes differ: {image.shape} and {reference.shape}")
    error = sum(  # a part at a time saves memory
        np.square(np.subtract(image[part], reference[part], dtype=np.float64)).sum()
        for part in (slice(top, top + _ROWS) for top in range(0, len(image), _ROWS))
    )
    return math.inf if error == 0 else float(10 * np.log10(image.size / error))


def ssim(image: Pixels, reference: Pixels) -> float:
    """Return the structural similarity of Wang et al. 2004, mean over channels, in [-1, 1].

    The usual settings: Gaussian window 11x11 of sigma 1.5, K 0.01 and 0.03, population covariance,
    no downsampling first.

    Args:
        image, reference: H x W x C in [0, 1], at least SSIM_WINDOW pixels a side.
    """
    from skimage.metrics import structural_similarity  # half a second to import

    channels = [
        structural_similarity(  # type: ignore[no-untyped-call]
            image[..., channel],
            reference[..., channel],
            data_range=1.0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for channel in range(image.shape[2])
    ]
    return float(np.mean(channels))


def psnr_b(image: Pixels, reference: Pixels) -> float:
    """Return PSNR-B in dB, a PSNR that also counts blocks as error.

    Yim and Bovik, "Quality Assessment of Deblocked Images", IEEE Transactions on Image Processing
    20(1), 2011: the mean squared error is increased by how much more neighbors differ across the
    edges of JPEG blocks than elsewhere, in the image alone.

    Args:
        image, reference: H x W x 1 in [0, 1], luma; blocks of 8 x 8 pixels start at the corner.

    Raises:
        ValueError: the shapes differ, or there are several channels.
    """
    if image.shape != reference.shape or image.shape[2] != 1:
        raise ValueError(f"shapes must be H x W x 1 and equal: {image.shape} and {reference.shape}")
    plane = image[..., 0].astype(np.float64)
    steps = [np.square(np.diff(plane, axis=0)), np.square(np.diff(plane, axis=1).T)]
    edges = np.concatenate([step[7::8].ravel() for step in steps])
    others = np.concatenate([np.delete(step, np.s_[7::8], axis=0).ravel() for step in steps])
    error = np.mean(np.square(np.subtract(image, reference, dtype=np.float64)))
    if edges.size and min(plane.shape) > 1 and edges.mean() > others.mean():
        error += math.log(8) / math.log(min(plane.shape)) * (edges.mean() - others.mean())
    return math.inf if error == 0 else float(-10 * np.log10(error))
