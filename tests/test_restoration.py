"""How a task restores a picture: one way for all who ask, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import restore_cli
from restore_cli import engine
from restore_cli.archs.span import SPAN
from restore_cli.archs.unet import UNet
from restore_cli.cli import app
from restore_cli.degradations.missing import Missing
from restore_cli.engine import Result, Settings
from restore_cli.errors import RestoreError, UsageError
from restore_cli.image import Picture, Pixels, find_inside, read_picture, round_to_bytes
from restore_cli.levels import Choice, Range
from restore_cli.models import checkpoint
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.models.header import Header
from restore_cli.network import Geometry, Restorer
from restore_cli.noise import Noise
from restore_cli.pipeline.apply import apply, restore
from restore_cli.pipeline.networks import Models
from restore_cli.tasks import Task
from restore_cli.tasks.deblock import Deblock
from restore_cli.tasks.deblur import Deblur
from restore_cli.tasks.dehaze import Dehaze
from restore_cli.tasks.denoise import Denoise
from restore_cli.tasks.derain import UNCERTAIN, Derain
from restore_cli.tasks.inpaint import Inpaint
from restore_cli.tasks.missing import mark
from restore_cli.tasks.restoration import NetworkInput, NetworkRun, Observed
from restore_cli.tasks.sr import Sr
from restore_cli.training.recipe import Recipe
from restore_cli.training.samples import Sample
from restore_cli.training.validation import validate

CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels


def of_unet(task: Task, params: dict[str, Any], conditions: dict[str, Any]) -> Header:
    """The header of a small U-Net for colors."""
    return Header(
        task=task.name, arch="unet:UNet", params=params, channels=3, conditions=conditions
    )


@pytest.fixture
def filler(tmp_path: Path) -> Path:
    """A network that fills holes, with weights by chance."""
    torch.manual_seed(0)
    params = {"channels": 3, "widths": [8, 8], "conditions": 1}
    network = UNet(**params)  # type: ignore[arg-type]
    network.init_weights()
    nn.init.normal_(network.tail.weight, std=0.02)
    path = tmp_path / "filler.safetensors"
    checkpoint.save(
        network, path, Header(task="inpaint", arch="unet:UNet", params=params, channels=3)
    )
    return path


@pytest.mark.parametrize(
    "array", [CAT.astype(np.float64), CAT.astype(np.float16), CAT[:, ::-1], CAT[..., ::-1]]
)
def test_pictures_take_arrays_of_any_layout(array: Pixels) -> None:
    pixels = Picture(array).pixels
    assert pixels.dtype == np.float32 and pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, array.astype(np.float32))


def test_a_brightness_that_clipped_noise_added_does_not_come_back() -> None:
    observed = Observed.of(np.full((8, 8, 3), 9 / 255, np.float32))
    dark = Denoise(sigma=20).finish(np.full((8, 8, 3), 4 / 255, np.float32), observed)
    np.testing.assert_allclose(dark, 5 / 255, atol=1e-6)
    tinted = Denoise(sigma=20).finish(np.full((8, 8, 3), 8.5 / 255, np.float32), observed)
    np.testing.assert_allclose(tinted, 9 / 255, atol=1e-6)


@pytest.mark.parametrize(("task", "angle", "turns"), [(Derain(), None, 2), (Derain(), 45, 1)])
def test_an_ensemble_keeps_the_direction_of_the_damage(
    monkeypatch: pytest.MonkeyPatch, task: Task, angle: float | None, turns: int
) -> None:
    params = {"channels": 3, "widths": [8, 8], "conditions": 0}
    network = UNet(**params)  # type: ignore[arg-type]
    seen: list[int] = []
    network.register_forward_hook(lambda *_: seen.append(1))
    header = of_unet(task, params, {} if angle is None else {"angle": angle})
    model = Checkpoint("own", network.eval(), header)
    settings = Settings("cpu", "fp32", tile=0, ensemble=True)
    restore(Picture(CAT[:32, :32].copy()), task, model, settings)
    assert len(seen) == turns


@pytest.mark.parametrize("wrong", [128.0, np.nan, np.inf])
def test_pixels_that_are_not_in_range_are_refused_in_python(wrong: float) -> None:
    pixels = CAT[:48, :40].copy()
    pixels[3, 4] = wrong
    with pytest.raises(UsageError, match=r"expected finite numbers in \[0, 1\]"):
        restore(Picture(pixels), Denoise(sigma=20))


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Sr(size=(0, 0)), "not a valid size"),
        (lambda: Sr(size=(-5, 10)), "not a valid size"),
        (lambda: Sr(size=(140,)), "not a valid size"),  # type: ignore[arg-type]
        (lambda: Deblock(10, (1,)), "not a valid corner"),  # type: ignore[arg-type]
        (lambda: Deblock(10, (16, 0)), "not a valid corner"),
    ],
)
def test_invalid_options_are_refused_in_python(make: Callable[[], Task], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


def test_a_box_is_cropped_to_the_photo() -> None:
    pixels = np.full((8, 9, 3), 0.5, np.float32)
    missing = np.isnan(mark(pixels, None, [(-2, -1, 5, 3)]))[..., 0]
    assert missing[:2, :3].all() and missing.sum() == 6
    with pytest.raises(RestoreError, match="lies outside the photo"):
        mark(pixels, None, [(-5, 0, 5, 5)])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"strength": 50}, "not a valid strength"),
        ({"mask": np.ones((10, 10), np.float32)}, r"mask of shape \(10, 10\)"),
        ({"mask": np.ones((48, 40, 1), np.float32)}, r"the result has \(48, 40\)"),
        ({"mask": np.full((48, 40), 255, np.uint8)}, "not floats from 0 to 1"),
        ({"mask": np.full((48, 40), 255.0)}, "not floats from 0 to 1"),
        ({"task": Denoise(sigma=20)}, "it is for inpaint"),
    ],
)
def test_invalid_arguments_are_refused_in_python(
    filler: Path, changes: dict[str, Any], said: str
) -> None:
    picture = Picture(CAT[:48, :40].copy())
    given = {"task": Inpaint(), "mask": np.ones((48, 40), bool), **changes}
    with pytest.raises(UsageError, match=said):
        restore(picture, model=checkpoint.load(filler), **given)


def test_a_hole_is_filled_from_coarse_to_fine_whoever_asks(
    filler: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore_cli.pipeline.photo.measure_noise", lambda *_: Noise(0, white=True))
    heights: list[int] = []
    run = engine.run
    monkeypatch.setattr(
        engine, "run", lambda *words: (heights.append(len(words[1])), run(*words))[1]
    )
    photo = round_to_bytes(CAT[:256, :256])
    hole = {"damage": "hole", "share": 0.25}  # of 128 x 128 pixels
    observed = Missing.draw(hole, np.random.default_rng(0)).apply(photo, np.random.RandomState(0))
    loaded, settings = checkpoint.load(filler), Settings("cpu", "fp32")

    by_python = restore(Picture(observed), Inpaint(), loaded, settings).pixels
    assert heights == [32, 64, 128, 256]

    recipe = Recipe.parse(
        {
            "task": "inpaint",
            "arch": "unet:UNet",
            "params": dict(loaded.header.params),
            "folders": ["photos"],
            "validation": [hole],
        }
    )
    sample = Sample(np.rint(photo * 255).astype(np.uint8))
    validation = validate(loaded.network, recipe, [sample], torch.device("cpu"))
    [(before, by_training, clean)] = validation.pictures
    assert heights == [32, 64, 128, 256] * 2
    np.testing.assert_array_equal(by_training, by_python)
    np.testing.assert_array_equal(before, Inpaint().unrestored(observed))
    np.testing.assert_array_equal(clean, photo)

    missing = np.isnan(observed).any(axis=2)
    Image.fromarray((missing * 255).astype(np.uint8)).save(tmp_path / "mask.png")
    Image.fromarray(sample.clean).save(tmp_path / "photo.png")
    words = [tmp_path / "photo.png", "--mask", tmp_path / "mask.png", "-o", tmp_path / "out.png"]
    words += ["--model", filler, "--device", "cpu", "--precision", "fp32"]
    result = CliRunner().invoke(app, ["inpaint", *map(str, words)])
    assert result.exit_code == 0, result.stderr
    assert heights == [32, 64, 128, 256] * 3
    by_command = read_picture(tmp_path / "out.png").pixels
    # It reads what the mask covers; where a value is halfway, a rounding error decides.
    np.testing.assert_allclose(by_command, by_python.clip(0, 1), rtol=0, atol=0.5001 / 255)
    np.testing.assert_array_equal((by_command != photo).any(axis=2) & ~missing, False)


@pytest.mark.parametrize(
    "task", [Denoise(sigma=10), Deblock(quality=30, corner=(0, 0)), Derain(), Deblur()]
)
def test_a_photo_is_restored_in_its_own_memory_unless_it_is_needed(task: Task) -> None:
    torch.manual_seed(0)
    network = UNet(channels=3, widths=(8, 8), conditions=0)
    nn.init.normal_(network.tail.weight, std=0.02)
    own = Checkpoint(
        "own", network.eval(), Header(task=task.name, arch="unet:UNet", params={}, channels=3)
    )
    settings, whole = Settings("cpu", "fp32", 64), np.ones(CAT.shape[:2], np.float32)
    expected = restore(Picture(CAT), task, own, settings).pixels

    def made(picture: Picture, **more: Any) -> Pixels:
        return apply(picture, task, own, Models(), settings, overwrite=True, **more).pixels

    before = CAT.copy()
    photo = Picture(CAT.copy())
    assert np.shares_memory(made(photo), photo.pixels)
    np.testing.assert_array_equal(photo.pixels, expected)
    opaque = np.full(CAT.shape[:2], 255, np.uint8)
    for picture, more in (
        (Picture(CAT, alpha=opaque), {}),
        (Picture(CAT), {"strength": 0.5}),
        (Picture(CAT), {"mask": whole}),
    ):
        made(picture, **more)
        np.testing.assert_array_equal(CAT, before)


def test_a_network_that_still_fails_is_scored_itself() -> None:
    torch.manual_seed(0)
    params = {"scale": 2, "width": 4}
    network = SPAN(**params)
    nn.init.constant_(network.up.bias, 9)  # far out of its bounds
    recipe = Recipe.parse(
        {"task": "sr", "arch": "span:SPAN", "params": params, "folders": ["photos"], "patch": 64}
    )
    sample = Sample(np.rint(CAT[:64, :64] * 255).astype(np.uint8))
    [score] = validate(network, recipe, [sample], torch.device("cpu")).scores
    assert network.bounds and score < 20  # the default model has 50 dB


def test_a_network_is_scored_where_the_command_would_change_nothing() -> None:
    torch.manual_seed(0)
    params = {"channels": 3, "widths": [8, 8], "conditions": 3}
    recipe = Recipe.parse(
        {
            "task": "denoise",
            "arch": "unet:UNet",
            "params": params,
            "folders": ["photos"],
            "levels": PHOTO,
            "validation": [{"noise": "gaussian", "sigma": 0}],
        }
    )
    sample = Sample(np.rint(CAT[:64, :64] * 255).astype(np.uint8))
    network = UNet(**params)  # type: ignore[arg-type]
    found = validate(network, recipe, [sample], torch.device("cpu"))
    assert found.inputs == (60,) and found.scores[0] < 40


@dataclass
class Lab:
    """Networks that make gray of what is white, and what they were run for."""

    chosen: Checkpoint
    ran: list[Task] = field(default_factory=list)

    def find(self, name: str | None, task: str) -> Checkpoint:
        """The same, whatever its name is."""
        return replace(self.chosen, header=replace(self.chosen.header, conditions={}))

    def run(self, task: Task, model: Checkpoint, fed: NetworkInput, progress: float) -> NetworkRun:
        """Note it."""
        self.ran.append(task)
        pixels = np.where(fed.pixels > 0.9, np.float32(0.5), fed.pixels)
        return NetworkRun(model, fed, Result(pixels, "cpu", "fp32", 0))


GRAY = np.full((40, 60, 3), 0.25, np.float32)
PAINTED = GRAY.copy()
PAINTED[10:16, 20:46] = 1
LEFT = np.zeros(GRAY.shape[:2], np.float32)
LEFT[:, :5] = 1
NOISY = (GRAY + np.random.default_rng(0).normal(0, 0.1, GRAY.shape)).astype(np.float32)
PHOTO = {"noise": Choice(("camera", "random"))}


@pytest.mark.parametrize(
    ("task", "pixels", "mask", "strength", "conditions", "finders", "changed"),
    [
        (Denoise(sigma=25), GRAY, None, 1, {}, 0, True),  # by a network that changes nothing
        (Denoise(sigma=25), GRAY, LEFT, 0.5, {}, 0, True),
        (Denoise(sigma=25), GRAY, None, 0, {}, 0, False),
        (Denoise(sigma=25), GRAY, 0 * LEFT, 1, {}, 0, False),
        (Denoise(), NOISY, None, 1, PHOTO, 0, True),
        (Denoise(), GRAY, None, 1, PHOTO, 0, False),  # there is no noise
        (Deblock(quality=20), GRAY, None, 1, {"quality": Range(5, 90)}, 0, True),
        (Deblock(quality=95), GRAY, None, 1, {"quality": Range(5, 90)}, 0, False),
        (Inpaint(), GRAY, LEFT, 1, {}, 0, True),
        (Inpaint(), GRAY, LEFT, 0, {}, 0, False),
        (Inpaint(detect="text"), PAINTED, None, 1, {}, 2, True),
        (Inpaint(detect="text"), PAINTED, None, 1, {"blind": True}, 1, True),
        (Inpaint(detect="text"), PAINTED, None, 0, {}, 2, False),
        (Inpaint(detect="text"), GRAY, None, 1, {}, 2, False),  # nothing is found
        (Inpaint(detect="text"), GRAY, LEFT, 1, {}, 2, True),
        (Inpaint(blind="text"), PAINTED, None, 1, {"blind": True}, 0, True),
    ],
)
def test_a_picture_is_changed_if_a_network_was_run_for_that(
    task: Task,
    pixels: np.ndarray,
    mask: np.ndarray | None,
    strength: float,
    conditions: dict[str, object],
    finders: int,
    changed: bool,
) -> None:
    params = {"channels": 3, "widths": [8], "conditions": 1}
    header = of_unet(task, params, conditions)
    lab = Lab(Checkpoint("lab", UNet(**params), header))  # type: ignore[arg-type]
    made = task.restore(Picture(pixels), mask, lab, strength)
    assert made.changed == changed == (len(lab.ran) > finders)
    assert len(made.runs) == finders + changed
    assert changed or made.pixels is made.unrestored
    assert made.pixels.shape == pixels.shape and np.isfinite(made.pixels).all()


@pytest.mark.weights
@pytest.mark.parametrize("task", [Denoise(), Dehaze(), Deblur()])
def test_a_frame_is_kept_and_changes_nothing_else(task: Task) -> None:
    rng = np.random.default_rng(0)
    inner = (0.4 + 0.5 * CAT + rng.normal(0, 0.04, CAT.shape)).clip(0.1, 1).astype(np.float32)
    framed = np.pad(inner, [(9, 20), (0, 30), (0, 0)])
    restored = restore_cli.restore(Picture(framed), task).pixels
    alone = restore_cli.restore(Picture(inner), task).pixels
    np.testing.assert_array_equal(restored[9:-20, :-30], alone)
    restored[9:-20, :-30] = 0
    assert not restored.any()


def test_only_borders_of_one_color_that_differ_from_the_photo_are_a_frame() -> None:
    bars = np.pad(CAT, [(30, 30), (0, 0), (0, 0)], constant_values=0.2)
    rows, columns = find_inside(bars) or (slice(0), slice(0))
    assert bars[rows, columns].shape == CAT.shape and rows.start == 30
    assert find_inside(CAT) is None
    sky = CAT.copy()
    sky[:50] = 1
    sky[50:90, 20:] = 1  # most of the next rows
    assert find_inside(sky) is None
    assert find_inside(np.ones((90, 90, 3), np.float32)) is None


@pytest.mark.parametrize(("strength", "warned"), [(1.0, True), (0.5, True), (0.1, False)])
def test_a_photo_that_rain_removal_darkens_is_named(strength: float, warned: bool) -> None:
    class Darker(Restorer):
        def __init__(self) -> None:
            super().__init__()
            self.levels = nn.Parameter(torch.tensor(30 / 255))
            self.geometry = Geometry(channels=3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x - self.levels

    model = Checkpoint("darker", Darker(), of_unet(Derain(), {}, {}))
    made = apply(Picture(CAT), Derain(), model, Models(), Settings("cpu"), strength)
    assert (UNCERTAIN in made.report.warnings) == warned
