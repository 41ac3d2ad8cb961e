"""`restore compare` as the shell sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli.cli import app
from restore_cli.errors import WeightsError


def noise(height: int = 24, width: int = 32, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save("a.png", noise())
    save("b.png", noise(seed=1))
    save("gray.png", noise(channels=1))
    save("half.png", noise(12, 16))
    return tmp_path


def save(name: str, pixels: np.ndarray) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(name)


def compare(*words: str) -> Result:
    return CliRunner().invoke(app, ["compare", *words])


def comparisons(path: str = "out.html") -> list[dict[str, Any]]:
    data = re.search(r'id="comparisons">(.*?)</script>', Path(path).read_text(encoding="utf-8"))
    assert data
    found: list[dict[str, Any]] = json.loads(data[1])
    return found


def shown(path: str = "out.html") -> list[dict[str, str]]:
    (comparison,) = comparisons(path)
    versions: list[dict[str, str]] = comparison["versions"]
    return versions


def test_compare_writes_a_page_and_prints_its_name(folder: Path) -> None:
    result = compare("a.png", "b.png", "-o", "out.html")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "out.html\n", "")
    assert [(version["name"], version["note"]) for version in shown()] == [
        ("a.png", ""),
        ("b.png", ""),
    ]
    assert {path.name for path in folder.iterdir()} == {
        "a.png",
        "b.png",
        "gray.png",
        "half.png",
        "out.html",
    }


def test_compare_measures_against_a_reference(folder: Path) -> None:
    result = compare("half.png", "gray.png", "./b.png", "--reference", "b.png", "-o", "out.html")
    assert result.exit_code == 0, result.stderr
    half, gray, same, reference = shown()
    assert re.fullmatch(r"upscaled 2 times, \d+\.\d\d dB, SSIM -?0\.\d{4}", half["note"])
    assert re.fullmatch(r"\d+\.\d\d dB, SSIM -?0\.\d{4}", gray["note"])
    assert same["note"] == "equal to the reference"
    assert (reference["name"], reference["note"]) == ("b.png", "")


def test_compare_tells_pictures_of_one_name_apart_by_their_folders(folder: Path) -> None:
    save("x/a.png", noise())
    assert compare("a.png", "x/a.png", "-o", "out.html").exit_code == 0
    assert [version["name"] for version in shown()] == ["a.png", "x/a.png"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["a.png", "half.png", "-o", "o.html"], 1, "a.png is 32 x 24, half.png is 16 x 12"),
        (["a.png", "none.png", "-o", "o.html"], 1, "none.png"),
        (["a.png", "b.png", "-o", "none/o.html"], 2, "its folder does not exist"),
        (["a.png", "b.png", "-o", "o.png"], 2, ".html"),
        (["a.png", "b.png", "-o", "old.html"], 2, "--overwrite"),
    ],
)
def test_compare_refuses_with_one_sentence(
    folder: Path, words: list[str], code: int, sentence: str
) -> None:
    Path("old.html").write_text("old")
    result = compare(*words)
    assert result.exit_code == code
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert sentence in result.stderr
    assert Path("old.html").read_text() == "old" and not Path("o.html").exists()


def test_compare_overwrites_when_told(folder: Path) -> None:
    Path("out.html").write_text("old")
    assert compare("a.png", "b.png", "-o", "out.html", "--overwrite").exit_code == 0
    assert len(shown()) == 2


# By models


@pytest.fixture
def same(folder: Path, checkpoints: dict[int, Path]) -> str:
    """The path of a model that denoises nothing."""
    Path("same.safetensors").write_bytes(checkpoints[3].read_bytes())
    return "same.safetensors"


@pytest.mark.weights
def test_compare_restores_by_each_of_the_models(folder: Path, same: str) -> None:
    names = ["--models", f"default,{same}", "--models", "denoise-color", "--level", "sigma=25"]
    result = compare("a.png", *names, "-o", "out.html")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "out.html\n", "")
    before, default, own, other = shown()
    assert [version["name"] for version in (before, default, own, other)] == [
        "a.png", "default", same, "denoise-color",
    ]  # fmt: skip
    assert re.fullmatch(r"denoise-color, \d+\.\d s", default["note"])
    assert re.fullmatch(r"\d+\.\d s", own["note"]) and re.fullmatch(r"\d+\.\d s", other["note"])
    assert own["source"] == before["source"] != default["source"]
    left = {path.name for path in folder.iterdir()}
    assert left == {"a.png", "b.png", "gray.png", "half.png", "out.html", same}


@pytest.mark.weights
def test_compare_enlarges_by_each_and_measures(folder: Path) -> None:
    words = ["--models", "default,bt-gray-x2", "--task", "sr", "--level", "scale=2"]
    result = compare(
        "half.png", "b.png", *words, "--reference", "a.png", "-o", "out.html", "--precision", "fp32"
    )
    assert result.exit_code == 0, result.stderr
    half, default, gray, given, reference = shown()
    assert re.fullmatch(r"upscaled 2 times, \d+\.\d\d dB, SSIM .*", half["note"])
    assert re.fullmatch(r"sr-color-x2, \d+\.\d s, \d+\.\d\d dB, SSIM .*", default["note"])
    assert (gray["name"], given["name"], reference["name"]) == ("bt-gray-x2", "b.png", "a.png")


def test_compare_goes_on_without_a_model_that_cannot_be_had(
    same: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    names = f"no-such-model,{same},realesrgan,kair-ffdnet-color"
    words = ["--task", "denoise", "--level", "sigma=25", "--offline"]
    result = compare("a.png", "--models", names, *words, "-o", "out.html")
    assert (result.exit_code, result.stdout) == (1, "out.html\n")
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3 == result.stderr.count("\n")
    assert errors[0].startswith("error: no-such-model: Unknown model or file")
    assert errors[1].startswith("error: realesrgan: Cannot use realesrgan for denoise")
    assert errors[2].startswith("error: kair-ffdnet-color: ") and "not downloaded" in errors[2]
    assert [version["name"] for version in shown()] == ["a.png", same]


def test_compare_stops_at_the_first_error_to_debug(folder: Path) -> None:
    result = compare(
        "a.png", "--models", "no-such-model", "--task", "denoise", "-o", "out.html", "--debug"
    )
    assert isinstance(result.exception, WeightsError)


def test_compare_writes_no_page_where_all_models_fail(folder: Path) -> None:
    result = compare("a.png", "--models", "no-such-model", "--task", "denoise", "-o", "out.html")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nothing was restored; out.html was not written" in result.stderr
    assert not Path("out.html").exists()


def test_compare_warns_as_the_task_does(same: str) -> None:
    result = compare("a.png", "--models", same, "--level", "sigma=70", "-o", "out.html")
    assert result.exit_code == 0
    assert f"warning: {same}: " in result.stderr and "Sigma 70" in result.stderr
    assert (
        compare("a.png", "--models", same, "--level", "sigma=70", "-o", "quiet.html", "-q").stderr
        == ""
    )


@pytest.mark.weights
def test_compare_takes_a_mask(folder: Path) -> None:
    mask = np.zeros((24, 32, 1), np.uint8)
    mask[8:12, 8:12] = 255
    save("mask.png", mask)
    result = compare("a.png", "--models", "inpaint-color", "--mask", "mask.png", "-o", "out.html")
    assert result.exit_code == 0, result.stderr
    assert [version["name"] for version in shown()] == ["a.png", "inpaint-color"]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["a.png"], 2, "Cannot compare a.png: there is no second photo"),
        (["a.png", "--task", "sr"], 2, "Cannot compare a.png: there is no second photo"),
        (["a.png", "b.png", "--level", "scale=2"], 2, "without --models"),
        (["a.png", "--models", "default"], 2, "default may be for any task. Give --task"),
        (
            ["a.png", "--models", "drunet,realesrgan"],
            2,
            "drunet is for denoise, realesrgan is for sr. Give",
        ),
        (["a.png", "--models", "fast,best"], 2, "Cannot determine the task: fast is for"),
        (["a.png", "--models", "default", "--task", "sharpen"], 2, "Unknown task 'sharpen'"),
        (["a.png", "--models", "default", "--task", "noise"], 2, "Unknown task 'noise'"),
        (
            ["a.png", "--models", "drunet", "--level", "quality=3"],
            2,
            "Unknown option 'quality' of denoise in --level; expected sigma",
        ),
        (
            ["a.png", "--models", "drunet", "--level", "sigma"],
            2,
            "'sigma' is not a valid --level; expected KEY=VALUE",
        ),
        (["a.png", "--models", "drunet", "--level", "sigma=much"], 2, "much"),
        (["none.png", "--models", "drunet"], 1, "none.png"),
        (["a.png", "--models", "drunet", "--device", "abacus"], 2, "abacus"),
        (["a.png", "--models", "drunet", "--reference", "none.png"], 1, "none.png"),
    ],
)
def test_compare_by_models_refuses_with_one_sentence(
    folder: Path, words: list[str], code: int, sentence: str
) -> None:
    result = compare(*words, "-o", "out.html")
    assert result.exit_code == code
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert sentence in result.stderr
    assert not Path("out.html").exists()


def test_compare_pairs_the_pictures_of_folders_by_their_names(folder: Path) -> None:
    for number, name in enumerate(("a[1].png", "b.jpg", "b.more.png", "deep/c.png", "lost.png")):
        save(f"old/{name}", noise(seed=number))
        if name != "lost.png":
            save(f"new/{Path(name).with_suffix('.denoised.png')}", noise(seed=number))
    save("new/b.png", noise(seed=9))  # the same stem is preferred to one with a suffix
    save("old/._b.png", noise(seed=1))  # as macOS leaves on a share
    result = compare("old", "new", "-o", "out.html")
    assert (result.exit_code, result.stdout) == (0, "out.html\n")
    assert result.stderr == "warning: Skipped lost.png: not every folder has a matching photo.\n"
    assert {
        one["title"]: [version["name"] for version in one["versions"]] for one in comparisons()
    } == {
        "a[1].png": ["a[1].png", "a[1].denoised.png"],
        "b.jpg": ["b.jpg", "b.png"],
        "b.more.png": ["b.more.png", "b.more.denoised.png"],
        "deep/c.png": ["c.png", "c.denoised.png"],
    }


def test_compare_begins_with_the_worst_of_a_folder_and_goes_on_after_a_fault(folder: Path) -> None:
    for name, near in (("a.png", 1), ("b.png", 40), ("c.png", 8)):
        save(f"old/{name}", noise(seed=1))
        save(f"clean/{name}", noise(seed=2) // 2)
        save(f"new/{name}", noise(seed=2) // 2 + np.uint8(near))
    save("new/a.png", noise(5, 5))
    result = compare("old", "new", "--reference", "clean", "-o", "out.html")
    assert result.exit_code == 1
    assert (
        result.stderr.startswith("error: Cannot compare images of different sizes: ")
        and result.stderr.count("\n") == 1
    )
    assert [one["title"] for one in comparisons()] == ["b.png", "c.png"]


def test_compare_gives_no_photo_the_result_of_another(folder: Path) -> None:
    for name in "in/a.png", "in/a.1.png", "in/b.png", "out/a.1.png", "out/b.denoised.png":
        Path(name).parent.mkdir(exist_ok=True)
        save(name, noise())
    result = compare("in", "out", "-o", "out.html")
    assert result.stderr == "warning: Skipped a.png: not every folder has a matching photo.\n"
    assert len(comparisons()) == 2


def test_compare_finds_the_most_similar_name(folder: Path) -> None:
    for name in ("a.jpg", "a.png", "2024.png", "2024.07.png"):
        save(f"old/{name}", noise())
        save(f"same/{name}", noise())
        save(f"new/{Path(name).stem}.denoised{Path(name).suffix}", noise())
    for other in ("same", "new"):
        result = compare("old", other, "-o", "out.html", "--overwrite")
        assert (result.exit_code, result.stderr) == (0, "")
        assert len(comparisons()) == 4


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["old", "a.png"], "Cannot compare folders with files"),
        (["old", "missing"], "Cannot compare missing: it does not exist"),
        (["old", "empty"], "Cannot compare old: no photo in it has one match in empty"),
        (["empty", "old"], "Cannot compare empty"),
    ],
)
def test_compare_refuses_folders_that_do_not_fit(
    folder: Path, words: list[str], sentence: str
) -> None:
    save("old/a.png", noise())
    Path("empty").mkdir()
    result = compare(*words, "-o", "out.html")
    assert result.exit_code == 2 and sentence in result.stderr and not Path("out.html").exists()
