"""Pictures in and out, as other programs see the files."""

from __future__ import annotations

import errno
import io
import os
import re
import stat
import struct
import subprocess
import sys
import time
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from fuzz_pictures import tiff
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin

from restore_cli.engine import Settings
from restore_cli.errors import PictureError, UsageError
from restore_cli.image import (
    Metadata,
    Picture,
    arrays,
    bounds,
    encode_picture,
    find_damage,
    format_of,
    is_image_name,
    luma,
    read_file,
    read_picture,
    stderr,
    suffix_of,
    to_gray,
    to_rgb,
    write_picture,
)
from restore_cli.image.avif import decode_avif
from restore_cli.image.exif import upright_xmp, xmp_of_result
from restore_cli.image.pages import open_pages
from restore_cli.image.photoshop import split_resources
from restore_cli.image.png_chunks import PNG_SIGNATURE, join_chunk
from restore_cli.image.raw import is_raw
from restore_cli.image.tiff_tags import tag_values

Array = npt.NDArray[Any]

RNG = np.random.default_rng(7)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GRAY_PROFILE = SRGB[:16] + b"GRAY" + SRGB[20:]
XMP = (
    b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/>'
    b"<tiff:Orientation>6</tiff:Orientation></x:xmpmeta>"
)


def noise(bands: int, depth: int = 8, size: tuple[int, int] = (23, 31)) -> Array:
    return RNG.integers(0, 2**depth, (*size, bands), dtype=f"uint{depth}")


def saved(picture: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def chunk(kind: bytes, payload: bytes) -> bytes:
    return (
        struct.pack(">I", len(payload))
        + kind
        + payload
        + struct.pack(">I", zlib.crc32(kind + payload))
    )


def png_16(samples: Array, *extra: bytes) -> bytes:
    """Build a 16-bit PNG exactly by the standard: no filter, one IDAT."""
    height, width, bands = samples.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[bands], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    chunks = [
        chunk(b"IHDR", header),
        *extra,
        chunk(b"IDAT", zlib.compress(rows)),
        chunk(b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def png(samples: Array) -> bytes:
    if samples.dtype == np.uint16:
        return png_16(samples)
    return saved(Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples), "PNG")


def decoded(data: bytes, format: str, bands: int) -> Array:
    """Decode with another program than the one under test."""
    if format == "TIFF":
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            page: Any = file.pages[0]
            return np.reshape(page.asarray(), (page.imagelength, page.imagewidth, bands))
    samples: Array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if samples.ndim == 2:
        return samples[..., None]
    return samples[..., {2: [0, 3], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[bands]]


def samples_of(picture: Picture) -> Array:
    """The color as integers, followed by alpha."""
    peak = 2**picture.depth - 1
    color = np.rint(picture.pixels.astype(np.float64) * peak).astype(f"uint{picture.depth}")
    return color if picture.alpha is None else np.dstack([color, picture.alpha])


def exif_with(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.ISOSpeedRatings: 400,
        ExifTags.Base.MakerNote: b"secret note",
    }
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N"}
    return exif.tobytes()


def shown(data: bytes) -> Array:
    """The pixels as a viewer shows them, with the orientation applied."""
    return np.asarray(ImageOps.exif_transpose(opened(data)).convert("RGB"))


PHOTO = cv2.resize(noise(3, size=(4, 6)), (48, 32), interpolation=cv2.INTER_CUBIC)


# Samples


@pytest.mark.parametrize(("format", "source"), [("PNG", png), ("TIFF", tiff)])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(23, 31), (1, 1), (1, 9), (9, 1)])
def test_samples_are_kept_exactly(
    format: str, source: Any, depth: int, bands: int, size: tuple[int, int]
) -> None:
    samples = noise(bands, depth, size)
    picture = read_picture(source(samples))
    assert (picture.format, picture.depth, picture.channels) == (
        format,
        depth,
        1 if bands < 3 else 3,
    )
    assert picture.pixels.dtype == np.float32
    np.testing.assert_array_equal(samples_of(picture), samples)
    data, losses = encode_picture(picture, format)
    np.testing.assert_array_equal(decoded(data, format, bands), samples)
    np.testing.assert_array_equal(samples_of(read_picture(data)), samples)
    assert losses == () == picture.notes


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_all_16_bit_levels_survive_float32(format: str) -> None:
    levels = np.arange(65536, dtype=np.uint16).reshape(256, 256, 1)
    data, _ = encode_picture(read_picture(png_16(levels)), format)
    np.testing.assert_array_equal(samples_of(read_picture(data)), levels)


def test_blocks_of_rows_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "_BLOCK", 70)  # two rows of 31, and an odd one at the end
    for source in (png, tiff):
        for depth in (8, 16):
            samples = noise(4, depth)
            picture = read_picture(source(samples))
            np.testing.assert_array_equal(samples_of(picture), samples)
            for format in ("PNG", "TIFF"):
                data, _ = encode_picture(picture, format)
                np.testing.assert_array_equal(decoded(data, format, 4), samples)


@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize("depth", [8, 16])
def test_pnm_and_bmp_are_exact(bands: int, depth: int) -> None:
    samples = noise(bands, depth)
    picture = read_picture(png(samples))
    for format in ("PPM", "BMP") if depth == 8 else ("PPM",):
        again = read_picture(encode_picture(picture, format)[0])
        assert (again.format, again.depth) == (format, depth)
        np.testing.assert_array_equal(samples_of(again), samples)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"P5 # a comment\n2 1\n1023\n" + bytes([0, 0, 3, 255]), [0, 65535]),
        (b"P2\n2 1\n65535\n7 65535\n", [7, 65535]),
        (b"P2\n2 1\n65535\n# a comment\n7 # another\n65535\n", [7, 65535]),
        (b"P2\n2 1\n65535\n7 70467\n", [7, 65535]),
        (b"P5\n2 1\n1023\n" + bytes([0, 0, 255, 255]), [0, 65535]),
    ],
)
def test_other_16_bit_pnm(data: bytes, expected: list[int]) -> None:
    picture = read_picture(data)
    assert picture.depth == 16
    assert samples_of(picture).ravel().tolist() == expected


@pytest.mark.parametrize("bands", [1, 3])
def test_16_bit_tiff_with_lzw(bands: int) -> None:
    samples = noise(bands, 16)
    options = [cv2.IMWRITE_TIFF_COMPRESSION, cv2.IMWRITE_TIFF_COMPRESSION_LZW]
    data = cv2.imencode(".tif", samples[..., ::-1], options)[1].tobytes()
    np.testing.assert_array_equal(samples_of(read_picture(data)), samples)


@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"rowsperstrip": 5},
        {"tile": (16, 32)},
        {"tile": (32, 16)},
        {"byteorder": ">", "rowsperstrip": 7},
        {"predictor": True, "compression": "zlib", "rowsperstrip": 9},
        {"predictor": True, "compression": "zlib", "tile": (16, 16), "byteorder": ">"},
        {"compression": "lzma"},
    ],
    ids=str,
)
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("bands", [1, 2, 3, 4])
def test_every_layout_of_a_tiff(
    bands: int, depth: int, planes: str, layout: dict[str, Any]
) -> None:
    samples = noise(bands, depth, (37, 53))
    data = tiff(samples, **({"planarconfig": planes} if bands > 1 else {}), **layout)
    np.testing.assert_array_equal(samples_of(read_picture(data)), samples)


def entry_of(data: bytes, tag: int) -> int:
    """The offset of the entry of a tag in the directory of a little-endian TIFF."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    entries = range(start + 2, start + 2 + 12 * count, 12)
    return next(entry for entry in entries if struct.unpack_from("<H", data, entry) == (tag,))


def retagged(data: bytes, tag: int, *, number: int | None = None, kind: int | None = None) -> bytes:
    """A copy with another number, or another type, in a tag."""
    changed, entry = bytearray(data), entry_of(data, tag)
    struct.pack_into("<H", changed, entry, tag if number is None else number)
    if kind is not None:
        struct.pack_into("<H", changed, entry + 2, kind)
    return bytes(changed)


def with_number(data: bytes, tag: int, value: int, *, count: int | None = None) -> bytes:
    """A copy with another first value, a SHORT or a LONG in the entry, and number of values."""
    changed, entry = bytearray(data), entry_of(data, tag)
    kind, own = struct.unpack_from("<HI", data, entry + 2)
    struct.pack_into("<I", changed, entry + 4, own if count is None else count)
    struct.pack_into("<H" if kind == 3 else "<I", changed, entry + 8, value)
    return bytes(changed)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("compression", ["zlib", None])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_a_tiff_whose_tags_disagree_is_refused(
    depth: int, compression: str | None, tile: tuple[int, int] | None
) -> None:
    data = tiff(noise(3, depth, (37, 53)), compression=compression, tile=tile)
    for crafted in (
        retagged(data, 277, number=60_000),  # no SamplesPerPixel, for which the standard says 1
        with_number(data, 277, 1),
        with_number(data, 277, 4),
        with_number(data, 284, 3),
        with_number(data, 256, 90),  # wider,
        with_number(data, 257, 90),  # higher than it is
    ):
        with pytest.raises(PictureError, match="damaged"):
            read_picture(crafted)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(
    "layout", [{"rowsperstrip": 10}, {"tile": (16, 16)}], ids=["strips", "tiles"]
)
@pytest.mark.parametrize("compression", ["zlib", None])
def test_a_tiff_with_missing_parts_is_refused(
    depth: int, layout: dict[str, Any], compression: str | None
) -> None:
    data = tiff(noise(3, depth, (40, 48)), compression=compression, **layout)
    offsets, sizes = (324, 325) if "tile" in layout else (273, 279)
    count = struct.unpack_from("<I", data, entry_of(data, offsets) + 4)[0]
    (values,) = struct.unpack_from("<I", data, entry_of(data, offsets) + 8)
    (lengths,) = struct.unpack_from("<I", data, entry_of(data, sizes) + 8)
    fewer = bytearray(data)
    for tag in (offsets, sizes):
        struct.pack_into("<I", fewer, entry_of(data, tag) + 4, count - 1)
    nowhere, behind, short = bytearray(data), bytearray(data), bytearray(data)
    struct.pack_into("<I", nowhere, values + 4, 0)  # as sparse files have it
    struct.pack_into("<I", behind, values + 4, len(data) + 8)
    kind = struct.unpack_from("<H", data, entry_of(data, sizes) + 2)[0]
    struct.pack_into("<H" if kind == 3 else "<I", short, lengths + (2 if kind == 3 else 4), 7)
    assert read_picture(data).height == 40
    for crafted in (fewer, nowhere, behind, short):
        with pytest.raises(PictureError, match="damaged"):
            read_picture(bytes(crafted))


def test_a_bilevel_tiff_with_missing_strips_is_refused() -> None:
    plain = Image.fromarray(noise(1)[..., 0] > 127)
    for compression in ("group4", "packbits"):
        data = saved(plain, "TIFF", compression=compression, strip_size=16)
        assert read_picture(data).height == 23
        for tag in (273, 279):
            data = with_number(data, tag, 8, count=1)
        with pytest.raises(PictureError, match="strips or tiles"):
            read_picture(data)


def test_pages_of_a_tiff_are_counted_without_decoding() -> None:
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for _ in range(2000):
            writer.write(noise(1, size=(1, 1))[..., 0], metadata=None)
    started = time.perf_counter()
    note = "Only the first of 2000 frames was read; --pages all restores all of them."
    assert read_picture(buffer.getvalue()).notes == (note,)
    assert time.perf_counter() - started < 0.5
    for link, notes in (
        (8, ()),
        (9999, ("The file is damaged: only 1 of its pages can be found.",)),
    ):
        linked = bytearray(tiff(noise(1)))
        (start, count) = struct.unpack_from("<4xIH", linked)
        assert start == 8  # which makes a loop
        struct.pack_into("<I", linked, start + 2 + 12 * count, link)
        assert read_picture(bytes(linked)).notes == notes


def test_a_tiff_whose_last_pages_are_missing_is_not_read_as_whole() -> None:
    first, *others = (Image.fromarray(noise(3)) for _ in range(4))
    data = saved(first, "TIFF", save_all=True, append_images=others)
    link = 4
    for _ in range(3):
        (start,) = struct.unpack_from("<I", data, link)  # of the third page in the end
        link = start + 2 + 12 * struct.unpack_from("<H", data, start)[0]
    for damaged in (data[:start], data[:link], data[:start] + bytes(len(data) - start)):
        with pytest.raises(PictureError, match=r"damaged \(only 2 of its pages"):
            open_pages(damaged, "a.tif")
        assert "only 2 of its pages can be found." in read_picture(damaged).notes[-1]
    pages = open_pages(data, "a.tif")
    assert pages is not None and pages.count == 4


def test_pixels_do_not_make_a_tiff_a_raw_photo() -> None:
    samples = np.full((8, 8, 3), list(b"ZRC"), np.uint8)  # OpenCV writes RGB behind the header
    data = cv2.imencode(".tif", samples, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()
    assert data[8:10] == b"CR" and read_picture(data).format == "TIFF"
    for header in (b"II*\0\x10\0\0\0CR\2\0", b"MM\0*\0\0\0\x10CR\2\0"):
        assert is_raw(header)


@pytest.mark.parametrize("quality", [1, 10, 49, 50, 75, 95, 100])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality: int, mode: str) -> None:
    buffer = io.BytesIO()
    Image.new(mode, (16, 16)).save(buffer, "JPEG", quality=quality)
    assert read_picture(buffer.getvalue()).jpeg_quality == quality
    buffer = io.BytesIO()
    Image.new(mode, (16, 16)).save(buffer, "PNG")
    assert read_picture(buffer.getvalue()).jpeg_quality is None


@pytest.mark.parametrize("bands", [2, 3, 4])
def test_16_bit_tiff_in_separate_planes(bands: int) -> None:
    samples = noise(bands, 16)
    np.testing.assert_array_equal(
        samples_of(read_picture(tiff(samples, planarconfig="separate"))), samples
    )


@pytest.mark.parametrize("depth", [8, 16])
def test_tiff_where_white_is_zero(depth: int) -> None:
    samples = noise(1, depth)
    picture = read_picture(tiff(samples, photometric="miniswhite"))
    np.testing.assert_array_equal(samples_of(picture), 2**depth - 1 - samples)


def test_16_bit_tiff_with_premultiplied_alpha() -> None:
    samples = np.array([[[100, 200, 300, 32768], [5, 6, 7, 65535], [0, 0, 0, 0]]], np.uint16)
    picture = read_picture(tiff(samples, extrasamples=["assocalpha"]))
    assert samples_of(picture).tolist() == [
        [[200, 400, 600, 32768], [5, 6, 7, 65535], [0, 0, 0, 0]]
    ]


def test_16_bit_tiff_with_a_channel_other_than_alpha() -> None:
    samples = noise(4, 16)
    picture = read_picture(tiff(samples, extrasamples=["unspecified"]))
    assert picture.alpha is None
    np.testing.assert_array_equal(samples_of(picture), samples[..., :3])


@pytest.mark.parametrize("bands", [1, 3])
def test_16_bit_png_with_a_transparent_color(bands: int) -> None:
    samples = noise(bands, 16)
    key = samples[2, 3].copy()
    picture = read_picture(png_16(samples, chunk(b"tRNS", key.astype(">u2").tobytes())))
    clear = (samples == key).all(axis=2)
    np.testing.assert_array_equal(samples_of(picture)[..., :-1], samples)
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, np.where(clear, 0, 65535))


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_gray_png_of_few_bits_with_a_transparent_level(depth: int) -> None:
    levels = RNG.integers(0, 2**depth, (8, 16), dtype=np.uint8)
    bits = np.unpackbits(levels[..., None], axis=2)[..., 8 - depth :].reshape(8, -1)
    rows = b"".join(b"\0" + row.tobytes() for row in np.packbits(bits, axis=1))
    for key in (0, 1):
        header = struct.pack(">IIBBBBB", 16, 8, depth, 0, 0, 0, 0)
        parts = [
            (b"IHDR", header),
            (b"tRNS", struct.pack(">H", key)),
            (b"IDAT", zlib.compress(rows)),
        ]
        data = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in [*parts, (b"IEND", b"")])
        expected = np.dstack([levels * (255 // (2**depth - 1)), np.where(levels == key, 0, 255)])
        np.testing.assert_array_equal(samples_of(read_picture(data)), expected)


@pytest.mark.parametrize(
    ("mode", "options", "expected"),
    [
        ("1", {}, "L"),
        ("1", {"transparency": 0}, "LA"),
        ("L", {"transparency": 7}, "LA"),
        ("RGB", {"transparency": (1, 2, 3)}, "RGBA"),
        ("P", {}, "RGB"),
        ("P", {"transparency": 3}, "RGBA"),
        ("P", {"transparency": bytes(range(0, 250, 10))}, "RGBA"),
    ],
)
def test_palettes_bitmaps_and_transparent_colors(mode: str, options: Any, expected: str) -> None:
    pixels = noise(3)
    pixels[4, 4] = 1, 2, 3
    data = saved(Image.fromarray(pixels).convert(mode), "PNG", **options)
    reference = np.asarray(opened(data).convert(expected)).reshape(23, 31, -1)
    picture = read_picture(data)
    np.testing.assert_array_equal(samples_of(picture), reference)
    assert picture.notes == ()


def test_gray_jpeg_stays_gray() -> None:
    data = saved(Image.fromarray(PHOTO).convert("L"), "JPEG")
    picture = read_picture(data)
    assert picture.channels == 1
    assert opened(encode_picture(picture, "JPEG")[0]).mode == "L"


def test_cmyk_is_converted_and_its_profile_dropped() -> None:
    data = saved(
        Image.fromarray(PHOTO).convert("CMYK"), "JPEG", quality=100, icc_profile=b"no profile"
    )
    picture = read_picture(data)
    assert picture.notes == ("CMYK was converted to RGB without an ICC profile.",)
    assert picture.metadata.icc is None
    np.testing.assert_array_equal(samples_of(picture), np.asarray(opened(data).convert("RGB")))


def cmyk_profile() -> bytes:
    """Build an ICC v2 profile with gray inks: each reduces L* by 60/255, and K by 75/255."""
    corners = [(c, m, y, k) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    grid = bytes(v for c, m, y, k in corners for v in (255 - 60 * (c + m + y) - 75 * k, 128, 128))
    unity = struct.pack(">9i", *(65536 * (i % 4 == 0) for i in range(9)))
    lut = (
        b"mft1"
        + bytes(4)
        + bytes([4, 3, 2, 0])
        + unity
        + bytes(range(256)) * 4
        + grid
        + bytes(range(256)) * 3
    )
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(lut)) + lut
    white = struct.pack(">3i", 63190, 65536, 54061)  # D50
    head = struct.pack(
        ">I4sI4s4s4s", 128 + len(tags), b"lcms", 0x02400000, b"prtr", b"CMYK", b"Lab "
    )
    return (head + bytes(12) + b"acsp" + bytes(28) + white).ljust(128, b"\0") + tags


def test_cmyk_is_converted_by_its_profile() -> None:
    data = saved(Image.new("CMYK", (8, 8), (255, 0, 0, 0)), "TIFF", icc_profile=cmyk_profile())
    picture = read_picture(data)
    assert picture.notes == ("CMYK was converted to sRGB.",)
    assert picture.metadata.icc is None
    # L* = 195 / 255 * 100 is Y = 0.507, sRGB 189; plain arithmetic would say cyan.
    np.testing.assert_allclose(samples_of(picture)[4, 4], [189, 189, 189], atol=2)


def test_lab_is_converted() -> None:
    lab = ImageCms.createProfile("LAB")
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), lab, "RGB", "LAB")
    picture = read_picture(
        saved(ImageCms.applyTransform(Image.fromarray(PHOTO), transform), "TIFF")
    )
    assert picture.notes == ("LAB was converted to sRGB.",)
    assert np.abs(samples_of(picture).astype(int) - PHOTO).mean() < 3


def avif(samples: Array, depth: int) -> bytes:
    order = [0, 1, 2] if samples.shape[2] == 3 else [0, 1, 2, 3]
    order[:3] = order[2::-1]
    options = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, 100]
    return cv2.imencode(".avif", samples[..., order], options)[1].tobytes()


@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("depth", [10, 12])
def test_avif_with_more_than_8_bits_keeps_them(bands: int, depth: int) -> None:
    samples = noise(bands, 16) >> (16 - depth)
    picture = read_picture(avif(samples, depth))
    assert (picture.depth, picture.format) == (16, "AVIF")
    exact = np.rint(samples * (65535 / (2**depth - 1)))
    assert np.abs(samples_of(picture) - exact).max() <= 2 * 65535 / 2**depth
    assert encode_picture(picture, "AVIF")[1][0] == (
        "AVIF stores 8 bits per sample, so 16 bits were rounded to 8."
    )


def test_hdr_color_spaces_are_kept_or_reported() -> None:
    data = saved(Image.fromarray(PHOTO), "AVIF", quality=95, subsampling="4:4:4")
    assert read_picture(data).metadata.chunks == ()
    place = data.index(b"colrnclx") + 8
    assert data[place : place + 4] == bytes([0, 1, 0, 13])  # BT.709, sRGB
    picture = read_picture(data[:place] + bytes([0, 9, 0, 16]) + data[place + 4 :])  # BT.2020, PQ
    assert picture.metadata.chunks == ((b"cICP", bytes([9, 16, 0, 1])),)
    for format in ("AVIF", "PNG"):
        written, losses = encode_picture(picture, format)
        assert losses == ()
        assert read_picture(written).metadata.chunks == picture.metadata.chunks
        assert np.abs(shown(written).astype(int) - PHOTO).mean() < 3
    for format in ("JPEG", "TIFF", "WEBP", "PPM"):
        assert encode_picture(picture, format)[1] == (
            f"{format} cannot store some metadata, which was left out: CICP color space.",
        )


def test_lossless_webp_stays_lossless() -> None:
    animated = {"save_all": True, "append_images": [Image.fromarray(noise(3))]}
    for samples, options in ((noise(4), {}), (noise(3), animated)):
        picture = read_picture(
            saved(Image.fromarray(samples), "WEBP", lossless=True, exact=True, **options)
        )
        assert picture.lossless
        data, _ = encode_picture(picture, "WEBP")
        np.testing.assert_array_equal(np.asarray(opened(data)), samples)
        assert not read_picture(
            encode_picture(replace(picture, lossless=False), "WEBP")[0]
        ).lossless
    assert not read_picture(saved(Image.fromarray(samples), "WEBP", exif=exif_with(1))).lossless


def test_the_fourth_byte_of_a_bmp_is_reported_if_it_varies() -> None:
    note = "The fourth byte of its pixels, which some programs use for alpha, was left out."
    samples = noise(4)
    picture = read_picture(saved(Image.fromarray(samples), "BMP"))
    np.testing.assert_array_equal(samples_of(picture), samples[..., :3])
    assert picture.notes == (note,)
    for plain in (0, 255):
        samples[..., 3] = plain
        data = saved(Image.fromarray(samples), "BMP")
        assert read_picture(data).notes == read_picture(data + b"profile" * 8).notes == ()
    assert read_picture(saved(Image.fromarray(noise(3)), "BMP")).notes == ()


@pytest.mark.parametrize(
    "header", [b"P4\n9 2\n", b"P5 5 4 1\n", b"P5\n# 2\n5 2\n65535\n", b"P6\n3 2\n255\n"]
)
def test_further_images_of_a_pnm_are_reported(header: bytes) -> None:
    size = {b"P4": 4, b"P5": 20, b"P6": 18}[header[:2]]
    one = header + bytes(size)
    assert read_picture(one + b"\n").notes == ()
    assert read_picture(one + one).notes == ("Only the first of several images was read.",)


def test_the_profile_of_a_bmp_is_read() -> None:
    plain = saved(Image.fromarray(PHOTO), "BMP")
    pixels = plain[54:]
    head = struct.pack("<I", 124) + plain[18:54] + bytes(16) + b"DEBM" + bytes(52)
    head += struct.pack("<III", 124 + len(pixels), len(SRGB), 0)
    data = plain[:10] + struct.pack("<I", 14 + 124) + head + pixels + SRGB
    picture = read_picture(data)
    np.testing.assert_array_equal(samples_of(picture), PHOTO)
    assert picture.metadata.icc == SRGB and picture.notes == ()
    assert read_picture(data[:-1]).notes == ("A broken ICC profile was left out.",)


def test_avif_warns_that_it_changes_alpha() -> None:
    samples = noise(4)
    loss = "AVIF changes transparency slightly; PNG, TIFF and WEBP keep it exactly."
    assert encode_picture(read_picture(png(samples)), "AVIF")[1] == (loss,)
    samples[..., 3] = 255
    assert encode_picture(read_picture(png(samples)), "AVIF")[1] == ()


@pytest.mark.parametrize("depth", [8, 16])
def test_additional_channels_of_a_tiff_are_reported(depth: int) -> None:
    for bands, extra, left in (
        (4, ["unspecified"], 1),
        (5, ["unassalpha", "unspecified"], 1),
        (5, [0, 0], 2),
        (5, [0, 2], 2),
    ):
        samples = noise(bands, depth)
        picture = read_picture(tiff(samples, photometric="rgb", extrasamples=extra))
        kept = bands - left
        np.testing.assert_array_equal(samples_of(picture), samples[..., :kept])
        channels = "1 channel was" if left == 1 else "2 channels were"
        note = f"{channels} left out: only colors and alpha right after them are read."
        assert picture.notes == (note,)


def test_an_additional_channel_that_pillow_drops_is_reported() -> None:
    note = "1 channel was left out: only colors and alpha right after them are read."
    options: dict[str, Any] = {"photometric": "separated", "extrasamples": ["unspecified"]}
    assert note in read_picture(tiff(noise(5), **options)).notes


@pytest.mark.parametrize(
    ("format", "lossless"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})]
)
def test_only_the_first_frame_is_read(format: str, lossless: Any) -> None:
    first, *others = (Image.fromarray(noise(3)) for _ in range(3))
    picture = read_picture(saved(first, format, save_all=True, append_images=others, **lossless))
    note = "Only the first of 3 frames was read; --pages all restores all of them."
    assert picture.notes == (note,)
    np.testing.assert_array_equal(samples_of(picture), np.asarray(first))


# Metadata


def turned(format: str, orientation: int) -> bytes:
    if format in ("16-bit TIFF", "16-bit gray TIFF with alpha"):
        samples = PHOTO.astype(np.uint16) * 257
        samples = samples if format == "16-bit TIFF" else samples[..., :2]
        return tiff(samples, extratags=[(274, 3, 1, orientation, True)])
    if format == "16-bit PNG":
        return png_16(PHOTO.astype(np.uint16) * 257, chunk(b"eXIf", exif_with(orientation)[6:]))
    options = {"lossless": True} if format == "WEBP" else {"quality": 98, "subsampling": "4:4:4"}
    return saved(Image.fromarray(PHOTO), format, exif=exif_with(orientation), **options)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "format",
    [
        "JPEG",
        "PNG",
        "WEBP",
        "AVIF",
        "TIFF",
        "16-bit PNG",
        "16-bit TIFF",
        "16-bit gray TIFF with alpha",
    ],
)
def test_photos_are_rotated_upright(format: str, orientation: int) -> None:
    picture = read_picture(turned(format, orientation))
    upright = shown(turned("PNG", orientation))
    if picture.alpha is not None:
        np.testing.assert_array_equal(picture.alpha, upright[..., 1].astype(np.uint16) * 257)
        # Pillow shows 16-bit gray as white.
        picture, upright = replace(picture, alpha=None, depth=8), upright[..., [0, 0, 0]]
    assert (picture.height, picture.width) == upright.shape[:2]
    assert np.abs(picture.pixels * 255 - upright).mean() < 3
    for target in ("PNG", "TIFF", "JPEG", "WEBP", "AVIF"):
        written, _ = encode_picture(picture, target)
        assert opened(written).getexif().get(ExifTags.Base.Orientation, 1) == 1
        assert np.abs(shown(written).astype(int) - upright).mean() < 3


@pytest.mark.parametrize("target", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
@pytest.mark.parametrize("source", ["PNG", "JPEG", "WEBP", "AVIF", "TIFF"])
def test_metadata_is_kept_between_formats(source: str, target: str) -> None:
    options = {"exif": exif_with(1), "icc_profile": SRGB, "dpi": (300, 300), "xmp": XMP}
    if source == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        options["pnginfo"] = info
    if source == "TIFF":
        exif = Image.Exif()
        exif.load(exif_with(1))
        exif[ExifTags.Base.XMLPacket] = XMP
        options["exif"] = exif
    data, _ = encode_picture(read_picture(saved(Image.fromarray(PHOTO), source, **options)), target)
    result = opened(data)
    exif = result.getexif()
    assert exif[ExifTags.Base.Make] == "Maker"
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ISOSpeedRatings] == 400
    assert exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.MakerNote] == b"secret note"
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"
    assert result.info["icc_profile"] == SRGB
    assert result.info["xmp"] == XMP
    if {source, target} <= {"PNG", "JPEG", "TIFF"}:
        assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_metadata_is_kept_with_16_bits(format: str, bands: int) -> None:
    profile = SRGB if bands > 2 else GRAY_PROFILE
    metadata = Metadata(exif_with(1)[6:], profile, XMP, (300.0, 150.0))
    picture = replace(read_picture(png_16(noise(bands, 16))), metadata=metadata)
    data, losses = encode_picture(picture, format)
    again = read_picture(data).metadata
    assert losses == ()
    assert (again.icc, again.xmp) == (profile, XMP)
    assert again.dpi == pytest.approx((300, 150), abs=0.02)
    assert again.exif is not None
    exif = Image.Exif()
    exif.load(again.exif)
    assert exif[ExifTags.Base.Make] == "Maker"
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] == "N"


def test_texts_in_any_encoding_survive_in_a_tiff() -> None:
    copyright, artist = "© Jürgen, Zürich".encode(), "Müller".encode("latin-1")
    entries = ((0x8298, copyright + b"\0", 62), (0x013B, artist + b"\0", 62 + len(copyright) + 1))
    block = b"II*\0" + struct.pack("<IH", 8, 2)
    block += b"".join(struct.pack("<HHII", tag, 2, len(text), at) for tag, text, at in entries)
    block = block.ljust(62, b"\0") + b"".join(text for _, text, _ in entries)
    data = saved(Image.fromarray(PHOTO), "JPEG", exif=b"Exif\0\0" + block)
    for format in "TIFF", "TIFF", "JPEG":  # each from the one before
        data, _ = encode_picture(read_picture(data), format)
        assert copyright in data and artist in data


def test_a_tiff_keeps_the_mark_of_adobe_rgb() -> None:
    exif = Image.Exif()
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.ISOSpeedRatings: 400,
        int(ExifTags.IFD.Interop): {1: "R03", 2: b"0100"},
    }
    data = saved(Image.fromarray(PHOTO), "JPEG", exif=exif.tobytes())
    for format in "TIFF", "TIFF", "JPEG":
        assert opened(data).getexif().get_ifd(ExifTags.IFD.Interop)[1] == "R03"
        data, _ = encode_picture(read_picture(data), format)
    assert opened(data).getexif().get_ifd(ExifTags.IFD.Interop)[1] == "R03"


def test_exif_is_patched_and_not_rewritten() -> None:
    exif = exif_with(6)
    picture = read_picture(
        saved(Image.fromarray(PHOTO), "JPEG", exif=exif, xmp=XMP, dpi=(300, 150))
    )
    result = opened(encode_picture(picture, "JPEG")[0])
    changed = [
        at
        for at, pair in enumerate(zip(result.info["exif"], exif, strict=True))
        if pair[0] != pair[1]
    ]
    assert len(changed) == 1  # the orientation
    assert re.findall(rb"Orientation\D+(\d)", result.info["xmp"]) == [b"1", b"1"]
    assert result.info["dpi"] == (150, 300)


@pytest.mark.parametrize("orientation", [1, 3])
def test_areas_are_left_out_of_a_photo_that_is_rotated(orientation: int) -> None:
    size = b'<mwg-rs:AppliedToDimensions stDim:w="480" stDim:h="320" stDim:unit="pixel"/>'
    packet = b'<x stDim:w="9"><mwg-rs:Regions>%s<rdf:li>Ann</rdf:li></mwg-rs:Regions></x>' % size
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.IFD.Exif] = {0x9214: (24, 16, 8, 8), 0xA433: "Lens"}  # SubjectArea, LensMake
    data = saved(Image.fromarray(PHOTO), "JPEG", exif=exif, xmp=packet)
    picture = read_picture(data)
    result = opened(encode_picture(picture, "JPEG")[0])
    note = "Marked areas, such as faces, were left out because the photo was rotated."
    kept = packet.replace(b"480", b"48").replace(b"320", b"32")
    subject = {0x9214: (24, 16, 8, 8)} if orientation == 1 else {}
    assert picture.notes == ((note,) if orientation != 1 else ())
    assert result.info["xmp"] == (kept if orientation == 1 else b'<x stDim:w="9"></x>')
    assert dict(result.getexif().get_ifd(ExifTags.IFD.Exif)) == {**subject, 0xA433: "Lens"}


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_an_intact_orientation_is_used_even_if_another_tag_is_broken(format: str) -> None:
    data = turned(format, 6)
    maker = struct.pack(">HHI", ExifTags.Base.Make, 2, len("Maker\0"))
    assert data.count(maker) == 1
    broken = data.replace(maker, maker[:4] + b"\x01" + maker[5:])  # as if it had 16 million letters
    np.testing.assert_array_equal(read_picture(broken).pixels, read_picture(data).pixels)


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("place", ["behind its directory", "before it", "in two strips"])
def test_no_thumbnail_shows_the_photo_before(orientation: int, order: str, place: str) -> None:
    small = saved(Image.fromarray(PHOTO[::2, ::2]), "JPEG")
    size, start = len(small), 26 + (len(small) if place == "before it" else 0)
    stated = size + 40 * (place == "before it")  # too much, which must not harm what follows
    link = struct.pack(order + "HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, start)
    if place == "in two strips":
        small = RNG.bytes(size)
        tags = struct.pack(order + "HHHII", 2, 0x0111, 4, 2, 56)
        tags += struct.pack(order + "HHIII", 0x0117, 4, 2, 64, 0)
        tags += struct.pack(order + "IIII", 72, 72 + 100, 100, size - 100)
    else:
        tags = struct.pack(order + "HHHII", 2, 0x0201, 4, 1, 26 if place == "before it" else 56)
        tags += struct.pack(order + "HHIII", 0x0202, 4, 1, stated, 0)
    parts = (small, tags) if place == "before it" else (tags, small)
    block = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    block += link + b"".join(parts)
    data = saved(Image.fromarray(PHOTO), "JPEG", exif=b"Exif\0\0" + block)
    assert data.count(small) == 1 and opened(data).getexif().get_ifd(ExifTags.IFD.IFD1)
    for format in ("JPEG", "PNG", "WEBP", "AVIF"):
        result, _ = encode_picture(read_picture(data), format)
        assert not opened(result).getexif().get_ifd(ExifTags.IFD.IFD1)
        assert small[:60] not in result and small[-60:] not in result


def test_photoshop_and_xmp_thumbnails_are_left_out() -> None:
    one = b"8BIM" + struct.pack(">HHI", 0x040C, 0, 4) + b"tiny"
    two = b"8BIM" + struct.pack(">HHI", 0x03ED, 0, 4) + b"kept"
    assert split_resources(one + two) == (None, two)
    packet = b"<x><xmp:Thumbnails><rdf:Alt>/9j/</rdf:Alt></xmp:Thumbnails><y/></x>"
    assert xmp_of_result(packet, 1, 1) == b"<x><y/></x>"


def test_the_video_of_a_motion_photo_is_not_announced() -> None:
    packet = b"<x GCamera:MotionPhoto=\"1\" GCamera:MotionPhotoVersion='1'>%s</x>"
    packet %= b"<Camera:MicroVideo>1</Camera:MicroVideo>"  # as the standard names it
    expected = packet.replace(b'Photo="1"', b'Photo="0"').replace(b"Video>1", b"Video>0")
    assert xmp_of_result(packet, 1, 1) == expected


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF"])
def test_metadata_states_the_size_of_the_result(format: str) -> None:
    exif = Image.Exif()
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.ExifImageWidth] = details[ExifTags.Base.ExifImageHeight] = 7
    details[0x9214] = (3, 3)  # SubjectArea, for the size before
    details[ExifTags.IFD.Interop] = {0x1001: 7, 0x1002: 7}  # RelatedImageWidth and -Length
    packet = XMP.replace(b"<rdf:Description", b'<rdf:Description tiff:ImageWidth="7"', 1)
    data = saved(Image.fromarray(PHOTO), "JPEG", exif=exif, xmp=packet)
    result = opened(encode_picture(read_picture(data), format)[0])
    details = result.getexif().get_ifd(ExifTags.IFD.Exif)
    assert details[ExifTags.Base.ExifImageWidth] == PHOTO.shape[1]
    assert details[ExifTags.Base.ExifImageHeight] == PHOTO.shape[0]
    assert 0x9214 not in details
    related = result.getexif().get_ifd(ExifTags.IFD.Interop)
    assert (related[0x1002], related[0x1001]) == PHOTO.shape[:2]
    assert b'tiff:ImageWidth="%d"' % PHOTO.shape[1] in result.info["xmp"]


def test_the_gain_map_of_an_avif_is_named() -> None:
    data = saved(Image.fromarray(PHOTO), "AVIF")
    named = data.replace(b"MA1B", b"tmap")  # without the map, which Pillow would look for
    notes = ("The HDR gain map was left out.",)
    assert (decode_avif(data, opened(data)).notes, decode_avif(named, opened(data)).notes) == (
        (),
        notes,
    )


def test_avif_stores_exif_as_it_is() -> None:
    orientation = struct.pack("<HHIHH", ExifTags.Base.Orientation, 3, 1, 1, 0)
    text = struct.pack("<HHI4s", ExifTags.Base.XResolution, 2, 4, b"abc")  # no number
    broken = b"II*\0" + struct.pack("<IH", 8, 2) + orientation + text + bytes(4)
    for block in (broken, exif_with(1)[6:]):
        picture = replace(read_picture(png_16(noise(3, 16))), metadata=Metadata(exif=block))
        assert read_picture(encode_picture(picture, "AVIF")[0]).metadata.exif == block


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_pixels_that_are_no_numbers_are_not_written(value: float, format: str) -> None:
    picture = Picture(np.full((4, 4, 3), value, np.float32))
    with pytest.raises(PictureError, match=f"Cannot encode {format}: some pixels are NaN or inf"):
        encode_picture(picture, format)


def test_other_kinds_of_bytes_are_read() -> None:
    data = saved(Image.fromarray(PHOTO), "PNG")
    for source in (bytearray(data), memoryview(data)):
        assert read_picture(source).width == PHOTO.shape[1]


def test_subsampled_colors_of_a_plain_tiff_are_not_called_damage() -> None:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, PHOTO, photometric="ycbcr", metadata=None)
    data = buffer.getvalue()
    assert read_picture(data).width == PHOTO.shape[1]
    subsampling = struct.pack("<HHIHH", 530, 3, 2, 1, 1)
    assert data.count(subsampling) == 1
    data = data.replace(subsampling, subsampling[:8] + struct.pack("<HH", 2, 2))
    with pytest.raises(PictureError, match="uncompressed YCbCr with subsampled colors is not"):
        read_picture(data[: -PHOTO.size // 2])


def test_extended_xmp_is_kept_in_a_jpeg() -> None:
    part = b"http://ns.adobe.com/xmp/extension/\0" + bytes(40) + b"<depth map>"
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(part)) + part
    data = saved(Image.fromarray(PHOTO), "JPEG", xmp=XMP)
    picture = read_picture(data[:2] + segment + data[2:])
    result, losses = encode_picture(picture, "JPEG")
    assert segment in result and losses == ()
    assert "extended XMP" in encode_picture(picture, "PNG")[1][0]


def test_thumbnails_in_extended_xmp_are_blank() -> None:
    packet = b"<x><xmp:Thumbnails>/9j/</xmp:Thumbnails><depth/></x>"
    heads = [bytes(32) + struct.pack(">II", len(packet), place) for place in (0, 25)]
    parts = (heads[1] + packet[25:], heads[0] + packet[:25])  # not in order
    picture = Picture(np.zeros((8, 8, 3), np.float32), metadata=Metadata(extended_xmp=parts))
    found = read_picture(encode_picture(picture, "JPEG")[0]).metadata.extended_xmp
    blank = b"<x>" + b" " * (len(packet) - 15) + b"<depth/></x>"
    assert found == (heads[0] + blank[:25], heads[1] + blank[25:])


@pytest.mark.parametrize(
    ("chunks", "warns"),
    [
        ([(b"gAMA", 100_000)], True),
        ([(b"gAMA", 45_455)], False),
        ([(b"gAMA", 100_000), (b"sRGB", 0)], False),
        ([], False),
    ],
)
def test_another_gamma_is_not_lost_in_silence(chunks: list[tuple[bytes, int]], warns: bool) -> None:
    stored = tuple(
        (kind, bytes([value]) if kind == b"sRGB" else struct.pack(">I", value))
        for kind, value in chunks
    )
    picture = replace(read_picture(png_16(noise(3, 16))), metadata=Metadata(chunks=stored))
    for format in ("JPEG", "TIFF"):
        assert ("PNG gamma" in " ".join(encode_picture(picture, format)[1])) == warns
    assert encode_picture(picture, "PNG")[1] == ()


def test_a_tiff_says_what_is_left_out_and_keeps_its_names() -> None:
    tags = [(33550, "d", 3, (1.0, 1.0, 0.0), True), (269, "s", 0, "Plate 7", True)]
    tags += [(11, "s", 0, "Program", True), (18249, "H", 1, 75, True)]
    picture = read_picture(tiff(noise(3), extratags=tags))
    assert picture.notes == ("Georeferencing was left out.",)
    kept: Any = opened(encode_picture(picture, "TIFF")[0])
    assert [kept.tag_v2[tag] for tag in (11, 269, 18249)] == ["Program", "Plate 7", 75]


@pytest.mark.parametrize("orientation", [1, 6])
def test_further_pages_of_a_rotated_tiff_are_mentioned(orientation: int) -> None:
    pages = [Image.fromarray(PHOTO)] * 3
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    data = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:], exif=exif)
    [note] = read_picture(data).notes
    assert note.startswith("Only the first of 3 frames was read")


@pytest.mark.parametrize(("depth", "levels"), [(16, (1000, 30_000)), (2, (1, 2)), (8, (1, 2))])
def test_frames_of_gray_keep_levels_and_transparency(depth: int, levels: tuple[int, int]) -> None:
    first = read_picture(animated_gray(depth, levels))
    pages = open_pages(animated_gray(depth, levels), "a.png")
    assert pages
    for page in pages.pictures():
        np.testing.assert_allclose(page.pixels, first.pixels, atol=0.5 / 255)
        assert page.alpha is not None and first.alpha is not None
        np.testing.assert_array_equal(page.alpha > 0, first.alpha > 0)


def animated_gray(depth: int, levels: tuple[int, int]) -> bytes:
    """A PNG with two frames, each with pixels of two levels, of which the first is transparent."""
    rows = []
    for level in levels:
        bits = "".join(f"{level:0{depth}b}" for _ in range(8))
        rows.append(b"\0" + int(bits, 2).to_bytes(depth, "big"))
    packed = zlib.compress(b"".join(rows))
    frame = struct.pack(">IIIIHHBB", 8, 2, 0, 0, 1, 10, 0, 0)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 8, 2, depth, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", levels[0])),
        (b"acTL", struct.pack(">II", 2, 0)),
        (b"fcTL", struct.pack(">I", 0) + frame),
        (b"IDAT", packed),
        (b"fcTL", struct.pack(">I", 1) + frame),
        (b"fdAT", struct.pack(">I", 2) + packed),
        (b"IEND", b""),
    ]
    return PNG_SIGNATURE + b"".join(join_chunk(*chunk) for chunk in chunks)


def test_an_orientation_is_used_even_if_the_directory_is_cut_off() -> None:
    block = b"II*\0" + struct.pack("<IHHHIHH", 8, 1, 0x0112, 3, 1, 6, 0)
    picture = read_picture(saved(Image.fromarray(PHOTO), "JPEG", exif=b"Exif\0\0" + block))
    assert (picture.height, picture.width) == PHOTO.shape[1::-1] and not picture.notes


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0II*\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"rubbish"]
)
def test_broken_exif_does_not_stop_a_photo(exif: bytes) -> None:
    picture = read_picture(saved(Image.fromarray(PHOTO), "JPEG", exif=exif))
    assert (picture.height, picture.width) == PHOTO.shape[:2]
    assert picture.notes == (
        () if exif in (b"Exif\0\0", b"rubbish") else ("Broken EXIF data was left out.",)
    )
    for format in ("JPEG", "PNG", "TIFF", "WEBP", "AVIF"):
        assert read_picture(encode_picture(picture, format)[0]).width == picture.width


def test_types_of_exif_survive_a_tiff() -> None:
    entries = [  # tag, type of the standard, count, value
        (37121, 7, 4, b"\1\2\3\0"),  # ComponentsConfiguration
        (37380, 10, 1, struct.pack("<ii", 1, 3)),  # ExposureBiasValue
        (37510, 7, 12, b"ASCII\0\0\0Hill"),  # UserComment
        (41728, 3, 1, b"\3\0"),  # FileSource, as numbers instead of bytes
    ]
    place = 26 + 2 + 12 * len(entries) + 4
    rows, values = b"", b""
    for tag, kind, count, value in entries:
        inline = len(value) <= 4
        at = value.ljust(4, b"\0") if inline else struct.pack("<I", place + len(values))
        rows += struct.pack("<HHI", tag, kind, count) + at
        values += b"" if inline else value
    head = b"II*\0" + struct.pack("<IHHHIII", 8, 1, 34665, 4, 1, 26, 0)
    block = head + struct.pack("<H", len(entries)) + rows + bytes(4) + values
    picture = read_picture(saved(Image.fromarray(PHOTO), "JPEG", exif=b"Exif\0\0" + block))
    tiff = encode_picture(picture, "TIFF")[0]
    again = encode_picture(read_picture(tiff), "JPEG")[0]
    wanted = {tag: kind for tag, kind, _, _ in entries} | {41728: 7}
    assert Image.open(io.BytesIO(tiff)).getexif().get_ifd(34665)[41728] == b"\3"
    for data in (tiff, again[again.index(b"Exif\0\0") + 6 :]):
        order = "<" if data[:2] == b"II" else ">"
        (top,) = struct.unpack_from(order + "I", data, 4)
        (start,) = tag_values(data, top, 34665)
        (count,) = struct.unpack_from(order + "H", data, start)
        found = dict(
            struct.unpack_from(order + "HH", data, start + 2 + 12 * row) for row in range(count)
        )
        assert {tag: found[tag] for tag in wanted} == wanted


def test_exif_with_a_tag_of_the_wrong_type_does_not_stop_a_tiff() -> None:
    block = (
        b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x010F, 5, 1, 26, 0, 0) + struct.pack("<II", 1, 3)
    )  # Make
    picture = read_picture(saved(Image.fromarray(PHOTO), "JPEG", exif=b"Exif\0\0" + block))
    assert encode_picture(picture, "JPEG")[1] == ()
    data, losses = encode_picture(picture, "TIFF")
    assert losses == (
        "The EXIF data has broken tags, which TIFF cannot store, so it was left out.",
    )
    assert read_picture(data).width == 48


@pytest.mark.parametrize("depth", [8, 16])
def test_png_text_and_color_chunks_are_kept(depth: int) -> None:
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    late = chunk(
        b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP
    )  # after the pixels, where ExifTool puts it
    text = chunk(b"tEXt", b"Title\0Harbour") + chunk(
        b"zTXt", b"Comment\0\0" + zlib.compress(b"evening")
    )
    plain = png(noise(3, depth))
    picture = read_picture(plain[:33] + gamma + text + plain[33:-12] + late + plain[-12:])
    assert picture.metadata.xmp == XMP
    result = opened(encode_picture(picture, "PNG")[0])
    result.load()
    assert isinstance(result, PngImagePlugin.PngImageFile)
    assert result.text == {
        "Title": "Harbour",
        "Comment": "evening",
        "XML:com.adobe.xmp": XMP.decode(),
    }
    assert result.info["gamma"] == 1.0


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_xmp_where_it_should_be_comes_first(kind: bytes) -> None:
    plain, right = png(noise(3)), chunk(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + XMP)
    other = chunk(kind, b"XML:com.adobe.xmp\0\0broken")
    assert read_picture(plain[:33] + other + right + plain[33:]).metadata.xmp == XMP


@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt"])
def test_xmp_in_a_plain_text_of_a_png(kind: bytes) -> None:
    text = b"\0" + zlib.compress(XMP) if kind == b"zTXt" else XMP
    plain = png(noise(3))
    picture = read_picture(plain[:33] + chunk(kind, b"XML:com.adobe.xmp\0" + text) + plain[33:])
    assert (picture.metadata.xmp, picture.metadata.chunks) == (XMP, ())


@pytest.mark.parametrize("keyword", ["exif", "APP1"])
@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
def test_exif_in_a_text_of_a_png(kind: bytes, keyword: str) -> None:
    block = exif_with(6)
    text = f"\ngeneric profile\n{len(block):8}\n{block.hex()[:72]}\n{block.hex()[72:]}\n".encode()
    head = {b"tEXt": b"", b"zTXt": b"\0", b"iTXt": bytes(4)}[kind]
    text = head + (zlib.compress(text) if kind == b"zTXt" else text)
    plain, name = png(PHOTO), b"Raw profile type %s\0" % keyword.encode()
    picture = read_picture(plain[:33] + chunk(kind, name + text) + plain[33:])
    upright = read_picture(turned("PNG", 6))
    np.testing.assert_array_equal(picture.pixels, upright.pixels)
    assert picture.metadata == upright.metadata and picture.notes == ()
    rubbish = kind, name + head + b"rubbish"
    broken = read_picture(plain[:33] + chunk(*rubbish) + plain[33:])
    assert broken.notes == () and broken.metadata == Metadata(chunks=(rubbish,))


def test_tags_that_never_end_take_no_time() -> None:
    tags = (b"mwg-rs:Regions", b"mwg-rs:AppliedToDimensions", b"xmp:Thumbnails", b"hdrgm:Version")
    packet = b"".join(b"<%s " % tag * 200_000 for tag in tags) + b"</mwg-rs:Regions"
    assert xmp_of_result(upright_xmp(packet, 6, []), 8, 9) == packet


@pytest.mark.parametrize("name", [b"mwg-rs:AppliedToDimensions", b"mwg-rs:Regions"])
def test_elements_of_xmp(name: bytes) -> None:
    packet = b'<%s stDim:w="4"/> <%s><stDim:w>4</stDim:w></%s> <%s ' % (name, name, name, name)
    wide = packet.replace(b"4", b"9") if b"Applied" in name else packet
    assert xmp_of_result(packet, 8, 9) == wide


IPTC = b"".join(
    b"\x1c\2" + struct.pack(">BH", *head) + text
    for *head, text in [(120, 7, b"Harbour"), (25, 4, b"boat")]
)
RESOURCES = (
    b"8BIM\x04\x0a\0\0\0\0\0\1\1\0" + b"8BIM\x04\x0b\5names\0\0\0\2ab"
)  # a flag, and one with a name


def app13(block: bytes) -> bytes:
    return b"\xff\xed" + struct.pack(">H", 16 + len(block)) + b"Photoshop 3.0\0" + block


def jpeg_with(*segments: bytes) -> bytes:
    data = saved(Image.fromarray(PHOTO), "JPEG", quality=95)
    return data[:20] + b"".join(segments) + data[20:]  # behind JFIF


def test_iptc_resources_and_comments_of_a_jpeg() -> None:
    block = (
        RESOURCES[:14]
        + b"8BIM\4\4\0\0"
        + struct.pack(">I", len(IPTC))
        + IPTC
        + b"\0"
        + RESOURCES[14:]
    )
    assert len(IPTC) % 2 == 1
    comments = (b"first", b"second")
    coms = (b"\xff\xfe" + struct.pack(">H", 2 + len(text)) + text for text in comments)
    picture = read_picture(jpeg_with(app13(block[:30]), app13(block[30:]), *coms))
    for _ in range(2):
        found = picture.metadata
        assert (found.iptc, found.photoshop, found.comments) == (IPTC, RESOURCES, comments)
        data, losses = encode_picture(picture, "JPEG")
        assert losses == ()
        picture = read_picture(data)
    assert opened(data).info["photoshop"][0x0404] == IPTC
    as_tiff, losses = encode_picture(picture, "TIFF")
    assert losses == ("TIFF cannot store some metadata, which was left out: comments.",)
    found = read_picture(as_tiff).metadata
    assert (found.iptc, found.photoshop, found.comments) == (IPTC, RESOURCES, ())
    assert encode_picture(picture, "PNG")[1] == (
        "PNG cannot store some metadata, which was left out: IPTC, Photoshop resources, comments.",
    )


def test_an_incomplete_profile_of_a_jpeg_is_reported() -> None:
    data = saved(Image.fromarray(PHOTO), "JPEG", icc_profile=SRGB)
    assert read_picture(data).notes == ()
    data = data.replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\1\2")  # the first of two parts
    assert read_picture(data).notes == ("A broken ICC profile was left out.",)


def test_a_comment_that_is_too_long_for_a_jpeg_is_left_out() -> None:
    comments = (b"short", b"x" * 70_000)
    picture = Picture(np.zeros((8, 8, 3), np.float32), metadata=Metadata(comments=comments))
    data, losses = encode_picture(picture, "JPEG")
    assert losses == ("JPEG stores at most 65500 bytes of a comment, so 70000 were left out.",)
    assert read_picture(data).metadata.comments == comments[:1]


def test_large_resources_take_several_segments() -> None:
    metadata = Metadata(iptc=IPTC * 9000, photoshop=RESOURCES)
    data, losses = encode_picture(
        Picture(np.zeros((8, 8, 3), np.float32), metadata=metadata), "JPEG"
    )
    assert losses == ()
    assert data.count(b"Photoshop 3.0") == 3
    assert read_picture(data).metadata == metadata


@pytest.mark.parametrize(("kind", "order"), [(4, "<"), (4, ">"), (7, "<"), (1, "<"), (2, "<")])
def test_iptc_of_a_tiff_of_any_type(kind: int, order: str) -> None:
    records = IPTC + bytes(-len(IPTC) % 4)
    value = records if kind != 4 else struct.unpack(f"{order}{len(records) // 4}I", records)
    count = len(records) // 4 if kind == 4 else len(records)
    if kind == 2:
        value = records = IPTC + b"\0"
        count = len(value)
    data = tiff(noise(3), extratags=[(33723, kind, count, value, True)], byteorder=order)
    data, losses = encode_picture(read_picture(data), "TIFF")
    assert losses == ()
    assert opened(data).tag_v2[33723].rstrip(b"\0") == IPTC  # type: ignore[attr-defined]


@pytest.mark.parametrize("extra", [b"video" * 200, b"SEFT" * 9, b"\0" * 1000, b"\xff\xff\0"])
def test_data_after_a_jpeg_is_reported(extra: bytes) -> None:
    note = "1000 bytes after the photo, such as the video of a motion photo, were left out."
    data = saved(Image.fromarray(PHOTO), "JPEG", progressive=True, exif=exif_with(1))
    assert read_picture(data + extra).notes == ((note,) if b"video" in extra else ())


def mpo(*segments: bytes, **options: Any) -> bytes:
    photo = Image.fromarray(PHOTO)
    data = saved(photo, "MPO", save_all=True, append_images=[photo], quality=98, **options)
    return data[:2] + b"".join(segments) + data[2:]


def test_an_mpo_reports_more_than_its_images() -> None:
    first = "Only the first of 2 frames was read."
    thermal = "1000 bytes of camera data, such as thermal data, were left out."
    video = "1000 bytes after the photo, such as the video of a motion photo, were left out."
    data = mpo(b"\xff\xe3" + struct.pack(">H", 1002) + bytes(1000))
    assert len(data.rpartition(b"\xff\xd8")[2]) > 1000  # the second image
    assert read_picture(data).notes == (first, thermal)
    assert read_picture(data + b"video" * 200).notes == (first, thermal, video)


@pytest.mark.parametrize("version", [b'<x hdrgm:Version="1.0"/>', b"<x hdrgm:Version='1.0'/>"])
def test_the_gain_map_of_an_ultra_hdr_photo_is_named_and_no_longer_announced(
    version: bytes,
) -> None:
    picture = read_picture(mpo(xmp=version))
    assert "after the photo, such as its HDR gain map, were left out." in picture.notes[-1]
    assert read_picture(encode_picture(picture, "JPEG")[0]).metadata.xmp == b"<x/>"


@pytest.mark.parametrize(
    ("marker", "start", "size", "noted"),
    [
        (b"\xff\xe1", b"FLIR\0", 1000, True),
        (b"\xff\xe4", b"", 1000, True),  # as in thermal photos of DJI
        (b"\xff\xe4", b"", 999, False),
        (b"\xff\xe2", b"FPXR\0", 1000, False),
    ],
)
def test_large_data_of_a_camera_is_reported(
    marker: bytes, start: bytes, size: int, noted: bool
) -> None:
    segment = marker + struct.pack(">H", 2 + size) + start.ljust(size, b"x")
    notes = read_picture(jpeg_with(segment)).notes
    assert notes == (("1000 bytes of camera data, such as thermal data, were left out.",) * noted)


def test_what_cannot_be_kept_of_pixels_and_credentials_is_reported() -> None:
    aspect = "The pixel aspect ratio 1:2 was left out."
    signed = "Content credentials, which are signed for the original photo, were left out."
    plain = png(PHOTO)
    square, wide = (chunk(b"pHYs", struct.pack(">IIB", x, 1, 0)) for x in (1, 2))
    box = b"JP\0\1\0\0\0\1\0\0\0\x40jumb\0\0\0\x20jumdc2pa" + bytes(40)
    assert read_picture(plain[:33] + square + plain[33:]).notes == ()
    assert read_picture(plain[:33] + wide + chunk(b"caBX", box) + plain[33:]).notes == (
        aspect,
        signed,
    )
    jpeg = bytearray(saved(Image.fromarray(PHOTO), "JPEG"))
    assert read_picture(bytes(jpeg)).notes == ()
    struct.pack_into(">BHH", jpeg, 13, 0, 2, 1)  # unit and density in JFIF
    segment = b"\xff\xeb" + struct.pack(">H", 2 + len(box)) + box
    assert set(read_picture(bytes(jpeg[:20] + segment + jpeg[20:])).notes) == {aspect, signed}
    data = tiff(PHOTO, resolution=(2, 1), resolutionunit=1)
    assert read_picture(data).notes == (aspect,)
    webp = saved(Image.fromarray(PHOTO), "WEBP", exif=exif_with(1))
    webp += b"C2PA" + struct.pack("<I", len(box)) + box
    assert read_picture(webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:]).notes == (signed,)


def test_tags_of_an_unexpected_type() -> None:
    data = tiff(PHOTO, iccprofile=SRGB, extratags=[(700, 2, len(XMP), XMP.decode(), True)])
    assert read_picture(data).metadata.xmp == XMP
    assert read_picture(retagged(data, 34675, kind=2)).metadata.icc is not None
    picture = read_picture(retagged(data, 34675, kind=5))  # RATIONAL
    assert picture.metadata.icc is None
    assert picture.notes == ("A broken ICC profile was left out.",)


@pytest.mark.parametrize("format", ["WEBP", "AVIF", "PNG"])
def test_resolution_that_is_only_in_exif(format: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = 300.0, 150.0
    exif[ExifTags.Base.ResolutionUnit] = 2
    picture = read_picture(saved(Image.fromarray(PHOTO), format, exif=exif.tobytes()))
    assert picture.metadata.dpi == (300, 150)
    for target in ("TIFF", "BMP", "JPEG"):
        data, _ = encode_picture(picture, target)
        assert opened(data).info["dpi"] == pytest.approx((300, 150), abs=0.1)
    for target in ("WEBP", "AVIF"):
        assert encode_picture(picture, target)[1] == ()


def test_pillow_does_not_guess_a_resolution() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    picture = read_picture(saved(Image.fromarray(PHOTO), "JPEG", exif=exif.tobytes()))
    assert picture.metadata.dpi is None
    bmp, _ = encode_picture(picture, "BMP")
    assert struct.unpack_from("<II", bmp, 38) == (0, 0)
    assert read_picture(bmp).metadata.dpi is None
    exif[ExifTags.Base.XResolution], exif[ExifTags.Base.YResolution] = 300.0, 150.0
    exif[ExifTags.Base.ResolutionUnit] = 2
    picture = read_picture(saved(Image.fromarray(PHOTO), "JPEG", exif=exif.tobytes()))
    assert picture.metadata.dpi == (300, 150)


@pytest.mark.parametrize("dpi", [(101_600.0, 300.0), (0.3, 0.3)])
def test_an_extreme_resolution_is_not_stored_in_a_jpeg(dpi: tuple[float, float]) -> None:
    picture = Picture(np.zeros((8, 8, 3), np.float32), metadata=Metadata(dpi=dpi))
    data, losses = encode_picture(picture, "JPEG")
    assert losses == (f"JPEG stores 1 to 65535 dpi, so {dpi[0]:g} x {dpi[1]:g} were left out.",)
    assert read_picture(data).metadata.dpi is None


def test_a_jpeg_stores_whole_dpi() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 72.5
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    loss = "JPEG stores whole dpi, so 72.5 x 72.5 were rounded."
    for dpi, stated, expected in ((72.5, None, (loss,)), (72.5, block, ()), (299.9994, None, ())):
        metadata = Metadata(exif=stated, dpi=(dpi, dpi))
        picture = Picture(np.zeros((8, 8, 3), np.float32), metadata=metadata)
        assert encode_picture(picture, "JPEG")[1] == expected


@pytest.mark.parametrize("late", [False, True])
def test_large_metadata_of_a_png(late: bool) -> None:
    profile, packet = SRGB + bytes(2**21), XMP + b" " * 2**21
    parts = [
        chunk(b"iCCP", b"x\0\0" + zlib.compress(profile)),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(2**21))),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(packet)),
    ]
    plain, place = png(PHOTO), -12 if late else 33
    picture = read_picture(plain[:place] + b"".join(parts) + plain[place:])
    assert (picture.metadata.icc, picture.metadata.xmp) == (profile, packet)
    assert [kind for kind, _ in picture.metadata.chunks] == [b"zTXt"]
    bomb = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**27), 9))
    picture = read_picture(plain[:33] + bomb + plain[33:])
    assert picture.notes == (
        "The ICC profile was left out because it is cut short, or larger than 64 MB.",
    )
    picture = read_picture(plain[:33] + chunk(b"iCCP", b"x\0\0rubbish") + plain[33:])
    assert picture.notes == ("A broken ICC profile was left out.",)


# Damage that is reported


@pytest.mark.parametrize("depth", [8, 16])
def test_wrong_checksums_of_a_png(depth: int) -> None:
    plain = png(noise(3, depth))
    text = chunk(b"tEXt", b"Title\0Harbour")
    data = plain[:33] + text + plain[33:]
    assert find_damage(data) == ()
    for place in (-13, -17):  # the checksum of IDAT, and Adler-32 within
        wrong = bytearray(data)
        wrong[place] ^= 1
        assert find_damage(bytes(wrong)) == (
            "The file is damaged: a checksum is wrong, so pixels may be wrong, too.",
        )
    other = bytearray(data)
    other[33 + len(text) - 1] ^= 1
    picture = read_picture(bytes(other))
    assert picture.notes == ("A broken chunk was left out.",)
    assert find_damage(bytes(other)) == ()
    assert picture.metadata.chunks == ()
    header = bytearray(data)
    header[30] ^= 1
    with pytest.raises(PictureError, match="damaged"):
        read_picture(bytes(header))


@pytest.mark.parametrize(
    "options", [{}, {"restart_marker_blocks": 2}, {"progressive": True}], ids=str
)
def test_damage_that_libjpeg_finds(options: Any, capfd: pytest.CaptureFixture[str]) -> None:
    data = saved(Image.fromarray(noise(3, size=(128, 128))), "JPEG", quality=90, **options)
    assert find_damage(data) == ()
    wrong = bytearray(data)
    start = data.index(b"\xff\xda")  # of the first scan
    wrong[start + 40 : start + 140] = bytes(100)
    assert read_picture(bytes(wrong)).height == 128
    (sentence,) = find_damage(bytes(wrong))
    assert sentence.startswith(
        "The file is damaged: parts of the photo may be wrong (Corrupt JPEG data: "
    )
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("found", "other"),
    [(b"JFIF\0\1", b"JFIF\0\x99"), (b"Adobe\0d\0\0\0\0\0", b"Adobe\0d\0\0\0\0\7")],
)
def test_unusual_versions_of_a_jpeg_are_not_damage(
    found: bytes, other: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    data = saved(Image.fromarray(PHOTO), "JPEG", keep_rgb=found.startswith(b"Adobe"))
    assert found in data
    odd = data.replace(found, other)
    assert read_picture(odd).pixels.shape == (*PHOTO.shape,)
    assert find_damage(odd) == ()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_damage_that_libaom_finds(mode: str) -> None:
    data = saved(
        Image.fromarray(noise(4, size=(64, 64))).convert(mode), "AVIF", subsampling="4:2:0"
    )
    assert find_damage(data) == ()
    found = 0
    for place in range(len(data) // 2, len(data), len(data) // 20):
        wrong = bytearray(data)
        wrong[place] ^= 4
        found += bool(find_damage(bytes(wrong)))
    assert found >= 8


def test_other_output_to_stderr_is_kept(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with stderr.captured_stderr(rb"Corrupt.*\n") as said:
        os.write(2, b"progress\nCorrupt JPEG data: x\n 50 %")
    assert said == [b"Corrupt JPEG data: x\n"]
    assert capfd.readouterr().err == "progress\n 50 %"
    with pytest.raises(KeyboardInterrupt), stderr.captured_stderr(rb"x"):
        raise KeyboardInterrupt

    def full(*words: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(stderr.tempfile, "TemporaryFile", full)
    assert read_picture(tiff(PHOTO, compression="zlib")).height == 32
    os.write(2, b"there")
    assert capfd.readouterr().err == "there"


# What a format cannot store


def rich_picture() -> Picture:
    metadata = Metadata(
        exif_with(1)[6:], SRGB, XMP, (300.0, 300.0), ((b"tEXt", b"Title\0Harbour"),)
    )
    return replace(read_picture(png_16(noise(4, 16))), metadata=metadata)


@pytest.mark.parametrize(
    ("format", "expected"),
    [
        ("PNG", ()),
        ("TIFF", ("TIFF cannot store some metadata, which was left out: PNG text.",)),
        (
            "JPEG",
            (
                "JPEG stores 8 bits per sample, so 16 bits were rounded to 8.",
                "JPEG cannot store transparency, so it was flattened onto white.",
                "JPEG cannot store some metadata, which was left out: PNG text.",
            ),
        ),
        (
            "WEBP",
            (
                "WEBP stores 8 bits per sample, so 16 bits were rounded to 8.",
                "WEBP cannot store some metadata, which was left out: resolution, PNG text.",
            ),
        ),
        (
            "BMP",
            (
                "BMP stores 8 bits per sample, so 16 bits were rounded to 8.",
                "BMP cannot store transparency, so it was flattened onto white.",
                "BMP cannot store some metadata, which was left out: EXIF, ICC profile, XMP,"
                " PNG text.",
            ),
        ),
        (
            "PPM",
            (
                "PPM cannot store transparency, so it was flattened onto white.",
                "PPM cannot store some metadata, which was left out: EXIF, ICC profile, XMP,"
                " resolution, PNG text.",
            ),
        ),
    ],
)
def test_losses_are_reported(format: str, expected: tuple[str, ...]) -> None:
    data, losses = encode_picture(rich_picture(), format)
    assert losses == expected
    assert read_picture(data).depth == (16 if format in ("PNG", "TIFF", "PPM") else 8)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG", "WEBP", "BMP", "PPM", "AVIF"])
def test_a_plain_photo_loses_nothing(format: str) -> None:
    data, losses = encode_picture(read_picture(png(PHOTO)), format)
    assert losses == ()
    assert np.abs(shown(data).astype(int) - PHOTO).mean() < 3


def test_alpha_is_flattened_onto_white() -> None:
    samples = np.array([[[0, 0, 0, 0], [0, 0, 0, 255], [0, 100, 200, 51]]], np.uint8)
    data, _ = encode_picture(read_picture(png(samples)), "PPM")
    assert decoded(data, "PPM", 3).tolist() == [[[255, 255, 255], [0, 0, 0], [204, 224, 244]]]


def test_rounding_to_8_bits_is_to_the_nearest() -> None:
    samples = np.array([[[0, 128, 129], [257, 385, 65535]]], np.uint16)
    data, _ = encode_picture(read_picture(png_16(samples)), "BMP")
    assert decoded(data, "BMP", 3).tolist() == [[[0, 0, 1], [1, 1, 255]]]


def test_values_beyond_the_range_are_clipped() -> None:
    pixels = np.array([[[-0.5], [1.5]]], np.float32)
    for depth in (8, 16):
        data, _ = encode_picture(Picture(pixels, depth=depth), "PNG")
        assert decoded(data, "PNG", 1).ravel().tolist() == [0, 2**depth - 1]


@pytest.mark.parametrize("field", ["exif", "xmp"])
def test_metadata_too_long_for_jpeg_is_reported(field: str) -> None:
    picture = read_picture(png(PHOTO))
    picture = replace(picture, metadata=replace(Metadata(), **{field: bytes(70_000)}))
    data, losses = encode_picture(picture, "JPEG")
    assert losses == (
        f"JPEG stores at most 65500 bytes of {field.upper()}, so 70000 were left out.",
    )
    assert field not in opened(data).info


@pytest.mark.parametrize(
    ("bands", "profile", "format", "kept"),
    [
        (3, GRAY_PROFILE, "PNG", False),
        (3, GRAY_PROFILE, "JPEG", False),
        (1, GRAY_PROFILE, "PNG", True),
        (1, GRAY_PROFILE, "WEBP", False),
        (1, GRAY_PROFILE, "AVIF", True),
        (2, GRAY_PROFILE, "AVIF", False),
        (1, SRGB, "PNG", False),
        (1, SRGB, "JPEG", True),
    ],
)
def test_a_profile_must_match_the_channels(
    bands: int, profile: bytes, format: str, kept: bool
) -> None:
    picture = replace(read_picture(png(noise(bands))), metadata=Metadata(icc=profile))
    data, losses = encode_picture(picture, format)
    lost = "The ICC profile does not match the channels of the output, so it was left out."
    assert (lost in losses) == (not kept)
    assert opened(data).info.get("icc_profile") == (profile if kept else None)


def test_gray_avif_stays_gray() -> None:
    picture = read_picture(png(PHOTO[..., :1]))
    again = read_picture(encode_picture(picture, "AVIF")[0])
    assert again.channels == 1 and np.abs(again.pixels - picture.pixels).mean() < 0.01


@pytest.mark.parametrize("bands", [1, 3])
def test_reading_prints_nothing(bands: int, capfd: pytest.CaptureFixture[str]) -> None:
    odd = (
        chunk(b"iCCP", b"x\0\0" + zlib.compress(SRGB))
        + chunk(b"gAMA", bytes(4))
        + chunk(b"sRGB", b"\x09")
    )
    samples = noise(bands, 16)
    np.testing.assert_array_equal(samples_of(read_picture(png_16(samples, odd))), samples)
    assert capfd.readouterr() == ("", "")


def test_jpeg_keeps_color_at_full_resolution_and_obeys_its_quality() -> None:
    picture = read_picture(png(noise(3)))
    best, rough = (encode_picture(picture, "JPEG", jpeg_quality=quality)[0] for quality in (95, 30))
    assert (
        b"\xff\xc0\x00\x11\x08\x00\x17\x00\x1f\x03\x01\x11" in best
    )  # SOF0: component 1 sampled 1 x 1
    assert len(rough) < len(best) / 2


@pytest.mark.parametrize("format", ["WEBP", "JPEG"])
def test_a_picture_too_large_for_its_format_is_refused(format: str) -> None:
    picture = Picture(np.zeros((1, 70_000, 1), np.float32))
    with pytest.raises(
        PictureError,
        match=rf"^Cannot encode 70000 x 1 pixels as {format}: .*\. Choose PNG or TIFF\.$",
    ):
        encode_picture(picture, format)


# Transparent pixels


@pytest.mark.parametrize("depth", [8, 16])
def test_hidden_colors_neither_bleed_nor_change(depth: int) -> None:
    samples = noise(4, depth, (40, 50))
    samples[..., 3] = 2**depth - 1
    samples[10:30, 10:40, 3] = 0
    samples[0, 0, 3] = 1
    picture = read_picture(png(samples))
    opaque = picture.opaque_pixels()
    visible = samples[..., 3] > 0
    np.testing.assert_array_equal(opaque[visible], picture.pixels[visible])
    np.testing.assert_array_equal(
        opaque[10, 12:38], picture.pixels[9, 12:38]
    )  # nearest is the one above
    np.testing.assert_array_equal(opaque[12:28, 39], picture.pixels[12:28, 40])
    restored = picture.with_pixels(np.zeros_like(opaque))
    expected = np.where(visible[..., None], 0, samples[..., :3])
    np.testing.assert_array_equal(samples_of(restored), np.dstack([expected, samples[..., 3]]))


def test_pictures_without_visible_edges_are_not_copied() -> None:
    for alpha in (None, np.zeros((23, 31), np.uint8), np.full((23, 31), 9, np.uint8)):
        picture = Picture(np.zeros((23, 31, 3), np.float32), alpha)
        assert picture.opaque_pixels() is picture.pixels


def test_webp_keeps_alpha_exactly() -> None:
    samples = noise(4)
    picture = read_picture(encode_picture(read_picture(png(samples)), "WEBP")[0])
    np.testing.assert_array_equal(picture.alpha, samples[..., 3])


def test_other_pixels_must_have_the_same_shape() -> None:
    with pytest.raises(ValueError, match="shape"):
        Picture(np.zeros((2, 3, 3), np.float32)).with_pixels(np.zeros((2, 3, 1), np.float32))


# What cannot be read


def assert_sentence(error: BaseException, name: str) -> None:
    assert str(error).startswith(f"Cannot read {name}: ")
    assert "\n" not in str(error)
    assert "<_io" not in str(error)


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(saved(Image.fromarray(PHOTO), "JPEG"), id="JPEG"),
        pytest.param(saved(Image.fromarray(PHOTO), "WEBP"), id="WEBP"),
        pytest.param(saved(Image.fromarray(PHOTO), "BMP"), id="BMP"),
        pytest.param(saved(Image.fromarray(PHOTO), "PPM"), id="PPM"),
        pytest.param(b"P6 40 40 65535\n" + bytes(9600), id="16-bit PPM"),
        pytest.param(png(noise(3, 8, (90, 90))), id="PNG"),
        pytest.param(png(noise(3, 16, (90, 90))), id="16-bit PNG"),
        pytest.param(tiff(noise(3, 8, (90, 90)), rowsperstrip=8), id="TIFF"),
        pytest.param(tiff(noise(3, 16, (90, 90)), rowsperstrip=8), id="16-bit TIFF"),
        pytest.param(tiff(noise(2, 16, (90, 90)), rowsperstrip=8), id="16-bit gray-alpha TIFF"),
    ],
)
def test_truncated_files_are_refused(
    data: bytes, cut: float, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "photo"
    path.write_bytes(data[: int(len(data) * cut)])
    with pytest.raises(PictureError) as caught:
        read_picture(path)
    assert_sentence(caught.value, str(path))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("depth", [8, 16])
def test_damaged_tiff_is_refused(depth: int, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(tiff(noise(3, depth, (90, 90)), compression="zlib", rowsperstrip=30))
    middle = len(data) // 2
    data[middle : middle + 9] = bytes(9)
    with pytest.raises(PictureError, match="damaged"):
        read_picture(bytes(data))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("depth", [8, 16])
def test_png_with_a_flipped_bit_is_refused(depth: int, capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(png(noise(3, depth)))
    data[len(data) // 2] ^= 1
    with pytest.raises(PictureError, match="damaged"):
        read_picture(bytes(data))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"dear diary", "it is not a PNG, JPEG"),
        (b"\x89PNG\r\n\x1a\n", "it is not a PNG, JPEG"),
        (b"II*\0", "damaged"),
        (b"II+\0" + bytes(60), "BigTIFF"),
        (saved(Image.fromarray(PHOTO), "PCX"), "it is not a PNG, JPEG"),
        (b"\0\0\0\x18ftypisom\0\0\0\0mif1isom" + bytes(99), "it is not a PNG, JPEG"),
        (tiff(noise(3).astype(np.float32)), "32-bit float"),
        (tiff(noise(1).astype(np.float16)), "16-bit float"),
        (tiff(noise(1).astype(np.uint32)), "32-bit integer"),
        (tiff(noise(1).astype(np.int16)), "16-bit signed"),
        (
            with_number(tiff(noise(3)), 259, 34887),
            r"this kind of TIFF is not supported \(8 bits, .*LERC",
        ),
        (with_number(tiff(noise(3, 16)), 262, 8), r"not supported \(16 bits, photometric 8"),  # LAB
        (
            jpeg_with()[:-1].replace(b"\xff\xc0\0\x11\x08", b"\xff\xc1\0\x11\x0c"),
            "JPEG with 12 bits per sample",
        ),
    ],
)
def test_files_that_are_not_supported_images(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=reason) as caught:
        read_picture(path)
    assert_sentence(caught.value, str(path))
    with pytest.raises(PictureError, match=r"^Cannot read standard input: "):
        read_picture(content)


def test_paths_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PictureError, match="the file does not exist"):
        read_picture(tmp_path / "missing.png")
    with pytest.raises(PictureError, match="is a folder"):
        read_picture(tmp_path)

    def refuse(path: Path, mode: str) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)  # root may read all
    with pytest.raises(PictureError, match="permission denied"):
        read_picture(tmp_path / "locked.png")


def test_large_scans_open_but_decompression_bombs_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow would refuse 200 and warn from 100
    sources = (
        png(PHOTO),
        tiff(PHOTO),
        tiff(PHOTO.astype(np.uint16)),
        saved(Image.fromarray(PHOTO), "JPEG"),
    )
    for data in sources:
        assert read_picture(data).height == 32
    assert Image.MAX_IMAGE_PIXELS == 100
    monkeypatch.setattr(bounds, "MAX_PIXELS", 32 * 48 - 1)
    for data in sources:
        with pytest.raises(PictureError, match="above the limit"):
            read_picture(data)
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with pytest.raises(PictureError, match="10000 megapixels"):
        read_picture(bomb)


WEBP_OF_268_MP = b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0" + bytes.fromhex("2ffebfff0f071011fd0f4444ff03")


def flat_png(width: int, height: int) -> bytes:
    """A black image with one bit per pixel."""
    rows = zlib.compress(bytes((1 + -(-width // 8)) * height), 9)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "megapixels"),
    [(WEBP_OF_268_MP, 268.4), (flat_png(12_000, 12_000), 144)],
    ids=["WEBP", "PNG"],
)
def test_a_small_file_cannot_contain_a_large_photo(data: bytes, megapixels: float) -> None:
    expected = (
        f"it has {megapixels} megapixels, above the limit of 64 for a file of {len(data)} bytes"
    )
    with pytest.raises(PictureError, match=expected):
        read_picture(data)
    with pytest.raises(
        PictureError, match=rf"it has {megapixels} megapixels, above the limit of 1\. "
    ):
        read_picture(data, max_pixels=1_000_000)


def test_the_limit_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    data = flat_png(320, 200)
    monkeypatch.setattr(bounds, "MAX_PIXELS", 1000)
    with pytest.raises(PictureError, match="raise --max-pixels"):
        read_picture(data)
    assert read_picture(data, max_pixels=64_000).width == 320


@pytest.mark.parametrize(
    "data",
    [
        png(PHOTO),
        png(PHOTO.astype(np.uint16)),
        tiff(PHOTO),
        tiff(PHOTO.astype(np.uint16), tile=(16, 16)),
        saved(Image.fromarray(PHOTO), "JPEG"),
        saved(Image.fromarray(PHOTO).quantize(), "PNG"),
        saved(Image.fromarray(PHOTO).convert("CMYK"), "TIFF"),
        b"P6 48 32 65535\n" + bytes(9216),
    ],
)
def test_free_memory_is_checked_before_decoding(
    data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "_free_memory", lambda: 40_000)
    with pytest.raises(
        PictureError, match=r"it needs about 0\.0 GB of memory, but 0\.0 GB are free"
    ):
        read_picture(data)
    monkeypatch.setattr(bounds, "_free_memory", lambda: 100_000)
    assert read_picture(data).height == 32


def test_overlapping_strips_take_no_additional_memory() -> None:
    samples = noise(3, size=(3000, 40))
    data = bytearray(tiff(samples, compression="zlib", rowsperstrip=1))
    entry = entry_of(data, 279)
    kind, count, place = struct.unpack_from("<HII", data, entry + 2)
    struct.pack_into(f"<{count}{'H' if kind == 3 else 'I'}", data, place, *[65535] * count)
    tracemalloc.start()
    try:
        picture = read_picture(bytes(data) + bytes(65535))
        assert tracemalloc.get_traced_memory()[1] < 2**24  # 3000 times 65535 bytes are 188 MB
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(samples_of(picture), samples)


def test_a_small_picture_in_a_huge_tile_is_refused() -> None:
    data = tiff(noise(1), tile=(32, 32))
    crafted = with_number(with_number(data, 322, 60_000), 323, 60_000)
    with pytest.raises(PictureError, match="3600 megapixels"):
        read_picture(crafted)


class Endless(io.RawIOBase):
    """An endless stream of zeros after the given beginning."""

    def __init__(self, begin: bytes) -> None:
        self.begin, self.given = begin, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self.begin[self.given : self.given + len(buffer)].ljust(len(buffer), b"\0")
        buffer[:] = block
        self.given += len(buffer)
        assert self.given < 2**24, "it is read forever"
        return len(buffer)


def test_endless_streams_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PictureError, match="Cannot read standard input: it is not a PNG, JPEG"):
        read_file(io.BufferedReader(Endless(b"")))
    monkeypatch.setattr(bounds, "_free_memory", lambda: 2**22)
    with pytest.raises(PictureError, match="Cannot read standard input: it does not end after"):
        read_file(io.BufferedReader(Endless(png(PHOTO))))
    if Path("/dev/zero").exists():
        with pytest.raises(PictureError, match="Cannot read /dev/zero: it is not a PNG, JPEG"):
            read_picture(Path("/dev/zero"))
    for data in (png(PHOTO), b"P1 1 1 1", WEBP_OF_268_MP, b""):
        assert read_file(io.BytesIO(data)) == data


# Files on disk


def test_written_file_is_read_back(tmp_path: Path) -> None:
    samples = noise(3, 16)
    target = tmp_path / "photo.TIF"
    assert write_picture(read_picture(png(samples)), target) == ()
    np.testing.assert_array_equal(samples_of(read_picture(target)), samples)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.TIF"]


def test_arguments_of_python_are_checked(tmp_path: Path) -> None:
    pixels = np.ones((8, 9, 3), np.float32)
    for quality in (0, 101):
        with pytest.raises(UsageError, match="expected a number from 1 to 100"):
            write_picture(Picture(pixels), tmp_path / "a.jpg", jpeg_quality=quality)
    with pytest.raises(UsageError, match=r"alpha of shape \(9, 8\): the pixels have \(8, 9\)"):
        Picture(pixels, alpha=np.ones((9, 8), np.uint8))
    for alpha in (np.ones((8, 9), np.float32), np.ones((8, 9), bool)):
        with pytest.raises(UsageError, match="expected uint8 or uint16"):
            Picture(pixels, alpha=alpha)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="expected floating-point numbers"):
        Picture(pixels).with_pixels(np.full((8, 9, 3), 128, np.uint8))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="12 is not a valid depth"):
        Picture(pixels, depth=12)
    for wrong in ({"tile": -1}, {"tile": 5}, {"tile": "auto"}, {"turns": 5}):
        with pytest.raises(UsageError, match="expected a tile of None, 0, or 16 or more"):
            Settings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_failed_write_leaves_nothing_behind(existing: bool, scheme: str, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    picture, target = read_picture(png(PHOTO)), tmp_path / "photo.png"
    if existing:
        target.write_bytes(b"older")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (100, limits[1])
    )  # the file system takes 100 bytes a file
    try:
        with pytest.raises(
            PictureError,
            match=f"^Cannot write {scheme}{target}: File too large. Free some space, or",
        ):
            write_picture(picture, f"{scheme}{target}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"older"] * existing


def test_interruption_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(path: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_picture(read_picture(png(PHOTO)), tmp_path / "photo.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_devices_are_written_and_not_replaced(tmp_path: Path) -> None:
    link = tmp_path / "full.png"
    link.symlink_to("/dev/full")
    with pytest.raises(PictureError, match="No space left on device"):
        write_picture(read_picture(png(PHOTO)), link)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_new_files_obey_the_umask(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_picture(read_picture(png(PHOTO)), tmp_path / "photo.png")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "photo.png").stat().st_mode) == mode


def test_replaced_files_keep_mode_and_links(tmp_path: Path) -> None:
    target, link = tmp_path / "photo.png", tmp_path / "link.png"
    target.write_bytes(b"older")
    target.chmod(0o640)
    link.symlink_to(target)
    write_picture(read_picture(png(PHOTO)), link)
    assert link.is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert read_picture(target).width == 48


def test_targets_that_cannot_be_written(tmp_path: Path) -> None:
    picture = read_picture(png(PHOTO))
    (tmp_path / "folder.png").mkdir()
    for name, reason in [
        ("folder.png", "is a folder"),
        ("missing/photo.png", "its folder does not exist"),
        (
            "photo.psd",
            r"Cannot recognize the format of .*psd: its suffix is unknown\. Use one of \.png \.jpg",
        ),
        ("photo.gif", r"Cannot write .*gif: GIF files can only be read\. Use one of \.png \.jpg"),
        ("photo", "Cannot recognize the format"),
        (f"{'a' * 300}.png", "its name is too long. Choose a shorter one"),
    ]:
        with pytest.raises(PictureError, match=reason):
            write_picture(picture, tmp_path / name)


# Names and color


@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("a.JPG", "JPEG"),
        ("a.jpeg", "JPEG"),
        ("b.c.tif", "TIFF"),
        ("a.pgm", "PPM"),
        ("a.mpo", "JPEG"),
        ("a.webp", "WEBP"),
    ],
)
def test_suffixes(name: str, format: str) -> None:
    assert format_of(Path(name)) == format
    assert is_image_name(Path(name))
    assert format_of(Path("x" + suffix_of(format))) == format


def test_unknown_formats() -> None:
    assert not is_image_name(Path("notes.txt"))
    for call in (
        suffix_of,
        lambda format: encode_picture(Picture(np.zeros((1, 1, 1), np.float32)), format),
    ):
        with pytest.raises(PictureError, match="Cannot write GIF files"):
            call("GIF")


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_color_by_bt601(kind: type) -> None:
    rgb = np.array([[[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], kind)
    brightness = luma(rgb)
    assert brightness.shape == (1, 5)
    assert brightness.dtype == kind
    np.testing.assert_allclose(brightness[0] * 255, [16, 235, 81.481, 144.553, 40.966], atol=1e-3)
    gray = to_gray(rgb)
    assert gray.dtype == kind
    np.testing.assert_allclose(gray[0, :, 0], [0, 1, 0.299, 0.587, 0.114], atol=1e-6)
    np.testing.assert_array_equal(to_rgb(gray), np.dstack([gray] * 3))


def test_measures() -> None:
    picture = Picture(np.zeros((200, 300, 3), np.float32))
    assert (picture.height, picture.width, picture.channels, picture.megapixels) == (
        200,
        300,
        3,
        0.06,
    )


def test_heavy_libraries_are_imported_when_needed() -> None:
    slow = "{'cv2', 'tifffile', 'torch', 'PIL.ImageCms'}"
    code = f"import sys, restore_cli.image; print({slow} & {{*sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "set()"


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 5, 3), np.uint8),
        np.zeros((4, 5), np.float32),
        np.zeros((4, 5, 4), np.float32),
        np.zeros((0, 5, 3), np.float32),
    ],
)
def test_other_arrays_are_no_picture(pixels: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"expected floating-point numbers in \[0, 1\] of shape"):
        Picture(pixels)
