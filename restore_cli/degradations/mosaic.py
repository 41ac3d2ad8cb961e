"""The Bayer mosaic of a sensor: one color of each pixel is kept, the others are interpolated."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from restore_cli.image import Pixels

Interpolation = Literal["bilinear", "gradient", "edges"]
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)

_TENT = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
# The filters of Malvar, He and Cutler, in sixteenths: green at red and blue pixels; red (or blue)
# at green pixels with such neighbors in the row; red at blue pixels, and blue at red ones.
_GREEN = np.array(
    [[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]]
)
_ROW = np.array(
    [[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2], [0, -2, 0, -2, 0], [0, 0, 1, 0, 0]]
)
_ACROSS = np.array(
    [[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]]
)


def interpolate(light: Pixels, corner: tuple[int, int], interpolation: Interpolation) -> Pixels:
    """Keep the one sample per pixel that a Bayer sensor has, and interpolate the others.

    Args:
        light: H x W x 3.
        corner: row and column, 0 or 1, of the first red sample.
        interpolation: "bilinear", "gradient" or "edges"; see `camera.Camera`.
    """
    import cv2

    height, width = light.shape[:2]
    row, column = corner
    mosaic = np.empty((height, width), np.float32)
    sites = [(0, row, column), (1, row, 1 - column), (1, 1 - row, column), (2, 1 - row, 1 - column)]
    for channel, top, left in sites:
        mosaic[top::2, left::2] = light[top::2, left::2, channel]
    if interpolation == "edges":
        code = [
            [cv2.COLOR_BayerRGGB2RGB_EA, cv2.COLOR_BayerGRBG2RGB_EA],
            [cv2.COLOR_BayerGBRG2RGB_EA, cv2.COLOR_BayerBGGR2RGB_EA],
        ][row][column]
        # The offset leaves room for noise below black.
        scaled = (mosaic * 40_000 + 12_000).clip(0, 65_535).astype(np.uint16)
        colors = cv2.demosaicing(scaled, code).astype(np.float32)
        return np.asarray((colors - 12_000) / 40_000, np.float32)

    def spread(plane: Pixels, kernel: NDArray[np.float64]) -> Pixels:
        return np.asarray(
            cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32
        )

    image = np.empty_like(light)
    if interpolation == "bilinear":
        for channel in range(3):
            plane = np.zeros_like(mosaic)
            for _, top, left in (site for site in sites if site[0] == channel):
                plane[top::2, left::2] = mosaic[top::2, left::2]
            cross = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
            image[..., channel] = spread(plane, cross if channel == 1 else _TENT)
        return image
    image[:] = mosaic[..., None]
    kernels = (_GREEN, _ROW, _ROW.T, _ACROSS)
    green, in_row, in_column, across = (spread(mosaic, kernel / 16) for kernel in kernels)
    for channel, top, left in sites:
        here = np.s_[top::2, left::2]
        if channel == 1:
            red_row = top == row
            image[..., 0][here] = (in_row if red_row else in_column)[here]
            image[..., 2][here] = (in_column if red_row else in_row)[here]
        else:
            image[..., 1][here] = green[here]
            image[..., 2 - channel][here] = across[here]
    return image
