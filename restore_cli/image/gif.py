"""GIF, which is only read: its 256 colors would undo what was restored."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from restore_cli.image.picture import Picture
from restore_cli.image.pillow_read import decode_image


def decode_gif(_: bytes, image: Image.Image) -> Picture:
    """Decode the first frame of a GIF that Pillow has opened."""
    picture = decode_image(image)
    comment = image.info.get("comment")
    metadata = replace(picture.metadata, comments=(comment,) if comment else ())
    return replace(picture, metadata=metadata)
