"""Training: exact resume, what is learned, recipes read strictly, the optimizer's view of the kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import nn

from restore_cli.errors import RestoreError, UsageError, WeightsError
from restore_cli.jobs.train import Progress, Request, train
from restore_cli.tasks.denoise import Denoise
from restore_cli.training.optimizer import Optimizer, learning_rate
from restore_cli.training.pairs import Patches, load_corpus
from restore_cli.training.recipe import Recipe
from restore_cli.weights import load

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
    """Smooth colour pictures of several sizes and modes, and a file that is none."""
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
    assert loaded.header.conditions == {"sigma": [0, 75]}
    assert Recipe.parse(loaded.header.recipe) == Recipe.parse(TINY)
    assert loaded.network(torch.rand(1, 4, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
@pytest.mark.parametrize("arch", ["unet:UNet", "xunit:XDnCNN"])
def test_a_killed_training_goes_on_exactly(
    data: Path, tmp_path: Path, optimizer: str, arch: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: dict[str, object] = {"optimizer": optimizer}
    if arch == "xunit:XDnCNN":
        changes |= {"arch": arch, "params": {"channels": 3, "depth": 3, "width": 8}, "levels": {"sigma": 25}}
    whole = run(data, tmp_path / "whole.safetensors", **changes)

    monkeypatch.setattr("restore_cli.jobs.train.STATE_SECONDS", 0)
    request = Request(Recipe.parse(TINY | changes), data, tmp_path / "killed.safetensors", "cpu")
    steps = train(request)
    assert next(steps).step == 4
    steps.close()
    resumed = run(data, tmp_path / "killed.safetensors", resume=True, **changes)

    assert [moment.step for moment in resumed] == [6]
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


def test_a_worse_validation_does_not_replace_the_best(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    saved = [moment for moment in run(data, out, steps=30, validate_every=1, lr=0.05) if moment.saved]
    scores = [moment.scores[0] for moment in saved]
    assert scores == sorted(scores)


def test_a_diverging_training_is_stopped(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="no longer finite at step"):
        run(data, tmp_path / "out.safetensors", lr=float("inf"), clip=float("inf"), warmup=0)


def test_a_state_of_another_recipe_is_refused(data: Path, tmp_path: Path) -> None:
    run(data, tmp_path / "out.safetensors")
    with pytest.raises(WeightsError, match="another recipe"):
        run(data, tmp_path / "out.safetensors", resume=True, seed=1)
    (tmp_path / "out.state.safetensors").write_bytes(b"torn")
    with pytest.raises(WeightsError, match="cannot be resumed"):
        run(data, tmp_path / "out.safetensors", resume=True)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"speed": 3}, "unknown key 'speed'"),
        ({"steps": "many", "batch": 1.5}, "steps must be int, not 'many'; batch must be int, not 1.5"),
        ({"folders": ["nowhere"]}, "nowhere is no folder"),
        ({"objective": "l7"}, "Unknown objective 'l7'"),
        ({"optimizer": "sgd"}, "Unknown optimizer 'sgd'"),
    ],
)
def test_a_wrong_recipe_is_refused(
    data: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(data, tmp_path / "out.safetensors", **changes)


def test_missing_keys_are_named_together() -> None:
    with pytest.raises(UsageError, match="missing key 'task'; missing key 'arch'"):
        Recipe.parse({})


def test_batches_follow_from_seed_and_step(data: Path) -> None:
    corpus = load_corpus(data, ["photos"], 3, 3)
    assert len(corpus.training) == 2
    assert len(corpus.holdout) == 2
    geometry = initialised().geometry
    patches = Patches(corpus.training, Denoise, {"sigma": [0, 75]}, geometry)
    first, second = patches.batch(3, 32, seed=0, step=7), patches.batch(3, 32, seed=0, step=7)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first[0], patches.batch(3, 32, seed=0, step=8)[0])
    observed, clean = first
    assert (observed.shape, clean.shape) == ((3, 4, 32, 32), (3, 3, 32, 32))
    noise = (observed[:, :3] - clean).std((1, 2, 3))
    torch.testing.assert_close(noise, observed[:, 3, 0, 0], rtol=0.1, atol=1e-4)


def initialised() -> nn.Module:
    from restore_cli.archs import build

    torch.manual_seed(0)
    network = build("unet:UNet", TINY["params"])  # type: ignore[arg-type]
    network.initialise()
    return network


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_muon_moves_the_kernels_themselves(memory_format: torch.memory_format) -> None:
    network = initialised().to(memory_format=memory_format)  # type: ignore[call-overload]
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


def test_the_learning_rate_warms_up_and_ends_at_zero() -> None:
    recipe = Recipe.parse(TINY | {"steps": 1000, "warmup": 100, "lr": 1e-3})
    rates = [learning_rate(recipe, step) for step in range(1001)]
    assert rates[0] == pytest.approx(1e-5)
    assert max(rates) == pytest.approx(1e-3, rel=0.03)
    assert rates[500] == pytest.approx(5e-4)
    assert rates[1000] == pytest.approx(0)
