"""Resolution in dots per inch, from the various ways in which files state it."""

from __future__ import annotations

import contextlib
from typing import Any

from PIL import ExifTags, Image

from restore_cli.image.pillow import unlimited


def dpi_of(value: tuple[Any, Any] | None) -> tuple[float, float] | None:
    """Return a resolution as floats; None if it is missing or not a positive number."""
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        across, down = (float(number) for number in value or ())
        if 0 < across < 1e6 and 0 < down < 1e6:
            return across, down
    return None


def aspect_notes(across: Any, down: Any) -> list[str]:
    """Return a list with a note if resolutions without a unit mean pixels that are not square."""
    density = dpi_of((across, down))
    if not density or density[0] == density[1]:
        return []
    return [f"The pixel aspect ratio {density[1]:g}:{density[0]:g} was left out."]


def dpi_of_tags(tags: Image.Exif) -> tuple[float, float] | None:
    """Return the resolution in the tags of a TIFF or an EXIF block; None if it is not stated."""
    dpi = dpi_of((tags.get(ExifTags.Base.XResolution), tags.get(ExifTags.Base.YResolution)))
    unit = tags.get(ExifTags.Base.ResolutionUnit, 2)
    scale = {2: 1.0, 3: 2.54}.get(unit)  # dots per inch, per centimeter; 1 has no unit
    return (dpi[0] * scale, dpi[1] * scale) if dpi and scale else None


def dpi_of_exif(block: bytes | None) -> tuple[float, float] | None:
    """Return the resolution in an EXIF block; None if it is not stated or the block is broken."""
    if not block:
        return None
    tags = Image.Exif()
    with unlimited(), contextlib.suppress(Exception):  # a broken block has no resolution
        tags.load(block)
        return dpi_of_tags(tags)
    return None
