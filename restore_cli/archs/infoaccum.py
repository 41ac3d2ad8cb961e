"""InfoAccum, a U-Net with dense layers that accumulate details.

Kang et al., "Rethinking Generative Methods for Image Restoration in Physics-based Vision: A
Theoretical Analysis from the Perspective of Information", 2022. It is the U-Net of pix2pix (Isola
et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017) with fewer levels,
with dense layers before it that accumulate details, and with a sub-pixel convolution at its end
that preserves them. `PatchGAN` is the discriminator.

The paper leaves some details open. Here InfoAccum adds 4 features per path and uses the encoder's
leaky ReLU and no normalization; before a deeper layer of the encoder it does not change the skips;
the sub-pixel convolution is 3x3. Deviations: there is no dropout, so that a photo has one result;
batch normalization uses the statistics of the training, not of the photo; weights are initialized
as for all networks here (`Restorer.init_weights`). The paper's En/Decoder (appendix G.F), which
pools and interpolates, has skips False, pooling True, places [] and subpixel False; one 3x3
convolution per level is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from restore_cli.archs.layers import DilatedConv2d, as_autocast, trains_on_cpu
from restore_cli.archs.rivals import RIVALS, SLOPE, Rival
from restore_cli.network import Geometry, Restorer

NORMS = ("batch", "instance", "none")
DILATIONS = (1, 3, 5)
EDGE = max(DILATIONS)
MULTIPLES = {torch.bfloat16: 32}  # of rows and columns; AMX then multiplies twice as fast
MULTIPLE = 4  # in other precisions


class DenseLayer(nn.Module):
    """Concatenates its input with its 3x3 convolutions of dilation 1, 3 and 5 (equation 14)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(DilatedConv2d(width, growth, dilation) for dilation in DILATIONS)
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C + 3 growth, H, W
        seen = torch.cat([path(x) for path in self.paths], dim=1)
        return torch.cat([x, self.activation(seen)], dim=1)

    def kernels(self) -> tuple[Tensor, Tensor]:
        """Return the paths' weights, 3 x growth x C x 3 x 3, and biases, 3 x growth."""
        weights, biases = (
            [getattr(path, name) for path in self.paths] for name in ("weight", "bias")
        )
        return torch.stack(weights), torch.stack(biases)


class InfoAccum(nn.Sequential):
    """InfoAccum-n: n dense layers (appendix G.C), which add 3 * n * growth features."""

    def __init__(self, width: int, layers: int = 15, growth: int = 4) -> None:
        super().__init__(
            *(DenseLayer(width + 3 * growth * layer, growth) for layer in range(layers))
        )
        self.outputs, self.reach = width + 3 * growth * layers, EDGE * layers

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C + 3 n growth, H, W
        if not trains_on_cpu(x):
            layered: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return layered
        layers = [layer for layer in self if isinstance(layer, DenseLayer)]
        tensors = as_autocast(x, *(kernel for layer in layers for kernel in layer.kernels()))
        accumulated: Tensor = Accumulation.apply(*tensors)  # type: ignore[no-untyped-call]
        return accumulated


MODULES: dict[str, type[InfoAccum] | type[Rival]] = {"infoaccum": InfoAccum, **RIVALS}


class Accumulation(torch.autograd.Function):
    """All layers of an InfoAccum in one buffer, as matrix products.

    PyTorch's own gradients of dilated convolutions are slow. A convolution multiplies each pixel by
    the nine matrices of its kernel, and adds up the products of nine pixels. The buffer is C, N,
    H + 2 EDGE, W + 2 EDGE with margins of zeros, so that the offset to a neighbor is the same for
    every pixel. The first and last pixels, which are in margins and lack neighbors, are skipped.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, *kernels: Tensor) -> Tensor:
        planes, (batch, _, height, width) = x.shape[1], x.shape
        total = planes + sum(bias.numel() for bias in kernels[1::2])
        grid = batch, height + 2 * EDGE, width + 2 * EDGE
        start = EDGE * (grid[2] + 1)
        buffer = x.new_zeros(total + _lacking(total, x.dtype), *grid)
        inner = buffer[..., EDGE:-EDGE, EDGE:-EDGE]
        inner[:planes] = x.transpose(0, 1)
        for weight, bias in zip(kernels[::2], kernels[1::2], strict=True):
            rows = _rows(weight)
            products = rows @ buffer[: rows.shape[1]].flatten(1)
            sums = []
            for path, dilation in zip(_taps(products, weight), DILATIONS, strict=True):
                first, *others = _neighbors(path, dilation, grid[2]).unbind(2)
                upper, *others = (first + others[0]).add_(others[1]).unbind(1)
                sums.append(upper.add_(others[0]).add_(others[1]))
            seen = leaky_relu(torch.cat(sums).add_(bias.flatten()[:, None]), SLOPE, inplace=True)
            last, planes = planes, planes + bias.numel()
            inner[last:planes] = pad(seen, (start, start)).view(-1, *grid)[
                ..., EDGE:-EDGE, EDGE:-EDGE
            ]
        ctx.save_for_backward(buffer, *kernels)
        return inner[:total].transpose(0, 1).contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        buffer, *kernels = ctx.saved_tensors
        planes, wide = gradient.shape[1], buffer.shape[3]
        start = EDGE * (wide + 1)
        # Its margins are never read.
        flowing = pad(gradient.transpose(0, 1).contiguous(), [EDGE] * 4)
        seen = buffer.new_zeros(len(_rows(kernels[0])), buffer[0].numel() - 2 * start)
        collected: list[Tensor] = []
        for weight, bias in zip(kernels[-2::-2], kernels[::-2], strict=True):
            last, planes = planes, planes - bias.numel()
            inner = slice(planes, last), ..., slice(EDGE, -EDGE), slice(EDGE, -EDGE)
            own = torch.ops.aten.leaky_relu_backward(flowing[inner], buffer[inner], SLOPE, True)
            around = (
                pad(own, [EDGE] * 4).flatten(1).view(*bias.shape, 1, 1, -1).expand(-1, -1, 3, 3, -1)
            )
            for taps, path, dilation in zip(_taps(seen, weight), around, DILATIONS, strict=True):
                # Indexed by the elements of the flipped kernel.
                taps.copy_(_neighbors(path, dilation, wide))
            rows = _rows(weight.flip(3, 4))
            of_rows = seen @ buffer[: rows.shape[1]].flatten(1)[:, start:-start].mT
            of_weight = torch.stack(_taps(of_rows, weight)).movedim(-1, 2)[:, :, :planes].flip(3, 4)
            flowing[:planes].flatten(1)[:, start:-start].addmm_(rows[:, :planes].mT, seen)
            collected += [own.sum((1, 2, 3)).view_as(bias), of_weight]
        return flowing[:planes, ..., EDGE:-EDGE, EDGE:-EDGE].transpose(0, 1), *reversed(collected)


def _rows(weight: Tensor) -> Tensor:
    """Return kernels, paths x growth x C x 3 x 3, as a matrix, paths growth 9 x C, zero-padded."""
    rows = weight.movedim(2, -1).flatten(0, -2)
    below, right = (_lacking(size, rows.dtype) for size in rows.shape)
    return pad(rows, (0, right, 0, below))


def _lacking(size: int, dtype: torch.dtype) -> int:
    """Return how many rows or columns a matrix lacks to be multiplied fast."""
    return -size % MULTIPLES.get(dtype, MULTIPLE)


def _taps(products: Tensor, weight: Tensor) -> tuple[Tensor, ...]:
    """Split products with `_rows` of a weight by path: growth, 3, 3, pixels."""
    paths, growth = weight.shape[:2]
    return products[: paths * growth * 9].view(paths, growth, 3, 3, -1).unbind()


def _neighbors(taps: Tensor, dilation: int, wide: int) -> Tensor:
    """Shift the plane of each kernel element to the position of its pixel.

    growth, 3, 3, pixels -> growth, 3, 3, pixels without the first and last EDGE rows and EDGE
    pixels.
    """
    plane, row, column, _ = taps.stride()
    start = EDGE * (wide + 1)
    return taps.as_strided(
        (*taps.shape[:3], taps.shape[3] - 2 * start),
        (plane, row + dilation * wide, column + dilation, 1),
        taps.storage_offset() + start - dilation * (wide + 1),
    )


class InfoAccumUNet(Restorer):
    """UNet-N + InfoAccum-n + SubPixUpsamp; by default the paper's best, UNet-5 and InfoAccum-15.

    pix2pix (UNet-8) has levels 8, places [] and subpixel False. With norm "instance" the output
    depends on the entire image, so that tiles are not exact; with the others they are.

    Args:
        channels: image channels, 1 or 3.
        levels: N, how often the resolution is halved, 1 to 8.
        width: features of the first level; the others have 2, 4, 8, 8, 8, 8 and 8 times as many.
        layers, growth: n, layers of an InfoAccum, and features that each of the three paths of a
            layer adds.
        places: layers of the encoder, counted from 1, that follow an InfoAccum (appendix H.A).
        module: the module at these places: "infoaccum" or, from figure 14, "dense", "residual",
            "context", "scan", "recursive" or "attention"; with "scan" tiles are not exact.
        subpixel: end with a sub-pixel convolution instead of a transposed one.
        skips: pass the encoder's features to the decoder.
        pooling: use 3x3 convolutions with max-pooling and nearest-neighbor upsampling instead of
            strides.
        residual: add the input to the output, which the paper does not do.
        norm: "batch", "instance" or "none".
    """

    def __init__(
        self,
        channels: int = 3,
        levels: int = 5,
        width: int = 64,
        layers: int = 15,
        growth: int = 4,
        places: Sequence[int] = (1,),
        subpixel: bool = True,
        skips: bool = True,
        residual: bool = False,
        norm: str = "batch",
        pooling: bool = False,
        module: str = "infoaccum",
    ) -> None:
        super().__init__()
        if module not in MODULES:
            raise ValueError(f"unknown module {module!r}; expected one of {', '.join(MODULES)}")
        if not 1 <= levels <= 8 or not all(1 <= place <= levels for place in places):
            raise ValueError("levels must be from 1 to 8, and places from 1 to levels")
        self.skips, self.residual = skips, residual
        widths = [channels, *(width * min(2**level, 8) for level in range(levels))]
        last, bias = levels - 1, _has_bias(norm)

        encoder, accumulated_reach = [], 0
        for level, (in_channels, out_channels) in enumerate(pairwise(widths)):
            accumulated = []
            if level + 1 in places:
                one = MODULES[module](in_channels, layers, growth)
                accumulated, in_channels = [one], one.outputs
                accumulated_reach += one.reach * 2**level
            down = _down(in_channels, out_channels, bias, pooling)
            normal = _normalize(out_channels, norm) if 0 < level < last else []
            encoder.append(nn.Sequential(*accumulated, *down, *normal, nn.LeakyReLU(SLOPE)))
        decoder = []
        for level, (out_channels, in_channels) in reversed(list(enumerate(pairwise(widths)))):
            in_channels *= 2 if skips and level < last else 1
            if level > 0:
                up = _up(in_channels, out_channels, bias, pooling)
                decoder.append(nn.Sequential(nn.ReLU(), *up, *_normalize(out_channels, norm)))
            elif subpixel:
                shuffled = nn.Conv2d(in_channels, 4 * channels, 3, padding=1), nn.PixelShuffle(2)
                decoder.append(nn.Sequential(nn.ReLU(), *shuffled))
            else:
                decoder.append(nn.Sequential(nn.ReLU(), *_up(in_channels, channels, True, pooling)))
        self.encoder, self.decoder = nn.ModuleList(encoder), nn.ModuleList(decoder)

        # A 4x4 stride sees one finer cell beyond its own, and its transpose two cells from the
        # farther of its pixels. A sub-pixel convolution sees one cell of two pixels beyond its own,
        # which is three pixels from the farther one.
        cells = [2**level for level in range(levels)]
        reach = (
            _pooled_reach(levels, subpixel) if pooling else 3 * sum(cells) + (1 if subpixel else 0)
        )
        self.geometry = Geometry(
            channels=channels,
            multiple=2**levels,
            radius=accumulated_reach + reach,
            local=norm != "instance"
            and (not places or module not in RIVALS or RIVALS[module].local),
        )

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        features, skips = 2 * x - 1, []
        for down in self.encoder:
            features = down(features)
            skips.append(features)
        skips.pop()  # the coarsest, which is the input of the decoder
        for up in self.decoder[:-1]:
            features = up(features)
            features = torch.cat([skips.pop(), features], dim=1) if self.skips else features
        image: Tensor = self.decoder[-1](features).to(x.dtype).tanh()
        return x + image if self.residual else (image + 1) / 2


class PatchGAN(nn.Module):
    """pix2pix's discriminator, which scores overlapping patches.

    Patches have 70x70 pixels at depth 5, as in the paper, and 16, 34 and 142 pixels a side at depth
    3, 4 and 6. There is no sigmoid at the end, because LSGAN uses the score itself. Images must
    have at least 32x32 pixels, 64x64 at depth 6 and 128x128 at depth 7.

    Args:
        channels: total channels of the observed and the candidate image.
        depth: convolutions, 3 to 7; all but the last two halve the resolution.
        width: features of the first convolution; the others have 2, 4, 8, 8 and 8 times as many.
        norm: "batch", "instance" or "none".
    """

    def __init__(
        self, channels: int = 6, depth: int = 5, width: int = 64, norm: str = "batch"
    ) -> None:
        super().__init__()
        if not 3 <= depth <= 7:
            raise ValueError("depth must be from 3 to 7")
        widths = [channels, *(width * min(2**layer, 8) for layer in range(depth - 1))]
        layers: list[nn.Module] = []
        for layer, (in_channels, out_channels) in enumerate(pairwise(widths)):
            stride = 2 if layer < depth - 2 else 1
            bias = layer == 0 or _has_bias(norm)
            layers.append(
                nn.Conv2d(in_channels, out_channels, 4, stride=stride, padding=1, bias=bias)
            )
            layers += [*(_normalize(out_channels, norm) if layer > 0 else []), nn.LeakyReLU(SLOPE)]
        layers.append(nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.model = nn.Sequential(*layers)
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=0.02)  # pix2pix, section 6.2

    def forward(self, pair: Tensor) -> Tensor:  # N, channels, H, W in [0, 1] -> N, 1, h, w
        score: Tensor = self.model(2 * pair - 1)
        return score


def _has_bias(norm: str) -> bool:
    """Whether convolutions have biases, which are redundant before batch normalization."""
    if norm not in NORMS:
        raise ValueError(f"unknown norm {norm!r}; expected one of {', '.join(NORMS)}")
    return norm != "batch"


def _down(in_channels: int, out_channels: int, bias: bool, pooling: bool) -> list[nn.Module]:
    if pooling:
        return [nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias), nn.MaxPool2d(2)]
    return [nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1, bias=bias)]


def _up(in_channels: int, out_channels: int, bias: bool, pooling: bool) -> list[nn.Module]:
    if pooling:
        return [
            nn.Upsample(scale_factor=2),
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias),
        ]
    return [nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=bias)]


def _pooled_reach(levels: int, subpixel: bool) -> int:
    """Return the largest radius of the pixels in a coarsest cell, traced through all layers."""
    reach = 0
    for pixel in range(2**levels):
        low = high = pixel
        for level in range(levels):  # a 3x3 convolution after nearest-neighbor upsampling
            low, high = (low - 1) // 2, (high + 1) // 2
            if level == 0 and subpixel:  # comes first
                low, high = pixel // 2 - 1, pixel // 2 + 1
        for _ in range(levels):  # two pixels are pooled, each the output of a 3x3 convolution
            low, high = 2 * low - 1, 2 * high + 2
        reach = max(reach, pixel - low, high - pixel)
    return reach


def _normalize(width: int, norm: str) -> list[nn.Module]:
    kinds: dict[str, list[type[nn.Module]]] = {
        "batch": [nn.BatchNorm2d],
        "instance": [nn.InstanceNorm2d],
    }
    return [kind(width) for kind in kinds.get(norm, [])]
