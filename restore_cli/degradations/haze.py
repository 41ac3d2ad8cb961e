"""Haze: air between scene and camera that absorbs light and scatters its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Degradation, Random, photo_noise
from restore_cli.degradations.weather import draw_depth, scatter
from restore_cli.errors import UsageError
from restore_cli.image import Pixels
from restore_cli.levels import Levels, Range
from restore_cli.tasks.dehaze import Dehaze

Style = Literal["plain", "photo", "none"]
Plane = NDArray[np.float32]
_TINT = 0.02  # deviation of each channel of the air's light


@dataclass(frozen=True)
class Haze(Degradation):
    """Haze or fog in a scene.

    Attributes:
        beta: optical thickness of the air at the farthest point, above 0.
        light: brightness of the air in [0, 1].
        style: "plain", with a smooth depth and a gray light; "photo", with a depth that also has
            the edges of objects and a light that may have a color, saved as a file, mostly JPEG; or
            "none" for a clear photo, which must not be changed.
    """

    protocol: ClassVar[str] = "haze drawn by numpy's RandomState(0), restarted for each image"
    # The ranges of RESIDE's indoor training set (Li et al. 2019).
    levels: ClassVar[Levels] = {"beta": Range(0.6, 1.8), "light": Range(0.7, 1.0)}
    validation: ClassVar[tuple[Levels, ...]] = (
        {"beta": 0.6, "light": 0.85},
        {"beta": 1.2, "light": 0.85},
        {"beta": 1.8, "light": 0.85},
    )

    beta: float = 1.2
    light: float = 0.85
    style: Style = "plain"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beta <= 0:
            raise UsageError(
                f"{self.beta:g} is not a valid beta; expected an optical thickness above 0."
            )
        if not 0 <= self.light <= 1:
            raise UsageError(
                f"{self.light:g} is not a valid light; expected a brightness from 0 to 1."
            )

    def describe(self) -> str:
        """Describe how benchmarks degrade a clean image with these levels."""
        if self.style == "photo":
            return f"{self.protocol}, and its file of 8 bits or JPEG"
        return self.protocol

    def task(self) -> Dehaze:
        """Return the task, which has no option for the haze."""
        return Dehaze()

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Add haze: I = J t + A (1 - t) with t = exp(-beta d).

        The depth d in [0, 1] is drawn by `draw_depth`.
        """
        if self.style == "none":
            return clean.copy()
        height, width, channels = clean.shape
        depth, light = draw_depth(height, width, rng), np.full(channels, self.light, np.float32)
        if self.style == "photo":
            depth = _add_objects(depth, clean, rng)
            if channels == 3:
                light = (light + rng.normal(0, _TINT, 3)).clip(0, 1).astype(np.float32)
        hazy = scatter(clean, np.exp(-np.float32(self.beta) * depth), light)
        return photo_noise.save(hazy, rng) if self.style == "photo" else hazy


def _add_objects(depth: Plane, clean: Pixels, rng: Random) -> Plane:
    """Move parts of a photo nearer or farther, by a random function of their brightness.

    So the depth has edges where objects have them, as a real one does. It stays in [0, 1].
    """
    import cv2

    smooth = cv2.medianBlur(np.rint(clean.mean(axis=2) * 255).astype(np.uint8), 11)
    moves = np.interp(np.arange(256), np.linspace(0, 255, 5), rng.uniform(-0.4, 0.4, 5))
    return np.asarray((depth + moves[smooth]).clip(0, 1), np.float32)
