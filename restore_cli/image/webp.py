"""WebP, lossy or lossless; lossless input is written as lossless WebP again."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace

from PIL import Image

from restore_cli.image.picture import Picture
from restore_cli.image.pillow_read import CREDENTIALS_NOTE, decode_image
from restore_cli.image.pillow_write import metadata_options, pillow_bytes


def decode_webp(data: bytes, image: Image.Image) -> Picture:
    """Decode a WebP file that Pillow has opened."""
    picture, kinds = decode_image(image), list(_chunks(data))
    signed = (CREDENTIALS_NOTE,) if b"C2PA" in kinds else ()
    lossless = next((kind == b"VP8L" for kind in kinds if kind in (b"VP8 ", b"VP8L")), False)
    return replace(picture, notes=picture.notes + signed, lossless=lossless)


def encode_webp(picture: Picture, quality: int) -> bytes:
    """Encode as WebP: lossless if the picture is, otherwise with the quality."""
    options = metadata_options(picture.metadata)
    options |= {"quality": quality, "exact": True}  # keeps the color under alpha 0
    if picture.lossless:
        options |= {"lossless": True, "quality": 80}  # here the effort, not the loss
    return pillow_bytes(picture, "WEBP", options)


def _chunks(data: bytes) -> Iterator[bytes]:
    """Yield the types of the chunks, and of those in the frames of an animation."""
    position = 12  # after RIFF and WEBP
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        yield kind
        position += 24 if kind == b"ANMF" else 8 + size + size % 2  # a frame contains chunks
