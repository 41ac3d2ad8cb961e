"""The state of a running training: kept on disk so that a kill loses minutes, and resumed exactly."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from restore_cli.engine import Restorer
from restore_cli.errors import WeightsError
from restore_cli.training.objectives import Adversary
from restore_cli.training.optimizer import Optimizer


@dataclass
class Moment:
    """Where a training stands, in numbers.

    Attributes:
        step, seconds: done so far.
        best: score of the best validation; `stale` validations since; `drops` of the rate by plateaus.
    """

    step: int = 0
    seconds: float = 0.0
    best: float = float("-inf")
    stale: int = 0
    drops: int = 0

    def judge(self, score: float, patience: int) -> bool:
        """Whether a validation's score is the best so far; the rate drops when none was for too long."""
        better = score > self.best
        self.best = max(score, self.best)
        self.stale = 0 if better else self.stale + 1
        if self.stale >= patience:
            self.stale, self.drops = 0, self.drops + 1
        return better


@dataclass
class State:
    """What changes during a training. `average` holds the moving average that is validated and kept."""

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

    def save(self, path: Path, recipe: str) -> None:
        """Write atomically, as a safetensors file beside which a killed write leaves only a .part.

        Raises:
            WeightsError: it cannot be written; the state before it is kept.
        """
        tensors: dict[str, Tensor] = {}
        for owner, source in self._sources().items():
            tensors |= {f"{owner}.{name}": value.contiguous() for name, value in source.items()}
        header = {"recipe": recipe, "moment": json.dumps(asdict(self.moment))}
        part = path.with_name(path.name + ".part")
        try:
            save_file(tensors, part, metadata=header)
            part.replace(path)
        except (OSError, SafetensorError) as error:
            part.unlink(missing_ok=True)
            raise WeightsError(f"The training's state {path} cannot be written: {error}.") from error

    def load(self, path: Path, recipe: str) -> None:
        """Take up a saved state.

        Raises:
            WeightsError: the file is damaged, or another recipe wrote it.
        """
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"{path} cannot be resumed from: {error}.") from error
        if not header or header.get("recipe") != recipe:
            raise WeightsError(f"{path} comes from another recipe; train to another --out, or delete it.")

        def part(owner: str) -> dict[str, Tensor]:
            prefix = owner + "."
            return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

        self.network.load_state_dict(part("network"))
        self.average.load_state_dict(part("average"))
        self.optimizer.load_state_tensors(part("optimizer"))
        if self.adversary:
            self.adversary.network.load_state_dict(part("adversary"))
            self.adversary.optimizer.load_state_tensors(part("adversary-optimizer"))
        self.moment = Moment(**json.loads(header["moment"]))

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
