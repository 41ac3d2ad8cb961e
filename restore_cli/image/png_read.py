"""Reading PNG: Pillow and OpenCV decode the pixels; all other chunks are read here."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Container, Sequence
from contextlib import suppress

import numpy as np
import numpy.typing as npt
from PIL import Image

from restore_cli.image.arrays import Samples
from restore_cli.image.bounds import Bounds
from restore_cli.image.exif import TIFF_HEADERS, kept_exif
from restore_cli.image.opencv import opencv_samples
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.pillow import open_image
from restore_cli.image.pillow_read import CREDENTIALS_NOTE, first_frame_notes, pillow_raster
from restore_cli.image.png_chunks import (
    PIXEL_CHUNKS,
    PNG_SIGNATURE,
    TEXT_CHUNKS,
    XMP_KEYWORD,
    join_chunk,
    split_chunks,
)
from restore_cli.image.raster import Raster, assemble
from restore_cli.image.resolution import aspect_notes, dpi_of, dpi_of_exif

# Time of the last change (tIME), significant bits (sBIT) and background (bKGD) are left out: the
# first two are no longer true of the result, and the third depends on the color type of the input.
_COLOR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI")
_RAW_EXIF = (b"Raw profile type exif\0", b"Raw profile type APP1\0")  # texts with EXIF in hex
_INFLATED = 2**26  # the largest ICC profile, XMP packet or EXIF text, in bytes


def decode_png(data: bytes, bounds: Bounds) -> Picture:
    """Decode a PNG.

    Raises:
        PictureError: it exceeds the bounds, or its pixel format is not supported.
        Exception: it is damaged; Pillow raises various errors then.
    """
    bare, chunks, notes = _sorted_chunks(data)
    first = dict(reversed(chunks))
    image = open_image(bare, bounds)
    depth = bare[24]  # in IHDR
    if image.mode == "L" and depth < 8 and "transparency" in image.info:
        # Pillow scales the samples to 8 bits, but not the transparent level.
        image.info["transparency"] *= 255 // (2**depth - 1)
    raster = _deep_raster(bare, image) if depth == 16 else pillow_raster(image, notes)
    frames = int.from_bytes(first.get(b"acTL", b"")[:4], "big")
    notes += first_frame_notes(frames, "PNG")
    in_text = _exif_in_text(chunks)
    block = first.get(b"eXIf") or next(iter(in_text.values()), b"")
    exif, orientation = kept_exif(block, notes)
    # Unit 1 is dots per meter.
    across, down, unit = struct.unpack(">IIB", first.get(b"pHYs", b"")[:9].ljust(9, b"\0"))
    notes += aspect_notes(across, down) if unit == 0 else []
    notes += [CREDENTIALS_NOTE] if b"caBX" in first else []
    metadata = Metadata(
        exif=exif,
        icc=_profile(first.get(b"iCCP"), notes),
        xmp=_xmp(chunks, notes),
        dpi=dpi_of((across * 0.0254, down * 0.0254)) if unit == 1 else dpi_of_exif(exif),
        chunks=tuple(chunk for chunk in chunks if _is_kept(*chunk, in_text)),
    )
    return assemble(raster, orientation, metadata, "PNG", notes)


def _sorted_chunks(data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], list[str]]:
    """Return a PNG with only its pixels, all other intact chunks, and notes about broken ones."""
    pixels, chunks, notes = [PNG_SIGNATURE], [], []
    for kind, payload, whole in split_chunks(data):
        if not whole and kind in (b"IHDR", b"PLTE"):
            raise ValueError(f"the checksum of {kind.decode()} is wrong")
        if kind in PIXEL_CHUNKS:  # `find_damage` reports wrong checksums
            pixels.append(join_chunk(kind, payload))
        elif whole:
            chunks.append((kind, payload))
        else:
            notes = ["A broken chunk was left out."]
    return b"".join(pixels), chunks, notes


def _deep_raster(data: bytes, image: Image.Image) -> Raster:
    image.load()  # Pillow finds damage that OpenCV overlooks
    samples = opencv_samples(data)
    gray = data[25] in (0, 4)  # color types without and with alpha, which OpenCV decodes as BGRA
    order = ([0, 3] if data[25] == 4 else [0]) if gray else [2, 1, 0, 3][: samples.shape[2]]
    # OpenCV applies tRNS to color, but not to gray.
    key = image.info.get("transparency") if gray else None

    def rows(top: int, bottom: int) -> Samples:
        block: npt.NDArray[np.uint16] = samples[top:bottom, :, order]
        if key is None:
            return block
        return np.concatenate([block, np.where(block == key, 0, 65535).astype(np.uint16)], axis=2)

    return Raster(image.height, image.width, len(order) + (key is not None), 16, rows)


def _profile(payload: bytes | None, notes: list[str]) -> bytes | None:
    if payload is None:
        return None
    _, _, packed = payload.partition(b"\0")  # after its name
    return _inflated(packed[1:], "ICC profile", notes)


def _xmp(chunks: Sequence[tuple[bytes, bytes]], notes: list[str]) -> bytes | None:
    found = [chunk for chunk in chunks if chunk[1].startswith(XMP_KEYWORD)]
    found.sort(key=lambda chunk: chunk[0] != b"iTXt")  # the standard's own place comes first
    texts = (_text(*chunk, "XMP", notes) for chunk in found if chunk[0] in TEXT_CHUNKS)
    return next(filter(None, texts), None)


def _exif_in_text(chunks: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return EXIF that programs such as ImageMagick store as texts: by the text, what it holds."""
    found = {}
    for kind, payload in chunks:
        if kind in TEXT_CHUNKS and payload.startswith(_RAW_EXIF):
            lines = (
                (_text(kind, payload, "text", []) or b"").strip().split(b"\n", 2)
            )  # name, length, hex
            with suppress(ValueError):
                block = bytes.fromhex(lines[-1].decode())
                if block.startswith((b"Exif\0\0", *TIFF_HEADERS)):
                    found[payload] = block
    return found


def _text(kind: bytes, payload: bytes, name: str, notes: list[str]) -> bytes | None:
    """Return the text in a text chunk; None if it is empty or broken."""
    text = payload.partition(b"\0")[2]  # after the keyword
    packed = kind == b"zTXt" or (kind == b"iTXt" and text[:1] == b"\1")
    if kind == b"zTXt":
        text = text[1:]
    elif kind == b"iTXt":
        text = text[2:].split(b"\0", 2)[-1]  # after the language and the translated keyword
    return _inflated(text, name, notes) if packed else text or None


def _inflated(packed: bytes, name: str, notes: list[str]) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(packed, _INFLATED)
        if inflater.eof:
            return plain or None
        reason = f"it is cut short, or larger than {_INFLATED >> 20} MB"
        notes.append(f"The {name} was left out because {reason}.")
    except zlib.error:
        notes.append(f"A broken {name} was left out.")
    return None


def _is_kept(kind: bytes, payload: bytes, read: Container[bytes]) -> bool:
    known = payload.startswith(XMP_KEYWORD) or payload in read
    return kind in TEXT_CHUNKS + _COLOR_CHUNKS and not known
