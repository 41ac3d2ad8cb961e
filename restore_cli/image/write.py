"""Writing a picture to a file, or encoding it, in any format."""

from __future__ import annotations

import errno
from pathlib import Path

from restore_cli.atomic import write_whole
from restore_cli.errors import PictureError
from restore_cli.image.avif import encode_avif
from restore_cli.image.bmp import encode_bmp
from restore_cli.image.fit import fit
from restore_cli.image.formats import format_of, suffix_of
from restore_cli.image.jpeg import encode_jpeg
from restore_cli.image.picture import Picture
from restore_cli.image.png_write import encode_png
from restore_cli.image.pnm import encode_pnm
from restore_cli.image.tiff_write import encode_tiff
from restore_cli.image.webp import encode_webp

_EXACT = {"PNG": encode_png, "TIFF": encode_tiff, "BMP": encode_bmp, "PPM": encode_pnm}
_BY_QUALITY = {"JPEG": encode_jpeg, "WEBP": encode_webp, "AVIF": encode_avif}


def write_picture(
    picture: Picture, target: Path | str, *, jpeg_quality: int = 95
) -> tuple[str, ...]:
    """Write a picture in the format of the target's suffix; return what the format could not hold.

    The file appears whole or not at all; raises PictureError if that fails, and an older target
    stays.
    """
    target = Path(target)
    data, losses = encode_picture(picture, format_of(target), jpeg_quality=jpeg_quality)
    write_encoded(data, target)
    return losses


def write_encoded(data: bytes, target: Path) -> None:
    """Write what `encode_picture` gave, as `write_picture` does."""
    try:
        write_whole(target, data)
    except OSError as error:
        reason = {
            FileNotFoundError: "its folder does not exist, create it first",
            NotADirectoryError: "its folder does not exist, create it first",
            IsADirectoryError: "it is a folder, name a file in it",
            PermissionError: "permission denied, choose another folder",
        }.get(type(error), f"{error.strerror}, make room or choose another disk")
        if error.errno == errno.ENAMETOOLONG:
            reason = "its name is too long, give a shorter one"
        raise PictureError(f"cannot write {target}: {reason}") from error


def encode_picture(
    picture: Picture, format: str, *, jpeg_quality: int = 95
) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes of a file of the format and one sentence for each thing it could not hold.

    PNG, TIFF, BMP and PPM keep the samples exactly, and so does WebP where the picture is
    `lossless`. JPEG (4:4:4), other WebP and AVIF are lossy; `jpeg_quality`, 1 to 100, is the
    quality of all three. Raises PictureError if the format is unknown or too narrow.
    """
    suffix_of(format)  # an unknown format ends here
    picture, losses = fit(picture, format)
    try:
        if format in _EXACT:
            return _EXACT[format](picture), losses
        return _BY_QUALITY[format](picture, jpeg_quality), losses
    except MemoryError as error:
        raise PictureError(
            f"cannot encode {format}: out of memory, restore a smaller picture"
        ) from error
    except (
        Exception
    ) as error:  # Pillow raises ValueError, OSError and others for what a format cannot take
        size = f"{picture.width} x {picture.height}"
        raise PictureError(
            f"cannot encode {size} pixels as {format}, choose PNG or TIFF ({error})"
        ) from error
