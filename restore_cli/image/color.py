"""Conversion between color and gray by ITU-R BT.601."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def luma(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the studio-range luma Y of an RGB image.

    Args:
        rgb: H x W x 3 in [0, 1].

    Returns:
        H x W in [16/255, 235/255], with the same dtype.
    """
    weights = np.array([65.481, 128.553, 24.966]) / 255
    return rgb @ weights.astype(rgb.dtype) + rgb.dtype.type(16 / 255)


def to_gray(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Convert H x W x 3 to full-range gray, H x W x 1, with the same range and dtype."""
    return (rgb @ np.array([0.299, 0.587, 0.114], rgb.dtype))[..., None]


def to_rgb(gray: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Convert H x W x 1 to H x W x 3 with three equal channels."""
    return np.repeat(gray, 3, axis=2)
