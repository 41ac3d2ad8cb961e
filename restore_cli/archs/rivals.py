"""Modules that InfoAccum's paper compares with InfoAccum (appendix H.B, figure 14).

The paper names the modules and their authors, and gives no details. Here they are plain, without
the losses that some of their papers add, and have similar features and depth, because the modules
are to be compared. Only `Dense` and `Attention` pass their input on.

- dense: Huang et al., "Densely Connected Convolutional Networks", 2017; like InfoAccum without
  dilation.
- residual: He et al., "Deep Residual Learning for Image Recognition", 2016; without normalization.
- context: Yang et al., "Deep Joint Rain Detection and Removal from a Single Image", 2017; only its
  blocks.
- scan: Li et al., "Recurrent Squeeze-and-Excitation Context Aggregation Net", 2018; one stage.
- recursive: Ren et al., "Progressive Image Deraining Networks", 2019; one residual block, repeated.
- attention: Qian et al., "Attentive Generative Adversarial Network for Raindrop Removal", 2018; its
  map is learned from the result alone.

The papers behind residual and recursive are a guess, because the list of references is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import cycle, islice
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from restore_cli.archs.layers import DilatedConv2d

SLOPE = 0.2  # of the leaky ReLU


class Rival(nn.Module):
    """A module before a layer of the encoder.

    Args:
        width: input features.
        layers: approximate number of consecutive 3x3 convolutions.
        growth: an eighth of its own features; with 4 and 15 layers most modules have about as many
            parameters as InfoAccum.

    Attributes:
        outputs: output features.
        reach: radius of the receptive field in pixels, if it is local.
        local: whether the receptive field is limited.
    """

    outputs: int
    reach: int
    local: ClassVar[bool] = True


class Dense(Rival):
    """Concatenates its input with the results of 3x3 convolutions."""

    def __init__(self, width: int, layers: int, growth: int) -> None:
        super().__init__()
        widths = [width + 3 * growth * layer for layer in range(layers + 1)]
        self.layers = nn.ModuleList(
            nn.Conv2d(in_channels, 3 * growth, 3, padding=1) for in_channels in widths[:-1]
        )
        self.outputs, self.reach = widths[-1], layers

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C + 3 n growth, H, W
        for layer in self.layers:
            x = torch.cat([x, leaky_relu(layer(x), SLOPE)], dim=1)
        return x


class ResidualBlock(nn.Module):
    """Adds the result of two convolutions to its input; dilations share the features."""

    def __init__(self, width: int, dilations: tuple[int, ...] = (1,)) -> None:
        super().__init__()
        inner = width // len(dilations)
        self.paths = nn.ModuleList(
            nn.Sequential(
                DilatedConv2d(width, inner, dilation),
                nn.ReLU(),
                DilatedConv2d(inner, width, dilation),
            )
            for dilation in dilations
        )

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C, H, W
        return sum((path(x) for path in self.paths), x)


class Residual(Rival):
    """A convolution and residual blocks."""

    dilations: ClassVar[tuple[int, ...]] = (1,)
    shared: ClassVar[bool] = False

    def __init__(self, width: int, layers: int, growth: int) -> None:
        super().__init__()
        self.outputs, self.turns = 8 * growth, max(1, (layers - 1) // 2)
        self.head = nn.Conv2d(width, self.outputs, 3, padding=1)
        blocks = 1 if self.shared else self.turns
        self.blocks = nn.ModuleList(
            ResidualBlock(self.outputs, self.dilations) for _ in range(blocks)
        )
        self.reach = 1 + 2 * max(self.dilations) * self.turns

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, 8 growth, H, W
        features: Tensor = self.head(x).relu()
        for block in islice(cycle(self.blocks), self.turns):
            features = block(features)
        return features


class Context(Residual):
    """Residual blocks with additional dilated convolutions."""

    dilations = (1, 2, 3)


class Recursive(Residual):
    """One residual block that runs several times with the same weights."""

    shared = True


class Scan(Rival):
    """Convolutions of growing dilation; features are weighted by their means over the image."""

    local = False
    dilations: ClassVar[tuple[int, ...]] = (1, 2, 4, 8, 16)

    def __init__(self, width: int, layers: int, growth: int) -> None:
        super().__init__()
        self.outputs = features = 8 * growth
        dilations = list(islice(cycle(self.dilations), layers))
        self.layers = nn.ModuleList(
            DilatedConv2d(features if layer else width, features, dilation)
            for layer, dilation in enumerate(dilations)
        )
        self.weights = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(features, features // 8, 1),
                nn.ReLU(),
                nn.Conv2d(features // 8, features, 1),
            )
            for _ in dilations
        )
        self.reach = sum(dilations)

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, 8 growth, H, W
        for layer, weigh in zip(self.layers, self.weights, strict=True):
            x = leaky_relu(layer(x), SLOPE)
            x = x * weigh(x.mean((2, 3), keepdim=True)).sigmoid()
        return x


class Attention(Rival):
    """Concatenates its input with an attention map from a recurrent network of four steps."""

    steps: ClassVar[int] = 4

    def __init__(self, width: int, layers: int, growth: int) -> None:
        super().__init__()
        self.outputs, features, blocks = (
            width + 1,
            8 * growth,
            max(1, (layers - 1) // (2 * self.steps)),
        )
        self.head = nn.Conv2d(width + 1, features, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        self.gates = nn.Conv2d(2 * features, 4 * features, 3, padding=1)
        self.look = nn.Conv2d(features, 1, 3, padding=1)
        self.reach = self.steps * (3 + 2 * blocks)

    def forward(self, x: Tensor) -> Tensor:  # N, C, H, W -> N, C + 1, H, W
        where = torch.full_like(x[:, :1], 0.5)
        memory = hidden = x.new_zeros(x.shape[0], self.gates.out_channels // 4, *x.shape[2:])
        for _ in range(self.steps):
            features = self.blocks(self.head(torch.cat([x, where], dim=1)).relu())
            write, keep, read, new = self.gates(torch.cat([features, hidden], dim=1)).chunk(
                4, dim=1
            )
            memory = keep.sigmoid() * memory + write.sigmoid() * new.tanh()
            hidden = read.sigmoid() * memory.tanh()
            where = self.look(hidden).sigmoid()
        return torch.cat([x, where], dim=1)


RIVALS: Mapping[str, type[Rival]] = {
    "dense": Dense,
    "residual": Residual,
    "context": Context,
    "scan": Scan,
    "recursive": Recursive,
    "attention": Attention,
}
