"""Blur of a known kind: out of focus, moved, or soft.

RED-Net (section 5.5) trains one network for each of these kernels, in color, and does not state
their sizes. Its authors' released code blurs photos of 8 bits, whose borders it repeats, by a disk
of radius 7 (size 14) or by 25x25 pixels of a Gaussian of deviation 1.6 (size 6.4, window 25):
border "replicate", rounded true. Length and angle of its motion stand nowhere.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Degradation, Random
from restore_cli.errors import UsageError
from restore_cli.image import Pixels, round_to_bytes
from restore_cli.levels import Choice, Levels, Range
from restore_cli.tasks.deblur import Deblur

KERNELS = ("disk", "motion", "gaussian")
BORDERS = ("mirror", "replicate")


@dataclass(frozen=True)
class Blur(Degradation):
    """Blur by a kernel, and noise.

    Attributes:
        kernel: "disk", "motion" or "gaussian"; see `blur_kernel`.
        size: of the kernel in pixels, 1 (no blur) to 31.
        angle: of the motion in degrees, against the clock from the horizontal; None draws it for
            each image.
        noise: standard deviation of white noise added after the blur, on the 0..255 scale.
        window: side in pixels to which the kernel is cut or filled up, odd; 0 leaves it as it is.
        border: what lies beyond the photo, "mirror" or "replicate", its outermost pixels.
        rounded: whether the blurred photo is rounded to 8 bits.
    """

    protocol: ClassVar[str] = "blur and noise drawn by numpy's RandomState(0) anew for each image"
    levels: ClassVar[Levels] = {
        "kernel": Choice(KERNELS),
        "size": Range(1, 13),
        "noise": Range(0, 2),
    }
    validation: ClassVar[tuple[Levels, ...]] = (
        {"kernel": "disk", "size": 7},
        {"kernel": "motion", "size": 11, "angle": 45},
        {"kernel": "gaussian", "size": 7},
    )

    kernel: str = "gaussian"
    size: float = 7
    angle: float | None = None
    noise: float = 0
    window: int = 0
    border: str = "mirror"
    rounded: bool = False

    def __post_init__(self) -> None:
        if self.kernel not in KERNELS:
            raise UsageError(f"The kernel is {self.kernel!r}; choose {', '.join(KERNELS)}.")
        if not 1 <= self.size <= 31:
            raise UsageError(f"The kernel's size is {self.size:g}; give pixels from 1 to 31.")
        if not 0 <= self.noise <= 255:
            raise UsageError(f"Noise is {self.noise:g}; give a standard deviation from 0 to 255.")
        if self.window and (self.window % 2 == 0 or not 1 <= self.window <= 63):
            raise UsageError(
                f"The kernel's window is {self.window:g}; give an odd side from 1 to 63, or 0."
            )
        if self.border not in BORDERS:
            raise UsageError(f"The border is {self.border!r}; choose {', '.join(BORDERS)}.")

    def task(self) -> Deblur:
        """Nobody can say how it was blurred."""
        return Deblur()

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Blur, add noise, and clip to [0, 1]; what is mirrored repeats the edge pixel."""
        import cv2

        angle = float(rng.uniform(0, 180)) if self.angle is None else self.angle
        kernel = blur_kernel(self.kernel, self.size, angle, self.window)
        border = cv2.BORDER_REFLECT if self.border == "mirror" else cv2.BORDER_REPLICATE
        blurred = cv2.filter2D(clean, -1, kernel, borderType=border).reshape(clean.shape)
        if self.noise:
            blurred = blurred + rng.standard_normal(clean.shape) * (self.noise / 255)
        observed = np.asarray(blurred.clip(0, 1), np.float32)
        return round_to_bytes(observed) if self.rounded else observed


@functools.lru_cache(maxsize=64)
def blur_kernel(kind: str, size: float, angle: float = 0.0, window: int = 0) -> NDArray[np.float32]:
    """A kernel, k x k with k odd, symmetric about its middle, whose sum is 1.

    Args:
        kind: "disk" is what a lens out of focus makes of a point, "motion" a straight line, one
            pixel thick.
        size: the disk's diameter, the line's length, or four standard deviations of the Gaussian,
            which is then about as wide as the disk: their variances are equal.
        angle: of the line in degrees, against the clock from the horizontal.
        window: k, odd; 0 makes it as large as a disk or a line takes, or three deviations of a
            Gaussian.
    """
    reach = window // 2 if window else math.ceil(0.75 * size if kind == "gaussian" else size / 2)
    if kind == "gaussian":
        line = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * (size / 4) ** 2))
        kernel = np.outer(line, line)
    else:
        # Each pixel is a grid of points, of which it counts those inside the shape.
        points = (np.arange((2 * reach + 1) * 8) + 0.5) / 8 - (reach + 0.5)
        x, y = points[None, :], -points[:, None]
        if kind == "disk":
            inside = x**2 + y**2 <= (size / 2) ** 2
        else:
            cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            inside = (np.abs(cos * x + sin * y) <= size / 2) & (np.abs(cos * y - sin * x) <= 0.5)
        kernel = inside.reshape(2 * reach + 1, 8, 2 * reach + 1, 8).sum(
            axis=(1, 3), dtype=np.float64
        )
    return np.asarray(kernel / kernel.sum(), np.float32)
