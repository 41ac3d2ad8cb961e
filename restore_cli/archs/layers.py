"""Layers that networks of several papers share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, pad, pixel_shuffle, pixel_unshuffle
from torch.utils.flop_counter import FlopCounterMode


class Bicubic(nn.Module):
    """Enlarges bicubically, with a = -1/2 and edges repeated.

    A convolution, for `interpolate` computes positions in float32: a tile's pixels would differ by
    1e-4.
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

    To a dilated kernel a picture is dilation x dilation interleaved ones, and its neighbors there
    are next to each other. PyTorch 2.13's own gradients crash in bfloat16 on some CPUs.

    Args:
        in_channels, out_channels: features in and out.
        dilation: pixels from one element of the kernel to the next.
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
    """What a convolution makes of x, or its ReLU, N x C x H x W; quickly where a CPU computes
    gradients.

    The layer may be a transposed one. Of stride 1, it keeps the size.

    The ReLU there takes no pass over memory of its own, and a transposed convolution is an ordinary
    one by the mirrored kernel: PyTorch's own gradient of its bias takes twice as long as all the
    rest of it.
    """
    assert isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)
    if max(layer.stride) > 1 or not trains_on_cpu(x):
        result: Tensor = layer(x)
        return result.relu() if rectified else result
    weight = layer.weight if isinstance(layer, nn.Conv2d) else mirror(layer.weight)
    convolved: Tensor = Convolved.apply(*as_autocast(x, weight, layer.bias), rectified)  # type: ignore[no-untyped-call]
    return convolved


class Convolved(torch.autograd.Function):
    """A convolution that keeps the size, or its ReLU."""

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
) -> Tensor:
    """A convolution that keeps the size; then a ReLU, or a sum.

    On a CPU, within a function that knows its gradients itself, oneDNN does both in one pass over
    memory: its operation has none.
    """
    side = weight.shape[-1] // 2
    given = x.contiguous(memory_format=torch.channels_last)
    if not computes_on_cpu(x) or torch.is_grad_enabled() or x.dtype not in _fusible():
        result = conv2d(given, weight, bias, padding=side)
        result = result if added is None else result + added
        return result.relu() if rectified else result
    pointwise = torch.ops.mkldnn._convolution_pointwise
    options = ([side, side], [1, 1], [1, 1], 1)
    if added is None:
        convolved: Tensor = pointwise(
            given, weight, bias, *options, "relu" if rectified else "none", [], ""
        )
        return convolved
    added = added.contiguous(memory_format=torch.channels_last)
    summed: Tensor = pointwise.binary(
        given, added, weight, bias, *options, "add", 1.0, None, [], None
    )
    return summed


@cache
def _fusible() -> set[torch.dtype]:
    """What oneDNN computes in, here."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return set()
    with_bf16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return {torch.float32, torch.bfloat16} if with_bf16 else {torch.float32}


def flop_counter() -> FlopCounterMode:
    """PyTorch's counter of floating point operations, which sees those of `fused`, too."""

    def count(_x: Any, *shapes: Any, out_shape: Any, **_others: Any) -> int:
        # A weight and a bias, or what is added, a weight and a bias.
        weight = shapes[1] if shapes[1] is not None and len(shapes[1]) == 4 else shapes[0]
        return int(2 * math.prod(out_shape) * math.prod(weight[1:]))

    fused_counts = {torch.ops.mkldnn._convolution_pointwise: count} if _fusible() else {}
    return FlopCounterMode(display=False, custom_mapping=fused_counts)


def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, wanted: Sequence[bool] = (True, True, True)
) -> tuple[Any, ...]:
    """Of input, weight and bias of a convolution that keeps the size; None where they are not
    wanted.

    PyTorch's own gradient of a bias can take six times as long.
    """
    padding = [weight.shape[-1] // 2] * 2
    of_x, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], padding, [1, 1], False, [0, 0], 1, [*wanted[:2], False]
    )
    return of_x, of_weight, gradient.sum((0, 2, 3)) if wanted[2] else None


def through_relu(gradient: Tensor, result: Tensor) -> Tensor:
    """The gradient of what a ReLU made this result of."""
    flowing: Tensor = torch.ops.aten.threshold_backward(gradient, result, 0)
    return flowing


def mirror(weight: Tensor) -> Tensor:
    """The kernel by which an ordinary convolution does what a transposed one does by this."""
    return weight.transpose(0, 1).flip(2, 3)


def as_autocast(*tensors: Tensor | None) -> list[Tensor | None]:
    """The tensors, which a CPU computes with, in the precision that autocast wants, if it does."""
    if not torch.is_autocast_enabled("cpu"):
        return list(tensors)
    dtype = torch.get_autocast_dtype("cpu")
    return [tensor if tensor is None else tensor.to(dtype) for tensor in tensors]


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
        result: Tensor = Depthwise.apply(*as_autocast(x, self.weight))  # type: ignore[no-untyped-call]
        return result


class Depthwise(torch.autograd.Function):
    """A depthwise convolution whose gradients are a convolution and matrix products.

    PyTorch's own gradient of the weights takes 13 times as long in bfloat16. Here each channel's 16
    x 16 blocks of the gradient are multiplied with the blocks of the input that they see: of a
    product of all pixels with all pixels, summed over blocks, a kernel's element is one diagonal.
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
    """Whether gradients of what is computed from x will be asked for, on a CPU, outside a
    compiler.
    """
    return torch.is_grad_enabled() and computes_on_cpu(x)


def computes_on_cpu(x: Tensor) -> bool:
    """Whether what is computed from x is computed now, and on a CPU, rather than compiled or
    exported.
    """
    return x.device.type == "cpu" and not torch.compiler.is_compiling()


def side_of(outputs: int, channels: int) -> int:
    """By how much a sub-pixel convolution of so many outputs enlarges pictures of so many channels.

    Raises:
        LookupError: it is none.
    """
    side = math.isqrt(outputs // channels)
    if not side or side**2 * channels != outputs:
        raise LookupError(f"{outputs} outputs are no squares of pixels of {channels} channels")
    return side
