"""Noise: white and Gaussian as in the field's benchmarks, or as a camera makes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from restore_cli.errors import UsageError
from restore_cli.noise import measure_noise
from restore_cli.tasks import Feed, Image, Random, Task, camera, option, span

if TYPE_CHECKING:
    from restore_cli.engine import Geometry
    from restore_cli.image import Picture


FAINT = 0.5  # level below which noise is not seen
WHITEST = 50.0  # levels up to which white noise is drawn where none is given


def parse_sigma(word: str) -> float | None:
    """A number, or "auto"."""
    try:
        return None if word == "auto" else float(word)
    except ValueError as error:
        raise UsageError(f"Sigma is {word!r}; give a number from 0 to 255, or auto.") from error


@dataclass(frozen=True)
class Denoise(Task):
    """Remove noise from photos.

    Attributes:
        sigma: standard deviation of the noise on the 0..255 scale; None estimates it from each photo.
        noise: what `degrade` adds: "gaussian"; "camera", whose strength at middle gray is about `sigma`; or
            "random", whose spectrum, color and dependence on brightness are.
    """

    name: ClassVar[str] = "denoise"
    suffix: ClassVar[str] = "denoised"
    noisy: ClassVar[bool] = True
    protocol: ClassVar[str] = (
        "Gaussian noise of sigma / 255 added in float and "
        "not clipped, numpy's RandomState(0) anew for each image, in RGB order"
    )
    levels: ClassVar[Mapping[str, Any]] = {"sigma": [0, 75]}
    validation: ClassVar[tuple[Mapping[str, Any], ...]] = ({"sigma": 15}, {"sigma": 25}, {"sigma": 50})

    sigma: float | None = option(
        None,
        help="Standard deviation of the noise on the 0..255 scale; auto estimates it from each photo.",
        metavar="FLOAT|auto",
        parse=parse_sigma,
    )
    noise: str = "gaussian"

    def __post_init__(self) -> None:
        if self.sigma is not None and not 0 <= self.sigma <= 255:
            raise UsageError(
                f"Sigma is {self.sigma:g}; give the noise's standard deviation from 0 to 255, or auto."
            )
        if self.noise not in camera.NOISES:
            raise UsageError(f"The noise is {self.noise!r}; choose {', '.join(camera.NOISES)}.")

    @property
    def model(self) -> str | None:
        """For white noise of a known level, the one that takes it; any other is left to the default."""
        return "house" if self.sigma is not None and self.noise == "gaussian" else None

    def degrade(self, clean: Image, rng: Random) -> Image:
        """Add noise of `sigma`, or of a random level where that is None.

        Gaussian noise is added in float and unclipped, in H x W x C order, as benchmarks have it. With the
        other kinds of `camera.add_noise` images become files of 8 bits, most of them JPEGs.
        """
        white, sigma = self.noise == "gaussian", self.sigma
        if sigma is None:
            sigma = rng.uniform(0, WHITEST) if white else camera.draw_level(rng)
        noisy = camera.add_noise(clean, self.noise, sigma, rng)
        return noisy if white else camera.save(noisy.clip(0, 1), rng)

    def prepare(
        self, pixels: Image, trained: Mapping[str, Any], geometry: Geometry, picture: Picture | None = None
    ) -> Feed:
        """Give the noise level as a constant plane, held to the range that the network knows."""
        if not geometry.conditions and "sigma" not in trained:
            return self._feed_blind(pixels, picture)
        sigma = (
            measure_noise(pixels, picture.visible if picture else None) if self.sigma is None else self.sigma
        )
        low, high, known = span(trained.get("sigma", [0, 255]))
        warnings: tuple[str, ...] = ()
        if not geometry.conditions and not 0.8 * low <= sigma <= 1.2 * high:
            warnings = (
                f"The model was trained for sigma {known}, the noise is {sigma:.1f}; use --model house.",
            )
        elif geometry.conditions and sigma > high:
            warnings = (
                f"The model knows noise up to sigma {high:g}; sigma {sigma:.1f} is treated as {high:g}.",
            )
        conditions = (min(max(sigma, low), high) / 255,) if geometry.conditions else ()
        noise = sigma if self.sigma is None else None
        return Feed(pixels, conditions, {"sigma": round(sigma, 2)}, warnings, noise)

    def _feed_blind(self, pixels: Image, picture: Picture | None) -> Feed:
        """The photo alone; what has no noise to see stays as it is."""
        if picture is None:
            return Feed(pixels)
        noise = measure_noise(pixels, picture.visible)
        warnings: tuple[str, ...] = ()
        if noise < FAINT:
            warnings = (f"Noise of level {noise:.1f} is too little to see; nothing is changed.",)
        elif self.sigma is not None:
            warnings = ("The model finds the noise by itself and takes no sigma; --model house does.",)
        return Feed(pixels, warnings=warnings, noise=noise, strength=float(noise >= FAINT))
