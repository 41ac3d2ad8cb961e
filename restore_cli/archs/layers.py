"""Layers that networks of several papers share."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad, pixel_shuffle


class Bicubic(nn.Module):
    """Enlarges bicubically, with a = -1/2 and edges repeated.

    A convolution, for `interpolate` computes positions in float32: a tile's pixels would differ by 1e-4.
    """

    kernels: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        if not 1 <= scale <= 16:  # the impulses below take 2.5 kB times its square
            raise ValueError(f"scale is {scale}, not 1 to 16")
        impulses = torch.eye(25, device="cpu").view(25, 1, 5, 5)
        large = interpolate(impulses, scale_factor=scale, mode="bicubic", antialias=True)
        middle = large[:, 0, 2 * scale : 3 * scale, 2 * scale : 3 * scale].flatten(1)
        self.register_buffer("kernels", middle.T.reshape(-1, 1, 5, 5), persistent=False)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C, scale*H, scale*W
        with torch.autocast(x.device.type, enabled=False):
            planes = pad(x.flatten(0, 1)[:, None], (2, 2, 2, 2), mode="replicate")
            larger = pixel_shuffle(conv2d(planes, self.kernels), self.scale)
        return larger.view(*x.shape[:2], *larger.shape[2:])


def side_of(outputs: int, channels: int) -> int:
    """By how much a sub-pixel convolution of so many outputs enlarges pictures of so many channels.

    Raises:
        LookupError: it is none.
    """
    side = math.isqrt(outputs // channels)
    if not side or side**2 * channels != outputs:
        raise LookupError(f"{outputs} outputs are no squares of pixels of {channels} channels")
    return side
