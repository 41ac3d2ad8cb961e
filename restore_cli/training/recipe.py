"""A training recipe: all that decides what comes out of a training, as data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
import torch

from restore_cli.archs import build
from restore_cli.degradations import MEASURES, find_degradation
from restore_cli.errors import RestoreError, UsageError, WeightsError
from restore_cli.image import Picture
from restore_cli.levels import parse_levels, to_plain
from restore_cli.models import catalog
from restore_cli.models.header import is_level
from restore_cli.tasks import TASKS, Task
from restore_cli.tasks.restoration import Trained

Levels = Mapping[str, Any]  # a task's fields, as `Task.draw` takes them

LENGTH = ("steps", "minutes")  # what may change when a training is resumed
VALIDATE_EVERY, VALIDATIONS = (
    2000,
    10,
)  # steps between two validations, and how many a short training has
HOUSE: tuple[str, Mapping[str, Any]] = (  # the network of a task that has no model yet
    "unet:UNet",
    {"channels": 3, "widths": [32, 64, 96, 128, 160], "unshuffle": 1},
)

CHOICES = {
    "task": (*TASKS, *MEASURES),
    "objective": ("l1", "l2", "charbonnier", "psnr", "mean", "lsgan", "gan"),
    "optimizer": ("muon", "adamw", "adam"),
    "schedule": ("cosine", "step", "plateau"),
    "precision": ("bf16", "fp32"),
    "augment": ("turn", "mirror", "none"),
}
_LARGEST = 2**53  # of whole numbers
_BOUNDS: dict[str, tuple[float, float]] = {  # lowest and highest, where they are not 0 and any
    "steps": (1, _LARGEST),
    "batch": (1, _LARGEST),
    "patch": (1, _LARGEST),
    "gray": (0, 1),
    "enlarged": (0, 1),
    "accumulate": (1, _LARGEST),
    "holdout": (2, _LARGEST),
    "drop": (0, 1),
    "patience": (1, _LARGEST),
    "discriminator": (3, 7),
    "betas": (0, 0.99999),
    "ema": (0, 0.99999),
}
_MAY_BE_INFINITE = {"clip"}
_FOLDERS = {"folders", "halved", "pairs"}
_TOML_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (int, float),
    "Mapping[str, Any]": (dict,),
    "Levels": (dict,),
}


def _problems(key: str, value: Any, kind: str) -> Iterator[str]:
    """What is wrong with the value of a key of a recipe, whose annotation is `kind`."""
    one, _, several = kind.partition(" | ")  # "int | tuple[int, ...]" takes one or a list of some
    if several:
        kind = several if isinstance(value, (list, tuple)) else one
        if value in ([], ()):
            yield f"{key} must not be empty"
    if kind.startswith("tuple["):
        if not isinstance(value, (list, tuple)):
            yield f"{key} must be a list, not {value!r}"
            return
        for item in value:
            yield from _problems(key, item, kind.removeprefix("tuple[").removesuffix(", ...]"))
        if key == "betas" and len(value) != 2:
            yield f"betas must be two numbers, not {len(value)}"
    elif not isinstance(value, _TOML_TYPES[kind]) or isinstance(value, bool):
        yield f"{key} must be {kind}, not {value!r}"
    elif key in CHOICES and value not in CHOICES[key]:
        yield f"{key} must be one of {', '.join(CHOICES[key])}, not {value!r}"
    elif isinstance(value, (int, float)):
        low, high = _BOUNDS.get(key, (0, _LARGEST if isinstance(value, int) else math.inf))
        if value in (math.inf, -math.inf) or value != value:
            if value != math.inf or key not in _MAY_BE_INFINITE:
                yield f"{key} must be a finite number, not {value}"
        elif value < low:
            yield f"{key} must be at least {low:g}, not {value}"
        elif value > high:
            yield f"{key} must be at most {high:g}"
    elif key in _FOLDERS and isinstance(value, str):
        if any(PurePath(part).is_absolute() for part in value.split(":")):
            yield f"{key} must lie below --data, unlike {value!r}"
        if key == "pairs" and not all(value.partition(":")):
            yield f"pairs must be CLEAN:DAMAGED, not {value!r}"


def _own_network(task: str, levels: Levels) -> tuple[str, Mapping[str, Any]]:
    """Architecture and parameters of the task's own model for color, of the scale that is trained
    for.
    """
    scale = levels.get("scale", 1)
    try:
        found = catalog.choose(None, task, 3, scale if isinstance(scale, (int, float)) else 1)
    except UsageError:
        return HOUSE
    assert isinstance(found, catalog.Entry)
    return found.arch, found.params


def _fit_conditions(
    task: Task, levels: Levels, arch: str, params: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The parameters, with as many condition planes as the task gives, unless they state their
    number.

    Raises:
        WeightsError, UsageError: there is no such network, or none for pictures.
    """
    with torch.device("meta"):  # without memory
        geometry = build(arch, params).geometry
        if geometry.channels not in (1, 3):
            raise UsageError(f"The network has {geometry.channels} channels; give it 1 or 3.")
        blank = Picture(np.zeros((16, 16, geometry.channels), np.float32))
        fed = task.prepare(blank, Trained(parse_levels(levels), geometry))
        given = len(fed.conditions) if fed else 0
        if "conditions" in params or given == geometry.conditions:
            return params
        try:
            build(arch, {**params, "conditions": given})
        except WeightsError:  # not for this network to choose
            return params
    return {**params, "conditions": given}


@dataclass(frozen=True)
class Recipe:
    """How to train a network; the same recipe, data and seed on one CPU thread give the same
    weights.

    Attributes:
        task: name of the task whose `degrade` makes the observed side of each pair.
        arch, params: the network, as in weights.toml; by default that of the task's own model. A
            network that takes condition planes gets as many as the task gives, unless `conditions`
            says how many.
        init: name or path of a checkpoint to start from; by default the network's own initial
            weights. Layers whose shape depends on channels or scale start from scratch where that
            differs; added condition planes start without effect.
        folders: folders below the data folder, searched for images recursively; all of it if there
            are none.
        halved: folders whose images are taken at half their size, where traces of JPEG and noise
            are gone.
        pairs: "CLEAN:DAMAGED", folders below the data folder whose files pair up by their names:
            real damage in place of the task's.
        exclude: a file below the data folder that lists images, paths below it one a line, that are
            left out.
        levels: the task's fields: a fixed value, [low, high] to draw uniformly for each patch, or
            words to draw one from; by default the task's own.
        validation: levels at which the held-out images are scored; by default the task's own, or
            none for real pairs.
        steps: length. minutes: length by the clock instead, where it is not 0; such a training is
            resumed, but not repeated exactly. Both may change when a training is resumed.
        batch, patch: patches a step for each process, and their side in pixels; of several sides
            each step draws one.
        augment: what is done to patches at random: "turn" by right angles and mirror them, "mirror"
            them left to right, or "none".
        gray: share of the patches that lose their colour, for a network in colour that gets gray
            photos, too.
        enlarged: share of the patches that are enlarged, up to twice; photos in the full size of
            their sensors are as soft.
        grain: share of the patches that are given noise before they are damaged, which is to stay,
            for a network that must not make shapes of it.
        accumulate: parts in which a batch is computed, to save memory.
        pretrain: steps at the beginning in which the network is given the clean image, as an
            autoencoder.
        pretrain_discriminator: steps after those in which the discriminator alone learns.
        validate_every: steps between two validations; 0 is 2000, and at each tenth of the training.
        holdout: every n-th image is kept out of the training, for validation.
        objective: "l1", "l2", "charbonnier", "psnr" (the logarithm of each patch's L2, for damage
            of many strengths), "mean" (L1 of each patch's means, for measures), or that of a
            PatchGAN plus
            `pixel_weight` times L1: "lsgan", its least squares, or "gan", the Jensen-Shannon
                divergence of
            the first ones.
        discriminator: convolutions of the PatchGAN, 3 to 7.
        transition: weight of the transition regularizer of binarized networks.
        optimizer: "muon" (convolutions by Muon, the rest by AdamW), "adamw" or "adam".
        lr, lr_final, warmup: peak and last learning rate, after a linear warm-up in steps.
        schedule: "cosine" from `lr` to `lr_final`; "step" multiplies the rate by `drop` after each
            of the steps in `drop_at`; "plateau" does so too, and after the last of them again
            whenever `patience` validations have brought nothing better; it ends when the rate is
            below `lr_final`.
        betas: of Adam and AdamW.
        weight_decay, clip: decoupled weight decay, and the largest norm of the gradient.
        ema: decay of the moving average of the weights, which is what gets validated and kept.
        precision: of the forward pass, "bf16" or "fp32".
        seed: of initial weights, patches and degradations.
    """

    task: str
    arch: str = ""
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
    patch: int | tuple[int, ...] = 64
    augment: str = "turn"
    gray: float = 0.0
    enlarged: float = 0.0
    grain: float = 0.0
    accumulate: int = 1
    pretrain: int = 0
    pretrain_discriminator: int = 0
    validate_every: int = 0
    holdout: int = 24
    objective: str = "l1"
    pixel_weight: float = 100.0
    discriminator: int = 5
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
        """Read a recipe from a TOML table, strictly; what it leaves out of levels is the task's
        own.

        Raises:
            UsageError: names all unknown, missing and impossible keys at once.
        """
        known = {item.name: str(item.type) for item in dataclasses.fields(cls)}
        problems = {
            key: list(_problems(key, value, known[key]))
            for key, value in values.items()
            if key in known
        }
        told = [f"unknown key {key!r}" for key in values if key not in known]
        told += [f"missing key {key!r}" for key in ("task",) if key not in values]
        told += [problem for found in problems.values() for problem in found]
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }

        def sound(*keys: str) -> bool:
            return not any(problems.get(key) for key in keys)

        if "task" in given and sound("task", "levels", "validation", "folders", "pairs"):
            task = find_degradation(given["task"])
            given["levels"] = given.get("levels") or {
                key: to_plain(level) for key, level in task.levels.items()
            }
            real = given.get("pairs") and not given.get("folders")  # whose damage has no levels
            own = ({},) if real else tuple(dict(level) for level in task.validation)
            given["validation"] = given.get("validation") or own
            drawn, named = [], [item.name for item in dataclasses.fields(task)]
            for levels in (given["levels"], *given["validation"]):
                try:
                    if strange := [key for key in levels if key not in named]:
                        raise ValueError(f"it has no {', '.join(strange)}, but {', '.join(named)}")
                    made = task.draw(levels, np.random.default_rng(0))
                    for key, level in levels.items():
                        if not is_level(key, level):  # another draw would fail, or the checkpoint
                            raise ValueError(f"{key} cannot be {level!r}")
                    drawn.append(made)
                except (UsageError, TypeError, ValueError, LookupError, OverflowError) as error:
                    told.append(
                        f"{given['task']} cannot have the levels {levels}: {error}".rstrip(".")
                    )
            if sound("arch", "params") and len(drawn) == 1 + len(given["validation"]):
                params = given.get("params", {})
                if not given.get("arch"):
                    given["arch"], usual = _own_network(given["task"], given["levels"])
                    params = {**usual, **params}
                try:
                    given["params"] = _fit_conditions(
                        drawn[0].task(), given["levels"], given["arch"], params
                    )
                except RestoreError as error:
                    told.append(str(error).rstrip("."))
        if told:
            raise UsageError(f"The recipe has mistakes: {'; '.join(told)}.")
        return cls(**given)

    @property
    def sides(self) -> tuple[int, ...]:
        """Of the patches, in pixels, at least one."""
        return self.patch if isinstance(self.patch, tuple) else (self.patch,)

    @property
    def adversarial(self) -> bool:
        """Whether a discriminator is trained, too."""
        return self.objective in ("lsgan", "gan")

    def rests(self, step: int) -> bool:
        """Whether the network rests in a step, while its discriminator learns."""
        return (
            self.adversarial and self.pretrain <= step < self.pretrain + self.pretrain_discriminator
        )

    def counts_plateaus(self, step: int) -> bool:
        """Whether a validation after so many steps counts for a plateau."""
        return step > max(self.drop_at, default=0)

    def done(self, step: int, seconds: float) -> float:
        """How much of the training is done after these steps, which took these seconds: 1 at its
        end.
        """
        return seconds / (60 * self.minutes) if self.minutes else step / self.steps

    def is_over(self, step: int, rate: float) -> bool:
        """Whether plateaus have brought the learning rate to its end."""
        return self.schedule == "plateau" and step > self.warmup and rate < self.lr_final

    def validates(self, step: int, before: float, done: float, spare: float) -> bool:
        """Whether to validate after a step, which took the training from one share that is done to
        another.

        Args:
            spare: seconds that a training by the clock has for it.
        """
        if self.validate_every:
            return step % self.validate_every == 0
        due = step % VALIDATE_EVERY == 0 or int(VALIDATIONS * done) > int(VALIDATIONS * before)
        return due and (not self.minutes or spare >= 0)
