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
    assert [(version["name"], version["note"]) for version in shown()] == [("a.png", ""), ("b.png", "")]
    assert {path.name for path in folder.iterdir()} == {"a.png", "b.png", "gray.png", "half.png", "out.html"}


def test_compare_measures_against_a_reference(folder: Path) -> None:
    result = compare("half.png", "gray.png", "./b.png", "--reference", "b.png", "-o", "out.html")
    assert result.exit_code == 0, result.stderr
    half, gray, same, reference = shown()
    assert re.fullmatch(r"enlarged 2 times, \d+\.\d\d dB, SSIM -?0\.\d{4}", half["note"])
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
        (["a.png", "b.png", "-o", "none/o.html"], 2, "no folder"),
        (["a.png", "b.png", "-o", "o.png"], 2, ".html"),
        (["a.png", "b.png", "-o", "old.html"], 2, "--overwrite"),
    ],
)
def test_compare_refuses_with_one_sentence(folder: Path, words: list[str], code: int, sentence: str) -> None:
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


def test_compare_pairs_the_pictures_of_folders_by_their_names(folder: Path) -> None:
    for number, name in enumerate(("a[1].png", "b.jpg", "b.more.png", "deep/c.png", "lost.png")):
        save(f"old/{name}", noise(seed=number))
        if name != "lost.png":
            save(f"new/{Path(name).with_suffix('.denoised.png')}", noise(seed=number))
    save("new/b.png", noise(seed=9))  # the same name, before one with a word more
    result = compare("old", "new", "-o", "out.html")
    assert (result.exit_code, result.stdout) == (0, "out.html\n")
    assert result.stderr == "warning: lost.png is left out: not every folder has a picture of its name\n"
    assert {one["title"]: [version["name"] for version in one["versions"]] for one in comparisons()} == {
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
    assert result.stderr.startswith("error: The sizes differ: ") and result.stderr.count("\n") == 1
    assert [one["title"] for one in comparisons()] == ["b.png", "c.png"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["old", "a.png"], "Cannot compare folders with files"),
        (["old", "empty"], "Cannot compare old: no picture of it is in empty by the same name"),
        (["empty", "old"], "Cannot compare empty"),
    ],
)
def test_compare_refuses_folders_that_do_not_fit(folder: Path, words: list[str], sentence: str) -> None:
    save("old/a.png", noise())
    Path("empty").mkdir()
    result = compare(*words, "-o", "out.html")
    assert result.exit_code == 2 and sentence in result.stderr and not Path("out.html").exists()
