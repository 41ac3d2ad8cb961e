"""Writing TIFF with 8 or 16 bits per sample."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Sequence
from typing import Any

from PIL import ExifTags

from restore_cli.image.arrays import block_rows
from restore_cli.image.deflate import compressor
from restore_cli.image.picture import Picture
from restore_cli.image.raster import quantized
from restore_cli.image.tiff_tags import TAG_IPTC, TAG_PHOTOSHOP, tags_of_exif

_HEADER = b"II*\0\x08\0\0\0"  # the directory follows


def encode_tiff(picture: Picture) -> bytes:
    """Encode as TIFF: deflated strips, with horizontal differencing (TIFF 6.0, section 14)."""
    return join_tiff(*_tags_and_strips(picture))


def encode_tiff_pages(pictures: Iterable[Picture]) -> bytes:
    """Encode as TIFF with a page for each picture."""
    pages, end = [bytearray(_HEADER)], len(_HEADER)
    for picture in pictures:
        page = bytearray(_directory(*_tags_and_strips(picture), end))
        page += bytes(len(page) % 2)  # directories start at even offsets
        end += len(page)
        (entries,) = struct.unpack_from("<H", page)
        struct.pack_into("<I", page, 2 + 12 * entries, end)  # where the next page starts
        pages.append(page)
    struct.pack_into("<I", pages[-1], 2 + 12 * entries, 0)
    return b"".join(pages)


def _tags_and_strips(picture: Picture) -> tuple[Any, list[bytes]]:
    metadata = picture.metadata
    bands = picture.channels + (picture.alpha is not None)
    strips = []
    for block in quantized(picture):
        difference = block.astype(f"<u{picture.depth // 8}")  # a copy, so that `block` is unchanged
        difference[:, 1:] -= block[:, :-1]
        packer = compressor(picture.depth)
        strips.append(packer.compress(difference.data) + packer.flush())
    tags = tags_of_exif(metadata.exif)
    tags[ExifTags.Base.ImageWidth] = picture.width
    tags[ExifTags.Base.ImageLength] = picture.height
    tags[ExifTags.Base.BitsPerSample] = (picture.depth,) * bands
    tags[ExifTags.Base.Compression] = 8  # deflate
    tags[ExifTags.Base.Predictor] = 2  # horizontal difference
    tags[ExifTags.Base.PhotometricInterpretation] = 2 if picture.channels == 3 else 1
    tags[ExifTags.Base.SamplesPerPixel] = bands
    tags[ExifTags.Base.RowsPerStrip] = block_rows(picture.width)
    if picture.alpha is not None:
        tags[ExifTags.Base.ExtraSamples] = 2  # unassociated alpha
    if metadata.icc:
        tags[ExifTags.Base.InterColorProfile] = metadata.icc
    if metadata.xmp:
        tags[ExifTags.Base.XMLPacket] = metadata.xmp
    if metadata.iptc:
        tags[TAG_IPTC] = metadata.iptc
    if metadata.photoshop:
        tags[TAG_PHOTOSHOP] = metadata.photoshop
    if metadata.dpi:
        tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution] = metadata.dpi
        tags[ExifTags.Base.ResolutionUnit] = 2  # inch
    return tags, strips


def join_tiff(tags: Any, strips: Sequence[bytes | memoryview]) -> bytes:
    """Return a TIFF with one directory and its strips."""
    return _HEADER + _directory(tags, strips, len(_HEADER))


def _directory(tags: Any, strips: Sequence[bytes | memoryview], offset: int) -> bytes:
    """Return a directory that starts at an offset of the file, and its strips."""
    sizes = [len(strip) for strip in strips]
    tags[ExifTags.Base.StripByteCounts] = tuple(sizes)
    # Pillow adds the length of the directory, because the strips follow it.
    tags[ExifTags.Base.StripOffsets] = tuple(itertools.accumulate(sizes[:-1], initial=0))
    return b"".join([tags.tobytes(offset), *strips])
