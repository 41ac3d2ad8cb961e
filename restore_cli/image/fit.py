"""Removes from a picture what a format cannot store, with a warning, before it is written."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import replace

from restore_cli.image.exif import exif_of_result, extended_xmp_of_result, xmp_of_result
from restore_cli.image.formats import HOLDS
from restore_cli.image.jpeg import MARKER_BYTES
from restore_cli.image.jxl import in_srgb
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.png_chunks import TEXT_CHUNKS, has_usual_gamma
from restore_cli.image.resolution import dpi_of_exif
from restore_cli.image.tiff_tags import tags_of_exif

_EXACT_ALPHA = 19  # the least quality at which a lossy JPEG XL keeps alpha exactly
_EXACT_DPI = 0.05  # PNG and BMP store dots per meter, so that 300 dpi are read as 299.9994


def fit(picture: Picture, format: str, quality: int = 95) -> tuple[Picture, tuple[str, ...]]:
    """Reduce depth and metadata to what the format can store at a quality, if it is lossy.

    Returns:
        The picture, and a warning for each loss. Transparency that will be flattened on encoding is
        among the losses.
    """
    holds, losses = HOLDS[format], []
    if picture.depth == 16 and "16 bits" not in holds:
        bits = 10 if "10 bits" in holds else 8
        losses.append(f"{format} stores {bits} bits per sample, so 16 bits were rounded to {bits}.")
        picture = replace(picture, depth=16 if bits > 8 else 8)
    if picture.alpha is not None and "alpha" not in holds:
        losses.append(f"{format} cannot store transparency, so it was flattened onto white.")
    varies = picture.alpha is not None and picture.alpha.min() < picture.alpha.max()
    how = "slightly" if format in ("AVIF", "HEIF") else ""
    if format == "JXL" and quality < _EXACT_ALPHA and not picture.lossless:
        how = f"below quality {_EXACT_ALPHA}"
    if varies and how:
        losses.append(f"{format} changes transparency {how}; PNG, TIFF and WEBP keep it exactly.")
    if format == "JXL" and (converted := in_srgb(picture)):
        losses.append("JXL is written without an ICC profile, so colors were converted to sRGB.")
        picture = converted
    if lost := _not_held(picture.metadata, holds):
        losses.append(
            f"{format} cannot store some metadata, which was left out: {', '.join(lost)}."
        )
    metadata = _of_result(picture)
    if format == "JPEG":
        metadata = _fit_jpeg(metadata, losses)
    elif format == "TIFF":
        metadata = _fit_tiff(metadata, losses)
    if metadata.icc and "ICC profile" in holds and _misfits(metadata.icc, picture, format):
        losses.append(
            "The ICC profile does not match the channels of the output, so it was left out."
        )
        metadata = replace(metadata, icc=None)
    return replace(picture, metadata=metadata), tuple(losses)


def _of_result(picture: Picture) -> Metadata:
    """Return the metadata with the size of the result, and without thumbnails of the original."""
    metadata, size = picture.metadata, (picture.height, picture.width)
    return replace(
        metadata,
        exif=exif_of_result(metadata.exif, *size) if metadata.exif else None,
        xmp=xmp_of_result(metadata.xmp, *size) if metadata.xmp else None,
        extended_xmp=extended_xmp_of_result(metadata.extended_xmp),
    )


def _not_held(metadata: Metadata, holds: Collection[str]) -> list[str]:
    """Return the names of the metadata that is present but cannot be stored."""
    in_exif = "EXIF" in holds and metadata.dpi == dpi_of_exif(metadata.exif)
    present = {
        "EXIF": metadata.exif,
        "ICC profile": metadata.icc,
        "XMP": metadata.xmp,
        "extended XMP": metadata.extended_xmp,
        "resolution": None if in_exif else metadata.dpi,
        "PNG text": [kind for kind, _ in metadata.chunks if kind in TEXT_CHUNKS],
        "PNG gamma": metadata.icc is None and not has_usual_gamma(metadata.chunks),
        "CICP color space": [kind for kind, _ in metadata.chunks if kind == b"cICP"],
        "IPTC": metadata.iptc,
        "Photoshop resources": metadata.photoshop,
        "comments": metadata.comments,
    }
    return [name for name, value in present.items() if value and name not in holds]


def _fit_jpeg(metadata: Metadata, losses: list[str]) -> Metadata:
    """Leave out what is too long for a JPEG segment, and a resolution beyond its 16 bits."""
    if metadata.exif and len(metadata.exif) > MARKER_BYTES:
        losses.append(_too_long("EXIF", metadata.exif))
        metadata = replace(metadata, exif=None)
    if metadata.xmp and len(metadata.xmp) > MARKER_BYTES:
        losses.append(_too_long("XMP", metadata.xmp))
        metadata = replace(metadata, xmp=None)
    if metadata.dpi:
        dpi = across, down = metadata.dpi
        in_exif = dpi == dpi_of_exif(metadata.exif)
        if not all(round(number) in range(1, 2**16) for number in dpi):
            if not in_exif:
                losses.append(
                    f"JPEG stores 1 to 65535 dpi, so {across:g} x {down:g} were left out."
                )
            metadata = replace(metadata, dpi=None)
        elif not in_exif and any(abs(number - round(number)) > _EXACT_DPI for number in dpi):
            losses.append(f"JPEG stores whole dpi, so {across:g} x {down:g} were rounded.")
    fits = [comment for comment in metadata.comments if len(comment) <= MARKER_BYTES]
    losses += [_too_long("a comment", one) for one in metadata.comments if one not in fits]
    return replace(metadata, comments=tuple(fits))


def _too_long(name: str, block: bytes) -> str:
    return f"JPEG stores at most {MARKER_BYTES} bytes of {name}, so {len(block)} were left out."


def _fit_tiff(metadata: Metadata, losses: list[str]) -> Metadata:
    """Leave out EXIF that cannot be written as tags."""
    if metadata.exif:
        try:
            tags_of_exif(metadata.exif).save(io.BytesIO())
        except Exception:  # Pillow raises various errors if a value does not have its tag's type
            losses.append(
                "The EXIF data has broken tags, which TIFF cannot store, so it was left out."
            )
            return replace(metadata, exif=None)
    return metadata


def _misfits(profile: bytes, picture: Picture, format: str) -> bool:
    """Return whether an ICC profile is invalid for the channels of the output.

    A gray profile is invalid for color, which WebP always stores, and AVIF and HEIC for gray with
    alpha. PNG also forbids a color profile for gray.
    """
    is_gray = profile[16:20] == b"GRAY"  # data color space, ICC.1:2022, 7.2.6
    in_color = ("WEBP",) if picture.alpha is None else ("WEBP", "AVIF", "HEIF")
    if picture.channels == 3 or format in in_color:
        return is_gray
    return format == "PNG" and not is_gray
