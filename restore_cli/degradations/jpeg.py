"""JPEG compression, which causes blocks, ringing and smeared colors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from restore_cli.degradations import Degradation, Random
from restore_cli.image import Pixels, compress
from restore_cli.levels import Choice, Levels, Range
from restore_cli.metrics import estimate_quality
from restore_cli.tasks.deblock import Deblock

Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]
QUALITIES = (5, 100)  # range to draw from if no quality is given


@dataclass(frozen=True)
class Jpeg(Degradation):
    """JPEG compression.

    Attributes:
        quality: libjpeg's quality, 1 to 100, rounded; None draws one for each image.
        subsampling: of color: "4:4:4", "4:2:2" or "4:2:0"; not used for gray.
    """

    protocol: ClassVar[str] = (
        "compressed by Pillow's libjpeg, 4:2:0 in color unless another subsampling is named"
    )
    levels: ClassVar[Levels] = {
        "quality": Range(*QUALITIES),
        "subsampling": Choice(("4:2:0", "4:4:4")),
    }
    validation: ClassVar[tuple[Levels, ...]] = ({"quality": 10}, {"quality": 20}, {"quality": 40})
    grid: ClassVar[int] = 16  # of blocks with 4:2:0

    quality: float | None = None
    subsampling: Subsampling = "4:2:0"

    def __post_init__(self) -> None:
        super().__post_init__()
        Deblock(self.quality)  # raises an error if it is out of range

    def task(self) -> Deblock:
        """Return the task with the quality; it has to find by itself where blocks start."""
        return Deblock(self.quality)

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Compress with libjpeg and decode; blocks start at the corner."""
        quality = rng.uniform(*QUALITIES) if self.quality is None else self.quality
        return compress(clean, round(quality), self.subsampling)

    def pair(self, clean: Pixels, rng: Random) -> tuple[Deblock, Pixels, Pixels]:
        """Make a pair for training, with a task that knows where blocks start."""
        return replace(self.task(), corner=(0, 0)), self.apply(clean, rng), clean

    def real_pair(self, clean: Pixels, observed: Pixels) -> tuple[Deblock, Pixels, Pixels]:
        """Make a pair for training from a real one; its quality is estimated from the pixels."""
        return Deblock(estimate_quality(observed)[0], corner=(0, 0)), observed, clean
