"""The boxes of ISOBMFF (ISO/IEC 14496-12), the container of AVIF, HEIC, JPEG XL and CR3."""

from __future__ import annotations

import struct
from collections.abc import Iterator


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Split a file into (type, payload) of its outermost boxes, as far as it is intact."""
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if size == 1:  # a 64-bit size follows
            size, head = int.from_bytes(data[position + 8 : position + 16], "big"), 16
        elif size == 0:  # up to the end of the file
            size = len(data) - position
        if size < head:
            return
        yield kind, data[position + head : position + size]
        position += size


def brands(data: bytes) -> frozenset[bytes]:
    """Return the brands of a file, such as `avif` or `heic`; empty for other containers."""
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4], "big"), 1024)
    return frozenset(data[place : place + 4] for place in (8, *range(16, end, 4)))
