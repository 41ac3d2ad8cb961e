"""A hundred damaged and hostile checkpoints, recipes and states, and what more of them have found.

scripts/fuzz.py takes any number.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from restore_cli.archs import build
from restore_cli.training.optimizer import Optimizer
from restore_cli.training.recipe import Recipe

SCRIPT = Path(__file__).parents[1] / "scripts" / "fuzz.py"


def test_hundred_hostile_files(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(SCRIPT),
        "--what",
        "checkpoints",
        "--cases",
        "100",
        "--seed",
        "13",
    ]
    answer = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize(
    "change",
    [
        lambda key, value: {key: value.reshape(-1)[:0]},
        lambda key, value: {key: value.to(torch.bool)},
        lambda key, value: {f"{key}x": value},
        lambda key, value: {f"0.99.{key.rpartition('.')[2]}": value},
        lambda key, value: {f"x.{key}": value},
    ],
)
@pytest.mark.parametrize("name", ["step", "exp_avg", "momentum_buffer"])
def test_momenta_of_other_parameters(
    name: str, change: Callable[[str, Tensor], dict[str, Tensor]]
) -> None:
    params = {"channels": 1, "widths": [4, 4]}
    recipe = Recipe.parse(
        {"task": "denoise", "arch": "unet:UNet", "params": params, "optimizer": "muon"}
    )
    network = build(recipe.arch, recipe.params)
    optimizer = Optimizer(network, recipe)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step(0.1)
    tensors = optimizer.state_tensors()
    optimizer.load_state_tensors(tensors)
    key = next(key for key in tensors if key.endswith(name))
    others = {other: value for other, value in tensors.items() if other != key}
    with pytest.raises((ValueError, LookupError)):
        optimizer.load_state_tensors(others | change(key, tensors[key]))
