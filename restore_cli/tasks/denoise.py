"""Noise: white and Gaussian as in the field's benchmarks, or as a camera makes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from restore_cli.errors import UsageError
from restore_cli.levels import Range, span
from restore_cli.noise import Noise, measure_noise, split_white, to_plane
from restore_cli.tasks import Task, option
from restore_cli.tasks.restoration import NetworkInput, TaskReport, Trained

if TYPE_CHECKING:
    from restore_cli.image import Picture

FAINT, SEEN = 0.3, 2.5  # levels up to which noise is not seen, and from which on all of it is taken
RAISE = 1.3  # times what is measured goes to models for photos: real noise is measured too low


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
        found: what `look` measured; its parts are those that networks are given.
    """

    name: ClassVar[str] = "denoise"
    suffix: ClassVar[str] = "denoised"
    noisy: ClassVar[bool] = True

    sigma: float | None = option(
        None,
        help="Standard deviation of the noise on the 0..255 scale; auto estimates it from each"
        " photo.",
        metavar="FLOAT|auto",
        parse=parse_sigma,
    )
    found: Noise | None = None

    def __post_init__(self) -> None:
        if self.sigma is not None and not 0 <= self.sigma <= 255:
            raise UsageError(
                f"Sigma is {self.sigma:g}; give the noise's standard deviation from 0 to 255, or"
                " auto."
            )

    def look(self, picture: Picture) -> Denoise:
        """Measure the noise, unless its level is given."""
        if self.found or self.sigma is not None:
            return self
        found = measure_noise(picture.pixels, picture.visible)
        raised = tuple(RAISE * part for part in found.parts)
        return replace(self, found=replace(found, parts=raised))

    @property
    def model(self) -> str | None:
        """For white noise the one that is made for it; any other is left to the default."""
        white = self.found.white if self.found else self.sigma is not None
        return "gaussian" if white else None

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:
        """Give the noise level as a constant plane, held to the range that the network knows.

        A network for noise of any kind is given what the noise is made of, on a logarithmic scale,
        in three planes; of a photo in which hardly any is measured ever more stays as it is, for
        fine texture may pass for noise.
        """
        task, levels, geometry = self.look(picture), trained.levels, trained.geometry
        noise = task.found.level if task.found else None
        sigma = noise if noise is not None else task.sigma or 0.0
        if "noise" in levels and "sigma" not in levels:
            planes, report = task._feed_parts(picture, sigma, noise)
            return NetworkInput(picture.pixels, planes * bool(geometry.conditions), report)
        known = span(levels.get("sigma", Range(0, 255)))
        warnings: tuple[str, ...] = ()
        if not geometry.conditions and not 0.8 * known.low <= sigma <= 1.2 * known.high:
            warnings = (
                f"The model was trained for sigma {known}, the noise is {sigma:.1f}; use --model"
                " gaussian.",
            )
        elif geometry.conditions and sigma > known.high:
            warnings = (
                f"The model knows noise up to sigma {known.high:g}; sigma {sigma:.1f} is treated as"
                f" {known.high:g}.",
            )
        plane = min(max(sigma, known.low), known.high) / 255
        report = TaskReport({"sigma": round(sigma, 2)}, warnings, noise)
        return NetworkInput(picture.pixels, (plane,) * geometry.conditions, report)

    def _feed_parts(
        self, picture: Picture, sigma: float, noise: float | None
    ) -> tuple[tuple[float, ...], TaskReport]:
        """The planes for a network for noise of any kind, and how much of its change is made."""
        strength = 1.0 if noise is None else float(np.interp(noise, (FAINT, SEEN), (0, 1)))
        warnings: tuple[str, ...] = ()
        if not strength:
            warnings = (f"Noise of level {sigma:.1f} is too little to see; nothing is changed.",)
        parts = self.found.parts if self.found else _share(sigma, picture)
        report = TaskReport({"sigma": round(sigma, 2)}, warnings, noise, strength)
        return tuple(to_plane(np.array(parts)).tolist()), report
