"""Writing or encoding a photo in any format."""

from __future__ import annotations

import errno
from pathlib import Path

from restore_cli import storage
from restore_cli.atomic import write_whole
from restore_cli.errors import EncodingError, PictureError, UsageError
from restore_cli.image.avif import encode_avif
from restore_cli.image.bmp import encode_bmp
from restore_cli.image.fit import fit
from restore_cli.image.formats import format_of, suffix_of
from restore_cli.image.heif import encode_heif
from restore_cli.image.jpeg import encode_jpeg
from restore_cli.image.jxl import encode_jxl
from restore_cli.image.picture import Picture
from restore_cli.image.png_write import encode_png
from restore_cli.image.pnm import encode_pnm
from restore_cli.image.tiff_write import encode_tiff
from restore_cli.image.webp import encode_webp

_EXACT = {"PNG": encode_png, "TIFF": encode_tiff, "BMP": encode_bmp, "PPM": encode_pnm}
_BY_QUALITY = {"JPEG": encode_jpeg, "WEBP": encode_webp, "AVIF": encode_avif}
_BY_QUALITY |= {"HEIF": encode_heif, "JXL": encode_jxl}
_LONGEST = {"JPEG": 65500, "WEBP": 16383}  # sides in pixels


def write_picture(
    picture: Picture, target: Path | str, *, jpeg_quality: int = 95
) -> tuple[str, ...]:
    """Write a photo in the format of the target's suffix; return a warning for each loss.

    The file is written completely or not at all. If writing fails, an existing target is unchanged.

    Args:
        picture: what to write.
        target: the path or the URL.
        jpeg_quality: of lossy formats, 1 to 100.

    Raises:
        PictureError: the suffix is unknown, or the file cannot be encoded or written.
        UsageError: the quality is not valid.
    """
    data, losses = encode_picture(picture, format_of(target), jpeg_quality=jpeg_quality)
    write_encoded(data, target)
    return losses


def write_encoded(data: bytes, target: Path | str) -> None:
    """Write the result of `encode_picture` to a path or URL, completely or not at all.

    Raises:
        PictureError: the file cannot be written.
    """
    try:
        path = storage.local_path(target)
        if path is None:
            storage.write(str(target), data)
        else:
            if not isinstance(target, Path) and storage.is_url(target):
                path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, data)
    except storage.StorageError as error:
        raise PictureError(str(error)) from error
    except OSError as error:
        reason = {
            FileNotFoundError: "its folder does not exist. Create it first.",
            NotADirectoryError: "its folder does not exist. Create it first.",
            IsADirectoryError: "it is a folder. Give a file in it.",
            PermissionError: "permission denied. Choose another folder.",
        }.get(type(error), f"{error.strerror}. Free some space, or choose another disk.")
        if error.errno == errno.ENAMETOOLONG:
            reason = "its name is too long. Choose a shorter one."
        if error.errno == errno.EROFS:
            reason = f"{error.strerror}. Choose another folder."
        raise PictureError(f"Cannot write {target}: {reason}") from error


def check_size(format: str, height: int, width: int) -> None:
    """Raise PictureError if the sides, in pixels, are too long for the format."""
    longest = _LONGEST.get(format)
    if longest and max(height, width) > longest:
        raise EncodingError(
            f"Cannot encode {width} x {height} pixels as {format}: its sides have at most {longest}"
            " pixels. Choose PNG or TIFF."
        )


def encode_picture(
    picture: Picture, format: str, *, jpeg_quality: int = 95
) -> tuple[bytes, tuple[str, ...]]:
    """Encode a photo; return the bytes of the file, and a warning for each loss.

    PNG, TIFF, BMP and PPM keep the samples exactly, as do WebP and JXL if the picture is
    `lossless`. JPEG (4:4:4), HEIF (4:2:0), AVIF, and other WebP and JXL are lossy; `jpeg_quality`,
    1 to 100, is the quality of all of them.

    Raises:
        PictureError: the format is unknown, or cannot store a photo of this size.
        UsageError: the quality is not valid.
    """
    suffix_of(format)  # raises for an unknown format
    if not 1 <= jpeg_quality <= 100:
        raise UsageError(f"{jpeg_quality} is not a valid quality; expected a number from 1 to 100.")
    picture, losses = fit(picture, format, jpeg_quality)
    try:
        if format in _EXACT:
            return _EXACT[format](picture), losses
        return _BY_QUALITY[format](picture, jpeg_quality), losses
    except PictureError as error:  # the library is not installed
        raise EncodingError(f"Cannot encode {format}: {error}") from None
    except MemoryError as error:
        raise EncodingError(
            f"Cannot encode {format}: out of memory. Restore a smaller photo."
        ) from error
    except Exception as error:  # Pillow raises ValueError, OSError and others, such as for the size
        size, reason = f"{picture.width} x {picture.height}", str(error).rstrip(".")
        raise EncodingError(
            f"Cannot encode {size} pixels as {format}: {reason}. Choose PNG or TIFF."
        ) from error
