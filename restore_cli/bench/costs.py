"""What a method costs: seconds, peak memory, parameters and floating point operations."""

from __future__ import annotations

import copy
import ctypes
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from restore_cli.archs.layers import flop_counter
from restore_cli.network import Restorer
from restore_cli.report.figures import PARAMETERS, WORK, Figure


@dataclass
class Cost:
    """What a block of code took.

    Attributes:
        seconds: how long it ran.
        peak_mb: the most memory that it took in addition to what was held before, of the GPU where
            it used any; None where the system does not tell.
    """

    seconds: float = 0.0
    peak_mb: float | None = None


@contextmanager
def measure_block() -> Iterator[Cost]:
    """Holds what the block cost, once it is left."""
    cost = Cost()
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    there, here = torch.cuda.memory_allocated() if gpu else 0, _reset_peak()
    started = time.perf_counter()
    yield cost
    cost.seconds = time.perf_counter() - started
    taken = torch.cuda.max_memory_allocated() - there if gpu else 0
    if taken:
        cost.peak_mb = taken / 1e6
    elif here is not None:
        cost.peak_mb = _peak() - here


def _reset_peak() -> float | None:
    """Make the peak what is held now, and return it in MB; None where that cannot be done."""
    try:
        # What was freed but not returned would be taken again for nothing.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        return _peak()
    except (OSError, AttributeError, TypeError):  # no Linux, or no glibc
        return None


def _peak() -> float:
    """The most memory that was held at once, in MB."""
    [kilobytes] = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(kilobytes) * 1024 / 1e6


def measure_costs(network: Restorer) -> dict[Figure, float]:
    """A network's parameters, and thousands of floating point operations for a pixel of the
    result; nothing of a network that another library runs.
    """
    if network.on_cpu:
        return {}
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {PARAMETERS: parameters, WORK: _count_flops(network) / 1e3}


def _count_flops(network: Restorer) -> float:
    """Floating point operations for a pixel of the result; a multiplication and an addition are
    two.
    """
    network = copy.deepcopy(network).requires_grad_(False)  # which the counter's hooks would follow
    geometry = network.geometry
    side = 8 * geometry.multiple
    with flop_counter() as counter, torch.inference_mode():
        network(torch.zeros(1, geometry.channels + geometry.conditions, side, side))
    return float(counter.get_total_flops()) / (side * geometry.scale) ** 2
