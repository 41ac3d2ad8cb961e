"""Reading images that Pillow decodes, with up to 8 bits per sample."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, cast

import numpy as np
from PIL import Image

from restore_cli.errors import PictureError
from restore_cli.image.arrays import Samples
from restore_cli.image.exif import kept_exif
from restore_cli.image.formats import PAGED
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.raster import Raster, assemble
from restore_cli.image.resolution import dpi_of, dpi_of_exif

PAGES_HINT = "; --pages all restores all of them"
FIRST_FRAME = "Only the first"  # starts the note about left out frames
CREDENTIALS_NOTE = "Content credentials, which are signed for the original photo, were left out."


def decode_image(image: Image.Image) -> Picture:
    """Decode an image with pixels and metadata as Pillow reads them."""
    notes = frame_notes(image)
    raster = pillow_raster(image, notes)
    metadata, orientation = metadata_of(image, notes)
    return assemble(raster, orientation, metadata, str(image.format), notes, is_rgb_or_gray(image))


def frame_notes(image: Image.Image) -> list[str]:
    """Return a list with a note about left out frames if there are several, else an empty list."""
    return first_frame_notes(getattr(image, "n_frames", 1), str(image.format))


def first_frame_notes(frames: int, format: str) -> list[str]:
    """Return a list with a note if there are several frames, else an empty list."""
    hint = PAGES_HINT if format in PAGED else ""
    return [f"{FIRST_FRAME} of {frames} frames was read{hint}."] if frames > 1 else []


def metadata_of(image: Image.Image, notes: list[str]) -> tuple[Metadata, int]:
    """Return the metadata that Pillow finds, and the orientation of the stored pixels."""
    exif, orientation = kept_exif(image.info.get("exif", b""), notes)
    profile = image.info.get("icc_profile", b"")
    if profile is None:
        notes.append("A broken ICC profile was left out.")
    metadata = Metadata(
        exif=exif,
        icc=profile or None,
        xmp=image.info.get("xmp") or None,
        dpi=dpi_of(image.info.get("dpi")) or dpi_of_exif(exif),
    )
    return metadata, orientation


def is_rgb_or_gray(image: Image.Image) -> bool:
    """Return whether the image is already RGB or gray, so that its ICC profile stays valid."""
    return image.mode not in ("CMYK", "LAB")


def pillow_raster(image: Image.Image, notes: list[str]) -> Raster:
    """Prepare the conversion of an image with up to 8 bits per sample.

    Args:
        image: opened by Pillow.
        notes: get a sentence if the color space changes.

    Raises:
        PictureError: the pixel format is not supported.
    """
    alpha = image.has_transparency_data
    if image.mode in ("1", "L", "LA", "La"):
        mode = "LA" if alpha else "L"
    elif image.mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "CMYK", "LAB"):
        mode = "RGBA" if alpha else "RGB"
    else:
        raise PictureError(
            f"the pixel format {image.mode} is not supported. Save it with 8 or 16 bits per sample."
        )

    managed = None
    if not is_rgb_or_gray(image):
        managed = _to_srgb(image)
        result = "sRGB" if managed else "RGB without an ICC profile"
        notes.append(f"{image.mode} was converted to {result}.")
    image.load()

    def rows(top: int, bottom: int) -> Samples:
        block = image.crop((0, top, image.width, bottom))
        block = managed(block) if managed else block.convert(mode)
        return np.asarray(block, np.uint8).reshape(bottom - top, image.width, -1)

    return Raster(image.height, image.width, len(mode), 8, rows, image.close)


def _to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """Return the conversion from LAB, or from CMYK by its profile; None if there is neither."""
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
    except (ImageCms.PyCMSError, OSError):  # a photo is read even if its profile is broken
        return None
    return lambda block: cast(Image.Image, ImageCms.applyTransform(block, transform))
