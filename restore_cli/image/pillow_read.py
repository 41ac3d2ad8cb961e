"""Pictures from images that Pillow decodes, with up to 8 bits per sample."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from PIL import Image

from restore_cli.errors import PictureError
from restore_cli.image.arrays import Samples
from restore_cli.image.exif import kept_exif
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.raster import Raster, assemble
from restore_cli.image.resolution import dpi_of, dpi_of_exif


def decode_image(image: Image.Image) -> Picture:
    """Decode an image whose format needs nothing beyond what Pillow says of it."""
    notes = frame_notes(image)
    raster = pillow_raster(image, notes)
    metadata, orientation = metadata_of(image, notes)
    return assemble(raster, orientation, metadata, str(image.format), notes, is_rgb_or_gray(image))


def frame_notes(image: Image.Image) -> list[str]:
    """Return a list with a note that frames are left out, if there are several."""
    frames = getattr(image, "n_frames", 1)
    return [f"only the first of {frames} frames is read"] if frames > 1 else []


def metadata_of(image: Image.Image, notes: list[str]) -> tuple[Metadata, int]:
    """Return what Pillow finds besides the pixels, and the orientation that they are stored in."""
    exif, orientation = kept_exif(image.info.get("exif", b""), notes)
    metadata = Metadata(
        exif=exif,
        icc=image.info.get("icc_profile") or None,
        xmp=image.info.get("xmp") or None,
        dpi=dpi_of(image.info.get("dpi")) or dpi_of_exif(exif),
    )
    return metadata, orientation


def is_rgb_or_gray(image: Image.Image) -> bool:
    """Say whether the profile of an image is also that of the picture, which is RGB or gray."""
    return image.mode not in ("CMYK", "LAB")


def pillow_raster(image: Image.Image, notes: list[str]) -> Raster:
    """Plan the conversion of a Pillow image with up to 8 bits a sample; notes a change of
    colors.
    """
    alpha = image.has_transparency_data
    if image.mode in ("1", "L", "LA", "La"):
        mode = "LA" if alpha else "L"
    elif image.mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "CMYK", "LAB"):
        mode = "RGBA" if alpha else "RGB"
    else:
        raise PictureError(
            f"its samples are of the kind {image.mode}, save it with 8 or 16 bits a sample"
        )

    managed = None
    if not is_rgb_or_gray(image):
        managed = _to_srgb(image)
        notes.append(
            f"{image.mode} converted to {'sRGB' if managed else 'RGB without an ICC profile'}"
        )
    image.load()

    def rows(top: int, bottom: int) -> Samples:
        block = image.crop((0, top, image.width, bottom))
        block = managed(block) if managed else block.convert(mode)
        return np.asarray(block, np.uint8).reshape(bottom - top, image.width, -1)

    return Raster(image.height, image.width, len(mode), 8, rows)


def _to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """Return the conversion by the image's own profile, or LAB's definition; None where neither
    serves.
    """
    from PIL import ImageCms

    source: Any
    if image.mode == "LAB":
        source = ImageCms.createProfile("LAB")
    elif image.mode == "CMYK" and image.info.get("icc_profile"):
        source = io.BytesIO(image.info["icc_profile"])
    else:
        return None
    try:
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, image.mode, "RGB")
    except (ImageCms.PyCMSError, OSError):  # a broken profile is no reason to refuse the picture
        return None
    return lambda block: cast(Image.Image, ImageCms.applyTransform(block, transform))
