"""How a training scores its network on held-out images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from restore_cli.degradations import Image
from restore_cli.engine import Settings, run
from restore_cli.levels import Levels
from restore_cli.network import Restorer
from restore_cli.tasks import Task, find_task
from restore_cli.training.damage import draw, make_pair, prepare
from restore_cli.training.recipe import Recipe
from restore_cli.training.samples import Sample, to_float

_SAMPLE_IMAGES = 3  # held-out images of which a log shows pictures


@dataclass(frozen=True)
class Validation:
    """Scores of held-out images at each level; and some of them, damaged, restored and clean."""

    scores: tuple[float, ...] = ()
    inputs: tuple[float, ...] = ()
    pictures: tuple[tuple[Image, Image, Image], ...] = ()


def validate(
    network: Restorer,
    recipe: Recipe,
    samples: list[Sample],
    device: torch.device,
    precision: str = "fp32",
    watch: Callable[[str], None] = lambda doing: None,
) -> Validation:
    """Score a network by its task's protocol, as mean PSNR in dB at each validation level.

    The random generator starts again with seed 0 for each image. `watch` gets "validating 5 of 12"
    before each image.
    """
    kind = find_task(recipe.task)
    settings = Settings(device=str(device), precision=precision)
    scores: list[float] = []
    inputs: list[float] = []
    pictures: list[tuple[Image, Image, Image]] = []
    number = len(recipe.validation) * len(samples)
    for level in recipe.validation:
        drawn = draw(kind, level, np.random.RandomState(0))
        rows: list[tuple[float, float]] = []
        for sample in samples:
            watch(f"validating {len(scores) * len(samples) + len(rows) + 1} of {number}")
            clean = drawn.fit(to_float(sample.clean))
            damaged = None if sample.damaged is None else to_float(sample.damaged)
            task, observed, clean = make_pair(drawn, clean, damaged, np.random.RandomState(0))
            restored = _restore(task, observed, network, recipe.levels, settings)
            before = task.plain(observed)
            rows.append((task.score(restored, clean), task.score(before, clean)))
            if len(pictures) < _SAMPLE_IMAGES:
                pictures.append((before, restored, clean))
        after_mean, before_mean = np.mean(rows, axis=0).tolist()
        scores.append(after_mean)
        inputs.append(before_mean)
    return Validation(tuple(scores), tuple(inputs), tuple(pictures))


def _restore(
    task: Task, observed: Image, network: Restorer, levels: Levels, settings: Settings
) -> Image:
    """What the network, trained for these levels, makes of an observed image."""
    feed = prepare(task, observed, levels, network.geometry)
    output = run(network, feed.pixels, feed.conditions, settings).pixels
    return task.finish(output, observed)
