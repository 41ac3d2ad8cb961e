"""A training recipe: all that decides what comes out of a training, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from restore_cli.archs import build
from restore_cli.errors import UsageError, WeightsError
from restore_cli.tasks import MEASURES, TASKS, find_task

Levels = Mapping[str, Any]  # a task's fields, as `Task.draw` takes them

CHOICES = {
    "task": (*TASKS, *MEASURES),
    "objective": ("l1", "l2", "charbonnier", "psnr", "lsgan"),
    "optimizer": ("muon", "adamw", "adam"),
    "schedule": ("cosine", "step", "plateau"),
    "precision": ("bf16", "fp32"),
}
_AT_LEAST_ONE = {"steps", "batch", "patch", "validate_every", "accumulate", "patience"}
_TOML_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "Mapping[str, Any]": (dict,),
    "Levels": (dict,),
    "tuple[int, ...]": (list, tuple),
    "tuple[float, ...]": (list, tuple),
    "tuple[str, ...]": (list, tuple),
    "tuple[Levels, ...]": (list, tuple),
}


def _problems(key: str, value: Any, kind: str) -> list[str]:
    if not isinstance(value, _TOML_TYPES[kind]) or isinstance(value, bool):
        return [f"{key} must be {kind}, not {value!r}"]
    if key in CHOICES and value not in CHOICES[key]:
        return [f"{key} must be one of {', '.join(CHOICES[key])}, not {value!r}"]
    if key in _AT_LEAST_ONE and isinstance(value, int) and value < 1:
        return [f"{key} must be at least 1, not {value}"]
    return []


@dataclass(frozen=True)
class Recipe:
    """How to train a network; the same recipe, data and seed on one CPU thread give the same weights.

    Attributes:
        task: name of the task whose `degrade` makes the observed side of each pair.
        arch, params: the network, as in weights.toml.
        init: name or path of a checkpoint to start from; by default the network's own initial weights. Layers
            whose shape hangs on channels, conditions or scale begin anew where that differs.
        folders: folders below the data folder, searched for images recursively; all of it if there are none.
        halved: folders whose images are taken at half their size, where traces of JPEG and noise are gone.
        pairs: "CLEAN:DAMAGED", folders below the data folder whose files pair up by their names: real damage
            in place of the task's.
        exclude: a file below the data folder that lists images, paths below it one a line, that are left out.
        levels: the task's fields: a fixed value, [low, high] to draw uniformly for each patch, or words to
            draw one from; by default the task's own.
        validation: levels at which the held-out images are scored; by default the task's own, or none for
            real pairs.
        steps: length. minutes: length by the clock instead, where it is not 0; such a training is resumed,
            but not repeated exactly.
        batch, patch: patches a step for each process, and their side in pixels.
        gray: share of the patches that lose their colour, for a network in colour that gets gray photos, too.
        enlarged: share of the patches that are enlarged, up to twice; photos in the full size of their
            sensors are as soft.
        grain: share of the patches that are given noise before they are damaged, which is to stay, for a
            network that must not make shapes of it.
        accumulate: parts in which a batch is computed, to save memory.
        pretrain: steps at the beginning in which the network is given the clean image, as an autoencoder.
        validate_every: steps between two validations.
        holdout: every n-th image is kept out of the training, for validation.
        objective: "l1", "l2", "charbonnier", "psnr" (the logarithm of each patch's L2, for damage of many
            strengths), or "lsgan": that of a PatchGAN plus `pixel_weight` times L1.
        transition: weight of the transition regularizer of binarized networks.
        optimizer: "muon" (convolutions by Muon, the rest by AdamW), "adamw" or "adam".
        lr, lr_final, warmup: peak and last learning rate, after a linear warm-up in steps.
        schedule: "cosine" from `lr` to `lr_final`; "step" multiplies the rate by `drop` after each of the
            steps in `drop_at`; "plateau" does so too, and again whenever `patience` validations have brought
            nothing better; it ends when the rate is below `lr_final`.
        betas: of Adam and AdamW.
        weight_decay, clip: decoupled weight decay, and the largest norm of the gradient.
        ema: decay of the moving average of the weights, which is what gets validated and kept.
        precision: of the forward pass, "bf16" or "fp32".
        seed: of initial weights, patches and degradations.
    """

    task: str
    arch: str
    params: Mapping[str, Any] = field(default_factory=dict)
    init: str = ""
    folders: tuple[str, ...] = ()
    halved: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    exclude: str = ""
    levels: Levels = field(default_factory=dict)
    validation: tuple[Levels, ...] = ()
    steps: int = 10_000
    minutes: float = 0.0
    batch: int = 16
    patch: int = 64
    gray: float = 0.0
    enlarged: float = 0.0
    grain: float = 0.0
    accumulate: int = 1
    pretrain: int = 0
    validate_every: int = 2000
    holdout: int = 24
    objective: str = "l1"
    pixel_weight: float = 100.0
    transition: float = 0.0
    optimizer: str = "muon"
    lr: float = 2e-3
    lr_final: float = 0.0
    warmup: int = 100
    schedule: str = "cosine"
    drop_at: tuple[int, ...] = ()
    drop: float = 0.2
    patience: int = 10
    betas: tuple[float, ...] = (0.9, 0.99)
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.999
    precision: str = "bf16"
    seed: int = 0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Recipe:
        """Read a recipe from a TOML table, strictly; what it leaves out of levels is the task's own.

        Raises:
            UsageError: names all unknown, missing and impossible keys at once.
        """
        known = {item.name: str(item.type) for item in dataclasses.fields(cls)}
        problems = [f"unknown key {key!r}" for key in values if key not in known]
        problems += [f"missing key {key!r}" for key in ("task", "arch") if key not in values]
        for key, value in values.items():
            problems += _problems(key, value, known[key]) if key in known else []
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        if not problems:
            task = find_task(values["task"])
            given["levels"] = given.get("levels") or dict(task.levels)
            real = given.get("pairs") and not given.get("folders")  # whose damage has no levels
            own = ({},) if real else tuple(dict(level) for level in task.validation)
            given["validation"] = given.get("validation") or own
            for levels in (given["levels"], *given["validation"]):
                try:
                    task.draw(levels, np.random.default_rng(0))
                except (UsageError, TypeError, ValueError, IndexError) as error:
                    problems.append(f"{task.name} cannot have the levels {levels}: {error}".rstrip("."))
            try:
                with torch.device("meta"):  # without memory
                    build(values["arch"], values.get("params", {}))
            except WeightsError as error:
                problems.append(str(error).rstrip("."))
        if problems:
            raise UsageError(f"The recipe has mistakes: {'; '.join(problems)}.")
        return cls(**given)

    def done(self, step: int, seconds: float) -> float:
        """How much of the training is done after these steps, which took these seconds: 1 at its end."""
        return seconds / (60 * self.minutes) if self.minutes else step / self.steps

    def is_over(self, step: int, rate: float) -> bool:
        """Whether plateaus have brought the learning rate to its end."""
        return self.schedule == "plateau" and step > self.warmup and rate < self.lr_final
