"""RAW photos of cameras, developed by LibRaw (rawpy) to 16 bits in sRGB."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from restore_cli.errors import PictureError
from restore_cli.image.arrays import Samples
from restore_cli.image.bounds import Bounds
from restore_cli.image.exif import (
    TIFF_HEADERS,
    exif_of_srgb,
    kept_exif,
    upright_exif,
    upright_xmp,
)
from restore_cli.image.formats import load_library
from restore_cli.image.isobmff import brands
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.pillow import open_image, unlimited
from restore_cli.image.raster import array_raster, assemble
from restore_cli.image.resolution import dpi_of_exif
from restore_cli.image.stderr import captured_stderr
from restore_cli.image.tiff_read import tiff_metadata
from restore_cli.image.tiff_tags import directories, tag_values

# Beginnings of files that are not a TIFF: ORF (3), RW2, RAF, MRW, X3F and CRW.
_SIGNATURES = (
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"IIU\0",
    b"FUJIFILM",
    b"\0MRM",
    b"FOVb",
    b"II\x1a\0\0\0HEAP",
)
# A CR2 is a TIFF with this between its header and its first directory, which is at 16.
_CR2 = (b"\x10\0\0\0CR\2\0", b"\0\0\0\x10CR\2\0")
_ALMOST_TIFF = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0")  # only the magic number differs
_SUB_IFDS, _PHOTOMETRIC = 330, 262
_OF_SENSORS = {32803, 34892}  # color filter array, and linear RAW (DNG 1.7)
_SRGB = (b"sRGB", b"\0")  # the chunk of a PNG
_REPORTS = rb".*: (?:Unexpected end of file|data corrupted at -?\d+)\n"


def is_raw(data: bytes) -> bool:
    """Return whether a file is a RAW photo, by its beginning or the directories of its TIFF."""
    if data.startswith(_SIGNATURES) or b"crx " in brands(data):
        return True
    if data[:4] not in TIFF_HEADERS:
        return False
    return data[4:12] in _CR2 or any(
        not _OF_SENSORS.isdisjoint(tag_values(data, start, _PHOTOMETRIC))
        for first in directories(data)[0][:4]  # a thumbnail may precede the photo
        for start in (first, *tag_values(data, first, _SUB_IFDS))
    )


def raw_size(data: bytes) -> tuple[int, int]:
    """Return height and width of the developed photo before it is rotated."""
    with captured_stderr(_REPORTS), _opened(data) as raw:
        return raw.sizes.iheight, raw.sizes.iwidth


def decode_raw(data: bytes, bounds: Bounds) -> Picture:
    """Develop a RAW photo with the white balance of the camera; LibRaw rotates it upright.

    The brightness is not adapted to the photo, so that the photos of a series match.

    Raises:
        PictureError: LibRaw does not support it, it exceeds the bounds, or rawpy is not installed.
        Exception: it is damaged.
    """
    library = load_library("RAW")
    notes: list[str] = []
    with contextlib.ExitStack() as last:
        with captured_stderr(_REPORTS) as reports:
            raw = last.enter_context(_opened(data))
            bounds.check(raw.sizes.raw_width, raw.sizes.raw_height, 4)
            raw.unpack()
        if reports:  # LibRaw would invent the missing pixels
            raise ValueError(reports[0].decode(errors="replace").rpartition(": ")[2].strip())
        if not _can_develop(raw.raw_pattern, raw.num_colors):
            raise PictureError(
                "its pattern of color filters is not supported. Convert it to TIFF with another"
                " program."
            )
        samples: Samples = raw.postprocess(
            output_bps=16,
            use_camera_wb=True,
            no_auto_bright=True,
            gamma=(2.4, 12.92),  # of sRGB (IEC 61966-2-1)
            output_color=library.ColorSpace.sRGB,
        )
        metadata = _metadata(data, raw, library, notes)
    return assemble(array_raster(samples, 65535), 1, metadata, "RAW", notes)


def _can_develop(pattern: npt.NDArray[np.uint8] | None, colors: int) -> bool:
    """Return whether LibRaw can develop a pattern of color filters.

    With any other one, as damaged files have it, its result contains memory that was never written.
    """
    if pattern is None:  # all colors of every pixel, as in linear DNG
        return True
    if colors == 1:
        return not pattern.any()
    if pattern.shape == (6, 6):  # X-Trans
        return True
    if pattern.shape != (2, 2):
        return False
    if colors == 4:
        return len(np.unique(pattern)) == 4
    bayer = np.where(pattern == 3, 1, pattern)  # 3 is the second green
    greens = bayer == 1
    return sorted(bayer.ravel()) == [0, 1, 1, 2] and bool(greens.trace() in (0, 2))


@contextlib.contextmanager
def _opened(data: bytes) -> Iterator[Any]:
    library = load_library("RAW")
    try:
        with library.RawPy() as raw:
            raw.open_buffer(io.BytesIO(data))
            yield raw
    except library.LibRawFileUnsupportedError:
        raise PictureError(
            "LibRaw does not support this camera or kind of RAW. Convert it to DNG or TIFF."
        ) from None
    except library.LibRawError as error:
        reason = error.args[0].decode() if error.args else type(error).__name__
        raise ValueError(reason.lower()) from None


def _metadata(data: bytes, raw: Any, library: Any, notes: list[str]) -> Metadata:
    """Return the metadata of a file like TIFF, else EXIF of the JPEG in it, or from LibRaw."""
    metadata, orientation = Metadata(), 1
    with contextlib.suppress(Exception):  # a photo is read even if its metadata is broken
        if data.startswith(_ALMOST_TIFF):
            data = data[:2] + (b"*\0" if data[:2] == b"II" else b"\0*") + data[4:]
        if data[:4] in TIFF_HEADERS:
            upright, orientation = upright_exif(data)
            tags = Image.Exif()
            with unlimited():
                tags.load(upright)
                metadata = tiff_metadata(upright, tags)
        else:
            thumbnail = raw.extract_thumb()
            if thumbnail.format == library.ThumbFormat.JPEG:
                image = open_image(thumbnail.data, Bounds(len(thumbnail.data)))
                exif, _ = kept_exif(image.info.get("exif", b""), notes)
                metadata = Metadata(exif=exif, dpi=dpi_of_exif(exif))
    if not metadata.exif:
        notes.append("Of its EXIF data, only exposure, lens and time were kept.")
        metadata = replace(metadata, exif=_basic_exif(raw))
    xmp = upright_xmp(metadata.xmp, orientation, notes) if metadata.xmp else None
    exif = exif_of_srgb(metadata.exif) if metadata.exif else None
    return replace(metadata, icc=None, exif=exif, xmp=xmp, chunks=(_SRGB,))


def _basic_exif(raw: Any) -> bytes | None:
    """Return an EXIF block with what LibRaw knows about the photo; None if that is nothing."""
    values = {
        ExifTags.Base.ISOSpeedRatings: round(raw.other.iso_speed),
        ExifTags.Base.ExposureTime: raw.other.shutter_speed,
        ExifTags.Base.FNumber: raw.other.aperture,
        ExifTags.Base.FocalLength: raw.other.focal_length,
        ExifTags.Base.LensModel: raw.lens.model,
    }
    if raw.other.timestamp.year > 1970:  # the first moment of 1970 is unknown
        values[ExifTags.Base.DateTimeOriginal] = f"{raw.other.timestamp:%Y:%m:%d %H:%M:%S}"
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {tag: value for tag, value in values.items() if value}
    return exif.tobytes().removeprefix(b"Exif\0\0") if exif[ExifTags.IFD.Exif] else None
