"""`restore auto`: what it finds in a photo, which steps follow, and the command."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli.cli import app
from restore_cli.degradations.blur import Blur
from restore_cli.degradations.haze import Haze
from restore_cli.degradations.photo_noise import noisy_file
from restore_cli.degradations.rain import Rain
from restore_cli.findings import Compression, Findings, examine
from restore_cli.image import (
    Picture,
    Pixels,
    compress,
    read_picture,
    resize,
    round_to_bytes,
    to_pillow,
)
from restore_cli.metrics import estimate_first_quality, estimate_quality, psnr
from restore_cli.noise import Noise
from restore_cli.pipeline.auto import Auto, _list_damage, choose_steps

Run = Callable[..., Result]
CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels[:256, :256]


def noise(level: float, white: bool = False) -> Noise:
    return Noise(level, white, least=0.8 * level)


CLEAN = Findings(640, 480, noise(1.0))


def noisy(image: Pixels, sigma: float) -> Pixels:
    grain = np.random.default_rng(0).normal(0, sigma / 255, image.shape)
    return round_to_bytes(np.asarray((image + grain).clip(0, 1), np.float32))


def save(image: Pixels, path: Path, quality: int = 95) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    to_pillow(image).save(path, quality=quality)
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `restore auto` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *words, stdin=b"": CliRunner().invoke(
        app, ["auto", *map(str, words)], input=stdin
    )


def names(findings: Findings) -> list[str]:
    return [step.label for step in choose_steps(findings)]


# The rules


def test_clean_photos_need_no_steps() -> None:
    assert names(CLEAN) == []
    assert names(replace(CLEAN, compressions=(Compression(95, (0, 0)),))) == []
    assert names(replace(CLEAN, noise=noise(3.0), rain=1.0, haze=20.0, blur=1.1)) == []


def test_each_damage_has_its_step() -> None:
    jpeg = (Compression(72, (3, 5)),)
    assert names(replace(CLEAN, noise=noise(9.0))) == ["denoise (photo)"]
    assert names(replace(CLEAN, noise=noise(9.0, white=True))) == ["denoise (gaussian)"]
    assert names(replace(CLEAN, compressions=jpeg)) == ["deblock"]
    assert names(replace(CLEAN, blur=1.6)) == ["deblur"]
    assert names(replace(CLEAN, rain=20.0)) == ["derain"]
    assert names(replace(CLEAN, haze=70.0)) == ["dehaze"]


def test_steps_have_an_order() -> None:
    jpeg = (Compression(72, (3, 5)),)
    found = replace(CLEAN, noise=noise(9.0), compressions=jpeg, haze=70.0)
    assert names(found) == ["denoise (photo)", "deblock", "dehaze"]
    assert names(replace(CLEAN, compressions=jpeg, rain=20.0)) == ["deblock", "derain"]
    assert names(replace(CLEAN, compressions=jpeg, blur=1.6)) == ["deblock", "deblur"]


def test_damage_that_looks_like_other_damage_is_not_removed() -> None:
    assert names(replace(CLEAN, rain=20.0, noise=noise(9.0), haze=70.0)) == ["derain"]
    assert names(replace(CLEAN, noise=noise(30.0, white=True), rain=10.0)) == ["denoise (gaussian)"]
    page = replace(CLEAN, noise=noise(8.0, white=True), rain=5.4)  # of text
    assert names(page) == ["denoise (gaussian)"]
    assert names(replace(page, noise=noise(8.0))) == ["derain"]
    artifacts = replace(CLEAN, noise=noise(7.0), compressions=(Compression(20, (0, 0)),))
    assert names(artifacts) == ["deblock"]


def test_the_stronger_of_two_compressions_is_removed() -> None:
    twice = (Compression(95, (0, 0)), Compression(50, (5, 3)))
    (step,) = choose_steps(replace(CLEAN, compressions=twice))
    assert (step.task.quality, step.task.corner) == (50, (5, 3))


def test_what_is_removed_is_named() -> None:
    weak = replace(CLEAN, noise=Noise(2.7, True, least=2.9))
    assert names(weak) == ["denoise (gaussian)"] and [*_list_damage(weak)] == ["noise 3"]


# What is found


@pytest.mark.weights
def test_findings_of_a_photo_with_a_white_corner_are_numbers() -> None:
    image = noisy_file(CAT, "camera", 12.0, np.random.RandomState(0))[0].copy()
    image[:40, :40] = 1
    findings = asdict(examine(Picture(image)))
    assert not findings["noise"]["white"] and json.loads(json.dumps(findings))


@pytest.mark.weights
def test_a_small_photo_is_not_called_searched(run: Run, tmp_path: Path) -> None:
    said = run(save(CAT[:100, :120], tmp_path / "a.png"), "--explain", "--dry-run").stdout
    assert "clean (too small to find blur, rain and haze) -> nothing to do" in said
    assert "blur, rain, haze: not measured" in said and "deblur from" not in said


@pytest.mark.parametrize("first", [30, 60, 85])
def test_an_earlier_compression_is_found(first: int) -> None:
    once, last = compress(CAT, first, "4:2:0"), (95, (0, 0))
    quality, corner = estimate_first_quality(compress(once, 95), last) or (0, (0, 0))
    assert abs(quality - first) <= 1
    assert corner == (0, 0)
    assert estimate_first_quality(compress(CAT, 95), last) is None
    assert estimate_first_quality(CAT[:10], last) is None


def test_an_earlier_compression_is_found_in_a_cropped_photo() -> None:
    again = compress(compress(CAT, 50)[3:, 5:], 95)
    assert estimate_first_quality(again, (95, (0, 0))) == (50, (5, 3))


def test_tables_of_other_programs_are_no_earlier_compression() -> None:
    """Photoshop's "high", whose tables are not those of libjpeg."""
    file = io.BytesIO()
    to_pillow(CAT).save(file, "JPEG", quality="high")
    picture = read_picture(file.getvalue())
    assert picture.jpeg_quality
    assert estimate_first_quality(picture.pixels, (picture.jpeg_quality, (0, 0))) is None


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_an_earlier_compression_is_found_in_a_rotated_photo(turns: int) -> None:
    turned = np.ascontiguousarray(np.rot90(compress(CAT[:288, :400], 30), turns))
    quality, _ = estimate_first_quality(compress(turned, 95), (95, (0, 0))) or (0, None)
    assert quality == 30


def test_the_blocks_of_a_large_cropped_photo_are_found() -> None:
    large = round_to_bytes(resize(CAT, 1200, 1100))
    cut = compress(large, 60)[3:, 5:]
    assert estimate_quality(cut) == (60, (5, 3))
    assert estimate_first_quality(compress(cut, 95), (95, (0, 0))) == (60, (5, 3))
    assert estimate_quality(large)[0] == 100


@pytest.mark.weights
@pytest.mark.parametrize("frame", [0, 60])
def test_each_damage_is_found(frame: int) -> None:
    rng = np.random.default_rng(0)
    cases = {
        "": CAT,
        "denoise (gaussian)": noisy(CAT, 12),
        "deblock": compress(CAT, 40, "4:2:0")[3:, 5:],
        "deblur": Blur(kernel="disk", size=5).apply(CAT, rng),
        "derain": Rain(heaviness=0.5).apply(CAT, rng),
        "dehaze": Haze(beta=1.4).apply(CAT, rng),
    }
    around = [(frame, frame), (frame, frame), (0, 0)]
    found = {
        name: names(examine(Picture(np.pad(round_to_bytes(image), around))))
        for name, image in cases.items()
    }
    assert found == {name: [name] if name else [] for name in cases}


@pytest.mark.weights
def test_a_white_sky_does_not_hide_noise() -> None:
    image = noisy(CAT, 12)
    image[:100] = 1
    assert names(examine(Picture(image))) == ["denoise (gaussian)"]


@pytest.mark.weights
def test_an_object_between_the_usual_windows_shows_its_noise() -> None:
    image = np.ones((900, 1200, 3), np.float32)
    image[300:556, 390:646] = noisy(CAT[:256, :256], 20).clip(0, 0.99)
    assert names(examine(Picture(image))) == ["denoise (gaussian)"]


@pytest.mark.weights
@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (15, 90, 3), (63, 70, 1), (64, 300, 1), (128, 130, 3)]
)
def test_photos_of_any_size_are_examined(shape: tuple[int, ...]) -> None:
    picture = Picture(np.full(shape, 0.5, np.float32))
    assert Auto().choose(picture).steps == ()


@pytest.mark.weights
def test_hidden_pixels_are_not_examined() -> None:
    image, alpha = CAT.copy(), np.full(CAT.shape[:2], 255, np.uint8)
    image[:128] = np.random.default_rng(0).random(image[:128].shape)
    alpha[:128] = 0
    assert Auto().choose(Picture(image, alpha=alpha)).steps == ()
    assert Auto().choose(Picture(image, alpha=np.zeros_like(alpha))).steps == ()


# The command


@pytest.mark.weights
def test_the_record_is_of_the_page_that_changed(run: Run, tmp_path: Path) -> None:
    pages = [to_pillow(image) for image in (CAT, noisy(CAT, 25))]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    result = run("a.tif", "--pages", "all", "-o", "b.tif")
    assert result.exit_code == 0, result.stderr
    assert "found: noise" in result.stderr and "left unchanged" not in result.stderr


@pytest.mark.weights
def test_a_photo_is_restored_in_several_steps(run: Run, tmp_path: Path) -> None:
    save(noisy(CAT, 12), tmp_path / "photo.jpg", 72)
    result = run("photo.jpg", "--json")
    assert result.exit_code == 0, result.output
    assert "photo.jpg  found: noise " in result.stderr
    assert ", JPEG 72 -> denoise (" in result.stderr
    assert "warning" not in result.stderr
    record = json.loads(result.stdout)
    assert [step["task"] for step in record["steps"]] == ["denoise", "deblock"]
    assert record["findings"]["compressions"] == [{"quality": 72, "corner": [0, 0]}]
    before, after = (
        read_picture(tmp_path / name).pixels for name in ("photo.jpg", record["output"])
    )
    assert psnr(after, CAT) > psnr(before, CAT) + 2


@pytest.mark.weights
def test_clean_photos_are_copied(run: Run, tmp_path: Path) -> None:
    save(CAT, tmp_path / "in" / "a.png")
    save(CAT, tmp_path / "in" / "b.jpg", 96)
    result = run("in", "-o", "out")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("found: clean -> nothing to do") == 2
    assert result.stderr.count("left unchanged") == 2
    for name in ("a.png", "b.jpg"):
        copy = tmp_path / "out" / name.replace(".", ".restored.")
        assert copy.read_bytes() == (tmp_path / "in" / name).read_bytes()


@pytest.mark.weights
def test_the_mask_of_a_clean_photo_is_saved(run: Run, tmp_path: Path) -> None:
    save(CAT, tmp_path / "a.png")
    mask = np.zeros((*CAT.shape[:2], 1), np.float32)
    mask[:40] = 1
    save(mask, tmp_path / "mask.png")
    result = run("a.png", "--mask", "mask.png", "--save-mask", "used.png")
    assert result.exit_code == 0, result.output
    assert np.array_equal(read_picture(tmp_path / "used.png").pixels, mask)
    result = run("a.png", "--save-mask", "other.png", "-o", "b.png")
    assert result.exit_code == 2 and "Cannot save a mask: none is used" in result.stderr
    assert not (tmp_path / "b.png").exists()


@pytest.mark.weights
def test_a_pipe_keeps_a_clean_photo(run: Run, tmp_path: Path) -> None:
    data = save(CAT, tmp_path / "a.png").read_bytes()
    result = run("-", "-o", "-", stdin=data)
    assert result.exit_code == 0, result.output
    assert result.stdout_bytes == data
    assert "standard input  found: clean" in result.stderr


@pytest.mark.weights
def test_it_explains_and_plans_without_writing(run: Run, tmp_path: Path) -> None:
    save(compress(CAT, 40)[3:, 5:], tmp_path / "was.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    result = run("was.png", "broken.jpg", "--explain", "--dry-run")
    assert "was.png  found: JPEG 40 (blocks at 5,3) -> deblock" in result.stdout
    assert "  JPEG 40, blocks at 5,3; deblock up to 92" in result.stdout
    assert "  noise " in result.stdout
    assert "small, `restore sr` enlarges it" in result.stdout
    assert "Peak memory" in result.stderr
    assert "error: broken.jpg" in result.stderr.replace("Cannot read ", "")
    assert {path.name for path in tmp_path.iterdir()} == {"was.png", "broken.jpg"}


@pytest.mark.weights
def test_it_explains_what_hides_other_damage(run: Run, tmp_path: Path) -> None:
    blurred = Blur("gaussian", 10).apply(CAT, np.random.RandomState(0))
    save(blurred, tmp_path / "soft.png")
    save(noisy(blurred, 12), tmp_path / "both.png")
    result = run("soft.png", "both.png", "--explain", "--dry-run")
    soft, both = result.stdout.split("both.png  found: ")
    assert "-> deblur" in soft and "hides it" not in soft
    assert "deblur" not in both.partition("\n")[0] and ", but noise hides it" in both


@pytest.mark.weights
def test_other_steps_are_left_out(run: Run, tmp_path: Path) -> None:
    save(noisy(CAT, 12), tmp_path / "photo.png")
    result = run("photo.png", "--only", "deblock,deblur")
    assert "found: noise 12 -> nothing to do" in result.stderr
    assert (tmp_path / "photo.restored.png").read_bytes() == (tmp_path / "photo.png").read_bytes()
    result = run("photo.png", "--only", "denoise,sharpen")
    assert result.exit_code == 2
    assert "'sharpen' is not a valid task; expected denoise, deblock, deblur" in result.stderr


@pytest.mark.weights
def test_a_second_run_resumes(run: Run, tmp_path: Path) -> None:
    save(CAT, tmp_path / "in" / "a.png")
    assert run("in", "-o", "out", "--resume").exit_code == 0
    again = run("in", "-o", "out", "--resume", "--json")
    assert json.loads(again.stdout)["status"] == "skipped"
    other = run("in", "-o", "out", "--resume", "--json", "--only", "denoise")
    assert json.loads(other.stdout)["status"] == "done"


@pytest.mark.weights
def test_gray_and_16_bits_are_kept(run: Run, tmp_path: Path) -> None:
    gray = noisy(CAT, 12).mean(axis=2)
    Image.fromarray((gray * 65535).astype(np.uint16)).save(tmp_path / "deep.png")
    assert run("deep.png").exit_code == 0
    restored = read_picture(tmp_path / "deep.restored.png")
    assert (restored.depth, restored.channels) == (16, 1)
