"""Image resources of Photoshop, one of which contains the IPTC records."""

from __future__ import annotations

import contextlib
import struct

from restore_cli.image.picture import Metadata

_IPTC_RESOURCE = 0x0404
_THUMBNAILS = (0x0409, 0x040C)  # they show the photo before


def split_resources(block: bytes) -> tuple[bytes | None, bytes | None]:
    """Split Photoshop image resources into the IPTC records and all others but thumbnails."""
    iptc: bytes | None = None
    others, position = [], 0
    with contextlib.suppress(struct.error):
        while position < len(block):
            number, name = struct.unpack_from(">HB", block, position + 4)
            start = position + 6 + (name + 2) // 2 * 2
            (size,) = struct.unpack_from(">I", block, start)
            end = start + 4 + size + size % 2
            if number == _IPTC_RESOURCE and iptc is None:
                iptc = block[start + 4 : start + 4 + size]
            elif number not in _THUMBNAILS:
                others.append(block[position:end])
            position = end
    return iptc or None, b"".join([*others, block[position:]]) or None


def join_resources(metadata: Metadata) -> bytes:
    """Return the Photoshop image resources of a picture, including its IPTC records."""
    resources = metadata.photoshop or b""
    if metadata.iptc:
        padding = bytes(len(metadata.iptc) % 2)
        head = struct.pack(">4sHHI", b"8BIM", _IPTC_RESOURCE, 0, len(metadata.iptc))
        resources += head + metadata.iptc + padding
    return resources
