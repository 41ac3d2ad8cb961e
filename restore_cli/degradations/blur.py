"""Blur: out of focus, motion, or Gaussian.

RED-Net (section 5.5) trains one network for each of these kernels, and does not state their
sizes. Its authors' code blurs 8-bit color photos with repeated borders, by a disk of radius 7 (size
14) or a Gaussian of standard deviation 1.6 cut to 25x25 pixels (size 6.4, window 25): border
"replicate", rounded true. Length and angle of its motion blur are not stated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np

from restore_cli.blur import KERNELS, SHARP, Blurring, Kernel, blur_kernel
from restore_cli.degradations import Degradation, Random, photo_noise
from restore_cli.degradations.grain import mottle
from restore_cli.errors import UsageError
from restore_cli.image import Pixels, round_to_bytes
from restore_cli.levels import Choice, Levels, Range
from restore_cli.tasks import Task
from restore_cli.tasks.deblur import Deblur

Border = Literal["mirror", "replicate"]
Style = Literal["plain", "photo"]
_RIGHT = 0.9  # share of the estimates of a blur in training that have the right shape
_SIZE_ERROR = (0.03, 0.2)  # deviations of their sizes: relative, and in pixels
_END_ERROR = 0.4  # deviation in pixels of the end of a motion, across it
_GAMMA = 2.2  # of the light on a sensor, approximately that of sRGB


@dataclass(frozen=True)
class Blur(Degradation):
    """Blur by a kernel, followed by noise.

    Attributes:
        kernel: "disk", "motion" or "gaussian", see `blur_kernel`; or "none" for a sharp photo,
            which must not be changed.
        size: size of the kernel in pixels, 1 (no blur) to 31.
        angle: angle of the motion in degrees, counterclockwise from the horizontal; None draws one
            for each image.
        noise: standard deviation of the noise added after the blur, on the 0..255 scale.
        window: odd side in pixels to which the kernel is cropped or padded; 0 keeps it as it is.
        border: how the image continues beyond its edges: "mirror", or "replicate" the edge pixels.
        rounded: whether the blurred image is rounded to 8 bits.
        style: "plain" blurs the values of pixels and adds white noise; "photo" blurs the light,
            adds noise of a random kind, and saves the photo as a file, mostly JPEG.
    """

    protocol: ClassVar[str] = (
        "blur and noise drawn by numpy's RandomState(0), restarted for each image"
    )
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

    kernel: Kernel | Literal["none"] = "gaussian"
    size: float = 7
    angle: float | None = None
    noise: float = 0
    window: int = 0
    border: Border = "mirror"
    rounded: bool = False
    style: Style = "plain"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.size <= 31:
            raise UsageError(
                f"{self.size:g} is not a valid kernel size; expected pixels from 1 to 31."
            )
        if not 0 <= self.noise <= 255:
            raise UsageError(
                f"{self.noise:g} is not a valid noise; expected a standard deviation from 0 to 255."
            )
        if self.window and (self.window % 2 == 0 or not 1 <= self.window <= 63):
            raise UsageError(
                f"{self.window:g} is not a valid kernel window; expected an odd side from 1 to 63,"
                " or 0."
            )

    def describe(self) -> str:
        """Describe how benchmarks degrade a clean image with these levels."""
        if self.style == "photo":
            return f"{self.protocol}, in linear light, and its file of 8 bits or JPEG"
        return f"{self.protocol}, rounded to 8 bits" if self.rounded else self.protocol

    def task(self) -> Task:
        """Return the task, which has no option for the kernel."""
        return Deblur()

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Blur, add noise, and clip to [0, 1]; a mirrored border repeats the edge pixel."""
        if self.style == "photo":
            light = self._blur(np.asarray(clean**_GAMMA, np.float32), rng)
            photo = np.asarray(light.clip(0, 1) ** (1 / _GAMMA), np.float32)
            noisy = mottle(photo, self.noise, rng).clip(0, 1) if self.noise else photo
            return photo_noise.save(noisy, rng)
        blurred = self._blur(clean, rng)
        if self.noise:
            noise = rng.standard_normal(clean.shape) * (self.noise / 255)
            blurred = np.asarray(blurred + noise, np.float32)
        observed = blurred.clip(0, 1)
        return round_to_bytes(observed) if self.rounded else observed

    def pair(self, clean: Pixels, rng: Random) -> tuple[Task, Pixels, Pixels]:
        """Make a pair for training, whose task has a rough estimate of the blur.

        The target of a sharp photo is the photo with its noise.
        """
        drawn = self.with_angle(rng)
        observed = drawn.apply(clean, rng)
        task = Deblur(_misjudge(drawn.blurring, rng))
        return task, observed, observed if self.kernel == SHARP else clean

    def with_angle(self, rng: Random) -> Self:
        """Return this blur with an angle, which is drawn unless it is set."""
        if self.angle is not None:
            return self
        return replace(self, angle=float(rng.uniform(0, 180)))

    @property
    def blurring(self) -> Blurring:
        """The kernel, size and angle."""
        return Blurring(self.kernel, self.size, self.angle or 0.0)

    def _blur(self, image: Pixels, rng: Random) -> Pixels:
        import cv2

        if self.kernel == SHARP:
            return image
        angle = self.with_angle(rng).angle or 0.0
        kernel = blur_kernel(self.kernel, self.size, angle, self.window)
        border = cv2.BORDER_REFLECT if self.border == "mirror" else cv2.BORDER_REPLICATE
        blurred = cv2.filter2D(image, -1, kernel, borderType=border)
        return np.asarray(blurred.reshape(image.shape), np.float32)


def _misjudge(blurring: Blurring, rng: Random) -> Blurring:
    """Estimate a known blur as `measure_blur` would: roughly, and sometimes wrongly."""
    right = rng.uniform() < _RIGHT
    if blurring.kernel == SHARP:
        wrong = KERNELS[rng.choice(len(KERNELS))]
        return blurring if right else Blurring(wrong, rng.uniform(1, 4), rng.uniform(0, 180))
    kernel = blurring.kernel if right else ("disk", "gaussian", SHARP)[rng.choice(3)]
    size = blurring.size * math.exp(_SIZE_ERROR[0] * rng.standard_normal())
    size += _SIZE_ERROR[1] * rng.standard_normal()
    turn = math.degrees(_END_ERROR * rng.standard_normal() / blurring.size)
    return Blurring(kernel, max(size, 0.0), (blurring.angle + turn) % 180)
