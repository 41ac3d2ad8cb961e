"""Several processes that train together, started by torchrun; a single one is a group of one."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn

from restore_cli.engine import find_device


@dataclass(frozen=True)
class Group:
    """This process as a member of the processes of a training.

    Attributes:
        rank: its number, from 0; rank 0 validates, writes and reports.
        size: the number of processes.
        device: the device that it computes on.
    """

    rank: int
    size: int
    device: torch.device

    def broadcast(self, values: list[float]) -> list[float]:
        """Return the values of rank 0 in every process; all must call this at the same place."""
        if self.size == 1:
            return values
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        distributed.broadcast(tensor, 0)
        return tensor.tolist()

    def average_gradients(self, network: nn.Module) -> None:
        """Replace the gradients of each process by the mean over all processes."""
        if self.size > 1:
            for gradient in (parameter.grad for parameter in network.parameters()):
                if gradient is not None:
                    distributed.all_reduce(gradient)
                    gradient /= self.size


@contextmanager
def join(device: str) -> Iterator[Group]:
    """Join the group of torchrun's environment variables: NCCL between GPUs, else Gloo.

    Args:
        device: as `engine.find_device` takes it; "auto" and "cuda" give each process its own GPU.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    found = find_device(device)
    if size == 1:
        yield Group(0, 1, found)
        return
    if found.type == "cuda":
        found = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(found)
    distributed.init_process_group("nccl" if found.type == "cuda" else "gloo")
    try:
        yield Group(rank, size, found)
        distributed.barrier()  # the first process still validates and writes at the end
    finally:
        gc.collect()  # no object of the training may outlive the group
        distributed.destroy_process_group()
