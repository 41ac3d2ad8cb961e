"""BMP, where pixels may have a fourth byte without a declared meaning."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
from PIL import Image

from restore_cli.image.picture import Picture
from restore_cli.image.pillow_read import decode_image
from restore_cli.image.pillow_write import metadata_options, pillow_bytes


def decode_bmp(data: bytes, image: Image.Image) -> Picture:
    """Decode a BMP file that Pillow has opened."""
    image.info["icc_profile"] = _profile(data)
    picture = decode_image(image)
    if not _has_fourth_byte(data):
        return picture
    note = "The fourth byte of its pixels, which some programs use for alpha, was left out."
    return replace(picture, notes=(note, *picture.notes))


def encode_bmp(picture: Picture) -> bytes:
    """Encode as BMP with 8 bits per sample."""
    # By default Pillow states 96 dpi.
    return pillow_bytes(picture, "BMP", {"dpi": (0, 0)} | metadata_options(picture.metadata))


def _profile(data: bytes) -> bytes | None:
    """Return the ICC profile in a BMP of version 5; empty if it has none, and None if broken."""
    size, kind, start, length = struct.unpack_from("<14xI52x4s52xII", data.ljust(134))
    if size < 124 or kind != b"DEBM":
        return b""
    profile = data[14 + start :][:length]
    return profile if len(profile) == length else None


def _has_fourth_byte(data: bytes) -> bool:
    """Return whether a 32-bit BMP without declared alpha uses the fourth byte of its pixels.

    It does not if that byte is 0 in all pixels, or 255 in all pixels.
    """
    start, width, height, bits, compression = struct.unpack_from("<10xI4xiixxHI", data.ljust(34))
    end = start + 4 * abs(width * height)  # a profile may follow
    fourth = np.frombuffer(data, np.uint8)[start + 3 : end : 4]
    return bits == 32 and compression == 0 and not (fourth.max() == 0 or fourth.min() == 255)
