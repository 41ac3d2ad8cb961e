"""GIF, which is only read: its 256 colors would undo what was restored."""

from __future__ import annotations

from dataclasses import replace

from PIL import Image

from restore_cli.image.picture import Picture
from restore_cli.image.pillow_read import decode_image

_XMP, _XMP_END = b"\x21\xff\x0bXMP DataXMP", b"\x01\xff\xfe"  # the start and end of extensions
_ICC = b"\x21\xff\x0bICCRGBG1012"


def decode_gif(data: bytes, image: Image.Image) -> Picture:
    """Decode the first frame of a GIF that Pillow has opened."""
    picture = decode_image(image)
    comment = image.info.get("comment")
    _, _, rest = data.partition(_XMP)
    xmp, end, _ = rest.partition(_XMP_END)
    metadata = replace(
        picture.metadata, comments=(comment,) if comment else (), xmp=xmp if end else None
    )
    notes = ("The ICC profile of the GIF was left out.",) if _ICC in data else ()
    return replace(picture, metadata=metadata, notes=(*picture.notes, *notes))
