"""PNM (PBM, PGM and PPM), as text or binary, with up to 16 bits per sample."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.pillow_read import FIRST_FRAME, decode_image
from restore_cli.image.raster import Raster, array_raster, assemble, quantized

_NUMBER = rb"(?:\s|#[^\n]*\n)+(\d+)"
_HEADER = re.compile(rb"P([2356])" + _NUMBER * 3 + rb"\s")
_BITMAP = re.compile(rb"P(4)" + _NUMBER * 2 + rb"\s")
_NEXT = re.compile(rb"P[1-7]\s")


def decode_pnm(data: bytes, image: Image.Image) -> Picture:
    """Decode a PNM file that Pillow has opened."""
    header = _HEADER.match(data)
    notes = _first_image_notes(data, header or _BITMAP.match(data))
    if header and int(header[4]) > 255:
        return assemble(_deep_raster(data, header), 1, Metadata(), "PPM", notes)
    picture = decode_image(image)
    return replace(picture, notes=(*picture.notes, *notes))


def encode_pnm(picture: Picture) -> bytes:
    """Encode as PGM if the picture is gray, else as PPM."""
    magic, peak = ("P5" if picture.channels == 1 else "P6"), 2**picture.depth - 1
    header = f"{magic}\n{picture.width} {picture.height}\n{peak}\n".encode("ascii")
    big_endian = f">u{picture.depth // 8}"
    return b"".join(
        [header, *(b.astype(big_endian).tobytes() for b in quantized(picture, flatten=True))]
    )


def _first_image_notes(data: bytes, header: re.Match[bytes] | None) -> list[str]:
    """Return a list with a note if another image follows a binary one."""
    if not header or header[1] in b"23":
        return []
    deep = header[1] != b"4" and int(header[4]) > 255
    bits = {b"4": 1, b"5": 8, b"6": 24}[header[1]] * (1 + deep)
    end = header.end() + -(-int(header[2]) * bits // 8) * int(header[3])
    return [f"{FIRST_FRAME} of several images was read."] if _NEXT.match(data, end) else []


def _deep_raster(data: bytes, header: re.Match[bytes]) -> Raster:
    """Decode more than 8 bits, which Pillow would reduce to 8."""
    width, height, peak = (int(number) for number in header.groups()[1:])
    bands = 3 if header[1] in b"36" else 1
    count = height * width * bands
    if header[1] in b"23":
        words = re.sub(rb"#[^\n]*", b"", data[header.end() :]).split()[:count]
        samples: npt.NDArray[Any] = np.array(words).astype(np.int64)
    else:
        samples = np.frombuffer(data, ">u2", count, header.end())
    return array_raster(samples.clip(0, peak).reshape(height, width, bands), peak)
