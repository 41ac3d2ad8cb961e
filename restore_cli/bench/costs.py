"""The costs of a method: seconds, peak memory, parameters and floating-point operations."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from restore_cli import memory
from restore_cli.archs.layers import flop_counter
from restore_cli.network import Restorer
from restore_cli.report.figures import PARAMETERS, WORK, Figure


@dataclass
class Cost:
    """The cost of a block of code.

    Attributes:
        seconds: wall time.
        peak_mb: peak memory in MB on top of what was in use before: GPU memory if the block used
            any, else main memory; None if the system does not report it.
    """

    seconds: float = 0.0
    peak_mb: float | None = None


@contextmanager
def measure_block() -> Iterator[Cost]:
    """Measure a block; the cost is filled in when the block ends."""
    cost = Cost()
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    gpu_before, before = torch.cuda.memory_allocated() if gpu else 0, _reset_peak()
    started = time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - started
    gpu_peak = torch.cuda.max_memory_allocated() - gpu_before if gpu else 0
    if gpu_peak:
        cost.peak_mb = gpu_peak / 1e6
    elif before is not None:
        cost.peak_mb = _peak() - before


def _reset_peak() -> float | None:
    """Reset the peak to the current memory, and return it in MB; None if not supported."""
    try:
        # Memory that was freed but not returned to the system would hide new allocations.
        memory.release()
        Path("/proc/self/clear_refs").write_text("5")
        return _peak()
    except OSError:  # not Linux
        return None


def _peak() -> float:
    """The peak resident memory in MB."""
    [kilobytes] = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024 / 1e6


def measure_costs(network: Restorer, passes: int = 1) -> dict[Figure, float]:
    """The number of parameters, and thousands of floating-point operations per output pixel.

    Empty for a network that another library runs. Other networks that detect or measure damage
    first are not counted, and a pixel is one that the network gets, which may be fewer.

    Args:
        network: the network.
        passes: how often it runs for an image.
    """
    if network.on_cpu:
        return {}
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {PARAMETERS: parameters, WORK: passes * _count_flops(network) / 1e3}


def _count_flops(network: Restorer) -> float:
    """Floating-point operations per output pixel; a multiply-add counts as two."""
    network = copy.deepcopy(network).eval()
    network.requires_grad_(False)  # hooks of the counter follow gradients
    geometry = network.geometry
    side = 8 * geometry.multiple
    with flop_counter() as counter, torch.inference_mode():
        network(torch.zeros(1, geometry.channels + geometry.conditions, side, side))
    return float(counter.get_total_flops()) / (side * geometry.scale) ** 2
