"""BT: networks with binarized weights and a binarized or ternarized weight error.

Ozkan and Akar, "Binarized Weight Error Networks With a Transition Regularization Term", 2021.

Convolutions with weights of only a few values. Training keeps a full-precision shadow weight,
computes with its quantized values, and passes their gradient straight through to the shadow. A
checkpoint contains only the values, several per byte (`BTNet.checkpoint_state`).

Equation 6 is used as printed. For normally distributed weights the least-squares scale is 1.67
times as large, and only that scale makes the error smaller than TWN's (0.09 of the variance, TWN
0.19, equation 6 0.24).

The paper leaves some details open. The choices here are:

- One scale per layer, as in its equations; LQ has a basis per filter, as in LQ-Nets.
- The scale of TWN is the least-squares scale of TWN's own paper, the mean of the weights beyond the
  threshold.
- The straight-through gradient is the identity for all quantizers; TTQ's own paper scales it by the
  weight's scale.
- N(0, alpha) in the transition term has standard deviation alpha, so that the term does not depend
  on the unit of the weights. Both sides use the scales of the undisturbed weight, so that only
  transitions count.
- If both sides of the transition term were differentiated, their straight-through gradients would
  cancel. Here the gradient flows through the disturbed side, which pulls weights to transitions.
- The L1 norm is that of a filter, averaged over a layer's filters, because lambda = 0.1 then helps
  narrow networks, as in table 2. On the glyphs of benchmarks/classify.py, VGG-6(8), seeds 0 and 1,
  gains 3.7 and 6.6 points with BT, 5.6 and 5.3 with TWN, 0.5 and 5.2 with BWN; VGG-6(16), seed 0,
  gains -1.0, 1.1 and 3.2. Summed over a layer, 0.1 outweighs the loss: VGG-6(16) with BT loses 25
  points.
- A "skip-connection" spans two convolutions, and a ReLU follows the sum. "Residual-based learning"
  adds the network's output to its input, which is enlarged bicubically for super-resolution.
- The restoration network has no normalization, because the paper does not mention any.
- "SubPixel" is a quantized convolution to width * scale^2 features and a pixel shuffle, because 64
  features cannot be shuffled by 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from restore_cli.archs.layers import Bicubic
from restore_cli.network import Geometry, Restorer

THRESHOLD = 0.66  # in mean |W|; TWN and BT quantize smaller values to zero (section 3)
NOISE = 0.1  # in mean |W|; the noise that the transition term adds to weights (section 3.2)


def ternary(weight: Tensor, threshold: Tensor) -> Tensor:
    """Return -1, 0 or 1, int64: the sign of values beyond the threshold (equation 3)."""
    return (weight > threshold).long() - (weight < -threshold).long()


class Quantizer(nn.Module):
    """Maps each weight to one of V values, which are sums of S scales times integers.

    Args:
        filters: the first dimension of the weights.
        threshold: in mean |W|; smaller values become zero. Used by TWN and BT only.
    """

    table: ClassVar[tuple[tuple[int, ...], ...]]  # S, V
    by_filter = False  # whether each filter has its own scales
    multiples: Tensor  # the table

    def __init__(self, filters: int, threshold: float = THRESHOLD) -> None:
        super().__init__()
        self.register_buffer(
            "multiples", torch.tensor(self.table, dtype=torch.float32), persistent=False
        )
        self.shape = (filters if self.by_filter else 1, len(self.table))  # of the scales
        self.count = len(self.table[0])
        self.threshold = threshold

    def split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scales, and each weight's code, int64: the index of its value."""
        raise NotImplementedError

    def join(self, scales: Tensor, codes: Tensor) -> Tensor:
        """Return the quantized weight for these scales and codes."""
        levels = self.levels(scales).expand(len(codes), -1)
        return levels.gather(1, codes.flatten(1)).view(codes.shape)

    def forward(self, weight: Tensor) -> Tensor:
        scales, codes = self.split(weight.detach())
        # The difference is exactly zero, and passes the gradient on to the weight.
        return self.join(scales, codes) + (weight - weight.detach())

    def read(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Return scales and codes of a weight that is already quantized."""
        scales = weight.abs().amax().view(1, 1) / self.multiples.max()
        return scales, self.nearest(scales, weight)

    def levels(self, scales: Tensor) -> Tensor:  # 1 or O, S -> 1 or O, V
        """Return the value of each code."""
        return (scales[:, :, None] * self.multiples).sum(1)

    def nearest(self, scales: Tensor, weight: Tensor) -> Tensor:
        """Return the codes of the values that are closest to each weight."""
        distances = (weight.flatten(1)[:, :, None] - self.levels(scales)[:, None, :]).abs()
        return distances.argmin(2).view(weight.shape)

    def reset(self, weight: Tensor) -> None:
        """Initialize the learned scales for these weights."""

    def follow(self, weight: Tensor) -> None:
        """Update the learned scales from the weights of one training step."""


class BWN(Quantizer):
    """sign(W) * mean |W| (equation 2; Rastegari et al., "XNOR-Net", ECCV 2016)."""

    table = ((-1, 1),)

    def split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return weight.abs().mean().view(1, 1), (weight >= 0).long()


class TWN(Quantizer):
    """{-1, 0, 1} times a scale (equation 3; Li et al., "Ternary Weight Networks", 2016).

    That paper's threshold is 0.7.
    """

    table = ((-1, 0, 1),)

    def split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        signs = ternary(weight, self.threshold * weight.abs().mean())
        scale = (weight * signs).sum() / signs.abs().sum().clamp(min=1)
        return scale.view(1, 1), signs + 1


class TTQ(Quantizer):
    """-Wn, 0 or Wp, both learned (Zhu et al., "Trained Ternary Quantization", ICLR 2017)."""

    table = ((-1, 0, 0), (0, 0, 1))

    def __init__(self, filters: int, threshold: float = THRESHOLD) -> None:
        super().__init__(filters, threshold)
        self.scales = nn.Parameter(torch.ones(self.shape))

    def split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return self.scales, self.signs(weight) + 1

    def signs(self, weight: Tensor) -> Tensor:
        """Return -1, 0 or 1; zero up to 0.05 max |W| (section 3.1 of its paper)."""
        return ternary(weight, 0.05 * weight.abs().max())

    def read(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return self.scales, self.nearest(self.scales, weight)

    @torch.no_grad()
    def reset(self, weight: Tensor) -> None:
        signs = self.signs(weight)
        means = [
            (weight.abs() * side).sum() / side.sum().clamp(min=1) for side in (signs < 0, signs > 0)
        ]
        self.scales.copy_(torch.stack(means)[None])


class LQ(Quantizer):
    """The sums +-v1 +-v2 of a learned basis, two bits (Zhang et al., "LQ-Nets", ECCV 2018).

    Learned by their algorithm QEM: each step finds the codes of the closest values, then the best
    basis for these codes, and updates a moving average of the basis with momentum 0.9.
    """

    table = ((-1, 1, -1, 1), (-1, -1, 1, 1))
    by_filter = True
    scales: Tensor

    def __init__(self, filters: int, threshold: float = THRESHOLD) -> None:
        super().__init__(filters, threshold)
        self.register_buffer("scales", torch.ones(self.shape))

    def split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return self.scales, self.nearest(self.scales, weight)

    read = split

    @torch.no_grad()
    def reset(self, weight: Tensor) -> None:
        """Set the basis to the quartile of a normal distribution, 0.6745, and to half of it."""
        self.scales.copy_(0.6745 * weight.std() * self.scales.new_tensor([0.5, 1.0]))

    @torch.no_grad()
    def follow(self, weight: Tensor) -> None:
        signs = self.multiples.T[self.nearest(self.scales, weight).flatten(1)]  # O, n, 2
        seen = (signs * weight.flatten(1)[:, :, None]).mean(1)
        # The normal equations [[r, c], [c, r]] v = seen, with a ridge for filters of two values.
        c, r = signs.prod(2).mean(1, keepdim=True), 1 + 1e-4
        self.scales.lerp_((r * seen - c * seen.flip(1)) / (r * r - c * c), 0.1)


class BT(Quantizer):
    """{-2, -1, 0, 1, 2} times a scale: binary, plus a ternary step on the error (section 3.1)."""

    table = ((-2, -1, 0, 1, 2),)

    def split(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        first = 2 * (weight >= 0).long() - 1
        alpha1 = weight.abs().mean()
        error = weight - alpha1 * first
        alpha2 = error.abs().mean()
        second = ternary(error, self.threshold * alpha2)
        return (0.75 * alpha1 - 0.25 * alpha2).view(1, 1), first + second + 2  # equations 5 and 6


QUANTIZERS: dict[str, type[Quantizer]] = {"bwn": BWN, "twn": TWN, "ttq": TTQ, "lq": LQ, "bt": BT}


class QuantizedConv2d(nn.Conv2d):
    """A 3x3 convolution with a quantized weight; `weight` is the shadow weight that is trained.

    After loading a packed checkpoint it is `fixed`: there is no shadow weight, and `weight` holds
    the quantized values. `train` turns these values into a shadow weight, scaled so that quantizing
    restores them (BT finds about half the scale in its own five values).
    """

    fixed: Tensor  # bool; in the state, so that copies and averages of weights include it

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        quantizer: str,
        threshold: float = THRESHOLD,
        bias: bool = True,
    ) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1, bias=bias)
        self.quantizer = QUANTIZERS[quantizer](out_channels, threshold)
        self.quantizer.reset(self.weight)
        self.register_buffer("fixed", torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:  # N, in_channels, H, W -> N, out_channels, H, W
        if self.training:
            self.quantizer.follow(self.weight.detach())
        weight = torch.where(self.fixed, self.weight, self.quantizer(self.weight))
        result: Tensor = self._conv_forward(x, weight, self.bias)
        return result

    def train(self, mode: bool = True) -> Self:
        """Set the mode of the module; training ends `fixed`."""
        if mode and self.fixed:
            with torch.no_grad():
                sizes = [value.abs().sum() for value in (self.weight, self.quantizer(self.weight))]
                self.weight *= sizes[0] / sizes[1].clamp(min=1e-12)
            self.fixed.fill_(False)
        return super().train(mode)

    @torch.no_grad()
    def split(self) -> tuple[Tensor, Tensor]:
        """Return scales and codes of the weight in evaluation mode."""
        return self.quantizer.read(self.weight) if self.fixed else self.quantizer.split(self.weight)

    def transition(self) -> Tensor:
        """Return |W^b - W~^b|_1 of equation 7 per filter, averaged over the filters."""
        with torch.no_grad():
            noise = torch.randn_like(self.weight) * (NOISE * self.weight.abs().mean())
            scales, codes = self.quantizer.split(self.weight)
            disturbed = self.quantizer.split(self.weight + noise)[1]
            change = self.quantizer.join(scales, disturbed) - self.quantizer.join(scales, codes)
        return (change + (self.weight - self.weight.detach())).abs().sum() / len(self.weight)


def transition(network: nn.Module) -> Tensor:
    """Return the transition term (section 3.2), a scalar: the sum over the quantized layers.

    Training subtracts 0.1 times this term from the loss. It uses torch's random generator.
    """
    terms = [
        layer.transition() for layer in network.modules() if isinstance(layer, QuantizedConv2d)
    ]
    return torch.stack(terms).sum() if terms else torch.zeros(())


def convolution(
    in_channels: int,
    out_channels: int,
    quantizer: str,
    threshold: float = THRESHOLD,
    bias: bool = True,
) -> nn.Conv2d:
    """Make a 3x3 convolution, quantized unless the quantizer is "none".

    Raises:
        ValueError: the quantizer is unknown.
    """
    if quantizer == "none":
        return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)
    if quantizer not in QUANTIZERS:
        raise ValueError(f"unknown quantizer {quantizer!r}; expected none, {', '.join(QUANTIZERS)}")
    return QuantizedConv2d(in_channels, out_channels, quantizer, threshold, bias)


def to_bytes(codes: Tensor, count: int) -> Tensor:
    """Pack codes as digits to the base `count`: 8, 5, 4 and 3 per byte for 2, 3, 4 and 5."""
    digits = int(8 / math.log2(count))
    flat = codes.flatten()
    rows = pad(flat, (0, -len(flat) % digits)).view(-1, digits)
    return (rows * count ** torch.arange(digits, device=codes.device)).sum(1).to(torch.uint8)


def from_bytes(packed: Tensor, count: int, shape: tuple[int, ...]) -> Tensor:
    """Unpack the codes, int64, that `to_bytes` packed.

    Raises:
        ValueError: the bytes are not codes of that shape.
    """
    digits = int(8 / math.log2(count))
    size = math.prod(shape)
    fits = packed.dtype == torch.uint8 and packed.shape == (-(-size // digits),)
    if not fits or int(packed.max()) >= count**digits:
        raise ValueError(f"{list(packed.shape)} bytes are not {size} codes")
    codes = packed.long()[:, None] // count ** torch.arange(digits, device=packed.device) % count
    return codes.flatten()[:size].view(shape)


class BTNet(Restorer):
    """The restoration network (section 4.2): 64-C3, two pairs of 64-C3 with skips, SubPixel, 1-C3.

    The first and last layers have full precision. For gray at scale 1 it has 148,929 parameters.

    Args:
        channels: image channels, 1 or 3; the paper uses luma.
        scale: 1 for denoising; 2, 3 or 4 for super-resolution.
        width: features.
        quantizer: "bt", "bwn", "twn", "ttq" or "lq", or "none" for full precision.
        threshold: threshold of "twn" and "bt", in mean |W|.
    """

    def __init__(
        self,
        channels: int = 1,
        scale: int = 1,
        width: int = 64,
        quantizer: str = "bt",
        threshold: float = THRESHOLD,
    ) -> None:
        super().__init__()
        if scale not in (1, 2, 3, 4):
            raise ValueError(f"scale must be 1, 2, 3 or 4, not {scale}")

        def inner(out_channels: int) -> nn.Conv2d:
            return convolution(width, out_channels, quantizer, threshold)

        self.enlarge = nn.Identity() if scale == 1 else Bicubic(scale)
        self.head = nn.Conv2d(channels, width, 3, padding=1)
        self.pairs = nn.ModuleList(
            nn.Sequential(inner(width), nn.ReLU(), inner(width)) for _ in range(2)
        )
        subpixel = [inner(width * scale**2), nn.ReLU(), nn.PixelShuffle(scale)] if scale > 1 else []
        self.subpixel = nn.Sequential(*subpixel)
        self.tail = nn.Conv2d(width, channels, 3, padding=1)
        self.geometry = Geometry(channels=channels, scale=scale, radius=6 if scale == 1 else 7)

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, scale*H, scale*W
        features = self.head(x).relu()
        for pair in self.pairs:
            features = (features + pair(features)).relu()
        change: Tensor = self.tail(self.subpixel(features))
        larger: Tensor = self.enlarge(x)
        return larger + change.to(x.dtype)

    def init_weights(self) -> None:
        """Initialize the weights as any network's, then the scales of the quantizers."""
        super().init_weights()
        for layer in self._quantized().values():
            layer.quantizer.reset(layer.weight)

    def penalty(self) -> Tensor:
        """Return the negative transition term."""
        return -transition(self)

    def checkpoint_state(self) -> dict[str, Tensor]:
        """Return a quantized layer as `codes` (`to_bytes`) and `scales`; all else is float32.

        A weight takes 1 bit with BWN, 1.6 with TWN and TTQ, 2 with LQ and 8/3 with BT. The shadow
        weights are not saved: a training that starts from such a file starts from the quantized
        values.
        """
        layers = self._quantized()
        if not layers:
            return super().checkpoint_state()
        state = self.state_dict()
        for name, layer in layers.items():
            scales, codes = layer.split()
            for key in ("weight", "fixed", "quantizer.scales"):
                state.pop(f"{name}.{key}", None)
            state |= {
                f"{name}.codes": to_bytes(codes, layer.quantizer.count),
                f"{name}.scales": scales,
            }
        return {key: value.detach().cpu().contiguous() for key, value in state.items()}

    def convert_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Unpack the result of `checkpoint_state`; a plain state dict is returned unchanged."""
        adopted = dict(state)
        for name, layer in self._quantized().items():
            if f"{name}.codes" not in state:
                continue
            quantizer, scales = layer.quantizer, adopted.pop(f"{name}.scales")
            if scales.shape != quantizer.shape:
                raise ValueError(f"{list(scales.shape)} scales for {list(quantizer.shape)}")
            codes = from_bytes(adopted.pop(f"{name}.codes"), quantizer.count, layer.weight.shape)
            adopted |= {
                f"{name}.weight": quantizer.join(scales, codes),
                f"{name}.fixed": torch.tensor(True),
            }
            if "scales" in quantizer.state_dict():
                adopted[f"{name}.quantizer.scales"] = scales
        return adopted

    def _quantized(self) -> dict[str, QuantizedConv2d]:
        return {
            name: part for name, part in self.named_modules() if isinstance(part, QuantizedConv2d)
        }


class VGG6(nn.Module):
    """VGG-6(K), the paper's classifier (section 3.3).

    All convolutions are quantized, the linear layers are not. Batch normalization follows each
    convolution and the first linear layer. The loss applies the softmax.

    Args:
        classes: number of classes.
        width: K, features of the first two convolutions; the others have 2K and 4K, and the linear
            layer 8K.
        channels, side: image channels, and image side in pixels, a multiple of 8.
        quantizer, threshold: as for `BTNet`.
    """

    def __init__(
        self,
        classes: int,
        width: int = 64,
        channels: int = 3,
        side: int = 32,
        quantizer: str = "bt",
        threshold: float = THRESHOLD,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        in_channels = channels
        for out_channels in (width, 2 * width, 4 * width):
            for inputs in (in_channels, out_channels):
                layers += [convolution(inputs, out_channels, quantizer, threshold, bias=False)]
                layers += [nn.BatchNorm2d(out_channels), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
            in_channels = out_channels
        hidden = 8 * width
        layers += [
            nn.Flatten(),
            nn.Linear(in_channels * (side // 8) ** 2, hidden),
            nn.BatchNorm1d(hidden),
        ]
        self.model = nn.Sequential(*layers, nn.ReLU(), nn.Linear(hidden, classes))

    def forward(self, x: Tensor) -> Tensor:  # N, channels, side, side -> N, classes
        scores: Tensor = self.model(x)
        return scores
