"""Encoding by Pillow, with 8 bits per sample."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from PIL import Image

from restore_cli.image.arrays import row_blocks
from restore_cli.image.formats import HOLDS
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.raster import quantized


def pillow_bytes(picture: Picture, format: str, options: Mapping[str, Any]) -> bytes:
    """Encode 8-bit samples with Pillow; alpha is flattened if the format cannot store it.

    Args:
        picture: what to encode.
        format: Pillow's name of the format.
        options: of Pillow's writer for that format.
    """
    flatten = "alpha" not in HOLDS[format]
    mode = ("L" if picture.channels == 1 else "RGB") + (
        "A" if picture.alpha is not None and not flatten else ""
    )
    canvas = Image.new(mode, (picture.width, picture.height))
    rows = row_blocks(picture.height, picture.width)
    for (top, _), block in zip(rows, quantized(picture, flatten=flatten), strict=True):
        canvas.paste(Image.fromarray(block[..., 0] if mode == "L" else block), (0, top))
    buffer = io.BytesIO()
    canvas.save(buffer, format, **options)
    return buffer.getvalue()


def metadata_options(metadata: Metadata) -> dict[str, Any]:
    """Return EXIF, ICC profile, XMP and resolution as options for Pillow's writers."""
    options: dict[str, Any] = {
        "exif": b"Exif\0\0" + metadata.exif if metadata.exif else b"",
        "icc_profile": metadata.icc or b"",
        "xmp": metadata.xmp or b"",
    }
    if metadata.dpi:
        options["dpi"] = metadata.dpi
    return options
