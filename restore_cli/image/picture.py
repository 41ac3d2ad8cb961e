"""A picture in memory: its pixels, its alpha channel and its metadata."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from restore_cli.image.arrays import Pixels, Samples
from restore_cli.image.resampling import resize


@dataclass(frozen=True)
class Metadata:
    """What a file says about its pixels.

    `exif` is a TIFF block without the `Exif` signature, its orientation 1; `icc` an ICC profile;
    `xmp` an XMP packet; `dpi` the resolution across and down, in dots per inch; `chunks` the (type,
    payload) of the PNG chunks that are kept as they are: text, and the meaning of the colors (gAMA,
    cHRM, sRGB, cICP, ...), to which the color space of an AVIF is added as cICP where it is another
    than sRGB; `iptc` the records of IPTC-IIM; `photoshop` the other image resources of Photoshop;
    `comments` those of a JPEG.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    iptc: bytes | None = None
    photoshop: bytes | None = None
    comments: tuple[bytes, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """A photo the right way up.

    `pixels` is float32, H x W x C in [0, 1], C = 1 (gray) or 3 (RGB) in the color space of
    `metadata.icc`; `alpha` is H x W, uint8 or uint16, and passes through exactly; `depth` is 8 or
    16 bits a sample, in and out; `format` is Pillow's name of the source's format; `notes` say what
    reading lost or left out; `jpeg_quality`, 1 to 100, is the one that a JPEG's quantization tables
    are closest to; `corner` is where its blocks start, row and column, 0 to 15: not at 0 where the
    photo was turned upright; `lossless` says of a WebP that it is one that keeps samples, and is
    written so again.
    """

    pixels: Pixels
    alpha: Samples | None = None
    depth: int = 8
    metadata: Metadata = field(default_factory=Metadata)
    format: str = "PNG"
    notes: tuple[str, ...] = ()
    jpeg_quality: int | None = None
    corner: tuple[int, int] = (0, 0)
    lossless: bool = False

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB; alpha does not count."""
        return int(self.pixels.shape[2])

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.height * self.width / 1e6

    @property
    def visible(self) -> npt.NDArray[np.bool_] | None:
        """H x W, where alpha is above 0; None where all is."""
        return None if self.alpha is None or self.alpha.all() else self.alpha > 0

    def opaque_pixels(self) -> Pixels:
        """Return the pixels with every fully transparent one colored like its nearest visible one.

        A network that looks around must see these: the color stored under alpha 0 is arbitrary and
        would bleed into the visible edge. Without such pixels, or without any other, it is `pixels`
        itself.
        """
        if self.alpha is None or self.alpha.all() or not self.alpha.any():
            return self.pixels
        import cv2

        hidden = self.alpha == 0
        _, labels = cv2.distanceTransformWithLabels(
            hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        visible = np.flatnonzero(~hidden)
        owner = np.empty(
            len(visible) + 1, np.intp
        )  # labels count from 1, one for each visible pixel
        owner[labels.ravel()[visible]] = visible
        filled = self.pixels.copy()
        filled[hidden] = self.pixels.reshape(-1, self.channels)[owner[labels[hidden]]]
        return filled

    def with_pixels(self, pixels: npt.NDArray[np.floating]) -> Picture:
        """Return this picture with other pixels of the same C, and of any H x W, to which alpha is
        resized.

        Where H x W stay the same, fully transparent pixels keep the color they had, so that what
        they hide stays as it was. Raises ValueError for other channels.
        """
        if pixels.shape[2:] != self.pixels.shape[2:]:
            raise ValueError(f"pixels of shape {pixels.shape} cannot replace {self.pixels.shape}")
        pixels = pixels.astype(np.float32, copy=False)
        if pixels.shape != self.pixels.shape:
            alpha = self.alpha
            if alpha is not None:
                peak = np.iinfo(alpha.dtype).max
                larger = resize(alpha[..., None].astype(np.float32), *pixels.shape[:2])[..., 0]
                alpha = cast(Samples, larger.round().clip(0, peak).astype(alpha.dtype))
            return replace(self, pixels=pixels, alpha=alpha)
        if self.alpha is not None and not self.alpha.all():
            pixels = np.where((self.alpha == 0)[..., None], self.pixels, pixels)
        return replace(self, pixels=pixels)
