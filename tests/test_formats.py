"""HEIC, JPEG XL and RAW in and out, and all frames or pages of a file."""

from __future__ import annotations

import importlib
import io
import json
import runpy
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from batches import save_brighter
from PIL import ExifTags, Image, ImageCms, ImageSequence
from typer.testing import CliRunner, Result

from restore_cli.cli import app
from restore_cli.errors import PictureError
from restore_cli.image import (
    Metadata,
    Picture,
    encode_picture,
    find_damage,
    formats,
    is_image_name,
    raw,
    read_picture,
    read_size,
    write_picture,
)
from restore_cli.image.animation import Timing, join_png

pillow_heif: Any = pytest.importorskip("pillow_heif")
pytest.importorskip("pillow_jxl")
pytest.importorskip("rawpy")

Array = npt.NDArray[Any]
Run = Callable[..., Result]
SCRIPT = runpy.run_path(str(Path(__file__).parents[1] / "scripts" / "fidelity_table.py"))
RNG = np.random.default_rng(5)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
# A frame, and a second one, of an animated JPEG XL, and a JPEG XL with float samples.
JXL_ANIMATED = bytes.fromhex(
    "ff0a081041130088090804010020004b12a54285241c000804050038004b12a54285249628403c00210000"
)
JXL_FLOAT = bytes.fromhex(
    "0000000c4a584c200d0a870a00000014667479706a786c20000000006a786c20000000096a786c6c0a0000001d"
    "6a786c63ff0a08107200458b080401001c004b12a54285240c"
)


def smooth(bands: int, bits: int = 8, size: tuple[int, int] = (24, 34)) -> Array:
    rows, columns, band = np.mgrid[: size[0], : size[1], :bands]
    wave = 0.5 + 0.4 * np.sin(rows / 9 + columns / 7 + band)
    samples: Array = np.rint(wave * (2**bits - 1)).astype(np.uint16 if bits > 8 else np.uint8)
    return samples


def exif_with(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 300.0
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ISOSpeedRatings: 400}
    return exif.tobytes()


def heif(samples: Array, bits: int = 8, **options: Any) -> bytes:
    height, width, bands = samples.shape
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[bands] + (f";{bits}" if bits > 8 else "")
    buffer = io.BytesIO()
    options = {"quality": -1, "chroma": 444, **options}  # lossless apart from the color space
    pillow_heif.from_bytes(mode, (width, height), samples.tobytes()).save(buffer, **options)
    return buffer.getvalue()


def jxl(samples: Array, mode: str, lossless: bool = True, **metadata: Any) -> bytes:
    height, width, _ = samples.shape
    library: Any = importlib.import_module("pillow_jxl")
    encoder = library.Encoder(
        mode,
        lossless,
        100 if lossless else 90,
        use_container=bool(metadata),
        use_original_profile=lossless,
    )
    data: bytes = encoder(samples.tobytes(), width, height, jpeg_encode=False, **metadata)
    return data


dng: Callable[..., bytes] = SCRIPT["_dng"]


@pytest.fixture
def run(checkpoints: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `restore denoise` with a network that changes nothing, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, channels: int = 3, stdin: bytes = b"") -> Result:
        argv = ["denoise", *map(str, words), "--model", str(checkpoints[channels])]
        argv += ["--sigma", "9"]
        return CliRunner().invoke(app, argv, input=stdin)

    return run


def done(result: Result) -> dict[str, Any]:
    """The record of a command that was successful, with --json."""
    assert result.exit_code == 0, result.output
    record: dict[str, Any] = json.loads(result.stdout)
    return record


# HEIC


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_heic_is_read_with_all_its_bits(bands: int, bits: int) -> None:
    samples = smooth(bands, bits)
    picture = read_picture(heif(samples, bits))
    assert (picture.format, picture.depth) == ("HEIF", 8 if bits == 8 else 16)
    assert picture.channels == (1 if bands == 1 else 3)
    wanted = samples[..., : picture.channels] / (2**bits - 1)
    # Its color space rounds RGB by up to a level or two; gray has none.
    levels = 0 if bands == 1 else 2.5
    assert np.abs(picture.pixels - wanted).max() <= levels / (2**bits - 1) + 1e-5
    assert (picture.alpha is not None) == (bands == 4)
    assert picture.notes == ()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("bands", [1, 3])
def test_heic_is_written_with_8_or_10_bits(depth: int, bands: int) -> None:
    pixels = (smooth(bands, 16) / np.float32(65535)).astype(np.float32)
    data, losses = encode_picture(Picture(pixels, depth=depth), "HEIF")
    info = pillow_heif.open_heif(data, convert_hdr_to_8bit=False).info
    assert info["bit_depth"] == (8 if depth == 8 else 10)
    again = read_picture(data)
    assert again.pixels.shape == pixels.shape  # gray stays gray
    # Color has a quarter of the resolution.
    assert np.abs(again.pixels - pixels).mean() < (0.004 if bands == 1 else 0.02)
    rounded = ("HEIF stores 10 bits per sample, so 16 bits were rounded to 10.",)
    assert losses == (() if depth == 8 else rounded)


def test_metadata_of_heic() -> None:
    picture = read_picture(heif(smooth(3), exif=exif_with(1), xmp=XMP, icc_profile=SRGB))
    metadata = picture.metadata
    assert metadata.icc == SRGB and metadata.dpi == (300, 300)
    assert metadata.xmp == XMP.replace(b'"6"', b'"1"')
    for format in ("HEIF", "JPEG"):
        data, losses = encode_picture(picture, format)
        assert losses == ()
        assert read_picture(data).metadata == metadata


@pytest.mark.parametrize("alpha", [None, np.zeros((24, 34), np.uint8)])
def test_heic_with_gray_and_alpha_has_no_gray_profile(alpha: Array | None) -> None:
    gray = SRGB[:16] + b"GRAY" + SRGB[20:]
    picture = Picture(np.zeros((24, 34, 1), np.float32), alpha, metadata=Metadata(icc=gray))
    data, losses = encode_picture(picture, "HEIF")
    lost = "The ICC profile does not match the channels of the output, so it was left out."
    assert losses == (() if alpha is None else (lost,))
    assert read_picture(data).metadata.icc == (gray if alpha is None else None)


def test_the_color_space_of_heic_is_kept() -> None:
    pq = {"color_primaries": 9, "transfer_characteristics": 16}
    picture = read_picture(heif(smooth(3, 10), 10, **pq))
    assert picture.metadata.chunks == ((b"cICP", bytes([9, 16, 0, 1])),)
    for format in ("HEIF", "PNG", "AVIF"):
        again = read_picture(encode_picture(picture, format)[0])
        assert again.metadata.chunks == picture.metadata.chunks


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_rotated_upright_once(orientation: int) -> None:
    upright = smooth(3)
    plain = Image.fromarray(upright)
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = plain.transpose(turned[orientation]) if orientation > 1 else plain
    data = heif(np.asarray(stored), exif=exif_with(orientation))  # pillow-heif adds a rotation
    picture = read_picture(data)
    assert np.abs(picture.pixels * 255 - upright).max() <= 2.5
    again = read_picture(encode_picture(picture, "JPEG")[0])
    assert again.pixels.shape == picture.pixels.shape


def test_several_images_in_a_heic() -> None:
    file = pillow_heif.from_bytes("RGB", (34, 24), smooth(3).tobytes())
    file.add_frombytes("L", (10, 8), bytes(80))
    buffer = io.BytesIO()
    file.save(buffer)
    picture = read_picture(buffer.getvalue())
    assert picture.notes == ("Only the main one of 2 images was read.",)
    assert (picture.height, picture.width) == (24, 34)


def test_the_video_of_a_heic_is_reported() -> None:
    video = struct.pack(">I", 1008) + b"mpvd" + bytes(1000)
    picture = read_picture(heif(smooth(3)) + video)
    assert picture.notes == ("The video of a motion photo was left out.",)


# JPEG XL


def test_the_gain_map_of_a_jpeg_xl_is_named() -> None:
    data = jxl(smooth(3), "RGB", xmp=XMP)
    assert read_picture(data).notes == ()
    data += struct.pack(">I4s", 12, b"jhgm") + b"maps"
    assert read_picture(data).notes == ("The HDR gain map was left out.",)


@pytest.mark.parametrize("bands", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(24, 34), (1, 1), (40, 40), (9, 16), (257, 130), (600, 8)])
def test_lossless_jpeg_xl_is_exact_and_stays_lossless(bands: int, size: tuple[int, int]) -> None:
    samples = RNG.integers(0, 256, (*size, bands), dtype=np.uint8)
    data = jxl(samples, {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[bands])
    assert read_size(data) == size
    picture = read_picture(data)
    assert picture.lossless and picture.notes == () and picture.metadata == Metadata()
    for format in ("JXL", "WEBP"):
        written, losses = encode_picture(picture, format)
        again = read_picture(written)
        assert losses == () and again.lossless
        np.testing.assert_array_equal(again.pixels[..., : picture.channels], picture.pixels)
        np.testing.assert_array_equal(np.asarray(again.alpha), np.asarray(picture.alpha))


def test_quality_of_lossy_jpeg_xl() -> None:
    samples = smooth(4)
    picture = read_picture(jxl(samples, "RGBA", lossless=False))
    assert not picture.lossless
    np.testing.assert_array_equal(picture.alpha, samples[..., 3])
    sizes = []
    for quality in (20, 60, 95):
        data, _ = encode_picture(picture, "JXL", jpeg_quality=quality)
        np.testing.assert_array_equal(read_picture(data).alpha, samples[..., 3])
        sizes.append(len(data))
    assert sizes == sorted(sizes)
    loss = "JXL changes transparency below quality 19; PNG, TIFF and WEBP keep it exactly."
    noisy = replace(picture, alpha=RNG.integers(0, 256, (24, 34), dtype=np.uint8))
    for quality, expected in ((18, (loss,)), (19, ())):
        data, losses = encode_picture(noisy, "JXL", jpeg_quality=quality)
        assert losses == expected
        assert np.array_equal(read_picture(data).alpha, noisy.alpha) == (not losses)


def test_a_jpeg_in_jpeg_xl_keeps_its_quality() -> None:
    picture = read_picture(SCRIPT["_jpeg_in_jxl"]())
    assert (picture.format, picture.jpeg_quality) == ("JXL", 75)
    assert (picture.height, picture.width) == (33, 24)  # upright


def test_16_bits_in_jpeg_xl() -> None:
    gray = smooth(1, 16)
    picture = read_picture(jxl(gray, "I;16"))
    assert picture.depth == 16 and picture.notes == ()
    np.testing.assert_array_equal(np.rint(picture.pixels * 65535), gray)
    color = read_picture(SCRIPT["JXL_16"])
    assert color.depth == 8
    assert color.notes == ("The 16-bit JPEG XL was read with 8 bits per sample.",)
    # The library writes 16 bits as linear light, and says so in the profile.
    data, losses = encode_picture(picture, "JXL")
    assert losses == (
        "JXL stores 8 bits per sample, so 16 bits were rounded to 8.",
        "JXL is written without an ICC profile, so colors were converted to sRGB.",
    )
    linear = gray / 65535
    expected = np.where(linear < 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    assert np.abs(read_picture(data).pixels - expected).max() < 0.012


def test_metadata_of_jpeg_xl() -> None:
    exif = exif_with(6).removeprefix(b"Exif\0\0")
    data = jxl(smooth(3), "RGB", exif=bytes(4) + exif, xmp=XMP)
    picture = read_picture(data)  # its rotation is in the codestream; EXIF only describes it
    assert (picture.height, picture.width) == (24, 34)
    assert picture.metadata.dpi == (300, 300)
    assert picture.metadata.xmp == XMP.replace(b'"6"', b'"1"')
    again = read_picture(encode_picture(picture, "JXL")[0])
    assert again.metadata == picture.metadata
    packed = read_picture(jxl(smooth(3), "RGB", exif=exif, xmp=XMP * 9, compress=True))
    assert packed.notes == ("Compressed metadata was left out.",)


def adobe_rgb_exif() -> bytes:
    """An EXIF block that states the color space as cameras do for Adobe RGB."""
    exif = Image.Exif()
    interop = {1: "R03", 2: b"0100"}
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ColorSpace: 65535, ExifTags.IFD.Interop: interop}
    return exif.tobytes().removeprefix(b"Exif\0\0")


def color_space_of(picture: Picture) -> tuple[int, str]:
    exif = Image.Exif()
    exif.load(picture.metadata.exif or b"")
    space = exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ColorSpace]
    return space, exif.get_ifd(ExifTags.IFD.Interop)[1]


def test_a_profile_is_converted_for_jpeg_xl() -> None:
    """Red and blue are exchanged by the profile, so that its loss would be seen."""
    entries = {SRGB[at : at + 4]: at for at in range(132, 132 + 12 * SRGB[131], 12)}
    swapped = bytearray(SRGB)
    for one, other in ((b"rXYZ", b"bXYZ"), (b"bXYZ", b"rXYZ")):
        swapped[entries[one] + 4 : entries[one] + 12] = SRGB[entries[other] + 4 :][:8]
    samples = smooth(3)
    picture = read_picture(jxl(samples, "RGB"))
    picture = replace(picture, metadata=Metadata(adobe_rgb_exif(), bytes(swapped)))
    data, losses = encode_picture(picture, "JXL")
    assert losses == ("JXL is written without an ICC profile, so colors were converted to sRGB.",)
    again = read_picture(data)
    assert again.metadata.icc is None and color_space_of(again) == (1, "R98")
    assert np.abs(again.pixels * 255 - samples[..., ::-1]).mean() < 3
    broken = replace(picture, metadata=Metadata(icc=b"broken"))
    _, losses = encode_picture(broken, "JXL")
    assert losses == ("JXL cannot store some metadata, which was left out: ICC profile.",)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (JXL_ANIMATED, "animated JPEG XL is not supported"),
        (JXL_FLOAT, "32-bit float samples are not supported"),
        (b"\xff\x0a", "damaged"),
        (b"\xff\x0a" + bytes(50), "damaged"),
        (SCRIPT["JXL_16"][:60], "damaged"),
        (SCRIPT["JXL_16"][:150], "damaged"),
        (heif(smooth(3))[:400], "damaged"),
        (heif(smooth(3))[:-200], "damaged"),
        (dng()[:-100], "damaged"),
        (dng()[:200], "damaged|does not support"),
        (dng().replace(bytes([0, 1, 1, 2]), bytes([0, 2, 2, 4])), "color filters is not supported"),
        (dng().replace(bytes([0, 1, 1, 2]), bytes([1, 1, 0, 2])), "color filters is not supported"),
        (b"FUJIFILMCCD-RAW " + bytes(300), "LibRaw does not support"),
        (b"GIF89a" + bytes(20), "damaged|it is not a PNG"),
    ],
)
def test_broken_files_are_refused(
    data: bytes, reason: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(PictureError, match=reason) as caught:
        read_picture(data)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("Cannot read standard input: ")
    assert capfd.readouterr() == ("", "")


def test_sizes_are_checked_before_decoding() -> None:
    for data in (heif(smooth(3)), jxl(smooth(3), "RGB"), dng()):
        with pytest.raises(PictureError, match="above the limit of"):
            read_picture(data, max_pixels=700)
        assert find_damage(data) == ()
    # 2**30 x 2**30 pixels: a side is 3 (30 bits) and the number, less 1.
    number = 3 << 1 | (2**30 - 1) << 3 | 1 << 33  # and a ratio of 1
    with pytest.raises(PictureError, match="1153000000000 megapixels"):
        read_picture(b"\xff\x0a" + number.to_bytes(8, "little") + bytes(40))


# RAW


def test_raw_is_developed_to_16_bits_of_srgb(tmp_path: Path) -> None:
    picture = read_picture(dng())
    assert (picture.format, picture.depth, picture.channels) == ("RAW", 16, 3)
    assert (picture.height, picture.width) == (24, 33) == read_size(dng())
    assert picture.metadata.chunks == ((b"sRGB", b"\0"),) and picture.notes == ()
    for suffix in (".png", ".tif"):
        assert write_picture(picture, tmp_path / f"a{suffix}") == ()
        again = read_picture(tmp_path / f"a{suffix}")
        assert again.depth == 16
        np.testing.assert_array_equal(again.pixels, picture.pixels)
        exif = Image.Exif()
        exif.load(again.metadata.exif or b"")
        assert exif[ExifTags.Base.Make] == "Maker"


def test_raw_is_rotated_upright_once() -> None:
    plain, turned = read_picture(dng()), read_picture(dng(6))
    np.testing.assert_array_equal(turned.pixels, np.rot90(plain.pixels, -1))
    again = read_picture(encode_picture(turned, "TIFF")[0])
    np.testing.assert_array_equal(again.pixels, turned.pixels)


def dng_with_exif() -> bytes:
    """A RAW photo with ISO 400 and 50 mm."""
    data = bytearray(dng())
    end = len(data)
    software = data.index(struct.pack("<HH", ExifTags.Base.Software, 2))  # is replaced
    struct.pack_into("<HHII", data, software, ExifTags.IFD.Exif, 4, 1, end)
    iso = struct.pack("<HHIHH", ExifTags.Base.ISOSpeedRatings, 3, 1, 400, 0)
    length = struct.pack("<HHII", ExifTags.Base.FocalLength, 5, 1, end + 30)
    return bytes(data) + struct.pack("<H", 2) + iso + length + bytes(4) + struct.pack("<II", 50, 1)


def exif_of(picture: Picture) -> dict[int, Any]:
    exif = Image.Exif()
    exif.load(picture.metadata.exif or b"")
    return dict(exif.get_ifd(ExifTags.IFD.Exif))


def test_exif_of_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {int(ExifTags.Base.ISOSpeedRatings): 400, int(ExifTags.Base.FocalLength): 50}
    data = dng_with_exif()
    picture = read_picture(data)
    assert exif_of(picture) == expected and picture.notes == ()
    assert exif_of(read_picture(encode_picture(picture, "TIFF")[0])) == expected

    def fail(block: bytes) -> None:
        raise struct.error

    monkeypatch.setattr(raw, "upright_exif", fail)  # as for a file that is not like TIFF
    picture = read_picture(data)
    assert exif_of(picture) == expected
    assert picture.notes == ("Of its EXIF data, only exposure, lens and time were kept.",)


def test_exif_of_raw_states_srgb(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = Metadata(adobe_rgb_exif())
    monkeypatch.setattr(raw, "tiff_metadata", lambda data, tags: metadata)
    assert color_space_of(read_picture(dng())) == (1, "R98")


def test_the_brightness_of_raw_does_not_depend_on_the_photo() -> None:
    """Two photos of one series: the second has a bright spot in a corner."""
    data = dng()
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        (offset,) = file.pages[0].dataoffsets  # type: ignore[union-attr]
    brighter = bytearray(data)
    for at in range(8):
        struct.pack_into("<H", brighter, offset + 2 * at, 16383)
    plain, other = read_picture(data), read_picture(bytes(brighter))
    np.testing.assert_array_equal(plain.pixels[8:], other.pixels[8:])


def test_suffixes_of_raw() -> None:
    for suffix in ("rwl", "gpr", "erf", "kdc", "dcr", "mef", "mos", "fff"):
        assert is_image_name(f"a.{suffix}")


def test_raw_is_written_as_png(run: Run, tmp_path: Path) -> None:
    (tmp_path / "photo.DNG").write_bytes(dng())
    record = done(run("photo.DNG", "--json"))
    assert (record["output"], record["depth"]) == ("photo.denoised.png", 16)
    assert read_picture(tmp_path / "photo.denoised.png").depth == 16
    result = run("photo.DNG", "-o", "new.dng")
    assert result.exit_code == 2 and "RAW files can only be read" in result.stderr
    assert done(run("photo.DNG", "--pages", "all", "-o", "b.tif", "--json"))["depth"] == 16
    piped = run("-", "-o", "-", stdin=dng())
    assert piped.exit_code == 0 and piped.stdout_bytes[:4] == b"\x89PNG"


# What the command does


def test_heic_and_jpeg_xl_through_the_command(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.HEIC").write_bytes(heif(smooth(3), exif=exif_with(6)))
    (tmp_path / "b.jxl").write_bytes(jxl(smooth(3), "RGB"))
    for name, size in (("a.HEIC", (34, 24)), ("b.jxl", (24, 34))):
        record = done(run(name, "--json"))
        stem, suffix = name.split(".")
        assert record["output"] == f"{stem}.denoised.{suffix}"
        written = read_picture(tmp_path / record["output"])
        assert (written.height, written.width) == size
    assert read_picture(tmp_path / "b.denoised.jxl").lossless
    (tmp_path / "c.png").write_bytes(encode_picture(Picture(np.zeros((9, 8, 3), "f4")), "PNG")[0])
    assert done(run("c.png", "--format", "heic", "--json"))["output"] == "c.denoised.heic"
    copied = done(run("b.jxl", "-o", "d.jxl", "--strength", 0, "--json"))
    assert (tmp_path / copied["output"]).read_bytes() == (tmp_path / "b.jxl").read_bytes()


def test_without_the_extra(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    libraries = {"HEIF": "no_such_heif", "JXL": "no_such_jxl", "RAW": "no_such_raw"}
    monkeypatch.setattr(formats, "_LIBRARIES", libraries)
    formats._is_installed.cache_clear()
    try:
        assert not is_image_name("a.heic") and is_image_name("a.gif")
        files = {"a.heic": heif(smooth(3)), "b.jxl": jxl(smooth(3), "RGB"), "c.dng": dng()}
        for name, data in files.items():
            Path(name).write_bytes(data)
            result = run(name)
            assert result.exit_code == 1
            assert result.stderr.startswith(f"error: Cannot read {name}: ")
            assert result.stderr.endswith("Run `pip install 'restore-cli[formats]'`.\n")
            assert result.stderr.count("\n") == 1
        hint = "Run `pip install 'restore-cli[formats]'` to read .dng, .heic, .jxl."
        assert run(".").stderr.endswith(f": 1 .dng, 1 .heic, 1 .jxl. {hint}\n")
        Path("e.mov").touch()
        Image.linear_gradient("L").save("f.png")
        assert f"{hint} Convert the others first." in run(".", channels=1).stderr
        result = run("f.png", "--format", "heic", channels=1)
        assert result.exit_code == 1 and "pip install 'restore-cli[formats]'" in result.stderr
    finally:
        formats._is_installed.cache_clear()


# Frames and pages


def frames_of(count: int, mode: str = "RGB") -> list[Image.Image]:
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (24, 34, bands)
    return [
        Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8).squeeze(), mode)
        for _ in range(count)
    ]


def shown(path: Path) -> list[Array]:
    """The composed frames as Pillow shows them, as RGBA."""
    with Image.open(path) as image:
        return [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]


def timing_of(path: Path) -> tuple[list[float], int | None]:
    with Image.open(path) as image:
        times = []
        for frame in ImageSequence.Iterator(image):
            frame.load()  # WebP states the duration then
            times.append(frame.info["duration"])
        return times, image.info.get("loop")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_all_frames_of_an_animation(run: Run, tmp_path: Path, format: str, mode: str) -> None:
    first, *others = frames_of(3, mode)
    source = tmp_path / f"a.{format.lower()}"
    options: dict[str, Any] = {"lossless": True, "exact": True} if format == "WEBP" else {}
    first.save(
        source, save_all=True, append_images=others, duration=[70, 40, 200], loop=2, **options
    )
    record = done(run(source, "--pages", "all", "--json"))
    assert (record["pages"], record.get("warnings")) == (3, None)
    output = Path(record["output"])
    assert output.suffix == source.suffix
    for new, old in zip(shown(output), shown(source), strict=True):
        np.testing.assert_array_equal(new, old)
    assert timing_of(output) == timing_of(source) == ([70, 40, 200], 2)
    default = done(run(source, "-o", f"b{source.suffix}", "--json"))
    note = "Only the first of 3 frames was read; --pages all restores all of them."
    assert default["warnings"] == [note] and "pages" not in default


def test_fractions_of_milliseconds_are_kept(run: Run, tmp_path: Path) -> None:
    first, *others = frames_of(4)
    times = [1000 / 60, 1000 / 30, 1000 / 24, 70_000]
    first.save("a.png", save_all=True, append_images=others, duration=times)
    record = done(run("a.png", "--pages", "all", "--json"))
    assert timing_of(Path(record["output"]))[0] == timing_of(Path("a.png"))[0] == times
    longest = struct.pack(">HHBB", 65535, 1, 0, 0)
    assert longest in join_png(
        [encode_picture(Picture(np.zeros((2, 2, 1))), "PNG")[0]], Timing((1e9,))
    )


@pytest.mark.parametrize("target", ["png", "webp"])
def test_a_gif_is_composed_by_its_disposal(run: Run, tmp_path: Path, target: str) -> None:
    """Frames are smaller than the picture, partly transparent, and removed in different ways."""
    for disposal in (1, 2, 3):
        base, source = Image.new("RGBA", (40, 30), (200, 60, 60, 255)), tmp_path / f"{disposal}.gif"
        spots = []
        for left in (3, 12, 20):
            spot = Image.new("RGBA", (40, 30), (0, 0, 0, 0))
            spot.paste((20, 200, 40, 255), (left, 5, left + 9, 20))
            spots.append(spot)
        base.save(
            source,
            save_all=True,
            append_images=spots,
            duration=[50, 60, 70, 80],
            loop=0,
            disposal=disposal,
        )
        record = done(run(source, "-o", f"{disposal}.{target}", "--pages", "all", "--json"))
        output = Path(record["output"])
        assert timing_of(output) == ([50, 60, 70, 80], 0)
        for new, old in zip(shown(output), shown(source), strict=True):
            np.testing.assert_array_equal(new[..., 3], old[..., 3])
            visible = old[..., 3] > 0
            most = 0 if target == "png" else 10  # WebP is lossy
            assert np.abs(new.astype(int) - old)[visible].mean() <= most


def test_a_gif_without_all_pages(run: Run, tmp_path: Path) -> None:
    first, *others = frames_of(3)
    first.save(tmp_path / "a.gif", save_all=True, append_images=others, comment=b"made by Ann")
    record = done(run("a.gif", "--json"))
    assert record["output"] == "a.denoised.png"
    lost = "PNG cannot store some metadata, which was left out: comments."
    note = "Only the first of 3 frames was read; --pages all restores all of them."
    assert record["warnings"] == [note, lost]
    result = run("a.gif", "-o", "b.gif")
    assert result.exit_code == 2 and "GIF files can only be read" in result.stderr


def test_xmp_of_a_gif_is_kept(run: Run, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    frames_of(1)[0].save(buffer, "GIF")
    data = buffer.getvalue()
    start = 13 + (3 << (data[10] & 7) + 1)  # behind the palette
    packet = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'></x:xmpmeta>"
    xmp = b"\x21\xff\x0bXMP DataXMP" + packet + b"\1" + bytes(range(255, -1, -1)) + b"\0"
    icc = b"\x21\xff\x0bICCRGBG1012\4data\0"
    (tmp_path / "a.gif").write_bytes(data[:start] + xmp + icc + data[start:])
    assert done(run("a.gif", "--json"))["warnings"] == ["The ICC profile of the GIF was left out."]
    assert read_picture(tmp_path / "a.denoised.png").metadata.xmp == packet


def test_repetitions_of_a_gif_are_counted_as_browsers_do(run: Run, tmp_path: Path) -> None:
    first, *others = frames_of(2)
    for loop, expected in ((None, 1), (0, 0), (3, 4)):
        options = {} if loop is None else {"loop": loop}
        first.save("a.gif", save_all=True, append_images=others, **options)
        done(run("a.gif", "-o", "a.png", "--pages", "all", "--overwrite", "--json"))
        assert timing_of(tmp_path / "a.png")[1] == expected


def test_metadata_of_an_animation(run: Run, tmp_path: Path) -> None:
    first, *others = frames_of(2)
    exif = exif_with(6)
    for suffix in ("png", "webp"):
        source = tmp_path / f"a.{suffix}"
        first.save(
            source,
            save_all=True,
            append_images=others,
            exif=exif,
            icc_profile=SRGB,
            duration=90,
            lossless=True,
        )
        record = done(run(source, "--pages", "all", "--json"))
        with Image.open(record["output"]) as image:
            assert image.size == (24, 34) and image.n_frames == 2  # type: ignore[attr-defined]
            assert image.getexif()[ExifTags.Base.Make] == "Maker"
            assert image.getexif()[ExifTags.Base.Orientation] == 1
            assert image.info["icc_profile"] == SRGB


def test_frames_with_a_palette_keep_their_colors(run: Run, tmp_path: Path) -> None:
    palette = Image.linear_gradient("L").convert("RGB").quantize(16)
    first, *others = (frame.quantize(palette=palette) for frame in frames_of(3))
    first.save(tmp_path / "a.png", save_all=True, append_images=others)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P" and image.n_frames == 3  # type: ignore[attr-defined]
    record = done(run("a.png", "--pages", "all", "--json"))
    for new, old in zip(shown(Path(record["output"])), shown(tmp_path / "a.png"), strict=True):
        np.testing.assert_array_equal(new, old)


def test_a_still_image_that_is_no_frame(run: Run, tmp_path: Path) -> None:
    still, *others = frames_of(3)
    still.save(tmp_path / "a.png", save_all=True, append_images=others, default_image=True)
    record = done(run("a.png", "--pages", "all", "--json"))
    assert record["pages"] == 2
    assert record["warnings"] == ["The still image for programs without animation was left out."]
    for new, old in zip(shown(Path(record["output"])), shown(tmp_path / "a.png")[1:], strict=True):
        np.testing.assert_array_equal(new, old)


@pytest.mark.parametrize(("pages", "count"), [("first", 1), ("all", 1), ("all", 2)])
def test_a_thumbnail_before_the_photo_is_left_out(
    run: Run, tmp_path: Path, pages: str, count: int
) -> None:
    photo = RNG.integers(0, 256, (24, 34, 3), dtype=np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        profile = [(34675, 7, len(SRGB), SRGB, True)]
        small = {"subfiletype": 1, "extratags": profile, "description": "Harbor"}
        writer.write(photo[::2, ::2], photometric="rgb", metadata=None, **small)
        for page in [photo] * count:
            writer.write(page, photometric="rgb", metadata=None, software=False)
    record = done(run("a.tif", "--pages", pages, "--json"))
    assert record["warnings"] == ["Smaller versions of the pages (1) were left out."]
    with Image.open(record["output"]) as image:
        np.testing.assert_array_equal(np.asarray(image), photo)
        assert image.info["icc_profile"] == SRGB
        assert image.getexif()[ExifTags.Base.ImageDescription] == "Harbor"


def tiff_of_pages(path: Path) -> list[Array]:
    """Pages of different sizes, depths and modes, with their own descriptions and resolutions."""
    pages = [
        RNG.integers(0, 256, (24, 34, 3), dtype=np.uint8),
        RNG.integers(0, 65536, (31, 17, 1), dtype=np.uint16),
        RNG.integers(0, 256, (9, 12, 4), dtype=np.uint8),
    ]
    with tifffile.TiffWriter(path) as writer:
        for number, page in enumerate(pages):
            writer.write(
                page.squeeze(),
                photometric="minisblack" if page.shape[2] == 1 else "rgb",
                extrasamples=["unassalpha"] if page.shape[2] == 4 else None,
                description=f"page {number}",
                resolution=(100 + number, 200),
                resolutionunit=2,
                metadata=None,
                extratags=[
                    (297, 3, 2, (number, 3), True),  # PageNumber
                    *([(34675, 7, len(SRGB), SRGB, True)] if number == 0 else []),
                ],
            )
    return pages


def test_each_page_of_a_tiff_keeps_its_own(run: Run, tmp_path: Path) -> None:
    pages = tiff_of_pages(tmp_path / "a.tif")
    record = done(run("a.tif", "--pages", "all", "--json", "--strength", "50%"))
    assert record["pages"] == 3 and "warnings" not in record
    with tifffile.TiffFile(record["output"]) as file:
        assert len(file.pages) == 3
        for number, (page, samples) in enumerate(zip(file.pages, pages, strict=True)):
            np.testing.assert_array_equal(page.asarray().reshape(samples.shape), samples)
            tags: Any = page.tags  # type: ignore[union-attr]
            assert tags["ImageDescription"].value == f"page {number}"
            assert tags["PageNumber"].value == (number, 3)
            assert tags["XResolution"].value == (100 + number, 1)
            assert (34675 in tags) == (number == 0)
    result = run("a.tif", "--pages", "all", "-o", "b.png")
    assert result.exit_code == 1
    assert (
        "a.tif: Cannot encode 3 pages as PNG. Choose TIFF, or leave out --pages all."
        in result.stderr
    )
    assert not (tmp_path / "b.png").exists()


def test_a_smaller_version_is_no_page(run: Run, tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for size, kind in ((32, 0), (16, 0), (8, 1)):
            page = RNG.integers(0, 256, (size, size), dtype=np.uint8)
            writer.write(page, subfiletype=kind, metadata=None)
    record = done(run("a.tif", "--pages", "all", "--json", channels=1))
    assert record["pages"] == 2
    assert record["warnings"] == ["Smaller versions of the pages (1) were left out."]
    with tifffile.TiffWriter(tmp_path / "b.tif") as writer:  # as scanners write them
        for size, kind in ((32, 0), (8, 1)):
            writer.write(np.full((size, size), 99, np.uint8), subfiletype=kind, metadata=None)
    for words in ([], ["--pages", "all", "--overwrite"]):
        record = done(run("b.tif", "--json", *words, channels=1))
        assert record["warnings"] == ["Smaller versions of the pages (1) were left out."]


def test_pages_that_need_no_change_are_copied(run: Run, tmp_path: Path) -> None:
    tiff_of_pages(tmp_path / "a.tif")
    record = done(run("a.tif", "--pages", "all", "--strength", 0, "--json"))
    assert Path(record["output"]).read_bytes() == (tmp_path / "a.tif").read_bytes()


def test_an_animation_as_tiff_or_jpeg(run: Run, tmp_path: Path) -> None:
    first, *others = frames_of(2)
    first.save(tmp_path / "a.webp", save_all=True, append_images=others, lossless=True)
    record = done(run("a.webp", "-o", "a.tif", "--pages", "all", "--json"))
    assert "TIFF cannot store how long each frame is shown." in record["warnings"]
    with tifffile.TiffFile("a.tif") as file:
        assert len(file.pages) == 2
    result = run("a.webp", "-o", "a.jpg", "--pages", "all")
    assert "Cannot encode 2 frames as JPEG. Choose PNG or WebP" in result.stderr


def test_a_copy_says_that_only_its_first_page_was_read(run: Run, tmp_path: Path) -> None:
    tiff_of_pages(tmp_path / "a.tif")
    result = run("a.tif", "--strength", 0, "-o", "b.tif")
    assert Path("b.tif").read_bytes() == Path("a.tif").read_bytes()
    assert "Only the first of 3 frames was read" in result.stderr


def test_the_limit_of_pixels_is_for_all_pages(run: Run, tmp_path: Path) -> None:
    first, *others = frames_of(3)
    tiff_of_pages(tmp_path / "a.tif")
    for format in ("gif", "png", "webp", "tif"):
        name = f"a.{format}"
        if format != "tif":
            first.save(name, save_all=True, append_images=others, lossless=True)
        assert run(name, "--max-pixels", 1000, "-o", "1.png").exit_code == 0
        result = run(name, "--max-pixels", 1000, "--pages", "all", "-o", "2.tif")
        assert result.exit_code == 1
        assert "its 3 pages have 0.00" in result.stderr and "limit of 0.001. " in result.stderr
        (tmp_path / "1.png").unlink()


def test_what_all_pages_cannot_be_used_with(run: Run, tmp_path: Path) -> None:
    frames_of(1)[0].save("a.png")
    for words in (["--reference", "a.png"], ["--compare", "b.html"], ["--save-mask", "b.png"]):
        result = run("a.png", "--pages", "all", *words)
        assert result.exit_code == 2 and "Leave one out." in result.stderr
    result = run("a.png", "--pages", "some")
    assert result.exit_code == 2 and "expected first or all" in result.stderr
    assert "pages" not in done(run("a.png", "--pages", "all", "--json"))


def test_a_batch_with_all_pages(run: Run, tmp_path: Path) -> None:
    """In other processes, and again by the journal; --pages is one of the settings."""
    (tmp_path / "in").mkdir()
    tiff_of_pages(tmp_path / "in" / "a.tif")
    frames_of(1)[0].save("in/b.png")
    words = ["in", "-o", "out/", "--resume", "--json", "--jobs", "2"]
    for pages, status in (("first", "done"), ("first", "skipped"), ("all", "done")):
        result = run(*words, "--pages", pages)
        assert result.exit_code == 0, result.output
        records = [json.loads(line) for line in result.stdout.splitlines()]
        assert {record["status"] for record in records} == {status}
    with tifffile.TiffFile("out/a.denoised.tif") as file:
        assert len(file.pages) == 3


def test_a_damaged_page_leaves_no_output(run: Run, tmp_path: Path) -> None:
    tiff_of_pages(tmp_path / "a.tif")
    data = bytearray((tmp_path / "a.tif").read_bytes())
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        at = file.pages[2].tags["StripOffsets"].valueoffset  # type: ignore[union-attr]
    struct.pack_into("<I", data, at, len(data) + 10)
    (tmp_path / "a.tif").write_bytes(data)
    result = run("a.tif", "--pages", "all", "-o", "b.tif")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Cannot read a.tif: the file is damaged")
    assert not (tmp_path / "b.tif").exists()


def test_a_mask_is_for_every_frame(run: Run, tmp_path: Path) -> None:
    first, *others = frames_of(2)
    first.save("a.webp", save_all=True, append_images=others, lossless=True)
    mask = np.zeros((24, 34), np.uint8)
    mask[:, :17] = 255
    cv2.imwrite("mask.png", mask)
    save_brighter("derain", conditions=0)
    words = ["derain", "a.webp", "--model", "brighter.safetensors", "--mask", "mask.png"]
    record = done(CliRunner().invoke(app, [*words, "--pages", "all", "--json"]))
    assert record["output"] == "a.derained.png" and record["pages"] == 2
    for new, old in zip(shown(Path(record["output"])), shown(Path("a.webp")), strict=True):
        np.testing.assert_array_equal(new[:, 17:], old[:, 17:])
        assert (new[:, :17, :3] > old[:, :17, :3]).mean() > 0.9
