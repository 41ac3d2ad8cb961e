"""Reading a photo in any format from a file, a stream or bytes.

Everything that goes wrong raises PictureError: "Cannot read FILE: REASON. HINT."
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image, UnidentifiedImageError

from restore_cli import storage
from restore_cli.errors import PictureError
from restore_cli.image.avif import decode_avif
from restore_cli.image.bmp import decode_bmp
from restore_cli.image.bounds import Bounds, largest_file
from restore_cli.image.exif import TIFF_HEADERS
from restore_cli.image.formats import FORMATS, PILLOW_FORMATS, READ_ONLY, is_pillow_name
from restore_cli.image.gif import decode_gif
from restore_cli.image.heif import decode_heif, heif_size, is_heif
from restore_cli.image.jpeg import decode_jpeg, sample_bits
from restore_cli.image.jxl import decode_jxl, is_jxl, jxl_size
from restore_cli.image.picture import Picture
from restore_cli.image.pillow import open_image, unlimited
from restore_cli.image.pillow_read import decode_image
from restore_cli.image.png_chunks import PNG_SIGNATURE
from restore_cli.image.png_read import decode_png
from restore_cli.image.pnm import decode_pnm
from restore_cli.image.raw import decode_raw, is_raw, raw_size
from restore_cli.image.tiff_read import decode_tiff
from restore_cli.image.webp import decode_webp

# The first bytes of PNG, JPEG, TIFF, BMP, PNM, WebP, containers such as AVIF, GIF, JPEG XL, and
# RAW photos (others begin like a TIFF).
_BEGINNINGS = re.compile(
    rb"\x89PNG|\xff\xd8\xff|II|MM|BM|P[0-9Ffy]|RIFF....WEBP|....ftyp|GIF8|\xff\x0a|\0\0\0\x0cJXL "
    rb"|FUJIFILM|\0MRM|FOVb",
    re.DOTALL,
)

# By Pillow's names of the formats; the first image of an MPO is a JPEG.
_DECODERS: dict[str, Callable[[bytes, Image.Image], Picture]] = {
    "JPEG": decode_jpeg,
    "MPO": decode_jpeg,
    "WEBP": decode_webp,
    "BMP": decode_bmp,
    "PPM": decode_pnm,
    "AVIF": decode_avif,
    "GIF": decode_gif,
}


@dataclass(frozen=True)
class _Codec:
    """Recognizes, measures and decodes files that Pillow does not read itself."""

    recognizes: Callable[[bytes], bool]
    size: Callable[[bytes], tuple[int, int]]
    decode: Callable[[bytes, Bounds], Picture]


_CODECS = (
    _Codec(is_raw, raw_size, decode_raw),
    _Codec(is_heif, heif_size, decode_heif),
    _Codec(is_jxl, jxl_size, decode_jxl),
)


def read_picture(
    source: Path | str | bytes | bytearray | memoryview,
    name: str | None = None,
    *,
    max_pixels: int | None = None,
) -> Picture:
    """Read a photo from a file or from bytes, and rotate it upright.

    Args:
        source: a path, a URL, or the bytes of a file.
        name: of the bytes, for error messages; by default "standard input".
        max_pixels: the limit of pixels; by default MAX_PIXELS, and less for a small file.

    Raises:
        PictureError: the file does not exist, is not an image, is damaged or cut short, exceeds
            `max_pixels` or the free memory, or has float or 32-bit samples.
    """
    if isinstance(source, bytearray | memoryview):
        source = bytes(source)
    data = source if isinstance(source, bytes) else read_file(source, max_pixels)
    with named_errors(name or ("standard input" if isinstance(source, bytes) else str(source))):
        return decode(data, Bounds(len(data), max_pixels))


def read_file(source: Path | str | BinaryIO, max_pixels: int | None = None) -> bytes:
    """Read the bytes of a photo from a file, a pipe or a stream, such as standard input.

    Args:
        source: a path, a URL, or a stream that is open.
        max_pixels: limits the number of bytes; by default MAX_PIXELS.

    Raises:
        PictureError: the source cannot be read, does not begin like an image, or is larger than a
            photo of `max_pixels` or than half of the free memory.
    """
    if isinstance(source, str) and storage.is_url(source):
        with named_errors(source):
            return _check_beginning(storage.read(source, largest_file(max_pixels)))
    if isinstance(source, str):
        source = Path(source)
    with named_errors(str(source) if isinstance(source, Path) else "standard input"):
        if not isinstance(source, Path):
            return _read_all(source, max_pixels)
        with source.open("rb") as stream:
            return _read_all(stream, max_pixels)


def _read_all(stream: BinaryIO, max_pixels: int | None) -> bytes:
    most = largest_file(max_pixels)
    whole = io.BytesIO()
    block = _check_beginning(stream.read(16))
    while block:
        whole.write(block)
        if whole.tell() > most:
            raise PictureError(f"it does not end after {most / 1e9:.1f} GB. Check its contents.")
        block = stream.read(2**20)
    return whole.getvalue()


def _check_beginning(data: bytes) -> bytes:
    """Return the data; raises UnidentifiedImageError if they do not begin like an image."""
    if data and not _BEGINNINGS.match(data):
        raise UnidentifiedImageError
    return data


def read_size(source: Path | bytes) -> tuple[int, int]:
    """Return the height and width of an image as stored, from its header if Pillow can read it.

    Args:
        source: a path, or the bytes of a file.

    Raises:
        PictureError: see `read_picture`.
    """
    if isinstance(source, Path) and not is_pillow_name(source):
        source = read_file(source)
    if isinstance(source, bytes) and (codec := _codec_of(source)):
        with named_errors("the image"):
            return codec.size(source)
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with unlimited(), Image.open(file, formats=PILLOW_FORMATS) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, RuntimeError):  # such as 16-bit color in TIFF
        picture = read_picture(source)
        return picture.height, picture.width


def _codec_of(data: bytes) -> _Codec | None:
    return next((codec for codec in _CODECS if codec.recognizes(data)), None)


def decode(data: bytes, bounds: Bounds) -> Picture:
    """Decode the bytes of a file; errors do not name it yet, see `named_errors`."""
    if not data:
        raise PictureError("the file is empty. Get a fresh copy.")
    if data[:4] in (b"II+\0", b"MM\0+"):
        raise PictureError("BigTIFF is not supported. Save it as a standard TIFF.")
    if codec := _codec_of(data):
        return codec.decode(data, bounds)
    if data[:4] in TIFF_HEADERS:
        return decode_tiff(data, bounds)
    if data.startswith(PNG_SIGNATURE):
        return decode_png(data, bounds)
    try:
        image = open_image(data, bounds)
    except UnidentifiedImageError:
        if (bits := sample_bits(data)) == 8:
            raise
        raise PictureError(
            f"JPEG with {bits} bits per sample is not supported. Save it with 8 bits."
        ) from None
    decode = _DECODERS.get(str(image.format))
    return decode(data, image) if decode else decode_image(image)


@contextlib.contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Convert every error to a PictureError that names the file."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PictureError(
            f"Cannot read {name}: the file does not exist. Check its path."
        ) from error
    except IsADirectoryError as error:
        raise PictureError(f"Cannot read {name}: it is a folder. Give a file in it.") from error
    except PermissionError as error:
        raise PictureError(
            f"Cannot read {name}: permission denied. Make the file readable first."
        ) from error
    except UnidentifiedImageError as error:
        *first, last = *FORMATS, *READ_ONLY
        kinds = f"{', '.join(first)} or {last}"
        raise PictureError(
            f"Cannot read {name}: it is not a {kinds} file. Check its contents."
        ) from error
    except MemoryError as error:
        raise PictureError(
            f"Cannot read {name}: it does not fit into memory. Split it, or reduce its size."
        ) from error
    except storage.StorageError as error:  # names the file
        raise PictureError(str(error)) from error
    except PictureError as error:
        raise type(error)(f"Cannot read {name}: {error}") from None
    except (
        Exception
    ) as error:  # for damaged bytes, decoders raise IndexError, struct.error and others
        if isinstance(error, OSError) and error.strerror:  # errors of decoders have none
            raise PictureError(
                f"Cannot read {name}: {error.strerror}. Check the disk or the pipe."
            ) from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PictureError(
            f"Cannot read {name}: the file is damaged ({reason}). Get a fresh copy."
        ) from error
