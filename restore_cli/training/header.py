"""The header of a trained checkpoint."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import torch

from restore_cli.device import computes_bf16
from restore_cli.models.header import Header
from restore_cli.models.scores import Protocol, Score
from restore_cli.network import Restorer
from restore_cli.training.data import TrainingData
from restore_cli.training.request import Request
from restore_cli.training.validation import Validation, validate

_PRECISION_LOSS = 0.02  # dB; a checkpoint lists bf16 if bf16 costs no more than this
_COMPARED = 4  # held-out images that are also restored in bf16, which some machines only emulate


def make_header(
    request: Request,
    network: Restorer,
    data: TrainingData,
    validation: Validation,
    device: torch.device,
    watch: Callable[[int, int], None] = lambda image, images: None,
    *,
    last: bool = True,
) -> Header:
    """Make the header of a checkpoint.

    The header lists bf16 if it costs at most 0.02 dB at every level, on some held-out images. A
    device that only emulates bf16 would need longer for that than for the validation, so that it
    only does so for the `last` header.
    """
    recipe = request.recipe
    keeps = False
    if last or computes_bf16(device):
        images = data.holdout[:: -(-len(data.holdout) // _COMPARED)]
        exact, fast = (
            validate(network, recipe, images, device, precision, watch).scores
            for precision in ("fp32", "bf16")
        )
        keeps = all(a - b <= _PRECISION_LOSS for a, b in zip(exact, fast, strict=True))
    halved = (f"{name} at half its size" for name in recipe.halved)
    folders = (*recipe.pairs, *recipe.folders, *halved) or (request.data.resolve().name,)
    held = f"centers of {request.validation.resolve().name}" if request.validation else "held out"
    return Header(
        task=recipe.task,
        arch=recipe.arch,
        params=dict(recipe.params),
        channels=network.geometry.channels,
        conditions=recipe.levels,
        precisions=("fp32", "bf16") if keeps else ("fp32",),
        recipe=json.loads(json.dumps(recipe.to_plain())),
        scores=tuple(
            Score(held, Protocol("validation"), round(score, 3), levels=level)
            for level, score in zip(recipe.validation, validation.scores, strict=True)
        ),
        data=f"{len(data.training)} images of {', '.join(folders)}",
        commit=_commit(),
    )


def _commit() -> str:
    """Return the commit of this package, or "" if it does not run from its own git checkout."""
    root = Path(__file__).parents[2]
    command = ["git", "-C", str(root), "rev-parse", "--show-prefix", "HEAD"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return ""
    within, _, commit = answer.stdout.partition("\n")
    return "" if answer.returncode or within else commit.strip()
