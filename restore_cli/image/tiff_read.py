"""Reading TIFF: gray and RGB with 8 and 16 bits by libtiff, all other kinds by Pillow."""

from __future__ import annotations

from dataclasses import replace

from PIL import ExifTags, Image, UnidentifiedImageError

from restore_cli.errors import PictureError
from restore_cli.image.bounds import Bounds
from restore_cli.image.exif import upright_exif
from restore_cli.image.photoshop import split_resources
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.pillow import open_image, unlimited
from restore_cli.image.pillow_read import first_frame_notes, is_rgb_or_gray, pillow_raster
from restore_cli.image.raster import assemble
from restore_cli.image.resolution import aspect_notes, dpi_of_tags
from restore_cli.image.tiff_layout import layout_of, segments_of
from restore_cli.image.tiff_samples import tiff_raster
from restore_cli.image.tiff_tags import (
    TAG_IPTC,
    TAG_PHOTOSHOP,
    beginning_at,
    directories,
    exif_of_tags,
    is_reduced,
    tag_bytes,
)

# Compressions of plain bytes: none, LZW, deflate (two numbers), PackBits, LZMA and Zstandard.
_OF_BYTES = frozenset({1, 5, 8, 32946, 32773, 34925, 50000})
# ModelPixelScale, ModelTiepoint, ModelTransformation and GeoKeyDirectory (OGC GeoTIFF 1.1).
_GEOREFERENCES = (33550, 33922, 34264, 34735)
_UNREAD = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 34933: "PNG"}
_UNREAD |= {34892: "lossy JPEG of DNG", 50002: "JPEG XL", 52546: "JPEG XL"}


def decode_tiff(data: bytes, bounds: Bounds, whole: bytes | None = None) -> Picture:
    """Decode the first page of a TIFF; smaller versions of pages are none.

    Args:
        data: a TIFF.
        bounds: limit its size.
        whole: the file, if the data are its first page behind a thumbnail.

    Raises:
        PictureError: this kind of TIFF is not supported, or it exceeds the bounds.
        Exception: it is damaged; decoders raise various errors then.
    """
    starts, ends = directories(data)
    pages = [start for start in starts if not is_reduced(data, start)] or starts
    if pages[:1] != starts[:1]:
        data, whole = beginning_at(data, pages[0]), data
    # Pillow rotates the pixels of a TIFF by its orientation, so that is removed first.
    data, orientation = upright_exif(data)
    with unlimited():
        tags = Image.Exif()
        tags.load(data)  # an EXIF block is a TIFF without pixels
        layout = layout_of(tags)
        padded = layout.across * layout.columns, layout.down * layout.rows
        channels = max(layout.bands * layout.planes, 3 if layout.photometric == 3 else 1)
        bounds.check(*padded, channels)
        metadata = tiff_metadata(data, tags)
        if whole:
            metadata = _complete(metadata, whole)
    segments = segments_of(data, tags, layout)
    notes = first_frame_notes(len(pages), "TIFF")
    if smaller := len(starts) - len(pages):
        notes.append(note_of_smaller(smaller))
    if starts and not ends:
        notes.append(f"The file is damaged: only {len(starts)} of its pages can be found.")
    if beyond := layout.beyond:
        lost = "1 channel was" if beyond == 1 else f"{beyond} channels were"
        notes.append(f"{lost} left out: only colors and alpha right after them are read.")
    if any(tag in tags for tag in _GEOREFERENCES):
        notes.append("Georeferencing was left out.")
    if tags.get(ExifTags.Base.ResolutionUnit) == 1:
        notes += aspect_notes(
            tags.get(ExifTags.Base.XResolution, 1), tags.get(ExifTags.Base.YResolution, 1)
        )
    if metadata.icc is None and ExifTags.Base.InterColorProfile in tags:
        notes.append("A broken ICC profile was left out.")
    if (
        layout.bits in (8, 16)
        and layout.photometric in (0, 1, 2)
        and layout.compression in _OF_BYTES
    ):
        raster = tiff_raster(data, layout, segments)
        return assemble(raster, orientation, metadata, "TIFF", notes)
    try:
        image = open_image(data, bounds)
    except UnidentifiedImageError:
        packed = _UNREAD.get(layout.compression, f"compression {layout.compression}")
        kind = f"{layout.bits} bits, photometric {layout.photometric}, {packed}"
        raise PictureError(
            f"this kind of TIFF is not supported ({kind}). Save it as RGB with LZW compression."
        ) from None
    if layout.bits == 16:
        notes.append(f"16-bit {image.mode} was read with 8 bits per sample.")
    raster = pillow_raster(image, notes)
    return assemble(raster, orientation, metadata, "TIFF", notes, is_rgb_or_gray(image))


def _complete(metadata: Metadata, data: bytes) -> Metadata:
    """Add the metadata of the first directory that a later one lacks."""
    tags = Image.Exif()
    tags.load(data)
    own = tiff_metadata(data, tags)
    lacking = {name: value for name, value in vars(own).items() if not getattr(metadata, name)}
    return replace(metadata, **lacking)


def note_of_smaller(count: int) -> str:
    """The warning about thumbnails and other smaller versions of pages."""
    return f"Smaller versions of the pages ({count}) were left out."


def tiff_metadata(data: bytes, tags: Image.Exif) -> Metadata:
    """Return the metadata of the first page, whose tags are loaded."""
    iptc, photoshop = split_resources(tag_bytes(data, TAG_PHOTOSHOP) or b"")
    return Metadata(
        exif=exif_of_tags(tags),
        icc=tag_bytes(data, ExifTags.Base.InterColorProfile),
        xmp=tag_bytes(data, ExifTags.Base.XMLPacket),
        dpi=dpi_of_tags(tags),
        iptc=tag_bytes(data, TAG_IPTC) or iptc,
        photoshop=photoshop,
    )
