"""The recipes of the papers: all parse, build their networks, and learn."""

from __future__ import annotations

import inspect
import math
import re
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli import recipes
from restore_cli.archs import build
from restore_cli.cli import app
from restore_cli.levels import Choice, Range
from restore_cli.models import checkpoint
from restore_cli.training.distributed import join
from restore_cli.training.objectives import Adversary
from restore_cli.training.optimizer import Optimizer
from restore_cli.training.patches import Patches
from restore_cli.training.recipe import Recipe
from restore_cli.training.samples import Sample
from restore_cli.training.start import make_network
from restore_cli.training.state import State
from restore_cli.training.step import learn

SMALL: dict[str, Any] = {
    "width": 8,
    "widths": [8, 8],
    "hidden": 8,
    "steps": 2,
    "layers": 2,
    "depth": 6,
    "levels": 2,
}
QUICK = {
    "precision": "fp32",
    "pretrain": 0,
    "pretrain_discriminator": 0,
    "discriminator": 3,
    "batch": 2,
}
ROWS = list(recipes.rows().values())
TABLES = [next(group) for _, group in groupby(ROWS, lambda row: row.name.partition("-")[0])]


def pictures() -> list[Sample]:
    """Make two smooth color images, as bytes."""
    random = np.random.default_rng(0)
    small = [Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(2)]
    return [Sample(np.asarray(image.resize((96, 96), Image.Resampling.BICUBIC))) for image in small]


def shrink(keys: dict[str, Any]) -> dict[str, Any]:
    """Return the recipe with few features and layers, and a batch of two small patches."""
    module, _, name = keys["arch"].partition(":")
    own = inspect.signature(getattr(import_module(f"restore_cli.archs.{module}"), name)).parameters
    params = {**keys["params"], **{key: value for key, value in SMALL.items() if key in own}}
    if "kernels" in params:
        params["widths"] = [8] * (len(params["kernels"]) - 1)
    with torch.device("meta"):
        geometry = build(keys["arch"], params).geometry
    scale = keys.get("levels", {}).get("scale", 1)
    cell = math.lcm(geometry.multiple * geometry.scale, scale if isinstance(scale, int) else 12)
    patch = cell * max(1, math.ceil(32 / cell))
    return {**keys, "params": params, "patch": patch, **QUICK}


def improves(keys: dict[str, Any]) -> None:
    """Check that ten steps on one batch bring the restored patches closer to the clean ones."""
    recipe = Recipe.parse(shrink(keys))
    network = make_network(recipe)
    channels = network.geometry.channels
    samples = [Sample(sample.clean[..., :channels]) for sample in pictures()]
    observed, clean = Patches(samples, recipe, network.geometry)[0]
    with join("cpu") as group:
        adversary = Adversary(channels, recipe, group) if recipe.adversarial else None
        state = State(network, network, Optimizer(network, recipe), adversary)
        network.train()
        error = []
        for _ in range(10):
            learn(state, network, recipe, observed, clean, recipe.lr)
            with torch.no_grad():
                error.append(float((network(observed) - clean).square().mean()))
    assert np.isfinite(error).all() and error[-1] < error[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_recipe_builds_its_network(row: recipes.Row) -> None:
    names: list[list[str]] = [[]]
    if row in TABLES:  # whose other rows differ in levels alone
        names += [[name] for name in row.variants] + [[name, "cpu"] for name in row.variants]
    for variants in names:
        recipe = Recipe.parse(row.vary(*variants))
        with torch.device("meta"):
            geometry = build(recipe.arch, recipe.params).geometry
        fixed = [value for level in recipe.validation for value in level.values()]
        assert not any(isinstance(value, (Range, Choice)) for value in fixed)
        scales = [level.get("scale", 1) for level in recipe.validation]
        assert not any(
            side % cell for side in recipe.sides for cell in (geometry.multiple, *scales)
        )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_recipe_learns_in_ten_steps(row: recipes.Row) -> None:
    improves(row.vary())


@pytest.mark.parametrize(
    ("row", "variant"),
    [pytest.param(row, name, id=f"{row.name}:{name}") for row in TABLES for name in row.variants],
)
def test_a_variant_learns_in_ten_steps(row: recipes.Row, variant: str) -> None:
    improves(row.vary(variant))


def train(*words: str) -> Result:
    return CliRunner().invoke(app, ["train", *words])


def test_recipes_are_listed_by_paper() -> None:
    result = train("--list")
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == len(recipes.PAPERS) + len(ROWS)
    assert lines[0] == "RED-Net, Mao et al. 2016"
    assert any(line.split()[0] == "rednet/denoise-30" and line.endswith(" :cpu") for line in lines)


def test_a_row_of_a_paper_is_trained_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    for name, sample in zip("ab", pictures(), strict=True):
        Image.fromarray(sample.clean[:48, :48]).save(f"data/{name}.png")
    tiny = [
        "--param",
        "width=8",
        "--batch",
        "1",
        "--patch",
        "16",
        "--set",
        "holdout=2",
        "--device",
        "cpu",
    ]
    tiny += ["--set", "warmup=0", "--set", "ema=0", "--set", "lr=0.01"]  # for ten steps
    result = train("rednet/denoise-30:red20", "--cpu", "--data", "data", "--steps", "10", *tiny)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "rednet-denoise-30-red20-cpu.safetensors\n"
    last = result.stderr.splitlines()[-2]
    assert last.startswith("step 10  l2 ")  # not the half hour of the recipe
    restored, observed = re.findall(r"(\d+\.\d+)", last.partition("sigma 30: ")[2])
    assert float(restored) > float(observed)
    header = checkpoint.load(Path(result.stdout.strip())).header
    assert header.params["depth"] == 20 and header.recipe["optimizer"] == "muon"


def test_the_autoencoder_is_validated_on_what_it_learns() -> None:
    recipe = recipes.read_keys("generative/reconstruct-clean")
    assert recipe["validation"] == [recipe["levels"]] == [{"rain": "none"}]


def test_the_defaults_are_not_those_of_a_paper() -> None:
    for row in TABLES:
        recipe, own = Recipe.parse(row.vary()), Recipe(task="denoise")
        assert (recipe.optimizer, recipe.ema, recipe.warmup, recipe.clip) == (
            "adam",
            0.0,
            0,
            math.inf,
        )
        assert (own.optimizer, own.ema, own.warmup, own.clip) == ("muon", 0.999, 100, 1.0)
        cheap = Recipe.parse(row.vary("cpu"))
        assert (cheap.minutes, cheap.ema, cheap.clip, cheap.levels) == (
            30,
            0.999,
            1.0,
            recipe.levels,
        )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["rednet/denoise-31"],
            "Unknown recipe 'rednet/denoise-31'; `restore train --list` shows all.",
        ),
        (["rednet/denoise-30:red11"], "Unknown variant 'red11' of rednet/denoise-30; choose red10"),
        (["denoise-color", "--cpu"], "Cannot use --cpu without a paper's recipe."),
        (["--cpu"], "Cannot use --cpu without a paper's recipe."),
    ],
)
def test_unknown_recipes_are_refused(words: list[str], said: str) -> None:
    result = train(*words)
    assert result.exit_code == 2 and said in result.stderr


def test_parameters_of_another_network_are_dropped() -> None:
    first = {"arch": "a:A", "params": {"width": 8, "depth": 3}}
    assert recipes.merge(first, {"params": {"depth": 4}})["params"] == {"width": 8, "depth": 4}
    assert recipes.merge(first, {"arch": "a:B", "params": {"depth": 4}})["params"] == {"depth": 4}
    assert recipes.merge(first, {"arch": "a:B"})["params"] == {}
