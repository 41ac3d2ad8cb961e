"""White Gaussian noise, as of high ISO and of the field's benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from restore_cli.errors import UsageError
from restore_cli.metrics import estimate_noise
from restore_cli.tasks import Feed, Image, Mask, Random, Task, option


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
    """

    name: ClassVar[str] = "denoise"
    suffix: ClassVar[str] = "denoised"

    sigma: float | None = option(
        None,
        help="Standard deviation of the noise on the 0..255 scale; auto estimates it from each photo.",
        metavar="FLOAT|auto",
        parse=parse_sigma,
    )

    def __post_init__(self) -> None:
        if self.sigma is not None and not 0 <= self.sigma <= 255:
            raise UsageError(
                f"Sigma is {self.sigma:g}; give the noise's standard deviation from 0 to 255, or auto."
            )

    def degrade(self, clean: Image, rng: Random) -> Image:
        """Add noise of `sigma`, in float and unclipped, drawn in H x W x C order."""
        if self.sigma is None:
            raise UsageError("Adding noise needs a sigma.")
        noise = rng.standard_normal(clean.shape)
        noise *= self.sigma / 255
        noise += clean
        return noise.astype(np.float32)

    def prepare(
        self, pixels: Image, trained: Mapping[str, Any], planes: int, visible: Mask | None = None
    ) -> Feed:
        """Give the noise level as a constant plane, held to the range that the network knows."""
        sigma = estimate_noise(pixels, visible) if self.sigma is None else self.sigma
        low, high = np.broadcast_to(trained.get("sigma", [0, 255]), 2).tolist()
        warnings: tuple[str, ...] = ()
        if planes == 0 and not 0.8 * low <= sigma <= 1.2 * high:
            warnings = (
                f"The model was trained for sigma {high:g}, the noise is {sigma:.1f}; use --model house.",
            )
        elif planes and sigma > high:
            warnings = (
                f"The model knows noise up to sigma {high:g}; sigma {sigma:.1f} is treated as {high:g}.",
            )
        conditions = (min(max(sigma, low), high) / 255,) if planes else ()
        noise = sigma if self.sigma is None else None
        return Feed(pixels, conditions, {"sigma": round(sigma, 2)}, warnings, noise)
