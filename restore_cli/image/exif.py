"""Keeps EXIF blocks and XMP packets true: their orientation, size and thumbnail."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from PIL import ExifTags

from restore_cli.image.tiff_tags import tag_values

TIFF_HEADERS = (b"II*\0", b"MM\0*")
_SHORT, _LONG = 3, 4
_WIDTHS: tuple[int, ...] = (ExifTags.Base.ImageWidth, ExifTags.Base.ExifImageWidth)
_HEIGHTS: tuple[int, ...] = (ExifTags.Base.ImageLength, ExifTags.Base.ExifImageHeight)
_RELATED = (0x1001, 0x1002)  # width and length of the related image, in Interoperability
# The tags with the place and the number of bytes of a thumbnail: a JPEG, or strips of pixels.
_THUMBNAILS = (
    (ExifTags.Base.JpegIFOffset, ExifTags.Base.JpegIFByteCount),
    (ExifTags.Base.StripOffsets, ExifTags.Base.StripByteCounts),
)
_JPEG, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_ADOBE_RGB, _SRGB = b"R03\0", b"R98\0"  # of InteroperabilityIndex
_XMP_THUMBNAILS = (b"xmp:Thumbnails", b"xap:Thumbnails")
# The version of a gain map (Ultra HDR), without which programs do not look for it.
_GAIN_MAP = re.compile(
    rb"\shdrgm:Version\s*=\s*(?:\"[^\"]*\"|'[^']*')|<hdrgm:Version\s*>[^<]*</hdrgm:Version\s*>"
)
# Marked areas, such as faces (of the Metadata Working Group, and of Microsoft), and their photo.
_AREAS = (b"mwg-rs:Regions", b"MP:RegionInfo")
_APPLIED = b"mwg-rs:AppliedToDimensions"
_AREAS_NOTE = "Marked areas, such as faces, were left out because the photo was rotated."
_SUBJECTS = (0x9214, 0xA214)  # SubjectArea and SubjectLocation


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
    maker notes hold offsets that another layout would break. The area of the subject is left out
    if it was for another orientation.

    Raises:
        struct.error: the directory is broken.
    """
    if block[:4] not in TIFF_HEADERS:
        raise struct.error("no TIFF header")
    order = _order(block)
    (start,) = struct.unpack_from(order + "I", block, 4)
    for tag, form, place in _numbers(block, start):
        if tag != ExifTags.Base.Orientation:
            continue
        (orientation,) = struct.unpack_from(form, block, place)
        if orientation == 1:
            break
        patched = bytearray(block)
        struct.pack_into(form, patched, place, 1)
        if orientation not in range(2, 9):
            return bytes(patched), 1
        with suppress(struct.error):
            _remove_subject(patched)
        return bytes(patched), int(orientation)
    return block, 1


def exif_of_result(block: bytes, height: int, width: int) -> bytes:
    """Set the size in an EXIF block, and take out its thumbnail, which shows the photo before.

    Both are patched in place; a broken directory is left as it is.
    """
    patched = bytearray(block)
    with suppress(struct.error):
        _set_size(patched, height, width)
    with suppress(struct.error):
        _remove_thumbnail(patched)
    return bytes(patched)


def _set_size(block: bytearray, height: int, width: int) -> None:
    sizes = dict.fromkeys(_WIDTHS, width) | dict.fromkeys(_HEIGHTS, height)
    sizes |= zip(_RELATED, (width, height), strict=True)
    resized = False
    for tag, form, place in _all_numbers(block):
        if tag in sizes:
            (before,) = struct.unpack_from(form, block, place)
            resized |= tag not in _RELATED and before != sizes[tag]
            struct.pack_into(form, block, place, sizes[tag])
    if resized:
        _remove_subject(block)


def exif_of_srgb(block: bytes) -> bytes:
    """Set the color space in an EXIF block to sRGB, in place; a broken one is left as it is."""
    patched, head = bytearray(block), struct.pack(_order(block) + "HHI", 1, 2, len(_SRGB))
    with suppress(struct.error):
        for tag, form, place in _all_numbers(patched):
            if tag == ExifTags.Base.ColorSpace:
                struct.pack_into(form, patched, place, 1)
    return bytes(patched.replace(head + _ADOBE_RGB, head + _SRGB))


def _remove_subject(block: bytearray) -> None:
    """Remove the area and the location of the subject from the Exif directory."""
    form = _order(block) + "H"
    for start in [
        struct.unpack_from(kind, block, place)[0]
        for tag, kind, place in _all_numbers(block)
        if tag == ExifTags.IFD.Exif
    ]:
        (count,) = struct.unpack_from(form, block, start)
        end = start + 2 + 12 * count + 4  # with the link to the next directory
        for entry in range(end - 16, start, -12):
            if struct.unpack_from(form, block, entry)[0] in _SUBJECTS:
                block[entry:end] = block[entry + 12 : end] + bytes(12)
                count -= 1
        struct.pack_into(form, block, start, count)


def _remove_thumbnail(block: bytearray) -> None:
    """Remove the link to the second directory, and the pixels that it describes."""
    form = _order(block) + "I"
    (start,) = struct.unpack_from(form, block, 4)
    (count,) = struct.unpack_from(form[0] + "H", block, start)
    link = start + 2 + 12 * count
    (start,) = struct.unpack_from(form, block, link)
    if not start:
        return
    struct.pack_into(form, block, link, 0)
    for offsets, lengths in _THUMBNAILS:
        begins, sizes = (tag_values(block, start, tag) for tag in (offsets, lengths))
        for begin, length in zip(begins, sizes, strict=False):
            end = min(begin + length, len(block))
            if begin < start:  # wrong numbers must not lead to other metadata
                whole = block[begin : begin + 2] == _JPEG
                end = block.rfind(_JPEG_END, begin, min(end, start)) + 2 if whole else 0
            if begin < end:
                block[begin:end] = bytes(end - begin)


def _order(block: bytes | bytearray) -> str:
    return "<" if block[:2] == b"II" else ">"


def _all_numbers(block: bytes | bytearray) -> list[tuple[int, str, int]]:
    """Return the single integers in the first directory, its Exif directory, and Interoperability.

    Raises:
        struct.error: one of the first two is broken.
    """
    (start,) = struct.unpack_from(_order(block) + "I", block, 4)
    entries = list(_numbers(block, start))
    for tag, form, place in tuple(entries):
        if tag == ExifTags.IFD.Exif:
            entries += _numbers(block, *struct.unpack_from(form, block, place))
    for tag, form, place in tuple(entries):
        if tag == ExifTags.IFD.Interop:
            with suppress(struct.error):
                entries += _numbers(block, *struct.unpack_from(form, block, place))
    return entries


def _numbers(block: bytes | bytearray, start: int) -> Iterator[tuple[int, str, int]]:
    """Yield the single integers in a directory: their tag, form and place.

    Raises:
        struct.error: the directory is broken.
    """
    order = _order(block)
    (count,) = struct.unpack_from(order + "H", block, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, size = struct.unpack_from(order + "HHI", block, entry)
        if kind in (_SHORT, _LONG) and size == 1:
            yield tag, order + ("H" if kind == _SHORT else "I"), entry + 8


def upright_xmp(packet: bytes, orientation: int, notes: list[str]) -> bytes:
    """Set the orientation in an XMP packet to 1.

    If the old one was another, areas that are marked in the photo are left out, with a note.
    """
    if orientation != 1 and (plain := _change(packet, _AREAS, lambda element: b"")) != packet:
        packet = plain
        notes.append(_AREAS_NOTE)
    return re.sub(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[1-8]", rb"\g<1>1", packet)


def is_ultra_hdr(packet: bytes | None) -> bool:
    """Return whether an XMP packet states that the file has an HDR gain map (Ultra HDR)."""
    return packet is not None and _GAIN_MAP.search(packet) is not None


def xmp_of_result(packet: bytes, height: int, width: int) -> bytes:
    """Set the size in an XMP packet, and take out its thumbnails, which show the photo before.

    The video of a motion photo and the HDR gain map, which are not in the result, are no longer
    announced.
    """
    packet = re.sub(
        rb"(\bG?Camera:(?:MotionPhoto|MicroVideo)(?:\s*=\s*[\"']|>)\s*)1", rb"\g<1>0", packet
    )
    packet = _GAIN_MAP.sub(b"", _change(packet, _XMP_THUMBNAILS, lambda element: b""))
    packet = _with_number(packet, b"tiff:ImageWidth|exif:PixelXDimension", width)
    packet = _with_number(packet, b"tiff:ImageLength|exif:PixelYDimension", height)

    def resized(element: bytes) -> bytes:
        return _with_number(_with_number(element, b"stDim:w", width), b"stDim:h", height)

    # The photo that normalized areas are for: as attributes, and as elements.
    packet = re.sub(rb"<%s\b[^<>]*>" % _APPLIED, lambda found: resized(found[0]), packet)
    return _change(packet, (_APPLIED,), resized)


def _change(packet: bytes, names: Iterable[bytes], change: Callable[[bytes], bytes]) -> bytes:
    """Change all elements with these names, in time proportional to the length of the packet."""
    for name in names:
        ends = [found.end() for found in re.finditer(rb"</%s\s*>" % name, packet)]
        if ends:  # behind the last one, each opening tag would be searched to the end
            element = re.compile(rb"<%s\b.*?</%s\s*>" % (name, name), re.DOTALL)
            start, rest = packet[: ends[-1]], packet[ends[-1] :]
            packet = element.sub(lambda found: change(found[0]), start) + rest
    return packet


def _with_number(packet: bytes, names: bytes, number: int) -> bytes:
    return re.sub(rb"((?:%s)(?:\s*=\s*[\"']|>)\s*)\d+" % names, rb"\g<1>%d" % number, packet)


def extended_xmp_of_result(parts: Iterable[bytes]) -> tuple[bytes, ...]:
    """Fill the thumbnails in extended XMP with spaces, so that its lengths stay true.

    Each part begins with 40 bytes: an identifier, the total length, and the place of the part.
    """
    parts = sorted(parts)
    packet = b"".join(part[40:] for part in parts)
    rest = io.BytesIO(_change(packet, _XMP_THUMBNAILS, lambda element: b" " * len(element)))
    return tuple(part[:40] + rest.read(len(part[40:])) for part in parts)
