"""A training recipe: all that decides what comes out of a training, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from restore_cli.errors import UsageError

Levels = Mapping[str, Any]  # a task's options: each one fixed value, or [low, high] to draw from uniformly

_TOML_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "Mapping[str, Any]": (dict,),
    "Levels": (dict,),
    "tuple[str, ...]": (list, tuple),
    "tuple[Levels, ...]": (list, tuple),
}


@dataclass(frozen=True)
class Recipe:
    """How to train a network; the same recipe, data and seed on one CPU thread give the same weights.

    Attributes:
        task: name of the task whose `degrade` makes the observed side of each pair.
        arch, params: the network, as in weights.toml.
        folders: folders below the data folder, searched for images recursively.
        levels: the task's options; a fixed value, or [low, high] to draw uniformly for each patch.
        steps, batch, patch: length, patches a step, side of a patch in pixels.
        validation: levels at which the held-out images are scored.
        validate_every: steps between two validations.
        holdout: every n-th image is kept out of the training, for validation.
        objective: "l1", "l2" or "charbonnier".
        optimizer: "muon" (convolutions by Muon, the rest by AdamW), "adamw" or "adam".
        lr, lr_final, warmup: peak and last learning rate of a cosine, after a linear warm-up in steps.
        weight_decay, clip: decoupled weight decay, and the largest norm of the gradient.
        ema: decay of the moving average of the weights, which is what gets validated and kept.
        precision: of the forward pass, "bf16" or "fp32".
        seed: of initial weights, patches and degradations.
    """

    task: str
    arch: str
    params: Mapping[str, Any]
    folders: tuple[str, ...]
    levels: Levels
    steps: int
    validation: tuple[Levels, ...]
    batch: int = 16
    patch: int = 64
    validate_every: int = 2000
    holdout: int = 24
    objective: str = "l1"
    optimizer: str = "muon"
    lr: float = 2e-3
    lr_final: float = 0.0
    warmup: int = 100
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.999
    precision: str = "bf16"
    seed: int = 0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Recipe:
        """Read a recipe from a TOML table, strictly.

        Raises:
            UsageError: names all unknown, missing and mistyped keys at once.
        """
        known = {item.name: item for item in dataclasses.fields(cls)}
        problems = [f"unknown key {key!r}" for key in values if key not in known]
        problems += [
            f"missing key {name!r}"
            for name, item in known.items()
            if item.default is dataclasses.MISSING and name not in values
        ]
        problems += [
            f"{key} must be {known[key].type}, not {value!r}"
            for key, value in values.items()
            if key in known and not isinstance(value, _TOML_TYPES[str(known[key].type)])
        ]
        if problems:
            raise UsageError(f"The recipe has mistakes: {'; '.join(problems)}.")
        given: dict[str, Any] = {}
        for key, value in values.items():
            given[key] = tuple(value) if isinstance(value, list) else value
        return cls(**given)
