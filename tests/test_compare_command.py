"""`restore compare` as the shell sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path

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
    Path(name).parent.mkdir(exist_ok=True)
    Image.fromarray(pixels.squeeze()).save(name)


def compare(*words: str) -> Result:
    return CliRunner().invoke(app, ["compare", *words])


def shown(path: str = "out.html") -> list[dict[str, str]]:
    data = re.search(r'id="comparisons">(.*?)</script>', Path(path).read_text(encoding="utf-8"))
    assert data
    (comparison,) = json.loads(data[1])
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
