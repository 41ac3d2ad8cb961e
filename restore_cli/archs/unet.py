"""Residual U-Nets with condition planes: the networks of the default models, and DRUNet.

Sources: DRUNet of Zhang et al., "Plug-and-Play Image Restoration with Deep Denoiser Prior", TPAMI
2021 (residual blocks without normalization, noise level as an input plane); summed skips of Mao et
al., "Image Restoration Using Convolutional Auto-encoders with Symmetric Skip Connections", 2016;
reduced resolution through pixel-unshuffle of Zhang et al., "FFDNet", TIP 2018.

Upsampling is a 1x1 convolution and a pixel shuffle. This is the same linear map as DRUNet's 2x2
transposed convolution of stride 2, so that `convert_state` converts those weights exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pixel_shuffle, pixel_unshuffle

from restore_cli.archs.layers import (
    Bicubic,
    as_autocast,
    computes_on_cpu,
    fused,
    gradients,
    mirror,
    through_relu,
)
from restore_cli.network import Geometry, Restorer


class ResidualBlock(nn.Module):
    """x + conv3(ReLU(conv3(x)))."""

    def __init__(self, width: int, bias: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=bias)

    def forward(self, x: Tensor, overwrite: bool = False) -> Tensor:
        """Apply the block to N x C x H x W; with `overwrite`, x is not needed any more."""
        if not computes_on_cpu(x):
            change: Tensor = self.conv2(self.conv1(x).relu_())
            return x + change
        first, second = self.conv1, self.conv2
        tensors = as_autocast(x, first.weight, first.bias, second.weight, second.bias)
        if torch.is_grad_enabled():
            result: Tensor = Residual.apply(*tensors)  # type: ignore[no-untyped-call]
            return result
        x, weight, bias, weight2, bias2 = tensors
        inner = fused(x, weight, bias, rectified=True)
        return fused(inner, weight2, bias2, added=x, overwrite=overwrite)


class Residual(torch.autograd.Function):
    """`ResidualBlock` with the ReLU and the sums of both passes fused into the convolutions."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        first: Tensor,
        first_bias: Tensor | None,
        second: Tensor,
        second_bias: Tensor | None,
    ) -> Tensor:
        inner = fused(x, first, first_bias, rectified=True)
        ctx.save_for_backward(x, inner, first, second)
        return fused(inner, second, second_bias, added=x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, inner, first, second = ctx.saved_tensors
        needs_x, *needs_first = ctx.needs_input_grad[:3]
        of_inner, *of_second = gradients(gradient, inner, second, (True, *ctx.needs_input_grad[3:]))
        of_inner = through_relu(of_inner, inner)
        _, *of_first = gradients(of_inner, x, first, (False, *needs_first))
        of_x = fused(of_inner, mirror(first), None, added=gradient) if needs_x else None
        return of_x, *of_first, *of_second


def enlarge(up: nn.Module, x: Tensor, added: Tensor | None = None) -> Tensor:
    """Apply a 1x1 convolution and a pixel shuffle by 2, and add a tensor.

    Shapes are N, C, H, W -> N, C/4, 2H, 2W. On a CPU the convolution computes the features of each
    new pixel next to each other, as they are in memory after the shuffle. PyTorch's shuffle, sum
    and gradients take twice as long.
    """
    if not computes_on_cpu(x):
        larger = pixel_shuffle(up(x), 2)
        return larger if added is None else larger + added
    assert isinstance(up, nn.Conv2d)
    count, features, height, width = x.shape
    weight = up.weight.view(-1, 4, features).transpose(0, 1).reshape(-1, features, 1, 1)
    bias = None if up.bias is None else up.bias.view(-1, 4).T.flatten()
    spread = (
        conv2d(x, weight, bias)
        .permute(0, 2, 3, 1)
        .reshape(count, height, width, 2, 2, -1)
        .transpose(2, 3)
    )
    if added is not None:
        spread = added.permute(0, 2, 3, 1).reshape(count, height, 2, width, 2, -1) + spread
    return spread.reshape(count, 2 * height, 2 * width, -1).permute(0, 3, 1, 2)


def refine(blocks: nn.Module, x: Tensor, overwrite: bool) -> Tensor:
    """Apply residual blocks to N x C x H x W; with `overwrite`, x is not needed any more."""
    for block in blocks.children():
        x = block(x, overwrite)
        overwrite = True
    return x


class UNet(Restorer):
    """A residual U-Net for an optionally pixel-unshuffled image with condition planes.

    Args:
        channels: image channels, 1 or 3.
        conditions: condition planes that follow the image channels in the input.
        widths: features per level, finest first; each level halves the resolution. A single level
            is a chain of residual blocks between head and tail, as in EDSR.
        blocks: residual blocks per level on the way down and again on the way up; the coarsest
            level has them once.
        unshuffle: factor of the pixel-unshuffle before the first level; 1 for none.
        skips: "inner" adds the output of a level's encoder blocks to the input of its decoder
            blocks; "outer" adds the encoder's input to the decoder's output, as in DRUNet.
        bias: use biases in the convolutions.
        residual: add the input image to the output, so that the network learns the difference.
        masked: multiply the change by the first condition plane, a mask between 0 and 1.
        scale: upscaling factor, by a pixel shuffle at the end and bicubic for the added image.
    """

    def __init__(
        self,
        channels: int = 3,
        conditions: int = 1,
        widths: Sequence[int] = (64, 96, 128, 160),
        blocks: int | Sequence[int] = 1,
        unshuffle: int = 2,
        skips: str = "inner",
        bias: bool = True,
        residual: bool = True,
        masked: bool = False,
        scale: int = 1,
    ) -> None:
        super().__init__()
        counts = [blocks] * len(widths) if isinstance(blocks, int) else list(blocks)
        if len(counts) != len(widths):
            raise ValueError(f"blocks has {len(counts)} entries for {len(widths)} levels")
        if skips not in ("inner", "outer"):
            raise ValueError(f"skips must be 'inner' or 'outer', not {skips!r}")
        if masked and not (conditions and residual and scale == 1):
            raise ValueError("masked needs a condition, residual, and scale 1")
        self.channels, self.unshuffle, self.skips = channels, unshuffle, skips
        self.residual, self.masked = residual, masked

        def level(width: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(width, bias) for _ in range(count)))

        steps = list(pairwise(widths))
        fine = list(zip(widths[:-1], counts[:-1], strict=True))
        self.head = nn.Conv2d(
            (channels + conditions) * unshuffle**2, widths[0], 3, padding=1, bias=bias
        )
        self.encoder = nn.ModuleList(level(width, count) for width, count in fine)
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, stride=2, bias=bias) for a, b in steps)
        self.body = level(widths[-1], counts[-1])
        self.up = nn.ModuleList(nn.Conv2d(b, 4 * a, 1, bias=bias) for a, b in steps)
        self.decoder = nn.ModuleList(level(width, count) for width, count in fine)
        self.tail = nn.Conv2d(
            widths[0], channels * (unshuffle * scale) ** 2, 3, padding=1, bias=bias
        )
        self.enlarge = nn.Identity() if scale == 1 else Bicubic(scale)
        self.shuffle = unshuffle * scale

        # A 3x3 convolution sees one cell of its level around it; a 2x2 stride merges finer cells.
        cells = [unshuffle * 2**level for level in range(len(widths))]
        passes = [2] * len(fine) + [1]
        reach = sum(
            2 * cell * count * n for cell, count, n in zip(cells, counts, passes, strict=True)
        )
        self.geometry = Geometry(
            channels=channels,
            conditions=conditions,
            scale=scale,
            multiple=cells[-1],
            radius=2 * unshuffle + reach + cells[-1] - 1,
        )

    def forward(self, x: Tensor) -> Tensor:  # N, channels + conditions, H, W -> N, channels, H, W
        first = features = self._enter(x)
        inner, skips = self.skips == "inner", []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            inside = refine(blocks, features, overwrite=inner and features is not first)
            skips.append(inside if inner else features)
            features = down(inside)
        body = refine(self.body, features, overwrite=inner and features is not first)
        features = body if inner else body + features
        for blocks, up in zip(reversed(self.decoder), reversed(self.up), strict=True):
            if inner:
                features = refine(blocks, enlarge(up, features, skips.pop()), overwrite=True)
            else:
                features = refine(blocks, enlarge(up, features), overwrite=True) + skips.pop()
        image: Tensor = self.tail(features + first if inner else features)
        if self.shuffle > 1:
            image = pixel_shuffle(image, self.shuffle)
        image = image.to(x.dtype)
        if self.masked:
            image = image * x[:, self.channels : self.channels + 1]
        return self.enlarge(x[:, : self.channels]) + image if self.residual else image

    def _enter(self, x: Tensor) -> Tensor:
        """Compute the first features in fp32; bf16 would round the image by half a gray level."""
        with torch.autocast(x.device.type, enabled=False):
            first: Tensor = self.head(
                pixel_unshuffle(x, self.unshuffle) if self.unshuffle > 1 else x
            )
        if torch.is_autocast_enabled(x.device.type):
            first = first.to(torch.get_autocast_dtype(x.device.type))
        return first

    def convert_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert DRUNet's own layout: m_head, m_down1.., m_body, ..m_up1, m_tail."""
        if "m_head.weight" not in state:
            return dict(state)
        converted = {}
        for key, value in state.items():
            part, _, rest = key.partition(".")
            name, level = part.rstrip("0123456789"), int(part[-1]) - 1 if part[-1].isdigit() else 0
            index, _, inner = rest.partition(".")
            conv = {"res.0.weight": "conv1.weight", "res.2.weight": "conv2.weight"}.get(inner)
            if name in ("m_head", "m_tail"):
                converted[f"{name[2:]}.{rest}"] = value
            elif name == "m_body":
                converted[f"body.{index}.{conv}"] = value
            elif name == "m_down":  # blocks, then the stride
                converted[
                    f"encoder.{level}.{index}.{conv}" if conv else f"down.{level}.{inner}"
                ] = value
            elif conv:  # m_up: the transposed convolution comes first
                converted[f"decoder.{level}.{int(index) - 1}.{conv}"] = value
            else:  # in, out, 2, 2 -> out * 4, in, 1, 1
                converted[f"up.{level}.{inner}"] = value.permute(1, 2, 3, 0).flatten(0, 2)[
                    :, :, None, None
                ]
        return converted
