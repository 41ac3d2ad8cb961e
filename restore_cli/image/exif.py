"""Sets the orientation in EXIF blocks and XMP packets to upright, and changes nothing else."""

from __future__ import annotations

import re
import struct

from PIL import ExifTags

TIFF_HEADERS = (b"II*\0", b"MM\0*")


def kept_exif(block: bytes, notes: list[str]) -> tuple[bytes | None, int]:
    """Set the orientation in an EXIF block to 1; return it and the old orientation.

    A broken block is left out, with a note.
    """
    block = block.removeprefix(b"Exif\0\0")
    try:
        return upright_exif(block) if block else (None, 1)
    except struct.error:
        notes.append("Broken EXIF data was left out.")
        return None, 1


def upright_exif(block: bytes) -> tuple[bytes, int]:
    """Set the orientation in an EXIF block or a TIFF to 1; return it and the old orientation.

    An intact orientation is used even if other tags are broken. It is patched in place, because
    maker notes hold offsets that another layout would break. The thumbnail of a rotated photo would
    now lie on its side, so the link to it is removed.

    Raises:
        struct.error: the directory is broken.
    """
    if block[:4] not in TIFF_HEADERS:
        raise struct.error("no TIFF header")
    order = "<" if block[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, start)
    end = (
        start + 2 + 12 * count
    )  # of the directory; the offset of the thumbnail's directory follows
    for entry in range(start + 2, end, 12):
        tag, kind = struct.unpack_from(order + "HH", block, entry)
        if tag != ExifTags.Base.Orientation or kind not in (3, 4):  # SHORT, LONG
            continue
        form = order + ("H" if kind == 3 else "I")
        (orientation,) = struct.unpack_from(form, block, entry + 8)
        if orientation == 1:
            break
        patched = bytearray(block)
        struct.pack_into(form, patched, entry + 8, 1)
        if orientation not in range(2, 9):
            return bytes(patched), 1
        struct.pack_into(order + "I", patched, end, 0)
        return bytes(patched), int(orientation)
    return block, 1


def upright_xmp(packet: bytes) -> bytes:
    """Set the orientation in an XMP packet to 1."""
    return re.sub(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[1-8]", rb"\g<1>1", packet)
