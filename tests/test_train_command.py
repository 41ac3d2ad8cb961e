"""`restore train` as the shell sees it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from rich.text import Text
from safetensors import safe_open
from typer.testing import CliRunner, Result

from restore_cli.cli import LazyCommand, app, progress
from restore_cli.cli.train import train as train_command
from restore_cli.cli.train_progress import describe, format_time
from restore_cli.cli.train_recipe import read_recipe
from restore_cli.errors import UsageError
from restore_cli.levels import Range
from restore_cli.models import catalog, checkpoint
from restore_cli.models.catalog import Bundled, Entry
from restore_cli.tasks import find_task
from restore_cli.training.progress import Progress
from restore_cli.training.recipe import Recipe

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
    """Make a working folder with a recipe and its data."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    (tmp_path / "data/photos").mkdir(parents=True)
    for i in range(6):
        Image.fromarray(rng.integers(0, 255, (32, 40), np.uint8)).save(
            tmp_path / f"data/photos/{i}.png"
        )
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return tmp_path


def train(*words: str) -> Result:
    return CliRunner().invoke(app, ["train", *words, "--device", "cpu"])


def test_a_stage_that_is_not_bundled_is_explained(folder: Path) -> None:
    result = train("denoise-color", "--data", "data", "--set", 'folders=["photos"]')
    assert result.exit_code == 2 and "the file does not exist. Use --set init=" in result.stderr


def test_a_recipe_becomes_a_checkpoint(folder: Path) -> None:
    (folder / "data/photos/7.png").write_text("no picture")
    result = train("tiny.toml", "--data", "data")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "tiny.safetensors\n"
    note, first, last, use = result.stderr.splitlines()
    assert note.startswith("left out: ") and "7.png" in note
    assert first.startswith("step 2  l1 0.") and "patches/s" in first and first.endswith("), best")
    assert last.startswith("step 4  ") and re.search(r"sigma 25: \d+\.\d\d dB \(input", last)
    assert use == "use it with: restore denoise photo.jpg --model tiny.safetensors"
    loaded = checkpoint.load(Path("tiny.safetensors"))
    assert loaded.task == "denoise" and loaded.header.recipe["steps"] == 4
    assert loaded.header.data == "4 images of photos"
    (score,) = loaded.header.scores
    assert (score.set, score.levels, score.protocol.text) == (
        "held out",
        {"sigma": 25},
        "validation",
    )
    assert checkpoint.load(Path("tiny.last.safetensors")).task == "denoise"
    assert Path("tiny.csv").read_text().startswith("step,seconds,objective,")

    again = train("tiny.toml", "--data", "data")
    assert again.exit_code == 2 and "--resume" in again.stderr
    resumed = train("tiny.toml", "--data", "data", "--resume")
    assert (resumed.exit_code, resumed.stdout) == (0, "tiny.safetensors\n")
    assert "already ended after step 4; give more --steps or --minutes" in resumed.stderr
    assert "\nstep" not in resumed.stderr
    longer = train("tiny.toml", "--data", "data", "--resume", "--steps", "6")
    assert longer.exit_code == 0 and "\nstep 6  " in longer.stderr
    other = train("tiny.toml", "--data", "data", "--resume", "--seed", "1")
    assert other.exit_code == 3 and "differs in seed" in other.stderr and "--init" in other.stderr


def test_options_override_what_a_recipe_validates_and_how_long_it_is(folder: Path) -> None:
    words = "rednet/denoise-30:red10:cpu", "--data", "data/photos", "--dry-run"
    plan = train(*words, "--level", "sigma=50", "--set", "steps=3").stdout
    assert "levels = { sigma = 50 }" in plan and "validation = [{ sigma = 50 }]" in plan
    assert "\nsteps = 3\nminutes = 0\n" in plan
    own = train(*words, "--level", "sigma=50", "--set", "validation=[{sigma=10}]").stdout
    assert "validation = [{ sigma = 10 }]" in own
    table = train(*words, "--set", "levels={sigma=50}", "--set", "steps=3", "--minutes", "5").stdout
    assert "validation = [{ sigma = 50 }]" in table and "\nminutes = 5.0\n" in table


def test_another_network_does_not_get_the_params_of_the_recipe(folder: Path) -> None:
    words = "rednet/denoise-30:cpu", "--data", "data/photos", "--dry-run"
    assert "params = { depth = 30, channels = 1 }" in train(*words).stdout
    plan = train(*words, "--arch", "xunit:XDnCNN", "--param", "channels=1").stdout
    assert "params = { channels = 1 }" in plan


def test_a_dry_run_counts_the_discriminator(folder: Path) -> None:
    def parameters(*words: str) -> int:
        plan = train(*OWN, "--data", "data", "--patch", "64", "--dry-run", *words)
        found = re.search(r"# parameters ([\d,]+)", plan.stdout)
        assert found, plan.stderr
        return int(found[1].replace(",", ""))

    assert parameters("--set", "objective=lsgan") > parameters() + 100_000
    words = ("--set", "objective=lsgan", "--set", "discriminator=7", "--patch", "64", "--dry-run")
    refused = train(*OWN, "--data", "data", *words)
    assert refused.exit_code == 2 and "Cannot use a discriminator of 7" in refused.stderr


def test_a_training_replaces_no_file_that_it_did_not_write(folder: Path) -> None:
    Path("tiny.csv").write_text("set,PSNR\nSet5,31\n")
    for words in (), ("--resume",):
        result = train("tiny.toml", "--data", "data", *words)
        assert result.exit_code and "tiny.csv" in result.stderr
    assert Path("tiny.csv").read_text() == "set,PSNR\nSet5,31\n"
    Path("tiny.csv").unlink()
    for name in "tiny.safetensors", "tiny.last.safetensors":
        Path(name).write_text("hours of training")
        result = train("tiny.toml", "--data", "data", "--resume")
        assert result.exit_code == 2 and f"{name} would be replaced" in result.stderr
        queued = train("tiny.toml", "--data", "data", "--jobs", "1")
        assert queued.exit_code == 1 and "Cannot train tiny" in queued.stderr
        assert f"{name} would be replaced" in Path("tiny.log").read_text()
        assert Path(name).read_text() == "hours of training"
        Path(name).unlink()
    Path("tiny.csv").write_text("step,seconds\n1,2\n")  # killed before its first state
    assert train("tiny.toml", "--data", "data", "--resume").exit_code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_training_that_is_stopped_can_be_resumed(folder: Path, number: signal.Signals) -> None:
    words = ["train", "tiny.toml", "--data", "data", "--device", "cpu", "--steps", "1000000"]
    words += ["--set", "validate_every=1000000"]
    process = subprocess.Popen(
        [sys.executable, "-m", "restore_cli", *words],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # The log is written after 100 steps, long before the first state.
    while not Path("tiny.csv").exists() and process.poll() is None:
        time.sleep(0.05)
    second = train(*words[1:4], "--resume")
    process.send_signal(number)
    asked = time.monotonic()
    said = process.communicate(timeout=60)[1]
    assert second.exit_code == 2 and "another training is writing it" in second.stderr
    assert not Path(".tiny.safetensors.lock").exists()
    assert process.returncode == 130 and time.monotonic() - asked < 20, said
    assert "tiny.state.safetensors is saved; use --resume to continue\nerror: Interrupted" in said
    with safe_open("tiny.state.safetensors", "pt") as file:
        step = json.loads(file.metadata()["moment"])["step"]
    assert step >= 100
    again = train(
        *words[1:4], "--resume", "--steps", str(step + 1), "--set", "validate_every=1000000"
    )
    assert again.exit_code == 0 and f"step {step + 1}  " in again.stderr


STUCK = """
import hashlib, sys
from restore_cli.training import loop as train
learn = train.learn
def stuck(state, *others):
    if state.moment.step == 3:
        print("busy", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**7)  # many seconds, without a look at signals
    return learn(state, *others)
train.learn = stuck
from restore_cli.__main__ import main
main()
"""


@pytest.mark.parametrize("twice", [False, True])
def test_a_long_step_does_not_delay_signals(folder: Path, twice: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STUCK, "train", "tiny.toml", "--data", "data", "--device", "cpu"],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGTERM)
        asked = time.monotonic()
        said = next(line for line in process.stderr if not line.startswith("step"))
        assert said == "finishing this step to save the state; interrupt again to stop at once\n"
        assert time.monotonic() - asked < 3
        if twice:
            time.sleep(1.1)  # two signals within a second are one
            process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130
    if twice:
        assert time.monotonic() - asked < 5
    assert rest.startswith(
        "tiny.state.safetensors is saved; use --resume to continue\nerror: Interrupted"
    )
    with safe_open("tiny.state.safetensors", "pt") as file:
        step = json.loads(file.metadata()["moment"])["step"]
    assert step == (2 if twice else 4)  # the state of step 2 was saved by its validation


OWN = ["--task", "denoise", "--arch", "rednet:REDNet", "--param", "depth=4", "--param", "width=4"]
SHORT = [
    "--steps",
    "2",
    "--batch",
    "2",
    "--patch",
    "16",
    "--set",
    "holdout=3",
    "--set",
    "validate_every=2",
]


def test_options_make_a_recipe(folder: Path) -> None:
    shutil.copytree("data/photos", "photos")
    words = [
        *OWN,
        *SHORT,
        "--level",
        "sigma=[10,30]",
        "--precision",
        "fp32",
        "--seed",
        "7",
        "--out",
        "my.safetensors",
    ]
    result = train(*words, "--data", "data", "--val", "photos")
    assert result.exit_code == 0, result.stderr
    header = checkpoint.load(Path("my.safetensors")).header
    assert (header.arch, header.params) == ("rednet:REDNet", {"depth": 4, "width": 4})
    assert header.conditions == {"sigma": Range(10, 30)}
    assert (header.recipe["seed"], header.recipe["holdout"], header.recipe["precision"]) == (
        7,
        3,
        "fp32",
    )
    assert [score.levels for score in header.scores] == [{"sigma": n} for n in (15, 25)]
    assert {score.set for score in header.scores} == {"centers of photos"}
    onward = train(*words[:-1], "on.safetensors", "--init", "my.safetensors", "--data", "data")
    assert onward.exit_code == 0, onward.stderr


def test_a_model_of_another_task_is_a_start(folder: Path) -> None:
    words = ("--task", "dehaze", "--init", "xsrcnn-f-gray-x3", "--arch", "xunit:XSRCNN")
    words += ("--param", "channels=1", "--param", "residual=true", "--steps", "1", "--batch", "1")
    words += ("--set", "lr=1e-9", "--set", "ema=0", "--data", "data")
    [start] = catalog.find("xsrcnn-f-gray-x3")
    result = train(*words, "--out", "onward.safetensors")
    assert result.exit_code == 0, result.stderr
    ends = [
        checkpoint.load(one).network.parameters() for one in (start, Path("onward.safetensors"))
    ]
    for before, after in zip(*ends, strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=1e-3)


def test_options_override_keys_of_a_recipe(folder: Path) -> None:
    result = train(
        "tiny.toml", "--data", "data", "--steps", "2", "--param", "widths=[4]", "--set", "lr=0.01"
    )
    assert result.exit_code == 0, result.stderr
    header = checkpoint.load(Path("tiny.safetensors")).header
    assert header.params == {"channels": 1, "widths": [4]}
    assert (header.recipe["steps"], header.recipe["lr"]) == (2, 0.01)


def test_a_dry_run_prints_the_recipe_and_its_cost(folder: Path) -> None:
    result = train(*OWN, "--data", "data", "--dry-run")
    assert result.exit_code == 0, result.stderr
    for line in (
        "# parameters 373",
        "# images 5 for training, 1 for validation",
        'task = "denoise"',
        "steps = 10000",
    ):
        assert line in result.stdout.splitlines()
    assert "GFLOP forward" in result.stdout and "MB" in result.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["data", "tiny.toml"]


def test_a_dry_run_of_a_large_patch_takes_no_time(folder: Path) -> None:
    def figures(patch: int) -> list[float]:
        result = train(*OWN, "--data", "data", "--patch", str(patch), "--batch", "1", "--dry-run")
        assert result.exit_code == 0, result.stderr
        assert f"patch = {patch}" in result.stdout
        words = (
            re.search(pattern, result.stdout)
            for pattern in (r"([\d.e+]+) GFLOP", r"about ([\d,]+) MB")
        )
        return [float(word[1].replace(",", "")) for word in words if word]

    small = figures(250)
    started = time.process_time()
    large = figures(4097)
    assert time.process_time() - started < 2  # the patch itself would take 8 s
    # The figures are rounded.
    np.testing.assert_allclose(large, np.multiply(small, (4097 / 250) ** 2), rtol=0.3)
    words = ["--task", "sr", "--level", "scale=7", "--arch", "baselines:DnCNN", "--data", "data"]
    assert train(*words, "--patch", "1400", "--dry-run").exit_code == 0
    assert (
        "Cannot train on patches of 1401 pixels"
        in train(*words, "--patch", "1401", "--dry-run").stderr
    )


def test_a_dry_run_is_a_recipe(folder: Path) -> None:
    words = [
        "--level",
        "sigma=[10,30]",
        "--set",
        'exclude="a \\"b\\" ü.txt"',
        "--set",
        "clip=inf",
        *SHORT,
    ]
    (folder / 'data/a "b" ü.txt').touch()
    printed = train(*OWN, *words, "--data", "data", "--dry-run").stdout
    (folder / "saved.toml").write_text(printed, encoding="utf-8")
    assert train("saved.toml", "--data", "data", "--dry-run").stdout == printed
    result = train("saved.toml", "--data", "data")
    assert result.exit_code == 0, result.stderr
    recipe = checkpoint.load(Path("saved.safetensors")).header.recipe
    assert (recipe["levels"], recipe["steps"]) == ({"sigma": [10, 30]}, 2)


@pytest.mark.parametrize("task", ["dehaze", "derain", "deblur"])
def test_a_task_alone_can_be_trained(folder: Path, task: str) -> None:
    shutil.copytree("data/photos", "photos")
    words = ["--task", task, *SHORT, "--data", "data", "--val", "photos", "--patch", "16"]
    for arch in ([], ["--arch", "unet:UNet"]):
        result = train(
            *words,
            *arch,
            "--param",
            "widths=[4,4]",
            "--param",
            "blocks=1",
            "--out",
            f"{len(arch)}.safetensors",
        )
        assert result.exit_code == 0, result.stderr
        assert (
            checkpoint.load(Path(f"{len(arch)}.safetensors")).network.geometry.conditions
            == find_task(task).maps
        )


def test_a_model_is_retrained_from_its_recipe(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {
        "folders": ("photos",),
        "steps": 2,
        "validation": ({"sigma": 25},),
        "batch": 1,
        "patch": 16,
    }
    entries = [
        Entry(
            name=f"tiny-{kind}",
            short="tiny",
            task="denoise",
            arch="unet:UNet",
            params={"channels": channels, "widths": [8]},
            channels=channels,
            conditions={"sigma": Range(0, 50)},
            recipe=keys,
            source=Bundled("tiny"),
            sha256="0" * 64,
            license="Apache-2.0",
        )
        for kind, channels in (("gray", 1), ("color", 3))
    ]
    monkeypatch.setattr(catalog, "entries", lambda: {entry.name: entry for entry in entries})
    recipe = read_recipe("tiny-gray")
    assert (recipe["arch"], recipe["levels"], recipe["steps"]) == (
        "unet:UNet",
        {"sigma": Range(0, 50)},
        2,
    )
    result = train("tiny-gray", "--data", "data", "--out", "new/made.safetensors")
    assert result.exit_code == 0, result.stderr
    assert checkpoint.load(Path("new/made.safetensors")).channels == 1
    with pytest.raises(UsageError, match="expected one of tiny-gray, tiny-color"):
        read_recipe("tiny")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nonesuch", "--data", "data"], 3, "nonesuch"),
        (["nonesuch.toml", "--data", "data"], 2, "nonesuch.toml"),
        (["bad.toml", "--data", "data"], 2, "speed"),
        (["tiny.toml", "--data", "nowhere"], 2, "nowhere"),
        (["tiny.toml", "--data", "data", "--out", "made.pth"], 2, "made.pth"),
        (["kair-dncnn-25", "--data", "data"], 2, "third-party model without a training recipe"),
        ([], 2, "Cannot train: there is no model, recipe or task."),
        (["--steps", "4"], 2, "missing key 'task'"),
        (["deep.toml", "--data", "data"], 2, "deep.toml"),
        (["binary.toml", "--data", "data"], 2, "binary.toml"),
        (
            [*OWN, "--level", f"sigma={'[' * 9999}", "--data", "data"],
            2,
            "does not accept the levels",
        ),
        (["tiny.toml", "--minutes", "-1", "--data", "data"], 2, "minutes must be at least 0"),
        (["tiny.toml", "--minutes", "0", "--data", "data"], 2, "Cannot train for 0 minutes"),
        (["tiny.toml", "--minutes", "nan", "--data", "data"], 2, "minutes must be a finite number"),
        (["tiny.toml", "--set", "folders=['/data']", "--data", "data"], 2, "must be below --data"),
        (
            ["tiny.toml", "--data", "data", "--out", "/proc/x.safetensors"],
            2,
            "Cannot write /proc/x.safetensors",
        ),
        ([*OWN, "--param", "depth", "--data", "data"], 2, "'depth' is not a valid --param"),
        ([*OWN, "--param", "depth=5", "--data", "data"], 2, "depth must be even"),
        (
            ["tiny.toml", "--param", "scale=4", "--data", "data"],
            2,
            "for denoise: it upscales 4x",
        ),
        (
            [*OWN, "--level", "sigma=999", "--set", "speed=1", "--data", "data"],
            2,
            "unknown key 'speed'",
        ),
        ([*OWN, "--level", "sigma=999", "--data", "data"], 2, "999 is not a valid sigma"),
        (
            [*OWN, "--level", "quality=9", "--data", "data"],
            2,
            "{'quality': 9}: unknown quality; available: sigma, noise, rounded.",
        ),
        ([*OWN, "--param", "widht=3", "--data", "data"], 2, "unknown parameter widht; expected "),
        ([*OWN, "--init", "nonesuch", "--data", "data"], 3, "nonesuch"),
        ([*OWN, "--pairs", "photos:rainy", "--data", "data"], 2, "rainy is not a folder"),
        ([*OWN, "--val", "nowhere", "--data", "data"], 2, "nowhere is not a folder. Check --val."),
    ],
)
def test_errors_are_one_line(folder: Path, words: list[str], code: int, said: str) -> None:
    (folder / "bad.toml").write_text(RECIPE + "speed = 3\n")
    (folder / "deep.toml").write_text(f"{RECIPE}a = {'[' * 9999}")
    (folder / "binary.toml").write_bytes(b"\xff\x00")
    result = train(*words)
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert said in result.stderr and result.stdout == ""


def test_help_needs_no_torch() -> None:
    script = (
        "import sys\n"
        "from restore_cli.__main__ import main\n"
        "sys.argv = ['restore', 'train', '--help']\n"
        "try:\n    main()\n"
        "except SystemExit as end:\n    sys.exit(end.code or 'torch' in sys.modules)\n"
    )
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", script], cwd=root, check=True, stdout=subprocess.DEVNULL)


def test_help_shows_text_in_brackets() -> None:
    def walk(command: Any) -> Iterator[str]:
        command = command.load() if isinstance(command, LazyCommand) else command
        yield command.help or ""
        yield from (getattr(parameter, "help", None) or "" for parameter in command.params)
        for inner in getattr(command, "commands", {}).values():
            yield from walk(inner)

    texts = list(walk(typer.main.get_command(app)))
    assert any("[low,high]" in Text.from_markup(text).plain for text in texts)
    for text in texts:
        assert Text.from_markup(text).plain == text.replace("\\[", "["), "escape it"


def test_help_shows_the_defaults_of_a_recipe() -> None:
    said = inspect.signature(train_command, eval_str=True).parameters
    for item in dataclasses.fields(Recipe):
        if item.name in ("steps", "batch", "patch", "precision", "seed"):
            assert (
                said[item.name]
                .annotation.__metadata__[0]
                .help.endswith(rf"\[default: {item.default}]")
            )


def test_the_display_moves_with_each_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[float, str]] = []

    class Recorder(progress.Progress):
        visible = True

        def update(self, done: float, total: float, note: str = "") -> None:
            shown.append((done / total, note))

    monkeypatch.setattr(
        "restore_cli.cli.train_progress.show_progress", lambda title: nullcontext(Recorder())
    )
    result = train("tiny.toml", "--data", "data")
    assert result.exit_code == 0, result.stderr
    assert [share for share, _ in shown] == sorted(share for share, _ in shown)
    notes = [note for _, note in shown]
    assert notes[:2] == ["step 1", "step 2"] and "step 2  validating 1 of 2" in notes
    assert any(re.fullmatch(r"step 3  l1 \d\.\d+  \S+ patches/s", note) for note in notes)


def test_progress_lines() -> None:
    moment = Progress(
        2000,
        1 / 30,
        500,
        0.02134,
        65.6,
        scores=(31.2, 28.914),
        inputs=(24.6, 20.2),
        saved=True,
        levels=("sigma 15", "sigma 25"),
    )
    assert describe(moment, "l1") == (
        "step 2000  l1 0.02134  65.6 patches/s  4 h 02 min left"
        "  sigma 15: 31.20 dB (input 24.60), sigma 25: 28.91 dB (input 20.20), best"
    )
    assert [format_time(s) for s in (4.4, 59.7, 61, 3600, 90000)] == [
        "4 s",
        "1 min",
        "1 min",
        "1 h 00 min",
        "25 h 00 min",
    ]


def test_a_list_is_trained_some_at_a_time_and_resumed(folder: Path) -> None:
    for name in ("first", "second"):
        Path(f"{name}.toml").write_text(RECIPE)
    Path("broken.toml").write_text(RECIPE.replace("patch = 16", "patch = 15"))
    words = ("first.toml", "broken.toml", "second.toml", "--jobs", "2", "--data", "data")
    result = train(*words)
    assert result.exit_code == 1
    assert sorted(result.stdout.splitlines()) == ["first.safetensors", "second.safetensors"]
    assert "Cannot train broken: it failed. See broken.log." in " ".join(result.stderr.split())
    assert "multiples of" in Path("broken.log").read_text()
    assert checkpoint.load(Path("second.safetensors")).header.recipe["steps"] == 4
    logged = Path("train.log").read_text().splitlines()
    assert len(logged) == 6 and logged[0].endswith("first") and logged[1].endswith("broken")

    Path("broken.toml").write_text(RECIPE)
    assert train(*words, "--steps", "6").exit_code == 0  # the others are prolonged
    assert all(
        Path(f"{name}.csv").read_text().splitlines()[-1].startswith("6,")
        for name in ("first", "broken")
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_list_stops_its_trainings_and_is_resumed(
    folder: Path, number: signal.Signals
) -> None:
    fcntl = pytest.importorskip("fcntl")
    words = [
        sys.executable,
        "-m",
        "restore_cli",
        "train",
        "tiny.toml",
        "--jobs",
        "2",
        "--data",
        "data",
    ]
    words += ["--device", "cpu", "--steps"]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    Path("tiny.toml").write_text(RECIPE.replace("validate_every = 2", "validate_every = 1000000"))
    first = subprocess.Popen([*words, "1000000"], env=environment, stdout=subprocess.DEVNULL)
    # The log is written after 100 steps, long before the first state.
    while not Path("tiny.csv").exists() and first.poll() is None:
        time.sleep(0.05)
    first.send_signal(number)
    first.wait(60)
    second = subprocess.run(  # at once, while the training still ends its step
        [*words, "1000"], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert (second.returncode, second.stdout) == (0, "tiny.safetensors\n"), second.stderr
    logged = Path("tiny.log").read_text()
    assert (
        "tiny.state.safetensors is saved; use --resume to continue" in logged
        and "Interrupted" in logged
    )
    assert "does not exist" not in logged.partition("Interrupted")[2]
    with Path("tiny.log").open("ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody is left
    events = [line.split()[2] for line in Path("train.log").read_text().splitlines()]
    assert [event for event in events if event != "waiting"] == [
        "started",
        *(["stopped"] if number == signal.SIGTERM else []),
        "started",
        "finished",
    ]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("a.toml", "b.toml", "--level", "sigma=3"), "Put them into the recipes"),
        (("a.toml", "x/a.toml"), "different names"),
        (("--jobs", "2"), "different names"),
    ],
)
def test_invalid_lists_are_refused(folder: Path, words: tuple[str, ...], reason: str) -> None:
    result = train(*words)
    assert result.exit_code == 2 and reason in " ".join(result.stderr.split())
