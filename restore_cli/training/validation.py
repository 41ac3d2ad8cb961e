"""Scores the network of a training on held-out images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from restore_cli.degradations import find_degradation
from restore_cli.engine import Settings
from restore_cli.image import Picture, Pixels
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.models.header import Header
from restore_cli.network import Restorer
from restore_cli.pipeline.apply import restore_fully
from restore_cli.training.recipe import Recipe
from restore_cli.training.samples import Sample, to_float

_SAMPLE_IMAGES = 3  # held-out images that a log shows
_PERFECT = 60.0  # dB; the score of an unchanged image is infinite


@dataclass(frozen=True)
class Validation:
    """Mean scores of held-out images at each level, and sample images.

    Attributes:
        scores, inputs: mean PSNR in dB of the restored and of the degraded images, one per level;
            an image counts with at most 60 dB.
        pictures: some images: degraded, restored and clean.
    """

    scores: tuple[float, ...] = ()
    inputs: tuple[float, ...] = ()
    pictures: tuple[tuple[Pixels, Pixels, Pixels], ...] = ()

    @property
    def total(self) -> float:
        """The sum over the levels, by which checkpoints of a training are compared."""
        return sum(self.scores)


def validate(
    network: Restorer,
    recipe: Recipe,
    samples: list[Sample],
    device: torch.device,
    precision: str = "fp32",
    watch: Callable[[int, int], None] = lambda image, images: None,
) -> Validation:
    """Score a network by its degradation's protocol: mean PSNR in dB at each validation level.

    The random generator restarts with seed 0 for each image.

    Args:
        watch: called with the number of each image, and of all, before it is restored.
    """
    kind, model = find_degradation(recipe.task), _as_model(network, recipe)
    settings = Settings(device=str(device), precision=precision)
    scores: list[float] = []
    inputs: list[float] = []
    pictures: list[tuple[Pixels, Pixels, Pixels]] = []
    number = len(recipe.validation) * len(samples)
    for level in recipe.validation:
        damage = kind.draw(level, np.random.RandomState(0))
        rows: list[tuple[float, ...]] = []
        for sample in samples:
            watch(len(scores) * len(samples) + len(rows) + 1, number)
            clean = damage.crop_to_scale(to_float(sample.clean))
            if sample.damaged is None:
                task, observed, clean = damage.pair(clean, np.random.RandomState(0))
            else:
                task, observed, clean = damage.real_pair(clean, to_float(sample.damaged))
            restored = restore_fully(Picture(observed), task, model, settings)
            before = task.unrestored(observed)
            both = (damage.score(image, clean) for image in (restored, before))
            rows.append(tuple(min(score, _PERFECT) for score in both))
            if len(pictures) < _SAMPLE_IMAGES:
                pictures.append((before, restored, clean))
        after_mean, before_mean = np.mean(rows, axis=0).tolist()
        scores.append(after_mean)
        inputs.append(before_mean)
    return Validation(tuple(scores), tuple(inputs), tuple(pictures))


def _as_model(network: Restorer, recipe: Recipe) -> Checkpoint:
    """Wrap the network as a model, which tasks can run."""
    header = Header(
        task=recipe.task,
        arch=recipe.arch,
        params=recipe.params,
        channels=network.geometry.channels,
        conditions=recipe.levels,
    )
    return Checkpoint("this network", network, header)
