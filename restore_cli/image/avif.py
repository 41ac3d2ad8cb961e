"""AVIF, with 10 and 12 bits per sample and color spaces other than sRGB."""

from __future__ import annotations

import struct
from dataclasses import replace

from PIL import Image

from restore_cli.image.isobmff import brands
from restore_cli.image.opencv import opencv_samples
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.pillow_read import frame_notes, is_rgb_or_gray, metadata_of, pillow_raster
from restore_cli.image.pillow_write import metadata_options, pillow_bytes
from restore_cli.image.png_chunks import color_space_chunks
from restore_cli.image.raster import Raster, array_raster, assemble

_NCLX = b"colrnclx"  # followed by primaries, transfer and matrix of ITU-T H.273, 16 bits each


def decode_avif(data: bytes, image: Image.Image) -> Picture:
    """Decode an AVIF file that Pillow has opened."""
    notes = frame_notes(image)
    if b"tmap" in brands(data):
        notes.append("The HDR gain map was left out.")
    bits = _sample_bits(data)
    raster = _deep_raster(data, image, bits, notes) if bits > 8 else pillow_raster(image, notes)
    metadata, orientation = metadata_of(image, notes)
    if not metadata.icc:
        metadata = replace(metadata, chunks=_color_space(data))
    return assemble(raster, orientation, metadata, "AVIF", notes, is_rgb_or_gray(image))


class _Exif(Image.Exif):
    """An EXIF block that Pillow stores as it is; of bytes, it would store a copy of the tags."""

    def __init__(self, block: bytes) -> None:
        super().__init__()
        self._block = block

    def __bool__(self) -> bool:
        return bool(self._block)

    def tobytes(self, offset: int = 8) -> bytes:  # noqa: ARG002
        return self._block


def encode_avif(picture: Picture, quality: int) -> bytes:
    """Encode as AVIF, 8 bits per sample, 4:4:4; gray without alpha as gray."""
    options = metadata_options(picture.metadata)
    colors = "4:0:0" if picture.channels == 1 and picture.alpha is None else "4:4:4"
    options |= {"quality": quality, "subsampling": colors, "exif": _Exif(options["exif"])}
    return _with_color_space(pillow_bytes(picture, "AVIF", options), picture.metadata)


def _deep_raster(data: bytes, image: Image.Image, bits: int, notes: list[str]) -> Raster:
    """Decode 10 or 12 bits, which Pillow would reduce to 8, and scale them to 16."""
    try:
        samples = opencv_samples(data)
    except ValueError:  # the file is damaged, or gray with alpha
        notes.append(f"The {bits}-bit AVIF was read with 8 bits per sample.")
        return pillow_raster(image, notes)
    if samples.shape[:2] != (image.height, image.width):
        raise ValueError("two decoders disagree about the size")
    order = slice(1) if samples.shape[2] == 1 else [2, 1, 0, 3][: samples.shape[2]]
    return array_raster(samples[..., order], 2**bits - 1)


def _sample_bits(data: bytes) -> int:
    """Return the bits per sample in the first configuration record (AV1-ISOBMFF, 2.3)."""
    record = data.find(b"av1C") + 4
    flags = data[record + 2] if 4 <= record < len(data) - 2 else 0
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


def _color_space(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the color space as the cICP chunk of a PNG; empty if it displays like sRGB."""
    place = data.find(_NCLX) + len(_NCLX)
    if place < len(_NCLX) or place + 4 > len(data):
        return ()
    return color_space_chunks(*struct.unpack_from(">HH", data, place))


def _with_color_space(data: bytes, metadata: Metadata) -> bytes:
    """Set the color space in an AVIF file that Pillow wrote as sRGB."""
    spaces = [payload for kind, payload in metadata.chunks if kind == b"cICP" and len(payload) == 4]
    place = data.find(_NCLX) + len(_NCLX)
    if not spaces or place < len(_NCLX):
        return data
    return data[:place] + struct.pack(">HH", *spaces[0][:2]) + data[place + 4 :]
