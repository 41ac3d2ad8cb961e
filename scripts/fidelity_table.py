"""Writes the tables of what is kept into fidelity.md, by reading and writing pictures of every
kind.

    python scripts/fidelity_table.py

A test fails when the page is stale.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from PIL import ExifTags, Image, ImageCms

from restore_cli.errors import PictureError
from restore_cli.image import FORMATS, Metadata, Picture, encode_picture, is_altered, read_picture

PAGE = Path(__file__).parents[1] / "docs" / "fidelity.md"
START, END = (
    "<!-- scripts/fidelity_table.py writes what stands here -->\n",
    "<!-- and no further -->\n",
)
TITLES = {"WEBP": "WebP"}

Array = npt.NDArray[Any]


def write() -> str:
    """The page.

    Raises:
        ValueError: it does not have each of the two marks once, or something is lost without a
            warning.
    """
    head, rest = PAGE.read_text(encoding="utf-8").split(START)
    _, tail = rest.split(END)
    return f"{head}{START}\n{_kinds()}\n{_metadata()}\n{END}{tail}"


# Samples


def _photo(bands: int, bits: int = 8) -> Array:
    """24 x 33 x bands of smooth colors, as they lie in files."""
    rows, columns, band = np.mgrid[:24, :33, :bands]
    smooth = 0.5 + 0.5 * np.sin(rows / 9 + columns / 7 + band)
    samples: Array = np.rint(smooth * (2**bits - 1)).astype(np.uint16 if bits > 8 else np.uint8)
    return samples


def _saved(mode: str, format: str, **options: Any) -> bytes:
    """A file by Pillow, of one of its modes."""
    bands = {"L": 1, "LA": 2, "RGBA": 4, "CMYK": 4}.get(mode, 3)
    photo = _photo(bands)
    plain = {1: "L", 2: "LA", 3: "RGB", 4: "CMYK" if mode == "CMYK" else "RGBA"}[bands]
    image = Image.frombytes(plain, photo.shape[1::-1], photo.tobytes())
    buffer = io.BytesIO()
    (image if mode == plain else image.convert(mode)).save(buffer, format, **options)
    return buffer.getvalue()


def _deep(suffix: str, bands: int, bits: int = 16, *options: int) -> bytes:
    """A file by OpenCV, of more than 8 bits."""
    return cv2.imencode(suffix, _photo(bands, bits), options)[1].tobytes()


def _tiff(samples: Array, **options: Any) -> bytes:
    buffer, bands = io.BytesIO(), samples.shape[2]
    extra = ["unassalpha"] if bands in (2, 4) else None
    photometric = "rgb" if bands > 2 else "minisblack"
    options = {"extrasamples": extra, "photometric": photometric, "metadata": None, **options}
    tifffile.imwrite(buffer, samples if bands > 1 else samples[..., 0], **options)
    return buffer.getvalue()


def _files() -> Iterator[tuple[str, str, bytes]]:
    """(format, kind of samples, file) of everything that is worth a row."""
    for mode, words in {
        "1": "1 bit",
        "L": "gray, 8 bits",
        "LA": "gray and alpha, 8 bits",
        "P": "palette",
        "RGB": "RGB, 8 bits",
        "RGBA": "RGB and alpha, 8 bits",
    }.items():
        yield "PNG", words, _saved(mode, "PNG")
    yield "PNG", "palette, colors transparent", _saved("P", "PNG", transparency=bytes(range(256)))
    yield "PNG", "gray, one level transparent", _saved("L", "PNG", transparency=100)
    for bands, words in {1: "gray", 3: "RGB", 4: "RGB and alpha"}.items():
        yield "PNG", f"{words}, 16 bits", _deep(".png", bands)
    frames = [Image.new("RGB", (33, 24), color) for color in ("red", "blue")]
    yield "PNG", "animated", _saved("RGB", "PNG", save_all=True, append_images=frames)
    for mode, words in {"L": "gray", "RGB": "color", "CMYK": "CMYK"}.items():
        yield "JPEG", f"{words}, 8 bits", _saved(mode, "JPEG")
    for lossless in False, True:
        for mode, words in {"RGB": "RGB", "RGBA": "RGB and alpha"}.items():
            kind = f"{words}, {'lossless' if lossless else 'lossy'}"
            yield "WEBP", kind, _saved(mode, "WEBP", lossless=lossless, exact=True)
    yield "WEBP", "animated", _saved("RGB", "WEBP", save_all=True, append_images=frames)
    for bits in 8, 16:
        for bands, words in {1: "gray", 2: "gray and alpha", 3: "RGB", 4: "RGB and alpha"}.items():
            yield "TIFF", f"{words}, {bits} bits", _tiff(_photo(bands, bits))
        yield (
            "TIFF",
            f"RGB, {bits} bits, tiles",
            _tiff(_photo(3, bits), tile=(16, 16), compression="zlib"),
        )
        planes = np.ascontiguousarray(np.moveaxis(_photo(3, bits), 2, 0))
        yield (
            "TIFF",
            f"RGB, {bits} bits, planes",
            _tiff(planes, photometric="rgb", planarconfig="separate"),
        )
        extra = _tiff(_photo(4, bits), extrasamples=["unspecified"])
        yield "TIFF", f"RGB and a channel that is no alpha, {bits} bits", extra
    for mode, words in {
        "1": "1 bit",
        "P": "palette",
        "CMYK": "CMYK, 8 bits",
        "LAB": "LAB, 8 bits",
    }.items():
        yield "TIFF", words, _saved(mode, "TIFF")
    yield "TIFF", "RGB, 8 bits, JPEG inside", _saved("RGB", "TIFF", compression="jpeg")
    yield "TIFF", "several pages", _saved("RGB", "TIFF", save_all=True, append_images=frames)
    yield "TIFF", "gray, 32-bit float", _tiff(_photo(1).astype(np.float32))
    yield "TIFF", "gray, 32 bits", _tiff(_photo(1).astype(np.uint32))
    yield "TIFF", "gray, 16 bits with a sign", _tiff(_photo(1).astype(np.int16))
    yield "TIFF", "BigTIFF", _tiff(_photo(3), bigtiff=True)
    for mode, words in {
        "1": "1 bit",
        "L": "gray, 8 bits",
        "P": "palette",
        "RGB": "RGB, 8 bits",
    }.items():
        yield "BMP", words, _saved(mode, "BMP")
    yield "BMP", "32 bits, the last 8 not declared", _saved("RGBA", "BMP")
    for mode, words in {"1": "1 bit", "L": "gray, 8 bits", "RGB": "RGB, 8 bits"}.items():
        yield "PPM", words, _saved(mode, "PPM")
    yield "PPM", "gray, 16 bits", _deep(".pgm", 1)
    yield "PPM", "RGB, 16 bits", _deep(".ppm", 3)
    for mode, words in {"L": "gray", "RGB": "RGB", "RGBA": "RGB and alpha"}.items():
        yield "AVIF", f"{words}, 8 bits", _saved(mode, "AVIF", speed=10)
    for bits in 10, 12:
        options = (cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_SPEED, 9)
        yield "AVIF", f"RGB, {bits} bits", _deep(".avif", 3, bits, *options)


def _kinds() -> str:
    """A row for each kind of file: what it is read as, and what becomes of its pixels in each
    format.
    """
    rows = []
    for format, kind, data in _files():
        try:
            picture = read_picture(data)
        except PictureError as error:
            reason = str(error).removeprefix("cannot read standard input: ")
            rows.append([_title(format), kind, f"refused: {reason}", *[""] * len(FORMATS)])
            continue
        colors = "gray" if picture.channels == 1 else "RGB"
        read = f"{colors}{' and alpha' if picture.alpha is not None else ''}, {picture.depth} bits"
        read = "; ".join([read, *picture.notes])
        plain = replace(picture, metadata=Metadata(), notes=())
        rows.append([_title(format), kind, read, *(_pixels(plain, target) for target in FORMATS)])
    return f"### Pixels\n\n{_table(['format', 'samples', 'read as', *map(_title, FORMATS)], rows)}"


def _pixels(picture: Picture, format: str) -> str:
    """What becomes of the samples in a format: "exact", "lossy", or "warned"."""
    data, losses = encode_picture(picture, format)
    if losses:
        return "warned"
    again = read_picture(data)
    if is_altered(picture, format):
        return "lossy"
    gray = picture.channels < again.channels  # WebP has no gray
    pixels = again.pixels[..., :1] if gray else again.pixels
    alpha, own = np.asarray(again.alpha), np.asarray(picture.alpha)  # of None, too
    if not (np.array_equal(pixels, picture.pixels) and np.array_equal(alpha, own)):
        raise ValueError(f"{format} changes {picture.depth}-bit pixels without a warning")
    return "exact"


# Metadata

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
IPTC = b"\x1c\x02\x78\x00\x07caption"
RESOURCE = b"8BIM\x04\x0b\0\0\0\0\0\4http"


def _exif(orientation: int = 1) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make], exif[ExifTags.Base.Orientation] = "Maker", orientation
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ISOSpeedRatings: 400}
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    return exif.tobytes().removeprefix(b"Exif\0\0")


KINDS: dict[str, Metadata] = {
    "EXIF, with GPS": Metadata(exif=_exif()),
    "ICC profile": Metadata(icc=SRGB),
    "XMP": Metadata(xmp=XMP.replace(b'"6"', b'"1"')),
    "IPTC": Metadata(iptc=IPTC),
    "Photoshop resources": Metadata(photoshop=RESOURCE),
    "comments": Metadata(comments=(b"a comment",)),
    "resolution that is not in EXIF": Metadata(dpi=(300.0, 300.0)),
    "text chunks": Metadata(
        chunks=((b"tEXt", b"Title\0Cat"), (b"zTXt", b"Note\0\0" + zlib.compress(b"word")))
    ),
    "HDR color space (CICP)": Metadata(chunks=((b"cICP", bytes([9, 16, 0, 1])),)),
}


def _metadata() -> str:
    """A row for each kind of metadata: whether a format keeps it, when it is written and read
    again.
    """
    picture = read_picture(_saved("RGB", "PNG"))
    rows = [
        [kind, *(_kept(replace(picture, metadata=metadata), format) for format in FORMATS)]
        for kind, metadata in KINDS.items()
    ]
    rows.append(["orientation, undone", *map(_turned, FORMATS)])
    return f"### Metadata\n\n{_table(['kind', *map(_title, FORMATS)], rows)}"


def _kept(picture: Picture, format: str) -> str:
    """ "kept", or "warned" where a sentence says that it is left out."""
    data, losses = encode_picture(picture, format)
    found, wanted = read_picture(data).metadata, picture.metadata
    if losses:
        return "warned"
    if wanted.exif:  # a TIFF spreads it over tags of its own
        tags = [_tags(block) for block in (found.exif, wanted.exif)]
        kept = tags[0] == tags[1]
    elif wanted.dpi:
        kept = found.dpi is not None and np.allclose(found.dpi, wanted.dpi, rtol=1e-3)
    else:
        kept = all(value == getattr(found, key) for key, value in vars(wanted).items() if value)
    if not kept:
        raise ValueError(f"{format} loses {wanted} without a warning")
    return "kept"


def _tags(block: bytes | None) -> dict[Any, Any]:
    exif = Image.Exif()
    exif.load(block or b"")
    ifds = {ifd: dict(exif.get_ifd(ifd)) for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)}
    return {ExifTags.Base.Make: exif.get(ExifTags.Base.Make), **ifds}


def _turned(format: str) -> str:
    """ "upright" if a file whose EXIF says that it lies on its side is read upright."""
    if format in ("BMP", "PPM"):
        return ""  # they have none
    if format == "TIFF":
        data = _tiff(_photo(3), extratags=[(int(ExifTags.Base.Orientation), 3, 1, 6, True)])
    elif format == "PNG":
        data = _saved("RGB", format)
        chunk = b"eXIf" + _exif(6)
        chunk = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        data = data[:33] + chunk + data[33:]
    else:
        data = _saved("RGB", format, exif=b"Exif\0\0" + _exif(6))
    picture = read_picture(data)
    again = read_picture(encode_picture(picture, format)[0])
    if not (picture.height, picture.width) == (again.height, again.width) == (33, 24):
        raise ValueError(f"{format} is not turned upright once")
    return "upright"


def _title(format: str) -> str:
    return TITLES.get(format, format)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(cells)} |\n" for cells in (head, *rows))
    return f"{next(lines)}|{'---|' * len(head)}\n{''.join(lines)}"


if __name__ == "__main__":
    PAGE.write_text(write(), encoding="utf-8")
