"""Chains and presets: several tasks on a photo, which is read and written once."""

from __future__ import annotations

import json
import pickle
import re
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner, Result

from restore_cli.archs.unet import UNet
from restore_cli.cli import app
from restore_cli.cli.chain import parse_chain
from restore_cli.engine import Settings
from restore_cli.image import Picture, read_picture, write_picture
from restore_cli.levels import parse_levels
from restore_cli.models import checkpoint
from restore_cli.models.header import Header
from restore_cli.pipeline import steps
from restore_cli.pipeline.apply import apply, restore
from restore_cli.pipeline.files import FileJob
from restore_cli.pipeline.networks import Models
from restore_cli.pipeline.photo import PhotoRestorer
from restore_cli.pipeline.plan import Step
from restore_cli.pipeline.request import Request
from restore_cli.pipeline.steps import Progress, Walker
from restore_cli.tasks.deblock import Deblock
from restore_cli.tasks.denoise import Denoise
from restore_cli.tasks.derain import Derain
from restore_cli.tasks.inpaint import Inpaint
from restore_cli.tasks.restoration import Restoration
from restore_cli.tasks.sr import Sr

ROOT = Path(__file__).parents[1]
DERAIN = "derain --model derain.safetensors"
SR = "sr --scale 2 --model sr.safetensors"
INPAINT = "inpaint --model inpaint.safetensors"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with small models: each makes every pixel brighter by a tenth."""
    folder = tmp_path_factory.mktemp("models")
    for task, levels in (
        ("derain", {}),
        ("sr", {"scale": [2, 4]}),
        ("inpaint", {"damage": "box"}),
    ):
        params = {"channels": 3, "widths": [8, 8], "conditions": int(task == "inpaint")}
        network = UNet(**params)  # type: ignore[arg-type]
        network.init_weights()
        nn.init.constant_(network.tail.bias, 0.1)
        header = Header(
            task=task,
            arch="unet:UNet",
            params=params,
            channels=3,
            conditions=parse_levels(levels),
        )
        checkpoint.save(network, folder / f"{task}.safetensors", header)
    return folder


@pytest.fixture
def here(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new current folder with the models and a photo of 24 x 20 pixels with 16 bits."""
    monkeypatch.chdir(tmp_path)
    for path in models.iterdir():
        (tmp_path / path.name).symlink_to(path)
    pixels = np.random.default_rng(1).uniform(0.1, 0.6, (20, 24, 3)).astype(np.float32)
    write_picture(Picture(pixels, depth=16), tmp_path / "a.png")
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["run", *words])


def ok(result: Result) -> Result:
    assert result.exit_code == 0, result.stderr
    return result


def test_chains_are_read() -> None:
    text = "deblock | denoise --sigma=10 --strength 50%|sr --scale 3 --model 'my | own.safetensors'"
    assert parse_chain(text).steps == (
        Step(Deblock()),
        Step(Denoise(sigma=10), strength=0.5),
        Step(Sr(scale=3), "my | own.safetensors"),
    )
    (step,) = parse_chain("inpaint --box 1,2,3,4 --box 5,6,7,8").steps
    assert step == Step(Inpaint(box=((1, 2, 3, 4), (5, 6, 7, 8))))


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        (
            "deblock | denoize",
            "step 2 of the chain: 'denoize' is not a task. Did you mean denoise?",
        ),
        ("deblock | rotate", "step 2 of the chain: 'rotate' is not a task. Use denoise, deblock,"),
        ("deblock | | sr", 'step 2 of the chain: it is empty. Name a task between two "|".'),
        ("deblock || sr", "step 2 of the chain: it is empty"),
        ("deblock |", "step 2 of the chain: it is empty"),
        ("sr --scal 2", "step 1 of the chain, sr: No such option: --scal"),
        ("deblock | sr --device cpu", "Its options are --scale, --size, --model, --strength."),
        ("deblock | sr --scale 9", "step 2 of the chain, sr: 9 is not a valid scale; expected"),
        ("deblock | sr --scale", "step 2 of the chain, sr: Option '--scale' requires an argument."),
        ("denoise --strength 2", "step 1 of the chain, denoise: '2' is not a valid strength"),
        ("denoise 'a", "a quotation mark is missing"),
        ("b.png", "b.png: it is not a chain. End the command with a chain, such as"),
    ],
)
def test_errors_name_the_step(here: Path, chain: str, said: str) -> None:
    result = run("a.png", chain)
    assert result.exit_code == 2 and said in result.stderr and result.stderr.count("\n") == 1


def test_a_chain_is_needed_at_the_end(here: Path) -> None:
    assert "No chain given." in run().stderr
    assert "a.png: it is not a chain" in run("denoise", "a.png").stderr
    assert "No input given" in run("denoise").stderr
    both = run("a.png", "denoise", "--preset", "archive")
    assert both.exit_code == 2 and "both a chain and --preset" in both.stderr


def test_a_restored_picture_has_no_quality_of_its_file(here: Path) -> None:
    Image.open("a.png").convert("RGB").save("a.jpg", quality=30)
    picture = read_picture(Path("a.jpg"))
    assert picture.jpeg_quality == 30
    assert restore(picture, Sr(), "sr.safetensors").jpeg_quality is None
    assert restore(picture, Derain(), "derain.safetensors", strength=0).jpeg_quality == 30


def test_a_chain_gives_what_its_tasks_give_in_memory(here: Path) -> None:
    """With 16 bits, so that rounding to 8 in between would be seen."""
    result = ok(run("a.png", f"{DERAIN} --strength 30% | {SR} | {DERAIN}", "--json"))
    assert sorted(path.name for path in here.glob("*.png")) == ["a.png", "a.restored.png"]
    picture = read_picture(Path("a.png"))
    for step in (
        Step(Derain(), "derain.safetensors", 0.3),
        Step(Sr(), "sr.safetensors"),
        Step(Derain(), "derain.safetensors"),
    ):
        picture = restore(picture, step.task, step.model, strength=step.strength)
    write_picture(picture, "expected.png")
    made = read_picture(Path("a.restored.png")).pixels
    np.testing.assert_array_equal(made, read_picture(Path("expected.png")).pixels)

    record = json.loads(result.stdout)
    assert record["task"] == "derain | sr | derain"
    assert [step["task"] for step in record["steps"]] == ["derain", "sr", "derain"]
    assert [(step["width"], step["height"]) for step in record["steps"]] == [
        (24, 20),
        (48, 40),
        (48, 40),
    ]
    assert record["steps"][0]["options"] == {"strength": 0.3}
    assert all(step["seconds"] > 0 and "noise_before" in step for step in record["steps"])
    assert (record["output_width"], record["output_height"]) == (48, 40)


def test_nothing_is_rounded_between_steps(here: Path) -> None:
    """Each of ten steps adds a quarter of a level, which rounding would drop."""
    Image.fromarray(np.full((20, 24, 3), 100, np.uint8)).save("gray.png")
    ok(run("gray.png", " | ".join([f"{DERAIN} --strength 1%"] * 10)))
    np.testing.assert_allclose(read_picture(Path("gray.restored.png")).pixels * 255, 103)


def test_the_input_of_a_step_is_freed_before_the_next(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs: list[weakref.ref[np.ndarray]] = []
    alive = []

    def watch(picture: Picture, *rest: Any, overwrite: bool) -> Restoration:
        assert overwrite  # here it is not, so that the input of each step is an array of its own
        alive.append(sum(pixels() is not None for pixels in inputs))
        inputs.append(weakref.ref(picture.pixels))
        return apply(picture, *rest)

    torch.compile(lambda x: x, backend="eager")(torch.ones(1))  # callers now keep their arguments
    monkeypatch.setattr(steps, "apply", watch)
    chain = parse_chain(f"{DERAIN} | {SR} | {DERAIN}")
    record = PhotoRestorer(Request(chain, ()))(FileJob("a.png", "b.png", "a.png", format="PNG"))
    assert record.status == "done" and alive == [0, 0, 0]


def test_photos_are_given_as_for_one_command(here: Path) -> None:
    Path("in").mkdir()
    for name in ("1.png", "2.png"):
        Path("in", name).write_bytes(Path("a.png").read_bytes())
    words = ["in", "-o", "out/", f"{DERAIN} | {SR}", "--json", "--resume"]
    first = [json.loads(line) for line in ok(run(*words)).stdout.splitlines()]
    assert [record["status"] for record in first] == ["done", "done"]
    again = [json.loads(line) for line in ok(run(*words)).stdout.splitlines()]
    assert [record["status"] for record in again] == ["skipped", "skipped"]
    assert again[0]["steps"] == first[0]["steps"]
    words[3] = f"{DERAIN} --strength 50% | {SR}"
    assert '"done"' in ok(run(*words)).stdout

    data = Path("a.png").read_bytes()
    piped = CliRunner().invoke(app, ["run", "-", f"{DERAIN} | {SR}", "-o", "-"], input=data)
    ok(run("a.png", f"{DERAIN} | {SR}"))
    assert piped.stdout_bytes == Path("a.restored.png").read_bytes()

    plan = ok(run("in", f"{DERAIN} | {SR}", "--dry-run"))
    assert "in/1.png -> in/1.restored.png" in plan.stdout and "Peak memory" in plan.stderr


def test_requests_travel_to_other_processes() -> None:
    request = Request(parse_chain("deblock | sr --scale 3"), ())
    assert pickle.loads(pickle.dumps(request)) == request


def test_the_line_of_a_photo_names_each_step(here: Path) -> None:
    said = ok(run("a.png", f"{DERAIN} --strength 0 | {SR} --strength 50%")).stderr
    assert "  derain: strength 0, left unchanged  sr: scale 2, strength 0.5  " in said
    said = ok(run("a.png", f"{DERAIN} | {DERAIN}", "--overwrite")).stderr
    assert "a.restored.png  derain  derain  " in said


def test_reports_have_columns_for_each_step(here: Path) -> None:
    ok(run("a.png", f"{DERAIN} | {SR}", "--report", "r.csv"))
    head, row = Path("r.csv").read_text().splitlines()
    cells = dict(zip(head.split(","), row.split(","), strict=True))
    assert (cells["steps.1.task"], cells["steps.2.options.scale"]) == ("derain", "2")


def test_a_mask_limits_all_steps_or_says_what_is_missing(here: Path) -> None:
    mask = np.zeros((20, 24), np.uint8)
    mask[:, 12:] = 255
    Image.fromarray(mask).save("mask.png")
    before = read_picture(Path("a.png")).pixels
    ok(run("a.png", f"{DERAIN} | {DERAIN}", "--mask", "mask.png", "--save-mask", "used.png"))
    changed = read_picture(Path("a.restored.png")).pixels - before
    assert not changed[:, :12].any()
    np.testing.assert_allclose(changed[:, 12:], 0.2, atol=1e-3)
    np.testing.assert_array_equal(read_picture(Path("used.png")).pixels[..., 0] * 255, mask)

    words = ["--mask", "mask.png", "--overwrite", "--save-mask", "used.png"]
    ok(run("a.png", f"{INPAINT} | {DERAIN}", *words))
    changed = read_picture(Path("a.restored.png")).pixels - before
    np.testing.assert_allclose(changed[:, :12], 0.1, atol=1e-3)  # by derain, in the entire photo
    assert np.abs(changed[:, 12:] - 0.1).max() > 0.05  # by inpaint, too

    ok(run("a.png", f"{SR} | {DERAIN}", *words))
    assert read_picture(Path("used.png")).pixels.shape == (40, 48, 1)
    result = run("a.png", f"{DERAIN} | {INPAINT}", "--overwrite")
    assert result.exit_code == 2 and "Use --mask, --box or --detect" in result.stderr


def test_results_are_compared_at_their_size(here: Path) -> None:
    larger = restore(read_picture(Path("a.png")), Sr(), "sr.safetensors")
    write_picture(restore(larger, Derain(), "derain.safetensors"), "clean.png")
    words = ["--reference", "clean.png", "--compare", "page.html", "--json"]
    record = json.loads(ok(run("a.png", f"{SR} | {DERAIN}", *words)).stdout)
    assert record["psnr"] is None  # infinite
    assert record["input_psnr"] == pytest.approx(20, abs=0.1)  # all is brighter by a tenth
    assert "upscaled 2 times" in Path("page.html").read_text()


def test_the_quality_of_a_jpeg_holds_for_the_file_but_not_for_later_steps(here: Path) -> None:
    Image.fromarray(np.full((20, 24, 3), 100, np.uint8)).save("good.jpg", quality=97)
    picture = read_picture(Path("good.jpg"))
    walker = Walker(Models(), Settings())
    assert picture.jpeg_quality == 97
    for strength, left in ((0, 97), (1, None)):
        end = walker.walk([Step(Derain(), "derain.safetensors", strength)], [Progress(picture)])
        assert end.picture.jpeg_quality == left
    ok(run("good.jpg", f"{DERAIN} | {DERAIN}"))
    assert read_picture(Path("good.restored.jpg")).jpeg_quality == 97


# Presets


def test_presets_of_the_program_are_listed_and_documented(here: Path) -> None:
    listed = ok(run("--list-presets")).stdout.splitlines()
    page = (ROOT / "docs/chains.md").read_text(encoding="utf-8")
    names = set()
    for line, chain in zip(listed[::2], listed[1::2], strict=True):
        name, _, use = line.partition(": ")
        assert f"| `{name}` | {use} | `{chain.strip().replace('|', chr(92) + '|')}` |" in page
        parse_chain(chain)
        names.add(name)
    assert names == {"old-scan", "phone-night", "web-jpeg", "screenshot", "archive"}


def test_the_files_of_the_page_are_valid(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/chains.md").read_text(encoding="utf-8")
    presets, defaults = re.findall(r"^```toml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    monkeypatch.setenv("RESTORE_CONFIG", str(here))
    Path("presets.toml").write_text(presets)
    Path("config.toml").write_text(defaults)
    Path("restore.toml").write_text(defaults)
    assert "postcards: " in ok(run("--list-presets")).stdout
    shown = ok(CliRunner().invoke(app, ["config"])).stdout
    assert f"sigma = 15  # {here / 'restore.toml'}" in shown


def test_own_presets_replace_those_of_the_program(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTORE_CONFIG", str(here))
    own = Path("presets.toml")
    own.write_text(f'[archive]\nchain = "{DERAIN} | {SR}"\n[wide]\nchain = "denoise | rotate"\n')
    record = json.loads(ok(run("a.png", "--preset", "archive", "--json")).stdout)
    assert record["task"] == "derain | sr"
    assert "web-jpeg: " in ok(run("--list-presets")).stdout
    for name, said in (
        ("wide", "Preset wide: Cannot run step 2 of the chain: 'rotate' is not a task."),
        ("archives", "Unknown preset 'archives'. Did you mean archive?"),
    ):
        result = run("a.png", "--preset", name)
        assert result.exit_code == 2 and said in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[a]\nchains = 'sr'", "The preset a of {} has unknown keys: chains."),
        ("[a]\ndescription = 'x'", "The preset a of {} lacks chain."),
        ("[a]\nchain = 3", "The preset a of {}: chain cannot be 3."),
        ("a = 3", "The preset a of {} is not a table"),
        ("[a", "Cannot read the table {}"),
    ],
)
def test_presets_are_read_strictly(
    here: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setenv("RESTORE_CONFIG", str(here))
    Path("presets.toml").write_text(text)
    result = run("a.png", "--preset", "archive")
    assert result.exit_code == 2 and said.format(here / "presets.toml") in result.stderr
