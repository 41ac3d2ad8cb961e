"""Writing PNG: Pillow encodes 8 bits per sample; 16 bits and all metadata are encoded here."""

from __future__ import annotations

import struct
import zlib

import numpy as np

from restore_cli.image.deflate import LEVEL, compressor
from restore_cli.image.picture import Picture
from restore_cli.image.pillow_write import pillow_bytes
from restore_cli.image.png_chunks import PNG_SIGNATURE, XMP_KEYWORD, join_chunk
from restore_cli.image.raster import quantized


def encode_png(picture: Picture) -> bytes:
    """Encode as PNG, with the metadata after IHDR."""
    plain = (
        _pack_16_bits(picture)
        if picture.depth == 16
        else pillow_bytes(picture, "PNG", {"compress_level": LEVEL})
    )
    metadata = picture.metadata
    chunks = list(metadata.chunks)
    if metadata.icc:
        # The standard allows only one of sRGB and iCCP.
        chunks = [chunk for chunk in chunks if chunk[0] != b"sRGB"]
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi:
        per_meter = (round(number / 0.0254) for number in metadata.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", *per_meter, 1)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append((b"iTXt", XMP_KEYWORD + bytes(4) + metadata.xmp))
    end, rest = len(PNG_SIGNATURE) + 25, memoryview(plain)  # the end of IHDR
    return b"".join([rest[:end], *(join_chunk(*chunk) for chunk in chunks), rest[end:]])


def _pack_16_bits(picture: Picture) -> bytes:
    """Encode 16-bit samples as a PNG without metadata, with filter type 1 (left neighbor)."""
    bands = picture.channels + (picture.alpha is not None)
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    packer = compressor(16)
    packed = [b""]
    for block in quantized(picture):
        raw = block.astype(">u2").view(np.uint8).reshape(len(block), -1)
        filtered = np.ones((len(raw), 1 + raw.shape[1]), np.uint8)
        filtered[:, 1:] = raw
        filtered[:, 1 + 2 * bands :] -= raw[:, : -2 * bands]
        packed.append(packer.compress(filtered.data))
    packed.append(packer.flush())
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 16, color_type, 0, 0, 0)
    body = (join_chunk(b"IDAT", part) for part in packed if part)
    return b"".join([PNG_SIGNATURE, join_chunk(b"IHDR", header), *body, join_chunk(b"IEND", b"")])
