"""JPEG compression artifacts: blocks, ringing, smeared colors."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from restore_cli.errors import UsageError
from restore_cli.levels import Range, span
from restore_cli.tasks import Task, option
from restore_cli.tasks.restoration import (
    Finding,
    NetworkInput,
    Observed,
    TaskReport,
    Trained,
)

if TYPE_CHECKING:  # for help texts the tasks are imported without numpy, which is slow
    from restore_cli.image import Picture, Pixels

BLIND_REACH = 2  # a network that is not given the quality does harm beyond this times its best one
NOISY = 5.0  # noise level above which a photo counts as noisy
LIGHT = (90, 95)  # qualities between which the strength falls to one half, to avoid harm


def parse_quality(text: str) -> float | None:
    """Parse a number, or "auto"."""
    try:
        return None if text == "auto" else float(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a valid quality; expected a number from 1 to 100, or auto."
        ) from error


def parse_corner(text: str) -> tuple[int, int] | None:
    """Parse "row,column", each from 0 to 15, or "auto"."""
    if text == "auto":
        return None
    if not re.fullmatch(r"([0-9]|1[0-5]),([0-9]|1[0-5])", text):
        raise UsageError(
            f"{text!r} is not a valid corner; expected two numbers from 0 to 15, or auto."
        )
    row, column = map(int, text.split(","))
    return row, column


@dataclass(frozen=True)
class Deblock(Task):
    """Remove JPEG compression artifacts from photos.

    Attributes:
        quality: libjpeg quality, 1 to 100; None reads it from a JPEG file, or estimates it from the
            pixels, as also that of an earlier, stronger compression.
        corner: row and column where blocks start, 0 to 15; None estimates them.
    """

    name: ClassVar[str] = "deblock"
    suffix: ClassVar[str] = "deblocked"
    gray_via_luma: ClassVar[bool] = True
    has_blocking: ClassVar[bool] = True

    quality: float | None = option(
        None,
        help="JPEG quality the photo was saved with, 1 to 100; auto reads it from the file, or"
        " estimates it from the pixels, also that of a stronger compression before.",
        metavar="FLOAT|auto",
        parse=parse_quality,
    )
    corner: tuple[int, int] | None = option(
        None,
        help="Row and column where the JPEG blocks of a cropped photo start, 0 to 15; auto finds"
        " them.",
        metavar="ROW,COLUMN|auto",
        parse=parse_corner,
        show="{0[0]},{0[1]}".format,
    )

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError(
                f"{self.quality:g} is not a valid quality; expected a number from 1 to 100."
            )
        if self.corner and not (
            len(self.corner) == 2 and all(0 <= one < 16 for one in self.corner)
        ):
            raise UsageError(
                f"{self.corner} is not a valid corner; expected two numbers from 0 to 15."
            )

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:
        """Add quality / 100 as a constant plane, clipped to the range that the network knows.

        By default the quality is that of the JPEG file's quantization tables, unless the pixels
        show an earlier, lower one, or it is estimated from the pixels, and so is the corner where
        blocks start; mirrored rows and columns complete
        the first blocks. A photo with a higher quality than the network knows is not changed;
        from 90 to 95 the strength falls.
        """
        import numpy as np

        from restore_cli.metrics import estimate_compressions

        pixels, quality, corner = picture.pixels, self.quality, self.corner
        if quality is None or corner is None:
            found = estimate_compressions(pixels, picture.compression, picture.visible)
            strongest = found[-1] if found else (100, (0, 0))
            quality, corner = quality or strongest[0], corner or strongest[1]
        options: dict[str, float | str] = {"quality": round(quality)}
        if self.quality is None and quality == picture.jpeg_quality:
            options["quality_from"] = "the file"
        if any(corner):
            before = [(-start % 16, 0) for start in corner]
            pixels = np.pad(pixels, [*before, (0, 0)], "symmetric")
        geometry = trained.geometry
        known = span(trained.levels.get("quality", Range(1, 100)))
        conditions = (min(max(quality, known.low), known.high) / 100,) * bool(geometry.conditions)
        strength = float(np.interp(quality, LIGHT, (1, 0.5)))
        warnings: tuple[str, ...] = ()
        if quality > known.high * (1 if geometry.conditions else BLIND_REACH):
            reason = f"JPEG quality {quality:.0f} is too high for this model to improve"
            if not picture.jpeg_quality and quality == 100:
                reason = "No JPEG artifacts were found"
            warnings = (f"{reason}; the photo was not changed.",)
            strength = 0
        elif geometry.conditions and quality < known.low:
            warnings = (
                f"JPEG quality {quality:.0f} is below this model's minimum of {known.low:g}; using"
                f" {known.low:g}.",
            )
        elif not geometry.conditions and not 0.8 * known.low <= quality <= 1.2 * known.high:
            warnings = (
                f"This model was trained for quality {known}, but the photo has {quality:.0f}.",
            )
        return NetworkInput(pixels, conditions, TaskReport(options, warnings, strength=strength))

    def advise(self, found: Finding) -> str | None:
        """Suggest `restore denoise` for a noisy photo."""
        if found.noise <= NOISY:
            return None
        return (
            f"Noise of level {found.noise:.0f} remains;"
            " `restore denoise` removes noise and JPEG artifacts."
        )

    def finish(self, output: Pixels, observed: Observed) -> Pixels:
        """Crop the rows and columns that `prepare` added, and finish."""
        height, width = observed.size
        return super().finish(output[-height:, -width:], observed)
