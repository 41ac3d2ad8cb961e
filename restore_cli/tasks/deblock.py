"""What JPEG compression leaves is to go: blocks, ringing, smeared colors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from restore_cli.errors import UsageError
from restore_cli.levels import Range, span
from restore_cli.tasks import Task, option
from restore_cli.tasks.restoration import Finding, NetworkInput, TaskReport, Trained

if TYPE_CHECKING:  # the command line reads the tasks for its help, and must not wait for numpy
    from restore_cli.image import Picture, Pixels

BLIND_REACH = 2  # times the best quality that a network knows, but is not given: beyond, it harms
NOISY = 5.0  # noise level from which on a photo is called noisy
LIGHT = (90, 95)  # qualities between which half of the change is given up: all of it may do harm


def parse_quality(word: str) -> float | None:
    """A number, or "auto"."""
    try:
        return None if word == "auto" else float(word)
    except ValueError as error:
        raise UsageError(f"Quality is {word!r}; give a number from 1 to 100, or auto.") from error


@dataclass(frozen=True)
class Deblock(Task):
    """Remove the traces of JPEG compression from photos.

    Attributes:
        quality: of libjpeg, 1 to 100, rounded; None reads it from a JPEG, or estimates it from the
            pixels.
        corner: row and column where blocks start, 0 to 15; None finds them.
    """

    name: ClassVar[str] = "deblock"
    suffix: ClassVar[str] = "deblocked"
    gray_via_luma: ClassVar[bool] = True
    has_blocking: ClassVar[bool] = True

    quality: float | None = option(
        None,
        help="JPEG quality the photo was saved with, 1 to 100; auto reads it from each file, or"
        " its pixels.",
        metavar="FLOAT|auto",
        parse=parse_quality,
    )

    corner: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError(
                f"Quality is {self.quality:g}; give a JPEG quality from 1 to 100, or auto."
            )

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:
        """Give quality / 100 as a constant plane, held to the range that the network knows.

        Unless it is given, it is that of the JPEG file's own tables, or else estimated from the
        pixels, as is where blocks start; mirrored rows and columns put the first of them whole into
        the corner. A photo of a higher quality than a network knows stays as it is; from 90 to 95
        ever less of the change is made.
        """
        import numpy as np

        from restore_cli.metrics import estimate_quality

        pixels, corner, own = picture.pixels, picture.corner, float(picture.jpeg_quality or 0)
        if not own and not (self.quality and self.corner):
            own, corner = estimate_quality(pixels, picture.visible)
        quality, corner = self.quality or own, self.corner or corner
        options: dict[str, float | str] = {"quality": round(quality)}
        if picture.jpeg_quality and self.quality is None:
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
            warnings = (
                f"Quality {quality:.0f} leaves nothing for this model to mend; nothing is changed.",
            )
            strength = 0
        elif geometry.conditions and quality < known.low:
            warnings = (
                f"The model knows quality from {known.low:g} up; quality {quality:.0f} is treated"
                f" as {known.low:g}.",
            )
        elif not geometry.conditions and not 0.8 * known.low <= quality <= 1.2 * known.high:
            warnings = (
                f"The model was trained for quality {known}, the photo's is {quality:.0f}.",
            )
        return NetworkInput(pixels, conditions, TaskReport(options, warnings, strength=strength))

    def advise(self, found: Finding) -> str | None:
        """Name the command that removes noise, too."""
        if found.noise <= NOISY:
            return None
        return (
            f"Noise of level {found.noise:.0f} stays; `restore denoise` removes it, and the traces"
            " of JPEG."
        )

    def finish(self, output: Pixels, observed: Pixels) -> Pixels:
        """Without what `prepare` put before the first row and column."""
        height, width = observed.shape[:2]
        return super().finish(output[-height:, -width:], observed)
