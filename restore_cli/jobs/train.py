"""Trains a network by a recipe: one loop, read downwards."""

from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from restore_cli.archs import build
from restore_cli.engine import Restorer, Settings, autocast, find_device, run
from restore_cli.errors import RestoreError, UsageError
from restore_cli.metrics import psnr
from restore_cli.tasks import Image, Task, find_task
from restore_cli.training.objectives import OBJECTIVES
from restore_cli.training.optimizer import Optimizer, learning_rate
from restore_cli.training.pairs import Patches, load_corpus
from restore_cli.training.recipe import Recipe
from restore_cli.training.state import State
from restore_cli.weights import Header, save

STATE_SECONDS = 180  # a kill loses no more than this
PRECISION_LOSS = 0.02  # dB that a checkpoint may lose in a faster precision and still list it


@dataclass(frozen=True)
class Request:
    """One training: recipe, where the data lie, where the checkpoint goes.

    The state for resuming lies beside the checkpoint, as NAME.state.safetensors.
    """

    recipe: Recipe
    data: Path
    out: Path
    device: str = "auto"
    resume: bool = False

    @property
    def state(self) -> Path:
        """The file to resume from."""
        return self.out.with_suffix(".state.safetensors")


@dataclass(frozen=True)
class Progress:
    """A moment of a training: mean objective and speed since the last; scores where it validated."""

    step: int
    steps: int
    objective: float
    steps_per_s: float
    scores: tuple[float, ...] = ()  # mean PSNR in dB for each level of the recipe's validation
    saved: bool = False  # the best so far, written to `out`
    notes: tuple[str, ...] = ()


def train(request: Request) -> Iterator[Progress]:
    """Train, yielding every hundred steps and at each validation.

    Raises:
        UsageError: recipe, data and device do not fit together.
        RestoreError: the objective is no longer finite.
        WeightsError: the state to resume from is damaged or another recipe's.
    """
    recipe = request.recipe
    task = find_task(recipe.task)
    device = find_device(request.device)
    if recipe.objective not in OBJECTIVES:
        raise UsageError(f"Unknown objective {recipe.objective!r}; choose {', '.join(OBJECTIVES)}.")
    objective = OBJECTIVES[recipe.objective]
    fingerprint = json.dumps(dataclasses.asdict(recipe), sort_keys=True)

    torch.manual_seed(recipe.seed)
    network = build(recipe.arch, recipe.params)
    network.initialise()
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = State(network, copy.deepcopy(network).eval(), Optimizer(network, recipe))
    if request.resume and request.state.exists():
        state.load(request.state, fingerprint)

    corpus = load_corpus(request.data, recipe.folders, network.geometry.channels, recipe.holdout)
    patches = Patches(corpus.training, task, recipe.levels, network.geometry)
    request.out.parent.mkdir(parents=True, exist_ok=True)

    network.train()
    notes = tuple(f"left out: {error}" for error in corpus.unreadable)
    objectives: list[float] = []
    last_step, last_time = state.step, time.monotonic()
    last_state = last_time
    while state.step < recipe.steps:
        observed, clean = patches.batch(recipe.batch, recipe.patch, recipe.seed, state.step)
        observed = observed.to(device, memory_format=torch.channels_last)
        with autocast(device, recipe.precision):
            restored = network(observed)
        loss = objective(restored.float(), clean.to(device))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        state.optimizer.step(learning_rate(recipe, state.step))
        state.update_average(recipe.ema)
        state.step += 1
        objectives.append(loss.item())
        if not np.isfinite(objectives[-1]):
            raise RestoreError(
                f"The objective is no longer finite at step {state.step}; lower the learning rate."
            )

        finished = state.step == recipe.steps
        validates = finished or state.step % recipe.validate_every == 0
        if validates:
            levels = validate(state.average, task, recipe, corpus.holdout, request.device)
            saved = sum(levels) > state.best
            if saved:
                state.best = sum(levels)
                precisions = measure_precisions(state.average, task, recipe, corpus.holdout, request.device)
                save(state.average, request.out, make_header(recipe, state.average, precisions))
        if validates or time.monotonic() - last_state > STATE_SECONDS:
            state.save(request.state, fingerprint)
            last_state = time.monotonic()
        if validates or state.step % 100 == 0:
            elapsed = time.monotonic() - last_time
            yield Progress(
                step=state.step,
                steps=recipe.steps,
                objective=float(np.mean(objectives)),
                steps_per_s=(state.step - last_step) / max(elapsed, 1e-9),
                scores=tuple(levels) if validates else (),
                saved=validates and saved,
                notes=notes,
            )
            objectives, notes = [], ()
            last_step, last_time = state.step, time.monotonic()


def validate(
    network: Restorer,
    task: type[Task],
    recipe: Recipe,
    images: list[Image],
    device: str,
    precision: str = "fp32",
) -> list[float]:
    """Mean PSNR in dB over the images at each validation level, as benchmarks/denoise.py has it.

    The random generator starts anew with seed 0 for each image; but results are only clipped, not rounded.
    """
    settings = Settings(device=device, precision=precision)
    scores = []
    for level in recipe.validation:
        damage = task.draw(level, np.random.RandomState(0))
        values = []
        for clean in images:
            observed = damage.degrade(clean, np.random.RandomState(0))
            feed = damage.prepare(observed, recipe.levels, network.geometry.conditions)
            restored = run(network, feed.pixels, feed.conditions, settings).pixels
            values.append(psnr(damage.finish(restored), clean))
        scores.append(float(np.mean(values)))
    return scores


def measure_precisions(
    network: Restorer, task: type[Task], recipe: Recipe, images: list[Image], device: str
) -> tuple[str, ...]:
    """The precisions that cost at most 0.02 dB at every validation level."""
    exact = validate(network, task, recipe, images, device)
    fast = validate(network, task, recipe, images, device, "bf16")
    stands = all(a - b <= PRECISION_LOSS for a, b in zip(exact, fast, strict=True))
    return ("fp32", "bf16") if stands else ("fp32",)


def make_header(recipe: Recipe, network: Restorer, precisions: tuple[str, ...]) -> Header:
    """What the checkpoint says of itself."""
    values = dataclasses.asdict(recipe)
    return Header(
        task=recipe.task,
        arch=recipe.arch,
        params=dict(recipe.params),
        channels=network.geometry.channels,
        conditions=dict(recipe.levels),
        precisions=precisions,
        recipe=json.loads(json.dumps(values)),
        commit=_commit(),
    )


def _commit() -> str:
    """The commit this package runs from, or nothing where it is no checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else ""
