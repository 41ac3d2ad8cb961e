"""Super-resolution: upscaling of photos."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from restore_cli.errors import RestoreError, UsageError
from restore_cli.levels import Choice, Levels, span
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

LARGEST = 8
NOISY, COMPRESSED = 3.0, 90  # noise level above which, and JPEG quality below which, to warn


def parse_scale(text: str) -> float:
    """Parse a number."""
    try:
        return float(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a valid scale; expected a number from 1 to {LARGEST}."
        ) from error


def parse_size(text: str) -> tuple[int, int]:
    """Parse "1920x1080", width and height in pixels; "1920x" or "x1080" gives 0 for the other."""
    found = re.fullmatch(r"{0}x|x{0}|{0}x{0}".format(r"([1-9]\d{0,8})"), text.lower(), re.ASCII)
    if not found:
        raise UsageError(
            f"{text!r} is not a valid size; expected pixels such as 1920x1080,"
            " or only one side, such as 1920x."
        )
    return int(found[1] or found[3] or 0), int(found[2] or found[4] or 0)


def show_size(size: tuple[int, int]) -> str:
    """The text of a size."""
    return "x".join(str(side or "") for side in size)


@dataclass(frozen=True)
class Sr(Task):
    """Upscale photos.

    Attributes:
        scale: factor for width and height, 1 to 8; None is 2.
        size: width and height in pixels, instead of the scale; at most 8 times the photo's. If one
            is 0, it follows from the photo's aspect ratio.
    """

    name: ClassVar[str] = "sr"
    suffix: ClassVar[str] = "enlarged"
    gray_via_luma: ClassVar[bool] = True
    enlarges: ClassVar[bool] = True

    scale: float | None = option(
        None,
        help="Upscaling factor, 1 to 8; by default 2.",
        metavar="FLOAT",
        parse=parse_scale,
        absent="2",
    )
    size: tuple[int, int] | None = option(
        None,
        help="Output size in pixels, instead of --scale; Wx or xH keeps the aspect ratio.",
        metavar="WxH|Wx|xH",
        parse=parse_size,
        show=show_size,
    )

    def __post_init__(self) -> None:
        if not 1 <= self.factor <= LARGEST:
            raise UsageError(
                f"{self.factor:g} is not a valid scale; expected a number from 1 to {LARGEST}."
            )
        if self.size and self.scale is not None:
            raise UsageError("Cannot use --scale and --size together. Choose one.")
        if self.size is not None and not (
            len(self.size) == 2 and min(side or 0 for side in self.size) >= 0 and any(self.size)
        ):
            raise UsageError(
                f"{self.size} is not a valid size; expected width and height in pixels, one of them"
                " may be 0."
            )

    @property
    def factor(self) -> float:
        """The scale, unless a size is given."""
        return 2.0 if self.scale is None else self.scale

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:
        """Upscale bicubically for a network that keeps the size, such as SRCNN and RED-Net.

        The scale is the smallest sufficient one that the network knows, or its largest; the
        condition plane is scale / 4. `finish` resamples to the requested size. If that is not
        larger than the photo, only networks that also remove damage are run.
        """
        from restore_cli.image import resize

        pixels, geometry = picture.pixels, trained.geometry
        height, width = pixels.shape[:2]
        wanted = self.enlargement(height, width)
        known = [float(geometry.scale)] if geometry.scale > 1 else _scales(trained.levels)
        scale = next((scale for scale in known if scale >= wanted), known[-1])
        if geometry.scale == 1:
            pixels = resize(pixels, round(height * scale), round(width * scale))
        options: dict[str, float | str] = {"scale": self.factor}
        if self.size:
            options = {"size": show_size(self.size)}
        strength = float(wanted > 1 or trained.levels.get("damage") == "photo")
        report = TaskReport(options, tuple(self._warn(height, width, scale)), strength)
        return NetworkInput(pixels, (scale / 4,) * geometry.conditions, report)

    def _warn(self, height: int, width: int, scale: float) -> Iterator[str]:
        """Warnings about a photo of this size and a network with this scale."""
        wanted = self.enlargement(height, width)
        if wanted > scale:
            yield (
                f"This model upscales {scale:g}x; the remaining {wanted / scale:.3g}x is bicubic."
            )
        elif wanted < 1:
            yield "The requested size is smaller than the photo, which is therefore downscaled."
        if self.size and all(self.size):
            wide, tall = self.size
            if abs(wide * height / width - tall) > 1:  # a pixel is rounding
                yield "The requested size changes the aspect ratio; the photo is stretched."

    def advise(self, found: Finding) -> str | None:
        """Suggest the model for photos if noise or JPEG artifacts would be upscaled, too."""
        from restore_cli.metrics import estimate_compressions

        if found.trained.get("damage") == "photo":
            return None
        picture = found.picture
        if max(self.target_size(*picture.pixels.shape[:2])) <= max(picture.pixels.shape[:2]):
            return None
        past = estimate_compressions(picture.pixels, picture.compression, picture.visible)
        quality = past[-1][0] if past else 100
        damage = [f"noise of level {found.noise:.0f}"] * (found.noise > NOISY)
        damage += [f"JPEG artifacts of quality {quality:.0f}"] * (quality < COMPRESSED)
        if not damage:
            return None
        return f"This also upscales {' and '.join(damage)}; `sr --model photo` does not."

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result: the requested size, or the scaled one.

        Raises:
            RestoreError: the result would be more than 8 times as wide or high as the photo.
        """
        if not self.size:
            return round(height * self.factor), round(width * self.factor)
        wide, tall = self.size
        target = (
            tall or max(1, round(height * wide / width)),
            wide or max(1, round(width * tall / height)),
        )
        larger = max(target[0] / height, target[1] / width)
        if larger > LARGEST:
            raise RestoreError(
                f"Cannot upscale {larger:.3g} times: the limit is {LARGEST} times. Give a smaller"
                " --size."
            )
        return target

    def finish(self, output: Pixels, observed: Observed) -> Pixels:
        """Resample to the requested size, antialiased, if the network's scale differs."""
        return super().finish(self._resize(output, *observed.size), observed)

    def unrestored(self, observed: Pixels) -> Pixels:
        """The observed pixels, upscaled bicubically."""
        return self._resize(observed, *observed.shape[:2]).clip(0, 1)

    def _resize(self, image: Pixels, height: int, width: int) -> Pixels:
        """Resample to the size of the result for a photo of this height and width."""
        from restore_cli.image import resize

        size = self.target_size(height, width)
        return image if image.shape[:2] == size else resize(image, *size)


def _scales(trained: Levels) -> list[float]:
    """The scales that a network was trained for, in ascending order."""
    level = trained.get("scale", 2)
    if isinstance(level, Choice):
        return sorted(map(float, level.words))
    known = span(level)
    return [known.low, known.high]
