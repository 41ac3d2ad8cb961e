"""JPEG compression: blocks, ringing, smeared colors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from restore_cli.degradations import Degradation, Random
from restore_cli.errors import UsageError
from restore_cli.image import Pixels, compress
from restore_cli.levels import Choice, Levels, Range
from restore_cli.tasks.deblock import Deblock

SUBSAMPLINGS = ("4:4:4", "4:2:2", "4:2:0")
QUALITIES = (5, 100)  # between which one is drawn where none is given


@dataclass(frozen=True)
class Jpeg(Degradation):
    """Compression as JPEG.

    Attributes:
        quality: of libjpeg, 1 to 100, rounded; None draws it.
        subsampling: of color, "4:4:4", "4:2:2" or "4:2:0"; gray has none.
    """

    protocol: ClassVar[str] = (
        "compressed by Pillow's libjpeg, 4:2:0 in color unless another subsampling is named"
    )
    levels: ClassVar[Levels] = {
        "quality": Range(*QUALITIES),
        "subsampling": Choice(("4:2:0", "4:4:4")),
    }
    validation: ClassVar[tuple[Levels, ...]] = ({"quality": 10}, {"quality": 20}, {"quality": 40})

    quality: float | None = None
    subsampling: str = "4:2:0"

    def __post_init__(self) -> None:
        Deblock(self.quality)  # refuses what is out of range
        if self.subsampling not in SUBSAMPLINGS:
            raise UsageError(
                f"Subsampling is {self.subsampling!r}; choose {', '.join(SUBSAMPLINGS)}."
            )

    def task(self) -> Deblock:
        """By the quality; where blocks start is for the task to find."""
        return Deblock(self.quality)

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Compress and read back, by libjpeg; blocks start at the corner."""
        quality = rng.uniform(*QUALITIES) if self.quality is None else self.quality
        return compress(clean, round(quality), self.subsampling)

    def pair(self, clean: Pixels, rng: Random) -> tuple[Deblock, Pixels, Pixels]:
        """Say where blocks start."""
        return replace(self.task(), corner=(0, 0)), self.apply(clean, rng), clean
