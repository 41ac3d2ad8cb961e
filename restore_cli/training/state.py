"""The state of a running training: kept on disk so that a kill loses minutes, and resumed
exactly.
"""

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

# What reading a file raises that is cut, torn or of other contents.
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
    """Let Ctrl-C, SIGTERM and SIGHUP wait until the block ends; a second one does not.

    Only where Python answers them, not where they end the process. Where the block fails, the
    signal is answered in place of the error, which it may have caused.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone is given signals
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
    """Where a training stands, in numbers.

    Attributes:
        step, seconds: done so far.
        best: score of the best validation; `stale` validations since; `drops` of the rate by
            plateaus.
        over: whether plateaus have brought the training to its end.
        due: whether its validation is still to come.
    """

    step: int = 0
    seconds: float = 0.0
    best: float = float("-inf")
    stale: int = 0
    drops: int = 0
    over: bool = False
    due: bool = False

    def record_score(self, score: float, patience: int, counts: bool = True) -> bool:
        """Take note of a validation's score; `patience` others that count lower the rate.

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
    """What changes during a training. `average` holds the moving average that is validated and
    kept.
    """

    network: Restorer
    average: Restorer
    optimizer: Optimizer
    adversary: Adversary | None = None
    moment: Moment = field(default_factory=Moment)

    def update_average(self, decay: float) -> None:
        """Move the average towards the weights; faster in the beginning, when it holds little."""
        decay = min(decay, (1 + self.moment.step) / (10 + self.moment.step))
        new = self.network.state_dict()
        with torch.no_grad():
            for name, value in self.average.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(new[name], 1 - decay)
                else:
                    value.copy_(new[name])

    def save(self, path: Path, recipe: Recipe) -> None:
        """Write it whole, as a safetensors file.

        Raises:
            WeightsError: it cannot be written; the state before it is kept.
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
                f"Cannot write {path}: {error.strerror or error}. The state before it is kept."
            ) from error

    def load(self, path: Path, recipe: Recipe) -> None:
        """Take up a saved state.

        Args:
            recipe: the training's, which may have become longer or shorter.

        Raises:
            WeightsError: the file is damaged, or another recipe wrote it.
        """
        try:
            tensors, written, moment = _read(path)
        except (*_DAMAGE, WeightsError) as error:
            raise _refuse(path, error) from error
        if changed := _changed_keys(written, recipe):
            raise WeightsError(
                f"Cannot resume from {path}: it comes from another recipe, which differs in"
                f" {', '.join(changed)}. Train to another --out, with --init to start from its"
                " checkpoint."
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
    """The tensors of a state, its recipe and its moment; raises `_DAMAGE` or WeightsError."""
    with safe_open(path, framework="pt") as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    written = json.loads(header["recipe"])
    moment = fill_in(Moment, json.loads(header["moment"]), "its moment", WeightsError)
    if not isinstance(written, dict) or moment.step < 0 or not 0 <= moment.seconds < math.inf:
        raise ValueError("its recipe or its moment makes no sense")
    if "format" not in header:
        written["params"] = renew_params(written["arch"], written["params"])
    if header.get("layout", _layout(tensors)) != _layout(tensors):
        raise ValueError("tensors are missing, or of another name or shape")
    return tensors, written, moment


def _changed_keys(written: Mapping[str, Any], recipe: Recipe) -> list[str]:
    """The keys of a state's recipe that differ from a training's, but for its length."""
    own, usual = (  # lists for tuples
        json.loads(json.dumps(one.to_plain())) for one in (recipe, Recipe(""))
    )
    written = {**usual, **written}  # what an older version's recipe lacks is as it was
    keys = {key for key in own.keys() | written.keys() if own.get(key) != written.get(key)}
    return sorted(keys - set(LENGTH))


def _layout(tensors: Mapping[str, Tensor]) -> str:
    """A digest of names and shapes: what is missing of the momenta would otherwise begin at 0 in
    silence.
    """
    shapes = sorted((name, list(value.shape)) for name, value in tensors.items())
    return hashlib.sha256(json.dumps(shapes).encode()).hexdigest()


def _refuse(path: Path, error: Exception) -> WeightsError:
    reason = str(error).partition("\n")[0].rstrip(".:")
    return WeightsError(
        f"Cannot resume from {path}: it is damaged ({reason}). Delete it, or train to another"
        " --out."
    )
