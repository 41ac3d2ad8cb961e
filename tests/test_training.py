"""Training: exact resume, what is learned, recipes read strictly, the optimizer's view of the
kernels.
"""

from __future__ import annotations

import copy
import csv
import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from restore_cli.archs import build
from restore_cli.cli.model_facts import trained_for
from restore_cli.errors import EngineError, RestoreError, UsageError, WeightsError
from restore_cli.levels import Choice, Levels, Range
from restore_cli.models.catalog import entries
from restore_cli.models.checkpoint import load
from restore_cli.network import Geometry, Restorer
from restore_cli.tasks import TASKS
from restore_cli.tasks.inpaint import Inpaint
from restore_cli.tasks.missing import coarsen
from restore_cli.training import loop
from restore_cli.training.data import images_in, load_data
from restore_cli.training.distributed import Group
from restore_cli.training.estimate import plan
from restore_cli.training.gaps import fill_deep_gaps
from restore_cli.training.loader import batches
from restore_cli.training.log import Log
from restore_cli.training.loop import train
from restore_cli.training.network_input import stack_input
from restore_cli.training.objectives import Adversary
from restore_cli.training.optimizer import Muon, Optimizer, learning_rate
from restore_cli.training.patches import Patches
from restore_cli.training.progress import Beat, Progress
from restore_cli.training.recipe import Recipe
from restore_cli.training.request import Request
from restore_cli.training.samples import Sample
from restore_cli.training.start import make_network
from restore_cli.training.state import Moment, State, uninterrupted
from restore_cli.training.store import keep
from restore_cli.training.validation import validate

TINY = {
    "task": "denoise",
    "arch": "unet:UNet",
    "params": {"channels": 3, "conditions": 1, "widths": [8, 8]},
    "folders": ["photos"],
    "levels": {"sigma": [0, 75]},
    "validation": [{"sigma": 25}],
    "steps": 6,
    "batch": 2,
    "patch": 32,
    "validate_every": 4,
    "holdout": 3,
}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Make smooth color images of several sizes and modes, and a file that is not an image."""
    folder = tmp_path / "data" / "photos" / "deeper"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index, size in enumerate([(40, 60), (64, 48), (20, 90), (33, 33)]):
        coarse = Image.fromarray(rng.integers(0, 256, (5, 5, 3), np.uint8))
        picture = coarse.resize(size, Image.Resampling.BICUBIC)
        (picture.convert("L") if index == 1 else picture).save(folder / f"{index}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def one_thread() -> object:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(data: Path, out: Path, resume: bool = False, **changes: object) -> list[Progress]:
    return list(train(Request(Recipe.parse(TINY | changes), data, out, "cpu", resume)))


def test_the_checkpoint_runs_and_says_how_it_was_made(data: Path, tmp_path: Path) -> None:
    moments = run(data, tmp_path / "out.safetensors")
    assert [moment.step for moment in moments] == [4, 6]
    assert "broken.png" in moments[0].notes[0]
    loaded = load(tmp_path / "out.safetensors")
    assert loaded.header.conditions == {"sigma": Range(0, 75)}
    assert Recipe.parse(loaded.header.recipe) == Recipe.parse(TINY)
    assert loaded.network(torch.rand(1, 4, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("arch", ["unet:UNet", "xunit:XDnCNN"])
def test_a_killed_training_goes_on_exactly(
    data: Path, tmp_path: Path, optimizer: str, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, object] = {"optimizer": optimizer}
    if arch == "xunit:XDnCNN":
        changes |= {
            "arch": arch,
            "params": {"channels": 3, "depth": 3, "width": 8},
            "levels": {"sigma": 25},
        }
    whole = run(data, tmp_path / "whole.safetensors", **changes)

    monkeypatch.setattr("restore_cli.training.loop._STATE_SECONDS", 0)
    request = Request(Recipe.parse(TINY | changes), data, tmp_path / "killed.safetensors", "cpu")
    steps = train(request)
    while next(steps).step < 3:
        pass
    left = {path: path.read_bytes() for path in tmp_path.glob("killed*")}
    steps.close()  # saves more, which a kill would not
    for path in tmp_path.glob("killed*"):
        path.unlink()
    for path, data_of_kill in left.items():
        path.write_bytes(data_of_kill)
    resumed = run(data, tmp_path / "killed.safetensors", resume=True, **changes)

    assert [moment.step for moment in resumed] == [4, 5, 6]
    assert resumed[-1].scores == whole[-1].scores
    for kind in ("state.safetensors", "safetensors"):
        one, other = (load_file(tmp_path / f"{name}.{kind}") for name in ("whole", "killed"))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_training_learns(data: Path, tmp_path: Path) -> None:
    first, *_, last = run(
        data, tmp_path / "out.safetensors", steps=120, batch=4, validate_every=10, warmup=10
    )
    assert last.scores[0] > first.scores[0] + 1


@pytest.mark.parametrize("blocked", ["out.state.safetensors", "out.csv", "out.last.safetensors"])
def test_unwritable_outputs_are_named(data: Path, tmp_path: Path, blocked: str) -> None:
    (tmp_path / blocked / "a folder").mkdir(parents=True)
    with pytest.raises(RestoreError, match=rf"Cannot write \S*/{blocked}: Is a directory"):
        run(data, tmp_path / "out.safetensors")
    written = [path.name for path in tmp_path.iterdir() if path.name.startswith("out")]
    assert written == [blocked]  # not a single step was made


def test_an_unwritable_folder_is_refused_before_the_first_step(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    long = tmp_path / f"{'x' * 230}.safetensors"  # which leaves no room for the other names
    for out in (Path("/proc/out.safetensors"), tmp_path / "file/out.safetensors", long):
        with pytest.raises(UsageError, match=r"Cannot write .* Choose another --out"):
            next(
                train(
                    Request(Recipe.parse(TINY), data, out, "cpu"),
                    lambda beat: pytest.fail("a step"),
                )
            )


def test_the_checkpoint_names_all_its_folders(data: Path, tmp_path: Path) -> None:
    (data / "photos").rename(data / "halved")
    run(data, tmp_path / "out.safetensors", folders=[], halved=["halved"], steps=1)
    assert load(tmp_path / "out.safetensors").header.data == "2 images of halved at half its size"


def test_a_worse_validation_does_not_replace_the_best(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    moments = run(data, out, steps=30, validate_every=1, lr=0.05)
    assert not all(moment.saved for moment in moments)
    best = max(moment.scores[0] for moment in moments)
    assert load(out).header.scores[0].psnr == round(best, 3)


def test_other_validation_images_have_a_best_score_of_their_own(data: Path, tmp_path: Path) -> None:
    moment = Moment()
    assert not moment.validate_on("a") and moment.record_score(30, 5)
    assert not moment.validate_on("a") and not moment.record_score(20, 5)
    assert moment.validate_on("b") and moment.record_score(20, 5)


RED = {"arch": "rednet:REDNet", "params": {"channels": 3, "depth": 4, "width": 4}}


@pytest.mark.parametrize(("changes", "now"), [({}, {}), (RED, {"rectified": False})])
def test_states_of_earlier_versions_are_resumed(
    data: Path, tmp_path: Path, changes: dict[str, Any], now: dict[str, Any]
) -> None:
    run(data, tmp_path / "out.safetensors", **changes)
    state = tmp_path / "out.state.safetensors"
    with safe_open(state, "pt") as file:
        kept = file.metadata()
    recipe = json.loads(kept["recipe"])
    del kept["format"], recipe["augment"], recipe["discriminator"]
    save_file(load_file(state), state, kept | {"recipe": json.dumps(recipe)})
    if now:
        with pytest.raises(WeightsError, match="another recipe, which differs in params"):
            run(data, tmp_path / "out.safetensors", resume=True, steps=8, **changes)
        changes = changes | {"params": changes["params"] | now}
    moments = run(data, tmp_path / "out.safetensors", resume=True, steps=8, **changes)
    assert [moment.step for moment in moments] == [8]


def test_a_diverging_training_is_stopped(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="became NaN or infinite at step"):
        run(data, tmp_path / "out.safetensors", lr=1e30, clip=float("inf"), warmup=0)


class Painter(Restorer):
    """Fills gaps with 0.7, and notes the sizes that it gets."""

    geometry = Geometry(3, conditions=1, multiple=8)

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Fill the gaps."""
        self.sizes.append(tuple(x.shape))
        return torch.where(x[:, 3:] > 0, torch.tensor(0.7), x[:, :3])


def test_deep_gaps_are_filled_from_coarse_to_fine_as_in_photos() -> None:
    rng = np.random.default_rng(0)
    images = rng.random((2, 64, 64, 3), np.float32)
    images[0, 8:56, 8:40] = np.nan  # 16 pixels deep
    images[1, 8:24, 8:40] = np.nan  # 8 pixels
    feed = partial(stack_input, Inpaint(), levels={}, geometry=Painter.geometry)
    observed = torch.from_numpy(np.stack([feed(image) for image in images])).permute(0, 3, 1, 2)
    painter, before = Painter(), observed.clone()
    filled = fill_deep_gaps(painter, observed)
    assert painter.sizes == [(1, 4, 32, 32)]
    assert torch.equal(observed, before) and torch.equal(filled[1], observed[1])
    missing = torch.from_numpy(np.isnan(images[0, ..., 0]))
    assert torch.equal(filled[0][:, ~missing], observed[0][:, ~missing])
    torch.testing.assert_close(filled[0, :3, 12:52, 12:36], torch.full((3, 40, 24), 0.7))
    smaller = coarsen(images[0])
    assert smaller is not None and coarsen(smaller) is None  # in photos it is filled once, too
    for side in (56, 63):  # their halves are no multiples of 8
        fill_deep_gaps(painter, observed[..., :side, :side])
    assert len(painter.sizes) == 1


def test_a_training_fills_deep_gaps(data: Path, tmp_path: Path) -> None:
    params = {"channels": 3, "conditions": 1, "widths": [8, 8], "masked": True}
    changes: dict[str, Any] = {"task": "inpaint", "arch": "unet:UNet", "params": params}
    changes |= {"levels": {"damage": "hole", "share": 0.5}, "patch": 48, "coarse": 1.0}
    changes |= {"validation": [{"damage": "hole"}]}
    *_, filled = run(data, tmp_path / "a.safetensors", **changes)
    *_, smooth = run(data, tmp_path / "b.safetensors", **changes | {"coarse": 0.0})
    assert filled.objective != smooth.objective
    with pytest.raises(UsageError, match="Cannot train with the key coarse"):
        run(data, tmp_path / "c.safetensors", coarse=0.5)


def test_a_training_that_diverges_between_two_rows_of_the_log(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise EngineError("Cannot restore this photo: the model's output is not finite.")

    monkeypatch.setattr("restore_cli.training.loop.validate", fail)
    with pytest.raises(
        RestoreError, match=r"Cannot validate at step \d+: .*lower the learning rate"
    ):
        run(data, tmp_path / "out.safetensors")


def test_a_state_of_another_recipe_is_refused(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "out.safetensors")
    with pytest.raises(WeightsError, match="another recipe, which differs in lr, seed"):
        run(data, tmp_path / "out.safetensors", resume=True, seed=1, lr=1e-3)
    (tmp_path / "out.state.safetensors").write_bytes(b"torn")
    with pytest.raises(WeightsError, match="Cannot resume from"):
        run(data, tmp_path / "out.safetensors", resume=True)


def damage(state: Path, drop: str = "", **header: str) -> None:
    """Rewrite a state with another header, and without a tensor."""
    with safe_open(state, "pt") as file:
        kept = {**file.metadata(), **header}
    tensors = {key: value for key, value in load_file(state).items() if key != drop}
    save_file(tensors, state, {key: value for key, value in kept.items() if value})


MOMENT = {"step": 6, "seconds": 1.0, "best": 20.0, "stale": 0, "drops": 0}


@pytest.mark.parametrize(
    ("drop", "header"),
    [
        ("", {"moment": "{"}),
        ("", {"moment": ""}),
        ("", {"moment": "[1]"}),
        ("", {"moment": json.dumps(MOMENT | {"step": "six"})}),
        ("", {"moment": json.dumps(MOMENT | {"step": -1})}),
        ("", {"moment": json.dumps(MOMENT | {"seconds": float("nan")})}),
        ("", {"moment": json.dumps(MOMENT | {"more": 1})}),
        ("", {"recipe": "[["}),
        ("", {"recipe": "3"}),
        ("network.head.weight", {}),
        ("average.tail.bias", {}),
        ("optimizer.0.0.momentum_buffer", {}),
        ("optimizer.1.1.exp_avg_sq", {}),
    ],
)
def test_a_damaged_state_is_refused(
    data: Path, tmp_path: Path, drop: str, header: dict[str, str]
) -> None:
    state = tmp_path / "out.state.safetensors"
    run(data, tmp_path / "out.safetensors", steps=2)
    assert not drop or drop in load_file(state)
    damage(state, drop, **header)
    with pytest.raises(
        WeightsError, match=r"Cannot resume from \S*: it is damaged \(.*\)\. Delete it"
    ):
        run(data, tmp_path / "out.safetensors", resume=True, steps=8)


@pytest.mark.parametrize("log", [b"a,b\n1,2\n", b"step\nmany\n", b"step\n\xff\n", b"step,a\n,1\n"])
def test_a_damaged_log_is_refused(data: Path, tmp_path: Path, log: bytes) -> None:
    run(data, tmp_path / "out.safetensors", steps=2)
    (tmp_path / "out.csv").write_bytes(log)
    with pytest.raises(RestoreError, match=r"Cannot continue the log \S*out.csv: it is damaged"):
        run(data, tmp_path / "out.safetensors", resume=True, steps=8)


def test_a_state_has_the_permissions_of_a_checkpoint(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "out.safetensors", steps=1)
    modes = {path.name: path.stat().st_mode for path in tmp_path.glob("out.*")}
    assert len(modes) == 4 and len(set(modes.values())) == 1


def test_a_finished_training_stops_but_can_be_extended(data: Path, tmp_path: Path) -> None:
    whole, out = tmp_path / "whole.safetensors", tmp_path / "out.safetensors"
    common: dict[str, object] = {"schedule": "step", "validate_every": 2}
    run(data, whole, **common, steps=6)
    run(data, out, **common, steps=4)
    before = {path: path.read_bytes() for path in tmp_path.glob("out*")}
    [told] = run(data, out, resume=True, **common, steps=4)
    assert told.step == 4 and "more --steps or --minutes to extend it" in told.notes[-1]
    assert all(
        path.read_bytes() == data for path, data in before.items() if "state" not in path.name
    )
    assert [moment.step for moment in run(data, out, resume=True, **common, steps=6)] == [6]
    one, other = (load_file(path.with_suffix(".state.safetensors")) for path in (whole, out))
    assert all(torch.equal(one[key], other[key]) for key in one)
    [told] = run(data, out, resume=True, **common, steps=6, minutes=1e-6)
    assert told.step == 6


def test_resuming_without_a_state_is_reported(data: Path, tmp_path: Path) -> None:
    first, *_ = run(data, tmp_path / "out.safetensors", resume=True)
    assert re.search(
        r"out.state.safetensors does not exist; the training starts at the first", first.notes[1]
    )


@pytest.mark.parametrize("at", [0, 3, 4])  # between steps, in a step, in a validation
def test_an_interrupted_training_goes_on_exactly(
    data: Path, tmp_path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, out = tmp_path / "whole.safetensors", tmp_path / "out.safetensors"
    run(data, whole, steps=8)
    with monkeypatch.context() as patch:
        if at == 3:
            learned = loop.learn

            def learn(state: State, *others: Any) -> torch.Tensor:
                if state.moment.step == 3:
                    signal.raise_signal(signal.SIGINT)  # waits until the step is whole
                return learned(state, *others)

            patch.setattr(loop, "learn", learn)

        def watch(beat: Beat) -> None:
            place = (beat.step, beat.doing == "training")
            if place == {0: (3, True), 4: (4, False)}.get(at):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            list(train(Request(Recipe.parse(TINY | {"steps": 8}), data, out, "cpu"), watch))
    with safe_open(tmp_path / "out.state.safetensors", "pt") as file:
        moment = json.loads(file.metadata()["moment"])
    assert (moment["step"], moment["due"]) == ((3, False) if at == 0 else (4, True))
    assert [moment.step for moment in run(data, out, resume=True, steps=8)] == [4, 8]
    for kind in ("state.safetensors", "last.safetensors", "safetensors"):
        one, other = (load_file(path.with_suffix(f".{kind}")) for path in (whole, out))
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_second_signal_does_not_wait() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        done.append(1)
        signal.raise_signal(signal.SIGINT)
        done.append(2)
    assert done == [1] and signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("native", [True, False])
def test_progress_is_reported_at_each_step_and_image(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": native})
    beats: list[Beat] = []
    list(
        train(Request(Recipe.parse(TINY), data, tmp_path / "out.safetensors", "cpu"), beats.append)
    )
    assert [beat.step for beat in beats if beat.doing == "training"] == [1, 2, 3, 4, 5, 6]
    assert [beat.done for beat in beats] == sorted(beat.done for beat in beats) and beats[
        -1
    ].done == 1
    assert [beat.doing for beat in beats if beat.step == 4][1:] == [
        "validating 1 of 2",
        "validating 2 of 2",
    ] * (3 if native else 1)  # only the last validation emulates bf16


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [
        (40, 0, range(4, 41, 4)),
        (40, 16, [16, 32, 40]),
        (5, 0, range(1, 6)),
        (4000, 0, range(400, 4001, 400)),
    ],
)
def test_short_trainings_validate_at_each_tenth(
    steps: int, every: int, expected: Sequence[int]
) -> None:
    recipe = Recipe.parse(TINY | {"steps": steps, "validate_every": every})
    shares = [recipe.done(step, 0) for step in range(steps + 1)]
    pairs = enumerate(pairwise(shares), 1)
    found = [step for step, (a, b) in pairs if b >= 1 or recipe.validates(step, a, b, spare=-1)]
    assert found == list(expected)


def test_timed_trainings_limit_the_time_of_validations() -> None:
    recipe = Recipe.parse(TINY | {"minutes": 1, "validate_every": 0})
    assert recipe.validates(7, 0.09, 0.11, spare=0.1) and not recipe.validates(
        7, 0.09, 0.11, spare=-0.1
    )
    assert not recipe.validates(7, 0.11, 0.12, spare=0.1) and recipe.validates(
        4000, 0.11, 0.12, spare=0.1
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": 3}, "unknown key 'speed'"),
        (
            {"steps": "many", "batch": 1.5},
            "steps must be int, not 'many'; batch must be int, not 1.5",
        ),
        ({"folders": ["nowhere"]}, "nowhere is not a folder"),
        ({"objective": "l7"}, "objective must be one of l1, .* not 'l7'"),
        ({"optimizer": "sgd"}, "optimizer must be one of muon, .* not 'sgd'"),
        ({"minutes": -1.0}, "minutes must be at least 0, not -1.0"),
        ({"minutes": float("nan")}, "minutes must be a finite number, not nan"),
        ({"lr": float("nan")}, "lr must be a finite number, not nan"),
        ({"steps": 10**5000}, "steps must be at most 9.0072e.15"),
        ({"holdout": 0}, "holdout must be at least 2, not 0"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"betas": [0.9]}, "betas must be two numbers, not 1"),
        ({"betas": ["a", 0.9]}, "betas must be float, not 'a'"),
        ({"validation": [1]}, "validation must be a table, not 1"),
        ({"folders": ["/photos"]}, "folders must be below --data, unlike '/photos'"),
        ({"pairs": ["clean"]}, "pairs must be CLEAN:DAMAGED, not 'clean'"),
        ({"batch": 10**8}, "Cannot hold a batch of 100000000 patches of 32 pixels"),
        ({"params": {"channels": 2}}, "Cannot train a network of 2 channels; images have 1 or 3"),
        ({"params": {"widths": []}}, "Cannot build the network"),
        ({"params": {"unshuffle": -2, "conditions": 1}}, "Cannot run unet:UNet with"),
        ({"transition": 10**20}, "transition must be at most"),
        ({"levels": {"sigma": [0, 1e999]}}, "does not accept the levels"),
        ({"exclude": "photos/deeper/0.png"}, "Cannot read .*0.png: it is not a text file"),
        (
            {"speed": 3, "levels": {"sigma": "loud"}, "params": {"widht": 3}},
            "unknown key 'speed'; denoise does not accept the levels",
        ),
    ],
)
def test_a_wrong_recipe_is_refused(
    data: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(data, tmp_path / "out.safetensors", **changes)


def test_only_the_task_must_be_named() -> None:
    with pytest.raises(UsageError, match="missing key 'task'"):
        Recipe.parse({})


def test_levels_of_a_recipe_survive_a_round_trip() -> None:
    recipe = Recipe.parse(TINY | {"validation": [{"sigma": 25}, {"noise": ["gaussian", "camera"]}]})
    assert recipe.levels == {"sigma": Range(0, 75)}
    assert recipe.validation == ({"sigma": 25}, {"noise": Choice(("gaussian", "camera"))})
    plain = recipe.to_plain()
    assert plain["levels"] == {"sigma": [0, 75]}
    assert plain["validation"] == ({"sigma": 25}, {"noise": ["gaussian", "camera"]})
    assert Recipe.parse(plain) == Recipe.parse(json.loads(json.dumps(plain))) == recipe


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("arch", ["", "unet:UNet", "xunit:XDnCNN"])
def test_networks_get_the_conditions_of_their_task(data: Path, name: str, arch: str) -> None:
    own: dict[str, object] = {"arch": arch} if arch else {}
    recipe = Recipe.parse({"task": name, "folders": ["photos"], "batch": 1, "patch": 32} | own)
    with torch.device("meta"):
        network = build(recipe.arch, recipe.params)
    observed, _ = Patches(
        load_data(data, recipe, network.geometry.channels).training, recipe, network.geometry
    )[0]
    assert observed.shape[1] == network.geometry.channels + network.geometry.conditions
    assert Recipe.parse(recipe.to_plain()) == recipe


def test_the_default_network_is_that_of_the_default_model() -> None:
    assert Recipe.parse({"task": "sr", "levels": {"scale": 3}}).params["scale"] == 3
    one = Recipe.parse({"task": "denoise", "params": {"channels": 1}})
    assert (one.params["channels"], one.params["widths"]) == (1, [32, 64, 96, 128, 160])


def test_batches_follow_from_seed_and_step(data: Path) -> None:
    recipe = Recipe.parse(TINY | {"batch": 3})
    corpus = load_data(data, recipe, 3)
    assert len(corpus.training) == 2
    assert len(corpus.holdout) == 2
    patches = Patches(corpus.training, recipe, initialized().geometry)
    first, second = patches[7], patches[7]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], patches[8][0])
    observed, clean = first
    assert (observed.shape, clean.shape) == ((3, 4, 32, 32), (3, 3, 32, 32))
    noise = (observed[:, :3] - clean).std((1, 2, 3))
    torch.testing.assert_close(noise, observed[:, 3, 0, 0], rtol=0.1, atol=1e-4)


def initialized() -> nn.Module:
    torch.manual_seed(0)
    network = build("unet:UNet", TINY["params"])  # type: ignore[arg-type]
    network.init_weights()
    return network


@pytest.mark.parametrize("objective", ["lsgan", "transition"])
def test_random_and_adversarial_objectives_resume_exactly(
    data: Path, tmp_path: Path, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, object] = {
        "objective": "lsgan",
        "pretrain_discriminator": 1,
        "patch": [32, 64],
    }
    if objective == "transition":
        params = {"channels": 3, "width": 8}
        changes = {
            "arch": "binarized:BTNet",
            "params": params,
            "transition": 1e-3,
            "optimizer": "adam",
        }
    run(data, tmp_path / "whole.safetensors", **changes)
    monkeypatch.setattr("restore_cli.training.loop._STATE_SECONDS", 0)
    steps = train(
        Request(Recipe.parse(TINY | changes), data, tmp_path / "killed.safetensors", "cpu")
    )
    while next(steps).step < 3:
        pass
    steps.close()
    run(data, tmp_path / "killed.safetensors", resume=True, **changes)
    one, other = (load_file(tmp_path / f"{name}.state.safetensors") for name in ("whole", "killed"))
    assert any(key.startswith("adversary.") for key in one) == (objective == "lsgan")
    assert all(torch.equal(one[key], other[key]) for key in one)


def make_adversary(**changes: object) -> Adversary:
    recipe = Recipe.parse(TINY | {"objective": "lsgan", "betas": [0.5, 0.999]} | changes)
    torch.manual_seed(0)
    return Adversary(1, recipe, Group(0, 1, torch.device("cpu")))


def test_the_adversary_distinguishes_clean_from_restored() -> None:
    adversary = make_adversary()
    clean = torch.rand(4, 1, 32, 32)
    blurred = nn.functional.avg_pool2d(clean, 5, 1, 2)
    for _ in range(40):
        adversary.learn(clean, blurred, clean, 1e-3)
    assert (
        adversary.generator_loss(clean, blurred)
        > 0.5
        > 0.1
        > adversary.generator_loss(clean, clean)
    )


def test_adversaries_have_the_objectives_of_their_papers() -> None:
    """LSGAN: equations 16 and 17 of Kang et al. "gan": the value of Goodfellow et al., not
    saturating.
    """
    real, fake = torch.rand(2, 4, 1, 32, 32)
    for objective in ("lsgan", "gan"):
        adversary = make_adversary(objective=objective)
        scores = [adversary.network(torch.cat([real, image], 1)).detach() for image in (real, fake)]
        judged, learned = (
            adversary.generator_loss(real, fake),
            adversary.learn(real, fake, real, 1e-3),
        )
        if objective == "lsgan":
            torch.testing.assert_close(judged, (scores[1] - 1).square().mean())
            expected = (scores[0] - 1).square().mean() / 2 + scores[1].square().mean() / 2
        else:
            chances = [score.sigmoid() for score in scores]
            torch.testing.assert_close(judged, -chances[1].log().mean())
            expected = -(chances[0].log().mean() + (1 - chances[1]).log().mean()) / 2
        torch.testing.assert_close(learned, expected)


@pytest.mark.parametrize("depth", [3, 5])
def test_a_recipe_says_how_deep_the_discriminator_is(depth: int) -> None:
    layers = [
        layer
        for layer in make_adversary(discriminator=depth).network.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    assert len(layers) == depth


def test_patches_too_small_for_the_discriminator_are_refused() -> None:
    make_adversary(discriminator=6, patch=[64, 128])
    with pytest.raises(
        UsageError,
        match=r"Cannot use a discriminator .* on patches of 32 pixels: it needs 64 or more",
    ):
        make_adversary(discriminator=6, patch=[64, 32])


def test_the_discriminator_learns_alone_after_the_autoencoder(data: Path, tmp_path: Path) -> None:
    """Steps: autoencoder twice, discriminator alone, both."""
    changes: dict[str, object] = {
        "arch": "infoaccum:InfoAccumUNet",
        "params": {"levels": 2, "width": 4, "layers": 2, "growth": 2},
        "objective": "gan",
        "pretrain": 2,
        "pretrain_discriminator": 1,
        "lr_final": Recipe(task="denoise").lr,  # constant
        "optimizer": "adam",
        "patch": [32, 64],
        "augment": "none",
        "precision": "fp32",
        "ema": 0.0,
    }
    states = []
    for steps in (1, 2, 3, 4):
        run(data, tmp_path / f"{steps}.safetensors", **changes, steps=steps)
        states.append(load_file(tmp_path / f"{steps}.state.safetensors"))

    def changed(one: int, other: int, owner: str) -> bool:
        keys = [
            key for key in states[one] if key.startswith(f"{owner}.") and key.endswith("weight")
        ]
        return any(not torch.equal(states[one][key], states[other][key]) for key in keys)

    assert [changed(0, 1, owner) for owner in ("network", "adversary")] == [True, False]
    assert [changed(1, 2, owner) for owner in ("network", "adversary")] == [False, True]
    assert [changed(2, 3, owner) for owner in ("network", "adversary")] == [True, True]


def test_each_step_draws_one_side_for_its_patches(data: Path) -> None:
    recipe = Recipe.parse(TINY | {"patch": [16, 32]})
    patches = Patches(load_data(data, recipe, 3).training, recipe, initialized().geometry)
    shapes = [patches[step][1].shape for step in range(12)]
    assert {tuple(shape) for shape in shapes} == {(2, 3, 16, 16), (2, 3, 32, 32)}
    assert shapes == [patches[step][1].shape for step in range(12)]


@pytest.mark.parametrize(
    ("patch", "words"),
    [([], "must not be empty"), ([32, 0], "at least 1"), ([32, "x"], "patch must be int")],
)
def test_invalid_patch_sizes_are_refused(patch: list[object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Recipe.parse(TINY | {"patch": patch})


def test_every_side_must_fit_the_network() -> None:
    with pytest.raises(UsageError, match="Cannot train on patches of 30 pixels"):
        make_network(Recipe.parse(TINY | {"patch": [32, 30]}))


@pytest.mark.parametrize(("augment", "ways"), [("turn", 8), ("mirror", 2), ("none", 1)])
def test_patches_are_turned_as_the_recipe_says(augment: str, ways: int) -> None:
    image = np.arange(16 * 16 * 3, dtype=np.uint32).astype(np.uint8).reshape(16, 16, 3)
    recipe = Recipe.parse(TINY | {"patch": 16, "augment": augment, "batch": 1})
    patches = Patches([Sample(image)], recipe, initialized().geometry)
    seen = {patches[step][1].numpy().tobytes() for step in range(80)}
    upright = (np.moveaxis(image, 2, 0)[None] / np.float32(255)).astype(np.float32)
    mirrored = np.ascontiguousarray(upright[..., ::-1])
    assert len(seen) == ways
    assert (upright.tobytes() in seen, mirrored.tobytes() in seen) == (True, ways > 1)


def test_patches_prefer_detail() -> None:
    image = np.full((64, 640, 3), 128, np.uint8)
    image[:, 480:] = np.random.default_rng(0).integers(0, 256, (64, 160, 3))  # a quarter
    shares = {}
    for places in (1, 4):
        recipe = Recipe.parse(TINY | {"batch": 1, "patch": 32, "detail": places})
        patches = Patches([Sample(image)], recipe, initialized().geometry)
        shares[places] = np.mean([float(patches[step][1].std()) > 0 for step in range(64)])
    assert shares[1] < 0.45 and shares[4] > 0.55, shares


def test_the_transition_term_changes_what_is_learned(data: Path, tmp_path: Path) -> None:
    common = {"arch": "binarized:BTNet", "params": {"channels": 3, "width": 8}, "optimizer": "adam"}
    for weight in (0.0, 0.1):
        run(data, tmp_path / f"{weight}.safetensors", **common, transition=weight)
    one, other = (load_file(tmp_path / f"{weight}.state.safetensors") for weight in (0.0, 0.1))
    assert any(
        not torch.equal(one[key], other[key]) for key in one if key.startswith("network.pairs")
    )


def test_a_batch_in_parts_is_the_same_batch(data: Path, tmp_path: Path) -> None:
    common: dict[str, object] = {"precision": "fp32", "optimizer": "adam", "batch": 4, "lr": 1e-3}
    for parts in (1, 2, 3):
        run(data, tmp_path / f"{parts}.safetensors", **common, accumulate=parts)
    states = [load_file(tmp_path / f"{parts}.state.safetensors") for parts in (1, 2, 3)]
    for state in states[1:]:
        for key, value in state.items():
            torch.testing.assert_close(value, states[0][key], rtol=1e-3, atol=1e-6)


def test_several_processes_train_like_one_with_a_larger_batch(data: Path, tmp_path: Path) -> None:
    recipe = {"precision": "fp32", "optimizer": "adam", "lr": 1e-3, "warmup": 0, "objective": "l2"}
    run(data, tmp_path / "one.safetensors", **recipe, batch=4)
    (tmp_path / "recipe.toml").write_text(to_toml(TINY | recipe | {"batch": 2}))
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    train_words = ["-m", "restore_cli", "train", "recipe.toml", "--out", "two.safetensors"]
    answer = subprocess.run(
        [sys.executable, *torchrun, *train_words, "--data", str(data), "--device", "cpu"],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout == "two.safetensors\n"
    one, other = (load_file(tmp_path / f"{name}.state.safetensors") for name in ("one", "two"))
    assert one.keys() == other.keys()
    for key in one:
        torch.testing.assert_close(one[key], other[key], rtol=1e-3, atol=1e-6)


def to_toml(values: Mapping[str, object]) -> str:
    """Write a recipe as TOML: except for tables, its values have the same syntax in JSON."""

    def word(value: object) -> str:
        if isinstance(value, dict):
            return "{ " + ", ".join(f"{key} = {word(item)}" for key, item in value.items()) + " }"
        if isinstance(value, list):
            return "[" + ", ".join(map(word, value)) + "]"
        return json.dumps(value)

    return "\n".join(f"{key} = {word(value)}" for key, value in values.items())


def test_a_timed_training_ends_with_the_final_rate(data: Path, tmp_path: Path) -> None:
    moments = run(data, tmp_path / "out.safetensors", minutes=0.05, warmup=0, validate_every=10**6)
    assert 3 <= moments[-1].seconds < 6 and moments[-1].done >= 1
    assert moments[-1].scores and moments[-1].rate < 0.1 * 2e-3


def test_steps_and_plateaus_lower_the_rate() -> None:
    recipe = Recipe.parse(
        TINY
        | {"schedule": "plateau", "drop_at": [100], "drop": 0.2, "patience": 2, "lr_final": 1e-6}
    )
    rates = [
        learning_rate(recipe, step, 0.5, drops) for step, drops in ((99, 0), (100, 0), (100, 1))
    ]
    assert rates == pytest.approx([2e-3, 4e-4, 8e-5])
    assert (
        not recipe.is_over(101, 8e-5) and recipe.is_over(101, 9e-7) and not recipe.is_over(5, 9e-7)
    )
    moment = Moment()
    assert [moment.record_score(score, 2) for score in (1, 2, 1, 2, 1, 3)] == [
        True,
        True,
        False,
        False,
        False,
        True,
    ]
    assert (moment.drops, moment.stale, moment.best) == (1, 0, 3)


def test_plateaus_count_from_the_drop_on() -> None:
    """As in IRAE's paper: the rate falls after 50 epochs, and afterward with each plateau."""
    recipe = Recipe.parse(TINY | {"schedule": "plateau", "drop_at": [100], "patience": 2})
    moment, drops = Moment(), []
    for step in range(20, 201, 20):
        moment.record_score(1.0, recipe.patience, recipe.counts_plateaus(step))
        drops.append(moment.drops)
    assert drops == [0] * 6 + [1, 1, 2, 2]  # at 120 and 140 steps, at 160 and 180


def test_a_plateau_ends_the_training(data: Path, tmp_path: Path) -> None:
    changes = {"schedule": "plateau", "patience": 1, "validate_every": 1, "steps": 200, "warmup": 0}
    moments = run(data, tmp_path / "out.safetensors", **changes, lr=1e-4, lr_final=1e-6, drop=0.01)
    assert moments[-1].step < 200 and moments[-1].rate < 1e-6


def test_an_autoencoder_comes_first(data: Path) -> None:
    recipe = Recipe.parse(TINY | {"pretrain": 3})
    patches = Patches(load_data(data, recipe, 3).training, recipe, initialized().geometry)
    for step, same in ((2, True), (3, False)):
        observed, clean = patches[step]
        assert torch.equal(observed[:, :3], clean) == same


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_patches_lose_their_color_and_then_are_damaged(data: Path, share: float) -> None:
    recipe = Recipe.parse(TINY | {"gray": share, "batch": 40})
    observed, clean = Patches(load_data(data, recipe, 3).training, recipe, initialized().geometry)[
        0
    ]
    assert observed.shape[1] == 4 and clean.shape[1] == 3
    # The noise is gray, too.
    gray = [bool((image[:1] == image[:3]).all()) for image in observed]
    assert all(
        torch.equal(image[0], image[2]) for image, flat in zip(clean, gray, strict=True) if flat
    )
    assert not torch.equal(observed[:, :3], clean)
    assert sum(gray) == pytest.approx(40 * share, abs=12 if 0 < share < 1 else 0)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_whoever_draws_them(data: Path, workers: int) -> None:
    recipe = Recipe.parse(TINY)
    patches = Patches(load_data(data, recipe, 3).training, recipe, initialized().geometry)
    feed = batches(patches, 5, workers, pinned=False)
    for step in (5, 6, 7):
        assert all(torch.equal(a, b) for a, b in zip(next(feed), patches[step], strict=True))


def leave_memory(monkeypatch: pytest.MonkeyPatch, bytes_left: int) -> None:
    free = SimpleNamespace(available=4 * bytes_left)
    psutil = SimpleNamespace(virtual_memory=lambda: free)
    monkeypatch.setattr("restore_cli.training.store.psutil", psutil)


@pytest.mark.parametrize("bytes_left", [0, 10_000, 10**9])
def test_images_beyond_the_memory_limit_are_mapped(
    data: Path, tmp_path: Path, bytes_left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.parse(TINY)
    expected = load_data(data, recipe, 3).training
    views = [Sample(sample.clean[:, ::-1]) for sample in expected]  # not contiguous
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    leave_memory(monkeypatch, bytes_left)
    found = load_data(data, recipe, 3).training
    mapped = [isinstance(sample.clean.base, np.memmap) for sample in found]
    assert any(mapped) == (bytes_left < 10**9)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.clean, other.clean)
    for one, other in zip(keep(views), views, strict=True):
        np.testing.assert_array_equal(one.clean, other.clean)
    assert list((tmp_path / "cache").glob("*")) == []


def test_an_unwritable_cache_is_named_when_it_is_needed(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe.parse(TINY)
    monkeypatch.setenv("RESTORE_CACHE", "/proc/cache")
    assert load_data(data, recipe, 3).training
    leave_memory(monkeypatch, 0)
    with pytest.raises(
        RestoreError, match=r"Cannot keep images in a file in /proc/cache.*RESTORE_CACHE"
    ):
        load_data(data, recipe, 3)


@pytest.fixture
def real_pairs(tmp_path: Path) -> Path:
    """Make real pairs: large/ and its half in small/, with other suffixes."""
    rng = np.random.default_rng(0)
    for index in range(4):
        large = np.repeat(np.repeat(rng.integers(0, 256, (40, 50, 3), np.uint8), 2, 0), 2, 1)
        for folder, pixels in (("large", large), ("small", large[::2, ::2]), ("same", large // 2)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(
                tmp_path / folder / f"{index}.{'png' if folder == 'large' else 'bmp'}"
            )
    return tmp_path


def test_real_pairs_stay_aligned(real_pairs: Path) -> None:
    recipe = Recipe.parse(
        TINY
        | {"task": "derain", "pairs": ["large:same"], "folders": [], "levels": {}, "validation": []}
    )
    patches = Patches(load_data(real_pairs, recipe, 3).training, recipe, Geometry(3))
    for step in range(5):
        observed, clean = patches[step]
        torch.testing.assert_close((observed * 255).round(), (clean * 255).round() // 2)


def test_real_pairs_are_validated_on_real_pairs(real_pairs: Path, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    for folder in ("large", "same"):
        shutil.copytree(real_pairs / folder, apart / folder)
    recipe = Recipe.parse({"task": "derain", "pairs": ["large:same"], "patch": 16})
    held = load_data(real_pairs, recipe, 3, validation=apart).holdout
    assert len(held) == 4 and all(sample.damaged is not None for sample in held)
    with pytest.raises(UsageError, match="is not a folder"):
        load_data(real_pairs, recipe, 3, validation=apart / "large")


def test_pairs_for_super_resolution_are_joined_by_folders(real_pairs: Path) -> None:
    own = {"task": "sr", "pairs": ["large:small"], "folders": ["same"], "patch": 16}
    scales = {sample.scale for sample in load_data(real_pairs, Recipe.parse(own), 3).training}
    assert scales == {1, 2}


def test_a_resumed_training_notices_other_degraded_images(real_pairs: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"task": "derain", "pairs": ["large:same"], "levels": {}}
    changes |= {"params": {"channels": 3, "conditions": 0, "widths": [8]}, "folders": []}
    changes |= {"validation": []}
    run(real_pairs, tmp_path / "out.safetensors", **changes)
    for path in (real_pairs / "same").iterdir():
        Image.fromarray(255 - np.asarray(Image.open(path))).save(path)
    moments = run(real_pairs, tmp_path / "out.safetensors", True, **changes, steps=8)
    assert any("others than before" in note for note in moments[0].notes) and moments[-1].saved
    [ended] = run(real_pairs, tmp_path / "out.safetensors", True, **changes, steps=8)
    assert not any("others than before" in note for note in ended.notes)


def test_validation_images_are_not_trained_on(real_pairs: Path) -> None:
    recipe = Recipe.parse({"task": "derain", "folders": ["large", "same"], "patch": 16})
    data = load_data(real_pairs, recipe, 3, validation=real_pairs / "same")
    alone = load_data(real_pairs / "large", dataclasses.replace(recipe, folders=()), 3)
    assert len(data.training) == len(alone.training) + len(alone.holdout)
    with pytest.raises(UsageError, match=r"no readable images outside of \S+\. Give"):
        load_data(real_pairs, recipe, 3, validation=real_pairs)


def test_real_pairs_have_no_levels_of_drawn_damage(real_pairs: Path) -> None:
    own = {"pairs": ["large:small"], "patch": 16, "validation": [{"scale": 3}]}
    recipe = Recipe.parse({"task": "sr", "levels": {"scale": 2, "damage": "photo"}} | own)
    assert recipe.validation == ({"scale": 2, "damage": "photo"},)
    own = {"pairs": ["large:same"], "validation": [{"sigma": 10}, {"sigma": 50}]}
    assert Recipe.parse({"task": "denoise", "levels": {"sigma": 30}} | own).validation == ({},)


def test_pairs_for_validation_have_the_same_scale(real_pairs: Path, tmp_path: Path) -> None:
    apart = tmp_path / "apart"
    shutil.copytree(real_pairs / "large", apart / "large")
    shutil.copytree(real_pairs / "same", apart / "small")
    recipe = Recipe.parse({"task": "sr", "pairs": ["large:small"], "patch": 16})
    with pytest.raises(UsageError, match="1 times as large as the degraded ones, not 2"):
        load_data(real_pairs, recipe, 3, validation=apart)


@pytest.mark.parametrize(
    ("task", "levels", "expected"),
    [
        ("denoise", {"sigma": [0, 30]}, [{"sigma": 15}, {"sigma": 25}]),
        ("denoise", {"sigma": [0, 10]}, [{"sigma": 2.5}, {"sigma": 5}, {"sigma": 10}]),
        ("deblock", {"quality": [60, 95]}, [{"quality": 68.8}, {"quality": 77.5}, {"quality": 95}]),
        ("sr", {"scale": ["3", "4"]}, [{"scale": "3"}, {"scale": "4"}]),
        ("sr", {"scale": ["2", "4"]}, [{"scale": 2}]),
    ],
)
def test_validation_stays_within_what_is_trained(
    task: str, levels: dict[str, Any], expected: list[dict[str, Any]]
) -> None:
    recipe = Recipe.parse({"task": task, "levels": levels, "patch": 48})
    assert list(recipe.validation) == expected


def test_pairs_of_jpegs_are_cut_at_their_blocks(real_pairs: Path) -> None:
    recipe = Recipe.parse({"task": "deblock", "pairs": ["large:same"], "patch": 32, "batch": 1})
    sample = Sample(np.zeros((90, 110, 3), np.uint8), np.zeros((90, 110, 3), np.uint8))
    rows = np.arange(90, dtype=np.uint8)[:, None, None]
    for image in (sample.clean, sample.damaged):
        image += rows + np.arange(110, dtype=np.uint8)[None, :, None]
    patches = Patches([sample], dataclasses.replace(recipe, augment="none"), Geometry(3))
    corners = {round(float(patches[step][1][0, 0, 0, 0]) * 255) for step in range(20)}
    assert len(corners) > 3 and not any(corner % 16 for corner in corners)


@pytest.mark.weights
def test_a_model_to_start_from_has_the_scale_of_the_recipe() -> None:
    own = entries()["sr-color-x4"]
    recipe = Recipe.parse(
        {"task": "sr", "init": "default", "arch": own.arch, "params": dict(own.params)}
        | {"levels": {"scale": 4}, "patch": 64}
    )
    state = make_network(recipe).state_dict()
    expected = load(own).network.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in state.items())


def test_validation_has_the_level_of_the_training() -> None:
    found = Recipe.parse({"task": "sr", "folders": ["photos"], "levels": {"scale": 3}, "patch": 48})
    assert found.validation == ({"scale": 3},)
    found = Recipe.parse({"task": "denoise", "levels": {"noise": "camera"}, "folders": ["photos"]})
    assert found.validation == tuple({"sigma": sigma, "noise": "camera"} for sigma in (15, 25, 50))
    with pytest.raises(UsageError, match="for scale 2: it upscales 4x"):
        make_network(Recipe.parse({"task": "sr", "arch": "compact:Compact", "folders": ["photos"]}))


def test_an_adversary_sees_enlarged_inputs(data: Path, tmp_path: Path) -> None:
    changes = {"task": "sr", "levels": {}, "validation": [], "params": {"widths": [8], "blocks": 1}}
    *_, last = run(data, tmp_path / "out.safetensors", **changes, arch="", objective="lsgan")
    assert np.isfinite(last.objective)


def test_real_pairs_may_differ_in_scale(real_pairs: Path) -> None:
    recipe = Recipe.parse(
        TINY
        | {
            "task": "sr",
            "pairs": ["large:small"],
            "folders": [],
            "levels": {"scale": 2},
            "validation": [],
        }
    )
    patches = Patches(load_data(real_pairs, recipe, 3).training, recipe, Geometry(3, scale=2))
    for step in range(5):
        observed, clean = patches[step]
        assert observed.shape[-1] == 16
        torch.testing.assert_close(observed.repeat_interleave(2, 2).repeat_interleave(2, 3), clean)


def test_images_too_small_to_be_scored_are_not_held_out(tmp_path: Path) -> None:
    recipe = Recipe.parse({"task": "sr", "arch": "unet:UNet", "levels": {"scale": 2}, "holdout": 2})
    for name, side in (("a", 1), ("b", 4), ("c", 40)):
        Image.new("RGB", (side, side)).save(tmp_path / f"{name}.png")
    corpus = load_data(tmp_path, recipe, 3)
    assert [sample.size for sample in corpus.holdout] == [(40, 40)]
    assert [sample.size for sample in corpus.training] == [(1, 1), (4, 4)]
    (tmp_path / "c.png").unlink()
    with pytest.raises(UsageError, match=r"Cannot score with .* large enough"):
        load_data(tmp_path, recipe, 3)


def test_the_only_image_cannot_be_held_out(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    with pytest.raises(UsageError, match="its only image is held out"):
        load_data(tmp_path, Recipe.parse(TINY | {"folders": []}), 3)


def test_training_without_git(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run(data, tmp_path / "out.safetensors", steps=1)
    assert load(tmp_path / "out.safetensors").header.commit == ""


def test_networks_without_inner_convolutions_train(data: Path, tmp_path: Path) -> None:
    changes = {"arch": "baselines:ConvChain"}
    changes |= {"params": {"channels": 3, "widths": [8], "kernels": [3, 3]}}
    assert run(data, tmp_path / "out.safetensors", **changes)[-1].step == 6


def test_hidden_images_are_not_trained_on(tmp_path: Path) -> None:
    for name in ("a.png", "._a.png", ".trash/b.png", "in/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in images_in(tmp_path)] == ["a.png", "c.png"]


def test_real_pairs_train(real_pairs: Path) -> None:
    changes = {"task": "derain", "pairs": ["large:same"], "levels": {}, "validation": []}
    changes |= {"params": {"channels": 3, "conditions": 0, "widths": [8]}, "folders": []}
    *_, last = run(real_pairs, real_pairs / "out.safetensors", **changes)
    assert len(last.scores) == 1 and last.scores[0] > 0
    header = load(real_pairs / "out.safetensors").header
    assert header.data == "2 images of large:same"
    assert trained_for(header) == "real pairs"


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"task": "denoise", "levels": {"sigma": 9}}, "not 1 times. Use images of equal sizes."),
        ({"task": "sr", "levels": {"scale": 3}}, "not 3 times. Use --level scale=2"),
    ],
)
def test_pairs_have_the_scale_of_the_recipe(
    real_pairs: Path, changes: dict[str, Any], hint: str
) -> None:
    recipe = {"task": "sr", "pairs": ["large:small"], "patch": 48, **changes}
    with pytest.raises(UsageError, match=f"the clean images are 2 times as large .* {hint}"):
        load_data(real_pairs, Recipe.parse(recipe), 3)


def test_pairs_are_validated_at_their_level() -> None:
    recipe = Recipe.parse({"task": "sr", "pairs": ["large:small"], "levels": {"scale": 3}})
    assert recipe.validation == ({"scale": 3},)


def test_an_unchanged_image_counts_with_60_db(data: Path, tmp_path: Path) -> None:
    """Its score is infinite, which JSON cannot hold."""
    still = {"levels": {"rain": "none"}, "validation": [{"rain": "none"}], "lr": 1e-12}
    unet = {"arch": "unet:UNet", "params": {"channels": 3, "widths": [8, 8], "conditions": 0}}
    out = tmp_path / "out.safetensors"
    run(data, out, task="derain", steps=1, patch=32, **still, **unet)
    header = load(out).header
    assert header.scores[0].psnr == 60 and header.precisions == ("fp32", "bf16")


def test_a_shortened_training_is_validated(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    moments = train(
        Request(Recipe.parse(TINY | {"steps": 9, "validate_every": 100}), data, out, "cpu"),
        interrupt_after(5),
    )
    with pytest.raises(KeyboardInterrupt):
        list(moments)
    assert not out.exists()
    *_, last = run(data, out, resume=True, steps=3, validate_every=100)
    assert last.saved and last.step == 5 and load(out).header.scores


def interrupt_after(step: int) -> Callable[[Beat], None]:
    def watch(beat: Beat) -> None:
        if beat.step == step:
            raise KeyboardInterrupt

    return watch


def test_a_gray_network_cannot_measure_the_noise_of_colors(tmp_path: Path) -> None:
    params = {"channels": 1, "widths": [8]}
    recipe = Recipe.parse({"task": "noise", "arch": "unet:UNet", "params": params})
    with pytest.raises(UsageError, match=r"it has 1 channel\. Use --param channels=3"):
        make_network(recipe)


def test_only_the_schedule_plateau_lowers_the_rate_on_plateaus() -> None:
    recipe = Recipe.parse({"task": "denoise", "schedule": "step", "drop_at": [3], "warmup": 0})
    rates = [learning_rate(recipe, step, 0, drops=step) for step in range(6)]
    assert rates == [recipe.lr] * 3 + [recipe.lr * recipe.drop] * 3


def test_pairs_that_do_not_fit_are_refused(real_pairs: Path) -> None:
    recipe = Recipe.parse(TINY | {"pairs": ["large:small"], "folders": []})
    (real_pairs / "small/1.bmp").unlink()
    with pytest.raises(UsageError, match=r"1\.png has no matching image"):
        load_data(real_pairs, recipe, 3)
    Image.new("RGB", (7, 9)).save(real_pairs / "small/1.bmp")
    with pytest.raises(UsageError, match="their sizes do not match"):
        load_data(real_pairs, recipe, 3)
    other = Recipe.parse(TINY | {"pairs": ["large:small", "large:same"], "folders": []})
    with Image.open(real_pairs / "large/1.png") as image:
        size = image.size
    Image.new("RGB", (size[0] // 2, size[1] // 2)).save(real_pairs / "small/1.bmp")
    with pytest.raises(UsageError, match="pairs of different scales"):
        load_data(real_pairs, other, 3)
    Image.new("RGB", (size[0], size[1] // 2)).save(real_pairs / "small/1.bmp")
    with pytest.raises(UsageError, match="their sizes do not match"):
        load_data(real_pairs, recipe, 3)


def test_pairs_may_have_longer_names_and_odd_sizes(tmp_path: Path) -> None:
    """As in `bench`: babyx2 belongs to baby, and sizes are rounded down."""
    for folder, name, size in (("hr", "a.b", (33, 27)), ("lr", "a.bx2", (16, 13))):
        (tmp_path / folder).mkdir()
        for number in range(2):
            Image.new("RGB", size, (number, 0, 0)).save(tmp_path / folder / f"{number}{name}.png")
    keys = {"task": "sr", "pairs": ["hr:lr"], "folders": [], "levels": {"scale": 2}}
    recipe = Recipe.parse(TINY | keys | {"validation": [{"scale": 2}]})
    found = load_data(tmp_path, recipe, 3)
    for sample in (*found.training, *found.holdout):
        assert sample.damaged is not None
        assert sample.clean.shape == (26, 32, 3) and sample.damaged.shape == (13, 16, 3)
        assert sample.clean[0, 0, 0] == sample.damaged[0, 0, 0]


@pytest.mark.parametrize(
    ("task", "levels"),
    [
        ("denoise", {"sigma": Range(0, 75)}),
        ("deblock", {"quality": Range(10, 90)}),
        ("inpaint", {"damage": "text"}),
    ],
)
def test_networks_learn_from_real_pairs_what_these_show(
    tmp_path: Path, task: str, levels: Levels
) -> None:
    """The plane is the level of the pair, not one that was drawn for it."""
    rng = np.random.default_rng(0)
    clean = np.asarray(cv2.resize(rng.uniform(60, 190, (12, 12, 3)), (96, 96)), np.float32)
    damaged, expected = clean + rng.normal(0, 12, clean.shape), np.float32(12 / 255)
    if task == "inpaint":
        damaged = np.where(np.arange(96)[:, None] % 5 < 1, 255, clean)
    for folder, pixels in (("clean", clean), ("bad", damaged)):
        (tmp_path / folder).mkdir()
        for name in "ab":
            Image.fromarray(pixels.round().astype(np.uint8)).save(tmp_path / folder / f"{name}.png")
    if task == "deblock":
        for path in (tmp_path / "bad").iterdir():
            Image.open(path).save(path.with_suffix(".jpg"), quality=30)
            path.unlink()
        expected = np.float32(0.3)
    keys = {"task": task, "pairs": ["clean:bad"], "folders": [], "levels": levels, "patch": 64}
    recipe = Recipe.parse(TINY | keys | {"validation": []})
    samples = load_data(tmp_path, recipe, 3).training
    observed, target = Patches(samples, recipe, Geometry(3, conditions=1))[0]
    plane = observed[:, 3]
    if task == "inpaint":
        assert set(plane.unique().tolist()) == {0, 1} and 0.1 < plane.mean() < 0.3
        kept = (plane == 0)[:, None].expand_as(target)
        torch.testing.assert_close(observed[:, :3][kept], target[kept])
    else:
        torch.testing.assert_close(plane.mean(), torch.tensor(expected), rtol=0.25, atol=0)


def test_excluded_images_and_a_folder_for_validation(data: Path, tmp_path: Path) -> None:
    # As Windows writes it: with a mark in front.
    (data / "leave.txt").write_bytes(b"\xef\xbb\xbfphotos/deeper/0.png\r\n./photos/deeper/2.png\n")
    recipe = Recipe.parse(TINY | {"exclude": "leave.txt"})
    apart = shutil.copytree(data / "photos", tmp_path / "apart")
    corpus = load_data(data, recipe, 3, apart)
    assert (len(corpus.training), len(corpus.holdout)) == (2, 4)
    with pytest.raises(UsageError, match=r"Cannot read \S*nothing\.txt: No such file"):
        load_data(data, Recipe.parse(TINY | {"exclude": "nothing.txt"}), 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=r"Cannot score with \S*empty: it has no readable images"):
        load_data(data, recipe, 3, tmp_path / "empty")


def test_images_can_be_reduced_to_half_size(data: Path) -> None:
    corpus = load_data(data, Recipe.parse(TINY | {"folders": [], "halved": ["photos"]}), 3)
    whole = load_data(data, Recipe.parse(TINY), 3)
    both = load_data(data, Recipe.parse(TINY | {"halved": ["photos"]}), 3)
    assert len(both.training) == 2 * len(whole.training)  # no half of a held-out image
    assert len(both.holdout) == len(whole.holdout)
    for small, large in zip(corpus.training, whole.training, strict=True):
        assert small.clean.shape == (large.clean.shape[0] // 2, large.clean.shape[1] // 2, 3)


def test_patches_that_do_not_fit_the_task_are_refused(data: Path) -> None:
    recipe = Recipe.parse({"task": "sr", "arch": "unet:UNet", "levels": {"scale": 3}, "patch": 64})
    patches = Patches(load_data(data, recipe, 3).training, recipe, Geometry(3))
    with pytest.raises(UsageError, match=r"patches of 64 pixels: .* Use --patch 63"):
        patches[0]


def test_a_training_may_start_from_a_checkpoint(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "first.safetensors")
    recipe = Recipe.parse(TINY | {"init": str(tmp_path / "first.safetensors")})
    for name, value in load(tmp_path / "first.safetensors").network.state_dict().items():
        assert torch.equal(make_network(recipe).state_dict()[name], value)
    other = dataclasses.replace(recipe, params={"channels": 3, "widths": [8, 16]})
    with pytest.raises(UsageError, match="does not fit"):
        make_network(other)
    told = make_network(dataclasses.replace(recipe, params={**recipe.params, "conditions": 2}))
    first = load(tmp_path / "first.safetensors").network.state_dict()
    same = {
        name: torch.equal(value, first[name])
        for name, value in told.state_dict().items()
        if name in first and value.shape == first[name].shape
    }
    assert all(same.values()) and first.keys() - same.keys() == {"head.weight"}


def test_patches_that_do_not_fit_the_network_are_refused() -> None:
    with pytest.raises(UsageError, match="needs multiples of 4"):
        make_network(Recipe.parse(TINY | {"patch": 30}))


def test_the_log_has_a_row_for_each_report(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "out.safetensors")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["4", "6"]
    assert float(rows[-1]["PSNR sigma 25"]) > 0 and float(rows[-1]["input PSNR sigma 25"]) > 0
    log = Log(tmp_path / "out.csv", step=4)
    log.write({"step": 5, "objective": 0.5})
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["4", "5"]


def test_tensorboard_gets_figures_and_pictures(data: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    request = Request(
        Recipe.parse(TINY), data, tmp_path / "out.safetensors", "cpu", logdir=tmp_path / "board"
    )
    list(train(request))
    (events,) = (tmp_path / "board").iterdir()
    written = events.read_bytes()
    assert all(word in written for word in (b"objective", b"PSNR sigma 25", b"sample 0", b"PNG"))


@pytest.mark.parametrize("name", TASKS)
def test_every_task_makes_pairs(data: Path, name: str) -> None:
    recipe = Recipe.parse(
        {"task": name, "arch": "unet:UNet", "folders": ["photos"], "batch": 2, "patch": 32}
    )
    patches = Patches(load_data(data, recipe, 3).training, recipe, Geometry(3))
    observed, clean = patches[0]
    assert observed.shape == clean.shape == (2, 3, 32, 32)
    assert observed.isfinite().all() and not torch.equal(observed, clean)


def test_a_network_that_expects_more_than_the_task_gives_is_refused(
    data: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="needs 1 conditions, but derain provides 0"):
        run(data, tmp_path / "out.safetensors", task="derain", levels={}, validation=[])


def test_a_plan_states_the_cost_of_a_training(data: Path, tmp_path: Path) -> None:
    network = {
        "arch": "baselines:ConvChain",
        "params": {"channels": 3, "widths": [4], "kernels": [3, 1]},
    }
    found = plan(Request(Recipe.parse(TINY | network), data, tmp_path / "out.safetensors"))
    assert found.parameters == 3 * 4 * 9 + 4 + 4 * 3 + 3
    assert found.flops == 2 * 32 * 32 * (3 * 4 * 9 + 4 * 3)
    assert (found.images, found.holdout, len(found.unreadable)) == (2, 2, 1)
    assert 2 * 32 * 32 * 4 * 2 < found.memory < 10**6


def test_a_plan_counts_a_unet_too(data: Path, tmp_path: Path) -> None:
    found = plan(Request(Recipe.parse(TINY), data, tmp_path / "out.safetensors"))
    network = build("unet:UNet", TINY["params"])  # type: ignore[arg-type]
    pixels = {
        "head": 16**2,
        "encoder": 16**2,
        "down": 8**2,
        "body": 8**2,
        "up": 8**2,
        "decoder": 16**2,
    }
    kernels = [(name, value) for name, value in network.named_parameters() if value.ndim == 4]
    assert found.flops == sum(
        2 * pixels.get(name.partition(".")[0], 16**2) * value.numel() for name, value in kernels
    )


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_muon_moves_the_kernels_themselves(memory_format: torch.memory_format) -> None:
    network = initialized().to(memory_format=memory_format)  # type: ignore[call-overload]
    optimizer = Optimizer(network, Recipe.parse(TINY))
    moved = {id(kernel) for kernel in optimizer.kernels}
    inner = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d)][1:-1]
    assert moved == {id(weight) for weight in inner}
    nn.init.normal_(network.tail.weight)
    before = {name: value.clone() for name, value in network.named_parameters()}
    network(torch.rand(1, 4, 16, 16)).square().sum().backward()
    optimizer.step(0.01)
    for name, value in network.named_parameters():
        assert not torch.equal(value, before[name]), name
        assert value.grad is None


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch has it since 2.9")
def test_batched_muon_equals_pytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": True})
    torch.manual_seed(0)
    ours = [
        nn.Parameter(torch.randn(shape)) for shape in ((4, 36), (6, 6), (4, 36), (16, 4), (4, 36))
    ]
    theirs = [nn.Parameter(matrix.detach().clone()) for matrix in ours]
    optimizers = (
        Muon(ours, lr=0.01, weight_decay=0.1),
        torch.optim.Muon(theirs, lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    )
    for step in range(4):
        for our, their in zip(ours, theirs, strict=True):
            our.grad = their.grad = torch.randn(our.shape)
        if step % 2 == 0:  # like a layer that is not trained in this step
            ours[1].grad = theirs[1].grad = None
        for optimizer in optimizers:
            optimizer.step()
        if step == 1:  # like a resumed training
            momenta = copy.deepcopy(optimizers[1].state_dict()["state"])
            optimizers[0].load_state_dict(optimizers[0].state_dict() | {"state": momenta})
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-6, rtol=0)


def test_the_learning_rate_warms_up_and_ends_at_zero() -> None:
    recipe = Recipe.parse(TINY | {"steps": 1000, "warmup": 100, "lr": 1e-3})
    rates = [learning_rate(recipe, step, recipe.done(step, 0)) for step in range(1001)]
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == pytest.approx(1e-3, rel=0.03)
    assert rates[500] == pytest.approx(5e-4)
    assert rates[1000] == pytest.approx(0)


def test_unchanged_images_do_not_choose_the_checkpoint() -> None:
    recipe = Recipe.parse(
        {
            "task": "derain",
            "arch": "baselines:DnCNN",
            "params": {"channels": 3, "depth": 3, "width": 4},
            "validation": [{"rain": "none"}, {"rain": "streaks", "heaviness": 1}],
        }
    )
    network = build(recipe.arch, recipe.params).eval()
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    validation = validate(network, recipe, [Sample(image)], torch.device("cpu"))
    unchanged, rainy = validation.scores
    assert unchanged == 60 and 5 < rainy < 30
    assert validation.total == pytest.approx(60 + rainy)
