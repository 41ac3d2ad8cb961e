"""Noise of any level and kind, for networks that learn to measure it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from restore_cli.degradations import Degradation, Random, photo_noise
from restore_cli.image import Pixels, to_rgb
from restore_cli.levels import Choice, Levels
from restore_cli.noise import from_plane, split, to_plane
from restore_cli.report.figures import Figure
from restore_cli.tasks.measuring import NoiseLevel

CLEAN = 0.05  # share of photos without noise, in addition to those of `photo_noise.draw_level`


@dataclass(frozen=True)
class AnyNoise(Degradation):
    """Noise of an unknown level.

    Attributes:
        noise: one of `photo_noise.NOISES`.
    """

    protocol: ClassVar[str] = "noise of a random level, saved as 8 bits or JPEG"
    headline_metric: ClassVar[Figure] = Figure("error", "dB", higher_is_better=True)
    levels: ClassVar[Levels] = {
        "noise": Choice(("gaussian", "camera", "camera", "random", "random"))
    }
    validation: ClassVar[tuple[Levels, ...]] = tuple(
        {"noise": noise} for noise in photo_noise.NOISES
    )

    noise: photo_noise.NoiseKind = "camera"

    def task(self) -> NoiseLevel:
        """Return the task of measuring the noise."""
        return NoiseLevel()

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Add noise of a random level, and save the image as a file."""
        return photo_noise.noisy_file(clean, self.noise, _draw_level(rng), rng)[0]

    def pair(self, clean: Pixels, rng: Random) -> tuple[NoiseLevel, Pixels, Pixels]:
        """Make a pair for training; its target is the noise by `split` and `to_plane`, constant."""
        observed, noise = photo_noise.noisy_file(clean, self.noise, _draw_level(rng), rng)
        return self._pair(observed, noise)

    def real_pair(self, clean: Pixels, observed: Pixels) -> tuple[NoiseLevel, Pixels, Pixels]:
        """Make a pair for training from a real one; its noise is the difference of both images."""
        return self._pair(observed, observed - clean)

    def _pair(self, observed: Pixels, noise: Pixels) -> tuple[NoiseLevel, Pixels, Pixels]:
        observed = to_rgb(observed)
        target = np.broadcast_to(to_plane(split(noise)), observed.shape).astype(np.float32)
        return self.task(), observed, target

    def score(self, restored: Pixels, clean: Pixels) -> float:
        """Return the negative error of the level in dB, 0 at best.

        0.5 is added to both levels, so that small errors close to zero hardly count.
        """
        levels = [
            0.5 + float(np.linalg.norm(from_plane(plane.mean(axis=(0, 1)))))
            for plane in (restored, clean)
        ]
        return -abs(20 * math.log10(levels[0] / levels[1]))


def _draw_level(rng: Random) -> float:
    """Draw a level as for a denoiser, but with more photos without noise."""
    return 0.0 if rng.uniform() < CLEAN else photo_noise.draw_level(rng)
