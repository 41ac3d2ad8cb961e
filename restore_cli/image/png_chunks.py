"""The chunks of a PNG."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
XMP_KEYWORD = b"XML:com.adobe.xmp\0"
TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_SRGB = {  # gamma and chromaticities of sRGB (PNG 1.2, 4.2.2.3)
    b"gAMA": struct.pack(">I", 45_455),
    b"cHRM": struct.pack(">8I", *(31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
}


def split_chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Split a PNG into (type, payload, whether the checksum is correct), as far as possible."""
    position = len(PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        payload = data[position + 8 : position + 8 + length]
        position += length + 12
        checksum = zlib.crc32(payload, zlib.crc32(kind)).to_bytes(4, "big")
        yield kind, payload, data[position - 4 : position] == checksum


def join_chunk(kind: bytes, payload: bytes) -> bytes:
    """Return a chunk with its length and checksum."""
    return (
        struct.pack(">I", len(payload))
        + kind
        + payload
        + struct.pack(">I", zlib.crc32(kind + payload))
    )


def color_space_chunks(primaries: int, transfer: int) -> tuple[tuple[bytes, bytes], ...]:
    """Return a color space of ITU-T H.273 as a cICP chunk; nothing if it displays like sRGB."""
    if primaries in (1, 2) and transfer in (1, 2, 6, 13):  # unspecified, BT.709, BT.601, sRGB
        return ()
    return ((b"cICP", bytes([primaries & 255, transfer & 255, 0, 1])),)  # RGB of full range


def has_usual_gamma(chunks: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether gamma and chromaticities are those of sRGB, not stated, or superseded."""
    found = dict(chunks)
    return bool(found.keys() & {b"sRGB", b"cICP"}) or all(
        found.get(kind, usual) == usual for kind, usual in _SRGB.items()
    )
