"""Measures a written photo against its reference."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np

from restore_cli.errors import PictureError
from restore_cli.image import HOLDS, LOSSY, Picture, Pixels, luma, read_picture, to_gray, to_rgb
from restore_cli.metrics import SSIM_WINDOW, psnr, ssim
from restore_cli.report.record import Record

_SRGB = ("sRGB", "c2", "uRGB")  # names of its profiles, also of tiny ones


def as_written(picture: Picture, data: bytes, format: str) -> Picture:
    """The picture as it reads back from its file `data`, rounded to its bit depth."""
    flattened = picture.alpha is not None and "alpha" not in HOLDS[format]
    reduced = picture.depth == 16 and "16 bits" not in HOLDS[format]
    if format in LOSSY or flattened or reduced:
        pixels = read_picture(data, max_pixels=picture.width * picture.height).pixels
        if picture.channels == 1:  # WebP stores gray as RGB
            pixels = to_gray(pixels)
        picture = replace(picture, pixels=pixels)
    if "ICC profile" not in HOLDS[format]:
        picture = replace(picture, metadata=replace(picture.metadata, icc=None))
    peak = np.float32(2**picture.depth - 1)
    rounded = np.asarray(np.rint(picture.pixels * peak) / peak, np.float32)
    return replace(picture, pixels=rounded)


def measure(
    record: Record, observed: Pixels, written: Picture, reference: Path, max_pixels: int | None
) -> tuple[Record, Picture | None]:
    """Add PSNR and SSIM of the written picture to the record, or a warning if that fails.

    Args:
        record: the record of the picture.
        observed: the photo before, H x W x C.
        written: the photo after, of the same shape, as `as_written` returns it.
        reference: path of the reference.
        max_pixels: see `read_picture`.

    Returns:
        The record; and the reference, gray or RGB like the picture, or None if that failed.
    """
    try:
        found = read_picture(reference, max_pixels=max_pixels)
    except PictureError as error:
        return replace(
            record, warnings=(*record.warnings, f"Not compared with the reference: {error}")
        ), None
    clean, result = found.pixels, written.pixels
    if clean.shape[:2] != observed.shape[:2]:
        sizes = [f"{image.shape[1]} x {image.shape[0]}" for image in (clean, observed)]
        warning = (
            f"Not compared with the reference {reference}: it has {sizes[0]} pixels, but the result"
            f" has {sizes[1]}."
        )
        return replace(record, warnings=(*record.warnings, warning)), None
    clean = to_gray(clean) if observed.shape[2] == 1 else to_rgb(clean)
    if _name_colors(found) != _name_colors(written):
        warning = (
            f"The reference {reference} has other colors ({_name_colors(found)}) than the result"
            f" ({_name_colors(written)}), so PSNR and SSIM include the difference."
        )
        record = replace(record, warnings=(*record.warnings, warning))
    record = replace(record, psnr=psnr(result, clean), input_psnr=psnr(observed, clean))
    large = min(clean.shape[:2]) >= SSIM_WINDOW
    if large:
        record = replace(record, ssim=ssim(result, clean))
    if clean.shape[2] == 3:
        y, clean_y = luma(result)[..., None], luma(clean)[..., None]
        record = replace(
            record, psnr_y=psnr(y, clean_y), ssim_y=ssim(y, clean_y) if large else None
        )
    return record, replace(found, pixels=clean)


def name_profile(icc: bytes | None) -> str | None:
    """The name of an ICC profile."""
    from PIL import ImageCms

    if not icc:
        return None
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        return ImageCms.getProfileDescription(profile).strip() or "without a name"
    except (ImageCms.PyCMSError, OSError):
        return "damaged"


def _name_colors(picture: Picture) -> str:
    """The name of the color space, by the profile; photos without one are sRGB."""
    name = name_profile(picture.metadata.icc) or "sRGB"
    return "sRGB" if name.startswith(_SRGB) else name
