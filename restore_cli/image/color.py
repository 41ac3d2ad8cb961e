"""From color to gray and back, by ITU-R BT.601."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def luma(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the ITU-R BT.601 studio-range Y of H x W x 3 in [0, 1] as H x W in [16/255,
    235/255].
    """
    weights = np.array([65.481, 128.553, 24.966]) / 255
    return rgb @ weights.astype(rgb.dtype) + rgb.dtype.type(16 / 255)


def to_gray(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the full-range BT.601 gray of H x W x 3 as H x W x 1, same range and dtype."""
    return (rgb @ np.array([0.299, 0.587, 0.114], rgb.dtype))[..., None]


def to_rgb(gray: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return H x W x 1 as H x W x 3 of three equal channels."""
    return np.repeat(gray, 3, axis=2)
