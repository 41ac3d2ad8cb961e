"""Super-resolution: what a bicubic, antialiased reduction took."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from restore_cli.degradations import Image, Random, camera, round_to_bytes
from restore_cli.errors import RestoreError, UsageError
from restore_cli.metrics import estimate_quality
from restore_cli.tasks import Feed, Task, option

if TYPE_CHECKING:
    from restore_cli.image import Picture
    from restore_cli.network import Geometry

LARGEST = 8
WORN = 20.0  # the most noise of small photos, on the 0..255 scale
NOISY, COMPRESSED = 3.0, 90  # noise level and JPEG quality beyond which a photo is not clean
DAMAGES = ("bicubic", "photo")


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
        scale: how many times wider and higher, 1 to 8; a recipe may draw it from a list of words,
            ["2", "3", "4"].
        size: width and height in pixels, in place of the scale; at most 8 times the photo's. Where
            one is 0, it follows from the photo's shape.
        damage: what `degrade` does: "bicubic" reduces; "photo" blurs, reduces, adds noise and
            compresses, as cameras and the web do.
    """

    name: ClassVar[str] = "sr"
    suffix: ClassVar[str] = "enlarged"
    luma: ClassVar[bool] = True
    enlarges: ClassVar[bool] = True
    protocol: ClassVar[str] = "reduced as by MATLAB's imresize, bicubic and antialiased, to 8 bits"
    scored: ClassVar[str] = "PSNR Y"
    levels: ClassVar[Mapping[str, Any]] = {"scale": 2}
    validation: ClassVar[tuple[Mapping[str, Any], ...]] = ({"scale": 2},)

    scale: float = option(
        2.0, help="How many times wider and higher.", metavar="FLOAT", parse=parse_scale
    )
    size: tuple[int, int] | None = option(
        None,
        help="Width and height in pixels, in place of the scale; Wx or xH keeps the photo's shape.",
        metavar="WxH|Wx|xH",
        parse=parse_size,
    )
    damage: str = "bicubic"

    def __post_init__(self) -> None:
        if isinstance(self.scale, str):
            object.__setattr__(self, "scale", parse_scale(self.scale))
        if not 1 <= self.scale <= LARGEST:
            raise UsageError(f"The scale is {self.scale:g}; give a number from 1 to {LARGEST}.")
        if self.damage not in DAMAGES:
            raise UsageError(f"The damage is {self.damage!r}; choose {', '.join(DAMAGES)}.")
        if self.size and self.scale != Sr.scale:
            raise UsageError("Both a scale and a size are given; choose one.")

    @property
    def paired(self) -> bool:
        """The small images of sets are reduced bicubically."""
        return self.damage == "bicubic"

    def fit(self, clean: Image) -> Image:
        """Without the last rows and columns that fill no whole pixel of the reduced image."""
        height, width = (size - size % round(self.scale) for size in clean.shape[:2])
        return clean[:height, :width]

    def degrade(self, clean: Image, rng: Random) -> Image:
        """Reduce as MATLAB's imresize, rounded to 8 bits as the benchmarks' files are, which draws
        nothing.

        A photo's damage is that of `wear`.

        Returns:
            H/scale x W/scale x C, rounded down.

        Raises:
            UsageError: the scale is no whole number.
        """
        from restore_cli.image import resize

        if self.scale != round(self.scale):
            raise UsageError(f"Photos are reduced by whole numbers, not by {self.scale:g}.")
        clean = self.fit(clean)
        height, width = (size // round(self.scale) for size in clean.shape[:2])
        return (
            wear(clean, height, width, rng)
            if self.damage == "photo"
            else round_to_bytes(resize(clean, height, width))
        )

    def prepare(
        self,
        pixels: Image,
        trained: Mapping[str, Any],
        geometry: Geometry,
        picture: Picture | None = None,  # noqa: ARG002
    ) -> Feed:
        """Enlarge bicubically for a network that keeps the size, as SRCNN's and RED-Net's do.

        By the smallest scale that the network knows and that suffices, or else by its largest; to
        that it is told its fourth part. `finish` does the rest.

        Raises:
            RestoreError: the result would have more than 8 times the photo's sides.
        """
        from restore_cli.image import resize

        wanted = self.enlargement(*pixels.shape[:2])
        if wanted > LARGEST:
            raise RestoreError(
                f"the size is {wanted:.3g} times its own; give one of at most {LARGEST} times."
            )
        known = (
            [geometry.scale]
            if geometry.scale > 1
            else sorted(map(float, _listed(trained.get("scale", 2))))
        )
        scale = next((scale for scale in known if scale >= wanted), known[-1])
        warnings: tuple[str, ...] = ()
        if wanted > scale:
            warnings = (
                f"The model enlarges up to {scale:g} times; the rest of {wanted:.3g} is bicubic.",
            )
        elif wanted < 1:
            warnings = ("The size is smaller than the photo, which is reduced.",)
        options: dict[str, float | str] = {"scale": self.scale}
        if self.size:
            options = {"size": "x".join(str(side or "") for side in self.size)}
            height, width = pixels.shape[:2]
            stretched = abs(self.size[0] * height / width - self.size[1]) > 1  # a pixel is rounding
            if all(self.size) and stretched:
                warnings += (
                    f"The size has another shape than {width} x {height}; the photo is stretched.",
                )
        if geometry.scale == 1:
            pixels = resize(pixels, *(round(size * scale) for size in pixels.shape[:2]))
        return Feed(pixels, (scale / 4,) * geometry.conditions, options, warnings)

    def advise(self, picture: Picture, noise: float, trained: Mapping[str, Any]) -> str:
        """Name the model for photos where noise or traces of JPEG would be enlarged, too."""
        if trained.get("damage") == "photo":
            return ""
        quality = picture.jpeg_quality or estimate_quality(picture.pixels, picture.visible)[0]
        faults = [f"noise of level {noise:.0f}"] * (noise > NOISY)
        faults += [f"the traces of JPEG at quality {quality:.0f}"] * (quality < COMPRESSED)
        return (
            f"This enlarges {' and '.join(faults)}, too; --model photo does not." if faults else ""
        )

    def enlargement(self, height: int, width: int) -> float:
        """By the size that is wanted: the larger ratio of the two sides."""
        wanted = self._target(height, width)
        return max(wanted[0] / height, wanted[1] / width)

    def finish(self, restored: Image, observed: Image) -> Image:
        """Resample to the size that is wanted, antialiased, where the network's scale is
        another.
        """
        return super().finish(self._resize(restored, observed), observed)

    def plain(self, observed: Image) -> Image:
        """Bicubically enlarged."""
        return self._resize(observed, observed).clip(0, 1)

    def _resize(self, image: Image, observed: Image) -> Image:
        from restore_cli.image import resize

        height, width = self._target(*observed.shape[:2])
        return image if image.shape[:2] == (height, width) else resize(image, height, width)

    def _target(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result."""
        if self.size:
            wide, tall = self.size
            return tall or max(1, round(height * wide / width)), wide or max(
                1, round(width * tall / height)
            )
        return round(height * self.scale), round(width * self.scale)

    def inside(self, image: Image) -> Image:
        """Without `scale` pixels on every side."""
        border = round(self.scale)
        return image[border:-border, border:-border]


def wear(clean: Image, height: int, width: int, rng: Random) -> Image:
    """Reduce a photo on the way that it takes through cameras, editors and the web, in two rounds.

    In each it is blurred, reduced by a part of the way, given noise and compressed, in random order
    and strength; one photo in eight is only reduced. After Zhang et al., "Designing a Practical
    Degradation Model for Deep Blind Image Super-Resolution", and Wang et al., "Real-ESRGAN", both
    ICCV 2021; but milder.

    Args:
        clean: H x W x C in [0, 1].
        height, width: of the result.
    """
    from restore_cli.image import resize

    if rng.uniform() < 0.125:
        return round_to_bytes(resize(clean, height, width))
    worn, share = clean, rng.uniform()
    rounds = [(share, 0.5), (1.0, 1.0)]  # how much of the way, and of the noise
    for way, part in rounds[rng.uniform() < 0.4 :]:
        sides = zip(clean.shape, (height, width), strict=False)
        tall, wide = (round(full * (end / full) ** way) for full, end in sides)
        for step in rng.permutation(3):
            if step == 0:
                worn = _reduce(_blur(worn, rng), tall, wide, rng)
            elif step == 1 and rng.uniform() < 0.6:
                level = part * camera.draw_level(rng, WORN)
                add = camera.photograph if rng.uniform() < 0.4 else camera.mottle
                worn = add(worn, level, rng).clip(0, 1) if level else worn
            elif step == 2:
                worn = camera.save(worn, rng, share=0.5)
    return round_to_bytes(worn)


def _blur(photo: Image, rng: Random) -> Image:
    """Out of focus or moved by up to about a pixel and a half: a Gaussian, mostly of another width
    across.
    """
    import cv2

    if rng.uniform() < 0.25:
        return photo
    across, along, angle = rng.uniform(0.2, 1.5), rng.uniform(0.2, 1.5), rng.uniform(0, np.pi)
    y, x = np.mgrid[-4:5, -4:5].astype(np.float64)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((u / across) ** 2 + (v / along) ** 2))
    blurred = cv2.filter2D(photo, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred.reshape(photo.shape), np.float32)


def _reduce(photo: Image, height: int, width: int, rng: Random) -> Image:
    """By one of the ways that programs have: by area, bilinear, bicubic with and without
    antialiasing.
    """
    import cv2

    from restore_cli.image import resize

    way = int(rng.uniform(0, 4))
    if way == 0:
        return np.asarray(resize(photo, height, width).clip(0, 1), np.float32)
    kind = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[way - 1]
    reduced = cv2.resize(photo, (width, height), interpolation=kind).reshape(height, width, -1)
    return np.asarray(reduced.clip(0, 1), np.float32)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
