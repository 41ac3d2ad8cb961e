"""The state of a running training: saved every few minutes, and resumed exactly."""

from __future__ import annotations

import hashlib
import json
import math
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as serialize
from torch import Tensor

from restore_cli.atomic import write_whole
from restore_cli.errors import WeightsError
from restore_cli.models.header import FORMAT, renew_params
from restore_cli.network import Restorer
from restore_cli.tables import fill_in
from restore_cli.training.objectives import Adversary
from restore_cli.training.optimizer import Optimizer
from restore_cli.training.recipe import LENGTH, Recipe

# Errors that reading a truncated, damaged or unrelated file can raise.
_DAMAGE = (
    OSError,
    SafetensorError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    RuntimeError,
)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay Ctrl-C, SIGTERM and SIGHUP until the block ends; a second signal is not delayed.

    Only signals with a Python handler are delayed, not those that end the process. If the block
    fails, the handler runs instead of the error, which the signal may have caused.
    """
    if threading.current_thread() is not threading.main_thread():  # only it receives signals
        yield
        return
    numbers = [
        getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
    ]
    set_up = ((number, signal.getsignal(number)) for number in numbers)
    answers = {int(number): answer for number, answer in set_up if callable(answer)}
    came: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            answers[number](number, frame)

    for number in answers:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, answer in answers.items():
            signal.signal(number, answer)
        if len(came) == 1:
            answers[came[0]](came[0], None)


@dataclass
class Moment:
    """The numbers of a training's state.

    Attributes:
        step, seconds: steps and time so far.
        best: score of the best validation.
        stale: validations since then.
        drops: how often a plateau has lowered the learning rate.
        over: whether plateaus have ended the training.
        due: whether the validation of this step is not done yet.
        held: digest of the validation images, to which `best` belongs; empty if it is not known.
    """

    step: int = 0
    seconds: float = 0.0
    best: float = float("-inf")
    stale: int = 0
    drops: int = 0
    over: bool = False
    due: bool = False
    held: str = ""

    def validate_on(self, held: str) -> bool:
        """Note the digest of the validation images; other ones make `best` meaningless.

        Returns:
            Whether they are others than before.
        """
        changed = self.held not in ("", held)
        if changed:
            self.best, self.stale = float("-inf"), 0
        self.held = held
        return changed

    def record_score(self, score: float, patience: int, counts: bool = True) -> bool:
        """Record the score of a validation; `patience` of them without a new best lower the rate.

        Args:
            counts: whether the validation counts for a plateau.

        Returns:
            Whether it is the best so far.
        """
        better = score > self.best
        self.best = max(score, self.best)
        self.stale = 0 if better or not counts else self.stale + 1
        if self.stale >= patience:
            self.stale, self.drops = 0, self.drops + 1
        return better


@dataclass
class State:
    """Everything that changes during a training.

    Attributes:
        average: the moving average of the network's weights, which is validated and saved.
    """

    network: Restorer
    average: Restorer
    optimizer: Optimizer
    adversary: Adversary | None = None
    moment: Moment = field(default_factory=Moment)

    def update_average(self, decay: float) -> None:
        """Move the average towards the weights; faster in the first steps."""
        decay = min(decay, (1 + self.moment.step) / (10 + self.moment.step))
        new = self.network.state_dict()
        with torch.no_grad():
            for name, value in self.average.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(new[name], 1 - decay)
                else:
                    value.copy_(new[name])

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write the state to a safetensors file, atomically.

        Raises:
            WeightsError: it cannot be written; the last saved state is kept.
        """
        tensors: dict[str, Tensor] = {}
        for owner, source in self._sources().items():
            tensors |= {f"{owner}.{name}": value.contiguous() for name, value in source.items()}
        header = {
            "recipe": json.dumps(recipe.to_plain()),
            "moment": json.dumps(asdict(self.moment)),
            "layout": _layout(tensors),
            "format": str(FORMAT),
        }
        try:
            write_whole(path, serialize(tensors, metadata=header))
        except OSError as error:
            raise WeightsError(
                f"Cannot write {path}: {error.strerror or error}. An earlier state was kept;"
                " free some space, and use --resume."
            ) from error

    def load(self, path: Path, recipe: Recipe) -> None:
        """Load a saved state.

        Args:
            recipe: the recipe of the training; its length may differ from that of the state.

        Raises:
            WeightsError: the file is damaged, or comes from another recipe.
        """
        try:
            tensors, written, moment = _read(path)
        except (*_DAMAGE, WeightsError) as error:
            raise _refuse(path, error) from error
        if changed := _changed_keys(written, recipe):
            raise WeightsError(
                f"Cannot resume from {path}: it comes from another recipe, which differs in"
                f" {', '.join(changed)}. Choose another --out; --init starts from a checkpoint."
            )

        def part(owner: str) -> dict[str, Tensor]:
            prefix = owner + "."
            return {
                name[len(prefix) :]: value
                for name, value in tensors.items()
                if name.startswith(prefix)
            }

        try:
            self.network.load_state_dict(part("network"))
            self.average.load_state_dict(part("average"))
            self.optimizer.load_state_tensors(part("optimizer"))
            if self.adversary:
                self.adversary.network.load_state_dict(part("adversary"))
                self.adversary.optimizer.load_state_tensors(part("adversary-optimizer"))
        except _DAMAGE as error:
            raise _refuse(path, error) from error
        self.moment = moment

    def _sources(self) -> dict[str, dict[str, Tensor]]:
        sources = {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_tensors(),
        }
        if self.adversary:
            sources["adversary"] = self.adversary.network.state_dict()
            sources["adversary-optimizer"] = self.adversary.optimizer.state_tensors()
        return sources


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any], Moment]:
    """Read the tensors of a state, its recipe and its moment; raises `_DAMAGE` or WeightsError."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    written = json.loads(header["recipe"])
    moment = fill_in(Moment, json.loads(header["moment"]), "its moment", WeightsError)
    if not isinstance(written, dict) or moment.step < 0 or not 0 <= moment.seconds < math.inf:
        raise ValueError("its recipe or its moment is invalid")
    if "format" not in header:
        written["params"] = renew_params(written["arch"], written["params"])
    if header.get("layout", _layout(tensors)) != _layout(tensors):
        raise ValueError("tensors are missing, or have other names or shapes")
    return tensors, written, moment


def _changed_keys(written: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """Return the keys of a state's recipe that differ from a recipe, except for the length."""
    own, usual = (  # through JSON, which turns tuples into lists
        json.loads(json.dumps(one.to_plain())) for one in (recipe, Recipe(""))
    )
    written = {**usual, **written}  # keys that an older version did not have get their default
    keys = {key for key in own.keys() | written.keys() if own.get(key) != written.get(key)}
    return sorted(keys - set(LENGTH))


def _layout(tensors: Mapping[str, Tensor]) -> str:
    """Return a digest of names and shapes, by which missing momenta are noticed."""
    shapes = sorted((name, list(value.shape)) for name, value in tensors.items())
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()


def _refuse(path: Path, error: Exception) -> WeightsError:
    reason = str(error).partition("\n")[0].rstrip(".:")
    return WeightsError(
        f"Cannot resume from {path}: it is damaged ({reason}). Delete it or choose another --out."
    )
