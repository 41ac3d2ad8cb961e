"""Signs of wrong pixels in a file that can still be decoded."""

from __future__ import annotations

import re

from restore_cli.image.isobmff import brands
from restore_cli.image.jpeg import JPEG_SIGNATURE
from restore_cli.image.opencv import decode_by_opencv
from restore_cli.image.png_chunks import PIXEL_CHUNKS, PNG_SIGNATURE, split_chunks

# Reports of libjpeg that are not a sign of wrong pixels: SOS and version may be unusual in intact
# files, and cameras leave a few bytes before the end (0xd9).
_HARMLESS = re.compile(
    rb"Invalid SOS|unknown JFIF|Unknown Adobe|\b\d extraneous bytes before marker 0xd9"
)


def find_damage(data: bytes) -> tuple[str, ...]:
    """Return a warning for each sign of wrong pixels in a file that can be decoded.

    The signs are checksums of a PNG, and reports of libjpeg and libaom, which decode the file once
    more. Most wrong bits in a JPEG, WebP or TIFF leave no sign.
    """
    if data.startswith(PNG_SIGNATURE):
        if any(kind in PIXEL_CHUNKS and not whole for kind, _, whole in split_chunks(data)):
            return ("The file is damaged: a checksum is wrong, so pixels may be wrong, too.",)
    elif data.startswith(JPEG_SIGNATURE):
        _, reports = decode_by_opencv(data, "eighth")
        for line in reports:
            if not _HARMLESS.search(line):
                report = line.decode().strip()
                return (f"The file is damaged: parts of the photo may be wrong ({report}).",)
    elif {b"avif", b"avis"} & brands(data):
        import cv2

        # libaom is stricter than dav1d, which Pillow uses.
        if cv2.haveImageWriter("x.avif") and decode_by_opencv(data, "color")[0] is None:
            return (
                "The file is damaged: a strict decoder refuses it, so parts of the photo may be"
                " wrong.",
            )
    return ()
