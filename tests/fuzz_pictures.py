"""Damaged and hostile photos in all formats, created by seeds, and a check of the results.

Each case is a file that one command restores. The command must end properly (see fuzzing.py). If
the file is read, its pixels must not depend on what was read before, must equal those of another
reader that supports the file, and must be in the output. If it is refused, there must be no output.
"""

from __future__ import annotations

import io
import logging
import os
import random
import re
import shutil
import struct
import tempfile
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import tifffile
from fuzzing import Case, Verdict, garble, invoke
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, TiffImagePlugin

from restore_cli.archs.unet import UNet
from restore_cli.errors import PictureError
from restore_cli.image import (
    FORMATS,
    LOSSY,
    Metadata,
    Picture,
    encode_picture,
    find_damage,
    read_picture,
)
from restore_cli.levels import Range
from restore_cli.models import checkpoint
from restore_cli.models.header import Header

Array = npt.NDArray[Any]

logging.getLogger("tifffile").disabled = True  # it reports damage

SIDES = 41, 54  # of the seeds; one is odd, and neither is a multiple of a block
MOST = 2 * 10**6  # pixels of a case that is restored; more take long
CLOSE = {"JPEG": 3, "AVIF": 4}  # how much two decoders may differ, of 255; 0 for the other formats


@dataclass(frozen=True)
class Seeds:
    """Photos by file name, with the suffix of their format, and the folder of the network."""

    folder: Path
    pictures: Mapping[str, bytes]

    @property
    def model(self) -> Path:
        """A checkpoint of a network that changes nothing."""
        return self.folder / "identity.safetensors"


@dataclass(frozen=True)
class Damaged(Case):
    """A file to restore, and two files that are read before it and must not affect it."""

    before: tuple[bytes, bytes]

    @property
    def output(self) -> Path:
        """The output of the command."""
        return Path(self.commands[0][self.commands[0].index("-o") + 1])


def plant(folder: Path) -> Seeds:
    """Create the seeds: every supported kind of image, and some unsupported ones."""
    network = UNet(channels=1, widths=[4, 4])
    network.init_weights()
    header = Header(
        task="denoise",
        arch="unet:UNet",
        params={"channels": 1, "widths": [4, 4]},
        channels=1,
        conditions={"sigma": Range(0, 75)},
    )
    seeds = Seeds(folder, {})
    checkpoint.save(network, seeds.model, header)
    rng = np.random.default_rng(0)
    return Seeds(
        folder,
        {
            name: data
            for make in (_pngs, _tiffs, _jpegs, _others, _libraries)
            for name, data in make(rng)
        },
    )


def _photo(rng: np.random.Generator, bands: int, bits: int = 8) -> Array:
    """Smooth colors with noise, H x W x bands, in the lowest bits of uint8 or uint16."""
    coarse = rng.uniform(0, 1, (4, 5, bands))
    smooth = cv2.resize(coarse, SIDES[::-1], interpolation=cv2.INTER_CUBIC).reshape(*SIDES, bands)
    noisy = smooth + rng.normal(0, 0.03, smooth.shape)
    return np.rint(noisy.clip(0, 1) * (2**bits - 1)).astype(np.uint16 if bits > 8 else np.uint8)


def _image(rng: np.random.Generator, mode: str) -> Image.Image:
    """A photo in a mode of Pillow."""
    bands = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}.get(mode)
    if bands is None:
        return _image(rng, "L" if mode == "1" else "RGB").convert(mode)
    photo = _photo(rng, bands)
    if bands == 1:
        return Image.fromarray(photo[..., 0])
    return Image.fromarray(photo, mode) if mode == "CMYK" else Image.fromarray(photo)


def _saved(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def _exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 300.0
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.ISOSpeedRatings: 400,
        ExifTags.Base.MakerNote: b"secret note",
    }
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    return exif.tobytes()


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
IPTC = b"\x1c\x02\x78\x00\x07caption\x1c\x02\x19\x00\x04word"
RESOURCES = (
    b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IPTC)) + IPTC + b"8BIM\x04\x0b\0\0\0\0\0\1u\0"
)


# PNG exactly by the standard, because Pillow does not write all depths or interlaced files

COLOR_TYPES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # and their samples per pixel
PASSES = [
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]


def _chunk(kind: bytes, payload: bytes) -> bytes:
    return (
        struct.pack(">I", len(payload))
        + kind
        + payload
        + struct.pack(">I", zlib.crc32(kind + payload))
    )


def _scanlines(samples: Array, depth: int) -> bytes:
    """Rows of packed samples, each after the filter type "none"."""
    rows = samples.reshape(len(samples), -1)
    if depth == 16:
        packed = rows.astype(">u2").view(np.uint8).reshape(len(rows), -1)
    else:
        bits = np.unpackbits(rows.astype(np.uint8)[..., None], axis=2)[..., 8 - depth :]
        packed = np.packbits(bits.reshape(len(rows), -1), axis=1)
    return np.pad(packed, ((0, 0), (1, 0))).tobytes()


def _png(
    samples: Array, colors: int, depth: int, *extra: tuple[bytes, bytes], adam7: bool = False
) -> bytes:
    height, width, _ = samples.shape
    parts = (
        [samples[top::down, left::across] for top, left, down, across in PASSES]
        if adam7
        else [samples]
    )
    packed = zlib.compress(b"".join(_scanlines(part, depth) for part in parts if part.size))
    header = struct.pack(">IIBBBBB", width, height, depth, colors, 0, 0, adam7)
    half = len(packed) // 2
    body = [
        (b"IHDR", header),
        *extra,
        (b"IDAT", packed[:half]),
        (b"IDAT", packed[half:]),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*one) for one in body)


def _pngs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for colors, depths in {
        0: (1, 2, 4, 8, 16),
        2: (8, 16),
        3: (1, 2, 4, 8),
        4: (8, 16),
        6: (8, 16),
    }.items():
        for depth in depths:
            samples = _photo(rng, COLOR_TYPES[colors], depth)
            palette = [(b"PLTE", rng.integers(0, 256, 3 * 2**depth, np.uint8).tobytes())] * (
                colors == 3
            )
            name = f"png-{colors}-{depth}"
            yield f"{name}.png", _png(samples, colors, depth, *palette)
            yield f"{name}-adam7.png", _png(samples, colors, depth, *palette, adam7=True)
            if colors < 4:
                key = (
                    samples[0, 0].astype(">u2").tobytes() if colors < 3 else bytes(range(2**depth))
                )
                yield f"{name}-key.png", _png(samples, colors, depth, *palette, (b"tRNS", key))
    said = [
        (b"gAMA", struct.pack(">I", 45455)),
        (b"cICP", bytes([9, 16, 0, 1])),
        (b"iCCP", b"name\0\0" + zlib.compress(SRGB)),
        (b"pHYs", struct.pack(">IIB", 11811, 5906, 1)),
        (b"eXIf", _exif(6).removeprefix(b"Exif\0\0")),
        (b"tEXt", b"Title\0Cat"),
        (b"zTXt", b"Comment\0\0" + zlib.compress(b"words " * 99)),
        (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)),
        (b"bKGD", bytes(6)),
        (b"tIME", bytes(7)),
    ]
    for depth in (8, 16):
        yield f"png-said-{depth}.png", _png(_photo(rng, 3, depth), 2, depth, *said)
    texts = PngImagePlugin.PngInfo()
    texts.add_itxt("Author", "Ann", "en", "Author")
    frames = [_image(rng, "RGB") for _ in range(2)]
    yield (
        "png-frames.png",
        _saved(frames[0], "PNG", save_all=True, append_images=frames[1:], pnginfo=texts),
    )


# The other formats


def tiff(samples: Array, **options: Any) -> bytes:
    buffer, bands = io.BytesIO(), samples.shape[2]
    if bands in (2, 4):
        options.setdefault("extrasamples", ["unassalpha"])
    options.setdefault("photometric", "rgb" if bands > 2 else "minisblack")
    if options.get("planarconfig") == "separate":
        samples = np.moveaxis(samples, 2, 0)
    elif bands == 1:
        samples = samples[..., 0]
    tifffile.imwrite(buffer, np.ascontiguousarray(samples), **{"metadata": None, **options})
    return buffer.getvalue()


def _tiffs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    layouts: dict[str, dict[str, Any]] = {
        "strips": {"rowsperstrip": 10},
        "whole": {},
        "tiles": {"tile": (16, 32), "compression": "zlib", "predictor": True},
        "planes": {"planarconfig": "separate", "rowsperstrip": 7, "byteorder": ">"},
        "tiled-planes": {"planarconfig": "separate", "tile": (32, 16), "compression": "zlib"},
        "big-endian": {"byteorder": ">", "compression": "lzma", "rowsperstrip": 16},
    }
    for bits in 8, 16:
        for bands in 1, 2, 3, 4:
            for name, layout in layouts.items():
                if bands > 1 or "planarconfig" not in layout:
                    data = tiff(_photo(rng, bands, bits), **layout)
                    yield f"tiff-{bits}-{bands}-{name}.tif", data
        white = tiff(_photo(rng, 1, bits), photometric="miniswhite", rowsperstrip=9)
        yield f"tiff-{bits}-white.tif", white
        multiplied = tiff(_photo(rng, 4, bits), extrasamples=["assocalpha"], rowsperstrip=9)
        yield f"tiff-{bits}-multiplied.tif", multiplied
        yield (
            f"tiff-{bits}-five.tif",
            tiff(_photo(rng, 5, bits), extrasamples=["unspecified", "unassalpha"]),
        )
    yield "tiff-float.tif", tiff(_photo(rng, 3).astype(np.float32) / 255)
    yield "tiff-double.tif", tiff(_photo(rng, 1).astype(np.float64))
    yield "tiff-signed.tif", tiff(_photo(rng, 1).astype(np.int16))
    yield "tiff-32.tif", tiff(_photo(rng, 1).astype(np.uint32), tile=(16, 16))
    packings = {
        "1": (None, "group3", "group4", "tiff_lzw"),
        "L": (None, "tiff_lzw", "packbits", "jpeg", "zstd"),
        "P": (None, "tiff_lzw"),
        "RGB": ("tiff_lzw", "packbits", "jpeg", "tiff_adobe_deflate", "zstd"),
        "RGBA": ("tiff_lzw",),
        "CMYK": (None, "tiff_lzw", "jpeg"),
        "YCbCr": (None, "jpeg"),
        "LAB": (None,),
    }
    for mode, kinds in packings.items():
        for kind in kinds:
            yield f"tiff-{mode}-{kind}.tif", _saved(_image(rng, mode), "TIFF", compression=kind)
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[ExifTags.Base.ImageDescription], tags[ExifTags.Base.Artist] = "A cat", "Ann"
    tags[33723], tags[34377], tags[700], tags.tagtype[33723] = IPTC, RESOURCES, XMP, 1
    for orientation in (1, 3, 6, 8):
        tags[ExifTags.Base.Orientation] = orientation
        options = {
            "tiffinfo": tags,
            "icc_profile": SRGB,
            "dpi": (300, 200),
            "compression": "tiff_lzw",
        }
        yield f"tiff-said-{orientation}.tif", _saved(_image(rng, "RGB"), "TIFF", **options)
    pages = [_image(rng, mode) for mode in ("RGB", "L")]
    yield "tiff-pages.tif", _saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])


def _jpegs(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    for mode in "L", "RGB", "CMYK":
        yield f"jpeg-{mode}.jpg", _saved(_image(rng, mode), "JPEG", quality=90)
        yield (
            f"jpeg-{mode}-progressive.jpg",
            _saved(_image(rng, mode), "JPEG", quality=60, progressive=True),
        )
    for sampling in "4:4:4", "4:2:2", "4:2:0":
        yield f"jpeg-{sampling}.jpg", _saved(_image(rng, "RGB"), "JPEG", subsampling=sampling)
    yield "jpeg-restarts.jpg", _saved(_image(rng, "RGB"), "JPEG", restart_marker_blocks=2)
    yield "jpeg-keep-rgb.jpg", _saved(_image(rng, "RGB"), "JPEG", keep_rgb=True)
    yield (
        "jpeg-cmyk-icc.jpg",
        _saved(_image(rng, "CMYK"), "JPEG", icc_profile=SRGB[:16] + b"CMYK" + SRGB[20:]),
    )
    for orientation in range(1, 9):
        said = {"exif": _exif(orientation), "xmp": XMP, "comment": b"a comment", "dpi": (300, 200)}
        resources = b"Photoshop 3.0\0" + RESOURCES
        said |= {
            "icc_profile": SRGB,
            "extra": struct.pack(">HH", 0xFFED, 2 + len(resources)) + resources,
        }
        yield f"jpeg-said-{orientation}.jpg", _saved(_image(rng, "RGB"), "JPEG", **said)
    both = [_image(rng, "RGB") for _ in range(2)]
    yield "jpeg-two.jpg", _saved(both[0], "MPO", save_all=True, append_images=both[1:])


def _others(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    said: dict[str, Any] = {"exif": _exif(6), "xmp": XMP, "icc_profile": SRGB}
    frames = {"save_all": True, "append_images": [_image(rng, "RGBA")]}
    for mode in "RGB", "RGBA":
        for name, options in {"lossy": {}, "lossless": {"lossless": True, "exact": True}}.items():
            yield f"webp-{mode}-{name}.webp", _saved(_image(rng, mode), "WEBP", **options)
            yield (
                f"webp-{mode}-{name}-said.webp",
                _saved(_image(rng, mode), "WEBP", **options, **said),
            )
            yield (
                f"webp-{mode}-{name}-frames.webp",
                _saved(_image(rng, mode), "WEBP", **options, **frames),
            )
    for mode in "L", "LA", "RGB", "RGBA":
        yield f"avif-{mode}.avif", _saved(_image(rng, mode), "AVIF", speed=10)
        yield (
            f"avif-{mode}-said.avif",
            _saved(_image(rng, mode), "AVIF", speed=10, subsampling="4:4:4", **said),
        )
    if cv2.haveImageWriter("x.avif"):
        for bits in 10, 12:
            photo, options = (
                _photo(rng, 3, bits),
                [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_SPEED, 9],
            )
            yield f"avif-{bits}.avif", cv2.imencode(".avif", photo, options)[1].tobytes()
    for mode in "1", "L", "P", "RGB", "RGBA":
        yield f"bmp-{mode}.bmp", _saved(_image(rng, mode), "BMP", dpi=(300, 200))
    for mode in "1", "L", "RGB":
        yield f"pnm-{mode}.ppm", _saved(_image(rng, mode), "PPM")
    for bands, magics in {1: "25", 3: "36"}.items():
        for magic in magics:
            for peak in 100, 255, 1000, 65535:
                photo = (_photo(rng, bands, 16) // (65536 / (peak + 1))).astype(np.uint16)
                text = " ".join(map(str, photo.ravel())) if magic in "23" else ""
                body = text.encode() or photo.astype(">u2" if peak > 255 else np.uint8).tobytes()
                header = f"P{magic}\n# of a test\n{SIDES[1]} {SIDES[0]} {peak}\n"
                yield f"pnm-P{magic}-{peak}.ppm", header.encode() + body


def _libraries(rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """GIF, and formats that need the extra `formats`."""
    import pillow_heif

    for mode in "L", "P", "RGBA":
        yield f"gif-{mode}.gif", _saved(_image(rng, mode), "GIF")
    frames = [_image(rng, "RGBA") for _ in range(3)]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "disposal": 2}
    yield "gif-frames.gif", _saved(frames[0], "GIF", comment=b"words", **options)
    size = SIDES[1], SIDES[0]
    for mode, bands in {"L": 1, "RGB": 3, "RGBA": 4}.items():
        for bits in 8, 10:
            buffer = io.BytesIO()
            photo = _photo(rng, bands, bits).tobytes()
            file = pillow_heif.from_bytes(mode if bits == 8 else f"{mode};{bits}", size, photo)
            file.save(buffer, exif=_exif(6), xmp=XMP, icc_profile=SRGB)
            yield f"heif-{mode}-{bits}.heic", buffer.getvalue()
    said = Metadata(exif=_exif(1).removeprefix(b"Exif\0\0"), xmp=XMP)
    for bands in 1, 3:
        pixels = (_photo(rng, bands) / np.float32(255)).astype(np.float32)
        for lossless in False, True:
            picture = Picture(pixels, metadata=said if lossless else Metadata(), lossless=lossless)
            yield f"jxl-{bands}-{lossless}.jxl", encode_picture(picture, "JXL")[0]
    tags: list[tuple[int, int, int, Any, bool]] = [
        (271, 2, 0, "Maker", True),
        (274, 3, 1, 6, True),
        (33421, 3, 2, (2, 2), True),  # CFARepeatPatternDim
        (33422, 1, 4, bytes([0, 1, 1, 2]), True),  # CFAPattern
        (50706, 1, 4, bytes([1, 4, 0, 0]), True),  # DNGVersion
        (50717, 4, 1, 16383, True),  # WhiteLevel
        (
            50721,
            10,
            9,
            (1, 1, 0, 1, 0, 1, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1, 1, 1),
            True,
        ),  # ColorMatrix1
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),  # AsShotNeutral
    ]
    for layout in ({}, {"tile": (16, 16)}, {"byteorder": ">"}):
        yield (
            f"dng-{len(layout)}-{'tile' in layout}.dng",
            tiff(_photo(rng, 1, 14), photometric=32803, extratags=tags, **layout),
        )


# Mutations


@dataclass
class Anatomy:
    """Numbers in a file as (offset, struct format), and blocks as (start, end)."""

    numbers: list[tuple[int, str]]
    blocks: list[tuple[int, int]]


def dissect(data: bytes) -> Anatomy:
    """Find the parts of a file by its format, as far as it is intact."""
    found = Anatomy([], [])
    dissectors = {
        b"\x89P": _dissect_png,
        b"\xff\xd8": _dissect_jpeg,
        b"II": _dissect_tiff,
        b"MM": _dissect_tiff,
        b"RI": _dissect_webp,
        b"BM": _dissect_bmp,
    }
    with suppress(struct.error, IndexError):
        in_boxes = data[4:8] in (b"ftyp", b"JXL ")
        dissectors.get(data[:2], _dissect_avif if in_boxes else _dissect_text)(data, found)
    found.numbers = [one for one in found.numbers if one[0] + struct.calcsize(one[1]) <= len(data)]
    return found


def _dissect_png(data: bytes, found: Anatomy) -> None:
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.numbers += [(at, ">I"), (at + 4, ">I")]
        if data[at + 4 : at + 8] != b"IDAT":
            found.numbers += [(at + 8 + place, ">I") for place in range(0, min(length, 32), 4)]
            found.numbers += [(at + 8 + place, "B") for place in range(min(length, 32))]
        found.blocks.append((at, at + 12 + length))
        at += 12 + length


def _dissect_jpeg(data: bytes, found: Anatomy) -> None:
    at = 2
    while data[at] == 0xFF:
        (length,) = struct.unpack_from(">H", data, at + 2)
        found.numbers += [(at + 1, "B"), (at + 2, ">H")]
        if 0xC0 <= data[at + 1] <= 0xDE:  # frames, tables, scans
            found.numbers += [(at + 4 + place, "B") for place in range(min(length, 24))]
            found.numbers += [(at + 5, ">H"), (at + 7, ">H")]  # height and width of a frame
        found.blocks.append((at, at + 2 + length))
        at += 2 + length


def _dissect_tiff(data: bytes, found: Anatomy) -> None:
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    found.numbers += [(4, order + "I"), (start, order + "H"), (start + 2 + 12 * count, order + "I")]
    for entry in range(start + 2, start + 2 + 12 * count, 12):
        kind, size, place = struct.unpack_from(order + "2xHII", data, entry)
        found.numbers += [(entry, order + "H"), (entry + 2, order + "H"), (entry + 4, order + "I")]
        found.numbers += [(entry + 8, order + ("H" if kind == 3 else "I"))] * 3
        form = {3: "H", 4: "I"}.get(kind, "B")
        if size * struct.calcsize(form) > 4:
            places = (place + index * struct.calcsize(form) for index in range(min(size, 8)))
            found.numbers += [(one, order + form) for one in places]
        found.blocks.append((entry, entry + 12))


def _dissect_webp(data: bytes, found: Anatomy) -> None:
    found.numbers.append((4, "<I"))
    at = 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        found.numbers += [(at, "<I"), (at + 4, "<I")]
        found.numbers += [(at + 8 + place, "B") for place in range(min(length, 16))]
        found.blocks.append((at, at + 8 + length + length % 2))
        inside = data[at : at + 4] == b"ANMF"
        at += 24 if inside else 8 + length + length % 2


def _dissect_avif(data: bytes, found: Anatomy, start: int = 0, end: int | None = None) -> None:
    at = start
    while at + 8 <= (end or len(data)):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        found.numbers += [(at, ">I"), (at + 4, ">I")]
        if kind != b"mdat":
            found.numbers += [(at + 8 + place, ">I") for place in range(0, min(length, 48), 4)]
            found.numbers += [(at + 8 + place, "B") for place in range(min(length, 48))]
        found.blocks.append((at, at + length))
        if kind in (b"meta", b"iprp", b"ipco") and length >= 8:
            _dissect_avif(data, found, at + (12 if kind == b"meta" else 8), at + length)
        at += max(length, 8)


def _dissect_bmp(data: bytes, found: Anatomy) -> None:
    found.numbers += [(place, "<I") for place in (2, 10, 14, 18, 22, 30, 34, 38, 42, 46, 50)]
    found.numbers += [(26, "<H"), (28, "<H")] * 2
    found.blocks += [(14, 54), (54, 58)]


def _dissect_text(data: bytes, found: Anatomy) -> None:
    """The words of the header of a PNM."""
    found.blocks += [match.span() for match in re.finditer(rb"\S+", data[:60])]
    found.numbers.append((1, "B"))


NUMBERS = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 255, 256, 257, 4096, 30000, 32767, 65535, 65536]
NUMBERS += [2**24, 2**31 - 1, 2**31, 2**32 - 1]


def edit(rng: random.Random, data: bytes) -> bytes:
    """Change numbers of the format, or repeat, remove or reorder blocks."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        found = dissect(bytes(changed))
        if found.numbers and rng.random() < 0.7:
            at, form = rng.choice(found.numbers)
            (old,) = struct.unpack_from(form, changed, at)
            near = [old - 1, old + 1, old * 2, old // 2, old ^ 1 << rng.randrange(32), len(changed)]
            number = rng.choice(NUMBERS if rng.random() < 0.6 else near)
            struct.pack_into(form, changed, at, number % 256 ** struct.calcsize(form))
        elif found.blocks:
            (start, end), (other, stop) = rng.choice(found.blocks), rng.choice(found.blocks)
            block = bytes(changed[start:end])
            match rng.randrange(4):
                case 0:
                    del changed[start:end]
                case 1:
                    changed[other:other] = block
                case 2:
                    changed[other:stop] = block
                case _ if block.isdigit():  # of a PNM
                    changed[start:end] = str(rng.choice(NUMBERS)).encode()
                case _:
                    changed[start:end] = garble(rng, block)
    return bytes(changed)


def flip(rng: random.Random, data: bytes) -> bytes:
    """Flip some bits."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def splice(rng: random.Random, data: bytes, other: bytes) -> bytes:
    """Join the beginning of one file and the end of another."""
    return data[: rng.randrange(len(data))] + other[rng.randrange(len(other)) :]


def repack(rng: random.Random, data: bytes) -> bytes:
    """Change the scan lines of a PNG, and pack them correctly."""
    found = dissect(data).blocks
    packed = b"".join(
        data[start + 8 : end - 4] for start, end in found if data[start + 4 : start + 8] == b"IDAT"
    )
    try:
        plain = zlib.decompress(packed)
    except zlib.error:
        return data
    chunks = [
        data[start:end]
        for start, end in found
        if data[start + 4 : start + 8] not in (b"IDAT", b"IEND")
    ]
    body = zlib.compress(garble(rng, plain))
    return data[:8] + b"".join([*chunks, _chunk(b"IDAT", body), _chunk(b"IEND", b"")])


def heal(data: bytes) -> bytes:
    """Correct the checksums of a PNG, so that the damage is read."""
    healed = bytearray(data)
    for start, end in dissect(data).blocks if data.startswith(b"\x89PNG") else ():
        if end <= len(healed):
            struct.pack_into(">I", healed, end - 4, zlib.crc32(healed[start + 4 : end - 4]))
    return bytes(healed)


def make(seeds: Seeds, seed: int) -> Damaged:
    """Create the case of a seed."""
    rng = random.Random(seed)
    kinds = ("png", "png", "tiff", "tiff", "tiff", "jpeg", "webp", "avif", "bmp", "pnm")
    kind = rng.choice((*kinds, "gif", "heif", "jxl", "dng"))
    alike = [name for name in seeds.pictures if name.startswith(kind)]
    name, *others = rng.choices(alike, k=4)
    data = seeds.pictures[name]
    match rng.randrange(10):
        case 0:
            data = data[: rng.randrange(len(data))]
        case 1:
            data = splice(
                rng,
                data,
                seeds.pictures[others[0] if rng.random() < 0.7 else rng.choice([*seeds.pictures])],
            )
        case 2:
            data = garble(rng, data)
        case 3 | 4:
            data = flip(rng, data)
        case 5 if kind == "png":
            data = repack(rng, data)
        case _:
            data = edit(rng, data)
    if kind == "png" and rng.random() < 0.7:
        data = heal(data)
    work = seeds.folder / "case"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    file = work / f"case{Path(name).suffix}"
    file.write_bytes(data)
    suffix = rng.choice([suffixes[0] for suffixes in FORMATS.values()] + [".png", ".tif"])
    words = (
        ("--strength", "0") if rng.random() < 0.6 else ("--sigma", "9", "--max-pixels", str(MOST))
    )
    command = (
        "denoise",
        str(file),
        "-o",
        str(work / f"new{suffix}"),
        *words,
        "--model",
        str(seeds.model),
    )
    return Damaged(file, (command,), (seeds.pictures[others[1]], seeds.pictures[others[2]]))


# Results


@contextmanager
def overheard() -> Iterator[list[bytes]]:
    """Collect what libraries print to standard error; filled when the context ends."""
    said: list[bytes] = []
    own = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(own, 2)
            os.close(own)
            caught.seek(0)
            said.append(caught.read())


def samples_of(picture: Picture) -> Array:
    """The colors as integers of its depth, followed by alpha."""
    colors = np.rint(picture.pixels.astype(np.float64) * (2**picture.depth - 1)).astype(
        f"uint{picture.depth}"
    )
    return colors if picture.alpha is None else np.dstack([colors, picture.alpha])


def ask_another(data: bytes) -> Array | None:
    """The upright pixels of another reader, H x W x C, uint8 or uint16; None if none supports it.

    The reader is tifffile or Pillow for TIFF, where `restore` only uses Pillow for unpacking, and
    OpenCV for all others. If an EXIF tag is broken, it is Pillow: OpenCV reads no tags after it.
    """
    if data[:2] in (b"II", b"MM"):
        return _ask_tifffile(data) if (found := _ask_pillow(data)) is None else found
    if (found := _ask_by_broken_exif(data)) is not None:
        return found
    mode = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR
    with suppress(cv2.error), overheard():
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
        if samples is None or samples.dtype not in (np.uint8, np.uint16):
            return None
        if re.match(rb"P[2356]", data) and not re.match(
            rb"P.(\s|#.*\n)+\d+\s+\d+\s+(255|65535)\s", data
        ):
            return None  # it treats other maxima as 255 or 65535
        if data[:4] == b"\x89PNG" and b"acTL" in data:
            return None  # it reads the first frame, which may not be the photo
        if data[4:8] == b"ftyp" and (samples.dtype == np.uint16 or b"Exif" in data):
            return None  # it keeps 10 bits, and does not rotate a photo upright
        if data[:2] == b"BM" and _is_palette_odd(data):
            return None
        return samples[..., None] if samples.ndim == 2 else samples[..., 2::-1]
    return None


def _is_palette_odd(data: bytes) -> bool:
    """Whether the pixels of a BMP may overlap or exceed its palette, where readers differ."""
    (start, header), (bits,) = (
        struct.unpack_from("<II", data, 10),
        struct.unpack_from("<H", data, 28),
    )
    (colors,) = struct.unpack_from("<I", data, 46)
    within = bits <= 8 and start < 14 + header + 4 * (colors or 2**bits)
    return within or 0 < colors < 2**bits


def _ask_pillow(data: bytes) -> Array | None:
    with suppress(Exception), overheard(), Image.open(io.BytesIO(data), formats=("TIFF",)) as image:
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        multiplied = 1 in tags.get(ExifTags.Base.ExtraSamples, ())
        # An orientation in XMP alone.
        turned = ExifTags.Base.Orientation not in tags and b"tiff:Orientation" in data
        deep = max(tags.get(ExifTags.Base.BitsPerSample, (1,))) > 8  # which it would reduce to 8
        if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA") and not (
            multiplied or turned or deep
        ):
            return np.asarray(image.convert("RGB"))
    return None


def _ask_by_broken_exif(data: bytes) -> Array | None:
    """A photo rotated upright by an intact orientation, if another EXIF tag is broken."""
    with suppress(Exception), overheard(), Image.open(io.BytesIO(data)) as image:
        image.info.pop("xmp", None)  # Pillow would use its orientation if EXIF has none
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            upright = ImageOps.exif_transpose(image)
        if said and image.format in ("JPEG", "WEBP"):
            return np.asarray(upright.convert("RGB"))
    return None


def _ask_tifffile(data: bytes) -> Array | None:
    with suppress(Exception), tifffile.TiffFile(io.BytesIO(data)) as file:
        page: Any = file.pages[0]
        bits, colors = page.bitspersample, {0: 1, 1: 1, 2: 3}.get(page.photometric)
        if (
            bits not in (8, 16)
            or not colors
            or page.predictor not in (1, 2)
            or 1 in page.extrasamples
        ):
            return None
        if page.tags.valueof(ExifTags.Base.Orientation, 1) != 1:
            return None
        samples = page.asarray()
        if samples.dtype != f"uint{bits}" or samples.ndim > 3:
            return None
        if page.planarconfig == 2 and samples.ndim == 3:
            samples = np.moveaxis(samples, 0, 2)
        samples = samples.reshape(page.imagelength, page.imagewidth, -1)[..., :colors]
        return 2**bits - 1 - samples if page.photometric == 0 else samples
    return None


def compare(data: bytes, picture: Picture) -> tuple[str, list[str]]:
    """Whether another reader supports the file, and how its pixels differ from the picture."""
    own = samples_of(picture)[..., : picture.channels]
    other = ask_another(data)
    # Others may use broken EXIF data to rotate.
    if other is None or "Broken EXIF data was left out." in picture.notes:
        return "not compared", []
    if other.dtype != own.dtype or other.shape[:2] != own.shape[:2]:
        return "compared", [
            f"{own.dtype} {own.shape}, another reader has {other.dtype} {other.shape}"
        ]
    own, other = (np.broadcast_to(one, (*one.shape[:2], 3)).astype(int) for one in (own, other))
    difference = np.abs(own - other).max(initial=0) * 255 / (2**picture.depth - 1)
    allowed = CLOSE.get(picture.format, 0)
    return "compared", [f"pixels differ by {difference:.2f} of 255"] if difference > allowed else []


def examine(case: Damaged) -> Verdict:
    """Run a case and check its result."""
    data = case.file.read_bytes()
    with overheard() as said:
        code, fault = invoke(case.commands[0])
    faults = [fault] * bool(fault)
    if said[0]:
        faults.append(f"standard error has {said[0][:300]!r}")
    if case.file.read_bytes() != data:
        faults.append("the input was changed")
    left = {path.name for path in case.file.parent.iterdir()} - {case.file.name}
    if left != ({case.output.name} if code == 0 else set()):
        faults.append(f"exit code {code} leaves {', '.join(sorted(left)) or 'nothing'}")
    kind = case.file.suffix[1:]
    try:
        pictures = []
        for before in case.before:
            with suppress(PictureError):
                read_picture(before)
            pictures.append(read_picture(data))
    except PictureError as error:
        too_large = "megapixels" in str(error) or "memory" in str(error)
        damaged = (
            "too large"
            if too_large
            else "damaged"
            if "damaged" in str(error)
            else "of another kind"
        )
        faults += ["it is restored, but cannot be read"] * (code == 0)
        return Verdict(f"{kind}: refused, {damaged}", faults)
    first, second = pictures
    if not np.array_equal(first.pixels, second.pixels) or not np.array_equal(
        first.alpha, second.alpha
    ):
        faults.append("two readings differ")
    if first.metadata != second.metadata:
        faults.append("two readings differ in metadata")
    if code:
        too_large = "--max-pixels" in case.commands[0] and first.megapixels > MOST / 1e6
        faults += ["it can be read, but is refused"] * (not too_large)
        return Verdict(f"{kind}: refused, too large to run", faults)
    asked = "damaged"
    if not find_damage(data):
        asked, wrong = compare(data, first)
        faults += wrong
    if case.output.exists():
        faults += _check_output(case, data, first)
    return Verdict(f"{kind}: read, {asked}", faults)


def _check_output(case: Damaged, data: bytes, picture: Picture) -> list[str]:
    """The faults of the output file."""
    written = case.output.read_bytes()
    if written == data:
        return []
    try:
        result = read_picture(written, max_pixels=2**29)
    except PictureError as error:
        return [f"its output cannot be read: {error}"]
    if result.pixels.shape[:2] != picture.pixels.shape[:2]:
        return [f"its output has {result.width} x {result.height} pixels"]
    if result.format in LOSSY:
        return []
    faults = [f"its output: {fault}" for fault in compare(written, result)[1]]
    flat = picture.alpha is not None and result.alpha is None
    own, other = (one.pixels if one.depth == result.depth else None for one in (picture, result))
    if not flat and own is not None and not np.array_equal(own, other):
        faults.append("its output has other pixels")
    if picture.alpha is not None and not flat and picture.depth == result.depth:
        faults += ["its output has another alpha"] * (
            not np.array_equal(picture.alpha, result.alpha)
        )
    return faults
