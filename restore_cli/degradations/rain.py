"""Rain: streaks in front of the scene, and the veil of distant rain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

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

RainKind = Literal["streaks", "density", "screen", "heavy", "depth", "none"]
Style = Literal["fine", "bold", "dense"]
_STYLES: tuple[Style, ...] = get_args(Style)


@dataclass(frozen=True)
class Rain(Degradation):
    """Rain over a scene.

    Attributes:
        rain: how rain and scene are composed:
            "streaks": O = B + S, the linear additive model of Rain800, Rain100 and DDN.
            "density": the same, with S made of noise and motion blur as in Rain1200; `heaviness` is
            the amount of noise (Zhang and Patel 2018: light 0.05 to 0.35, medium to 0.65, heavy to
            0.95).
            "screen": O = 1 - (1 - B)(1 - S), the same rain in the blend mode "screen" of photo
            editors, which hides less of bright areas.
            "heavy": O = T (B + S) + (1 - T) A, streaks and the veil of distant rain (Li et al.
            2019).
            "depth": O = B (1 - R - F) + R + A F with R = S exp(-2 b d) and F = 1 - exp(-b d) over a
            random depth d: streaks fade with distance as fog thickens (Hu et al. 2019).
            "none": a dry photo, which must not be changed.
        heaviness: amount of rain, 0 to 1: more and brighter streaks.
        mist: optical thickness b of the air at the farthest point, 0 to 3; "heavy" and "depth"
            only.
        veil: for "density" and "screen", the share of the blurred noise's mean that is kept, 0 to
            1: from clear streaks to faint streaks in an uneven bright veil.
        style: of streaks: "fine" and soft; "bold": bright, wide and long; "dense": short, like
            noise; or "any": one of these, or two together.
    """

    protocol: ClassVar[str] = "rain drawn by numpy's RandomState(0), restarted for each image"
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

    rain: RainKind = "streaks"
    heaviness: float = 0.5
    mist: float = 0.5
    veil: float = 0.0
    style: Style | Literal["any"] = "any"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.heaviness <= 1:
            raise UsageError(
                f"{self.heaviness:g} is not a valid heaviness; expected a number from 0 to 1."
            )
        if not 0 <= self.veil <= 1:
            raise UsageError(f"{self.veil:g} is not a valid veil; expected a number from 0 to 1.")
        if not 0 <= self.mist <= 3:
            raise UsageError(
                f"{self.mist:g} is not a valid mist; expected an optical thickness from 0 to 3."
            )

    def task(self) -> Derain:
        """Return the task, which has no option for the rain."""
        return Derain()

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Add rain, equally in all channels, and clip to [0, 1]; sizes are in pixels."""
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
            styles = [_STYLES[rng.choice(len(_STYLES))] for _ in range(1 + (rng.uniform() < 0.3))]
        angle = float(rng.normal(0, 15))
        layers = [
            layer for style in styles for layer in _draw_layers(style, angle, self.heaviness, rng)
        ]
        return np.asarray(sum(streaks(height, width, layer, rng) for layer in layers))


def _draw_layers(style: str, angle: float, heaviness: float, rng: Random) -> list[Layer]:
    """Draw layers around an angle; their ranges were set by eye, to include all kinds of rain."""

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
