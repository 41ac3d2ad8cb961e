"""Noise: white and Gaussian as in the field's benchmarks, or as a camera makes it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from restore_cli.errors import UsageError
from restore_cli.metrics import estimate_noise
from restore_cli.tasks import Feed, Image, Random, Task, option, round_to_bytes, span

if TYPE_CHECKING:
    from restore_cli.engine import Geometry
    from restore_cli.image import Picture


NOISES = ("gaussian", "camera")
GAMMA = 2.2


def parse_sigma(word: str) -> float | None:
    """A number, or "auto"."""
    try:
        return None if word == "auto" else float(word)
    except ValueError as error:
        raise UsageError(f"Sigma is {word!r}; give a number from 0 to 255, or auto.") from error


@dataclass(frozen=True)
class Denoise(Task):
    """Remove noise from photos.

    Attributes:
        sigma: standard deviation of the noise on the 0..255 scale; None estimates it from each photo.
        noise: what `degrade` adds: "gaussian", or "camera", whose strength at middle gray is about `sigma`.
    """

    name: ClassVar[str] = "denoise"
    suffix: ClassVar[str] = "denoised"
    protocol: ClassVar[str] = (
        "Gaussian noise of sigma / 255 added in float and "
        "not clipped, numpy's RandomState(0) anew for each image, in RGB order"
    )
    levels: ClassVar[Mapping[str, Any]] = {"sigma": [0, 75]}
    validation: ClassVar[tuple[Mapping[str, Any], ...]] = ({"sigma": 15}, {"sigma": 25}, {"sigma": 50})

    sigma: float | None = option(
        None,
        help="Standard deviation of the noise on the 0..255 scale; auto estimates it from each photo.",
        metavar="FLOAT|auto",
        parse=parse_sigma,
    )
    noise: str = "gaussian"

    def __post_init__(self) -> None:
        if self.sigma is not None and not 0 <= self.sigma <= 255:
            raise UsageError(
                f"Sigma is {self.sigma:g}; give the noise's standard deviation from 0 to 255, or auto."
            )
        if self.noise not in NOISES:
            raise UsageError(f"The noise is {self.noise!r}; choose {', '.join(NOISES)}.")

    def degrade(self, clean: Image, rng: Random) -> Image:
        """Add noise of `sigma`.

        Gaussian noise is added in float and unclipped, drawn in H x W x C order. For a camera's see
        `photograph`; it is clipped and rounded to 8 bits, as the files of cameras are.
        """
        if self.sigma is None:
            raise UsageError("Adding noise needs a sigma.")
        if self.noise == "camera":
            return photograph(clean, self.sigma, rng)
        noise = rng.standard_normal(clean.shape)
        noise *= self.sigma / 255
        noise += clean
        return noise.astype(np.float32)

    def prepare(
        self, pixels: Image, trained: Mapping[str, Any], geometry: Geometry, picture: Picture | None = None
    ) -> Feed:
        """Give the noise level as a constant plane, held to the range that the network knows."""
        sigma = (
            estimate_noise(pixels, picture.visible if picture else None) if self.sigma is None else self.sigma
        )
        low, high, known = span(trained.get("sigma", [0, 255]))
        warnings: tuple[str, ...] = ()
        if not geometry.conditions and not 0.8 * low <= sigma <= 1.2 * high:
            warnings = (
                f"The model was trained for sigma {known}, the noise is {sigma:.1f}; use --model house.",
            )
        elif geometry.conditions and sigma > high:
            warnings = (
                f"The model knows noise up to sigma {high:g}; sigma {sigma:.1f} is treated as {high:g}.",
            )
        conditions = (min(max(sigma, low), high) / 255,) if geometry.conditions else ()
        noise = sigma if self.sigma is None else None
        return Feed(pixels, conditions, {"sigma": round(sigma, 2)}, warnings, noise)


def photograph(clean: Image, sigma: float, rng: Random) -> Image:
    """Noise of a sensor, carried through what a camera does with it.

    Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019: gamma and white balance are
    undone, shot and read noise are added to the linear light, white balance and gamma are done again. The
    ranges of the gains and the relation of read to shot noise are the paper's; its colour matrix and tone
    curve are left out. Colour noise is that of a Bayer mosaic, interpolated bilinearly, so it comes in
    blotches; the clean image loses no detail by it. Half of the results are JPEGs, as photos mostly are.

    Args:
        clean: H x W x C in [0, 1]; gray has neither mosaic nor white balance.
        sigma: about the standard deviation at middle gray, on the 0..255 scale; gamma makes it larger in the
            dark though there is less noise in the light there, white balance in red and blue.
        rng: draws gains, noise, and the JPEG's quality from 75 to 100.
    """
    from restore_cli.image import compress

    channels = clean.shape[2]
    gains = np.ones(channels, np.float32)
    if channels == 3:
        gains[[0, 2]] = rng.uniform(1.9, 2.4), rng.uniform(1.5, 1.9)
    light = clean ** np.float32(GAMMA)
    shot, read = _sensor_noise(sigma, float(rng.normal(0, 0.26)))
    noise = rng.standard_normal(clean.shape).astype(np.float32)
    noise *= np.sqrt(np.float32(shot) * light / gains + np.float32(read)) * gains
    if channels == 3:
        noise = _interpolate_mosaic(noise, rng)
    photo = (light + noise).clip(0, 1) ** np.float32(1 / GAMMA)
    return compress(photo, int(rng.uniform(75, 101))) if rng.uniform() < 0.5 else round_to_bytes(photo)


def _sensor_noise(sigma: float, spread: float) -> tuple[float, float]:
    """Shot and read noise, the variance of a linear signal x being shot * x + read.

    The paper relates them up to a shot noise of 0.012; beyond it they grow alike, lest blacks drown.
    """
    shots = np.concatenate([[0], np.geomspace(1e-8, 10, 400)])
    reads = shots * np.minimum(shots, 0.012) ** 1.18 * math.exp(1.20 + spread)
    gray = 0.5**GAMMA
    slope = 0.5 ** (1 - GAMMA) / GAMMA  # of the gamma curve at middle gray
    shot = float(np.interp(sigma / 255, slope * np.sqrt(shots * gray + reads), shots))
    return shot, max((sigma / 255 / slope) ** 2 - shot * gray, 0.0)


def _interpolate_mosaic(noise: Image, rng: Random) -> Image:
    """Keep the one sample of each pixel that a Bayer sensor has, and interpolate the others bilinearly."""
    import cv2

    row, column = (int(rng.uniform(0, 2)) for _ in range(2))  # where the first red sample is
    mosaic = np.zeros_like(noise)
    for channel, top, left in ((0, 0, 0), (1, 0, 1), (1, 1, 0), (2, 1, 1)):
        rows, columns = slice((row + top) % 2, None, 2), slice((column + left) % 2, None, 2)
        mosaic[rows, columns, channel] = noise[rows, columns, channel]
    sparse = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 4
    green = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]], np.float32) / 4
    planes = [
        cv2.filter2D(mosaic[..., channel], -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        for channel, kernel in enumerate((sparse, green, sparse))
    ]
    return np.stack(planes, axis=2)
