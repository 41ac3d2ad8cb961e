"""JPEG: its quality, and segments that Pillow does not read or write, such as IPTC."""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Iterator
from dataclasses import replace

from PIL import Image

from restore_cli.image.compression import nearest_quality
from restore_cli.image.exif import is_ultra_hdr
from restore_cli.image.photoshop import join_resources, split_resources
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.pillow_read import (
    CREDENTIALS_NOTE,
    frame_notes,
    is_rgb_or_gray,
    metadata_of,
    pillow_raster,
)
from restore_cli.image.pillow_write import metadata_options, pillow_bytes
from restore_cli.image.raster import assemble
from restore_cli.image.resolution import aspect_notes, dpi_of_exif

JPEG_SIGNATURE = b"\xff\xd8"
MARKER_BYTES = 65_500  # of EXIF or XMP in one JPEG segment: 65,533, less their signatures
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; the others are tables
_APP1, _APP3, _APP11, _APP13, _COM, _EOI = 0xE1, 0xE3, 0xEB, 0xED, 0xFE, 0xD9
_NOTED_BYTES = 1000  # of a camera's own data, below which they are left out without a note
_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_PHOTOSHOP = b"Photoshop 3.0\0"


def decode_jpeg(data: bytes, image: Image.Image) -> Picture:
    """Decode a JPEG, or the first image of an MPO, that Pillow has opened."""
    notes = frame_notes(image)
    raster = pillow_raster(image, notes)
    metadata, orientation = metadata_of(image, notes)
    if image.info.get("jfif_unit") not in (1, 2):  # then Pillow guesses
        metadata = replace(metadata, dpi=dpi_of_exif(metadata.exif))
    metadata = _with_segments(metadata, data, image, notes)
    if image.info.get("jfif_unit") == 0:
        notes += aspect_notes(*image.info["jfif_density"])
    picture = assemble(raster, orientation, metadata, "JPEG", notes, is_rgb_or_gray(image))
    tables = getattr(image, "quantization", None)
    if not tables:
        return picture
    height, width = picture.pixels.shape[:2]
    top = height % 16 if orientation in (3, 4, 7, 8) else 0  # if rows are counted from the end
    left = width % 16 if orientation in (2, 3, 6, 7) else 0
    return replace(picture, jpeg_quality=nearest_quality(tables), corner=(top, left))


def encode_jpeg(picture: Picture, quality: int) -> bytes:
    """Encode as JPEG, 4:4:4."""
    options = metadata_options(picture.metadata)
    options |= {"quality": quality, "subsampling": "4:4:4", "extra": _segments_of(picture.metadata)}
    return pillow_bytes(picture, "JPEG", options)


def sample_bits(data: bytes) -> int:
    """Return the bits per sample that a JPEG states; 8 for other files, or if none are stated."""
    if not data.startswith(JPEG_SIGNATURE):
        return 8
    return next((data[start] for kind, start, _ in _segments(data) if kind in _FRAMES), 8)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Split a JPEG into (marker, start and end of its payload), as far as it is intact."""
    marker = re.compile(rb"\xff+([^\x00\xff\xd0-\xd8])")  # not a restart or an encoded 255
    position = 0
    with contextlib.suppress(struct.error):
        while found := marker.search(data, position):
            kind, start = found[1][0], found.end()
            size = 0 if kind == _EOI else struct.unpack_from(">H", data, start)[0]
            yield kind, start + 2, start + size
            if kind == _EOI:
                return
            position = start + size


def _end_of_images(data: bytes, image: Image.Image) -> int:
    """Return where the last image of an MPO ends, by its index; 0 for other files."""
    index = getattr(image, "mpinfo", None)
    if not index:
        return 0
    start = data.find(image.info["mp"])  # where its offsets count from
    ends = [start + entry["DataOffset"] + entry["Size"] for entry in index[0xB002][1:]]
    return int(max(ends))


def _with_segments(
    metadata: Metadata, data: bytes, image: Image.Image, notes: list[str]
) -> Metadata:
    """Add extended XMP, IPTC, Photoshop resources and comments, and note data after the image."""
    extended, resources, comments, credentials, end = [], [], [], False, len(data)
    camera = 0
    for kind, start, stop in _segments(data):
        payload = data[start:stop]
        if kind == _APP13 and payload.startswith(_PHOTOSHOP):
            resources.append(payload.removeprefix(_PHOTOSHOP))
        elif kind == _APP1 and payload.startswith(_EXTENDED_XMP):
            extended.append(payload.removeprefix(_EXTENDED_XMP))
        elif kind == _APP11:
            credentials |= b"c2pa" in payload
        elif kind in range(_APP3, _APP13) or (kind == _APP1 and payload.startswith(b"FLIR\0")):
            camera += len(payload)
        elif kind == _COM:
            comments.append(payload)
        elif kind == _EOI:
            end = start - 2
    if credentials:
        notes.append(CREDENTIALS_NOTE)
    if camera >= _NOTED_BYTES:
        notes.append(f"{camera} bytes of camera data, such as thermal data, were left out.")
    what = "the video of a motion photo"
    if is_ultra_hdr(metadata.xmp):
        what = "its HDR gain map"
    else:
        end = max(end, _end_of_images(data, image))
    if (rest := len(data[end:].strip(b"\0\xff"))) >= _NOTED_BYTES:  # without padding
        notes.append(f"{rest} bytes after the photo, such as {what}, were left out.")
    iptc, photoshop = split_resources(b"".join(resources))
    return replace(
        metadata,
        extended_xmp=tuple(extended),
        iptc=iptc,
        photoshop=photoshop,
        comments=tuple(comments),
    )


def _segments_of(metadata: Metadata) -> bytes:
    """Return the segments that Pillow does not write."""
    resources = join_resources(metadata)
    parts = [(_COM, comment) for comment in metadata.comments]
    parts += [(_APP1, _EXTENDED_XMP + part) for part in metadata.extended_xmp]
    for start in range(0, len(resources), MARKER_BYTES):
        parts.append((_APP13, _PHOTOSHOP + resources[start : start + MARKER_BYTES]))
    return b"".join(struct.pack(">BBH", 0xFF, kind, 2 + len(part)) + part for kind, part in parts)
