"""Noise: white and Gaussian as in the field's benchmarks, or as a camera makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from restore_cli.degradations import Image, Random, camera
from restore_cli.errors import UsageError
from restore_cli.noise import Levels, Noise, measure_noise, split, split_white, to_plane
from restore_cli.tasks import Feed, Task, option, span

if TYPE_CHECKING:
    from restore_cli.image import Picture
    from restore_cli.network import Geometry


FAINT, SEEN = (
    0.3,
    2.5,
)  # levels up to which noise is not seen, and from which on all of the change is made
RAISE = 1.3  # times what is measured goes to models for photos: real noise is measured too low
MISTAKE = 0.15  # deviation of the logarithm of levels that networks learn to live with
WHITEST = 50.0  # levels up to which white noise is drawn where none is given


def parse_sigma(word: str) -> float | None:
    """A number, or "auto"."""
    try:
        return None if word == "auto" else float(word)
    except ValueError as error:
        raise UsageError(f"Sigma is {word!r}; give a number from 0 to 255, or auto.") from error


def _share(sigma: float, picture: Picture) -> tuple[float, ...]:
    """The parts of noise whose level is given, by those that are measured."""
    found = measure_noise(picture.pixels, picture.visible)
    if not found.level:
        return tuple(split_white(sigma, picture.pixels.shape[2]))
    return tuple(part * sigma / found.level for part in found.parts)


@dataclass(frozen=True)
class Denoise(Task):
    """Remove noise from photos.

    Attributes:
        sigma: standard deviation of the noise on the 0..255 scale; None estimates it from each
            photo.
        noise: what `degrade` adds: "gaussian"; "camera", whose strength at middle gray is about
            `sigma`; or "random", whose spectrum, color and dependence on brightness are.
        found: what `look` measured; its parts are those that networks are given.
    """

    name: ClassVar[str] = "denoise"
    suffix: ClassVar[str] = "denoised"
    noisy: ClassVar[bool] = True
    protocol: ClassVar[str] = (
        "Gaussian noise of sigma / 255 added in float and "
        "not clipped, numpy's RandomState(0) anew for each image, in RGB order"
    )
    levels: ClassVar[Mapping[str, Any]] = {"sigma": [0, 75]}
    validation: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"sigma": 15},
        {"sigma": 25},
        {"sigma": 50},
    )

    sigma: float | None = option(
        None,
        help="Standard deviation of the noise on the 0..255 scale; auto estimates it from each"
        " photo.",
        metavar="FLOAT|auto",
        parse=parse_sigma,
    )
    noise: str = "gaussian"
    found: Noise | None = field(default=None, metadata={"level": False})

    def __post_init__(self) -> None:
        if self.sigma is not None and not 0 <= self.sigma <= 255:
            raise UsageError(
                f"Sigma is {self.sigma:g}; give the noise's standard deviation from 0 to 255, or"
                " auto."
            )
        if self.noise not in camera.NOISES:
            raise UsageError(f"The noise is {self.noise!r}; choose {', '.join(camera.NOISES)}.")

    def look(self, picture: Picture) -> Denoise:
        """Measure the noise, unless its level is given."""
        if self.found or self._given:
            return self
        found = measure_noise(picture.pixels, picture.visible)
        return replace(
            self, found=replace(found, parts=tuple(RAISE * part for part in found.parts))
        )

    @property
    def _given(self) -> bool:
        """Whether the level is known; that of a camera's noise is not that of its files."""
        return self.sigma is not None and self.noise == "gaussian"

    @property
    def model(self) -> str | None:
        """For white noise the one that is made for it; any other is left to the default."""
        white = self.found.white if self.found else self._given
        return "house" if white else None

    def degrade(self, clean: Image, rng: Random) -> Image:
        """Add noise of `sigma`, or of a random level where that is None.

        Gaussian noise is added in float and unclipped, in H x W x C order, as benchmarks have it.
        With the other kinds of `camera.add_noise` images become files of 8 bits, most of them
        JPEGs.
        """
        return self._degrade(clean, rng)[0]

    def pair(self, clean: Image, rng: Random) -> tuple[Denoise, Image, Image]:
        """Say the noise that there is, or where it is drawn here about as well as it can be
        measured.
        """
        observed, parts = self._degrade(clean, rng)
        if self.sigma is None:
            parts = parts * np.exp(rng.normal(0, MISTAKE) + rng.normal(0, MISTAKE, 3))
        level = min(float(np.linalg.norm(parts)), 255)
        found = Noise(level, self.noise == "gaussian", tuple(parts))
        return replace(self, found=found), observed, clean

    def _degrade(self, clean: Image, rng: Random) -> tuple[Image, Levels]:
        """A noisy image, and what its noise is made of."""
        sigma = self.sigma
        if self.noise == "gaussian":
            sigma = rng.uniform(0, WHITEST) if sigma is None else sigma
            return camera.add_noise(clean, self.noise, sigma, rng), split_white(
                sigma, clean.shape[2]
            )
        sigma = camera.draw_level(rng) if sigma is None else sigma
        observed, noise = camera.noisy_file(clean, self.noise, sigma, rng)
        return observed, split(noise)

    def prepare(
        self,
        pixels: Image,
        trained: Mapping[str, Any],
        geometry: Geometry,
        picture: Picture | None = None,
    ) -> Feed:
        """Give the noise level as a constant plane, held to the range that the network knows.

        A network for noise of any kind is given what the noise is made of, on a logarithmic scale,
        in three planes; of a photo in which hardly any is measured ever more stays as it is, for
        fine texture may pass for noise.
        """
        from restore_cli.image import Picture

        picture = picture or Picture(pixels)
        task = self.look(picture)
        noise = task.found.level if task.found else None
        sigma = noise if noise is not None else task.sigma or 0.0
        options: dict[str, float | str] = {"sigma": round(sigma, 2)}
        warnings: tuple[str, ...] = ()
        if "noise" in trained and "sigma" not in trained:
            strength = 1.0 if noise is None else float(np.interp(noise, (FAINT, SEEN), (0, 1)))
            if not strength:
                warnings = (
                    f"Noise of level {sigma:.1f} is too little to see; nothing is changed.",
                )
            parts = task.found.parts if task.found else _share(sigma, picture)
            conditions = tuple(to_plane(np.array(parts)).tolist()) if geometry.conditions else ()
            return Feed(pixels, conditions, options, warnings, noise, strength)
        low, high, known = span(trained.get("sigma", [0, 255]))
        if not geometry.conditions and not 0.8 * low <= sigma <= 1.2 * high:
            warnings = (
                f"The model was trained for sigma {known}, the noise is {sigma:.1f}; use --model"
                " house.",
            )
        elif geometry.conditions and sigma > high:
            warnings = (
                f"The model knows noise up to sigma {high:g}; sigma {sigma:.1f} is treated as"
                f" {high:g}.",
            )
        conditions = (min(max(sigma, low), high) / 255,) * geometry.conditions
        return Feed(pixels, conditions, options, warnings, noise)
