"""A photo in memory: its pixels, alpha channel and metadata."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import numpy.typing as npt

from restore_cli.errors import UsageError
from restore_cli.image.arrays import Pixels, Samples
from restore_cli.image.resampling import resize


@dataclass(frozen=True)
class Metadata:
    """Everything in a file that describes its pixels.

    Attributes:
        exif: an EXIF block (a TIFF without the `Exif` signature), with orientation 1.
        icc: an ICC profile.
        xmp: an XMP packet.
        dpi: horizontal and vertical resolution in dots per inch.
        chunks: (type, payload) of PNG chunks with text or the color space (gAMA, cHRM, sRGB, cICP,
            ...). The color space of an AVIF or HEIF is stored here as cICP, unless it is sRGB.
        iptc: the IPTC-IIM records.
        photoshop: the other image resources of Photoshop.
        comments: the comments of a JPEG or GIF.
        extended_xmp: the segments of a JPEG with the rest of an XMP packet that was too long.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    iptc: bytes | None = None
    photoshop: bytes | None = None
    comments: tuple[bytes, ...] = ()
    extended_xmp: tuple[bytes, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """An upright photo.

    Attributes:
        pixels: float32, H x W x C in [0, 1]; C is 1 (gray) or 3 (RGB in the color space of
            `metadata.icc`).
        alpha: H x W, uint8 or uint16; it is written exactly as it was read.
        depth: bits per sample of the input and the output, 8 or 16.
        metadata: everything else that describes the pixels.
        format: Pillow's name of the input's format, or JXL or RAW.
        notes: warnings about what reading lost or left out.
        jpeg_quality: the quality, 1 to 100, with quantization tables closest to those of a JPEG.
        corner: row and column, 0 to 15, where the blocks of a JPEG start; they are not 0 in a photo
            that was rotated.
        lossless: whether the input is a lossless WebP or JPEG XL; both are then written as such.

    Raises:
        UsageError: the pixels, the alpha or the depth are not as stated.
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

    def __post_init__(self) -> None:
        shape, kind = self.pixels.shape, self.pixels.dtype.kind
        if len(shape) != 3 or shape[2] not in (1, 3) or not self.pixels.size or kind != "f":
            found = f"{self.pixels.dtype} of shape {' x '.join(map(str, shape))}"
            raise UsageError(
                "Cannot use these pixels: expected floating-point numbers in [0, 1] of shape"
                f" H x W x 1 or H x W x 3, not {found}. Convert them."
            )
        if self.alpha is not None and self.alpha.shape != shape[:2]:
            raise UsageError(
                f"Cannot use an alpha of shape {self.alpha.shape}: the pixels have {shape[:2]}."
                " Resize it."
            )
        if self.alpha is not None and self.alpha.dtype not in (np.uint8, np.uint16):
            raise UsageError(
                f"Cannot use an alpha of {self.alpha.dtype}: expected uint8 or uint16. Convert it."
            )
        if self.depth not in (8, 16):
            raise UsageError(f"{self.depth} is not a valid depth; expected 8 or 16 bits.")
        if self.pixels.dtype != np.float32 or min(self.pixels.strides) < 0:
            object.__setattr__(self, "pixels", np.ascontiguousarray(self.pixels, np.float32))

    @property
    def compression(self) -> tuple[int, tuple[int, int]] | None:
        """The quality of a JPEG file, and the corner where its blocks start; None for others."""
        return (self.jpeg_quality, self.corner) if self.jpeg_quality else None

    @property
    def height(self) -> int:
        """The number of rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """The number of columns."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """The number of channels without alpha: 1 for gray, 3 for RGB."""
        return int(self.pixels.shape[2])

    @property
    def megapixels(self) -> float:
        """The number of pixels in millions."""
        return self.height * self.width / 1e6

    @property
    def visible(self) -> npt.NDArray[np.bool_] | None:
        """The pixels with alpha above 0, H x W; None if all are visible."""
        return None if self.alpha is None or self.alpha.all() else self.alpha > 0

    def opaque_pixels(self) -> Pixels:
        """Return the pixels, with each transparent one in the color of its nearest visible one.

        The color stored under alpha 0 is arbitrary, and a network would spread it into the visible
        edge. If no pixel is transparent, or all are, `pixels` itself is returned.
        """
        if self.alpha is None or self.alpha.all() or not self.alpha.any():
            return self.pixels
        import cv2

        hidden = self.alpha == 0
        _, labels = cv2.distanceTransformWithLabels(
            hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        visible = np.flatnonzero(~hidden)
        owner = np.empty(len(visible) + 1, np.intp)  # labels start at 1, one per visible pixel
        owner[labels.ravel()[visible]] = visible
        filled = self.pixels.copy()
        filled[hidden] = self.pixels.reshape(-1, self.channels)[owner[labels[hidden]]]
        return filled

    def crop(self, rows: slice, columns: slice) -> Picture:
        """Return a part of the picture, whose slices have a start and a step of 1."""
        alpha = None if self.alpha is None else self.alpha[rows, columns]
        top, left = self.corner
        corner = (top - rows.start) % 16, (left - columns.start) % 16
        return replace(self, pixels=self.pixels[rows, columns], alpha=alpha, corner=corner)

    def with_pixels(self, pixels: npt.NDArray[np.floating]) -> Picture:
        """Return a copy with other pixels of any H x W and the same C; alpha is resized to fit.

        If H x W stay the same, fully transparent pixels keep their old color.

        Raises:
            ValueError: the number of channels differs.
            UsageError: the pixels are no floating-point numbers.
        """
        if pixels.shape[2:] != self.pixels.shape[2:]:
            raise ValueError(f"pixels of shape {pixels.shape} cannot replace {self.pixels.shape}")
        pixels = Picture(pixels).pixels  # checks the type
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
