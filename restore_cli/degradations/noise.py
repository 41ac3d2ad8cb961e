"""Noise: white and Gaussian as in the usual benchmarks, of a camera, or of a random kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from restore_cli.degradations import Degradation, Random, photo_noise
from restore_cli.image import Pixels, round_to_bytes
from restore_cli.levels import Levels, Range
from restore_cli.noise import Noise as Found
from restore_cli.noise import Parts, split, split_white
from restore_cli.tasks.denoise import Denoise

MISTAKE = 0.15  # deviation of the logarithm of given levels; networks learn to tolerate errors
WHITEST = 50.0  # highest level of white noise if no level is given


@dataclass(frozen=True)
class Noise(Degradation):
    """Noise over an image.

    Attributes:
        sigma: standard deviation on the 0..255 scale; None draws one for each image.
        noise: "gaussian"; "camera", with about this `sigma` at middle gray; or "random", with
            random spectrum, color and dependence on brightness.
        rounded: whether the image with Gaussian noise is clipped and rounded to 8 bits, as the
            files of the other kinds always are.
    """

    protocol: ClassVar[str] = (
        "Gaussian noise of sigma / 255 added in float and "
        "not clipped, numpy's RandomState(0), restarted for each image, in RGB order"
    )
    levels: ClassVar[Levels] = {"sigma": Range(0, 75)}
    validation: ClassVar[tuple[Levels, ...]] = ({"sigma": 15}, {"sigma": 25}, {"sigma": 50})

    sigma: float | None = None
    noise: photo_noise.NoiseKind = "gaussian"
    rounded: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma is not None:
            Denoise(self.sigma)  # raises an error if it is out of range

    def describe(self) -> str:
        """Describe how benchmarks degrade a clean image with these levels."""
        if self.noise == "gaussian":
            if self.sigma is None:
                drawn = "a level of 0 to 50, drawn once for all images,"
                return self.protocol.replace("sigma / 255", drawn)
            return f"{self.protocol}, rounded to 8 bits" if self.rounded else self.protocol
        return (
            f"{self.noise} noise and its file of 8 bits or JPEG, drawn by numpy's RandomState(0),"
            " restarted for each image"
        )

    def task(self) -> Denoise:
        """Return the task with the level of white noise; in a camera's files the level differs."""
        return Denoise(self.sigma if self.noise == "gaussian" else None)

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Add noise of level `sigma`, or of a random level if it is None.

        Gaussian noise is drawn in H x W x C order, added in float and not clipped, as in the usual
        benchmarks, unless it is `rounded`. With the other kinds of `photo_noise.add_noise`, images
        become 8-bit files, most of them JPEG.
        """
        return self._apply(clean, rng)[0]

    def pair(self, clean: Pixels, rng: Random) -> tuple[Denoise, Pixels, Pixels]:
        """Make a pair for training, with a task that knows the noise.

        If `sigma` is None, the task knows it about as well as it can be measured.
        """
        observed, parts = self._apply(clean, rng)
        if self.sigma is None:
            parts = parts * np.exp(rng.normal(0, MISTAKE) + rng.normal(0, MISTAKE, 3))
        return Denoise(self.sigma, self._find(parts)), observed, clean

    def real_pair(self, clean: Pixels, observed: Pixels) -> tuple[Denoise, Pixels, Pixels]:
        """Make a pair for training from a real one; its noise is the difference of both images."""
        return Denoise(found=self._find(split(observed - clean))), observed, clean

    def _find(self, parts: Parts) -> Found:
        """Return noise of these parts as if it was measured."""
        level = min(float(np.linalg.norm(parts)), 255)
        return Found(level, self.noise == "gaussian", tuple(parts))

    def _apply(self, clean: Pixels, rng: Random) -> tuple[Pixels, Parts]:
        """Return a noisy image, and the parts that its noise consists of."""
        sigma = self.sigma
        if self.noise == "gaussian":
            sigma = rng.uniform(0, WHITEST) if sigma is None else sigma
            noisy = photo_noise.add_noise(clean, self.noise, sigma, rng)
            noisy = round_to_bytes(noisy) if self.rounded else noisy
            return noisy, split_white(sigma, clean.shape[2])
        sigma = photo_noise.draw_level(rng) if sigma is None else sigma
        observed, added = photo_noise.noisy_file(clean, self.noise, sigma, rng)
        return observed, split(added)
