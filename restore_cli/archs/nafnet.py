"""NAFNet: Chen et al., "Simple Baselines for Image Restoration", ECCV 2022.

A U-Net without activation functions: halves of the features are multiplied, and channels are
weighted by their mean over the entire image. Tiles are approximate because of that mean. The
network was trained on patches of 256 x 256 pixels and works best near that size (Chu et al.,
"Improving Image Restoration by Revisiting Global Information Aggregation", ECCV 2022, use 1.5 times
as much), so that it prefers tiles of 384 pixels. The layers are named as in the released
checkpoints, which load unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from restore_cli.network import Geometry, Restorer


class ChannelNorm(nn.Module):
    """Layer normalization over the channels of each pixel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, unbiased=False)
        normal = (x - mean) / (variance + 1e-6).sqrt()
        return normal * self.weight.view(-1, 1, 1) + self.bias.view(-1, 1, 1)


def gate(x: Tensor) -> Tensor:  # N, 2*C, H, W -> N, C, H, W
    """SimpleGate: multiply one half of the features by the other."""
    first, second = x.chunk(2, dim=1)
    return first * second


class Block(nn.Module):
    """NAFBlock (figure 3): depthwise convolution, channel attention and a feed-forward part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(width)
        self.conv1 = nn.Conv2d(width, 2 * width, 1)
        self.conv2 = nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width)
        self.sca = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, width, 1))
        self.conv3 = nn.Conv2d(width, width, 1)
        self.norm2 = ChannelNorm(width)
        self.conv4 = nn.Conv2d(width, 2 * width, 1)
        self.conv5 = nn.Conv2d(width, width, 1)
        self.beta = nn.Parameter(torch.zeros(1, width, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        inner = gate(self.conv2(self.conv1(self.norm1(x))))
        x = x + self.conv3(inner * self.sca(inner)) * self.beta
        change: Tensor = self.conv5(gate(self.conv4(self.norm2(x))))
        return x + change * self.gamma


class NAFNet(Restorer):
    """NAFNet.

    Args:
        channels: image channels, 1 or 3.
        width: features of the finest level, doubled on each coarser one; 32 or 64.
        encoder, middle, decoder: blocks of each level from fine to coarse, of the coarsest level,
            and of each level from coarse to fine.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 32,
        encoder: Sequence[int] = (1, 1, 1, 28),
        middle: int = 1,
        decoder: Sequence[int] = (1, 1, 1, 1),
    ) -> None:
        super().__init__()
        if len(encoder) != len(decoder):
            raise ValueError("encoder and decoder must have the same number of levels")
        levels = range(len(encoder))
        widths = [width * 2**level for level in levels]

        def repeat(count: int, wide: int) -> nn.Sequential:
            return nn.Sequential(*(Block(wide) for _ in range(count)))

        self.intro = nn.Conv2d(channels, width, 3, padding=1)
        self.encoders = nn.ModuleList(map(repeat, encoder, widths))
        self.downs = nn.ModuleList(nn.Conv2d(wide, 2 * wide, 2, stride=2) for wide in widths)
        self.middle_blks = repeat(middle, width * 2 ** len(encoder))
        self.ups = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * wide, 4 * wide, 1, bias=False), nn.PixelShuffle(2))
            for wide in reversed(widths)
        )
        self.decoders = nn.ModuleList(map(repeat, decoder, reversed(widths)))
        self.ending = nn.Conv2d(width, channels, 3, padding=1)
        self.geometry = Geometry(
            channels=channels, multiple=2 ** len(encoder), radius=48, local=False, tile=384
        )

    @classmethod
    def infer(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Infer the arguments from a state dict of `intro`, `encoders`, `middle_blks` and so on."""
        width, channels = state["intro.weight"].shape[:2]

        def count(prefix: str) -> int:
            own = (key.removeprefix(prefix) for key in state if key.startswith(prefix))
            return 1 + max((int(key.split(".")[0]) for key in own), default=-1)

        levels = range(count("downs."))
        encoder, decoder = (
            [count(f"{part}.{level}.") for level in levels] for part in ("encoders", "decoders")
        )
        state["middle_blks.0.beta"]
        return {
            "channels": channels,
            "width": width,
            "encoder": encoder,
            "middle": count("middle_blks."),
            "decoder": decoder,
        }

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        features, skips = self.intro(x), []
        for blocks, down in zip(self.encoders, self.downs, strict=True):
            features = blocks(features)
            skips.append(features)
            features = down(features)
        features = self.middle_blks(features)
        for up, blocks in zip(self.ups, self.decoders, strict=True):
            features = blocks(up(features) + skips.pop())
        change: Tensor = self.ending(features)
        return x + change.to(x.dtype)
