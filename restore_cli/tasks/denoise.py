"""Noise: white Gaussian noise as in benchmarks, or the noise of real cameras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from restore_cli.errors import UsageError
from restore_cli.levels import Range, span
from restore_cli.noise import SHORTEST, Noise, measure_noise, split_white, to_plane
from restore_cli.tasks import Task, option
from restore_cli.tasks.restoration import NetworkInput, TaskReport, Trained

if TYPE_CHECKING:
    from restore_cli.image import Picture

FAINT, VISIBLE = 0.3, 2.5  # at the first level the strength is 0, from the second on 1
_LEAST = 0.1  # strength below which no pixel of 8 bits changes
RAISE = 1.3  # for models for photos: the measured level of real noise is too low


def parse_sigma(text: str) -> float | None:
    """Parse a number, or "auto"."""
    try:
        return None if text == "auto" else float(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a valid sigma; expected a number from 0 to 255, or auto."
        ) from error


def _share(sigma: float, picture: Picture) -> tuple[float, ...]:
    """Split a given noise level in proportion to the measured components."""
    found = measure_noise(picture.opaque_pixels(), picture.visible)
    if not found.level:
        return tuple(split_white(sigma, picture.pixels.shape[2]))
    return tuple(part * sigma / found.level for part in found.parts)


@dataclass(frozen=True)
class Denoise(Task):
    """Remove noise from photos.

    Attributes:
        sigma: standard deviation of the noise on the 0..255 scale; None estimates it from each
            photo.
        found: the noise that `look` measured, with its parts raised as networks get them.
    """

    name: ClassVar[str] = "denoise"
    suffix: ClassVar[str] = "denoised"
    skips_frames: ClassVar[bool] = True
    noisy: ClassVar[bool] = True

    sigma: float | None = option(
        None,
        help="Standard deviation of the noise on the 0..255 scale; auto estimates it per photo.",
        metavar="FLOAT|auto",
        parse=parse_sigma,
    )
    found: Noise | None = None

    def __post_init__(self) -> None:
        if self.sigma is not None and not 0 <= self.sigma <= 255:
            raise UsageError(
                f"{self.sigma:g} is not a valid sigma; expected a number from 0 to 255, or auto."
            )

    def look(self, picture: Picture) -> Denoise:
        """Measure the noise, unless sigma is given."""
        if self.found or self.sigma is not None:
            return self
        from restore_cli.image import find_inside

        if inside := find_inside(picture.pixels):
            picture = picture.crop(*inside)
        found = measure_noise(picture.opaque_pixels(), picture.visible)
        raised = tuple(RAISE * part for part in found.parts)
        return replace(self, found=replace(found, parts=raised))

    @property
    def model(self) -> str | None:
        """The model for white noise; other noise uses the default."""
        white = self.found.white if self.found else self.sigma is not None
        return "gaussian" if white else None

    @property
    def noise(self) -> float | None:
        """The level of the noise that `look` measured."""
        return self.found.level if self.found else None

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:
        """Add the noise level as a constant plane, clipped to the range that the network knows.

        A network for any kind of noise gets the components of the noise in three planes, on a
        logarithmic scale. At very low measured levels the strength falls, because fine texture may
        look like noise.
        """
        task, levels, geometry = self.look(picture), trained.levels, trained.geometry
        noise = task.found.level if task.found else None
        sigma = noise if noise is not None else task.sigma or 0.0
        if "noise" in levels and "sigma" not in levels:
            parts = task.found.parts if task.found else _share(sigma, picture)
            planes = tuple(to_plane(np.array(parts)).tolist()) * bool(geometry.conditions)
            warning = ""
        else:
            known = span(levels.get("sigma", Range(0, 255)))
            planes = (min(max(sigma, known.low), known.high) / 255,) * geometry.conditions
            warning = _check_level(sigma, known, adapts=bool(geometry.conditions))
        strength = 1.0 if noise is None else float(np.interp(noise, (FAINT, VISIBLE), (0, 1)))
        strength = strength if strength >= _LEAST else 0.0
        if not strength and min(picture.pixels.shape[:2]) < SHORTEST:
            warning = (
                f"The noise of a photo with a side below {SHORTEST} pixels cannot be measured, so"
                " it was not changed. Give --sigma."
            )
        elif not strength:
            warning = f"Noise level {sigma:.1f} is not visible; the photo was not changed."
        report = TaskReport({"sigma": round(sigma, 2)}, (warning,) if warning else (), strength)
        return NetworkInput(picture.pixels, planes, report)


def _check_level(sigma: float, known: Range, adapts: bool) -> str:
    """Return a warning if a level is outside the range of a network, which may adapt to levels."""
    if not adapts and not 0.8 * known.low <= sigma <= 1.2 * known.high:
        return (
            f"This model was trained for sigma {known}, but the noise level is {sigma:.1f}; try"
            " --model gaussian."
        )
    if adapts and sigma > known.high:
        return (
            f"Sigma {sigma:.1f} is above this model's maximum of {known.high:g}; using"
            f" {known.high:g}."
        )
    return ""
