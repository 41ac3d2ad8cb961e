"""HEIC by pillow-heif: 8, 10 or 12 bits per sample are read, and 8 or 10 written."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np

from restore_cli.image.bounds import Bounds
from restore_cli.image.exif import kept_exif, upright_xmp
from restore_cli.image.formats import load_library
from restore_cli.image.isobmff import boxes, brands
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.png_chunks import color_space_chunks
from restore_cli.image.raster import array_raster, assemble, quantized, unmultiplied
from restore_cli.image.resolution import dpi_of_exif

_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
# Programs for Macs show 4:4:4 wrongly at some sizes (github.com/strukturag/libheif/issues/661), and
# the files of cameras are 4:2:0.
_CHROMA = "420"


def is_heif(data: bytes) -> bool:
    """Return whether a file is HEIF with HEVC, which is what cameras call HEIC."""
    return bool(_BRANDS & brands(data))


def heif_size(data: bytes) -> tuple[int, int]:
    """Return height and width without decoding."""
    width, height = _open(data).size
    return height, width


def decode_heif(data: bytes, bounds: Bounds) -> Picture:
    """Decode the main image of a HEIF file; libheif rotates it upright.

    Raises:
        PictureError: it exceeds the bounds, or the library is not installed.
        Exception: it is damaged; libheif raises various errors then.
    """
    file = _open(data)
    width, height = file.size
    bounds.check(width, height, 4)
    info, notes = file.info, []
    if len(file) > 1:
        notes.append(f"Only the main one of {len(file)} images was read.")
    if info.get("aux") or info.get("depth_images"):
        notes.append("Additional images, such as an HDR gain map or depth map, were left out.")
    if any(kind == b"mpvd" for kind, _ in boxes(data)):
        notes.append("The video of a motion photo was left out.")
    mode, peak = file.mode, 2 ** int(info["bit_depth"]) - 1
    samples = np.asarray(file).reshape(height, width, -1)
    if mode.partition(";")[0].endswith("a"):
        samples = unmultiplied(samples, peak)
    # The orientation in EXIF and XMP only describes how the camera was held (MIAF, 7.3.6.7).
    exif, held = kept_exif(info.get("exif") or b"", notes)
    xmp = info.get("xmp")
    metadata = Metadata(
        exif=exif,
        icc=info.get("icc_profile") or None,
        xmp=upright_xmp(xmp, held, notes) if xmp else None,
        dpi=dpi_of_exif(exif),
    )
    if not metadata.icc and (nclx := info.get("nclx_profile")):
        chunks = color_space_chunks(nclx["color_primaries"], nclx["transfer_characteristics"])
        metadata = replace(metadata, chunks=chunks)
    return assemble(array_raster(samples, peak), 1, metadata, "HEIF", notes)


def encode_heif(picture: Picture, quality: int) -> bytes:
    """Encode as HEIC with 8 bits per sample, or with 10 if the picture has 16."""
    mode = ("L" if picture.channels == 1 else "RGB") + ("A" if picture.alpha is not None else "")
    samples = np.concatenate(list(quantized(picture)))
    if picture.depth == 16:
        mode, samples = f"{mode};10", np.rint(samples * (1023 / 65535)).astype(np.uint16)
    size = picture.width, picture.height
    file = load_library("HEIF").from_bytes(mode, size, samples.tobytes())
    metadata, buffer = picture.metadata, io.BytesIO()
    options: dict[str, Any] = {"quality": quality, "chroma": _CHROMA}
    if metadata.exif:
        options["exif"] = metadata.exif
    if metadata.xmp:
        options["xmp"] = metadata.xmp
    if metadata.icc:
        options["icc_profile"] = metadata.icc
    for kind, payload in metadata.chunks:
        if kind == b"cICP" and len(payload) == 4:
            options |= {"color_primaries": payload[0], "transfer_characteristics": payload[1]}
    file.save(buffer, **options)
    return buffer.getvalue()


def _open(data: bytes) -> Any:
    library = load_library("HEIF")
    return library.open_heif(data, convert_hdr_to_8bit=False, hdr_to_16bit=False)
