"""Haze: air between the scene and the camera that takes light away and adds its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from restore_cli.degradations import Image, Random
from restore_cli.degradations.weather import draw_depth, scatter
from restore_cli.errors import UsageError
from restore_cli.tasks import Task


@dataclass(frozen=True)
class Dehaze(Task):
    """Remove haze and fog from photos.

    Attributes:
        beta: optical thickness of the air at the farthest point, above 0.
        light: brightness of the air in [0, 1], equal in all channels.
    """

    name: ClassVar[str] = "dehaze"
    suffix: ClassVar[str] = "dehazed"
    # The ranges of RESIDE's indoor training set (Li et al. 2019).
    steady: ClassVar[bool] = False
    protocol: ClassVar[str] = "haze drawn by numpy's RandomState(0) anew for each image"
    levels: ClassVar[Mapping[str, Any]] = {"beta": [0.6, 1.8], "light": [0.7, 1.0]}
    validation: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"beta": 0.6, "light": 0.85},
        {"beta": 1.2, "light": 0.85},
        {"beta": 1.8, "light": 0.85},
    )

    beta: float = 1.2
    light: float = 0.85

    def __post_init__(self) -> None:
        if self.beta <= 0:
            raise UsageError(f"Beta is {self.beta:g}; give an optical thickness above 0.")
        if not 0 <= self.light <= 1:
            raise UsageError(f"The air's light is {self.light:g}; give a brightness from 0 to 1.")

    def degrade(self, clean: Image, rng: Random) -> Image:
        """I = J t + A (1 - t), t = exp(-beta d), over a depth d in [0, 1] that is drawn: see
        `draw_depth`.
        """
        height, width = clean.shape[:2]
        depth = draw_depth(height, width, rng)
        return scatter(clean, np.exp(-np.float32(self.beta) * depth), self.light)
