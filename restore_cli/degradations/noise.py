"""Noise: white and Gaussian as in the field's benchmarks, or as a camera makes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from restore_cli.degradations import Degradation, Random, photo_noise
from restore_cli.errors import UsageError
from restore_cli.image import Pixels
from restore_cli.levels import Levels, Range
from restore_cli.noise import Levels as Parts
from restore_cli.noise import Noise as Found
from restore_cli.noise import split, split_white
from restore_cli.tasks.denoise import Denoise

MISTAKE = 0.15  # deviation of the logarithm of levels that networks learn to live with
WHITEST = 50.0  # levels up to which white noise is drawn where none is given


@dataclass(frozen=True)
class Noise(Degradation):
    """Noise over a photo.

    Attributes:
        sigma: standard deviation on the 0..255 scale; None draws it.
        noise: "gaussian"; "camera", whose strength at middle gray is about `sigma`; or "random",
            whose spectrum, color and dependence on brightness are.
    """

    protocol: ClassVar[str] = (
        "Gaussian noise of sigma / 255 added in float and "
        "not clipped, numpy's RandomState(0) anew for each image, in RGB order"
    )
    levels: ClassVar[Levels] = {"sigma": Range(0, 75)}
    validation: ClassVar[tuple[Levels, ...]] = ({"sigma": 15}, {"sigma": 25}, {"sigma": 50})

    sigma: float | None = None
    noise: str = "gaussian"

    def __post_init__(self) -> None:
        if self.sigma is not None:
            Denoise(self.sigma)  # refuses what is out of range
        if self.noise not in photo_noise.NOISES:
            raise UsageError(
                f"The noise is {self.noise!r}; choose {', '.join(photo_noise.NOISES)}."
            )

    def task(self) -> Denoise:
        """By the level of white noise; that of a camera is not what its files show."""
        return Denoise(self.sigma if self.noise == "gaussian" else None)

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Add noise of `sigma`, or of a random level where that is None.

        Gaussian noise is added in float and unclipped, in H x W x C order, as benchmarks have it.
        With the other kinds of `photo_noise.add_noise` images become files of 8 bits, most of them
        JPEGs.
        """
        return self._apply(clean, rng)[0]

    def pair(self, clean: Pixels, rng: Random) -> tuple[Denoise, Pixels, Pixels]:
        """Say the noise that there is, or where it is drawn here about as well as it can be
        measured.
        """
        observed, parts = self._apply(clean, rng)
        if self.sigma is None:
            parts = parts * np.exp(rng.normal(0, MISTAKE) + rng.normal(0, MISTAKE, 3))
        level = min(float(np.linalg.norm(parts)), 255)
        found = Found(level, self.noise == "gaussian", tuple(parts))
        return Denoise(self.sigma, found), observed, clean

    def _apply(self, clean: Pixels, rng: Random) -> tuple[Pixels, Parts]:
        """A noisy image, and what its noise is made of."""
        sigma = self.sigma
        if self.noise == "gaussian":
            sigma = rng.uniform(0, WHITEST) if sigma is None else sigma
            noisy = photo_noise.add_noise(clean, self.noise, sigma, rng)
            return noisy, split_white(sigma, clean.shape[2])
        sigma = photo_noise.draw_level(rng) if sigma is None else sigma
        observed, added = photo_noise.noisy_file(clean, self.noise, sigma, rng)
        return observed, split(added)
