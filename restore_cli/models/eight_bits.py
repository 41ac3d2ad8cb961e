"""Kernels in 8 bits with a step for each filter: checkpoints of half the size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_STEP = ".step"  # added to the key of a kernel
_SMALL = 2048  # kernels with fewer values stay as they are
_TOP = 127
_CLIPS = (1.0, 0.97, 0.94, 0.9, 0.85, 0.8)  # of the largest value; rarely the best is below


def pack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round the float16 kernels of a checkpoint to 8 bits.

    A kernel, F filters x ..., becomes int8 values and F float32 steps. Each filter has the step, of
    a few, with the smallest squared error.
    """
    import torch

    packed = dict(state)
    for key, kernel in state.items():
        if kernel.dtype == torch.float16 and kernel.ndim > 1 and kernel.numel() >= _SMALL:
            packed[key], packed[key + _STEP] = _round(kernel.float())
    return packed


def unpack(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Undo `pack`, up to its rounding; kernels are float32. Other states do not change.

    Raises:
        RuntimeError: steps do not fit their kernels.
    """
    import torch

    unpacked = dict(state)
    for key, kernel in state.items():
        if kernel.dtype == torch.int8 and key + _STEP in state:
            steps = unpacked.pop(key + _STEP)
            unpacked[key] = kernel * steps.view(len(kernel), *[1] * (kernel.ndim - 1))
    return unpacked


def _round(kernel: Tensor) -> tuple[Tensor, Tensor]:
    import torch

    filters = kernel.flatten(1)
    largest = filters.abs().amax(1, keepdim=True).clamp_min(1e-12)
    steps = torch.cat([largest * clip / _TOP for clip in _CLIPS], dim=1)
    errors = [
        (_values(filters, step[:, None]) * step[:, None] - filters).square().sum(1)
        for step in steps.unbind(1)
    ]
    best = steps.gather(1, torch.stack(errors, dim=1).argmin(1, keepdim=True))
    return _values(filters, best).to(torch.int8).view_as(kernel), best[:, 0]


def _values(filters: Tensor, step: Tensor) -> Tensor:
    return (filters / step).round().clamp(-_TOP, _TOP)
