"""The file formats: their suffixes, and what each of them can hold."""

from __future__ import annotations

from pathlib import Path

from restore_cli.errors import PictureError
from restore_cli.image.picture import Picture

# Written suffix first.
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


def format_of(path: Path) -> str:
    """Return the format a file of this name is written in; raises PictureError for an unknown
    suffix.
    """
    for name, suffixes in FORMATS.items():
        if path.suffix.lower() in suffixes:
            return name
    known = " ".join(suffixes[0] for suffixes in FORMATS.values())
    raise PictureError(
        f"cannot tell the image format of {path}: give it one of the suffixes {known}"
    )


def suffix_of(format: str) -> str:
    """Return the usual suffix of a format, `.jpg` for JPEG; raises PictureError for an unknown
    format.
    """
    if format not in FORMATS:
        raise PictureError(f"cannot write {format} images: choose one of {', '.join(FORMATS)}")
    return FORMATS[format][0]


def is_image_name(path: Path) -> bool:
    """Say whether a file of this name is worth reading when a folder is searched."""
    return path.suffix.lower() in READ_SUFFIXES


def is_altered(picture: Picture, format: str) -> bool:
    """Say whether writing in the format changes samples of up to 8 bits."""
    return format in LOSSY and not (format == "WEBP" and picture.lossless)
