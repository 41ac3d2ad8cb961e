"""Reading a picture from a file or its bytes, in any format; whatever goes wrong becomes a
PictureError.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from restore_cli.errors import PictureError
from restore_cli.image.avif import decode_avif
from restore_cli.image.bmp import decode_bmp
from restore_cli.image.bounds import Bounds, largest_file
from restore_cli.image.exif import TIFF_HEADERS
from restore_cli.image.formats import FORMATS
from restore_cli.image.jpeg import decode_jpeg, sample_bits
from restore_cli.image.picture import Picture
from restore_cli.image.pillow import open_image, unlimited
from restore_cli.image.pillow_read import decode_image
from restore_cli.image.png_chunks import PNG_SIGNATURE
from restore_cli.image.png_read import decode_png
from restore_cli.image.pnm import decode_pnm
from restore_cli.image.tiff_read import decode_tiff
from restore_cli.image.webp import decode_webp

# How files of the formats begin: PNG, JPEG, TIFF, BMP, PNM, WebP, and what is built like AVIF.
_BEGINNINGS = re.compile(
    rb"\x89PNG|\xff\xd8\xff|II|MM|BM|P[0-9Ffy]|RIFF....WEBP|....ftyp", re.DOTALL
)

# By the names that Pillow gives to what it opens; the first image of an MPO is a JPEG.
_DECODERS: dict[str, Callable[[bytes, Image.Image], Picture]] = {
    "JPEG": decode_jpeg,
    "MPO": decode_jpeg,
    "WEBP": decode_webp,
    "BMP": decode_bmp,
    "PPM": decode_pnm,
    "AVIF": decode_avif,
}


def read_picture(
    source: Path | str | bytes, name: str | None = None, *, max_pixels: int | None = None
) -> Picture:
    """Read an image file, or its bytes, the right way up; `name` is what errors call those.

    Raises PictureError, one sentence with the file's name, for whatever cannot be read in full: no
    such file, no image, damaged or cut short, more than `max_pixels`, by default MAX_PIXELS and
    less of a small file, or more than fits into the free memory, float or 32-bit samples.
    """
    data = source if isinstance(source, bytes) else read_file(Path(source), max_pixels)
    with _named_errors(name or ("standard input" if isinstance(source, bytes) else str(source))):
        return _decode(data, Bounds(len(data), max_pixels))


def read_file(source: Path | BinaryIO, max_pixels: int | None = None) -> bytes:
    """Read the bytes of a picture from a file, a pipe or a stream, such as standard input.

    Raises PictureError, one sentence with its name, for what cannot be read, begins like no
    picture, or goes on beyond what a picture of `max_pixels`, by default MAX_PIXELS, or half of the
    free memory can hold.
    """
    with _named_errors(str(source) if isinstance(source, Path) else "standard input"):
        if not isinstance(source, Path):
            return _read_all(source, max_pixels)
        with source.open("rb") as stream:
            return _read_all(stream, max_pixels)


def _read_all(stream: BinaryIO, max_pixels: int | None) -> bytes:
    most = largest_file(max_pixels)
    whole = io.BytesIO()
    block = stream.read(16)
    if block and not _BEGINNINGS.match(block):
        raise UnidentifiedImageError
    while block:
        whole.write(block)
        if whole.tell() > most:
            raise PictureError(f"it does not end after {most / 1e9:.1f} GB, check what it contains")
        block = stream.read(2**20)
    return whole.getvalue()


def read_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file as stored, from its header where Pillow understands it.

    Raises:
        PictureError: as `read_picture`.
    """
    try:
        with unlimited(), Image.open(path, formats=tuple(FORMATS)) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError):  # such as 16-bit color in TIFF
        picture = read_picture(path)
        return picture.height, picture.width


def _decode(data: bytes, bounds: Bounds) -> Picture:
    if not data:
        raise PictureError("it is empty, get a fresh copy")
    if data[:4] in (b"II+\0", b"MM\0+"):
        raise PictureError("it is a BigTIFF, save it as a plain TIFF")
    if data[:4] in TIFF_HEADERS:
        return decode_tiff(data, bounds)
    if data.startswith(PNG_SIGNATURE):
        return decode_png(data, bounds)
    try:
        image = open_image(data, bounds)
    except UnidentifiedImageError:
        if (bits := sample_bits(data)) == 8:
            raise
        raise PictureError(f"it is a JPEG of {bits} bits a sample, save it with 8") from None
    decode = _DECODERS.get(str(image.format))
    return decode(data, image) if decode else decode_image(image)


@contextlib.contextmanager
def _named_errors(name: str) -> Iterator[None]:
    """Raise whatever goes wrong as PictureError, one sentence with the file's name."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PictureError(f"cannot read {name}: there is no such file, check its path") from error
    except IsADirectoryError as error:
        raise PictureError(f"cannot read {name}: it is a folder, name a file in it") from error
    except PermissionError as error:
        raise PictureError(
            f"cannot read {name}: permission denied, make it readable first"
        ) from error
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        raise PictureError(
            f"cannot read {name}: it is none of {kinds}, check what it contains"
        ) from error
    except MemoryError as error:
        raise PictureError(
            f"cannot read {name}: it does not fit into memory, split or shrink it"
        ) from error
    except PictureError as error:
        raise PictureError(f"cannot read {name}: {error}") from None
    except (
        Exception
    ) as error:  # decoders fed damaged bytes raise anything, IndexError and struct.error too
        if isinstance(error, OSError) and error.strerror:  # none has that of a decoder
            raise PictureError(
                f"cannot read {name}: {error.strerror}, check its disk or pipe"
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PictureError(
            f"cannot read {name}: it is damaged, get a fresh copy ({reason})"
        ) from error
