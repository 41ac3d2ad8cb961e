"""The recipes of the papers: all parse, build their networks, and learn."""

from __future__ import annotations

import inspect
import math
from importlib import import_module
from itertools import groupby
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from restore_cli import recipes
from restore_cli.archs import build
from restore_cli.jobs.train import learn, make_network
from restore_cli.training.distributed import join
from restore_cli.training.objectives import Adversary
from restore_cli.training.optimizer import Optimizer
from restore_cli.training.pairs import Patches, Sample
from restore_cli.training.recipe import Recipe
from restore_cli.training.state import State

SMALL: dict[str, Any] = {"width": 8, "widths": [8, 8], "hidden": 8, "steps": 2, "layers": 2, "depth": 6}
ROWS = list(recipes.rows().values())


def pictures() -> list[Sample]:
    """Two smooth images in color, as bytes."""
    random = np.random.default_rng(0)
    small = [Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)) for _ in range(2)]
    return [Sample(np.asarray(image.resize((96, 96), Image.Resampling.BICUBIC))) for image in small]


def shrink(keys: dict[str, Any]) -> dict[str, Any]:
    """The same recipe with few features and layers, and a batch of two small patches."""
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
    return {**keys, "params": params, "patch": patch, "batch": 2, "precision": "fp32", "pretrain": 0}


def improves(keys: dict[str, Any]) -> None:
    """Ten steps on one batch bring the restored patches nearer to the clean ones."""
    recipe = Recipe.parse(shrink(keys))
    network = make_network(recipe)
    channels = network.geometry.channels
    samples = [Sample(sample.clean[..., :channels]) for sample in pictures()]
    observed, clean = Patches(samples, recipe, network.geometry)[0]
    with join("cpu") as group:
        gan = recipe.objective in ("gan", "lsgan")
        adversary = Adversary(channels, recipe, group) if gan else None
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
    for names in ([], *([name] for name in row.variants), *([name, "cpu"] for name in row.variants)):
        recipe = Recipe.parse(row.vary(*names))
        with torch.device("meta"):
            geometry = build(recipe.arch, recipe.params).geometry
        assert recipe.patch % (geometry.multiple * geometry.scale) == 0
        scales = [level.get("scale", 1) for level in recipe.validation]
        assert all(recipe.patch % scale == 0 for scale in scales)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_recipe_learns_in_ten_steps(row: recipes.Row) -> None:
    improves(row.vary())


TABLES = [next(group) for _, group in groupby(ROWS, lambda row: row.name.partition("-")[0])]


@pytest.mark.parametrize(
    ("row", "variant"),
    [pytest.param(row, name, id=f"{row.name}:{name}") for row in TABLES for name in row.variants],
)
def test_a_variant_learns_in_ten_steps(row: recipes.Row, variant: str) -> None:
    improves(row.vary(variant))
