"""Haze: air between scene and camera that absorbs light and scatters its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from restore_cli.degradations import Degradation, Random
from restore_cli.degradations.weather import draw_depth, scatter
from restore_cli.errors import UsageError
from restore_cli.image import Pixels
from restore_cli.levels import Levels, Range
from restore_cli.tasks.dehaze import Dehaze


@dataclass(frozen=True)
class Haze(Degradation):
    """Haze or fog in a scene.

    Attributes:
        beta: optical thickness of the air at the farthest point, above 0.
        light: brightness of the air in [0, 1], equal in all channels.
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

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise UsageError(
                f"{self.beta:g} is not a valid beta; expected an optical thickness above 0."
            )
        if not 0 <= self.light <= 1:
            raise UsageError(
                f"{self.light:g} is not a valid light; expected a brightness from 0 to 1."
            )

    def task(self) -> Dehaze:
        """Return the task, which has no option for the haze."""
        return Dehaze()

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Add haze: I = J t + A (1 - t) with t = exp(-beta d).

        The depth d in [0, 1] is drawn by `draw_depth`.
        """
        height, width = clean.shape[:2]
        depth = draw_depth(height, width, rng)
        return scatter(clean, np.exp(-np.float32(self.beta) * depth), self.light)
