"""Measures how much haze was removed from a photo."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore_cli.image import Pixels

SCENE = 384  # pixels on the long side at which a scene is judged
_NEAR = 15  # side in pixels of the areas that have something dark, if there is no haze
_DETAIL = 9  # side in pixels of the mean filter below which something is detail
_FLAT = 1 / 255  # contrast of detail that counts as none


def reduce_scene(image: Pixels, side: int = SCENE) -> Pixels:
    """Reduce an image, H x W x C, to a long side of at most `side` pixels."""
    import cv2
    import numpy as np

    height, width, channels = image.shape
    factor = min(1, side / max(height, width))
    tall, wide = (max(1, round(size * factor)) for size in (height, width))
    small = cv2.resize(image, (wide, tall), interpolation=cv2.INTER_AREA)
    return np.asarray(small.reshape(tall, wide, channels), np.float32)


def measure_removed(hazy: Pixels, clear: Pixels) -> tuple[float, float]:
    """Measure by how much a reduced scene became darker and clearer.

    Almost every area without haze has something dark or of a pure color: the dark channel prior of
    He, Sun and Tang, "Single Image Haze Removal Using Dark Channel Prior", CVPR 2009. Only haze
    also hides detail.

    Args:
        hazy, clear: h x w x C in [0, 1], before and after.

    Returns:
        By how much the darkest pixel near each pixel became darker on the 0..255 scale, on average;
        and the factor by which the contrast of detail rose, 0 if there was none.
    """
    import cv2
    import numpy as np

    def darkest(image: Pixels) -> Pixels:
        return np.asarray(cv2.erode(image.min(axis=2), np.ones((_NEAR, _NEAR), np.uint8)))

    def detail(image: Pixels) -> float:
        bright = image.mean(axis=2)
        return float((bright - cv2.blur(bright, (_DETAIL, _DETAIL))).std())

    darker = 255 * float((darkest(hazy) - darkest(clear)).mean())
    before = detail(hazy)
    return darker, 0.0 if before < _FLAT else detail(clear) / before
