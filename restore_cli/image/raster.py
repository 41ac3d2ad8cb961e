"""Conversion from the samples of a file to upright float pixels, and back."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from restore_cli.errors import PictureError
from restore_cli.image.arrays import Samples, row_blocks
from restore_cli.image.exif import upright_xmp
from restore_cli.image.picture import Metadata, Picture


@dataclass(frozen=True)
class Raster:
    """Samples as the file stores them.

    Attributes:
        height, width: the size.
        bands: channels with alpha, 1 to 4.
        depth: bits per sample, 8 or 16.
        rows: `rows(top, bottom)` returns H' x W x bands.
        close: frees the memory of the samples, after all rows were read.
    """

    height: int
    width: int
    bands: int
    depth: int
    rows: Callable[[int, int], Samples]
    close: Callable[[], None] = lambda: None


def array_raster(samples: Samples, peak: int) -> Raster:
    """Return an array, H x W x bands, as a raster; with a peak above 255, it is scaled to 16 bits.

    Args:
        samples: integers up to the peak.
        peak: the value of white.
    """
    height, width, bands = samples.shape
    if peak in (255, 65535):
        depth = 8 if peak == 255 else 16
        return Raster(height, width, bands, depth, lambda top, bottom: samples[top:bottom])
    scale = 65535 / peak

    def rows(top: int, bottom: int) -> Samples:
        block: npt.NDArray[np.uint16] = np.rint(samples[top:bottom] * scale).astype(np.uint16)
        return block

    return Raster(height, width, bands, 16, rows)


def unmultiplied(samples: Samples, peak: int) -> Samples:
    """Return samples, H x W x bands, with the colors divided by alpha, which is the last band."""
    divided = samples.copy()
    opacity = np.maximum(samples[..., -1:], 1) / np.float32(peak)
    divided[..., :-1] = np.minimum(np.rint(samples[..., :-1] / opacity), peak)
    return divided


def assemble(
    raster: Raster,
    orientation: int,
    metadata: Metadata,
    format: str,
    notes: list[str],
    icc_applies: bool = True,
) -> Picture:
    """Convert the samples to upright float pixels, and adapt the metadata to them.

    Args:
        raster: the samples as stored.
        orientation: of the stored samples, by EXIF, 1 to 8; other values count as 1.
        metadata: of the file.
        format: Pillow's name of the format.
        notes: warnings of reading.
        icc_applies: whether the samples are still in the color space of the ICC profile.
    """
    height, width = (
        (raster.width, raster.height) if orientation >= 5 else (raster.height, raster.width)
    )
    channels, has_alpha = (raster.bands - 1) // 2 * 2 + 1, raster.bands % 2 == 0
    kind = np.dtype(f"uint{raster.depth}")
    pixels = np.empty((height, width, channels), np.float32)
    # The samples wait in the last part of their pixels, so that 200 megapixels need 2.4 GB in all.
    samples = pixels.view(kind).reshape(-1)[-pixels.size :].reshape(pixels.shape)
    alpha = np.empty((height, width), kind) if has_alpha else None
    stored_samples = _as_stored(samples, orientation)
    stored_alpha = None if alpha is None else _as_stored(alpha, orientation)
    for top, bottom in row_blocks(raster.height, raster.width):
        block = raster.rows(top, bottom)
        stored_samples[top:bottom] = block[..., :channels]
        if stored_alpha is not None:
            stored_alpha[top:bottom] = block[..., -1]
    raster.close()
    peak = np.float32(2**raster.depth - 1)
    for top, bottom in row_blocks(height, width):  # numpy copies the last blocks, which overlap
        np.divide(samples[top:bottom], peak, out=pixels[top:bottom], dtype=np.float32)
    if orientation != 1 and metadata.xmp:
        metadata = replace(metadata, xmp=upright_xmp(metadata.xmp, orientation, notes))
    if orientation >= 5 and metadata.dpi:
        metadata = replace(metadata, dpi=metadata.dpi[::-1])
    if not icc_applies:
        metadata = replace(metadata, icc=None)
    return Picture(pixels, alpha, raster.depth, metadata, format, tuple(notes))


def _as_stored(upright: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Return a view of an upright array with the axes of the file (EXIF 2.32, 4.6.4)."""
    views: dict[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
        2: lambda array: array[:, ::-1],
        3: lambda array: array[::-1, ::-1],
        4: lambda array: array[::-1],
        5: lambda array: array.swapaxes(0, 1),
        6: lambda array: np.rot90(array, 1),
        7: lambda array: array[::-1, ::-1].swapaxes(0, 1),
        8: lambda array: np.rot90(array, -1),
    }
    return views[orientation](upright) if orientation in views else upright


def quantized(picture: Picture, *, flatten: bool = False) -> Iterator[Samples]:
    """Round to samples of `picture.depth` bits; yield blocks of rows, H' x W x (C + alpha).

    With `flatten`, the pixels are composed onto white, and alpha is left out.
    """
    peak = 2**picture.depth - 1
    for top, bottom in row_blocks(picture.height, picture.width):
        block: npt.NDArray[np.floating] = picture.pixels[top:bottom]
        if not np.isfinite(block).all():
            raise PictureError("some pixels are NaN or infinite. Fill them in first.")
        alpha = None
        if picture.alpha is not None:
            alpha = _rescaled(picture.alpha[top:bottom, :, None], picture.depth)
        if alpha is not None and flatten:
            opacity = alpha / np.float32(peak)
            block, alpha = block * opacity + (1 - opacity), None
        samples = np.rint(np.clip(block, 0, 1) * np.float32(peak)).astype(f"uint{picture.depth}")
        yield samples if alpha is None else np.concatenate([samples, alpha], axis=2)


def sha256_of_pixels(picture: Picture) -> str:
    """Return the sha256 of the samples with alpha, row by row; 16 bits are little-endian.

    It is that of the same pixels in any lossless format, with any metadata.
    """
    digest = hashlib.sha256()
    for block in quantized(picture):
        digest.update(block.astype(f"<u{picture.depth // 8}", copy=False).data)
    return digest.hexdigest()


def _rescaled(alpha: Samples, depth: int) -> Samples:
    if alpha.itemsize * 8 == depth:
        return alpha
    if depth == 16:
        return alpha.astype(np.uint16) * np.uint16(257)
    return np.rint(alpha / np.float32(257)).astype(np.uint8)
