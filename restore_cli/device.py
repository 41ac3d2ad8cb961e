"""Selects the device and the precision in which a network runs."""

from __future__ import annotations

import platform
import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import psutil
import torch

from restore_cli.errors import UsageError
from restore_cli.network import Restorer

_KINDS = ("cpu", "mps", "cuda")
_PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def cpu_capabilities() -> dict[str, bool]:
    """Return the instructions of the processor, by the names of PyTorch; none before 2.11."""
    found: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return found


def find_processor() -> str:
    """Return the model of the processor, as precisely as the system states it, or nothing."""
    try:
        facts = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        facts = ""
    model = re.search(r"^model name\s*:\s*(.+)$", facts, re.MULTILINE)
    return model[1] if model else platform.processor()


def find_device(name: str = "auto") -> torch.device:
    """Return the device with this name, or the best available one for "auto".

    Raises:
        UsageError: the device is not available on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"Cannot use the device {name}: it is not available. Use --device cpu or auto, or run"
            " `restore doctor`."
        ) from error
    if device.type not in _KINDS:
        raise UsageError(
            f"Cannot use the device {name}: it is not supported. Use cpu, cuda, mps or auto."
        )
    return device


def find_precision(name: str, device: torch.device, network: Restorer) -> str:
    """Resolve "auto" to bf16 if the checkpoint tolerates it and the device has it, else to fp32.

    Raises:
        UsageError: the precision is unknown.
    """
    if name != "auto":
        if name not in _PRECISIONS:
            raise UsageError(
                f"Unknown precision {name!r}; expected auto, {', '.join(_PRECISIONS)}."
            )
        return name
    return "bf16" if computes_bf16(device) and "bf16" in network.precisions else "fp32"


def computes_bf16(device: torch.device) -> bool:
    """Whether the device computes bf16 natively, and faster than fp32.

    A CPU needs instructions that multiply matrices. With those of AVX-512 alone, bf16 is slower.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    features = cpu_capabilities() if device.type == "cpu" else {}
    return any(features.get(name) for name in ("amx_bf16", "arm_bf16"))


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Return a context in which a network computes in this precision.

    Args:
        precision: "fp32", "bf16", "fp16", or "auto": bf16 if the device computes it natively.
    """
    if precision == "auto":
        precision = "bf16" if computes_bf16(device) else "fp32"
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, _PRECISIONS[precision])


def free_memory(device: torch.device) -> int:
    """Return the free memory of the device in bytes."""
    if device.type == "cuda":
        cached = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + cached
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory()
    return int(psutil.virtual_memory().available)
