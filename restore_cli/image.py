"""Pictures: from file to float pixels and back, losing nothing the target format can hold.

A photo is decoded once and widened to float32 by blocks of rows, so that beside the float pixels no second
full-size copy lives longer than decoding takes; writing quantises by the same blocks. Pillow reads and writes
whatever has 8 bits a sample. It would silently halve 16-bit colour, so OpenCV and tifffile read those samples
and the two small writers below (PNG, TIFF) write them.
"""

from __future__ import annotations

import contextlib
import functools
import io
import itertools
import math
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
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

# Largest picture read, in pixels: float32 RGB of this size is 6 GB, and a bomb of a few kilobytes stays out.
MAX_PIXELS = 2**29

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
_HOLDS: dict[str, frozenset[str]] = {
    "PNG": frozenset({"16 bits", "alpha", "EXIF", "ICC profile", "XMP", "resolution", "PNG text"}),
    "JPEG": frozenset({"EXIF", "ICC profile", "XMP", "resolution"}),
    "WEBP": frozenset({"alpha", "EXIF", "ICC profile", "XMP"}),
    "TIFF": frozenset({"16 bits", "alpha", "EXIF", "ICC profile", "XMP", "resolution"}),
    "BMP": frozenset({"resolution"}),
    "PPM": frozenset({"16 bits"}),
    "AVIF": frozenset({"alpha", "EXIF", "ICC profile", "XMP"}),
}

_BLOCK = 2**20  # pixels widened or quantised at a time
_MARKER = 65_500  # bytes of EXIF or XMP that fit one JPEG marker (65,533), less their signatures
_PILLOW = threading.Lock()  # held while Pillow's process-wide size limit and the warning filters are changed


@dataclass(frozen=True)
class Metadata:
    """What a file says about its pixels.

    `exif` is a TIFF block without the `Exif` signature, its orientation 1; `icc` an ICC profile; `xmp` an XMP
    packet; `dpi` the resolution across and down, in dots per inch; `chunks` the (type, payload) of the PNG
    chunks that are kept as they are: text, and the meaning of the colours (gAMA, cHRM, sRGB, cICP, ...).
    """

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    dpi: tuple[float, float] | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, eq=False)
class Picture:
    """A photo the right way up.

    `pixels` is float32, H x W x C in [0, 1], C = 1 (gray) or 3 (RGB) in the colour space of `metadata.icc`;
    `alpha` is H x W, uint8 or uint16, and passes through exactly; `depth` is 8 or 16 bits a sample, in and
    out; `format` is Pillow's name of the source's format; `notes` say what reading lost or left out;
    `jpeg_quality`, 1 to 100, is the one that a JPEG's quantization tables are closest to; `corner` is where
    its blocks start, row and column, 0 to 15: not at 0 where the photo was turned upright.
    """

    pixels: Pixels
    alpha: Samples | None = None
    depth: int = 8
    metadata: Metadata = field(default_factory=Metadata)
    format: str = "PNG"
    notes: tuple[str, ...] = ()
    jpeg_quality: int | None = None
    corner: tuple[int, int] = (0, 0)

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


def read_file(source: Path | BinaryIO) -> bytes:
    """Read the bytes of a file or of standard input; raises PictureError, one sentence, if that fails."""
    path = source if isinstance(source, Path) else "standard input"
    try:
        return source.read_bytes() if isinstance(source, Path) else source.read()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise PictureError(f"cannot read {path}: there is no such file, check its path") from error
    except IsADirectoryError as error:
        raise PictureError(f"cannot read {path}: it is a folder, name a file in it") from error
    except PermissionError as error:
        raise PictureError(f"cannot read {path}: permission denied, make it readable first") from error
    except OSError as error:
        raise PictureError(f"cannot read {path}: {error.strerror}, check its disk or pipe") from error
    except MemoryError as error:
        raise PictureError(f"cannot read {path}: it does not fit into memory, split or shrink it") from error


def read_picture(source: Path | str | bytes, name: str | None = None) -> Picture:
    """Read an image file, or its bytes, the right way up; `name` is what errors call those.

    Raises PictureError, one sentence with the file's name, for whatever cannot be read in full: no such
    file, no image, damaged or cut short, more than MAX_PIXELS, float or 32-bit samples.
    """
    data = source if isinstance(source, bytes) else read_file(Path(source))
    name = name or ("standard input" if isinstance(source, bytes) else str(source))
    try:
        return _decode(data)
    except UnidentifiedImageError as error:
        kinds = ", ".join(FORMATS)
        raise PictureError(f"cannot read {name}: it is none of {kinds}, check what it contains") from error
    except MemoryError as error:
        raise PictureError(f"cannot read {name}: it does not fit into memory, split or shrink it") from error
    except PictureError as error:
        raise PictureError(f"cannot read {name}: {error}") from None
    except Exception as error:  # decoders fed damaged bytes raise anything, IndexError and struct.error too
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


def _decode(data: bytes) -> Picture:
    if not data:
        raise PictureError("it is empty, get a fresh copy")
    if data[:4] in (b"II+\0", b"MM\0+"):
        raise PictureError("it is a BigTIFF, save it as a plain TIFF")
    if data[:4] in _TIFF_HEADERS:
        return _decode_tiff(data)
    image, frames = _open(data)
    notes = [f"only the first of {frames} frames is read"] if frames > 1 else []
    pnm = _PNM_HEADER.match(data)
    if image.format == "PNG" and data[24] == 16:  # the bit depth in IHDR
        raster = _deep_png(data, image)
    elif pnm and int(pnm[4]) > 255:
        raster = _deep_pnm(data, pnm)
    else:
        raster = _pillow_raster(image, notes)
    exif, orientation = image.info.get("exif", b"").removeprefix(b"Exif\0\0"), 1
    try:
        exif, orientation = _upright_exif(exif) if exif else (None, 1)
    except struct.error:
        exif = None
        notes.append("broken EXIF is left out")
    metadata = Metadata(
        exif=exif,
        icc=image.info.get("icc_profile") or None,
        xmp=image.info.get("xmp") or None,
        dpi=_dpi(image.info.get("dpi")),
        chunks=tuple(c for c in _chunks(data) if _is_kept(*c)) if image.format == "PNG" else (),
    )
    format = "JPEG" if image.format == "MPO" else str(image.format)
    picture = _assemble(raster, orientation, metadata, format, notes, _is_rgb_or_gray(image))
    tables = getattr(image, "quantization", None)
    if not tables:
        return picture
    height, width = picture.pixels.shape[:2]
    top = height % 16 if orientation in (3, 4, 7, 8) else 0  # where rows count backwards
    left = width % 16 if orientation in (2, 3, 6, 7) else 0
    return replace(picture, jpeg_quality=_jpeg_quality(tables), corner=(top, left))


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


def _open(data: bytes) -> tuple[Image.Image, int]:
    """Open with Pillow; return the first frame and the number of frames."""
    with _unlimited():
        image = Image.open(io.BytesIO(data), formats=tuple(FORMATS))
        _check_size(*image.size)
        frames = getattr(image, "n_frames", 1)
        if image.format == "TIFF":  # the one format whose size is checked again on decoding
            image.load()
        return image, frames


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"it has {width * height / 1e6:.0f} megapixels, above the limit of {MAX_PIXELS // 10**6}, "
            "split it first"
        )


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
    # libpng reports on stderr what it thinks of damage, which Pillow finds first, and of the other chunks.
    image.load()
    bare = (c for c in _chunks(data) if c[0] in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))
    samples = _opencv_samples(_PNG_SIGNATURE + b"".join(_chunk(*c) for c in bare))
    gray = data[25] in (0, 4)  # colour types without and with alpha, which OpenCV widens to BGRA
    order = ([0, 3] if data[25] == 4 else [0]) if gray else [2, 1, 0, 3][: samples.shape[2]]
    key = image.info.get("transparency") if gray else None  # OpenCV obeys tRNS in colour, not in gray

    def rows(top: int, bottom: int) -> Samples:
        block: npt.NDArray[np.uint16] = samples[top:bottom, :, order]
        if key is None:
            return block
        return np.concatenate([block, np.where(block == key, 0, 65535).astype(np.uint16)], axis=2)

    return _Raster(image.height, image.width, len(order) + (key is not None), 16, rows)


_PNM_HEADER = re.compile(rb"P([2356])" + rb"(?:\s|#[^\n]*\n)+(\d+)" * 3 + rb"\s")


def _deep_pnm(data: bytes, header: re.Match[bytes]) -> _Raster:
    width, height, peak = (int(number) for number in header.groups()[1:])
    bands = 3 if header[1] in b"36" else 1
    count = height * width * bands
    if header[1] in b"23":
        samples = np.array(data[header.end() :].split()[:count]).astype(np.uint16)
    else:
        samples = np.frombuffer(data, ">u2", count, header.end())
    samples = samples.reshape(height, width, bands)

    def rows(top: int, bottom: int) -> Samples:
        block: npt.NDArray[np.uint16] = np.rint(samples[top:bottom] * (65535 / peak)).astype(np.uint16)
        return block

    return _Raster(height, width, bands, 16, rows)


def _opencv_samples(data: bytes) -> npt.NDArray[np.uint16]:
    """Decode to uint16, H x W x K, in OpenCV's order gray, BGR or BGRA; raises ValueError if it cannot."""
    import cv2

    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # its decoders write to stderr what the exception says
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if samples is None or samples.dtype != np.uint16:
        raise ValueError("its samples cannot be decoded")
    return cast("npt.NDArray[np.uint16]", samples if samples.ndim == 3 else samples[..., None])


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

    It is patched in place: maker notes hold offsets that another layout would break. The thumbnail of a
    turned picture would now lie on its side, so the link to it is cut. Raises struct.error if it is broken.
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


def _dpi(value: tuple[Any, Any] | None) -> tuple[float, float] | None:
    """Return a resolution as floats; None where there is none or it is no positive number."""
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError):
        across, down = (float(number) for number in value or ())
        if 0 < across < 1e6 and 0 < down < 1e6:
            return across, down
    return None


# PNG: what Pillow does not write, 16-bit colour among it

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_COLOUR_CHUNKS = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI")


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Split a PNG into (type, payload), as far as it goes."""
    position = len(_PNG_SIGNATURE)
    while position + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + 8 + length]
        position += length + 12


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

# ImageDescription, Make, Model, Software, DateTime, Artist, HostComputer, Rating, Copyright, IPTC, Photoshop,
# the XP texts of Windows: what describes the photo. All other tags describe the layout of one file.
_TIFF_TEXTS = (270, 271, 272, 305, 306, 315, 316, 18246, 33432, 33723, 34377, *range(40091, 40096))


def _decode_tiff(data: bytes) -> Picture:
    import tifffile

    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        page: Any = tiff.pages[0]
        frames = len(tiff.pages)
    _check_size(page.imagewidth, page.imagelength)
    bits, kind = page.bitspersample, int(page.sampleformat or 1)
    if bits not in (1, 2, 4, 8, 16) or kind not in (1, 4):  # unsigned, undefined
        name = {2: "signed", 3: "float"}.get(kind, "integer")
        raise PictureError(f"its samples are {bits}-bit {name}, save it with 8 or 16 unsigned bits a sample")
    # Pillow and OpenCV turn the pixels of a TIFF, tifffile does not: let none of them see the orientation.
    data, orientation = _upright_exif(data)
    with _unlimited():
        tags = Image.Exif()
        tags.load(data)  # an EXIF block is a TIFF without pixels
        metadata = Metadata(
            exif=_exif_of_tiff(tags),
            icc=tags.get(ExifTags.Base.InterColorProfile),
            xmp=tags.get(ExifTags.Base.XMLPacket),
            dpi=_dpi_of_tiff(tags),
        )
    notes = [f"only the first of {frames} frames is read"] if frames > 1 else []
    if bits == 16 and page.photometric in (0, 1, 2):  # white is zero, black is zero, RGB
        return _assemble(_deep_tiff(data, page), orientation, metadata, "TIFF", notes)
    image, _ = _open(data)
    if bits == 16:
        notes.append(f"16-bit {image.mode} read with 8 bits a sample")
    raster = _pillow_raster(image, notes)
    return _assemble(raster, orientation, metadata, "TIFF", notes, _is_rgb_or_gray(image))


def _deep_tiff(data: bytes, page: Any) -> _Raster:
    """Decode 16-bit gray or RGB; channels beyond the first alpha are left out."""
    import tifffile

    colours = 3 if page.photometric == 2 else 1
    extra = int(page.extrasamples[0]) if page.extrasamples else 0
    bands = colours + (extra in (1, 2))  # associated (colours multiplied by it) and unassociated alpha
    height, width, stored = page.imagelength, page.imagewidth, page.samplesperpixel
    if stored == 1 or (page.planarconfig == 1 and colours == 3 and stored <= 4):
        samples = _opencv_samples(data)
        order = [2, 1, 0, 3][:bands] if colours == 3 else [0]
    else:  # OpenCV mixes up separate planes and cannot read gray with alpha; tifffile lacks LZW
        samples = tifffile.imread(io.BytesIO(data), key=0)
        planes = samples.reshape(stored, height, width) if page.planarconfig == 2 else None
        samples = samples.reshape(height, width, stored) if planes is None else np.moveaxis(planes, 0, 2)
        order = list(range(bands))

    def rows(top: int, bottom: int) -> Samples:
        block = samples[top:bottom, :, order]
        if page.photometric == 0:
            block[..., 0] = 65535 - block[..., 0]
        if extra == 1:
            opacity = np.maximum(block[..., -1:], 1) / np.float32(65535)
            block[..., :-1] = np.minimum(np.rint(block[..., :-1] / opacity), 65535)
        return block

    return _Raster(height, width, bands, 16, rows)


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


def _dpi_of_tiff(tags: Image.Exif) -> tuple[float, float] | None:
    dpi = _dpi((tags.get(ExifTags.Base.XResolution), tags.get(ExifTags.Base.YResolution)))
    unit = tags.get(ExifTags.Base.ResolutionUnit, 2)
    scale = {2: 1.0, 3: 2.54}.get(unit)  # dots per inch, per centimetre; 1 has no unit
    return (dpi[0] * scale, dpi[1] * scale) if dpi and scale else None


def _tiff(picture: Picture) -> bytes:
    """Encode as TIFF: deflated strips of rows, each sample less its left neighbour; TIFF 6.0, section 14."""
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    metadata = picture.metadata
    bands = picture.channels + (picture.alpha is not None)
    strips = []
    for block in _quantised(picture):
        difference = block.astype(f"<u{picture.depth // 8}")  # a copy: the right side stays untouched
        difference[:, 1:] -= block[:, :-1]
        strips.append(zlib.compress(difference.data))
    sizes = [len(strip) for strip in strips]
    tags = ImageFileDirectory_v2()
    if metadata.exif:
        with _unlimited():
            exif = Image.Exif()
            exif.load(metadata.exif)
            _copy_texts(exif, tags)
    tags[ExifTags.Base.ImageWidth] = picture.width
    tags[ExifTags.Base.ImageLength] = picture.height
    tags[ExifTags.Base.BitsPerSample] = (picture.depth,) * bands
    tags[ExifTags.Base.Compression] = 8  # deflate
    tags[ExifTags.Base.Predictor] = 2  # horizontal difference
    tags[ExifTags.Base.PhotometricInterpretation] = 2 if picture.channels == 3 else 1
    tags[ExifTags.Base.SamplesPerPixel] = bands
    tags[ExifTags.Base.RowsPerStrip] = _block_rows(picture.width)
    tags[ExifTags.Base.StripByteCounts] = tuple(sizes)
    # Pillow adds the length of the directory, which the strips follow.
    tags[ExifTags.Base.StripOffsets] = tuple(itertools.accumulate(sizes[:-1], initial=0))
    if picture.alpha is not None:
        tags[ExifTags.Base.ExtraSamples] = 2  # unassociated alpha
    if metadata.icc:
        tags[ExifTags.Base.InterColorProfile] = metadata.icc
    if metadata.xmp:
        tags[ExifTags.Base.XMLPacket] = metadata.xmp
    if metadata.dpi:
        tags[ExifTags.Base.XResolution], tags[ExifTags.Base.YResolution] = metadata.dpi
        tags[ExifTags.Base.ResolutionUnit] = 2  # inch
    buffer = io.BytesIO()
    tags.save(buffer)
    return b"".join([buffer.getvalue(), *strips])


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
        raise PictureError(f"cannot write {target}: {reason}") from error


def encode_picture(picture: Picture, format: str, *, jpeg_quality: int = 95) -> tuple[bytes, tuple[str, ...]]:
    """Return the bytes of a file of the format and one sentence for each thing it could not hold.

    PNG, TIFF, BMP and PPM keep the samples exactly. JPEG (4:4:4), WebP and AVIF are lossy; `jpeg_quality`,
    1 to 100, is the quality of all three. Raises PictureError if the format is unknown or too narrow.
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


def _fitted(picture: Picture, format: str) -> tuple[Picture, tuple[str, ...]]:
    """Cut depth and metadata down to what the format holds, and say what is lost, flattened alpha too."""
    holds, metadata, losses = _HOLDS[format], picture.metadata, []
    if picture.depth == 16 and "16 bits" not in holds:
        losses.append(f"{format} holds 8 bits a sample: rounded from 16")
        picture = replace(picture, depth=8)
    if picture.alpha is not None and "alpha" not in holds:
        losses.append(f"{format} holds no alpha: flattened onto white")
    present = {
        "EXIF": metadata.exif,
        "ICC profile": metadata.icc,
        "XMP": metadata.xmp,
        "resolution": metadata.dpi,
        "PNG text": [kind for kind, _ in metadata.chunks if kind in _TEXT_CHUNKS],
    }
    if lost := [name for name, value in present.items() if value and name not in holds]:
        losses.append(f"{format} holds no {', '.join(lost)}: left out")
    if format == "JPEG" and metadata.exif and len(metadata.exif) > _MARKER:
        losses.append(f"JPEG holds {_MARKER} bytes of EXIF: {len(metadata.exif)} left out")
        metadata = replace(metadata, exif=None)
    if format == "JPEG" and metadata.xmp and len(metadata.xmp) > _MARKER:
        losses.append(f"JPEG holds {_MARKER} bytes of XMP: {len(metadata.xmp)} left out")
        metadata = replace(metadata, xmp=None)
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
        options["exif"] = b"Exif\0\0" + metadata.exif if metadata.exif else b""
        options["icc_profile"], options["xmp"] = metadata.icc or b"", metadata.xmp or b""
        if metadata.dpi:
            options["dpi"] = metadata.dpi
    buffer = io.BytesIO()
    canvas.save(buffer, format, **options)
    return buffer.getvalue()


def _pnm(picture: Picture) -> bytes:
    """Encode as PGM or PPM, whichever the channels ask for."""
    magic, peak = ("P5" if picture.channels == 1 else "P6"), 2**picture.depth - 1
    header = f"{magic}\n{picture.width} {picture.height}\n{peak}\n".encode("ascii")
    big_endian = f">u{picture.depth // 8}"
    return b"".join([header, *(b.astype(big_endian).tobytes() for b in _quantised(picture, flatten=True))])
