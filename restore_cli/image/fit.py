"""What a format cannot hold is taken out of a picture before it is written, and named."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import replace

from restore_cli.image.formats import HOLDS
from restore_cli.image.jpeg import MARKER_BYTES
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.png_chunks import TEXT_CHUNKS
from restore_cli.image.resolution import dpi_of_exif
from restore_cli.image.tiff_tags import tags_of_exif


def fit(picture: Picture, format: str) -> tuple[Picture, tuple[str, ...]]:
    """Cut depth and metadata down to what the format holds, and say what is lost, flattened alpha
    too.
    """
    holds, losses = HOLDS[format], []
    if picture.depth == 16 and "16 bits" not in holds:
        losses.append(f"{format} holds 8 bits a sample: rounded from 16")
        picture = replace(picture, depth=8)
    if picture.alpha is not None and "alpha" not in holds:
        losses.append(f"{format} holds no alpha: flattened onto white")
    if format == "AVIF" and picture.alpha is not None and picture.alpha.min() < picture.alpha.max():
        losses.append("AVIF alters alpha, too, by a little: PNG, TIFF and WEBP do not")
    if lost := _not_held(picture.metadata, holds):
        losses.append(f"{format} holds no {', '.join(lost)}: left out")
    metadata = picture.metadata
    if format == "JPEG":
        metadata = _fit_jpeg(metadata, losses)
    elif format == "TIFF":
        metadata = _fit_tiff(metadata, losses)
    if metadata.icc and "ICC profile" in holds and _misfits(metadata.icc, picture.channels, format):
        losses.append("the ICC profile does not fit the channels written: left out")
        metadata = replace(metadata, icc=None)
    return replace(picture, metadata=metadata), tuple(losses)


def _not_held(metadata: Metadata, holds: Collection[str]) -> list[str]:
    """Return the names of what is there and not held."""
    dpi = (
        metadata.dpi if "EXIF" not in holds or metadata.dpi != dpi_of_exif(metadata.exif) else None
    )
    present = {
        "EXIF": metadata.exif,
        "ICC profile": metadata.icc,
        "XMP": metadata.xmp,
        "resolution": dpi,
        "PNG text": [kind for kind, _ in metadata.chunks if kind in TEXT_CHUNKS],
        "CICP color space": [kind for kind, _ in metadata.chunks if kind == b"cICP"],
        "IPTC": metadata.iptc,
        "Photoshop resources": metadata.photoshop,
        "comments": metadata.comments,
    }
    return [name for name, value in present.items() if value and name not in holds]


def _fit_jpeg(metadata: Metadata, losses: list[str]) -> Metadata:
    """Leave out what is too long for a segment."""
    if metadata.exif and len(metadata.exif) > MARKER_BYTES:
        losses.append(f"JPEG holds {MARKER_BYTES} bytes of EXIF: {len(metadata.exif)} left out")
        metadata = replace(metadata, exif=None)
    if metadata.xmp and len(metadata.xmp) > MARKER_BYTES:
        losses.append(f"JPEG holds {MARKER_BYTES} bytes of XMP: {len(metadata.xmp)} left out")
        metadata = replace(metadata, xmp=None)
    return metadata


def _fit_tiff(metadata: Metadata, losses: list[str]) -> Metadata:
    """Leave out EXIF that cannot be written as tags."""
    if metadata.exif:
        try:
            tags_of_exif(metadata.exif).save(io.BytesIO())
        except Exception:  # Pillow raises anything where a value is not of its tag's type
            losses.append("the EXIF has broken tags, which TIFF cannot hold: left out")
            return replace(metadata, exif=None)
    return metadata


def _misfits(profile: bytes, channels: int, format: str) -> bool:
    """Gray profiles are wrong for color, which WebP and AVIF always are; PNG forbids the reverse
    too.
    """
    is_gray = profile[16:20] == b"GRAY"  # data color space, ICC.1:2022, 7.2.6
    if channels == 3 or format in ("WEBP", "AVIF"):
        return is_gray
    return format == "PNG" and not is_gray
