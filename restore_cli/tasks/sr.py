"""Low resolution is to become higher."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from restore_cli.errors import RestoreError, UsageError
from restore_cli.levels import Choice, Levels, span
from restore_cli.tasks import Task, option
from restore_cli.tasks.restoration import Finding, NetworkInput, TaskReport, Trained

if TYPE_CHECKING:  # the command line reads the tasks for its help, and must not wait for numpy
    from restore_cli.image import Picture, Pixels

LARGEST = 8
NOISY, COMPRESSED = 3.0, 90  # noise level and JPEG quality beyond which a photo is not clean


def parse_scale(word: str) -> float:
    """A number."""
    try:
        return float(word)
    except ValueError as error:
        raise UsageError(f"The scale is {word!r}; give a number from 1 to {LARGEST}.") from error


def parse_size(word: str) -> tuple[int, int]:
    """ "1920x1080", width and height in pixels; "1920x" and "x1080" have 0 for the other one."""
    found = re.fullmatch(r"([1-9]\d*)x|x([1-9]\d*)|([1-9]\d*)x([1-9]\d*)", word.lower(), re.ASCII)
    if not found:
        raise UsageError(
            f"The size is {word!r}; give width and height in pixels, such as 1920x1080, or one of"
            " them, such"
            " as 1920x."
        )
    return int(found[1] or found[3] or 0), int(found[2] or found[4] or 0)


@dataclass(frozen=True)
class Sr(Task):
    """Enlarge photos.

    Attributes:
        scale: how many times wider and higher, 1 to 8.
        size: width and height in pixels, in place of the scale; at most 8 times the photo's. Where
            one is 0, it follows from the photo's shape.
    """

    name: ClassVar[str] = "sr"
    suffix: ClassVar[str] = "enlarged"
    gray_via_luma: ClassVar[bool] = True
    enlarges: ClassVar[bool] = True

    scale: float = option(
        2.0, help="How many times wider and higher.", metavar="FLOAT", parse=parse_scale
    )
    size: tuple[int, int] | None = option(
        None,
        help="Width and height in pixels, in place of the scale; Wx or xH keeps the photo's shape.",
        metavar="WxH|Wx|xH",
        parse=parse_size,
    )

    def __post_init__(self) -> None:
        if not 1 <= self.scale <= LARGEST:
            raise UsageError(f"The scale is {self.scale:g}; give a number from 1 to {LARGEST}.")
        if self.size and self.scale != Sr.scale:
            raise UsageError("Both a scale and a size are given; choose one.")

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:
        """Enlarge bicubically for a network that keeps the size, as SRCNN's and RED-Net's do.

        By the smallest scale that the network knows and that suffices, or else by its largest; its
        condition plane is a fourth of that. `finish` does the rest.

        Raises:
            RestoreError: the result would have more than 8 times the photo's sides.
        """
        from restore_cli.image import resize

        pixels, geometry = picture.pixels, trained.geometry
        height, width = pixels.shape[:2]
        wanted = self.enlargement(height, width)
        if wanted > LARGEST:
            raise RestoreError(
                f"the size is {wanted:.3g} times its own; give one of at most {LARGEST} times."
            )
        known = [float(geometry.scale)] if geometry.scale > 1 else _scales(trained.levels)
        scale = next((scale for scale in known if scale >= wanted), known[-1])
        if geometry.scale == 1:
            pixels = resize(pixels, round(height * scale), round(width * scale))
        options: dict[str, float | str] = {"scale": self.scale}
        if self.size:
            options = {"size": "x".join(str(side or "") for side in self.size)}
        report = TaskReport(options, tuple(self._warn(height, width, scale)))
        return NetworkInput(pixels, (scale / 4,) * geometry.conditions, report)

    def _warn(self, height: int, width: int, scale: float) -> Iterator[str]:
        """What a network of some scale cannot do for a photo of this size."""
        wanted = self.enlargement(height, width)
        if wanted > scale:
            yield f"The model enlarges up to {scale:g} times; the rest of {wanted:.3g} is bicubic."
        elif wanted < 1:
            yield "The size is smaller than the photo, which is reduced."
        if self.size and all(self.size):
            wide, tall = self.size
            if abs(wide * height / width - tall) > 1:  # a pixel is rounding
                yield f"The size has another shape than {width} x {height}; the photo is stretched."

    def advise(self, found: Finding) -> str | None:
        """Name the model for photos where noise or traces of JPEG would be enlarged, too."""
        from restore_cli.metrics import estimate_quality

        if found.trained.get("damage") == "photo":
            return None
        picture = found.picture
        quality = picture.jpeg_quality or estimate_quality(picture.pixels, picture.visible)[0]
        faults = [f"noise of level {found.noise:.0f}"] * (found.noise > NOISY)
        faults += [f"the traces of JPEG at quality {quality:.0f}"] * (quality < COMPRESSED)
        if not faults:
            return None
        return f"This enlarges {' and '.join(faults)}, too; --model photo does not."

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result: the size that is wanted, or by the scale."""
        if not self.size:
            return round(height * self.scale), round(width * self.scale)
        wide, tall = self.size
        return (
            tall or max(1, round(height * wide / width)),
            wide or max(1, round(width * tall / height)),
        )

    def finish(self, output: Pixels, observed: Pixels) -> Pixels:
        """Resample to the size that is wanted, antialiased, if the network's scale is another."""
        return super().finish(self._resize(output, observed), observed)

    def unrestored(self, observed: Pixels) -> Pixels:
        """Bicubically enlarged."""
        return self._resize(observed, observed).clip(0, 1)

    def _resize(self, image: Pixels, observed: Pixels) -> Pixels:
        from restore_cli.image import resize

        height, width = self.target_size(*observed.shape[:2])
        return image if image.shape[:2] == (height, width) else resize(image, height, width)


def _scales(trained: Levels) -> list[float]:
    """The scales that a network was trained for, in order."""
    level = trained.get("scale", 2)
    if isinstance(level, Choice):
        return sorted(map(float, level.words))
    known = span(level)
    return [known.low, known.high]
