"""A training recipe: all that decides what comes out of a training, as data."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

import numpy as np

from restore_cli.degradations import Degradation, find_degradation
from restore_cli.errors import RestoreError, UsageError
from restore_cli.levels import Levels, parse_levels
from restore_cli.models.header import is_level
from restore_cli.training.checks import find_problems
from restore_cli.training.default_network import default_network, fit_conditions
from restore_cli.training.network_input import plain

LENGTH = ("steps", "minutes")  # what may change when a training is resumed
_VALIDATE_EVERY = 2000  # steps between two validations
_VALIDATIONS = 10  # of a short training

Objective = Literal["l1", "l2", "charbonnier", "psnr", "mean", "lsgan", "gan"]
OptimizerName = Literal["muon", "adamw", "adam"]
Schedule = Literal["cosine", "step", "plateau"]
Precision = Literal["bf16", "fp32"]
Augment = Literal["turn", "mirror", "none"]


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
        gray: share of the patches that lose their color, for a network in color that gets gray
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
            PatchGAN plus `pixel_weight` times L1: "lsgan", its least squares, or "gan", the
            Jensen-Shannon divergence of the first ones.
        discriminator: convolutions of the PatchGAN, 3 to 7.
        transition: weight of the network's `penalty`: the transition regularizer of binarized ones.
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
    augment: Augment = "turn"
    gray: float = 0.0
    enlarged: float = 0.0
    grain: float = 0.0
    accumulate: int = 1
    pretrain: int = 0
    pretrain_discriminator: int = 0
    validate_every: int = 0
    holdout: int = 24
    objective: Objective = "l1"
    pixel_weight: float = 100.0
    discriminator: int = 5
    transition: float = 0.0
    optimizer: OptimizerName = "muon"
    lr: float = 2e-3
    lr_final: float = 0.0
    warmup: int = 100
    schedule: Schedule = "cosine"
    drop_at: tuple[int, ...] = ()
    drop: float = 0.2
    patience: int = 10
    betas: tuple[float, ...] = (0.9, 0.99)
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.999
    precision: Precision = "bf16"
    seed: int = 0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Recipe:
        """Read a recipe from a TOML table, strictly; what it leaves out of levels is the task's
        own.

        Raises:
            UsageError: names all unknown, missing and impossible keys at once.
        """
        hints = get_type_hints(cls)
        problems = find_problems(values, hints)
        mistakes = [f"unknown key {key!r}" for key in values if key not in hints]
        mistakes += [] if "task" in values else ["missing key 'task'"]
        mistakes += [problem for found in problems.values() for problem in found]
        unsound = {key for key, found in problems.items() if found}
        given: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        if "task" in given and not unsound & {"task", "levels", "validation", "folders", "pairs"}:
            mistakes += _complete(given, fits_network=not unsound & {"arch", "params"})
        if mistakes:
            raise UsageError(f"The recipe has mistakes: {'; '.join(mistakes)}.")
        return cls(**given)

    def to_plain(self) -> dict[str, Any]:
        """The keys as TOML and JSON hold them, of which `parse` makes the same recipe."""
        levels = {
            "levels": plain(self.levels),
            "validation": tuple(plain(level) for level in self.validation),
        }
        return dataclasses.asdict(self) | levels

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
        due = step % _VALIDATE_EVERY == 0 or int(_VALIDATIONS * done) > int(_VALIDATIONS * before)
        return due and (not self.minutes or spare >= 0)


def _complete(given: dict[str, Any], fits_network: bool) -> Iterator[str]:
    """Parse the levels, and put in those and the network where the keys of a recipe leave them out.

    Returns:
        What is wrong with them.
    """
    task, kind = given["task"], find_degradation(given["task"])
    real = given.get("pairs") and not given.get("folders")  # whose damage has no levels
    trained = given.get("levels") or kind.levels
    validation = given.get("validation") or (({},) if real else kind.validation)
    parsed = []
    for levels in (trained, *validation):
        try:
            parsed.append(_parse_levels(kind, levels))
        except (UsageError, TypeError, ValueError, LookupError, OverflowError) as error:
            yield f"{task} cannot have the levels {levels}: {error}".rstrip(".")
    if len(parsed) < 1 + len(validation):
        return
    (given["levels"], drawn), *others = parsed
    given["validation"] = tuple(levels for levels, _ in others)
    if fits_network:
        params = given.get("params", {})
        if not given.get("arch"):
            given["arch"], usual = default_network(task, given["levels"])
            params = {**usual, **params}
        try:
            given["params"] = fit_conditions(drawn.task(), given["levels"], given["arch"], params)
        except RestoreError as error:
            yield str(error).rstrip(".")


def _parse_levels(kind: type[Degradation], table: Mapping[str, Any]) -> tuple[Levels, Degradation]:
    """Levels that a degradation and a checkpoint can have, and the one with some that are drawn.

    Raises:
        UsageError, TypeError, ValueError, LookupError, OverflowError: they cannot have them.
    """
    named = [item.name for item in dataclasses.fields(kind)]
    if strange := [key for key in table if key not in named]:
        raise ValueError(f"it has no {', '.join(strange)}, but {', '.join(named)}")
    levels = parse_levels(table)
    drawn = kind.draw(levels, np.random.default_rng(0))
    for key, level in plain(levels).items():
        if not is_level(key, level):  # another draw would fail, or the checkpoint
            raise ValueError(f"{key} cannot be {level!r}")
    return levels, drawn
