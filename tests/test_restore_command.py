"""`restore denoise` as the shell sees it. The networks here return their input."""

from __future__ import annotations

import base64
import csv
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import typer
from batches import save_brighter
from PIL import Image, ImageCms
from rich.console import Console
from typer.testing import CliRunner, Result

from restore_cli.archs import build
from restore_cli.cli import app, display
from restore_cli.cli.restore import task_command
from restore_cli.errors import UsageError
from restore_cli.image import Picture, read_picture, write_picture
from restore_cli.levels import Range
from restore_cli.metrics import psnr
from restore_cli.models import checkpoint
from restore_cli.models.header import Header
from restore_cli.noise import Noise
from restore_cli.pipeline.files import OutputNaming, plan
from restore_cli.report.batch_report import write_report
from restore_cli.report.record import Record
from restore_cli.tasks import option
from restore_cli.tasks.denoise import Denoise

Run = Callable[..., Result]
ROOT = Path(__file__).parents[1]  # where subprocesses find the package
MODULE = [sys.executable, "-m", "restore_cli"]


def photo(
    path: Path, size: tuple[int, int] = (24, 20), mode: str = "RGB", sigma: float = 10
) -> Path:
    """A smooth picture with noise, the same for every call."""
    width, height = size
    ramp = np.linspace(60, 200, width * height).reshape(height, width, 1)
    bands = Image.new(mode, (1, 1)).getbands()
    pixels = ramp + sigma * np.random.default_rng(0).standard_normal((height, width, len(bands)))
    if "A" in bands:
        pixels[..., -1] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.round().astype(np.uint8).squeeze(), mode).save(path)
    return path


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def run(checkpoints: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `restore denoise` in an empty folder; `channels` picks the network."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object, channels: int = 3, stdin: bytes = b"") -> Result:
        argv = ["denoise", *map(str, words), "--model", str(checkpoints[channels])]
        return CliRunner().invoke(app, argv, input=stdin)

    return run


def ok(result: Result) -> Result:
    assert result.exit_code == 0, result.stderr
    return result


def refused(result: Result, *words: str) -> None:
    """Wrong usage: exit 2 and one sentence with these words."""
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr
    assert result.stdout == ""


# Files in, files out


def test_writes_beside_the_input(run: Run, tmp_path: Path) -> None:
    source = photo(tmp_path / "photo.jpg")
    before = source.read_bytes()
    result = ok(run("photo.jpg", "--sigma", 25))
    assert result.stdout == ""
    assert result.stderr.startswith("photo.jpg -> photo.denoised.jpg  sigma 25  0.00048 MP in ")
    assert source.read_bytes() == before
    with Image.open("photo.denoised.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (24, 20))


def test_auto_says_what_it_estimated(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "gray.png", (200, 150), "L", sigma=12)
    record = json.loads(ok(run("gray.png", "--json", channels=1)).stdout)
    assert record["options"]["sigma"] == pytest.approx(12, abs=1)
    assert record["noise_before"] == pytest.approx(12, abs=1)
    assert "(estimated)" in ok(run("gray.png", "--overwrite", channels=1)).stderr


def test_a_bomb_stops_no_batch(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    bomb = b"RIFF\x1a\0\0\0WEBPVP8L\x0e\0\0\0" + bytes.fromhex("2ffebfff0f071011fd0f4444ff03")
    (tmp_path / "in/bomb.webp").write_bytes(bomb)  # of 16383 x 16383 pixels
    photo(tmp_path / "in/c.png")
    result = run("in", "-o", "out", "--sigma", 9)
    assert result.exit_code == 1
    assert names(tmp_path / "out") == {"a.denoised.png", "c.denoised.png"}
    error = (
        "error: Cannot read in/bomb.webp: it has 268.4 megapixels, above the limit of 64 for a"
        " file of 34 bytes"
    )
    assert next(line for line in result.stderr.splitlines() if line.startswith("error")).startswith(
        error
    )


def test_the_limit_of_pixels(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png", (40, 30))
    result = run("a.png", "--max-pixels", 1199)
    assert result.exit_code == 1
    assert "has 0.0012 megapixels, above the limit of 0.001199. Split it" in result.stderr
    ok(run("a.png", "--max-pixels", 1200))
    assert "above the limit" in run("-", "--max-pixels", 1, stdin=Path("a.png").read_bytes()).stderr
    photo(tmp_path / "large.png", (80, 60), "L")
    for words in (("--mask", "large.png"), ("--reference", "large.png")):
        assert "above the limit" in run("a.png", *words, "--max-pixels", 1200, "--overwrite").stderr


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_an_endless_input_is_refused(run: Run, tmp_path: Path) -> None:
    result = run("/dev/zero", photo(tmp_path / "a.png"), "-o", "out", "--sigma", 9)
    assert result.exit_code == 1
    assert result.stderr.count("error: Cannot read /dev/zero: it is not a PNG") == 1
    assert names(tmp_path / "out") == {"a.denoised.png"}
    command = [*MODULE, "denoise", "-", "-o", "x.png", "--strength", "0"]
    with Path("/dev/zero").open("rb") as zero:
        done = subprocess.run(
            command, stdin=zero, capture_output=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: Cannot read standard input: it is not a PNG")


def test_lossless_webp_stays_lossless_unless_a_quality_is_given(run: Run, tmp_path: Path) -> None:
    with Image.open(photo(tmp_path / "a.png")) as image:
        image.save("a.webp", lossless=True)
    Image.new("L", image.size, 255).save("mask.png")
    plain = ("a.webp", "--sigma", 9, "--overwrite", "--suffix", ".out", "--format", "webp")
    ok(run(*plain))
    assert read_picture("a.out.webp").lossless
    ok(run(*plain, "--jpeg-quality", 90))
    assert not read_picture("a.out.webp").lossless
    assert "outside the mask" not in ok(run(*plain, "--mask", "mask.png")).stderr
    assert "outside the mask" in ok(run(*plain, "--mask", "mask.png", "--jpeg-quality", 90)).stderr


def test_known_damage_is_said_of_copies_too(run: Run, tmp_path: Path) -> None:
    data = bytearray(photo(tmp_path / "a.png").read_bytes())
    data[-13] ^= 1  # the checksum of the pixels
    Path("a.png").write_bytes(data)
    result = ok(run("a.png", "--strength", 0))
    assert "warning: a.png: The file is damaged: a checksum is wrong" in result.stderr
    assert Path("a.denoised.png").read_bytes() == data


def test_a_tree_is_kept(run: Run, tmp_path: Path) -> None:
    for name in ("a.png", "deep/b.png", "deep/er/c.jpg", ".hidden/d.png", "notes.txt"):
        photo(tmp_path / "in" / name) if name != "notes.txt" else (
            tmp_path / "in/notes.txt"
        ).touch()
    ok(run("in", "-o", "flat/"))
    assert names(tmp_path / "flat") == {"a.denoised.png"}
    ok(run("in", "-r", "-o", "in/out"))
    made = {"a.denoised.png", "deep/b.denoised.png", "deep/er/c.denoised.jpg"}
    assert names(tmp_path / "in/out") == made
    ok(run("in", "-r", "-o", "in/out", "--overwrite"))  # what was written there is no input
    assert names(tmp_path / "in/out") == made


def test_an_earlier_run_in_the_folder_is_no_input(run: Run, tmp_path: Path) -> None:
    for name in ("a.jpg", "b.png", "c.denoised.png"):
        photo(tmp_path / "in" / name)
    for words in (
        ("in",),
        ("in", "--overwrite"),
        ("in/*", "--overwrite"),
        ("in", "--format", "png", "--overwrite"),
    ):
        ok(run(*words))
    assert names(tmp_path / "in") - {"a.jpg", "b.png", "c.denoised.png"} == {
        "a.denoised.jpg",
        "a.denoised.png",
        "b.denoised.png",
        "c.denoised.denoised.png",  # there is no c
    }
    (tmp_path / "in/a.denoised.png").unlink()
    shell = sorted((tmp_path / "in").iterdir())  # as a shell expands in/*
    assert "done" not in ok(run(*shell, "--skip-existing")).stderr


def test_globs_and_lists(run: Run, tmp_path: Path) -> None:
    for name in ("a1.png", "a2.png", "b[1].png", "sub/a3.png"):
        photo(tmp_path / name)
    assert ok(run("a*.png", "b[1].png", "--dry-run")).stdout.splitlines() == [
        "a1.png -> a1.denoised.png",
        "a2.png -> a2.denoised.png",
        "b[1].png -> b[1].denoised.png",
    ]
    assert "sub/a3.png -> " in ok(run("**/a*.png", "--dry-run")).stdout
    refused(run("z*.png"), "z*.png")
    (tmp_path / "list").write_bytes(b"a1.png\nsub/a3.png\r\n\n")
    expected = ["a1.png -> a1.denoised.png", "sub/a3.png -> sub/a3.denoised.png"]
    assert ok(run("--files-from", "list", "--dry-run")).stdout.splitlines() == expected
    piped = run("--files-from", "-", "--dry-run", stdin=b"a1.png\0sub/a3.png\0")
    assert ok(piped).stdout.splitlines() == expected
    exact = run("--files-from", "-", "--dry-run", stdin=b"a1.png\r\0")
    assert exact.exit_code and "Cannot read a1.png\\u000d:" in exact.stderr
    refused(run("--files-from", "nowhere"), "nowhere")
    Path("wrong").write_bytes(b"\xff\xfe\0\xd8A\0")
    refused(run("--files-from", "wrong"), "Cannot read the list wrong: it is not in UTF-8")
    Path("wrong").unlink()
    Path("empty").touch()
    refused(run("--files-from", "empty"), "Cannot find photos: the list is empty.")
    Path("empty").unlink()
    refused(run("-", "--files-from", "-"), "list")
    assert names(tmp_path) == {"a1.png", "a2.png", "b[1].png", "sub/a3.png", "list"}


def test_where_and_what_to_write(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpeg")
    ok(run("a.jpeg", "-o", "new/result.png"))
    ok(run("a.jpeg", "-o", "new/", "--suffix", ""))
    ok(run("a.jpeg", "-o", "new", "--suffix", "_clean", "--format", "tif"))
    ok(run("a.jpeg", "--format", "jpg"))
    (tmp_path / "a.dat").write_bytes((tmp_path / "a.jpeg").read_bytes())
    ok(run("a.dat"))  # whatever its suffix, a file that is named is tried
    assert names(tmp_path) == {
        "a.jpeg",
        "a.dat",
        "new/result.png",
        "new/a.jpeg",
        "new/a_clean.tif",
        "a.denoised.jpeg",
        "a.denoised.png",
    }
    with Image.open("a.jpeg") as image, Image.open("new/result.png") as result:
        assert np.array_equal(np.asarray(image), np.asarray(result))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "No input"),
        (["empty"], "empty"),
        (["a.png", "-o", "result"], "extension"),
        (["a.png", "-o", "result.png", "--format", "jpg"], "does not match --format jpg"),
        (["a.png", "b.png", "-o", "result.png"], "folder"),
        (["a.png", "b.png", "-o", "-"], "folder"),
        (["a.png", "-o", "b.png", "--json"], "--overwrite"),
        (["-", "a.png", "-o", "out/"], "standard input"),
        (["a.png", "--format", "xyz"], "xyz"),
        (["a.png", "--tile", "-3"], "'-3' is not a valid tile size"),
        (["a.png", "--sigma", "much"], "much"),
        (["a.png", "--sigma", "-1"], "255"),
        (["a.png", "--report", "report.doc"], ".csv"),
        (["a.png", "--report", "nowhere/report.csv"], "nowhere"),
        (["a.png", "--compare", "page.png"], ".html"),
        (["a.png", "--compare", "nowhere/page.html"], "nowhere"),
        (["a.png", "--compare", "old.html"], "--overwrite"),
        (["a.png", "--compare", "empty.html", "--overwrite"], "is a folder"),
        (["a.png", "--skip-existing", "--overwrite"], "Choose one"),
        (["a.png", "--device", "abacus"], "abacus"),
        (["a.png", "--precision", "fp8"], "fp8"),
        (["a.png", "--reference", "nowhere"], "nowhere"),
        (["a.png", "b.png", "--reference", "a.png"], "folder"),
        (["a.png", "-o", "-", "--json"], "--json"),
    ],
)
def test_wrong_usage(run: Run, tmp_path: Path, words: list[str], said: str) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.html").mkdir()
    (tmp_path / "old.html").touch()
    refused(run(*words), said)
    assert names(tmp_path) == {"a.png", "b.png", "old.html"}


# Nothing is lost


def test_two_inputs_with_one_output(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg")
    photo(tmp_path / "a.png")
    photo(tmp_path / "sub/a.png")
    refused(run("a.jpg", "a.png", "--format", "png"), "a.jpg", "a.png", "a.denoised.png")
    refused(run("a.png", "sub/a.png", "-o", "out/"), "out/a.denoised.png")
    refused(run("a.jpg", "--format", "png", "--overwrite", "a.png"), "both")
    assert names(tmp_path) == {"a.jpg", "a.png", "sub/a.png"}
    ok(run("a.png", "a.png", "./a.png"))  # the same photo is restored once
    ok(run("a.png", "./a.png", "-o", "one.png"))


@pytest.mark.parametrize("existing", ["--overwrite", "--skip-existing"])
def test_an_input_is_never_overwritten(run: Run, tmp_path: Path, existing: str) -> None:
    source = photo(tmp_path / "a.png")
    before = source.read_bytes()
    (tmp_path / "symbolic.png").symlink_to("a.png")
    (tmp_path / "hard.png").hardlink_to(source)
    (tmp_path / "alias").symlink_to(".")
    for words in (
        ("-o", "a.png"),
        ("-o", "./a.png"),
        ("-o", "symbolic.png"),
        ("-o", "hard.png"),
        ("-o", ".", "--suffix", ""),
        ("-o", "alias", "--suffix", ""),
        ("--suffix", ""),
    ):
        refused(run("a.png", *words, existing), "is an input")
    photo(tmp_path / "b.png", sigma=3)
    refused(run("a.png", "b.png", "--suffix", "", existing), "is an input")
    refused(run(".", "--suffix", "", existing), "is an input")
    assert source.read_bytes() == before


@pytest.mark.parametrize(
    "words", [("--reference", "kept"), ("--mask", "kept"), ("--mask", "kept/a.png")]
)
@pytest.mark.parametrize("folder", ["kept/", "alias/"])
def test_references_and_masks_are_never_overwritten(
    run: Run, tmp_path: Path, words: tuple[str, ...], folder: str
) -> None:
    photo(tmp_path / "in/a.png")
    photo(tmp_path / "in/b.png")
    kept = photo(tmp_path / "kept/a.png", sigma=0)
    before = kept.read_bytes()
    (tmp_path / "alias").symlink_to("kept")
    for name in "in/a.png", "in":
        refused(
            run(name, *words, "-o", folder, "--suffix", "", "--overwrite"), "a.png: it is an input"
        )
        refused(
            run(name, *words, "-o", "out/", "--mask", "kept", "--save-mask", folder, "--overwrite"),
            "a.png: it is an input",
        )
    assert kept.read_bytes() == before
    assert names(tmp_path) == {"in/a.png", "in/b.png", "kept/a.png"}


def test_masks_and_references_are_found_before_anything_runs(run: Run, tmp_path: Path) -> None:
    source, clean = photo(tmp_path / "in/a.png"), photo(tmp_path / "clean/a.jpg", sigma=0)
    naming = OutputNaming(suffix=".x")
    [item] = plan([str(source)], naming, masks=clean, references=clean.parent)
    assert (item.mask_in, item.reference) == (str(clean), str(clean))
    for kind in "mask", "reference":
        sentence = f"Cannot read the {kind} nowhere: it does not exist. Check its path."
        with pytest.raises(UsageError, match=f"^{sentence}$"):
            plan([str(source)], naming, **{f"{kind}s": Path("nowhere")})
        refused(run("in/a.png", f"--{kind}", "nowhere"), sentence)
        refused(run("in/a.png", f"--{kind}", "nowhere", "--dry-run"), sentence)
    assert names(tmp_path) == {"in/a.png", "clean/a.jpg"}


def test_a_dry_run_reads_masks(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png", (16, 12))
    photo(tmp_path / "small.png", (8, 8))
    photo(tmp_path / "fits.png", (16, 12))
    result = run("a.png", "--mask", "small.png", "--dry-run")
    assert result.exit_code == 1 and "a.png: Cannot use the mask small.png: " in result.stderr
    (tmp_path / "small.png").write_bytes((tmp_path / "fits.png").read_bytes()[:60])
    result = run("a.png", "--mask", "small.png", "--dry-run")
    assert result.exit_code == 1 and "mask: Cannot read small.png: " in result.stderr
    assert "a.denoised.png" in ok(run("a.png", "--mask", "fits.png", "--dry-run")).stdout
    assert names(tmp_path) == {"a.png", "small.png", "fits.png"}


def test_names_of_cameras_are_found_in_upper_case(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    (tmp_path / "clean").mkdir()
    photo(tmp_path / "b.bmp", sigma=3).rename(tmp_path / "clean/a.BMP")
    record = json.loads(ok(run("a.png", "--reference", "clean", "--json")).stdout)
    assert record["psnr"] > 20


def test_hidden_colors_are_compared_as_they_are(run: Run, tmp_path: Path) -> None:
    pixels = np.array(Image.open(photo(tmp_path / "a.png", mode="RGBA")))
    pixels[:, :9, 3] = 0
    pixels[:, :9, :3] = 255
    Image.fromarray(pixels).save("a.png")
    words = ("a.png", "--strength", 0, "--reference", "a.png", "-o", "b.png", "--json")
    record = json.loads(ok(run(*words)).stdout)
    assert record["psnr"] == record["input_psnr"]


def test_a_large_result_is_compared(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore_cli.image.bounds.MAX_PIXELS", 100)
    photo(tmp_path / "a.jpg")
    ok(run("a.jpg", "--max-pixels", 1000, "--reference", "a.jpg"))


def test_no_photo_is_its_own_reference(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    refused(run("in/a.png", "--reference", ".", "-o", ".", "--suffix", ""), "a.png: it is an input")
    photo(tmp_path / "a.bmp", sigma=0)
    record = json.loads(
        ok(run("in/a.png", "--reference", ".", "-o", ".", "--suffix", "", "--json")).stdout
    )
    assert record["output"] == "./a.png" and record["psnr"] < 50


def test_outputs_that_exist(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    existing = tmp_path / "a.denoised.png"
    existing.write_text("mine")
    refused(run("a.png", "b.png"), "a.denoised.png", "--skip-existing", "--overwrite")
    assert names(tmp_path) == {"a.png", "b.png", "a.denoised.png"}
    assert "(skipped)" not in ok(run("a.png", "b.png", "--overwrite", "--dry-run")).stdout
    assert "a.png: skipped" in ok(run("a.png", "b.png", "--skip-existing", "--dry-run")).stdout
    result = ok(run("a.png", "b.png", "--skip-existing", "--json"))
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == [
        "skipped",
        "done",
    ]
    assert existing.read_text() == "mine"
    ok(run("a.png", "b.png", "--overwrite"))
    assert existing.read_bytes().startswith(b"\x89PNG")


def test_bad_files_do_not_stop_a_batch(run: Run, tmp_path: Path) -> None:
    for i in range(100):
        photo(tmp_path / f"in/{i:02}.jpg", (16, 12))
    whole = photo(tmp_path / "whole.jpg", (64, 64)).read_bytes()
    (tmp_path / "in/10.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in/20.jpg").write_bytes(b"")
    (tmp_path / "in/30.jpg").unlink()
    (tmp_path / "in/30.png").write_text("this is no picture")
    result = run("in", "-o", "out/", "--report", "report.jsonl", "--json")
    assert result.exit_code == 1
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert records == [json.loads(line) for line in Path("report.jsonl").read_text().splitlines()]
    failed = {Path(r["input"]).name: r["error"] for r in records if r["status"] == "failed"}
    assert set(failed) == {"10.jpg", "20.jpg", "30.png"}
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: {failed[name]}" for name in ("10.jpg", "20.jpg", "30.png")]
    assert all(name in sentence for name, sentence in failed.items())
    assert len(names(tmp_path / "out")) == 97
    assert "97 done, 3 failed" in result.stderr
    assert "Traceback" not in result.output


def test_debug_raises(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    result = run("a.png", "missing.png")
    assert result.exit_code == 1 and result.stderr.count("error: ") == 2
    result = run("a.png", "--debug")
    assert type(result.exception).__name__ == "PictureError"
    assert type(run("--debug").exception).__name__ == "UsageError"


def test_places_that_cannot_be_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "b.png")
    (tmp_path / "file").touch()
    (tmp_path / "a.denoised.png").mkdir()
    result = run("a.png", "b.png")
    assert (
        result.exit_code == 1
        and "a.denoised.png" in result.stderr
        and "1 done, 1 failed" in result.stderr
    )
    refused(run("a.png", "-o", "file/a.png"), "Cannot write into", "is a file")

    def full(self: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "replace", full)
    result = run("a.png", "-o", "new.png")
    assert result.exit_code == 1 and "No space left" in result.stderr and "new.png" in result.stderr
    monkeypatch.undo()
    os.chdir(tmp_path)
    if os.geteuid():  # root may write everywhere
        (tmp_path / "locked").mkdir(mode=0o500)
        result = run("b.png", "-o", "locked/")
        assert result.exit_code == 2 and "locked" in result.stderr
    assert not [name for name in names(tmp_path) if ".part" in name or name == "new.png"]


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("odd"), OSError(errno.EIO, "Input/output error")]
)
def test_whatever_a_file_raises_is_one_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise error

    photo(tmp_path / "a.png")
    monkeypatch.setattr("restore_cli.engine.run", fail)
    result = run("a.png")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_models_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    photo(tmp_path / "a.png")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    for words in ["nonesuch"], ["drunet", "--offline"], ["junk.safetensors"]:
        result = CliRunner().invoke(
            app, ["denoise", "a.png", "--report", "r.csv", "--model", *words]
        )
        assert result.exit_code == 3, result.output
        assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert names(tmp_path) == {"a.png", "junk.safetensors"}


def test_a_network_that_enlarges_is_refused_before_a_photo_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = {"channels": 3, "widths": [8, 8], "scale": 4}
    header = Header(
        task="denoise",
        arch="unet:UNet",
        params=params,
        channels=3,
        conditions={"sigma": Range(0, 50)},
    )
    checkpoint.save(build("unet:UNet", params), tmp_path / "x4.safetensors", header)
    for name in "ab":
        (tmp_path / f"{name}.png").write_text("no picture")
    result = CliRunner().invoke(app, ["denoise", "a.png", "b.png", "--model", "x4.safetensors"])
    assert (result.exit_code, result.stdout) == (3, "")
    assert result.stderr == (
        "error: Cannot use x4.safetensors for denoise: its network upscales 4 times. Use another"
        " --model.\n"
    )


def test_tiles_far_below_what_a_network_sees_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    params = {"channels": 3, "widths": [4] * 5}
    header = Header(
        task="denoise",
        arch="unet:UNet",
        params=params,
        channels=3,
        conditions={"sigma": Range(0, 50)},
    )
    checkpoint.save(build("unet:UNet", params), tmp_path / "deep.safetensors", header)
    photo(tmp_path / "a.png", (700, 500))
    photo(tmp_path / "b.png", (700, 500))
    result = CliRunner().invoke(
        app, ["denoise", "a.png", "b.png", "--tile", "16", "--model", "deep.safetensors"]
    )
    assert result.exit_code == 1
    for name in ("a.png", "b.png"):  # one photo that needs them does not stop the others
        reason = f"error: {name}: Cannot use tiles of 16 pixels: deep.safetensors needs "
        assert reason in result.stderr
    assert names(tmp_path) == {"a.png", "b.png", "deep.safetensors"}


# Pictures of every kind


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
@pytest.mark.parametrize("depth", [8, 16])
def test_every_kind_goes_through(
    run: Run, tmp_path: Path, mode: str, depth: int, channels: int
) -> None:
    rng = np.random.default_rng(1)
    peak, bands = 2**depth - 1, 1 if mode[0] == "L" else 3
    pixels = rng.integers(0, peak, (21, 17, bands), endpoint=True).astype(np.float32) / peak
    alpha = rng.integers(0, 4, (21, 17)).astype(f"uint{depth}") if mode[-1] == "A" else None
    write_picture(Picture(pixels, alpha, depth), tmp_path / "a.png")
    ok(run("a.png", "--sigma", 30, channels=channels))
    result = read_picture(tmp_path / "a.denoised.png")
    assert (result.depth, result.channels) == (depth, bands)
    assert np.abs(result.pixels - pixels).max() < 1e-6 + (0.5 / peak if bands < channels else 0)
    assert (result.alpha is None) == (alpha is None)
    assert alpha is None or np.array_equal(result.alpha, alpha)


def test_tiles_precision_and_ensemble(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png", (150, 70))
    settings = "--tile", 64, "--check-tiles", "--ensemble", "--precision", "fp32", "--device", "cpu"
    record = json.loads(ok(run("a.png", *settings, "--json")).stdout)
    assert (record["tile"], record["precision"], record["device"]) == (64, "fp32", "cpu")
    assert record["tile_difference"] < 1e-5
    with Image.open("a.png") as before, Image.open("a.denoised.png") as after:
        assert np.array_equal(np.asarray(before), np.asarray(after))


def test_warnings_are_said(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png", mode="RGBA")
    result = ok(run("a.png", "--format", "jpg", "--sigma", 60))
    assert result.stderr.count("warning: a.png: ") == 2  # the network knows 50; JPEG has no alpha
    assert ok(run("a.png", "--format", "jpg", "--sigma", 60, "--overwrite", "--quiet")).output == ""


def test_progress_is_for_terminals(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "a.png")
    assert "photos, " not in ok(run("a.png")).stderr
    monkeypatch.setattr(display, "stderr", Console(stderr=True, force_terminal=True, width=200))
    result = ok(run("a.png", "--overwrite", "--json"))
    assert "1/1 photos, " in result.stderr and "MP/s" in result.stderr
    assert json.loads(result.stdout)["status"] == "done"
    assert ok(run("a.png", "--overwrite", "--quiet")).stderr == ""


# Measures and reports


def test_reference(run: Run, tmp_path: Path) -> None:
    for name in ("a.png", "sub/b.png", "sub/c.png", "sub/d.png"):
        photo(tmp_path / "in" / name, (40, 30))
    photo(tmp_path / "clean/a.png", (40, 30), sigma=0)
    photo(tmp_path / "clean/sub/b.bmp", (40, 30), "L", sigma=0)
    photo(tmp_path / "clean/sub/c.png", (30, 40))
    result = ok(run("in", "-r", "-o", "out/", "--reference", "clean", "--json"))
    a, b, c, d = map(json.loads, result.stdout.splitlines())
    with Image.open("in/a.png") as noisy, Image.open("clean/a.png") as clean:
        error = np.mean((np.asarray(noisy, float) - np.asarray(clean, float)) ** 2)
    assert a["psnr"] == a["input_psnr"] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-3)
    assert a["psnr_y"] > a["psnr"] and 0 < a["ssim"] < 1 and 0 < a["ssim_y"] < 1
    assert "psnr" in b
    assert "40 x 30" in c["warnings"][0] and "psnr" not in c
    assert "d.png" in d["warnings"][0] and "psnr" not in d
    single = ok(run("in/a.png", "--reference", "clean/a.png"))
    assert f"PSNR {a['psnr']:.2f} dB" in single.stderr


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("side", "format", "said"),
    [(16384, "webp", "WEBP: its sides have at most 16383"), (65501, "jpg", "JPEG: its sides")],
)
def test_a_result_too_long_for_its_format_is_refused_first(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: list[str],
    side: int,
    format: str,
    said: str,
) -> None:
    Image.new("RGB", (side, 8)).save("long.png")
    monkeypatch.setattr("restore_cli.engine.run", None)  # no network runs
    result = run("long.png", "-o", f"long.{format}", *more)
    assert result.exit_code == 1
    assert f"{side} x 8 pixels as {said}" in result.stderr


def test_a_reference_in_other_colors_and_its_page(run: Run, tmp_path: Path) -> None:
    """Comparisons show photos in their colors, and a warning names those of the reference."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    with Image.open(photo(tmp_path / "srgb.png", (40, 30))) as image:
        image.save("wide.png", icc_profile=profile)
    shutil.copy("wide.png", "copy.png")
    words = ("wide.png", "--json", "--overwrite", "--compare", "page.html", "--reference")
    same, other = (json.loads(ok(run(*words, name)).stdout) for name in ("copy.png", "srgb.png"))
    assert "warnings" not in same
    assert "srgb.png has other colors (sRGB) than the result (XYZ" in other["warnings"][0]
    sources = re.findall(r"data:image/png;base64,([^\"]+)", Path("page.html").read_text())
    profiles = [
        Image.open(io.BytesIO(base64.b64decode(source))).info.get("icc_profile")
        for source in sources
    ]
    assert profiles == [profile, profile, None]


def test_strength_and_mask_limit_the_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_brighter("derain", conditions=0)  # deraining may darken or brighten a photo
    before = read_picture(photo(Path("in/a.png"))).pixels
    mask = np.zeros((20, 24), np.uint8)
    mask[:, 8:16], mask[:, 16:] = 128, 255
    Path("masks").mkdir()
    Image.fromarray(mask).save("masks/a.bmp")
    Image.fromarray(mask[:5]).save("small.png")

    def change(*words: str) -> np.ndarray:
        model = ["--model", "brighter.safetensors"]
        ok(CliRunner().invoke(app, ["derain", "in/a.png", *model, "--overwrite", *words]))
        return read_picture(Path("in/a.derained.png")).pixels - before

    level = 1 / 255
    np.testing.assert_allclose(change(), 0.1, atol=level)
    assert not change("--strength", "0").any()
    np.testing.assert_allclose(change("--strength", "0.5"), 0.05, atol=level)
    for words in (["--mask", "masks/a.bmp"], ["--mask", "masks"]):
        changed = change(*words)
        assert not changed[:, :8].any()
        np.testing.assert_allclose(changed[:, 8:16], 0.05, atol=level)
        np.testing.assert_allclose(changed[:, 16:], 0.1, atol=level)

    words = ["derain", "in/a.png", "--model", "brighter.safetensors", "--overwrite", "--mask"]
    failed = CliRunner().invoke(app, [*words, "small.png"])
    assert failed.exit_code == 1
    sentence = (
        "in/a.png: Cannot use the mask small.png: it has 24 x 5 pixels, but the photo has 24 x 20"
    )
    assert sentence in failed.stderr
    Path("broken.png").write_bytes(b"junk")
    assert "in/a.png: mask: " in CliRunner().invoke(app, [*words, "broken.png"]).stderr
    refused(CliRunner().invoke(app, [*words, "nowhere"]), "Cannot read the mask nowhere")


def test_quality_is_read_from_a_jpeg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_brighter("deblock", conditions=1, quality=[5, 95])
    Image.open(photo(Path("a.png"))).save("a.jpg", quality=23)
    result = ok(
        CliRunner().invoke(app, ["deblock", "a.jpg", "--model", "brighter.safetensors", "--json"])
    )
    assert json.loads(result.stdout)["options"] == {"quality": 23, "quality_from": "the file"}
    result = CliRunner().invoke(
        app,
        ["deblock", "a.jpg", "--model", "brighter.safetensors", "--strength", "0.5", "-o", "b.png"],
    )
    assert "quality 23 (from the file)  strength 0.5  " in ok(result).stderr
    result = CliRunner().invoke(app, ["deblock", "b.png", "--model", "brighter.safetensors"])
    assert " (estimated)  " in ok(result).stderr


def test_an_unchanged_photo_is_not_compressed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    save_brighter("deblock", conditions=1, quality=[5, 90])
    clean = photo(Path("a.png"))
    Image.open(clean).save("fine.jpg", quality=97)
    Image.open(clean).save("good.jpg", quality=89)
    Image.open(clean).save("poor.jpg", quality=50)
    words = ["deblock", "--model", "brighter.safetensors", "--json", "--reference", "a.png"]

    def run(*more: str) -> dict[str, float]:
        record: dict[str, float] = json.loads(ok(CliRunner().invoke(app, [*words, *more])).stdout)
        return record

    Image.open(clean).convert("CMYK").save("cmyk.jpg", quality=50)
    assert "CMYK was converted to" in str(run("cmyk.jpg")["warnings"])
    for more in (
        ["fine.jpg"],
        ["poor.jpg", "--strength", "0"],
        ["cmyk.jpg", "--strength", "0", "--overwrite"],
    ):
        record = run(*more)
        assert "CMYK" not in str(record.get("warnings"))
        assert record["psnr"] == record["input_psnr"]
        stem = Path(more[0]).stem
        assert Path(f"{stem}.deblocked.jpg").read_bytes() == Path(more[0]).read_bytes()
    run("fine.jpg", "--jpeg-quality", "60", "--overwrite")
    assert Path("fine.deblocked.jpg").read_bytes() != Path("fine.jpg").read_bytes()
    for name, quality in (("good", 99), ("poor", 95)):
        run(f"{name}.jpg", "--overwrite")
        assert read_picture(Path(f"{name}.deblocked.jpg")).jpeg_quality == quality


def test_no_network_runs_where_nothing_can_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object) -> None:
        raise AssertionError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("restore_cli.engine.run", fail)
    monkeypatch.setattr("restore_cli.pipeline.photo.measure_noise", lambda *_: Noise(0, white=True))
    save_brighter("deblock", conditions=1, quality=[5, 90])
    Image.open(photo(Path("a.png"))).save("a.jpg", quality=97)
    Image.new("L", (24, 20)).save("black.png")
    words = ["deblock", "--model", "brighter.safetensors", "--json", "--overwrite", "--check-tiles"]
    for more in ["a.jpg"], ["a.png", "--strength", "0"], ["a.png", "--mask", "black.png"]:
        record = json.loads(ok(CliRunner().invoke(app, [*words, *more])).stdout)
        assert record["status"] == "done" and not {"model", "device", "tile_difference"} & set(
            record
        )
        assert Path(record["output"]).read_bytes() == Path(record["input"]).read_bytes()


def test_figures_are_those_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save_brighter("derain", conditions=0)
    clean = read_picture(photo(Path("a.png"))).pixels
    words = [
        "a.png",
        "--model",
        "brighter.safetensors",
        "--json",
        "--reference",
        "a.png",
        "-o",
        "a.jpg",
    ]
    record = json.loads(
        ok(CliRunner().invoke(app, ["derain", *words, "--jpeg-quality", "5"])).stdout
    )
    assert record["psnr"] == pytest.approx(
        psnr(read_picture(Path("a.jpg")).pixels, clean), abs=1e-4
    )


@pytest.mark.parametrize("format", ["jpg", "webp", "avif"])
def test_gray_photos_are_measured_on_gray(run: Run, tmp_path: Path, format: str) -> None:
    photo(tmp_path / "a.png", (40, 30), "L")
    clean = read_picture(photo(tmp_path / "clean.png", (40, 30), "L", sigma=0)).pixels
    words = (
        "a.png",
        "--format",
        format,
        "--reference",
        "clean.png",
        "--compare",
        "page.html",
        "--json",
    )
    record = json.loads(ok(run(*words, channels=1)).stdout)
    written = read_picture(Path(record["output"])).pixels[..., :1]
    assert (
        record["psnr"] == pytest.approx(psnr(written, clean), abs=0.01) and "psnr_y" not in record
    )
    ((_, versions),) = compared()
    assert f"{record['psnr']:.2f} dB" in versions["denoised"]["note"]


def test_each_report_that_is_named_is_written(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    ok(run("a.png", "--report", "r.csv", "--report", "r.md", "--report", "r.jsonl"))
    assert all("a.png" in Path(f"r.{suffix}").read_text() for suffix in ("csv", "md", "jsonl"))
    refused(run("a.png", "--overwrite", "--report", "r.csv", "--report", "r.doc"), "r.doc")


def test_tables_have_a_column_for_each_option(tmp_path: Path) -> None:
    records = [
        Record("a.jpg", "done", options={"quality": 23.0, "quality_from": "the file"}, depth=8),
        Record("b.jpg", "failed", error="it is damaged"),
        Record("c.jpg", "done", options={"sigma": 2.25}, depth=8),
    ]
    write_report(records, tmp_path / "r.csv")
    with open(tmp_path / "r.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    own = ["options.quality", "options.quality_from", "options.sigma"]
    assert list(rows[0]) == ["input", "status", *own, "depth", "error"]
    assert [[row[key] for key in own] for row in rows] == [
        ["23", "the file", ""],
        [""] * 3,
        ["", "", "2.25"],
    ]
    write_report(records, tmp_path / "r.md")
    head, _, first, *_ = (tmp_path / "r.md").read_text().splitlines()
    assert (
        head.startswith("| input | status | options.quality |") and "| 23 | the file |  |" in first
    )


@pytest.mark.parametrize("suffix", ["json", "jsonl", "csv", "md"])
def test_reports(run: Run, tmp_path: Path, suffix: str) -> None:
    photo(tmp_path / "a.png")
    result = run("a.png", "missing.png", "--report", f"report.{suffix}")
    assert result.exit_code == 1
    text = Path(f"report.{suffix}").read_text()
    rows: dict[str, Callable[[], list[object]]] = {
        "json": lambda: json.loads(text),
        "jsonl": lambda: [json.loads(line) for line in text.splitlines()],
        "csv": lambda: list(csv.DictReader(io.StringIO(text))),
        "md": lambda: text.splitlines()[2:],
    }
    assert len(rows[suffix]()) == 2
    assert "missing.png" in text and "done" in text and "failed" in text
    refused(
        run("missing.png", "--report", f"report.{suffix}"), f"report.{suffix}: it already exists"
    )
    assert Path(f"report.{suffix}").read_text() == text
    assert run("missing.png", "--report", f"report.{suffix}", "--overwrite").exit_code == 1
    assert "a.png" not in Path(f"report.{suffix}").read_text()


def test_names_that_are_no_text(run: Run, tmp_path: Path) -> None:
    name = os.fsdecode(b"\xff.png")
    photo(tmp_path / "a.png").rename(tmp_path / name)
    result = ok(run(".", "--json", "--report", "report.csv", "--compare", "page.html"))
    assert json.loads(result.stdout)["input"].endswith(name)
    assert Path(os.fsdecode(b"\xff.denoised.png")).exists() and Path("report.csv").exists()
    assert compared()[0][0] == name


# Pages to compare


def compared(path: str = "page.html") -> list[tuple[str, dict[str, dict[str, str]]]]:
    """The comparisons of a page: titles, and notes and pictures of the versions by name."""
    data = re.search(r'id="comparisons">(.*?)</script>', Path(path).read_text(encoding="utf-8"))
    assert data
    return [(one["title"], {v["name"]: v for v in one["versions"]}) for one in json.loads(data[1])]


def seen(version: dict[str, str]) -> np.ndarray:
    """A picture of a page, as samples of H x W x C."""
    with Image.open(io.BytesIO(base64.b64decode(version["source"].partition(",")[2]))) as image:
        return np.atleast_3d(np.asarray(image))


def samples(path: str) -> np.ndarray:
    """A file's 8-bit samples, the right way up."""
    return np.rint(read_picture(Path(path)).pixels * 255).astype(np.uint8)


@pytest.mark.parametrize("kind", ["8 bit", "16 bit", "gray", "alpha", "turned"])
def test_a_page_compares_what_went_in_and_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_brighter("derain", conditions=0)
    depth, bands = 16 if kind == "16 bit" else 8, 1 if kind == "gray" else 3
    peak = 2**depth - 1
    pixels = (
        np.random.default_rng(1).integers(0, 0.8 * peak, (21, 17, bands)).astype(np.float32) / peak
    )
    alpha = np.random.default_rng(2).integers(0, 3, (21, 17), np.uint8) if kind == "alpha" else None
    write_picture(Picture(pixels, alpha, depth), Path("a.png"))
    if kind == "turned":
        with Image.open("a.png") as image:
            exif = image.getexif()
            exif[0x0112] = 6
            image.save("a.png", exif=exif)
    words = ["--model", "brighter.safetensors", "--compare", "page.html"]
    ok(CliRunner().invoke(app, ["derain", "a.png", *words]))
    ((title, versions),) = compared()
    assert title == "a.png" and list(versions) == ["input", "derained"]
    assert "<h1>a.png, derained</h1>" in Path("page.html").read_text()
    assert np.array_equal(seen(versions["input"]), samples("a.png"))
    assert np.array_equal(seen(versions["derained"]), samples("a.derained.png"))
    assert not np.array_equal(samples("a.png"), samples("a.derained.png"))


def test_a_page_says_what_compare_says(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png", (40, 30))
    photo(tmp_path / "clean.png", (40, 30), sigma=0)
    ok(run("a.png", "--reference", "clean.png", "--strength", 0.5, "--compare", "page.html"))
    words = ["a.png", "a.denoised.png", "--reference", "clean.png", "-o", "files.html"]
    ok(CliRunner().invoke(app, ["compare", *words]))
    ((_, versions),), ((_, files),) = compared(), compared("files.html")
    assert list(versions) == ["input", "denoised", "reference"]
    for one, other in zip(versions.values(), files.values(), strict=True):
        assert (one["note"], one["source"]) == (other["note"], other["source"])


def test_a_page_of_a_batch(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, sigma in {"a": 5, "b": 20, "c": 10, "d": 40, "e": 1}.items():
        photo(tmp_path / f"in/{name}.png", (40, 30), sigma=sigma)
        photo(tmp_path / f"clean/{name}.png", (40, 30), sigma=0)
    (tmp_path / "clean/e.png").unlink()
    (tmp_path / "in/bad.png").touch()
    words = "in", "--compare", "page.html", "--overwrite"

    def titles(*more: object) -> str:
        result = run(*words, *more)
        assert "5 done, 1 failed" in result.stderr
        return "".join(title[0] for title, _ in compared())

    assert titles() == "abcde"
    assert "<h1>5 photos, denoised</h1>" in Path("page.html").read_text()
    assert titles("--reference", "clean") == "dbcae"
    monkeypatch.setattr("restore_cli.report.gallery._MAX_PHOTOS", 2)
    assert titles() == "ab"
    assert titles("--reference", "clean") == "db"
    assert "warning: page.html shows 2 of 5 photos: " in run(*words).stderr
    assert "shows" not in run(*words, "--quiet").stderr
    monkeypatch.setattr("restore_cli.report.gallery._MAX_CHARACTERS", 1)
    assert titles("--reference", "clean") == "d"


def test_a_page_has_only_what_was_restored(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    words = "*.png", "--skip-existing", "--compare", "page.html"
    ok(run(*words, "--dry-run"))
    assert names(tmp_path) == {"a.png"}
    ok(run("a.png"))
    assert "nothing was restored; page.html was not written" in ok(run(*words)).stderr
    assert ok(run(*words, "--quiet")).output == ""
    assert not Path("page.html").exists()
    photo(tmp_path / "b.png")
    ok(run(*words))
    assert [title for title, _ in compared()] == ["b.png"]


def test_a_page_of_what_came_through_a_pipe(run: Run, tmp_path: Path) -> None:
    data = photo(tmp_path / "a.png").read_bytes()
    result = ok(run("-", "--compare", "page.html", stdin=data))
    with Image.open(io.BytesIO(result.stdout_bytes)) as image:
        assert image.size == (24, 20)
    ((title, versions),) = compared()
    assert title == "standard input" and np.array_equal(
        seen(versions["denoised"]), samples("a.png")
    )


# Streams, signals and the start


def test_a_picture_through_pipes(run: Run, tmp_path: Path) -> None:
    data = photo(tmp_path / "a.jpg").read_bytes()
    for words in ("-",), ("-", "-o", "-"), ("a.jpg", "-o", "-"):
        result = ok(run(*words, stdin=data))
        with Image.open(io.BytesIO(result.stdout_bytes)) as image:
            assert (image.format, image.size) == ("JPEG", (24, 20))
    assert ok(run("-", "--format", "png", "--quiet", stdin=data)).stdout_bytes.startswith(
        b"\x89PNG"
    )
    assert ok(run("-", "-o", "b.webp", "--json", stdin=data)).stdout.startswith('{"input": "-"')
    assert run("-", stdin=b"").exit_code == 1
    assert names(tmp_path) == {"a.jpg", "b.webp"}


def test_a_terminal_gets_no_picture(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo(tmp_path / "a.png")
    monkeypatch.setattr(
        "typer.testing._NamedTextIOWrapper.isatty", lambda self: True, raising=False
    )
    refused(run("a.png", "-o", "-"), "terminal")


def test_a_pipe_of_the_shell_needs_a_name_for_the_output(run: Run) -> None:
    for pipe in ("/dev/stdin", "/dev/fd/63", "/proc/self/fd/0"):
        refused(run(pipe), f"Cannot name the output of {pipe}. Give -o FILE or -o -.")
    assert "Cannot name" not in run("/dev/shm/nothing.png").stderr


def test_a_closed_pipe_is_no_traceback(checkpoints: dict[int, Path], tmp_path: Path) -> None:
    source = photo(tmp_path / "a.png", (700, 500), sigma=30)  # more than a pipe holds
    argv = [*MODULE, "denoise", str(source), "-o", "-", "-q", "--model", str(checkpoints[3])]
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.read(1) == b"\x89"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(checkpoints: dict[int, Path], tmp_path: Path, number: signal.Signals) -> None:
    first = photo(tmp_path / "in/000.png", (300, 200))
    for i in range(1, 300):
        shutil.copy(first, tmp_path / f"in/{i:03}.png")
    report = tmp_path / "report.jsonl"
    page = tmp_path / "page.html"
    argv = [
        *MODULE,
        "denoise",
        tmp_path / "in",
        "-o",
        tmp_path / "out/",
        "--json",
        "--report",
        report,
    ]
    with subprocess.Popen(
        [*argv, "--compare", page, "--model", checkpoints[3]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.send_signal(number)
        lines = 1 + len(process.stdout.read().splitlines())
        said = process.stderr.read().decode()
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("error: Interrupted") and "Traceback" not in said
    assert 0 < lines < 300
    assert len(report.read_text().splitlines()) == lines
    written = sorted((tmp_path / "out").iterdir())
    assert lines <= len(written) <= lines + 2  # written, but not reported yet
    for path in written:
        read_picture(path)
    assert len(compared(str(page))) in (min(lines, 50), min(lines + 1, 50))


@pytest.mark.parametrize("words", [["--help"], ["denoise", "--help"], ["--version"]])
def test_nothing_slow_is_imported_before_a_job_starts(words: list[str]) -> None:
    script = (
        "import sys, restore_cli\n"
        "assert not {'torch', 'numpy'} & set(sys.modules), 'the package alone'\n"
        "from restore_cli.__main__ import main\n"
        f"sys.argv = ['restore', *{words!r}]\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n"
        "    slow = {'torch', 'cv2', 'skimage', 'huggingface_hub', 'safetensors'} &"
        " set(sys.modules)\n"
        "    sys.exit(end.code or bool(slow))\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_a_large_folder_is_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "os.walk",
        lambda folder, onerror: [(folder, [], [f"{i}.jpg" for i in reversed(range(100_000))])],
    )
    items = plan([str(tmp_path)], OutputNaming(suffix=".denoised"))
    assert len(items) == 100_000 and items[0].relative == "0.jpg"


def test_the_fields_of_a_task_are_options() -> None:
    @dataclass(frozen=True)
    class Dehaze(Denoise):
        """Lift haze.

        Attributes:
            density: of the haze.
        """

        density: float = option(0.5, help="How thick it is.", metavar="SHARE", parse=float)

    fresh = typer.Typer()
    fresh.command()(task_command(Dehaze))
    told = CliRunner().invoke(fresh, ["--help"], env={"COLUMNS": "120"}).stdout
    assert "--density" in told and "How thick it is. [default: 0.5]" in " ".join(told.split())
    assert "--sigma" in told and "FLOAT|auto" in told


def test_the_library(checkpoints: dict[int, Path], tmp_path: Path) -> None:
    import restore_cli

    picture = restore_cli.read_picture(photo(tmp_path / "a.png"))
    restored = restore_cli.restore(picture, restore_cli.Denoise(sigma=25), str(checkpoints[3]))
    assert np.abs(restored.pixels - picture.pixels).max() < 1e-6
    loaded = restore_cli.load(str(checkpoints[1]), channels=1)
    restored = restore_cli.restore(
        picture, restore_cli.Denoise(), loaded, restore_cli.Settings(device="cpu")
    )
    assert np.abs(restored.pixels - picture.pixels).max() < 1e-6
    with pytest.raises(AttributeError, match="nothing"):
        restore_cli.nothing  # noqa: B018


def test_names_in_a_list_are_paths(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "b[1].png")
    lines = "\ufeffa.png\r\ngone[1].png\r\nb[1].png\r\n"  # as an editor on Windows writes them
    (tmp_path / "list.txt").write_text(lines, encoding="utf-8")
    result = run("--files-from", "list.txt", "-o", "out/")
    assert result.exit_code == 1 and "Cannot read gone[1].png: the file does not" in result.stderr
    assert names(tmp_path / "out") == {"a.denoised.png", "b[1].denoised.png"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-16-le"])
def test_a_list_of_powershell_names_no_other_photos(
    run: Run, tmp_path: Path, encoding: str
) -> None:
    photo(tmp_path / "in/über.png")
    photo(tmp_path / "other.png")
    mark = "" if encoding == "utf-16" else "\ufeff"
    lines = (mark + "in/über.png\r\n").encode(encoding)
    (tmp_path / "list.txt").write_bytes(lines)
    expected = "in/über.png -> in/über.denoised.png\n"
    assert ok(run("--files-from", "list.txt", "-r", "--dry-run")).stdout == expected
    assert ok(run("--files-from", "-", "--dry-run", stdin=lines)).stdout == expected


def test_a_bad_line_of_a_stream_stops_no_other(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    photo(tmp_path / "z.png")
    result = run("--files-from", "-", "-o", "out/", stdin=b"a.png\nlost?.png\nz.png\n")
    assert result.exit_code == 1
    assert "Cannot read lost?.png: the file does not exist" in result.stderr
    assert names(tmp_path / "out") == {"a.denoised.png", "z.denoised.png"}


def test_a_result_whose_photo_was_deleted_is_not_restored_again(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    photo(tmp_path / "in/b.png")
    ok(run("in", "--resume"))
    (tmp_path / "in/a.png").unlink()
    ok(run("in", "--resume"))
    found = names(tmp_path / "in")
    assert {"a.denoised.png", "b.png", "b.denoised.png"} <= found
    assert "a.denoised.denoised.png" not in found
    ok(run("in/a.denoised.png"))  # it is named
    assert "a.denoised.denoised.png" in names(tmp_path / "in")


def test_a_photo_in_two_of_the_inputs_is_restored_once(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "in/sub/a.png")
    result = ok(run("in", "in/sub", "in/sub/a.png", "-r", "-o", "out/", "--json"))
    assert len(result.stdout.splitlines()) == 1 and names(tmp_path / "out") == {
        "sub/a.denoised.png"
    }


def test_a_dry_run_finds_what_would_fail(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    result = run("a.png", "missing.png", "--dry-run")
    assert result.exit_code == 1 and "a.png -> a.denoised.png" in result.stdout
    assert "Cannot read missing.png: the file does not exist" in result.stderr
    (tmp_path / "text.png").write_text("text")
    result = run("a.png", "text.png", "--dry-run")
    assert result.exit_code == 1 and "Cannot read text.png" in result.stderr
    refused(run("a.png", "--dry-run", "--device", "nope"), "Cannot use the device nope")
    refused(run("a.png", "--dry-run", "--precision", "nope"), "Unknown precision 'nope'")
    unknown = CliRunner().invoke(app, ["denoise", "a.png", "--dry-run", "--model", "nope"])
    assert unknown.exit_code == 3 and "Unknown model or file 'nope'" in unknown.stderr


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["a.png", "--mask", ""], "value for --mask"),
        (["a.png", "--reference="], "value for --reference"),
        (["a.png", "-o", ""], "value for -o"),
        (["a.png", ""], "name"),
    ],
)
def test_empty_arguments_are_refused(
    run: Run, tmp_path: Path, words: list[str], named: str
) -> None:
    photo(tmp_path / "a.png")
    refused(run(*words), f"Cannot use an empty {named}.")
    assert names(tmp_path) == {"a.png"}
    ok(run("a.png", "-o", "out/", "--suffix", ""))


def test_standard_input_is_not_read_by_other_processes(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    refused(run("-", "a.png", "-o", "out/", "-j", "2", stdin=b""), "standard input")


@pytest.mark.parametrize("name", ["a.bmp", "a.ppm"])
def test_figures_are_those_of_a_flattened_file(run: Run, tmp_path: Path, name: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 24, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels[..., :3]).save(tmp_path / "clean.png")
    result = ok(run("a.png", "-o", name, "--reference", "clean.png", "--json"))
    written, clean = (read_picture(tmp_path / one).pixels for one in (name, "clean.png"))
    assert json.loads(result.stdout)["psnr"] == pytest.approx(psnr(written, clean), abs=1e-4)


def test_reports_list_findings_and_are_replaced_on_resume(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "in/a.png")
    words = ["auto", "in", "-o", "out/", "--resume", "--report", "r.csv"]
    (tmp_path / "r.csv").write_text("mine")
    for _ in range(2):
        refused(CliRunner().invoke(app, words), "r.csv: it already exists")
    (tmp_path / "r.csv").unlink()
    for _ in range(2):
        ok(CliRunner().invoke(app, words))
        heads, row = csv.reader(io.StringIO((tmp_path / "r.csv").read_text()))
        parts = row[heads.index("findings.noise.parts")].split()
        assert len(parts) == 3 and all(float(part) >= 0 for part in parts)
