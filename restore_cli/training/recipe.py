"""The recipe of a training: everything that decides the resulting weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

import numpy as np

from restore_cli.degradations import Degradation, find_degradation
from restore_cli.errors import RestoreError, UsageError
from restore_cli.levels import Levels, parse_levels, to_plain_levels
from restore_cli.models.header import is_level
from restore_cli.training.checks import find_problems
from restore_cli.training.default_network import default_network, fit_conditions

LENGTH = ("steps", "minutes")  # the keys that may change when a training is resumed
_OF_PAIRS = {"scale", "damage", "blind"}  # levels that real pairs have, too
_VALIDATE_EVERY = 2000  # steps between two validations
_VALIDATIONS = 10  # in a short training

Objective = Literal["l1", "l2", "charbonnier", "psnr", "mean", "lsgan", "gan"]
OptimizerName = Literal["muon", "adamw", "adam"]
Schedule = Literal["cosine", "step", "plateau"]
Precision = Literal["auto", "bf16", "fp32"]
Augment = Literal["turn", "mirror", "none"]


@dataclass(frozen=True)
class Recipe:
    """How to train a network.

    The same recipe, data and seed give the same weights on one CPU thread.

    Attributes:
        task: name of the task; its degradation makes the observed image of each pair.
        arch, params: the network, as in weights.toml; by default that of the task's default model.
            Unless `params` contains `conditions`, the network gets as many condition planes as the
            task provides.
        init: checkpoint to start from: the full name of a model of any task, the short name of one
            of this task, or a path; by default random weights. Layers of another shape, because of
            other channels or another scale, start from scratch. Additional condition planes start
            without effect.
        folders: folders below the data folder, searched recursively; by default the data folder.
        halved: folders of images that are reduced to half size, which removes JPEG artifacts and
            noise.
        pairs: "CLEAN:DAMAGED", folders below the data folder with files of the same names; such
            pairs are used instead of the task's degradation.
        exclude: a text file below the data folder that lists images to leave out, one path relative
            to the data folder per line.
        levels: the fields of the degradation: a fixed value, [low, high] to draw from uniformly for
            each patch, or a list of words to choose from; by default the degradation's `levels`.
        validation: levels at which the held-out images are scored; by default the degradation's
            `validation`, or none for real pairs.
        steps: length of the training.
        minutes: length in minutes instead, if it is not 0; such a training can be resumed, but not
            repeated exactly. Both lengths may change when a training is resumed.
        batch: patches per step in each process.
        patch: side of a patch in pixels; each step draws one of several sides.
        detail: number of random places in an image to compare for each patch; the one with the
            most detail is used, so that less time is spent on skies and blurred backgrounds.
        augment: random changes of patches: "turn" by right angles and mirror, "mirror" left to
            right, or "none".
        gray: share of patches that are made gray, for a color network that also gets gray photos.
        enlarged: share of patches that are enlarged by up to 2; photos in the full resolution of a
            sensor are as soft.
        grain: share of patches to which noise is added before they are degraded, so that it belongs
            to the clean image; the network learns not to turn it into shapes.
        coarse: share of steps in which the network first fills deep gaps of its patches at half the
            size, as when it restores photos; for inpainting with a mask.
        accumulate: number of parts in which a batch is computed, to save memory.
        pretrain: first steps, in which the network gets the clean image, as an autoencoder, without
            a discriminator.
        pretrain_discriminator: steps after those, in which only the discriminator learns.
        validate_every: steps between two validations; 0 validates every 2000 steps and at each
            tenth of the training.
        holdout: every n-th image is held out for validation.
        objective: "l1", "l2", "charbonnier", "psnr" (the logarithm of each patch's L2, for
            degradations of very different strengths), "mean" (L1 of each patch's means, for
            measurements), or the loss of a PatchGAN plus `pixel_weight` times L1: "lsgan" with
            least squares, "gan" with cross-entropy.
        discriminator: number of convolutions of the PatchGAN, 3 to 7.
        transition: weight of the network's `penalty`, the transition regularizer of binarized
            networks.
        optimizer: "muon" (Muon for convolutions, AdamW for the rest), "adamw" or "adam".
        lr, lr_final: peak and final learning rate.
        warmup: steps in which the rate increases linearly at the beginning.
        schedule: "cosine" falls from `lr` to `lr_final`; "step" multiplies the rate by `drop` at
            each of the steps in `drop_at`; "plateau" does the same, and then multiplies it again
            whenever `patience` validations bring no improvement, until it is below `lr_final`,
            which ends the training.
        betas: of Adam and AdamW.
        weight_decay: decoupled weight decay; with it, "adam" and "adamw" are the same.
        clip: largest norm of the gradient.
        ema: decay of the moving average of the weights, which is validated and saved.
        precision: of the forward pass, "bf16" or "fp32"; "auto" is bf16 if the device computes it
            natively, because it is several times as slow as fp32 where it does not.
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
    detail: int = 1
    augment: Augment = "turn"
    gray: float = 0.0
    enlarged: float = 0.0
    grain: float = 0.0
    coarse: float = 0.0
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
    precision: Precision = "auto"
    seed: int = 0

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Recipe:
        """Read a recipe from a TOML table, and add the task's default network and levels.

        Raises:
            UsageError: keys are unknown, missing or invalid; the error lists all of them.
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
            raise UsageError(f"Invalid recipe: {'; '.join(mistakes)}.")
        return cls(**given)

    def to_plain(self) -> dict[str, Any]:
        """Return the keys as values for TOML and JSON; `parse` is the inverse."""
        levels = {
            "levels": to_plain_levels(self.levels),
            "validation": tuple(to_plain_levels(level) for level in self.validation),
        }
        return dataclasses.asdict(self) | levels

    @property
    def sides(self) -> tuple[int, ...]:
        """The sides of patches in pixels, at least one."""
        return self.patch if isinstance(self.patch, tuple) else (self.patch,)

    @property
    def adversarial(self) -> bool:
        """Whether the recipe also trains a discriminator."""
        return self.objective in ("lsgan", "gan")

    def rests(self, step: int) -> bool:
        """Return whether only the discriminator learns in a step."""
        return (
            self.adversarial and self.pretrain <= step < self.pretrain + self.pretrain_discriminator
        )

    def counts_plateaus(self, step: int) -> bool:
        """Return whether a validation after a number of steps counts for a plateau."""
        return step > max(self.drop_at, default=0)

    def done(self, step: int, seconds: float) -> float:
        """Return the share of the training that is done after these steps and seconds."""
        return seconds / (60 * self.minutes) if self.minutes else step / self.steps

    def is_over(self, step: int, rate: float) -> bool:
        """Return whether plateaus have lowered the learning rate below its final value."""
        return self.schedule == "plateau" and step > self.warmup and rate < self.lr_final

    def validates(self, step: int, before: float, done: float, spare: float) -> bool:
        """Return whether to validate after a step.

        Args:
            step: the number of steps so far.
            before, done: the share of the training that was done before and after the step.
            spare: seconds that a training by the clock has left for validations.
        """
        if self.validate_every:
            return step % self.validate_every == 0
        due = step % _VALIDATE_EVERY == 0 or int(_VALIDATIONS * done) > int(_VALIDATIONS * before)
        return due and (not self.minutes or spare >= 0)


def with_levels(validation: Sequence[Levels], trained: Mapping[str, Any]) -> tuple[Levels, ...]:
    """Return validation levels that a training has, each once.

    Args:
        validation: the levels for all trainings of a task.
        trained: values, [low, high] or lists of words. Levels outside of a range or a list are left
            out; if all are, the quarters of the range or all words replace them.
    """
    found = [dict(levels) for levels in validation]
    for key, level in trained.items():
        if not isinstance(level, (list, tuple)):
            found = [{**levels, key: level} for levels in found]
        elif level and any(key in levels for levels in found):
            within = [levels for levels in found if key not in levels or _has(level, levels[key])]
            others = [{**found[0], key: value} for value in _examples(level)]
            found = within or others
    return tuple(one for number, one in enumerate(found) if one not in found[:number])


def _has(level: Sequence[Any], value: Any) -> bool:
    """Return whether a range or a list of words contains a value."""
    words = any(isinstance(end, str) for end in level)
    return str(value) in level if words else bool(level[0] <= value <= level[-1])


def _examples(level: Sequence[Any]) -> Sequence[Any]:
    """Return the inner quarters and the end of a range, or the words of a list."""
    if any(isinstance(end, str) for end in level):
        return level
    low, high = level[0], level[-1]
    return [float(f"{low + (high - low) * share:.3g}") for share in (0.25, 0.5, 1)]


def _complete(given: dict[str, Any], fits_network: bool) -> Iterator[str]:
    """Parse the levels, and add default levels and the default network to the keys of a recipe.

    Yields:
        The problems with the levels and the network.
    """
    task, kind = given["task"], find_degradation(given["task"])
    real = given.get("pairs") and not given.get("folders")  # real pairs have no levels
    trained = given.get("levels") or kind.levels
    own = given.get("levels") or {}
    validation: Sequence[Levels]
    if real:
        fixed = {
            key: own[key] for key in _OF_PAIRS if not isinstance(own.get(key, ()), (list, tuple))
        }
        validation = (fixed,)
    else:
        validation = given.get("validation") or with_levels(kind.validation, own)
    parsed = []
    for levels in (trained, *validation):
        try:
            parsed.append(_parse_levels(kind, levels))
        except (UsageError, TypeError, ValueError, LookupError, OverflowError) as error:
            yield f"{task} does not accept the levels {levels}: {error}".rstrip(".")
            if levels is trained and not given.get("validation"):
                break  # the levels of the validation follow from these
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
    """Parse levels, and draw a degradation from them.

    Raises:
        UsageError, TypeError, ValueError, LookupError, OverflowError: the levels are invalid.
    """
    named = [item.name for item in dataclasses.fields(kind)]
    if unknown := [key for key in table if key not in named]:
        raise ValueError(f"unknown {', '.join(unknown)}; available: {', '.join(named)}")
    levels = parse_levels(table)
    drawn = kind.draw(levels, np.random.default_rng(0))
    for key, level in to_plain_levels(levels).items():
        if not is_level(key, level):  # another draw or the checkpoint's header would fail
            raise ValueError(f"{level!r} is not a valid {key}")
    return levels, drawn
