"""The state of a running training: kept on disk so that a kill loses minutes, and resumed exactly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from restore_cli.engine import Restorer
from restore_cli.errors import WeightsError
from restore_cli.training.optimizer import Optimizer


@dataclass
class State:
    """What changes during a training. `average` holds the moving average that is validated and kept."""

    network: Restorer
    average: Restorer
    optimizer: Optimizer
    step: int = 0
    best: float = float("-inf")

    def update_average(self, decay: float) -> None:
        """Move the average towards the weights; faster in the beginning, when it holds little."""
        decay = min(decay, (1 + self.step) / (10 + self.step))
        new = self.network.state_dict()
        with torch.no_grad():
            for name, value in self.average.state_dict().items():
                if value.is_floating_point():
                    value.lerp_(new[name], 1 - decay)
                else:
                    value.copy_(new[name])

    def save(self, path: Path, recipe: str) -> None:
        """Write atomically, as a safetensors file beside which a killed write leaves only a .part."""
        tensors: dict[str, Tensor] = {}
        for owner, source in self._sources().items():
            tensors |= {f"{owner}.{name}": value.contiguous() for name, value in source.items()}
        header = {"recipe": recipe, "step": json.dumps(self.step), "best": json.dumps(self.best)}
        part = path.with_name(path.name + ".part")
        save_file(tensors, part, metadata=header)
        part.replace(path)

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
        self.step, self.best = json.loads(header["step"]), json.loads(header["best"])

    def _sources(self) -> dict[str, dict[str, Tensor]]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_tensors(),
        }
