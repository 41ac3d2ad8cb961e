"""Signs that pixels of a file are wrong though it can be decoded."""

from __future__ import annotations

import re

from restore_cli.image.jpeg import JPEG_SIGNATURE
from restore_cli.image.opencv import decode_by_opencv
from restore_cli.image.png_chunks import PIXEL_CHUNKS, PNG_SIGNATURE, split_chunks

# What of the reports of libjpeg is no sign of wrong pixels: SOS and version may be odd where
# nothing is lost, and cameras leave a few bytes in front of the end (0xd9).
_HARMLESS = re.compile(
    rb"Invalid SOS|unknown JFIF|Unknown Adobe|\b\d extraneous bytes before marker 0xd9"
)


def find_damage(data: bytes) -> tuple[str, ...]:
    """Return one sentence for each sign that pixels of a file are wrong, though it can be decoded.

    These are checksums of PNG, and what libjpeg and libaom report, by which the picture is decoded
    once more. Most wrong bits of a JPEG, WebP or TIFF leave no sign.
    """
    if data.startswith(PNG_SIGNATURE):
        if any(kind in PIXEL_CHUNKS and not whole for kind, _, whole in split_chunks(data)):
            return ("it is damaged: a checksum is wrong, and pixels may be",)
    elif data.startswith(JPEG_SIGNATURE):
        _, said = decode_by_opencv(data)
        for line in said:
            if not _HARMLESS.search(line):
                return (
                    f"it is damaged: parts of the picture may be wrong ({line.decode().strip()})",
                )
    elif data[4:8] == b"ftyp":
        import cv2

        # libaom is stricter than dav1d, by which Pillow decodes.
        if cv2.haveImageWriter("x.avif") and decode_by_opencv(data, color=True)[0] is None:
            return (
                "it is damaged: a strict decoder refuses it, parts of the picture may be wrong",
            )
    return ()
