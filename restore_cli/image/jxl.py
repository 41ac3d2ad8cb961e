"""JPEG XL by pillow-jxl-plugin; a JPEG in it is decoded as that JPEG."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import numpy as np
from PIL import Image

from restore_cli.errors import PictureError
from restore_cli.image.bounds import Bounds
from restore_cli.image.exif import exif_of_srgb, kept_exif, upright_xmp
from restore_cli.image.formats import load_library
from restore_cli.image.isobmff import boxes
from restore_cli.image.jpeg import decode_jpeg
from restore_cli.image.jxl_header import CODESTREAM, CONTAINER, read_header
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.pillow import open_image
from restore_cli.image.raster import array_raster, assemble, quantized
from restore_cli.image.resolution import dpi_of_exif

# Profiles that libjxl makes for sRGB and its gray, by their creator and their name in UTF-16.
_SRGB = re.compile(rb"....jxl .*(sRGB|Gra_D65_(Per|Rel|Sat|Abs)_SRG)", re.DOTALL)
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_BANDS = {"L": 1, "I;16": 1, "LA": 2, "RGB": 3, "RGBA": 4}


def is_jxl(data: bytes) -> bool:
    """Return whether a file is JPEG XL."""
    return data.startswith((CODESTREAM, CONTAINER))


def jxl_size(data: bytes) -> tuple[int, int]:
    """Return height and width as stored, by the header."""
    header = read_header(data)
    return header.height, header.width


def decode_jxl(data: bytes, bounds: Bounds) -> Picture:
    """Decode a JPEG XL file; libjxl rotates it upright.

    Raises:
        PictureError: it exceeds the bounds, is animated or has float samples, or the library is
            not installed.
        Exception: it is damaged.
    """
    header = read_header(data)
    if header.animated:
        raise PictureError("animated JPEG XL is not supported. Convert it to an animated PNG.")
    if header.is_float:
        raise PictureError(
            f"{header.bits}-bit float samples are not supported. Save it with 8 or 16 unsigned bits"
            " per sample."
        )
    bounds.check(header.width, header.height, 4)
    decoder = load_library("JXL").Decoder(num_threads=-1)
    try:
        is_jpeg, info, pixels, icc, _ = decoder(data)
    except RuntimeError:  # its text is for developers
        raise ValueError("libjxl cannot decode it") from None
    notes: list[str] = []
    if any(kind == b"jhgm" for kind, _ in boxes(data)):
        notes.append("The HDR gain map was left out.")
    if is_jpeg:
        picture = decode_jpeg(pixels, open_image(pixels, bounds))
        return replace(picture, format="JXL", notes=(*picture.notes, *notes))
    if info.mode not in _BANDS:
        raise PictureError(
            f"the pixel format {info.mode} is not supported. Save it with 8 bits per sample."
        )
    bands = _BANDS[info.mode]
    # The mode says 8 bits for gray and alpha with 16.
    depth = 8 * len(pixels) // (info.height * info.width * bands)
    samples = np.frombuffer(pixels, f"uint{depth}").reshape(info.height, info.width, bands)
    if header.bits > depth:
        notes.append(f"The {header.bits}-bit JPEG XL was read with {depth} bits per sample.")
    metadata = _metadata(data, notes)
    if icc and not _SRGB.match(icc[:4] + icc[4:].replace(b"\0", b"")):
        metadata = replace(metadata, icc=icc)
    picture = assemble(array_raster(samples, 2**depth - 1), 1, metadata, "JXL", notes)
    return replace(picture, lossless=header.lossless)


def encode_jxl(picture: Picture, quality: int) -> bytes:
    """Encode as JPEG XL with 8 bits per sample: lossless if the picture is, else by quality."""
    metadata = picture.metadata
    samples = np.concatenate(list(quantized(picture)))
    encoder = load_library("JXL").Encoder(
        mode=_MODES[samples.shape[2]],
        lossless=picture.lossless,
        quality=100 if picture.lossless else quality,
        use_container=True,
        use_original_profile=picture.lossless,
        num_threads=-1,
    )
    encoded: bytes = encoder(
        samples.tobytes(),
        picture.width,
        picture.height,
        jpeg_encode=False,
        # Four bytes say where the TIFF header of EXIF starts (ISO/IEC 18181-2, 9.4).
        exif=bytes(4) + metadata.exif if metadata.exif else None,
        xmp=metadata.xmp,
        jumb=None,
        compress=False,
    )
    return encoded


def in_srgb(picture: Picture) -> Picture | None:
    """Convert from the color space of the profile to sRGB, and leave out the profile.

    Returns:
        The picture with 8 bits per sample; None if it has no profile, or one that cannot be used.
    """
    metadata = picture.metadata
    if not metadata.icc:
        return None
    from PIL import ImageCms

    mode = "L" if picture.channels == 1 else "RGB"
    target = ImageCms.createProfile("sRGB")
    try:
        transform = ImageCms.buildTransform(io.BytesIO(metadata.icc), target, mode, "RGB")
    except (ImageCms.PyCMSError, OSError):
        return None
    blocks = [
        np.asarray(
            ImageCms.applyTransform(
                Image.fromarray(block.squeeze(2) if mode == "L" else block), transform
            )
        )[..., : picture.channels]
        for block in quantized(replace(picture, alpha=None, depth=8))
    ]
    pixels = np.concatenate(blocks).astype(np.float32) / np.float32(255)
    exif = exif_of_srgb(metadata.exif) if metadata.exif else None
    metadata = replace(metadata, icc=None, exif=exif)
    return replace(picture, pixels=pixels, depth=8, metadata=metadata)


def _metadata(data: bytes, notes: list[str]) -> Metadata:
    found = dict(reversed(list(boxes(data)))) if data.startswith(CONTAINER) else {}
    if b"brob" in found:
        notes.append("Compressed metadata was left out.")
    exif_box = found.get(b"Exif", b"")
    start = 4 + int.from_bytes(exif_box[:4], "big")
    exif, held = kept_exif(exif_box if exif_box[:2] in (b"II", b"MM") else exif_box[start:], notes)
    xmp = found.get(b"xml ")
    xmp = upright_xmp(xmp, held, notes) if xmp else None
    return Metadata(exif=exif, xmp=xmp, dpi=dpi_of_exif(exif))
