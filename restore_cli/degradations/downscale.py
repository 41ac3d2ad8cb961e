"""Low resolution: by bicubic reduction, or as in photos from cameras and the web."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from restore_cli.degradations import Degradation, Random
from restore_cli.degradations.wear import wear
from restore_cli.errors import UsageError
from restore_cli.image import Pixels, resize, round_to_bytes
from restore_cli.levels import Levels
from restore_cli.report.figures import PSNR_Y, Figure
from restore_cli.tasks.sr import Sr, parse_scale

Damage = Literal["bicubic", "photo"]


@dataclass(frozen=True)
class Downscale(Degradation):
    """Reduction to fewer pixels.

    Attributes:
        scale: factor by which width and height are reduced, 1 to 8; a recipe may draw it from a
            list of words, ["2", "3", "4"].
        damage: "bicubic" reduces; "photo" blurs, reduces, adds noise and compresses, as cameras and
            the web do.
    """

    protocol: ClassVar[str] = "reduced as by MATLAB's imresize, bicubic and antialiased, to 8 bits"
    headline_metric: ClassVar[Figure] = PSNR_Y
    levels: ClassVar[Levels] = {"scale": 2}
    validation: ClassVar[tuple[Levels, ...]] = ({"scale": 2},)

    scale: float = 2.0
    damage: Damage = "bicubic"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.scale, str):
            object.__setattr__(self, "scale", parse_scale(self.scale))
        Sr(self.scale)  # raises an error if it is out of range

    def describe(self) -> str:
        """Describe how benchmarks degrade a clean image with these levels."""
        if self.damage == "bicubic":
            return self.protocol
        return (
            "blurred, reduced, made noisy and compressed in a random order, drawn by numpy's"
            " RandomState(0), restarted for each image"
        )

    @property
    def paired(self) -> bool:
        """Whether datasets have such pairs: their small images are reduced bicubically."""
        return self.damage == "bicubic"

    def task(self) -> Sr:
        """Return the task with the scale."""
        return Sr(self.scale)

    def crop_to_scale(self, clean: Pixels) -> Pixels:
        """Crop the last rows and columns, so that the sides are multiples of the scale."""
        height, width = (size - size % round(self.scale) for size in clean.shape[:2])
        return clean[:height, :width]

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Reduce an image: "bicubic" like MATLAB's imresize, rounded to 8 bits, "photo" by `wear`.

        Returns:
            H/scale x W/scale x C, rounded down.

        Raises:
            UsageError: the scale is not an integer.
        """
        if self.scale != round(self.scale):
            raise UsageError(
                f"{self.scale:g} is not a valid scale for the degradation; expected an integer."
            )
        clean = self.crop_to_scale(clean)
        height, width = (size // round(self.scale) for size in clean.shape[:2])
        if self.damage == "photo":
            return wear(clean, height, width, rng)
        return round_to_bytes(resize(clean, height, width))

    def crop_border(self, image: Pixels) -> Pixels:
        """Crop `scale` pixels on every side."""
        border = round(self.scale)
        return image[border:-border, border:-border]
