"""Layers that networks of several papers share."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad, pixel_shuffle, pixel_unshuffle


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


class DilatedConv2d(nn.Conv2d):
    """A dilated 3x3 convolution that keeps the size, and on a CPU trains as one without dilation.

    To a dilated kernel a picture is dilation x dilation interleaved ones, and its neighbors there are next to
    each other. PyTorch 2.13's own gradients crash in bfloat16 on some CPUs.

    Args:
        width, given: features in and out.
        dilation: pixels from one element of the kernel to the next.
    """

    def __init__(self, width: int, given: int, dilation: int) -> None:
        super().__init__(width, given, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, given, H, W
        side, (batch, _, height, width) = self.dilation[0], x.shape
        trains = x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_exporting()
        if side == 1 or not trains:
            return super().forward(x)
        parts = pixel_unshuffle(pad(x, (0, -width % side, 0, -height % side)), side)
        size = parts.shape[2:]
        parts = parts.view(batch, -1, side**2, *size).transpose(1, 2).flatten(0, 1)
        parts = conv2d(parts, self.weight, self.bias, padding=1)
        parts = parts.view(batch, side**2, -1, *size).transpose(1, 2).flatten(1, 2)
        return pixel_shuffle(parts, side)[..., :height, :width]


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution of an odd kernel, without bias, that trains quickly on a CPU.

    Args:
        width: channels in and out.
        kernel: side of each channel's kernel.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__(width, width, kernel, padding=kernel // 2, groups=width, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C, H, W
        if not trains_on_cpu(x):
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        result: Tensor = Depthwise.apply(x.to(dtype), self.weight.to(dtype))  # type: ignore[no-untyped-call]
        return result


class Depthwise(torch.autograd.Function):
    """A depthwise convolution whose gradients are a convolution and matrix products.

    PyTorch's own gradient of the weights takes 13 times as long in bfloat16. Here each channel's 16 x 16
    blocks of the gradient are multiplied with the blocks of the input that they see: of a product of all
    pixels with all pixels, summed over blocks, a kernel's element is one diagonal.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        side = weight.shape[-1]
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:
            of_x = conv2d(gradient, weight.flip(2, 3), padding=side // 2, groups=len(weight))
        if ctx.needs_input_grad[1]:
            of_weight = _depthwise_weights(gradient, x, side).to(weight.dtype)
        return of_x, of_weight


def _depthwise_weights(gradient: Tensor, x: Tensor, side: int, block: int = 16) -> Tensor:
    """The gradient of a depthwise kernel, C x 1 x side x side, in at least float32."""
    right, below = (-length % block for length in (x.shape[3], x.shape[2]))
    edge, seen = side // 2, block + side - 1
    given = pad(gradient.contiguous(), (0, right, 0, below))
    taken = pad(x.contiguous(), (edge, edge + right, edge, edge + below))

    def blocks(planes: Tensor, length: int) -> Tensor:  # N, C, h, w -> C, blocks, length^2
        cut = planes.unfold(2, length, block).unfold(3, length, block)
        return cut.transpose(0, 1).reshape(planes.shape[1], -1, length**2)

    products = blocks(given, block).mT @ blocks(taken, seen)  # C, block^2, seen^2
    channel, pixel, _ = products.stride()
    diagonals = products.as_strided(
        (len(products), side, side, block, block),
        (channel, seen, 1, block * pixel + seen, pixel + 1),
    )
    exact = torch.promote_types(x.dtype, torch.float32)
    return diagonals.sum((3, 4), dtype=exact)[:, None]


def trains_on_cpu(x: Tensor) -> bool:
    """Whether gradients of what is computed from x will be asked for, on a CPU, outside a compiler."""
    return x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_compiling()


def side_of(outputs: int, channels: int) -> int:
    """By how much a sub-pixel convolution of so many outputs enlarges pictures of so many channels.

    Raises:
        LookupError: it is none.
    """
    side = math.isqrt(outputs // channels)
    if not side or side**2 * channels != outputs:
        raise LookupError(f"{outputs} outputs are no squares of pixels of {channels} channels")
    return side
