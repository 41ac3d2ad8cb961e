"""Blur."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from restore_cli.errors import UsageError
from restore_cli.tasks import Task, option
from restore_cli.tasks.restoration import Finding, NetworkInput, TaskReport, Trained

if TYPE_CHECKING:
    from restore_cli.blur import Blurring
    from restore_cli.image import Picture


def parse_blur(text: str) -> Blurring | None:
    """Parse "disk:DIAMETER", "gaussian:SIGMA" or "motion:LENGTH:ANGLE", or "auto"."""
    if text == "auto":
        return None
    from restore_cli.blur import KERNELS, LARGEST, SHARP, SMALLEST, Blurring

    kind, *parts = text.split(":")
    kernel = next((one for one in KERNELS if one == kind), SHARP)
    try:
        size, angle = map(float, parts if kernel == "motion" else [*parts, "0"])
    except ValueError:
        size = angle = math.nan
    blurring = Blurring(kernel, 4 * size if kernel == "gaussian" else size, angle % 180)
    if kernel == SHARP or not (SMALLEST <= blurring.size <= LARGEST and blurring.angle >= 0):
        raise UsageError(
            f"{text!r} is not a valid blur; expected disk:DIAMETER or motion:LENGTH:ANGLE of"
            f" {SMALLEST:g} to {LARGEST:g} pixels, gaussian:SIGMA up to {LARGEST / 4:g}, or auto."
        )
    return blurring


def show_blur(blurring: Blurring) -> str:
    """The text of a blur."""
    if blurring.kernel == "gaussian":
        return f"gaussian:{blurring.size / 4:g}"
    angle = f":{blurring.angle:g}" if blurring.kernel == "motion" else ""
    return f"{blurring.kernel}:{blurring.size:g}{angle}"


NOISY = 5.0  # noise level above which blur may not be found


@dataclass(frozen=True)
class Deblur(Task):
    """Sharpen blurred photos.

    Attributes:
        blur: the blur, if it is known, such as "disk:4", "gaussian:1.5" or "motion:9:45", see
            `restore deblur --help`; None measures it in each photo.

    Raises:
        UsageError: the blur is not valid.
    """

    name: ClassVar[str] = "deblur"
    suffix: ClassVar[str] = "deblurred"
    skips_frames: ClassVar[bool] = True
    maps: ClassVar[int] = 6

    blur: Blurring | str | None = option(  # noqa: RUF009 (it is frozen)
        None,
        help="Blur of the photo: disk:DIAMETER out of focus, motion:LENGTH:ANGLE counterclockwise"
        " from the horizontal, gaussian:SIGMA, in pixels and degrees; auto measures it per photo.",
        metavar="BLUR|auto",
        parse=parse_blur,
        show=show_blur,
    )

    def __post_init__(self) -> None:
        if isinstance(self.blur, str):
            object.__setattr__(self, "blur", parse_blur(self.blur))

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:
        """Add the photo with its blur inverted, in six planes, unless the network needs none."""
        if not trained.geometry.conditions:
            warning = "This model was trained for one blur; --blur had no effect."
            report = TaskReport(warnings=(warning,) if self.blur else ())
            return NetworkInput(picture.pixels, report=report)
        from restore_cli.blur import SHORTEST, deconvolve, measure_blur

        assert not isinstance(self.blur, str)
        found = self.blur or measure_blur(picture.pixels, picture.visible)
        small = not self.blur and min(picture.pixels.shape[:2]) < SHORTEST
        warning = f"Blur cannot be measured with a side below {SHORTEST} pixels. Give it as --blur."
        report = TaskReport({"blur": str(found)}, (warning,) if small else ())
        return NetworkInput(picture.pixels, deconvolve(picture.pixels, found), report)

    def advise(self, found: Finding) -> str | None:
        """Suggest to remove noise first, because blur cannot be measured in it."""
        from restore_cli.blur import SHORTEST

        for_one_blur = isinstance(found.trained.get("kernel"), str)
        small = min(found.picture.pixels.shape[:2]) < SHORTEST  # it cannot be measured anyway
        if self.blur or for_one_blur or small or found.noise <= NOISY:
            return None
        return (
            f"Noise of level {found.noise:.0f} hides the blur;"
            ' `restore run PHOTO "denoise | deblur"` removes it first.'
        )
