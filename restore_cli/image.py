"""Pictures: from file to float pixels and back, losing nothing the target format can hold.

A photo is decoded once and widened to float32 by blocks of rows, so that beside the float pixels no second
full-size copy lives longer than decoding takes; writing quantises by the same blocks. Pillow reads and writes
whatever has 8 bits a sample. It would silently halve 16-bit colour, so OpenCV reads those samples from PNG, a
small reader on top of libtiff those of TIFF, and the two small writers below (PNG, TIFF) write them.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import itertools
import logging
import math
import os
import re
import struct
import tempfile
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, UnidentifiedImageError

from restore_cli.atomic import write_whole
from restore_cli.errors import PictureError
from restore_cli.metrics import jpeg_steps

Pixels = npt.NDArray[np.float32]
Samples = npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

# Largest picture read, in pixels, unless another limit is given; of a small file, which holds no such photo,
# it is the larger of the other two. Blank pages of scanners come to some hundred pixels a byte.
MAX_PIXELS = 2**29
_SMALL_PIXELS, _PIXELS_PER_BYTE = 64 * 10**6, 1000
_SAMPLE = 10  # bytes of memory: up to 2 as stored, and float32 of the photo and of its result

# Written suffix first.
FORMATS: dict[str, tuple[str, ...]] = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "WEBP": (".webp",),
    "TIFF": (".tif", ".tiff"),
    "BMP": (".bmp",),
    "PPM": (".ppm", ".pgm", ".pnm", ".pbm"),
    "AVIF": (".avif",),
}
READ_SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)

LOSSY = frozenset({"JPEG", "WEBP", "AVIF"})
_EMBEDDED = {"EXIF", "ICC profile", "XMP"}
_HOLDS: dict[str, frozenset[str]] = {
    "PNG": frozenset({"16 bits", "alpha", *_EMBEDDED, "resolution", "PNG text", "CICP color space"}),
    "JPEG": frozenset({*_EMBEDDED, "resolution", "IPTC", "Photoshop resources", "comments"}),
    "WEBP": frozenset({"alpha", *_EMBEDDED}),
    "TIFF": frozenset({"16 bits", "alpha", *_EMBEDDED, "resolution", "IPTC", "Photoshop resources"}),
    "BMP": frozenset({"resolution"}),
    "PPM": frozenset({"16 bits"}),
    "AVIF": frozenset({"alpha", *_EMBEDDED, "CICP color space"}),
}

_BLOCK = 2**20  # pixels widened or quantised at a time
_MARKER = 65_500  # bytes of EXIF or XMP that fit one JPEG marker (65,533), less their signatures
logging.getLogger("PIL").addHandler(logging.NullHandler())  # what it logs would go to standard error
_PILLOW = threading.Lock()  # held while Pillow's process-wide size limit and the warning filters are changed


@dataclass(frozen=True)
class Metadata:
    """What a file says about its pixels.

    `exif` is a TIFF block without the `Exif` signature, its orientation 1; `icc` an ICC profile; `xmp` an XMP
    packet; `dpi` the resolution across and down, in dots per inch; `chunks` the (type, payload) of the PNG
    chunks that are kept as they are: text, and the meaning of the colours (gAMA, cHRM, sRGB, cICP, ...), to
    which the color space of an AVIF is added as cICP where it is another than sRGB; `iptc` the records of
    IPTC-IIM; `photoshop` the other image resources of Photoshop; `comments` those of a JPEG.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()
    iptc: bytes | None = None
    photoshop: bytes | None = None
    comments: tuple[bytes, ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """A photo the right way up.

    `pixels` is float32, H x W x C in [0, 1], C = 1 (gray) or 3 (RGB) in the colour space of `metadata.icc`;
    `alpha` is H x W, uint8 or uint16, and passes through exactly; `depth` is 8 or 16 bits a sample, in and
    out; `format` is Pillow's name of the source's format; `notes` say what reading lost or left out;
    `jpeg_quality`, 1 to 100, is the one that a JPEG's quantization tables are closest to; `corner` is where
    its blocks start, row and column, 0 to 15: not at 0 where the photo was turned upright; `lossless` says
    of a WebP that it is one that keeps samples, and is written so again.
    """

    pixels: Pixels
    alpha: Samples | None = None
    depth: int = 8
    metadata: Metadata = field(default_factory=Metadata)
    format: str = "PNG"
    notes: tuple[str, ...] = ()
    jpeg_quality: int | None = None
    corner: tuple[int, int] = (0, 0)
    lossless: bool = False

    @property
    def height(self) -> int:
        """Rows."""
        return int(self.pixels.shape[0])

    @property
    def width(self) -> int:
        """Columns."""
        return int(self.pixels.shape[1])

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB; alpha does not count."""
        return int(self.pixels.shape[2])

    @property
    def megapixels(self) -> float:
        """Millions of pixels."""
        return self.height * self.width / 1e6

    @property
    def visible(self) -> npt.NDArray[np.bool_] | None:
        """H x W, where alpha is above 0; None where all is."""
        return None if self.alpha is None or self.alpha.all() else self.alpha > 0

    def opaque_pixels(self) -> Pixels:
        """Return the pixels with every fully transparent one coloured like its nearest visible one.

        A network that looks around must see these: the colour stored under alpha 0 is arbitrary and would
        bleed into the visible edge. Without such pixels, or without any other, it is `pixels` itself.
        """
        if self.alpha is None or self.alpha.all() or not self.alpha.any():
            return self.pixels
        import cv2

        hidden = self.alpha == 0
        _, labels = cv2.distanceTransformWithLabels(
            hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
        )
        visible = np.flatnonzero(~hidden)
        owner = np.empty(len(visible) + 1, np.intp)  # labels count from 1, one for each visible pixel
        owner[labels.ravel()[visible]] = visible
        filled = self.pixels.copy()
        filled[hidden] = self.pixels.reshape(-1, self.channels)[owner[labels[hidden]]]
        return filled

    def with_pixels(self, pixels: npt.NDArray[np.floating]) -> Picture:
        """Return this picture with other pixels of the same C, and of any H x W, to which alpha is resized.

        Where H x W stay the same, fully transparent pixels keep the colour they had, so that what they hide
        stays as it was. Raises ValueError for other channels.
        """
        if pixels.shape[2:] != self.pixels.shape[2:]:
            raise ValueError(f"pixels of shape {pixels.shape} cannot replace {self.pixels.shape}")
        pixels = pixels.astype(np.float32, copy=False)
        if pixels.shape != self.pixels.shape:
            alpha = self.alpha
            if alpha is not None:
                peak = np.iinfo(alpha.dtype).max
                larger = resize(alpha[..., None].astype(np.float32), *pixels.shape[:2])[..., 0]
                alpha = cast(Samples, larger.round().clip(0, peak).astype(alpha.dtype))
            return replace(self, pixels=pixels, alpha=alpha)
        if self.alpha is not None and not self.alpha.all():
            pixels = np.where((self.alpha == 0)[..., None], self.pixels, pixels)
        return replace(self, pixels=pixels)


# Names of files


def format_of(path: Path) -> str:
    """Return the format a file of this name is written in; raises PictureError for an unknown suffix."""
    for name, suffixes in FORMATS.items():
        if path.suffix.lower() in suffixes:
            return name
    known = " ".join(suffixes[0] for suffixes in FORMATS.values())
    raise PictureError(f"cannot tell the image format of {path}: give it one of the suffixes {known}")


def suffix_of(format: str) -> str:
    """Return the usual suffix of a format, `.jpg` for JPEG; raises PictureError for an unknown format."""
    if format not in FORMATS:
        raise PictureError(f"cannot write {format} images: choose one of {', '.join(FORMATS)}")
    return FORMATS[format][0]


def is_image_name(path: Path) -> bool:
    """Say whether a file of this name is worth reading when a folder is searched."""
    return path.suffix.lower() in READ_SUFFIXES


# Colour


def luma(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the ITU-R BT.601 studio-range Y of H x W x 3 in [0, 1] as H x W in [16/255, 235/255]."""
    weights = np.array([65.481, 128.553, 24.966]) / 255
    return rgb @ weights.astype(rgb.dtype) + rgb.dtype.type(16 / 255)


def to_gray(rgb: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return the full-range BT.601 gray of H x W x 3 as H x W x 1, same range and dtype."""
    return (rgb @ np.array([0.299, 0.587, 0.114], rgb.dtype))[..., None]


def to_rgb(gray: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """Return H x W x 1 as H x W x 3 of three equal channels."""
    return np.repeat(gray, 3, axis=2)


def to_pillow(image: Pixels) -> Image.Image:
    """Return H x W x C in [0, 1] as Pillow has it, gray or RGB, clipped and rounded to 8 bits."""
    samples = np.rint(image.clip(0, 1) * 255).astype(np.uint8)
    return Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples)


# Damage


def compress(image: Pixels, quality: int, subsampling: str = "4:4:4") -> Pixels:
    """Return H x W x C in [0, 1] as libjpeg makes it: rounded to 8 bits, encoded, decoded.

    `quality` is libjpeg's, 1 to 100; `subsampling` that of colour, "4:4:4", "4:2:2" or "4:2:0".
    """
    buffer = io.BytesIO()
    to_pillow(image).save(buffer, "JPEG", quality=quality, subsampling=subsampling)
    with Image.open(buffer) as decoded:
        return np.asarray(decoded).reshape(image.shape).astype(np.float32) / np.float32(255)


# Size


def resize(image: npt.NDArray[np.floating], height: int, width: int) -> npt.NDArray[np.floating]:
    """Return H x W x C as height x width x C, as MATLAB's imresize does: bicubic and antialiased, unclipped.

    The kernel is Keys' cubic convolution (1981) with a = -0.5; when shrinking it is widened by the factor,
    which removes what the smaller grid cannot hold. Borders are mirrored, the edge pixel repeated.
    """
    rows, columns = _resampling(image.shape[0], height), _resampling(image.shape[1], width)
    channels = image.shape[2]
    tall = (rows @ image.reshape(image.shape[0], -1)).reshape(height, -1, channels)
    wide = columns @ tall.swapaxes(0, 1).reshape(image.shape[1], -1)
    resized = wide.reshape(width, height, channels).swapaxes(0, 1)
    return np.ascontiguousarray(resized, image.dtype)


@functools.lru_cache(maxsize=32)
def _resampling(size: int, target: int) -> Any:
    """The sparse matrix, target x size, that resizes one axis."""
    from scipy.sparse import csr_array

    step = size / target
    spread = max(1.0, step)
    centers = (np.arange(target) + 0.5) * step - 0.5
    reach = math.ceil(2 * spread)
    taps = np.floor(centers).astype(int)[:, None] + np.arange(-reach, reach + 2)
    weights = _cubic((centers[:, None] - taps) / spread)
    weights /= weights.sum(axis=1, keepdims=True)
    mirrored = taps % (2 * size)
    mirrored = np.minimum(mirrored, 2 * size - 1 - mirrored)
    lines = np.repeat(np.arange(target), taps.shape[1])
    matrix = csr_array(
        (weights.ravel().astype(np.float32), (lines, mirrored.ravel())), shape=(target, size)
    )  # taps that fall on one pixel are added
    matrix.eliminate_zeros()
    return matrix


def _cubic(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    x = np.abs(x)
    inner = (1.5 * x - 2.5) * x**2 + 1
    outer = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, inner, np.where(x < 2, outer, 0.0))


# Reading


@dataclass(frozen=True)
class _Raster:
    """Samples as the file stores them; `rows(top, bottom)` gives H' x W x K, K = 1, 2, 3 or 4."""

    height: int
    width: int
    bands: int
    depth: int
    rows: Callable[[int, int], Samples]


@dataclass(frozen=True)
class _Bounds:
    """How many pixels a file may have: `given`, or what is usual for a file of `size` bytes."""

    size: int
    given: int | None = None

    def check(self, width: int, height: int, channels: int) -> None:
        """Raise PictureError for a picture that is too large, before it is decoded."""
        limit = self.given or min(MAX_PIXELS, max(_SMALL_PIXELS, _PIXELS_PER_BYTE * self.size))
        if width * height > limit:
            of = "" if self.given or limit == MAX_PIXELS else f" for a file of {self.size} bytes"
            raise PictureError(
                f"it has {width * height / 1e6:.0f} megapixels, above the limit of {limit / 1e6:.3g}{of}: "
                "split it, or give a larger --max-pixels"
            )
        needed, free = width * height * channels * _SAMPLE, _free_memory()
        if needed > free:
            raise PictureError(
                f"it needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free: "
                "close other programs, or split it"
            )


def _free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


# How files of the formats begin: PNG, JPEG, TIFF, BMP, PNM, WebP, and what is built like AVIF.
_BEGINNINGS = re.compile(rb"\x89PNG|\xff\xd8\xff|II|MM|BM|P[0-9Ffy]|RIFF....WEBP|....ftyp", re.DOTALL)


def read_file(source: Path | BinaryIO, max_pixels: int | None = None) -> bytes:
    """Read the bytes of a picture from a file, a pipe or a stream, such as standard input.

    Raises PictureError, one sentence with its name, for what cannot be read, begins like no picture, or goes
    on beyond what a picture of `max_pixels`, by default MAX_PIXELS, or half of the free memory can hold.
    """
    with _sentences(str(source) if isinstance(source, Path) else "standard input"):
        if not isinstance(source, Path):
            return _read_all(source, max_pixels or MAX_PIXELS)
        with source.open("rb") as stream:
            return _read_all(stream, max_pixels or MAX_PIXELS)


def _read_all(stream: BinaryIO, pixels: int) -> bytes:
    most = min(8 * pixels + 2**28, _free_memory() // 2)  # 16 bits of RGB and alpha, and metadata
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


def read_picture(
    source: Path | str | bytes, name: str | None = None, *, max_pixels: int | None = None
) -> Picture:
    """Read an image file, or its bytes, the right way up; `name` is what errors call those.

    Raises PictureError, one sentence with the file's name, for whatever cannot be read in full: no such
    file, no image, damaged or cut short, more than `max_pixels`, by default MAX_PIXELS and less of a small
    file, or more than fits into the free memory, float or 32-bit samples.
    """
    data = source if isinstance(source, bytes) else read_file(Path(source), max_pixels)
    with _sentences(name or ("standard input" if isinstance(source, bytes) else str(source))):
        return _decode(data, _Bounds(len(data), max_pixels))


@contextlib.contextmanager
def _sentences(name: str) -> Iterator[None]:
    """Raise whatever goes wrong as PictureError, one sentence with the file's name."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PictureError(f"cannot read {name}: there is no such file, check its path") from error
    except IsADirectoryError as error:
        raise PictureError(f"cannot read {name}: it is a folder, name a file in it") from error
    except PermissionError as error:
        raise PictureError(f"cannot read {name}: permission denied, make it readable first") from error
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        raise PictureError(f"cannot read {name}: it is none of {kinds}, check what it contains") from error
    except MemoryError as error:
        raise PictureError(f"cannot read {name}: it does not fit into memory, split or shrink it") from error
    except PictureError as error:
        raise PictureError(f"cannot read {name}: {error}") from None
    except Exception as error:  # decoders fed damaged bytes raise anything, IndexError and struct.error too
        if isinstance(error, OSError) and error.strerror:  # none has that of a decoder
            raise PictureError(f"cannot read {name}: {error.strerror}, check its disk or pipe") from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PictureError(f"cannot read {name}: it is damaged, get a fresh copy ({reason})") from error


def read_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file as stored, from its header where Pillow understands it.

    Raises:
        PictureError: as `read_picture`.
    """
    try:
        with _unlimited(), Image.open(path, formats=tuple(FORMATS)) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError):  # such as 16-bit colour in TIFF
        picture = read_picture(path)
        return picture.height, picture.width


def _decode(data: bytes, bounds: _Bounds) -> Picture:
    if not data:
        raise PictureError("it is empty, get a fresh copy")
    if data[:4] in (b"II+\0", b"MM\0+"):
        raise PictureError("it is a BigTIFF, save it as a plain TIFF")
    if data[:4] in _TIFF_HEADERS:
        return _decode_tiff(data, bounds)
    if data.startswith(_PNG_SIGNATURE):
        return _decode_png(data, bounds)
    try:
        image = _open(data, bounds)
    except UnidentifiedImageError:
        depths = (data[start] for kind, start, _ in _segments(data) if kind in _JPEG_FRAMES)
        bits = next(depths, 8) if data.startswith(_JPEG_SIGNATURE) else 8
        if bits == 8:
            raise
        raise PictureError(f"it is a JPEG of {bits} bits a sample, save it with 8") from None
    frames = getattr(image, "n_frames", 1)
    notes = [f"only the first of {frames} frames is read"] if frames > 1 else []
    pnm = _PNM_HEADER.match(data)
    if pnm and int(pnm[4]) > 255:
        raster = _deep_pnm(data, pnm)
    elif image.format == "AVIF" and (bits := _avif_bits(data)) > 8:
        raster = _deep_avif(data, image, bits, notes)
    else:
        raster = _pillow_raster(image, notes)
    if image.format == "BMP" and _has_fourth_byte(data):
        notes.append("the fourth byte of its pixels, in which some programs write alpha, is left out")
    exif, orientation = _exif_of(image.info.get("exif", b""), notes)
    metadata = Metadata(
        exif=exif,
        icc=image.info.get("icc_profile") or None,
        xmp=image.info.get("xmp") or None,
        dpi=_dpi(image.info.get("dpi")) or _dpi_of_exif(exif),
    )
    if image.format == "AVIF" and not metadata.icc:
        metadata = replace(metadata, chunks=_avif_colours(data))
    if image.format in ("JPEG", "MPO"):
        metadata = _with_segments(metadata, data, notes if frames == 1 else [])
    format = "JPEG" if image.format == "MPO" else str(image.format)
    picture = _assemble(raster, orientation, metadata, format, notes, _is_rgb_or_gray(image))
    if image.format == "WEBP":
        return replace(picture, lossless=_is_lossless_webp(data))
    tables = getattr(image, "quantization", None)
    if not tables:
        return picture
    height, width = picture.pixels.shape[:2]
    top = height % 16 if orientation in (3, 4, 7, 8) else 0  # where rows count backwards
    left = width % 16 if orientation in (2, 3, 6, 7) else 0
    return replace(picture, jpeg_quality=_jpeg_quality(tables), corner=(top, left))


def _exif_of(block: bytes, notes: list[str]) -> tuple[bytes | None, int]:
    """Return an EXIF block as it is kept, and the orientation it had; a broken one is noted."""
    block = block.removeprefix(b"Exif\0\0")
    try:
        return _upright_exif(block) if block else (None, 1)
    except struct.error:
        notes.append("broken EXIF is left out")
        return None, 1


def _jpeg_quality(tables: dict[int, Any]) -> int:
    """libjpeg's quality whose luma divisors are closest to a file's, whatever their order."""
    own = np.sort(np.asarray(tables[min(tables)]))
    standard = np.sort(jpeg_steps().reshape(100, 64))
    return int(np.abs(standard - own).sum(axis=1).argmin()) + 1


@contextlib.contextmanager
def _unlimited() -> Iterator[None]:
    """Lift Pillow's size limit, for ours takes its place, and drop its warnings about odd metadata."""
    with _PILLOW, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _open(data: bytes, bounds: _Bounds) -> Image.Image:
    with _unlimited():
        image = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
        bounds.check(*image.size, 3 if image.mode == "P" else len(image.getbands()))
        if image.format == "TIFF":  # the one format whose size is checked again on decoding
            _load_tiff(image)
        return image


def _is_rgb_or_gray(image: Image.Image) -> bool:
    return image.mode not in ("CMYK", "LAB")


def _pillow_raster(image: Image.Image, notes: list[str]) -> _Raster:
    """Plan the conversion of a Pillow image with up to 8 bits a sample; notes a change of colours."""
    alpha = image.has_transparency_data
    if image.mode in ("1", "L", "LA", "La"):
        mode = "LA" if alpha else "L"
    elif image.mode in ("P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr", "CMYK", "LAB"):
        mode = "RGBA" if alpha else "RGB"
    else:
        raise PictureError(f"its samples are of the kind {image.mode}, save it with 8 or 16 bits a sample")

    managed = None
    if not _is_rgb_or_gray(image):
        managed = _to_srgb(image)
        notes.append(f"{image.mode} converted to {'sRGB' if managed else 'RGB without an ICC profile'}")
    image.load()

    def rows(top: int, bottom: int) -> Samples:
        block = image.crop((0, top, image.width, bottom))
        block = managed(block) if managed else block.convert(mode)
        return np.asarray(block, np.uint8).reshape(bottom - top, image.width, -1)

    return _Raster(image.height, image.width, len(mode), 8, rows)


def _to_srgb(image: Image.Image) -> Callable[[Image.Image], Image.Image] | None:
    """Return the conversion by the image's own profile, or LAB's definition; None where neither serves."""
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


def _deep_png(data: bytes, image: Image.Image) -> _Raster:
    image.load()  # Pillow finds damage that OpenCV passes over
    samples = _opencv_samples(data)
    gray = data[25] in (0, 4)  # colour types without and with alpha, which OpenCV widens to BGRA
    order = ([0, 3] if data[25] == 4 else [0]) if gray else [2, 1, 0, 3][: samples.shape[2]]
    key = image.info.get("transparency") if gray else None  # OpenCV obeys tRNS in colour, not in gray

    def rows(top: int, bottom: int) -> Samples:
        block: npt.NDArray[np.uint16] = samples[top:bottom, :, order]
        if key is None:
            return block
        return np.concatenate([block, np.where(block == key, 0, 65535).astype(np.uint16)], axis=2)

    return _Raster(image.height, image.width, len(order) + (key is not None), 16, rows)


def _deep_avif(data: bytes, image: Image.Image, bits: int, notes: list[str]) -> _Raster:
    """Decode 10 or 12 bits, which Pillow reduces to 8, and spread them over 16."""
    try:
        samples = _opencv_samples(data)
    except ValueError:  # it is damaged, or gray with alpha
        notes.append(f"{bits}-bit AVIF read with 8 bits a sample")
        return _pillow_raster(image, notes)
    if samples.shape[:2] != (image.height, image.width):
        raise ValueError("two decoders find two sizes")
    order = [0] if samples.shape[2] == 1 else [2, 1, 0, 3][: samples.shape[2]]
    scale = 65535 / (2**bits - 1)

    def rows(top: int, bottom: int) -> Samples:
        block: npt.NDArray[np.uint16] = np.rint(samples[top:bottom, :, order] * scale).astype(np.uint16)
        return block

    return _Raster(image.height, image.width, len(order), 16, rows)


_PNM_HEADER = re.compile(rb"P([2356])" + rb"(?:\s|#[^\n]*\n)+(\d+)" * 3 + rb"\s")


def _deep_pnm(data: bytes, header: re.Match[bytes]) -> _Raster:
    width, height, peak = (int(number) for number in header.groups()[1:])
    bands = 3 if header[1] in b"36" else 1
    count = height * width * bands
    if header[1] in b"23":
        words = re.sub(rb"#[^\n]*", b"", data[header.end() :]).split()[:count]
        samples = np.array(words).astype(np.int64)
    else:
        samples = np.frombuffer(data, ">u2", count, header.end())
    samples = samples.clip(0, peak).reshape(height, width, bands)

    def rows(top: int, bottom: int) -> Samples:
        block: npt.NDArray[np.uint16] = np.rint(samples[top:bottom] * (65535 / peak)).astype(np.uint16)
        return block

    return _Raster(height, width, bands, 16, rows)


def _opencv_samples(data: bytes) -> npt.NDArray[np.uint16]:
    """Decode to uint16, H x W x K, in OpenCV's order gray, BGR or BGRA; raises ValueError if it cannot."""
    samples, _ = _by_opencv(data)
    if samples is None or samples.dtype != np.uint16:
        raise ValueError("its samples cannot be decoded")
    return samples if samples.ndim == 3 else samples[..., None]


# What libjpeg and libpng write to standard error, and what of it is no sign of wrong pixels: SOS and version
# may be odd where nothing is lost, and cameras leave a few bytes in front of the end (0xd9).
_COMPLAINT = (
    rb"(?:Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS|Warning: unknown JFIF"
    rb"|Unknown Adobe|libpng \w+:).*\n"
)
_HARMLESS = re.compile(rb"Invalid SOS|unknown JFIF|Unknown Adobe|\b\d extraneous bytes before marker 0xd9")


def _by_opencv(data: bytes, *, colour: bool = False) -> tuple[npt.NDArray[Any] | None, list[bytes]]:
    """Decode as OpenCV does, as stored or as 8-bit BGR, None if it cannot; and what decoders complain of."""
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # of what a failure returns as None
    try:
        with _overheard(_COMPLAINT) as said:
            mode = cv2.IMREAD_COLOR if colour else cv2.IMREAD_UNCHANGED
            samples: Any = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
        return samples, said
    except cv2.error:  # it is larger than OpenCV allows
        return None, []
    finally:
        cv2.utils.logging.setLogLevel(level)


def _assemble(
    raster: _Raster,
    orientation: int,
    metadata: Metadata,
    format: str,
    notes: list[str],
    icc_applies: bool = True,
) -> Picture:
    """Widen the samples into float pixels, turned upright on the way, and settle the metadata."""
    height, width = (raster.width, raster.height) if orientation >= 5 else (raster.height, raster.width)
    channels, has_alpha = (raster.bands - 1) // 2 * 2 + 1, raster.bands % 2 == 0
    pixels = np.empty((height, width, channels), np.float32)
    alpha = np.empty((height, width), f"uint{raster.depth}") if has_alpha else None
    stored_pixels = _as_stored(pixels, orientation)
    stored_alpha = None if alpha is None else _as_stored(alpha, orientation)
    for top, bottom in _blocks(raster.height, raster.width):
        block = raster.rows(top, bottom)
        peak = np.float32(2**raster.depth - 1)
        np.divide(block[..., :channels], peak, out=stored_pixels[top:bottom], dtype=np.float32)
        if stored_alpha is not None:
            stored_alpha[top:bottom] = block[..., -1]
    if orientation != 1 and metadata.xmp:
        metadata = replace(metadata, xmp=_upright_xmp(metadata.xmp))
    if orientation >= 5 and metadata.dpi:
        metadata = replace(metadata, dpi=metadata.dpi[::-1])
    if not icc_applies:
        metadata = replace(metadata, icc=None)
    return Picture(pixels, alpha, raster.depth, metadata, format, tuple(notes))


def _block_rows(width: int) -> int:
    return max(1, _BLOCK // width)


def _blocks(height: int, width: int) -> Iterator[tuple[int, int]]:
    step = _block_rows(width)
    return ((top, min(top + step, height)) for top in range(0, height, step))


def _as_stored(upright: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Return a view of an upright array with the axes of the file, by the table of EXIF 2.32, 4.6.4."""
    views: dict[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
        2: lambda array: array[:, ::-1],
        3: lambda array: array[::-1, ::-1],
        4: lambda array: array[::-1],
        5: lambda array: array.swapaxes(0, 1),
        6: lambda array: np.rot90(array, 1),
        7: lambda array: array[::-1, ::-1].swapaxes(0, 1),
        8: lambda array: np.rot90(array, -1),
    }
    return views[orientation](upright) if orientation in views else upright


# Metadata

_TIFF_HEADERS = (b"II*\0", b"MM\0*")


def _upright_exif(block: bytes) -> tuple[bytes, int]:
    """Set the orientation in an EXIF block, or a whole TIFF, to 1; return it and the orientation it had.

    An orientation that is whole counts, whatever the other tags are like. It is patched in place: maker notes
    hold offsets that another layout would break. The thumbnail of a turned picture would now lie on its side,
    so the link to it is cut. Raises struct.error if the directory is broken.
    """
    if block[:4] not in _TIFF_HEADERS:
        raise struct.error("no TIFF header")
    order = "<" if block[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", block, 4)
    (count,) = struct.unpack_from(order + "H", block, start)
    end = start + 2 + 12 * count  # of the directory, where the offset of the thumbnail's stands
    for entry in range(start + 2, end, 12):
        tag, kind = struct.unpack_from(order + "HH", block, entry)
        if tag != ExifTags.Base.Orientation or kind not in (3, 4):  # SHORT, LONG
            continue
        form = order + ("H" if kind == 3 else "I")
        (orientation,) = struct.unpack_from(form, block, entry + 8)
        if orientation == 1:
            break
        patched = bytearray(block)
        struct.pack_into(form, patched, entry + 8, 1)
        if orientation not in range(2, 9):
            return bytes(patched), 1
        struct.pack_into(order + "I", patched, end, 0)
        return bytes(patched), int(orientation)
    return block, 1


def _upright_xmp(packet: bytes) -> bytes:
    return re.sub(rb"(tiff:Orientation(?:\s*=\s*[\"']|>)\s*)[1-8]", rb"\g<1>1", packet)


def _dpi_of_exif(block: bytes | None) -> tuple[float, float] | None:
    if not block:
        return None
    tags = Image.Exif()
    with _unlimited(), contextlib.suppress(Exception):  # what is broken in it has no resolution
        tags.load(block)
        return _dpi_of_tiff(tags)
    return None


def _dpi(value: tuple[Any, Any] | None) -> tuple[float, float] | None:
    """Return a resolution as floats; None where there is none or it is no positive number."""
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        across, down = (float(number) for number in value or ())
        if 0 < across < 1e6 and 0 < down < 1e6:
            return across, down
    return None


# Damage


def find_damage(data: bytes) -> tuple[str, ...]:
    """Return one sentence for each sign that pixels of a file are wrong, though it can be decoded.

    These are checksums of PNG, and what libjpeg and libaom report, by which the picture is decoded once more.
    Most wrong bits of a JPEG, WebP or TIFF leave no sign.
    """
    if data.startswith(_PNG_SIGNATURE):
        if any(kind in _PIXEL_CHUNKS and not whole for kind, _, whole in _chunks(data)):
            return ("it is damaged: a checksum is wrong, and pixels may be",)
    elif data.startswith(_JPEG_SIGNATURE):
        _, said = _by_opencv(data)
        for line in said:
            if not _HARMLESS.search(line):
                return (f"it is damaged: parts of the picture may be wrong ({line.decode().strip()})",)
    elif data[4:8] == b"ftyp":
        import cv2

        # libaom is stricter than dav1d, by which Pillow decodes.
        if cv2.haveImageWriter("x.avif") and _by_opencv(data, colour=True)[0] is None:
            return ("it is damaged: a strict decoder refuses it, parts of the picture may be wrong",)
    return ()


_STDERR = threading.Lock()  # held while the process's standard error goes elsewhere


@contextlib.contextmanager
def _overheard(pattern: bytes) -> Iterator[list[bytes]]:
    """Give, when it is left, the lines of the pattern that C libraries write to standard error.

    They have no other way to speak. All other text goes on to standard error when this is left.
    """
    said: list[bytes] = []
    with _STDERR, contextlib.ExitStack() as last:
        try:
            caught = last.enter_context(tempfile.TemporaryFile())
            own = os.dup(2)
        except OSError:  # there is no place for it, or nobody listens: let them speak
            yield said
            return
        os.dup2(caught.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(own, 2)
            os.close(own)
            caught.seek(0)
            text = caught.read()
            said += re.findall(pattern, text)
            if rest := re.sub(pattern, b"", text):
                with contextlib.suppress(OSError):
                    os.write(2, rest)


# PNG: Pillow and OpenCV get the chunks of the pixels alone; the others, and 16-bit colour, are written here

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
# The time of the last change (tIME), the bits that count (sBIT) and what to show behind (bKGD) are not kept:
# the first two are no longer so, the third is in the file's own colour type.
_COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI")
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_INFLATED = 2**26  # bytes that an ICC profile or an XMP packet may have


def _decode_png(data: bytes, bounds: _Bounds) -> Picture:
    pixels, chunks, notes = [_PNG_SIGNATURE], [], []
    for kind, payload, whole in _chunks(data):
        if not whole and kind in (b"IHDR", b"PLTE"):
            raise ValueError(f"the checksum of {kind.decode()} is wrong")
        if kind in _PIXEL_CHUNKS:  # `find_damage` tells of the others' checksums
            pixels.append(_chunk(kind, payload))
        elif whole:
            chunks.append((kind, payload))
        else:
            notes = ["a broken chunk is left out"]
    bare, first = b"".join(pixels), dict(reversed(chunks))
    del pixels
    image = _open(bare, bounds)
    depth = bare[24]  # in IHDR
    if image.mode == "L" and depth < 8 and "transparency" in image.info:
        image.info["transparency"] *= 255 // (2**depth - 1)  # Pillow spreads the samples, not the key
    raster = _deep_png(bare, image) if depth == 16 else _pillow_raster(image, notes)
    frames = int.from_bytes(first.get(b"acTL", b"")[:4], "big")
    if frames > 1:
        notes.append(f"only the first of {frames} frames is read")
    exif, orientation = _exif_of(first.get(b"eXIf", b""), notes)
    across, down, unit = struct.unpack(">IIB", first.get(b"pHYs", b"")[:9].ljust(9, b"\0"))
    metadata = Metadata(
        exif=exif,
        icc=_png_profile(first.get(b"iCCP"), notes),
        xmp=_png_xmp([payload for kind, payload in chunks if kind == b"iTXt"], notes),
        dpi=_dpi((across * 0.0254, down * 0.0254)) if unit == 1 else _dpi_of_exif(exif),  # from dots a metre
        chunks=tuple(chunk for chunk in chunks if _is_kept(*chunk)),
    )
    return _assemble(raster, orientation, metadata, "PNG", notes)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Split a PNG into (type, payload, whether its checksum is right), as far as it goes."""
    position = len(_PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        payload = data[position + 8 : position + 8 + length]
        position += length + 12
        checksum = zlib.crc32(payload, zlib.crc32(kind)).to_bytes(4, "big")
        yield kind, payload, data[position - 4 : position] == checksum


def _png_profile(payload: bytes | None, notes: list[str]) -> bytes | None:
    if payload is None:
        return None
    _, _, packed = payload.partition(b"\0")  # its name
    return _inflated(packed[1:], "ICC profile", notes)


def _png_xmp(texts: Sequence[bytes], notes: list[str]) -> bytes | None:
    for text in texts:
        if text.startswith(_XMP_KEYWORD):
            packed, rest = text[len(_XMP_KEYWORD) :][:1] == b"\1", text[len(_XMP_KEYWORD) + 2 :]
            packet = rest.split(b"\0", 2)[-1]  # behind the language and the translated keyword
            return _inflated(packet, "XMP", notes) if packed else packet or None
    return None


def _inflated(packed: bytes, name: str, notes: list[str]) -> bytes | None:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(packed, _INFLATED)
        if inflater.eof:
            return plain or None
        notes.append(f"{name} is left out: it is cut short, or has more than {_INFLATED >> 20} MB")
    except zlib.error:
        notes.append(f"broken {name} is left out")
    return None


def _is_kept(kind: bytes, payload: bytes) -> bool:
    return kind in _TEXT_CHUNKS + _COLOUR_CHUNKS and not payload.startswith(_XMP_KEYWORD)


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def _png(picture: Picture) -> bytes:
    """Encode as PNG: Pillow packs 8-bit samples, `_png_16` the others; the metadata goes in after IHDR."""
    plain = _png_16(picture) if picture.depth == 16 else _pillow_bytes(picture, "PNG")
    metadata = picture.metadata
    chunks = list(metadata.chunks)
    if metadata.icc:
        chunks = [chunk for chunk in chunks if chunk[0] != b"sRGB"]  # the standard allows one of the two
        chunks.append((b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)))
    if metadata.dpi:
        per_metre = (round(number / 0.0254) for number in metadata.dpi)
        chunks.append((b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if metadata.exif:
        chunks.append((b"eXIf", metadata.exif))
    if metadata.xmp:
        chunks.append((b"iTXt", _XMP_KEYWORD + bytes(4) + metadata.xmp))
    end = len(_PNG_SIGNATURE) + 25  # of IHDR
    return b"".join([plain[:end], *(_chunk(*chunk) for chunk in chunks), plain[end:]])


def _png_16(picture: Picture) -> bytes:
    """Pack 16-bit samples as a bare PNG, each row filtered by its left neighbour (filter type 1)."""
    bands = picture.channels + (picture.alpha is not None)
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    packer = zlib.compressobj()
    packed = [b""]
    for block in _quantised(picture):
        raw = block.astype(">u2").view(np.uint8).reshape(len(block), -1)
        filtered = np.ones((len(raw), 1 + raw.shape[1]), np.uint8)
        filtered[:, 1:] = raw
        filtered[:, 1 + 2 * bands :] -= raw[:, : -2 * bands]
        packed.append(packer.compress(filtered.data))
    packed.append(packer.flush())
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 16, colour_type, 0, 0, 0)
    body = (_chunk(b"IDAT", part) for part in packed if part)
    return b"".join([_PNG_SIGNATURE, _chunk(b"IHDR", header), *body, _chunk(b"IEND", b"")])


# TIFF

# ImageDescription, Make, Model, Software, DateTime, Artist, HostComputer, Rating, Copyright, the XP texts of
# Windows: what describes the photo. Other tags describe the layout of one file, or are read by themselves.
_TIFF_TEXTS = (270, 271, 272, 305, 306, 315, 316, 18246, 33432, *range(40091, 40096))
_TIFF_IPTC, _TIFF_PHOTOSHOP = 33723, 34377


def _decode_tiff(data: bytes, bounds: _Bounds) -> Picture:
    # Pillow turns the pixels of a TIFF by its orientation: let it not see that.
    data, orientation = _upright_exif(data)
    with _unlimited():
        tags = Image.Exif()
        tags.load(data)  # an EXIF block is a TIFF without pixels
        layout = _tiff_layout(tags)
        padded = layout.across * layout.columns, layout.down * layout.rows
        bounds.check(*padded, max(layout.bands * layout.planes, 3 if layout.photometric == 3 else 1))
        iptc, photoshop = _split_resources(_tag_bytes(data, _TIFF_PHOTOSHOP) or b"")
        metadata = Metadata(
            exif=_exif_of_tiff(tags),
            icc=_tag_bytes(data, ExifTags.Base.InterColorProfile),
            xmp=_tag_bytes(data, ExifTags.Base.XMLPacket),
            dpi=_dpi_of_tiff(tags),
            iptc=_tag_bytes(data, _TIFF_IPTC) or iptc,
            photoshop=photoshop,
        )
    segments = _tiff_segments(data, tags, layout)
    frames = _count_pages(data)
    notes = [f"only the first of {frames} frames is read"] if frames > 1 else []
    if metadata.icc is None and ExifTags.Base.InterColorProfile in tags:
        notes.append("broken ICC profile is left out")
    if layout.bits in (8, 16) and layout.photometric in (0, 1, 2) and layout.compression in _TIFF_BYTES:
        raster = _tiff_raster(data, layout, segments, notes)
        return _assemble(raster, orientation, metadata, "TIFF", notes)
    try:
        image = _open(data, bounds)
    except UnidentifiedImageError:
        packed = _TIFF_UNREAD.get(layout.compression, f"compression {layout.compression}")
        kind = f"{layout.bits} bits, photometric {layout.photometric}, {packed}"
        raise PictureError(
            f"it is a TIFF of a kind that is not read ({kind}), save it as RGB with LZW"
        ) from None
    if layout.bits == 16:
        notes.append(f"16-bit {image.mode} read with 8 bits a sample")
    raster = _pillow_raster(image, notes)
    return _assemble(raster, orientation, metadata, "TIFF", notes, _is_rgb_or_gray(image))


# Compressions that pack bytes, whatever these mean: none, LZW, deflate (twice), PackBits, LZMA, Zstandard.
_TIFF_BYTES = frozenset({1, 5, 8, 32946, 32773, 34925, 50000})
_TIFF_UNREAD = {33003: "JPEG 2000", 33005: "JPEG 2000", 34712: "JPEG 2000", 34887: "LERC", 34933: "PNG"}
_TIFF_UNREAD |= {34892: "lossy JPEG of DNG", 50002: "JPEG XL", 52546: "JPEG XL"}
_TIFF_COLOURS = {2: 3, 5: 4, 6: 3, 8: 3}  # RGB, CMYK, YCbCr, LAB; other photometrics have one


@dataclass(frozen=True)
class _TiffLayout:
    """How a TIFF stores its samples.

    Its segments, strips or tiles, are `across` x `down` in each of `planes`, and have `rows` x `columns`
    pixels of `bands` samples. `extra` is the meaning of the first channel beyond the colours, 1 or 2 for
    alpha.
    """

    width: int
    height: int
    bits: int
    bands: int
    planes: int
    rows: int
    columns: int
    photometric: int
    compression: int
    predictor: int
    fill_order: int
    extra: int

    @property
    def across(self) -> int:
        return -(-self.width // self.columns)

    @property
    def down(self) -> int:
        return -(-self.height // self.rows)

    @property
    def row_bytes(self) -> int:
        return -(-self.columns * self.bands * self.bits // 8)


def _tiff_layout(tags: Image.Exif) -> _TiffLayout:
    """Read the layout of the first page; raises PictureError or ValueError unless its tags agree."""

    def number(tag: int, default: int | None = None) -> int:
        (value,) = _numbers(tags, tag, None if default is None else (default,))
        return value

    width, height = number(ExifTags.Base.ImageWidth), number(ExifTags.Base.ImageLength)
    bits = _numbers(tags, ExifTags.Base.BitsPerSample, (1,))
    kinds = set(_numbers(tags, ExifTags.Base.SampleFormat, (1,)))
    if not all(0 < count <= 64 for count in bits):
        raise ValueError(f"{bits[0]} bits a sample")
    if len(set(bits)) > 1 or bits[0] not in (1, 2, 4, 8, 16) or not kinds <= {1, 4}:  # unsigned, undefined
        kind = "signed" if 2 in kinds else "float" if 3 in kinds else "integer"
        each = "-".join(str(count) for count in dict.fromkeys(bits))
        raise PictureError(f"its samples are {each}-bit {kind}, save it with 8 or 16 unsigned bits a sample")
    stored = number(ExifTags.Base.SamplesPerPixel, 1)
    photometric = number(ExifTags.Base.PhotometricInterpretation)
    beyond = stored - _TIFF_COLOURS.get(photometric, 1)
    if beyond < 0 or len(bits) > stored:
        raise ValueError(f"{len(bits)} kinds of samples, but {stored} samples a pixel")
    planar = number(ExifTags.Base.PlanarConfiguration, 1)
    if planar not in (1, 2):
        raise ValueError(f"planar configuration {planar}")
    compression = number(ExifTags.Base.Compression, 1)
    columns = number(ExifTags.Base.TileWidth, width)
    tiled = ExifTags.Base.TileWidth in tags
    rows = number(ExifTags.Base.TileLength) if tiled else number(ExifTags.Base.RowsPerStrip, height)
    if min(width, height, rows, columns) < 1:
        raise ValueError("it has no pixels")
    # A fourth channel without a tag that says what it is was meant for alpha, as Pillow and others have it.
    extra = _numbers(tags, ExifTags.Base.ExtraSamples, (2 if beyond == 1 else 0,))[0] if beyond > 0 else 0
    return _TiffLayout(
        width=width,
        height=height,
        bits=bits[0],
        bands=1 if planar == 2 else stored,
        planes=stored if planar == 2 else 1,
        rows=rows if tiled else min(rows, height),
        columns=columns,
        photometric=photometric,
        compression=compression,
        predictor=number(ExifTags.Base.Predictor, 1) if compression not in (1, 32773) else 1,
        fill_order=number(ExifTags.Base.FillOrder, 1),
        extra=extra,
    )


def _numbers(tags: Image.Exif, tag: int, default: tuple[int, ...] | None = None) -> tuple[int, ...]:
    value = tags.get(tag, default)
    values = value if isinstance(value, tuple) else (value,)
    if not values or not all(isinstance(number, int) for number in values):
        raise ValueError(f"tag {int(tag)} is missing or not a number")
    return values


def _tiff_segments(data: bytes, tags: Image.Exif, layout: _TiffLayout) -> list[bytes | memoryview]:
    """Return the strips or tiles, plane by plane; raises ValueError unless the file holds all of them."""
    tiled = ExifTags.Base.TileWidth in tags
    offsets = _numbers(tags, ExifTags.Base.TileOffsets if tiled else ExifTags.Base.StripOffsets)
    sizes_tag = ExifTags.Base.TileByteCounts if tiled else ExifTags.Base.StripByteCounts
    sizes = _numbers(tags, sizes_tag, (len(data),) if len(offsets) == 1 else None)
    wanted = layout.across * layout.down * layout.planes
    if min(len(offsets), len(sizes)) < wanted:
        raise ValueError(f"{min(len(offsets), len(sizes))} of {wanted} strips or tiles are there")
    view = memoryview(data)
    segments: list[bytes | memoryview] = []
    for index in range(wanted):
        start, size = offsets[index], sizes[index]
        rows = layout.rows
        if not tiled:
            rows = min(rows, layout.height - index % layout.down * rows)
        full = rows * layout.row_bytes
        size = min(size, 2 * full + 256)  # the worst that packing makes of it, though a tag may say more
        segment = view[start : start + size] if start >= 8 else view[:0]  # the header has 8 bytes
        if len(segment) < (full if layout.compression == 1 else 1):
            raise ValueError(f"{'tile' if tiled else 'strip'} {index + 1} of {wanted} is cut short")
        segments.append(segment)
    return segments


def _tiff_raster(
    data: bytes, layout: _TiffLayout, segments: Sequence[bytes | memoryview], notes: list[str]
) -> _Raster:
    """Decode 8 or 16-bit gray or RGB; channels beyond the first alpha are left out, which is noted.

    Pillow would halve 16 bits, OpenCV leaves memory unwritten where sizes disagree. So libtiff unpacks plain
    bytes, of which it must find exactly as many as the layout asks for, and what they mean is settled here.
    """
    if layout.predictor not in (1, 2):
        raise ValueError(f"predictor {layout.predictor} is not for integers")
    colours = 3 if layout.photometric == 2 else 1
    bands = colours + (layout.extra in (1, 2))  # associated (colours multiplied by it), unassociated alpha
    if beyond := layout.bands * layout.planes - bands:
        notes.append(f"{beyond} channel{'s' * (beyond > 1)} beyond colors and alpha left out")
    count = layout.across * layout.down
    stacks = [
        _unpack_segments(segments[plane * count : (plane + 1) * count], layout)
        for plane in range(min(layout.planes, bands) if layout.planes > 1 else 1)
    ]
    order = np.dtype(f"{'<' if data[:2] == b'II' else '>'}u{layout.bits // 8}")
    peak = 2**layout.bits - 1

    def part(stack: Image.Image, top: int, bottom: int) -> Samples:
        """Rows of the stack of segments."""
        packed = np.asarray(stack.crop((0, top, stack.width, bottom)))
        block = packed.view(order).reshape(bottom - top, layout.columns, layout.bands)
        block = block.astype(order.newbyteorder("="), copy=False)
        if layout.predictor == 2:
            block = np.add.accumulate(block, axis=1, dtype=block.dtype)
        return block

    def plane_rows(stack: Image.Image, top: int, bottom: int) -> Samples:
        if layout.across == 1:  # strips lie in the stack as in the picture
            return part(stack, top, bottom)[:, : layout.width]
        lines = []
        for line in range(top // layout.rows, -(-bottom // layout.rows)):
            first, last = (min(max(row - line * layout.rows, 0), layout.rows) for row in (top, bottom))
            starts = ((line * layout.across + tile) * layout.rows for tile in range(layout.across))
            tiles = [part(stack, start + first, start + last) for start in starts]
            lines.append(np.concatenate(tiles, axis=1)[:, : layout.width])
        return np.concatenate(lines)

    def rows(top: int, bottom: int) -> Samples:
        block = np.concatenate([plane_rows(stack, top, bottom) for stack in stacks], axis=2)[..., :bands]
        if layout.photometric == 0:
            block[..., 0] = peak - block[..., 0]
        if layout.extra == 1:
            opacity = np.maximum(block[..., -1:], 1) / np.float32(peak)
            block[..., :-1] = np.minimum(np.rint(block[..., :-1] / opacity), peak)
        return block

    return _Raster(layout.height, layout.width, bands, layout.bits, rows)


def _unpack_segments(segments: Sequence[bytes | memoryview], layout: _TiffLayout) -> Image.Image:
    """Stack the segments of one plane upon each other, as a gray picture whose pixels are their bytes."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    width, height = layout.row_bytes, layout.height if layout.across == 1 else layout.rows * len(segments)
    if layout.compression == 1 and layout.fill_order == 1:
        stack = b"".join(segment[: layout.rows * width] for segment in segments)
        return Image.frombuffer("L", (width, height), stack, "raw", "L", 0, 1)
    tags = ImageFileDirectory_v2()
    tags[ExifTags.Base.ImageWidth] = width
    tags[ExifTags.Base.ImageLength] = height
    tags[ExifTags.Base.BitsPerSample] = 8
    tags[ExifTags.Base.Compression] = layout.compression
    tags[ExifTags.Base.PhotometricInterpretation] = 1
    tags[ExifTags.Base.FillOrder] = layout.fill_order
    tags[ExifTags.Base.SamplesPerPixel] = 1
    tags[ExifTags.Base.RowsPerStrip] = layout.rows
    with _unlimited():
        image = Image.open(io.BytesIO(_tiff_file(tags, segments)), formats=("TIFF",))
        _load_tiff(image)
    return image


# Who speaks, and what: "ZIPDecode: Not enough data at scanline 30."
_LIBTIFF = rb"[\w.]+: .*\.\n"


def _load_tiff(image: Image.Image) -> None:
    """Decode; what libtiff writes to standard error is dropped, for damage raises an exception as well."""
    with _overheard(_LIBTIFF):
        image.load()


def _tiff_file(tags: Any, strips: Sequence[bytes | memoryview]) -> bytes:
    """Return a TIFF of one directory and its strips."""
    sizes = [len(strip) for strip in strips]
    tags[ExifTags.Base.StripByteCounts] = tuple(sizes)
    # Pillow adds the length of the directory, which the strips follow.
    tags[ExifTags.Base.StripOffsets] = tuple(itertools.accumulate(sizes[:-1], initial=0))
    buffer = io.BytesIO()
    tags.save(buffer)
    return b"".join([buffer.getvalue(), *strips])


def _count_pages(data: bytes) -> int:
    """Count the directories of a TIFF, as far as their chain is whole, up to 100,000."""
    order = "<" if data[:2] == b"II" else ">"
    seen: set[int] = set()
    with contextlib.suppress(struct.error):
        (start,) = struct.unpack_from(order + "I", data, 4)
        while start and start not in seen and len(seen) < 100_000:
            (entries,) = struct.unpack_from(order + "H", data, start)
            seen.add(start)
            (start,) = struct.unpack_from(order + "I", data, start + 2 + 12 * entries)
    return len(seen)


def _tag_bytes(data: bytes, tag: int) -> bytes | None:
    """Return a block in a tag of the first page, if it is of bytes, or text, or IPTC, which may be LONG."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        number, kind, size, place = struct.unpack_from(order + "HHII", data, entry)
        if number == tag and kind in (1, 2, 7, *((4,) if tag == _TIFF_IPTC else ())):
            size *= 4 if kind == 4 else 1
            block = data[place : place + size] if size > 4 else data[entry + 8 : entry + 8 + size]
            return (block.rstrip(b"\0") if kind == 2 else block) if len(block) == size else None
    return None


def _exif_of_tiff(tags: Image.Exif) -> bytes | None:
    """Gather what describes the photo from the tags of a TIFF into an EXIF block of its own."""
    exif = Image.Exif()
    _copy_texts(tags, exif)
    return exif.tobytes().removeprefix(b"Exif\0\0") if exif else None


def _copy_texts(tags: Image.Exif, target: Any) -> None:
    for tag in _TIFF_TEXTS:
        if tag in tags:
            target[tag] = tags[tag]
    for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
        if entries := tags.get_ifd(ifd):
            target[int(ifd)] = dict(entries)


def _tags_of_exif(block: bytes | None) -> Any:
    """Return the directory of a TIFF with what an EXIF block says of the photo."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    if block:
        with _unlimited():
            exif = Image.Exif()
            exif.load(block)
            _copy_texts(exif, tags)
    return tags


def _dpi_of_tiff(tags: Image.Exif) -> tuple[float, float] | None:
    dpi = _dpi((tags.get(ExifTags.Base.XResolution), tags.get(ExifTags.Base.YResolution)))
    unit = tags.get(ExifTags.Base.ResolutionUnit, 2)
    scale = {2: 1.0, 3: 2.54}.get(unit)  # dots per inch, per centimetre; 1 has no unit
    return (dpi[0] * scale, dpi[1] * scale) if dpi and scale else None


def _tiff(picture: Picture) -> bytes:
    """Encode as TIFF: deflated strips of rows, each sample less its left neighbour; TIFF 6.0, section 14."""
    metadata = picture.metadata
    bands = picture.channels + (picture.alpha is not None)
    strips = []
    for block in _quantised(picture):
        difference = block.astype(f"<u{picture.depth // 8}")  # a copy: the right side stays untouched
        difference[:, 1:] -= block[:, :-1]
        strips.append(zlib.compress(difference.data))
    tags = _tags_of_exif(metadata.exif)
    tags[ExifTags.Base.ImageWidth] = picture.width
    tags[ExifTags.Base.ImageLength] = picture.height
    tags[ExifTags.Base.BitsPerSample] = (picture.depth,) * bands
    tags[ExifTags.Base.Compression] = 8  # deflate
    tags[ExifTags.Base.Predictor] = 2  # horizontal difference
    tags[ExifTags.Base.PhotometricInterpretation] = 2 if picture.channels == 3 else 1
    tags[ExifTags.Base.SamplesPerPixel] = bands
    tags[ExifTags.Base.RowsPerStrip] = _block_rows(picture.width)
    if picture.alpha is not None:
        tags[ExifTags.Base.ExtraSamples] = 2  # unassociated alpha
    if metadata.icc:
        tags[ExifTags.Base.InterColorProfile] = metadata.icc
    if metadata.xmp:
        tags[ExifTags.Base.XMLPacket] = metadata.xmp
    if metadata.iptc:
        tags[_TIFF_IPTC] = metadata.iptc
    if metadata.photoshop:
        tags[_TIFF_PHOTOSHOP] = metadata.photoshop
    if metadata.dpi:
        tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution] = metadata.dpi
        tags[ExifTags.Base.ResolutionUnit] = 2  # inch
    return _tiff_file(tags, strips)


# JPEG

_JPEG_SIGNATURE = b"\xff\xd8"
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # SOF0 to SOF15; the others are tables
_APP13, _COM, _EOI = 0xED, 0xFE, 0xD9
_PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC_RESOURCE = 0x0404


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Split a JPEG into (marker, start and end of its payload), up to its end or as far as it goes."""
    marker, position = re.compile(rb"\xff+([^\x00\xff\xd0-\xd8])"), 0  # of no restart and no coded 255
    with contextlib.suppress(struct.error):
        while found := marker.search(data, position):
            kind, start = found[1][0], found.end()
            size = 0 if kind == _EOI else struct.unpack_from(">H", data, start)[0]
            yield kind, start + 2, start + size
            if kind == _EOI:
                return
            position = start + size


def _with_segments(metadata: Metadata, data: bytes, notes: list[str]) -> Metadata:
    """Add IPTC, Photoshop's resources and comments, and note what lies behind the image."""
    resources, comments, end = [], [], len(data)
    for kind, start, stop in _segments(data):
        payload = data[start:stop]
        if kind == _APP13 and payload.startswith(_PHOTOSHOP):
            resources.append(payload.removeprefix(_PHOTOSHOP))
        elif kind == _COM:
            comments.append(payload)
        elif kind == _EOI:
            end = start - 2
    if rest := len(data[end:].strip(b"\0\xff")):  # more than padding
        notes.append(f"{rest} bytes behind the photo, such as the video of a motion photo, are left out")
    iptc, photoshop = _split_resources(b"".join(resources))
    return replace(metadata, iptc=iptc, photoshop=photoshop, comments=tuple(comments))


def _split_resources(block: bytes) -> tuple[bytes | None, bytes | None]:
    """Part the image resources of Photoshop into the IPTC among them and the others."""
    iptc: bytes | None = None
    others, position = [], 0
    with contextlib.suppress(struct.error):
        while position < len(block):
            number, name = struct.unpack_from(">HB", block, position + 4)
            start = position + 6 + (name + 2) // 2 * 2
            (size,) = struct.unpack_from(">I", block, start)
            end = start + 4 + size + size % 2
            if number == _IPTC_RESOURCE and iptc is None:
                iptc = block[start + 4 : start + 4 + size]
            else:
                others.append(block[position:end])
            position = end
    return iptc or None, b"".join([*others, block[position:]]) or None


def _jpeg_segments(metadata: Metadata) -> bytes:
    """Return the segments that Pillow does not write."""
    resources = metadata.photoshop or b""
    if metadata.iptc:
        padding = bytes(len(metadata.iptc) % 2)
        head = struct.pack(">4sHHI", b"8BIM", _IPTC_RESOURCE, 0, len(metadata.iptc))
        resources += head + metadata.iptc + padding
    parts = [(_COM, comment) for comment in metadata.comments]
    for start in range(0, len(resources), _MARKER):
        parts.append((_APP13, _PHOTOSHOP + resources[start : start + _MARKER]))
    return b"".join(struct.pack(">BBH", 0xFF, kind, 2 + len(part)) + part for kind, part in parts)


# BMP, WebP and AVIF


def _has_fourth_byte(data: bytes) -> bool:
    """Say whether a BMP of 32 bits, none of them declared as alpha, has more than 0 or 255 in the last 8."""
    start, bits, compression = struct.unpack_from("<10xI14xHI", data.ljust(34))
    beside = np.frombuffer(data, np.uint8)[start + 3 :: 4]
    return bits == 32 and compression == 0 and not (beside.max() == 0 or beside.min() == 255)


def _is_lossless_webp(data: bytes) -> bool:
    position = 12  # behind RIFF and WEBP
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        if kind in (b"VP8 ", b"VP8L"):
            return bool(kind == b"VP8L")
        position += 24 if kind == b"ANMF" else 8 + size + size % 2  # a frame has chunks of its own
    return False


def _avif_bits(data: bytes) -> int:
    """Bits a sample, from the first configuration record; AV1 in ISO base media files, 2.3."""
    record = data.find(b"av1C") + 4
    flags = data[record + 2] if 4 <= record < len(data) - 2 else 0
    return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10


_NCLX = b"colrnclx"  # primaries, transfer and matrix of ITU-T H.273, as 16 bits each, follow


def _avif_colours(data: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the color space of an AVIF as PNG's cICP; nothing of the kinds that are shown like sRGB."""
    place = data.find(_NCLX) + len(_NCLX)
    if place < len(_NCLX) or place + 4 > len(data):
        return ()
    primaries, transfer = struct.unpack_from(">HH", data, place)
    if primaries in (1, 2) and transfer in (1, 2, 6, 13):  # unspecified, BT.709, BT.601, sRGB
        return ()
    return ((b"cICP", bytes([primaries & 255, transfer & 255, 0, 1])),)  # RGB of full range


def _with_colours(data: bytes, metadata: Metadata) -> bytes:
    """Name the color space in an AVIF that Pillow wrote as sRGB."""
    spaces = [payload for kind, payload in metadata.chunks if kind == b"cICP" and len(payload) == 4]
    place = data.find(_NCLX) + len(_NCLX)
    if not spaces or place < len(_NCLX):
        return data
    return data[:place] + struct.pack(">HH", *spaces[0][:2]) + data[place + 4 :]


# Writing


def write_picture(picture: Picture, target: Path | str, *, jpeg_quality: int = 95) -> tuple[str, ...]:
    """Write a picture in the format of the target's suffix; return what the format could not hold.

    The file appears whole or not at all; raises PictureError if that fails, and an older target stays.
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


def encode_picture(picture: Picture, format: str, *, jpeg_quality: int = 95) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes of a file of the format and one sentence for each thing it could not hold.

    PNG, TIFF, BMP and PPM keep the samples exactly, and so does WebP where the picture is `lossless`. JPEG
    (4:4:4), other WebP and AVIF are lossy; `jpeg_quality`, 1 to 100, is the quality of all three. Raises
    PictureError if the format is unknown or too narrow.
    """
    suffix_of(format)  # an unknown format ends here
    picture, losses = _fitted(picture, format)
    encoders = {"PNG": _png, "TIFF": _tiff, "PPM": _pnm}
    try:
        if format in encoders:
            return encoders[format](picture), losses
        return _pillow_bytes(picture, format, jpeg_quality), losses
    except MemoryError as error:
        raise PictureError(f"cannot encode {format}: out of memory, restore a smaller picture") from error
    except Exception as error:  # Pillow raises ValueError, OSError and others for what a format cannot take
        size = f"{picture.width} x {picture.height}"
        raise PictureError(
            f"cannot encode {size} pixels as {format}, choose PNG or TIFF ({error})"
        ) from error


def is_altered(picture: Picture, format: str) -> bool:
    """Say whether writing in the format changes samples of up to 8 bits."""
    return format in LOSSY and not (format == "WEBP" and picture.lossless)


def _fitted(picture: Picture, format: str) -> tuple[Picture, tuple[str, ...]]:
    """Cut depth and metadata down to what the format holds, and say what is lost, flattened alpha too."""
    holds, metadata, losses = _HOLDS[format], picture.metadata, []
    if picture.depth == 16 and "16 bits" not in holds:
        losses.append(f"{format} holds 8 bits a sample: rounded from 16")
        picture = replace(picture, depth=8)
    if picture.alpha is not None and "alpha" not in holds:
        losses.append(f"{format} holds no alpha: flattened onto white")
    if format == "AVIF" and picture.alpha is not None and picture.alpha.min() < picture.alpha.max():
        losses.append("AVIF alters alpha, too, by a little: PNG, TIFF and WEBP do not")
    present = {
        "EXIF": metadata.exif,
        "ICC profile": metadata.icc,
        "XMP": metadata.xmp,
        "resolution": metadata.dpi
        if "EXIF" not in holds or metadata.dpi != _dpi_of_exif(metadata.exif)
        else None,
        "PNG text": [kind for kind, _ in metadata.chunks if kind in _TEXT_CHUNKS],
        "CICP color space": [kind for kind, _ in metadata.chunks if kind == b"cICP"],
        "IPTC": metadata.iptc,
        "Photoshop resources": metadata.photoshop,
        "comments": metadata.comments,
    }
    if lost := [name for name, value in present.items() if value and name not in holds]:
        losses.append(f"{format} holds no {', '.join(lost)}: left out")
    if format == "JPEG" and metadata.exif and len(metadata.exif) > _MARKER:
        losses.append(f"JPEG holds {_MARKER} bytes of EXIF: {len(metadata.exif)} left out")
        metadata = replace(metadata, exif=None)
    if format == "JPEG" and metadata.xmp and len(metadata.xmp) > _MARKER:
        losses.append(f"JPEG holds {_MARKER} bytes of XMP: {len(metadata.xmp)} left out")
        metadata = replace(metadata, xmp=None)
    if format == "TIFF" and metadata.exif:
        try:
            _tags_of_exif(metadata.exif).save(io.BytesIO())
        except Exception:  # Pillow raises anything where a value is not of its tag's type
            losses.append("the EXIF has broken tags, which TIFF cannot hold: left out")
            metadata = replace(metadata, exif=None)
    if metadata.icc and "ICC profile" in holds and _misfits(metadata.icc, picture.channels, format):
        losses.append("the ICC profile does not fit the channels written: left out")
        metadata = replace(metadata, icc=None)
    return replace(picture, metadata=metadata), tuple(losses)


def _misfits(profile: bytes, channels: int, format: str) -> bool:
    """Gray profiles are wrong for colour, which WebP and AVIF always are; PNG forbids the reverse too."""
    is_gray = profile[16:20] == b"GRAY"  # data colour space, ICC.1:2022, 7.2.6
    if channels == 3 or format in ("WEBP", "AVIF"):
        return is_gray
    return format == "PNG" and not is_gray


def _quantised(picture: Picture, *, flatten: bool = False) -> Iterator[Samples]:
    """Round to samples of `picture.depth` bits, a block of rows at a time, H' x W x (C + alpha).

    Under `flatten` the pixels are composed onto white and alpha is left out.
    """
    peak = 2**picture.depth - 1
    for top, bottom in _blocks(picture.height, picture.width):
        block: npt.NDArray[np.floating] = picture.pixels[top:bottom]
        alpha = None
        if picture.alpha is not None:
            alpha = _rescaled(picture.alpha[top:bottom, :, None], picture.depth)
        if alpha is not None and flatten:
            opacity = alpha / np.float32(peak)
            block, alpha = block * opacity + (1 - opacity), None
        samples = np.rint(np.clip(block, 0, 1) * np.float32(peak)).astype(f"uint{picture.depth}")
        yield samples if alpha is None else np.concatenate([samples, alpha], axis=2)


def _rescaled(alpha: Samples, depth: int) -> Samples:
    if alpha.itemsize * 8 == depth:
        return alpha
    if depth == 16:
        return alpha.astype(np.uint16) * np.uint16(257)
    return np.rint(alpha / np.float32(257)).astype(np.uint8)


def _pillow_bytes(picture: Picture, format: str, quality: int = 95) -> bytes:
    """Encode 8-bit samples with Pillow; PNG gets its metadata elsewhere."""
    flatten = "alpha" not in _HOLDS[format]
    mode = ("L" if picture.channels == 1 else "RGB") + (
        "A" if picture.alpha is not None and not flatten else ""
    )
    canvas = Image.new(mode, (picture.width, picture.height))
    rows = _blocks(picture.height, picture.width)
    for (top, _), block in zip(rows, _quantised(picture, flatten=flatten), strict=True):
        canvas.paste(Image.fromarray(block[..., 0] if mode == "L" else block), (0, top))
    metadata = picture.metadata
    options: dict[str, Any] = {}
    if format != "PNG":
        options["quality"] = quality
        options["subsampling"] = "4:4:4"  # JPEG and AVIF
        options["exact"] = True  # WebP: keeps the colour under alpha 0
        if format == "WEBP" and picture.lossless:
            options |= {"lossless": True, "quality": 80}  # of the effort
        options["exif"] = b"Exif\0\0" + metadata.exif if metadata.exif else b""
        options["icc_profile"], options["xmp"] = metadata.icc or b"", metadata.xmp or b""
        if metadata.dpi:
            options["dpi"] = metadata.dpi
    if format == "JPEG":
        options["extra"] = _jpeg_segments(metadata)
    buffer = io.BytesIO()
    canvas.save(buffer, format, **options)
    return _with_colours(buffer.getvalue(), metadata) if format == "AVIF" else buffer.getvalue()


def _pnm(picture: Picture) -> bytes:
    """Encode as PGM or PPM, whichever the channels ask for."""
    magic, peak = ("P5" if picture.channels == 1 else "P6"), 2**picture.depth - 1
    header = f"{magic}\n{picture.width} {picture.height}\n{peak}\n".encode("ascii")
    big_endian = f">u{picture.depth // 8}"
    return b"".join([header, *(b.astype(big_endian).tobytes() for b in _quantised(picture, flatten=True))])
