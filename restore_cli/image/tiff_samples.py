"""Decoding the strips or tiles of a TIFF with libtiff, 8 or 16 bits per sample."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import ExifTags, Image

from restore_cli.image.arrays import Samples
from restore_cli.image.pillow import load_tiff, unlimited
from restore_cli.image.raster import Raster, unmultiplied
from restore_cli.image.tiff_layout import TiffLayout
from restore_cli.image.tiff_write import join_tiff


def tiff_raster(data: bytes, layout: TiffLayout, segments: Sequence[bytes | memoryview]) -> Raster:
    """Decode gray or RGB with 8 or 16 bits; leave out channels beyond colors and alpha.

    Pillow would reduce 16 bits to 8, and OpenCV leaves memory unwritten where sizes disagree.
    Therefore libtiff only unpacks bytes, exactly as many as the layout needs, and this module
    interprets them.
    """
    if layout.predictor not in (1, 2):
        raise ValueError(f"predictor {layout.predictor} is not for integers")
    bands = layout.bands * layout.planes - layout.beyond
    count = layout.across * layout.down
    stacks = [
        _unpack_segments(segments[plane * count : (plane + 1) * count], layout)
        for plane in range(min(layout.planes, bands) if layout.planes > 1 else 1)
    ]
    order = np.dtype(f"{'<' if data[:2] == b'II' else '>'}u{layout.bits // 8}")
    peak = 2**layout.bits - 1

    def part(stack: Image.Image, top: int, bottom: int) -> Samples:
        """Return rows of the stack of segments."""
        packed = np.asarray(stack.crop((0, top, stack.width, bottom)))
        block = packed.view(order).reshape(bottom - top, layout.columns, layout.bands)
        block = block.astype(order.newbyteorder("="), copy=False)
        if layout.predictor == 2:
            block = np.add.accumulate(block, axis=1, dtype=block.dtype)
        return block

    def plane_rows(stack: Image.Image, top: int, bottom: int) -> Samples:
        if layout.across == 1:  # strips are in the same order as the rows of the photo
            return part(stack, top, bottom)[:, : layout.width]
        lines = []
        for line in range(top // layout.rows, -(-bottom // layout.rows)):
            first, last = (
                min(max(row - line * layout.rows, 0), layout.rows) for row in (top, bottom)
            )
            starts = ((line * layout.across + tile) * layout.rows for tile in range(layout.across))
            tiles = [part(stack, start + first, start + last) for start in starts]
            lines.append(np.concatenate(tiles, axis=1)[:, : layout.width])
        return np.concatenate(lines)

    def rows(top: int, bottom: int) -> Samples:
        planes = np.concatenate([plane_rows(stack, top, bottom) for stack in stacks], axis=2)
        block = planes[..., :bands]
        if layout.photometric == 0:
            block[..., 0] = peak - block[..., 0]
        if layout.extra == 1:
            block = unmultiplied(block, peak)
        return block

    return Raster(layout.height, layout.width, bands, layout.bits, rows)


def _unpack_segments(segments: Sequence[bytes | memoryview], layout: TiffLayout) -> Image.Image:
    """Stack the segments of one plane vertically, as a gray image with their bytes as pixels."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    width = layout.row_bytes
    height = layout.height if layout.across == 1 else layout.rows * len(segments)
    if layout.compression == 1 and layout.fill_order == 1:
        stack = b"".join(segment[: layout.rows * width] for segment in segments)
        return Image.frombuffer("L", (width, height), stack, "raw", "L", 0, 1)
    tags = ImageFileDirectory_v2()
    tags[ExifTags.Base.ImageWidth] = width
    tags[ExifTags.Base.ImageLength] = height
    tags[ExifTags.Base.BitsPerSample] = 8
    tags[ExifTags.Base.Compression] = layout.compression
    tags[ExifTags.Base.PhotometricInterpretation] = 1
    tags[ExifTags.Base.FillOrder] = layout.fill_order
    tags[ExifTags.Base.SamplesPerPixel] = 1
    tags[ExifTags.Base.RowsPerStrip] = layout.rows
    with unlimited():
        image = Image.open(io.BytesIO(join_tiff(tags, segments)), formats=("TIFF",))
        load_tiff(image)
    return image
