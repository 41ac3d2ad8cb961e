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


def to_gray(image: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Convert RGB to full-range gray, H x W x 1, with the same range and dtype; keep gray."""
    if image.shape[2] == 1:
        return image
    return (image @ np.array([0.299, 0.587, 0.114], image.dtype))[..., None]


def to_rgb(image: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Convert gray to H x W x 3 with three equal channels; keep RGB."""
    return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)
