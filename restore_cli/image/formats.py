"""The file formats: their suffixes, and what each of them can store."""

from __future__ import annotations

import os
from pathlib import Path

from restore_cli.errors import PictureError
from restore_cli.image.picture import Picture

# The first suffix is the one of output files.
FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "PPM": (".ppm", ".pgm", ".pnm", ".pbm"),
    "AVIF": (".avif",),
}
READ_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)

LOSSY = frozenset({"JPEG", "WEBP", "AVIF"})
_EMBEDDED = {"EXIF", "ICC profile", "XMP"}
HOLDS: dict[str, frozenset[str]] = {
    "PNG": frozenset(
        {"16 bits", "alpha", *_EMBEDDED, "resolution", "PNG text", "CICP color space"}
    ),
    "JPEG": frozenset({*_EMBEDDED, "resolution", "IPTC", "Photoshop resources", "comments"}),
    "WEBP": frozenset({"alpha", *_EMBEDDED}),
    "TIFF": frozenset(
        {"16 bits", "alpha", *_EMBEDDED, "resolution", "IPTC", "Photoshop resources"}
    ),
    "BMP": frozenset({"resolution"}),
    "PPM": frozenset({"16 bits"}),
    "AVIF": frozenset({"alpha", *_EMBEDDED, "CICP color space"}),
}


def format_of(path: Path | str) -> str:
    """Return the format in which a file of this name is written, such as "JPEG".

    Raises:
        PictureError: the suffix is unknown.
    """
    suffix = os.path.splitext(path)[1].lower()
    for name, suffixes in FORMATS.items():
        if suffix in suffixes:
            return name
    known = " ".join(suffixes[0] for suffixes in FORMATS.values())
    raise PictureError(
        f"Cannot recognize the format of {path}: its suffix is unknown. Use one of {known}."
    )


def suffix_of(format: str) -> str:
    """Return the usual suffix of a format, such as ".jpg" for "JPEG".

    Raises:
        PictureError: the format is unknown.
    """
    if format not in FORMATS:
        raise PictureError(
            f"Cannot write {format} files: the format is not supported. Choose one of"
            f" {', '.join(FORMATS)}."
        )
    return FORMATS[format][0]


def is_image_name(path: Path | str) -> bool:
    """Return whether the suffix is one of READ_SUFFIXES, in upper or lower case."""
    return os.path.splitext(path)[1].lower() in READ_SUFFIXES


def is_altered(picture: Picture, format: str) -> bool:
    """Return whether writing in the format changes 8-bit samples."""
    return format in LOSSY and not (format == "WEBP" and picture.lossless)
