"""What JPEG compression leaves: blocks, ringing, smeared colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from restore_cli.degradations import Image, Random
from restore_cli.errors import UsageError
from restore_cli.metrics import estimate_quality
from restore_cli.tasks import Feed, Task, option, span

if TYPE_CHECKING:
    from restore_cli.image import Picture
    from restore_cli.network import Geometry

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
BLIND_REACH = (
    2  # times the best quality that a network knows, and is not told, from where on it does harm
)
NOISY = 5.0  # noise level from which on a photo is called noisy
LIGHT = (
    90,
    95,
)  # qualities between which half of the change is given up, for all of it may do harm


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
        subsampling: of colour, "4:4:4", "4:2:2" or "4:2:0"; gray has none.
    """

    name: ClassVar[str] = "deblock"
    suffix: ClassVar[str] = "deblocked"
    luma: ClassVar[bool] = True
    blocks: ClassVar[bool] = True
    protocol: ClassVar[str] = (
        "compressed by Pillow's libjpeg, 4:2:0 in colour unless another subsampling is named"
    )
    levels: ClassVar[Mapping[str, Any]] = {"quality": [5, 100], "subsampling": ["4:2:0", "4:4:4"]}
    validation: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"quality": 10},
        {"quality": 20},
        {"quality": 40},
    )

    quality: float | None = option(
        None,
        help="JPEG quality the photo was saved with, 1 to 100; auto reads it from each file, or"
        " its pixels.",
        metavar="FLOAT|auto",
        parse=parse_quality,
    )
    subsampling: str = "4:2:0"

    def __post_init__(self) -> None:
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise UsageError(
                f"Quality is {self.quality:g}; give a JPEG quality from 1 to 100, or auto."
            )
        if self.subsampling not in SUBSAMPLINGS:
            raise UsageError(
                f"Subsampling is {self.subsampling!r}; choose {', '.join(SUBSAMPLINGS)}."
            )

    def degrade(self, clean: Image, rng: Random) -> Image:  # noqa: ARG002
        """Compress and read back, by libjpeg; draws nothing, and blocks start at the corner."""
        from restore_cli.image import compress

        if self.quality is None:
            raise UsageError("Compressing needs a quality.")
        return compress(clean, round(self.quality), self.subsampling)

    def prepare(
        self,
        pixels: Image,
        trained: Mapping[str, Any],
        geometry: Geometry,
        picture: Picture | None = None,
    ) -> Feed:
        """Give quality / 100 as a constant plane, held to the range that the network knows.

        Unless it is given, it is that of the JPEG file's own tables, or else estimated from the
        pixels, as is where blocks start; mirrored rows and columns put the first of them whole into
        the corner. A photo of a higher quality than a network knows stays as it is; from 90 to 95
        ever less of the change is made.
        """
        found: tuple[float, tuple[int, int]] = (self.quality or 0, (0, 0))
        if picture and picture.jpeg_quality:
            found = picture.jpeg_quality, picture.corner
        elif picture or self.quality is None:
            found = estimate_quality(pixels, picture.visible if picture else None)
        quality, corner = self.quality or found[0], found[1]
        told: dict[str, float | str] = {"quality": round(quality)}
        if picture and picture.jpeg_quality and self.quality is None:
            told["quality_from"] = "the file"
        if any(corner):
            pixels = np.pad(
                pixels, [(-corner[0] % 16, 0), (-corner[1] % 16, 0), (0, 0)], "symmetric"
            )
        low, high, known = span(trained.get("quality", [1, 100]))
        conditions = (min(max(quality, low), high) / 100,) if geometry.conditions else ()
        strength = float(np.interp(quality, LIGHT, (1, 0.5)))
        warnings: tuple[str, ...] = ()
        if quality > high * (1 if geometry.conditions else BLIND_REACH):
            warnings = (
                f"Quality {quality:.0f} leaves nothing for this model to mend; nothing is changed.",
            )
            strength = 0
        elif geometry.conditions and quality < low:
            warnings = (
                f"The model knows quality from {low:g} up; quality {quality:.0f} is treated as"
                f" {low:g}.",
            )
        elif not geometry.conditions and not 0.8 * low <= quality <= 1.2 * high:
            warnings = (
                f"The model was trained for quality {known}, the photo's is {quality:.0f}.",
            )
        return Feed(pixels, conditions, told, warnings, strength=strength)

    def advise(self, picture: Picture, noise: float, trained: Mapping[str, Any]) -> str:  # noqa: ARG002
        """Name the command that removes noise, too."""
        if noise <= NOISY:
            return ""
        return (
            f"Noise of level {noise:.0f} stays; `restore denoise` removes it, and the traces"
            " of JPEG."
        )

    def finish(self, restored: Image, observed: Image) -> Image:
        """Without what `prepare` put before the first row and column."""
        height, width = observed.shape[:2]
        return super().finish(restored[-height:, -width:], observed)
