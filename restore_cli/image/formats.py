"""The file formats: their suffixes, what each can store, and the libraries of some."""

from __future__ import annotations

import importlib
import importlib.util
import os
from functools import cache
from pathlib import Path
from typing import Any

from restore_cli.errors import PictureError
from restore_cli.image.picture import Picture

# The first suffix is the one of output files.
FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "PPM": (".ppm", ".pgm", ".pnm", ".pbm"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif", ".hif"),
    "JXL": (".jxl",),
}
READ_ONLY: dict[str, tuple[str, ...]] = {
    "GIF": (".gif",),
    "RAW": (
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".sr2", ".srf", ".orf", ".rw2"),
        *(".raf", ".pef", ".srw", ".3fr", ".iiq", ".mrw", ".x3f", ".rwl", ".gpr", ".erf", ".kdc"),
        *(".dcr", ".mef", ".mos", ".fff"),
    ),
}
PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM", "AVIF", "GIF")
PAGED = frozenset({"PNG", "WEBP", "TIFF", "GIF"})  # all of whose frames or pages can be read
_LIBRARIES = {"HEIF": "pillow_heif", "JXL": "pillow_jxl", "RAW": "rawpy"}  # of the extra `formats`
_BY_SUFFIX = {
    suffix: name for name, suffixes in (FORMATS | READ_ONLY).items() for suffix in suffixes
}
READ_SUFFIXES = frozenset(_BY_SUFFIX)

LOSSY = frozenset({"JPEG", "WEBP", "AVIF", "HEIF", "JXL"})
_EMBEDDED = {"EXIF", "ICC profile", "XMP"}
HOLDS: dict[str, frozenset[str]] = {
    "PNG": frozenset(
        {"16 bits", "alpha", *_EMBEDDED, "resolution", "PNG text", "PNG gamma", "CICP color space"}
    ),
    "JPEG": frozenset(
        {*_EMBEDDED, "extended XMP", "resolution", "IPTC", "Photoshop resources", "comments"}
    ),
    "WEBP": frozenset({"alpha", *_EMBEDDED}),
    "TIFF": frozenset(
        {"16 bits", "alpha", *_EMBEDDED, "resolution", "IPTC", "Photoshop resources"}
    ),
    "BMP": frozenset({"resolution"}),
    "PPM": frozenset({"16 bits"}),
    "AVIF": frozenset({"alpha", *_EMBEDDED, "CICP color space"}),
    "HEIF": frozenset({"10 bits", "alpha", *_EMBEDDED, "CICP color space"}),
    "JXL": frozenset({"alpha", "EXIF", "XMP"}),  # pillow-jxl-plugin writes no profile
}


def format_of(path: Path | str) -> str:
    """Return the format in which a file of this name is written, such as "JPEG".

    Raises:
        PictureError: the suffix is unknown, or its format can only be read.
    """
    name = written_format(path)
    if name:
        return name
    known = " ".join(suffixes[0] for suffixes in FORMATS.values())
    if own := _BY_SUFFIX.get(_suffix(path)):
        raise PictureError(
            f"Cannot write {path}: {own} files can only be read. Use one of {known}."
        )
    raise PictureError(
        f"Cannot recognize the format of {path}: its suffix is unknown. Use one of {known}."
    )


def written_format(path: Path | str) -> str | None:
    """Return the format in which a file of this name is written; None if there is none."""
    name = _BY_SUFFIX.get(_suffix(path))
    return name if name in FORMATS else None


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


def has_image_suffix(path: Path | str) -> bool:
    """Return whether the suffix is one of READ_SUFFIXES, in upper or lower case."""
    return _suffix(path) in READ_SUFFIXES


def is_image_name(path: Path | str) -> bool:
    """Return whether a file with this suffix can be read: its format's library is installed."""
    name = _BY_SUFFIX.get(_suffix(path))
    return name is not None and _is_installed(name)


def find_images(folder: Path) -> list[Path]:
    """Return the images in a folder and its subfolders, sorted, without hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if is_image_name(path)
        and all(part[0] != "." for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def is_pillow_name(path: Path | str) -> bool:
    """Return whether Pillow reads files with this suffix, or the suffix is unknown."""
    return _BY_SUFFIX.get(_suffix(path)) not in _LIBRARIES


def load_library(format: str) -> Any:
    """Import the library that reads and writes a format.

    Raises:
        PictureError: it is not installed.
    """
    try:
        return importlib.import_module(_LIBRARIES[format])
    except ImportError as error:
        raise PictureError(
            f"{format} files need another library. Run `pip install 'restore-cli[formats]'`."
        ) from error


@cache
def _is_installed(format: str) -> bool:
    library = _LIBRARIES.get(format)
    return library is None or importlib.util.find_spec(library) is not None


def _suffix(path: Path | str) -> str:
    return os.path.splitext(path)[1].lower()


def is_altered(picture: Picture, format: str) -> bool:
    """Return whether writing in the format changes 8-bit samples."""
    return format in LOSSY and not (format in ("WEBP", "JXL") and picture.lossless)
