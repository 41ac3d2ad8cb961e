"""Rain: streaks before the scene, and the veil of those too far to be seen one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from restore_cli.degradations import Degradation, Random
from restore_cli.degradations.weather import (
    Layer,
    draw_depth,
    noise_streaks,
    scatter,
    smooth_field,
    streaks,
)
from restore_cli.errors import UsageError
from restore_cli.image import Pixels
from restore_cli.levels import Choice, Levels, Range
from restore_cli.tasks.derain import Derain

RAINS = ("streaks", "density", "screen", "heavy", "depth", "none")
STYLES = ("fine", "bold", "dense")


@dataclass(frozen=True)
class Rain(Degradation):
    """Rain over a scene.

    Attributes:
        rain: how rain and scene are composed:
            "streaks", O = B + S, the linear additive model of Rain800, Rain100 and DDN;
            "density", the same with S made as in Rain1200, of noise and motion blur, and
            `heaviness` the noise's amount (Zhang and Patel 2018: light 0.05 to 0.35, medium to
            0.65, heavy to 0.95); "screen", O = 1 - (1 - B)(1 - S), the same rain as a photo
            editor's layer in the mode "screen", which hides less of what is bright;
            "heavy", O = T (B + S) + (1 - T) A, streaks and the veil of far rain (Li et al. 2019);
            "depth", O = B (1 - R - F) + R + A F with R = S exp(-2 b d) and F = 1 - exp(-b d) over a
            made-up
            depth d: streaks fade with distance as fog thickens (Hu et al. 2019);
            "none", a dry photo, which must come back unharmed.
        heaviness: how much rain, 0 to 1: more streaks, and brighter ones.
        mist: optical thickness of the air at the farthest point, b in [0, 3]; "heavy" and "depth"
            only.
        veil: of "density" and "screen" rain, how much of the blurred noise's mean stays, 0 to 1:
            from clear streaks to an uneven bright veil in which they are faint.
        style: of streaks: "fine" and soft, "bold": bright, wide and long, "dense": short, like
            noise; "any" draws one, or two together.
    """

    protocol: ClassVar[str] = "rain drawn by numpy's RandomState(0) anew for each image"
    levels: ClassVar[Levels] = {
        "rain": Choice(
            ("streaks", "streaks", "streaks", "density", "screen", "heavy", "depth", "none")
        ),
        "heaviness": Range(0, 1),
        "mist": Range(0.1, 1.5),
    }
    validation: ClassVar[tuple[Levels, ...]] = (
        {"rain": "streaks", "heaviness": 0.2},
        {"rain": "streaks", "heaviness": 0.8},
        {"rain": "density", "heaviness": 0.5},
        {"rain": "depth", "heaviness": 0.5, "mist": 0.5},
    )

    rain: str = "streaks"
    heaviness: float = 0.5
    mist: float = 0.5
    veil: float = 0.0
    style: str = "any"

    def __post_init__(self) -> None:
        if self.rain not in RAINS:
            raise UsageError(f"Rain is {self.rain!r}; choose {', '.join(RAINS)}.")
        if self.style not in ("any", *STYLES):
            raise UsageError(
                f"The style of rain is {self.style!r}; choose any, {', '.join(STYLES)}."
            )
        if not 0 <= self.heaviness <= 1:
            raise UsageError(f"Heaviness is {self.heaviness:g}; give a number from 0 to 1.")
        if not 0 <= self.veil <= 1:
            raise UsageError(f"The veil is {self.veil:g}; give a number from 0 to 1.")
        if not 0 <= self.mist <= 3:
            raise UsageError(f"Mist is {self.mist:g}; give an optical thickness from 0 to 3.")

    def task(self) -> Derain:
        """Nobody can say how it rained."""
        return Derain()

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Let it rain, equally in all channels, clipped to [0, 1]; sizes are in pixels of the image
        given.
        """
        if self.rain == "none":
            return clean.copy()
        height, width = clean.shape[:2]
        if self.rain in ("density", "screen"):
            angle, length, thickness = rng.uniform(-45, 45), rng.uniform(8, 100), rng.uniform(1, 4)
            rain = noise_streaks(
                height, width, self.heaviness, angle, length, thickness, rng, self.veil
            )
            if self.veil:
                rain *= 1 - np.float32(rng.uniform(0, 0.7)) * smooth_field(height, width, rng)
        else:
            rain = self._streaks(height, width, rng)
        if self.rain in ("streaks", "density"):
            rainy = clean + rain[..., None]
        elif self.rain == "screen":
            rainy = clean + np.minimum(rain, 1)[..., None] * (1 - clean)
        else:
            depth, light = draw_depth(height, width, rng), rng.uniform(0.7, 1)
            clear = np.exp(-np.float32(self.mist) * depth)
            if self.rain == "heavy":
                rainy = scatter(clean + rain[..., None], clear, light)
            else:
                near = np.minimum(rain, 1) * clear**2
                fog = np.minimum(1 - clear, 1 - near)
                rainy = (
                    clean * (1 - near - fog)[..., None]
                    + (near + np.float32(light) * fog)[..., None]
                )
        return np.asarray(rainy.clip(0, 1), np.float32)

    def _streaks(self, height: int, width: int, rng: Random) -> Pixels:
        styles = [self.style]
        if self.style == "any":
            styles = [STYLES[rng.choice(len(STYLES))] for _ in range(1 + (rng.uniform() < 0.3))]
        angle = float(rng.normal(0, 15))
        layers = [
            layer for style in styles for layer in _draw_layers(style, angle, self.heaviness, rng)
        ]
        return np.asarray(sum(streaks(height, width, layer, rng) for layer in layers))


def _draw_layers(style: str, angle: float, heaviness: float, rng: Random) -> list[Layer]:
    """Layers about an angle; the ranges were set by eye, so that rain of every kind lies well
    inside them.
    """

    def draw(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    if style == "fine":
        return [
            Layer(
                angle=angle + draw(-3, 3),
                length=draw(12, 150),
                thickness=draw(0.7, 3),
                coverage=draw(0.05, 0.25) + heaviness * draw(0, 0.5),
                strength=draw(0.08, 0.3) + heaviness * draw(0, 0.3),
                taper=draw(0.2, 0.6),
                patches=draw(0, 1),
            )
            for _ in range(1 + (rng.uniform() < 0.5))
        ]
    if style == "bold":
        crossing = draw(0, 20) * (rng.uniform() < 0.4)
        return [
            Layer(
                angle=angle + draw(-crossing, crossing),
                length=draw(15, 110),
                thickness=draw(1, 4.5),
                coverage=draw(0.02, 0.1) + heaviness * draw(0, 0.4),
                strength=draw(0.15, 0.45) + heaviness * draw(0, 0.35),
                taper=draw(0, 0.15),
            )
            for _ in range(1 + int(rng.uniform(0, 1 + 3 * heaviness)))
        ]
    return [
        Layer(
            angle=angle,
            length=draw(3, 18),
            thickness=draw(0.7, 1.8),
            coverage=draw(0.1, 0.3) + heaviness * draw(0, 0.8),
            strength=draw(0.08, 0.3) + heaviness * draw(0, 0.35),
            taper=draw(0, 0.5),
            patches=draw(0, 0.7),
        )
    ]
