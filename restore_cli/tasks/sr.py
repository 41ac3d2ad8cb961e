"""Super-resolution: what a bicubic, antialiased reduction took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from restore_cli.errors import UsageError
from restore_cli.metrics import psnr
from restore_cli.tasks import Feed, Image, Random, Task, option, round_to_bytes

if TYPE_CHECKING:
    from restore_cli.engine import Geometry
    from restore_cli.image import Picture

SCALES = range(2, 9)


def parse_scale(word: str) -> int:
    """A whole number."""
    try:
        return int(word)
    except ValueError as error:
        raise UsageError(f"The scale is {word!r}; give a whole number from 2 to 8.") from error


@dataclass(frozen=True)
class Sr(Task):
    """Enlarge photos.

    Attributes:
        scale: how many times wider and higher; a recipe may draw it from a list of words, ["2", "3", "4"].
    """

    name: ClassVar[str] = "sr"
    suffix: ClassVar[str] = "enlarged"
    luma: ClassVar[bool] = True
    levels: ClassVar[Mapping[str, Any]] = {"scale": 2}
    validation: ClassVar[tuple[Mapping[str, Any], ...]] = ({"scale": 2},)
    command: ClassVar[bool] = False

    scale: int = option(2, help="How many times wider and higher.", metavar="INTEGER", parse=parse_scale)

    def __post_init__(self) -> None:
        if isinstance(self.scale, str):
            object.__setattr__(self, "scale", parse_scale(self.scale))
        if self.scale not in SCALES:
            raise UsageError(f"The scale is {self.scale}; give a whole number from 2 to 8.")

    def fit(self, clean: Image) -> Image:
        """Without the last rows and columns that fill no whole pixel of the reduced image."""
        height, width = (size - size % self.scale for size in clean.shape[:2])
        return clean[:height, :width]

    def degrade(self, clean: Image, rng: Random) -> Image:  # noqa: ARG002
        """Reduce as MATLAB's imresize, rounded to 8 bits; draws nothing.

        The reduction of the field's benchmarks; rounded, as their files are.

        Returns:
            H/scale x W/scale x C, rounded down.
        """
        from restore_cli.image import resize

        clean = self.fit(clean)
        height, width = clean.shape[:2]
        return round_to_bytes(resize(clean, height // self.scale, width // self.scale))

    def prepare(
        self,
        pixels: Image,
        trained: Mapping[str, Any],
        geometry: Geometry,
        picture: Picture | None = None,  # noqa: ARG002
    ) -> Feed:
        """Enlarge bicubically for a network that keeps the size, as SRCNN's and RED-Net's do.

        Raises:
            UsageError: the network enlarges by another scale.
        """
        from restore_cli.image import resize

        if geometry.scale not in (1, self.scale):
            raise UsageError(
                f"The model enlarges {geometry.scale} times, not {self.scale}; give --scale {geometry.scale}."
            )
        known = {int(scale) for scale in _listed(trained.get("scale", self.scale))}
        warnings: tuple[str, ...] = ()
        if self.scale not in known:
            names = ", ".join(map(str, sorted(known)))
            warnings = (f"The model was trained to enlarge {names} times, not {self.scale}.",)
        if geometry.scale == 1:
            height, width = (size * self.scale for size in pixels.shape[:2])
            pixels = resize(pixels, height, width)
        return Feed(pixels, (self.scale / 4,) * geometry.conditions, {"scale": self.scale}, warnings)

    def score(self, restored: Image, clean: Image) -> float:
        """PSNR in dB on studio luma (BT.601), gray as it is, `scale` pixels shaved from each border.

        The restored picture is rounded to 8 bits, luma is not.
        """
        from restore_cli.image import luma

        restored, clean = (
            image[self.scale : -self.scale, self.scale : -self.scale]
            for image in (round_to_bytes(restored), clean)
        )
        if clean.shape[2] == 3:
            restored, clean = luma(restored), luma(clean)
        return psnr(restored, clean)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
