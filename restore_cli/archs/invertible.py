"""IRAE, the invertible restoring autoencoder.

Liu, Qin, Anwar, Caldwell and Gedeon, "Are Deep Neural Architectures Losing Information?
Invertibility Is Indispensable", 2020.

Two normalizing flows like Glow (Kingma and Dhariwal, 2018): an encoder that runs forward and a
decoder that runs backward. Nothing is sampled. The decoder receives the parts that the encoder
splits off, so that the network is invertible: `inverse` computes the input from the output.

Deviations: a coupling's first 3x3 convolution pads, instead of the 1x1 convolution after it as in
the authors' code, which would ignore a border of one pixel. The invertible convolutions are stored
as Glow's LU factors, which give the network the paper's 1.33 million parameters. A coupling scales
by more than 0.9, while the paper's scale may vanish (`floor` 0): ten minutes of training for
denoising reduced it to 5e-8, and the network was no longer invertible in float32. Holes are filled
by a smooth interpolation first, and from coarse to fine (`tasks/inpaint.py`); the paper's network
gets the hole.

The decoder starts as a copy of the encoder, including its normalizations, and its inverse undoes
the encoder. Training thus starts at the identity, and does not have to learn to copy first.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pixel_shuffle, pixel_unshuffle

from restore_cli.archs.layers import fused, gradients, through_relu
from restore_cli.network import Geometry, Restorer


class Invertible(nn.Module):
    """A module whose `inverse` undoes its `forward`."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor: ...

    @abstractmethod
    def inverse(self, y: Tensor) -> Tensor:
        """Return the x that `forward` maps to y."""


class ActNorm(Invertible):
    """(x + shift) * scale for each channel.

    The first batch in training sets both, so that the output has mean 0 and variance 1.
    """

    ready: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.scale = nn.Parameter(torch.ones(1, width, 1, 1))
        self.register_buffer("ready", torch.tensor(False))

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C, H, W
        if self.training and not self.ready:
            self._set(x)
        return (x + self.shift) * self.scale

    def inverse(self, y: Tensor) -> Tensor:
        return y / self.scale - self.shift

    @torch.no_grad()
    def _set(self, x: Tensor) -> None:
        deviation, mean = torch.std_mean(x.float(), (0, 2, 3), keepdim=True)
        self.shift.copy_(-mean)
        self.scale.copy_(1 / (deviation + 1e-6))
        self.ready.fill_(True)


class Mixing(Invertible):
    """An invertible 1x1 convolution W = P L (U + diag(s)) (Glow, section 3.2).

    It is initialized as a random rotation.
    """

    permutation: Tensor
    sign: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(width, width)).Q
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", diagonal.sign())
        self.lower = nn.Parameter(lower.contiguous())
        self.upper = nn.Parameter(upper.contiguous())
        self.log_diagonal = nn.Parameter(diagonal.abs().log())

    def weight(self) -> Tensor:
        """Return the matrix, C x C."""
        unit = torch.eye(len(self.sign), dtype=self.lower.dtype, device=self.lower.device)
        diagonal = torch.diag(self.sign * self.log_diagonal.exp())
        product: Tensor = (
            self.permutation @ (self.lower.tril(-1) + unit) @ (self.upper.triu(1) + diagonal)
        )
        return product

    def inverse_weight(self) -> Tensor:
        """Return the inverse of the matrix, C x C."""
        weight = self.weight()
        place = "cpu" if weight.device.type == "mps" else weight.device  # MPS has no float64
        inverse: Tensor = torch.linalg.inv(weight.to(place, torch.float64)).to(weight)
        return inverse

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C, H, W
        return conv2d(x, self.weight()[:, :, None, None])

    def inverse(self, y: Tensor) -> Tensor:
        return conv2d(y, self.inverse_weight()[:, :, None, None])


class Folded(Mixing):
    """A mixing with a constant matrix and inverse."""

    matrix: Tensor
    inverse_matrix: Tensor

    def __init__(self, mixing: Mixing) -> None:
        nn.Module.__init__(self)
        self.register_buffer("matrix", mixing.weight().detach())
        self.register_buffer("inverse_matrix", mixing.inverse_weight().detach())

    def weight(self) -> Tensor:
        return self.matrix

    def inverse_weight(self) -> Tensor:
        return self.inverse_matrix


class Coupling(nn.Module):
    """Scales and shifts half of the channels depending on the other half (Glow, section 3.3)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        first = nn.Conv2d(width // 2, hidden, 3, padding=1, bias=False)
        second = nn.Conv2d(hidden, hidden, 1, bias=False)
        last = nn.Conv2d(hidden, width, 3, padding=1)
        for convolution in (first, second):
            nn.init.normal_(convolution.weight, std=0.05)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.net = nn.Sequential(
            first, ActNorm(hidden), nn.ReLU(), second, ActNorm(hidden), nn.ReLU(), last
        )
        self.log_scale = nn.Parameter(torch.zeros(1, width, 1, 1))


class Step(Invertible):
    """ActNorm, mixing, coupling."""

    mixing: Mixing

    def __init__(self, width: int, hidden: int, floor: float) -> None:
        super().__init__()
        self.norm, self.mixing, self.coupling = (
            ActNorm(width),
            Mixing(width),
            Coupling(width, hidden),
        )
        self.floor = floor

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C, H, W
        self.set_up(x)
        [kernels] = fold([self], backwards=False)
        return take(x, kernels, False, self.floor)[0]

    def inverse(self, y: Tensor) -> Tensor:
        [kernels] = fold([self], backwards=True)
        return take(y, kernels, True, self.floor)[0]

    def set_up(self, x: Tensor) -> None:
        """Set up the normalizations from the first training input, N, C, H, W."""
        if self.training and not self.norm.ready:
            with torch.no_grad():
                unchanged, _ = self.mixing(self.norm(x)).chunk(2, dim=1)
                self.coupling.net(unchanged)


# Weight and bias of the mixing, and of the coupling's three convolutions.
Kernels = tuple[Tensor, ...]


def fold(steps: Sequence[Step], backwards: bool) -> list[Kernels]:
    """Return steps of one width as convolutions with folded normalizations, in autocast's type."""

    def stack(tensors: Iterable[Any]) -> Tensor:
        return torch.stack(list(tensors))

    shift = stack(step.norm.shift.view(-1) for step in steps)
    scale = stack(step.norm.scale.view(-1) for step in steps)
    if backwards:
        mixing = stack(step.mixing.inverse_weight() for step in steps) / scale[:, :, None]
        offset = -shift
    else:
        mixing = stack(step.mixing.weight() for step in steps) * scale[:, None]
        offset = (mixing @ shift[:, :, None])[:, :, 0]
    folded = [mixing, offset[:, :, None]]
    nets: list[Any] = [step.coupling.net for step in steps]
    for at in (0, 3):
        factor = stack(net[at + 1].scale.view(-1) for net in nets)
        weight = stack(net[at].weight for net in nets) * factor[..., None, None, None]
        folded += [weight, stack(net[at + 1].shift.view(-1) for net in nets) * factor]
    factor = stack(step.coupling.log_scale.view(-1) for step in steps).exp()
    weight = stack(net[6].weight for net in nets) * factor[..., None, None, None]
    folded += [weight, stack(net[6].bias for net in nets) * factor]
    kind = shift.device.type
    if torch.is_autocast_enabled(kind):
        folded = [kernel.to(torch.get_autocast_dtype(kind)) for kernel in folded]
    return list(zip(*(kernel.unbind() for kernel in folded), strict=True))


def take(x: Tensor, kernels: Kernels, backwards: bool, floor: float) -> tuple[Tensor, ...]:
    """Run a step in one direction, N, C, H, W -> N, C, H, W; returns also its intermediate values.

    A coupling's scale is between `floor` and 1. The channels of a flow are stored plane by plane,
    those within a coupling pixel by pixel, because that is fastest.
    """
    mixing, offset, first, first_bias, second, second_bias, last, last_bias = kernels
    x = x.to(mixing.dtype).contiguous()
    mixed = x if backwards else mix(x, mixing, offset)
    unchanged, changed = mixed.chunk(2, dim=1)
    seen = unchanged.contiguous(memory_format=torch.channels_last)
    inner = fused(seen, first, first_bias, rectified=True)
    outer = fused(inner, second, second_bias, rectified=True)
    raw, shift = conv2d(outer, last, last_bias, padding=1).contiguous().chunk(2, dim=1)
    gate = (raw + 2).sigmoid_()
    scale = floor + (1 - floor) * gate
    if backwards:
        moved = changed / scale
        joined = torch.cat([unchanged, moved - shift], dim=1)
        return mix(joined, mixing, offset), joined, seen, inner, outer, gate, scale, moved
    moved = changed + shift
    return torch.cat([unchanged, moved * scale], dim=1), x, seen, inner, outer, gate, scale, moved


def mix(x: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Apply a 1x1 convolution to planes; matrix C x C, offset C x 1."""
    planes = x.flatten(2)
    return torch.baddbmm(offset, matrix.expand(x.shape[0], -1, -1), planes).view_as(x)


class Taken(torch.autograd.Function):
    """`take` with gradients in few operations."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, backwards: bool, floor: float, *kernels: Tensor) -> Tensor:
        result, *intermediate = take(x, kernels, backwards, floor)
        ctx.backwards, ctx.floor = backwards, floor
        ctx.save_for_backward(*kernels, *intermediate)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        mixing, _, first, _, second, _, last, _, mixed, seen, inner, outer, gate, scale, moved = (
            ctx.saved_tensors
        )
        gradient = gradient.contiguous()
        of_mixing: list[Tensor] = []
        if ctx.backwards:
            gradient, *of_mixing = _unmix(gradient, mixed, mixing)
        of_unchanged, of_changed = gradient.chunk(2, dim=1)
        if ctx.backwards:
            of_shift, of_changed = -of_changed, of_changed / scale
            of_scale = -of_changed * moved
        else:
            of_scale, of_changed = of_changed * moved, of_changed * scale
            of_shift = of_changed
        of_raw = torch.ops.aten.sigmoid_backward(of_scale, gate) * (1 - ctx.floor)
        of_last_output = torch.cat([of_raw, of_shift], dim=1).contiguous(
            memory_format=torch.channels_last
        )
        of_outer, *of_last = gradients(of_last_output, outer, last)
        of_inner, *of_second = gradients(through_relu(of_outer, outer), inner, second)
        of_seen, *of_first = gradients(through_relu(of_inner, inner), seen, first)
        of_x = torch.cat([of_unchanged + of_seen.contiguous(), of_changed], dim=1)
        if not ctx.backwards:
            of_x, *of_mixing = _unmix(of_x, mixed, mixing)
        return of_x, None, None, *of_mixing, *of_first, *of_second, *of_last


def _unmix(gradient: Tensor, x: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `mix` for its input, matrix and offset."""
    rows = gradient.flatten(2)
    of_matrix = (rows @ x.flatten(2).mT).sum(0)
    of_x = torch.bmm(matrix.mT.expand(rows.shape[0], -1, -1), rows)
    return of_x.view_as(x), of_matrix, rows.sum((0, 2))[:, None]


class Flow(nn.Module):
    """Levels of squeeze, steps and split; maps an image to the parts that are split off."""

    def __init__(
        self, channels: int, steps: int, levels: int, hidden: int, recompute: bool, floor: float
    ) -> None:
        super().__init__()
        self.recompute = recompute
        widths = [channels * 4 * 2**level for level in range(levels)]
        self.steps = nn.ModuleList(
            Step(width, hidden, floor) for width in widths for _ in range(steps)
        )
        self.per_level = steps

    def forward(self, x: Tensor) -> list[Tensor]:
        # N, C, H, W -> N, 2C, H/2, W/2; N, 4C, H/4, W/4; ...
        parts: list[Tensor] = []
        for steps in self._levels():
            if parts:
                parts[-1], x = x.chunk(2, dim=1)
            x = self._run(steps, pixel_unshuffle(x, 2), backwards=False)
            parts.append(x)
        return parts

    def inverse(self, parts: Sequence[Tensor]) -> Tensor:
        """Return the image that `forward` maps to these parts."""
        *others, x = parts
        for steps in reversed(self._levels()):
            x = pixel_shuffle(self._run(steps[::-1], x, backwards=True), 2)
            x = torch.cat([others.pop(), x], dim=1) if others else x
        return x

    def _levels(self) -> list[list[Step]]:
        steps = [step for step in self.steps if isinstance(step, Step)]
        return [steps[at : at + self.per_level] for at in range(0, len(steps), self.per_level)]

    def _run(self, steps: list[Step], x: Tensor, backwards: bool) -> Tensor:
        if (
            not self.recompute
            and torch.is_grad_enabled()
            and all(step.norm.ready for step in steps)
        ):
            for kernels in fold(steps, backwards):
                x = Taken.apply(x, backwards, steps[0].floor, *kernels)  # type: ignore[no-untyped-call]
            return x
        directed = [DirectedStep(step, backwards) for step in steps]
        if self.recompute and torch.is_grad_enabled():
            parameters = [parameter for each in directed for parameter in each.step.parameters()]
            recomputed: Tensor = Recomputed.apply(directed, x, *parameters)  # type: ignore[no-untyped-call]
            return recomputed
        for each in directed:
            x = each.run(x)
        return x


@dataclass(frozen=True)
class DirectedStep:
    """A step in one direction."""

    step: Step
    backwards: bool

    def run(self, x: Tensor) -> Tensor:
        """Run the step."""
        result: Tensor = self.step.inverse(x) if self.backwards else self.step(x)
        return result

    def undo(self, y: Tensor) -> Tensor:
        """Undo the step."""
        result: Tensor = self.step(y) if self.backwards else self.step.inverse(y)
        return result


class Recomputed(torch.autograd.Function):
    """Steps that save only their last output; the backward pass undoes each step.

    Memory does not grow with the number of steps, at the cost of one more forward pass (Gomez et
    al., "The Reversible Residual Network", 2017).
    """

    @staticmethod
    def forward(ctx: Any, directed: list[DirectedStep], x: Tensor, *_parameters: Tensor) -> Tensor:
        for each in directed:
            x = each.run(x)
        ctx.directed = directed
        ctx.save_for_backward(x)
        return x

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (y,), (gradient,) = ctx.saved_tensors, gradients
        collected: list[list[Tensor | None]] = []
        for each in reversed(ctx.directed):
            with torch.no_grad():
                x = each.undo(y)
            with torch.enable_grad():
                x.requires_grad_()
                wanted = [x, *each.step.parameters()]
                gradient, *own = torch.autograd.grad(
                    each.run(x), wanted, gradient, allow_unused=True
                )
            collected.append(list(own))
            y = x.detach()
        return (None, gradient, *(own for step in reversed(collected) for own in step))


class IRAE(Restorer):
    """The encoder forward, then the decoder backward; 1.33 million parameters for color.

    Args:
        channels: image channels, 1 or 3.
        steps: K, steps of each level: 16; 8 for inpainting in the authors' code.
        levels: L, levels of each flow: 2; 3 for inpainting in the authors' code.
        hidden: features within the couplings.
        recompute: save memory in training by recomputing activations; gradients do not change.
        conditions: planes that pass through the flows together with the image; 1 for a mask of the
            hole, which the paper does not give.
        floor: the minimum of the couplings' scales, floor + (1 - floor) sigmoid(s + 2); 0 in the
            paper.
    """

    def __init__(
        self,
        channels: int = 3,
        steps: int = 16,
        levels: int = 2,
        hidden: int = 64,
        recompute: bool = False,
        conditions: int = 0,
        floor: float = 0.9,
    ) -> None:
        super().__init__()
        if not 0 <= floor < 1:
            raise ValueError(f"floor must be at least 0 and less than 1, not {floor}")
        planes = channels + conditions
        self.encoder, self.decoder = (
            Flow(planes, steps, levels, hidden, recompute, floor) for _ in range(2)
        )
        cells = [2 ** (level + 1) for level in range(levels)]
        self.geometry = Geometry(
            channels=channels,
            conditions=conditions,
            multiple=cells[-1],
            radius=2 * sum(2 * steps * cell for cell in cells) + cells[-1] - 1,
        )

    def forward(self, x: Tensor) -> Tensor:  # N, channels + conditions, H, W -> N, channels, H, W
        return self.through(x)[:, : self.geometry.channels].to(x.dtype)

    def through(self, x: Tensor) -> Tensor:
        """Map all planes, N x (channels + conditions) x H x W; H, W are multiples of 2^levels."""
        parts = self.encoder(x - 0.5)
        if self.training:
            for norm, source in zip(self.decoder.modules(), self.encoder.modules(), strict=True):
                if isinstance(norm, ActNorm) and not norm.ready:
                    norm.load_state_dict(source.state_dict())
        return self.decoder.inverse(parts) + 0.5

    def inverse(self, y: Tensor) -> Tensor:
        """Return the input that `through` maps to this output, up to rounding."""
        return self.encoder.inverse(self.decoder(y - 0.5)) + 0.5

    def fold_for_inference(self) -> None:
        """Make the mixings constant, which ends training; ONNX cannot invert a matrix."""
        for module in self.modules():
            if isinstance(module, Step):
                module.mixing = Folded(module.mixing)

    def init_weights(self) -> None:
        """Copy the encoder's weights to the decoder; the layers have initialized themselves."""
        self.decoder.load_state_dict(self.encoder.state_dict())
