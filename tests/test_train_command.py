"""`restore train` as the shell sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli import weights
from restore_cli.cli import app
from restore_cli.cli.train import describe, format_time, read_recipe
from restore_cli.errors import UsageError
from restore_cli.jobs.train import Progress
from restore_cli.weights import Bundled, Entry

RECIPE = """
task = "denoise"
arch = "unet:UNet"
params = { channels = 1, widths = [8, 8] }
folders = ["photos"]
levels = { sigma = [0, 50] }
steps = 4
validation = [{ sigma = 25 }]
batch = 2
patch = 16
validate_every = 2
holdout = 3
precision = "fp32"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a recipe and data for it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "data/photos").mkdir(parents=True)
    for i in range(6):
        Image.fromarray(rng.integers(0, 255, (32, 40), np.uint8)).save(tmp_path / f"data/photos/{i}.png")
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path


def train(*words: str) -> Result:
    return CliRunner().invoke(app, ["train", *words, "--device", "cpu"])


def test_a_recipe_becomes_a_checkpoint(folder: Path) -> None:
    (folder / "data/photos/7.png").write_text("no picture")
    result = train("tiny.toml", "--data", "data")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "tiny.safetensors\n"
    note, first, last = result.stderr.splitlines()
    assert note.startswith("left out: ") and "7.png" in note
    assert first.startswith("step 2/4  objective 0.") and "steps/s" in first and first.endswith("dB, saved")
    assert last.startswith("step 4/4")
    loaded = weights.load(Path("tiny.safetensors"))
    assert loaded.task == "denoise" and loaded.header.recipe["steps"] == 4

    again = train("tiny.toml", "--data", "data")
    assert again.exit_code == 2 and "--resume" in again.stderr
    resumed = train("tiny.toml", "--data", "data", "--resume")
    assert (resumed.exit_code, resumed.stdout) == (0, "tiny.safetensors\n")


def test_an_entry_is_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {"folders": ("photos",), "steps": 2, "validation": ({"sigma": 25},), "batch": 1, "patch": 16}
    entries = [
        Entry(
            name=f"tiny-{kind}",
            short="tiny",
            task="denoise",
            arch="unet:UNet",
            params={"channels": channels, "widths": [8]},
            channels=channels,
            conditions={"sigma": [0, 50]},
            recipe=keys,
            source=Bundled("tiny"),
            sha256="0" * 64,
            license="Apache-2.0",
        )
        for kind, channels in (("gray", 1), ("color", 3))
    ]
    monkeypatch.setattr(weights, "entries", lambda: {entry.name: entry for entry in entries})
    recipe = read_recipe("tiny-gray")
    assert (recipe.arch, recipe.levels, recipe.steps) == ("unet:UNet", {"sigma": [0, 50]}, 2)
    result = train("tiny-gray", "--data", "data", "--out", "new/made.safetensors")
    assert result.exit_code == 0, result.stderr
    assert weights.load(Path("new/made.safetensors")).channels == 1
    with pytest.raises(UsageError, match="tiny-gray and tiny-color"):
        read_recipe("tiny")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nonesuch", "--data", "data"], 3, "nonesuch"),
        (["nonesuch.toml", "--data", "data"], 2, "nonesuch.toml"),
        (["bad.toml", "--data", "data"], 2, "speed"),
        (["tiny.toml", "--data", "nowhere"], 2, "nowhere"),
        (["tiny.toml", "--data", "data", "--out", "made.pth"], 2, "made.pth"),
        (["kair-dncnn-25", "--data", "data"], 2, "missing key"),
    ],
)
def test_mistakes_are_one_sentence(folder: Path, words: list[str], code: int, said: str) -> None:
    (folder / "bad.toml").write_text(RECIPE + "speed = 3\n")
    result = train(*words)
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert said in result.stderr and result.stdout == ""


def test_help_needs_no_torch() -> None:
    script = (
        "import sys\n"
        "from restore_cli.cli import main\n"
        "sys.argv = ['restore', 'train', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    sys.exit(end.code or 'torch' in sys.modules)\n"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True, stdout=subprocess.DEVNULL)


def test_lines() -> None:
    moment = Progress(2000, 60000, 0.02134, 4.1, (31.2, 28.914), saved=True)
    assert describe(moment) == (
        "step 2000/60000  objective 0.02134  4.10 steps/s  3 h 56 min left  31.20 28.91 dB, saved"
    )
    assert [format_time(s) for s in (4.4, 59.7, 61, 3600, 90000)] == [
        "4 s",
        "1 min",
        "1 min",
        "1 h 00 min",
        "25 h 00 min",
    ]
