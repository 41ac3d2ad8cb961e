"""Layers that several networks share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad, pixel_shuffle, pixel_unshuffle
from torch.utils.flop_counter import FlopCounterMode


class Bicubic(nn.Module):
    """Bicubic upscaling with a = -1/2 and repeated edges.

    This is a convolution, because `interpolate` computes positions in float32, so that pixels of a
    tile would differ by 1e-4.
    """

    kernels: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        if not 1 <= scale <= 16:  # the impulses below take 2.5 kB times its square
            raise ValueError(f"scale must be from 1 to 16, not {scale}")
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
    """A dilated 3x3 convolution that keeps the size and trains quickly on a CPU.

    In training on a CPU, the image is split into dilation x dilation interleaved images, which need
    no dilation. PyTorch 2.13's own gradients crash in bfloat16 on some CPUs.

    Args:
        in_channels, out_channels: features in and out.
        dilation: distance between elements of the kernel in pixels.
    """

    def __init__(self, in_channels: int, out_channels: int, dilation: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, out_channels, H, W
        side, (batch, _, height, width) = self.dilation[0], x.shape
        trains = (
            x.device.type == "cpu" and torch.is_grad_enabled() and not torch.compiler.is_exporting()
        )
        if side == 1 or not trains:
            return super().forward(x)
        parts = pixel_unshuffle(pad(x, (0, -width % side, 0, -height % side)), side)
        size = parts.shape[2:]
        parts = parts.view(batch, -1, side**2, *size).transpose(1, 2).flatten(0, 1)
        parts = conv2d(parts, self.weight, self.bias, padding=1)
        parts = parts.view(batch, side**2, -1, *size).transpose(1, 2).flatten(1, 2)
        return pixel_shuffle(parts, side)[..., :height, :width]


def convolve(layer: nn.Module, x: Tensor, rectified: bool = False) -> Tensor:
    """Apply a convolution to x, N x C x H x W, and optionally a ReLU; trains quickly on a CPU.

    The layer may be transposed. With stride 1 it must keep the size. In training on a CPU, the ReLU
    is fused with the convolution, and a transposed convolution is computed as an ordinary one with
    the mirrored kernel, because PyTorch's gradient of its bias is slow.
    """
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    if max(layer.stride) > 1 or not trains_on_cpu(x):
        result: Tensor = layer(x)
        return result.relu() if rectified else result
    weight = layer.weight if isinstance(layer, nn.Conv2d) else mirror(layer.weight)
    convolved: Tensor = Convolved.apply(*as_autocast(x, weight, layer.bias), rectified)  # type: ignore[no-untyped-call]
    return convolved


class Convolved(torch.autograd.Function):
    """A convolution that keeps the size, and optionally a ReLU."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, rectified: bool
    ) -> Tensor:
        result = fused(x, weight, bias, rectified)
        ctx.save_for_backward(x, weight, result if rectified else None)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, result = ctx.saved_tensors
        gradient = gradient if result is None else through_relu(gradient, result)
        return *gradients(gradient, x, weight, ctx.needs_input_grad), None


def fused(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rectified: bool = False,
    added: Tensor | None = None,
    overwrite: bool = False,
) -> Tensor:
    """Apply a convolution that keeps the size, then a ReLU or a sum.

    On a CPU without gradients, oneDNN does both in one pass over memory, and can write the sum over
    `added`. Its operation has no gradients, so that training uses it only within functions that
    define their own.

    Args:
        x: N x C x H x W.
        weight, bias: of the convolution.
        rectified: apply a ReLU.
        added: a tensor to add, of the result's shape.
        overwrite: `added` is not needed any more, so that its memory can be used for the result.
    """
    side = weight.shape[-1] // 2
    x = x.contiguous(memory_format=torch.channels_last)
    if not computes_on_cpu(x) or torch.is_grad_enabled() or x.dtype not in _fusible():
        result = conv2d(x, weight, bias, padding=side)
        result = result if added is None else result + added
        return result.relu() if rectified else result
    pointwise = torch.ops.mkldnn._convolution_pointwise
    options = ([side, side], [1, 1], [1, 1], 1)
    if added is None:
        after = "relu" if rectified else "none"
        return cast(Tensor, pointwise(x, weight, bias, *options, after, [], ""))
    added = added.contiguous(memory_format=torch.channels_last)
    sums: tuple[Any, ...] = ("add", 1.0, None, [], None)
    if overwrite:
        in_place = torch.ops.mkldnn._convolution_pointwise_
        return cast(Tensor, in_place.binary(added, x, weight, bias, *options, *sums))
    return cast(Tensor, pointwise.binary(x, added, weight, bias, *options, *sums))


@cache
def _fusible() -> set[torch.dtype]:
    """Return the data types that oneDNN supports on this machine."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return set()
    with_bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return {torch.float32, torch.bfloat16} if with_bf16 else {torch.float32}


def flop_counter() -> FlopCounterMode:
    """Return PyTorch's counter of floating point operations, extended to those of `fused`."""

    def count(_x: Any, *shapes: Any, out_shape: Any, **_others: Any) -> int:
        # The arguments are a weight and a bias, or an added tensor, a weight and a bias.
        weight = shapes[1] if shapes[1] is not None and len(shapes[1]) == 4 else shapes[0]
        return int(2 * math.prod(out_shape) * math.prod(weight[1:]))

    ours = torch.ops.mkldnn
    operations = [ours._convolution_pointwise, ours._convolution_pointwise_] if _fusible() else []
    return FlopCounterMode(display=False, custom_mapping=dict.fromkeys(operations, count))


def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, wanted: Sequence[bool] = (True, True, True)
) -> tuple[Any, ...]:
    """Return the gradients of input, weight and bias of a convolution that keeps the size.

    Gradients that are not wanted are None. PyTorch's own gradient of a bias can take six times as
    long.
    """
    padding = [weight.shape[-1] // 2] * 2
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], padding, [1, 1], False, [0, 0], 1, [*wanted[:2], False]
    )
    return of_x, of_weight, gradient.sum((0, 2, 3)) if wanted[2] else None


def through_relu(gradient: Tensor, result: Tensor) -> Tensor:
    """Return the gradient of a ReLU's input, given its result."""
    flowing: Tensor = torch.ops.aten.threshold_backward(gradient, result, 0)
    return flowing


def mirror(weight: Tensor) -> Tensor:
    """Convert the kernel of a transposed convolution to that of an equal ordinary one."""
    return weight.transpose(0, 1).flip(2, 3)


def as_autocast(*tensors: Tensor | None) -> list[Any]:
    """Convert tensors to the data type of autocast on the CPU, if it is enabled."""
    if not torch.is_autocast_enabled("cpu"):
        return list(tensors)
    dtype = torch.get_autocast_dtype("cpu")
    return [tensor if tensor is None else tensor.to(dtype) for tensor in tensors]


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution with an odd kernel and no bias that trains quickly on a CPU.

    Args:
        width: channels in and out.
        kernel: kernel size.
    """

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__(width, width, kernel, padding=kernel // 2, groups=width, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C, H, W
        if not trains_on_cpu(x):
            return super().forward(x)
        result: Tensor = Depthwise.apply(*as_autocast(x, self.weight))  # type: ignore[no-untyped-call]
        return result


class Depthwise(torch.autograd.Function):
    """A depthwise convolution with gradients computed by a convolution and matrix products.

    PyTorch's own gradient of the weights takes 13 times as long in bfloat16. Here blocks of each
    channel's gradient are multiplied by the blocks of the input in their receptive field. In the
    product of all pixels with all pixels, each element of the kernel is a sum of a diagonal.
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


def _depthwise_weights(gradient: Tensor, x: Tensor, side: int) -> Tensor:
    """Return the gradient of a depthwise kernel, C x 1 x side x side, in at least float32."""
    block = 16 if x.dtype == torch.bfloat16 else 8  # AMX multiplies 16 rows at once
    right, below = (-length % block for length in (x.shape[3], x.shape[2]))
    edge, field = side // 2, block + side - 1
    padded_gradient = pad(gradient.contiguous(), (0, right, 0, below))
    padded_x = pad(x.contiguous(), (edge, edge + right, edge, edge + below))

    def blocks(planes: Tensor, length: int) -> Tensor:  # N, C, h, w -> C, blocks, length^2
        cut = planes.unfold(2, length, block).unfold(3, length, block)
        return cut.transpose(0, 1).reshape(planes.shape[1], -1, length**2)

    products = blocks(padded_gradient, block).mT @ blocks(padded_x, field)  # C, block^2, field^2
    channel, pixel, _ = products.stride()
    diagonals = products.as_strided(
        (len(products), side, side, block, block),
        (channel, field, 1, block * pixel + field, pixel + 1),
    )
    exact = torch.promote_types(x.dtype, torch.float32)
    return diagonals.sum((3, 4), dtype=exact)[:, None]


def trains_on_cpu(x: Tensor) -> bool:
    """Whether x is used for training on a CPU, and is not being compiled or exported."""
    return torch.is_grad_enabled() and computes_on_cpu(x)


def computes_on_cpu(x: Tensor) -> bool:
    """Whether x is used on a CPU, and is not being compiled or exported."""
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def side_of(outputs: int, channels: int) -> int:
    """Return the scale of a sub-pixel convolution with these outputs for these image channels.

    Raises:
        LookupError: the outputs are not a square number of pixels.
    """
    side = math.isqrt(outputs // channels)
    if not side or side**2 * channels != outputs:
        raise LookupError(f"{outputs} outputs are not a square of pixels with {channels} channels")
    return side
