"""Reads the tags of a TIFF, and collects those that describe the photo."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

from PIL import ExifTags, Image, TiffTags

from restore_cli.image.pillow import unlimited

# The tags that describe the photo: ProcessingSoftware, DocumentName, ImageDescription, Make, Model,
# PageName, Software, DateTime, Artist, HostComputer, Rating, RatingPercent, Copyright, and the XP
# texts of Windows. Other tags describe the layout of the file, or are read separately.
_TEXTS = (11, *range(269, 273), 285, 305, 306, 315, 316, 18246, 18249, 33432, *range(40091, 40096))
_PAGE_NUMBER = 297
TAG_IPTC, TAG_PHOTOSHOP = 33723, 34377

# Types of the Exif standard that Pillow does not know: without them, it guesses from the value.
_TYPES = {
    TiffTags.UNDEFINED: (34856, 37121, 37500, 37510, 41484, 41728, 41729, 41995),
    TiffTags.SIGNED_RATIONAL: (37377, 37379, 37380),
}
for _type, _tags in _TYPES.items():
    for _tag in _tags:
        _known = TiffTags.TAGS_V2_GROUPS[ExifTags.IFD.Exif]
        _known.setdefault(_tag, TiffTags.TagInfo(_tag, "", _type))


def numbers(tags: Image.Exif, tag: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
    """Return the values of a tag.

    Raises:
        ValueError: the tag is missing, or its values are not integers.
    """
    value = tags.get(tag, default)
    values = value if isinstance(value, tuple) else (value,)
    if not values or not all(isinstance(number, int) for number in values):
        raise ValueError(f"tag {int(tag)} is missing or not a number")
    return values


def tag_bytes(data: bytes, tag: int) -> bytes | None:
    """Return a tag of the first page if it contains bytes or text; IPTC may also be LONG."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        number, kind, size, place = struct.unpack_from(order + "HHII", data, entry)
        if number == tag and kind in (1, 2, 7, *((4,) if tag == TAG_IPTC else ())):
            size *= 4 if kind == 4 else 1
            block = data[place : place + size] if size > 4 else data[entry + 8 : entry + 8 + size]
            return (block.rstrip(b"\0") if kind == 2 else block) if len(block) == size else None
    return None


def directories(data: bytes) -> tuple[list[int], bool]:
    """Return the offsets of up to 100,000 directories, and whether their chain ends behind them.

    A link to a known directory is an end, too.
    """
    order = "<" if data[:2] == b"II" else ">"
    seen: dict[int, None] = {}
    start = -1
    with contextlib.suppress(struct.error):
        (start,) = struct.unpack_from(order + "I", data, 4)
        while start and start not in seen and len(seen) < 100_000:
            (entries,) = struct.unpack_from(order + "H", data, start)
            (link,) = struct.unpack_from(order + "I", data, start + 2 + 12 * entries)
            if not entries:
                break
            seen[start] = None
            start = link
    return list(seen), start == 0 or start in seen


def beginning_at(data: bytes, start: int) -> bytes:
    """Return a TIFF whose first directory is the one at an offset."""
    order = "<" if data[:2] == b"II" else ">"
    return data[:4] + struct.pack(order + "I", start) + data[8:]


def is_reduced(data: bytes, start: int) -> bool:
    """Whether a directory is marked as a smaller version of another page."""
    return any(kind & 1 for kind in tag_values(data, start, ExifTags.Base.NewSubfileType))


def tag_values(data: bytes | bytearray, start: int, tag: int) -> tuple[int, ...]:
    """Return the values of a SHORT or LONG tag in a directory; empty if it has none."""
    order = "<" if data[:2] == b"II" else ">"
    with contextlib.suppress(struct.error):
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            number, kind, size = struct.unpack_from(order + "HHI", data, entry)
            if number == tag and kind in (3, 4, 13) and size <= 256:  # 13 is an offset
                form = f"{order}{size}{'H' if kind == 3 else 'I'}"
                place = entry + 8
                if struct.calcsize(form) > 4:
                    (place,) = struct.unpack_from(order + "I", data, entry + 8)
                return struct.unpack_from(form, data, place)
    return ()


def exif_of_tags(tags: Image.Exif) -> bytes | None:
    """Copy the tags of a TIFF that describe the photo into an EXIF block."""
    exif = Image.Exif()
    _copy_texts(tags, exif)
    return exif.tobytes().removeprefix(b"Exif\0\0") if exif else None


def tags_of_exif(block: bytes | None) -> Any:
    """Return the directory of a TIFF with the tags of an EXIF block that describe the photo."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    if block:
        with unlimited():
            exif = Image.Exif()
            exif.load(block)
            _copy_texts(exif, tags)
    return tags


class _Text(str):
    """A text of bytes in any encoding, which Pillow reads as Latin-1, but writes as ASCII."""

    def encode(self, *_: str) -> bytes:
        return str.encode(self, "latin-1")


def _copy_texts(tags: Image.Exif, target: Any) -> None:
    for tag in _TEXTS:
        if tag in tags:
            target[tag] = _exact(tag, tags[tag])
    page = tags.get(_PAGE_NUMBER)
    if isinstance(page, tuple) and all(isinstance(one, int) and 0 <= one < 2**16 for one in page):
        target[_PAGE_NUMBER] = page  # as Pillow can write it
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if entries := _entries(tags, ifd):
            if ifd == ExifTags.IFD.Exif:  # its entry for this directory is a place in the old file
                entries.pop(ExifTags.IFD.Interop, None)
                if interop := _entries(tags, ExifTags.IFD.Interop):
                    entries[int(ExifTags.IFD.Interop)] = interop
            target[int(ifd)] = entries


def _entries(tags: Image.Exif, ifd: int) -> dict[int, Any]:
    return {tag: _exact(tag, value) for tag, value in tags.get_ifd(ifd).items()}


def _exact(tag: int, value: Any) -> Any:
    """A value that Pillow writes as it was, or as bytes where it was stored as other numbers."""
    if tag in _TYPES[TiffTags.UNDEFINED] and not isinstance(value, bytes | str):
        with contextlib.suppress(ValueError, TypeError):
            return bytes(map(int, value if isinstance(value, tuple) else (value,)))
    return _Text(value) if isinstance(value, str) else value
