"""What a network learns that measures noise: how strong it is at each pixel of a photo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from restore_cli.degradations import Image, Random, camera
from restore_cli.noise import from_plane, split, to_plane
from restore_cli.tasks import Task

CLEAN = 0.05  # share of photos without noise, apart from those that `camera.draw_level` gives none


@dataclass(frozen=True)
class Noise(Task):
    """Measure the noise of photos.

    Attributes:
        noise: one of `camera.NOISES`.
    """

    name: ClassVar[str] = "noise"
    suffix: ClassVar[str] = "noise"
    protocol: ClassVar[str] = "noise of a random level, saved as 8 bits or JPEG"
    levels: ClassVar[Mapping[str, Any]] = {
        "noise": ["gaussian", "camera", "camera", "random", "random"]
    }
    validation: ClassVar[tuple[Mapping[str, Any], ...]] = tuple(
        {"noise": noise} for noise in camera.NOISES
    )

    noise: str = "camera"

    def degrade(self, clean: Image, rng: Random) -> Image:
        """Add noise of a random level, and save."""
        return camera.noisy_file(clean, self.noise, _draw_level(rng), rng)[0]

    def pair(self, clean: Image, rng: Random) -> tuple[Noise, Image, Image]:
        """The target is what the noise is made of, as `split` and `to_plane` say it, everywhere."""
        from restore_cli.image import to_rgb

        observed, noise = camera.noisy_file(clean, self.noise, _draw_level(rng), rng)
        observed = observed if observed.shape[2] == 3 else to_rgb(observed)
        return (
            self,
            observed,
            np.broadcast_to(to_plane(split(noise)), observed.shape).astype(np.float32),
        )

    def finish(self, restored: Image, observed: Image) -> Image:  # noqa: ARG002
        """As it is."""
        return restored

    def score(self, restored: Image, clean: Image) -> float:
        """How far the level is from the true one, in dB, 0 at best; half a level of 255 is free."""
        levels = [
            0.5 + float(np.linalg.norm(from_plane(plane.mean(axis=(0, 1)))))
            for plane in (restored, clean)
        ]
        return -abs(20 * math.log10(levels[0] / levels[1]))


def _draw_level(rng: Random) -> float:
    """As for a denoiser, but more photos have none."""
    return 0.0 if rng.uniform() < CLEAN else camera.draw_level(rng)
