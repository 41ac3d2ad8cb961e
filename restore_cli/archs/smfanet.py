"""SMFANet+, a lightweight super-resolution network.

Zheng et al., "SMFANet: A Lightweight Self-Modulation Feature Aggregation Network for Efficient
Image Super-Resolution", ECCV 2024. Each block adds two parts: features modulated by their maxima
over 8x8 pixels and their variance over the entire image, and details from depthwise convolutions.
Tiles are approximate because of the variance. The layers are named as in the released checkpoints,
which load unchanged. The paper's code cuts the image into blocks of about 8 pixels; here the engine
pads it to multiples of 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, interpolate, max_pool2d, normalize

from restore_cli.archs.layers import side_of
from restore_cli.network import Geometry, Restorer

CELL = 8


class Details(nn.Module):
    """Local detail estimation (LDE): a depthwise 3x3 convolution and two 1x1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        depthwise = nn.Conv2d(width, 2 * width, 3, padding=1, groups=width)
        self.conv_0 = nn.Sequential(depthwise, nn.Conv2d(2 * width, 2 * width, 1))
        self.conv_1 = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        return self.conv_1(gelu(self.conv_0(x)))  # type: ignore[no-any-return]


class Modulation(nn.Module):
    """Self-modulation feature aggregation (SMFA), section 3.2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear_0 = nn.Conv2d(width, 2 * width, 1)
        self.linear_1 = nn.Conv2d(width, width, 1)
        self.linear_2 = nn.Conv2d(width, width, 1)
        self.lde = Details(width)
        self.dw_conv = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.alpha = nn.Parameter(torch.ones(1, width, 1, 1))
        self.belt = nn.Parameter(torch.zeros(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        local, wide = self.linear_0(x).chunk(2, dim=1)
        coarse = self.dw_conv(max_pool2d(wide, CELL)) * self.alpha
        variance = torch.var(wide, dim=(2, 3), keepdim=True) * self.belt
        weights = interpolate(gelu(self.linear_1(coarse + variance)), scale_factor=CELL)
        return self.linear_2(wide * weights + self.lde(local))  # type: ignore[no-any-return]


class Mixing(nn.Module):
    """Partial convolution-based feed-forward network (PCFN): 3x3 only on the first quarter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.part = width // 2
        self.conv_0 = nn.Conv2d(width, 2 * width, 1)
        self.conv_1 = nn.Conv2d(self.part, self.part, 3, padding=1)
        self.conv_2 = nn.Conv2d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        wide = gelu(self.conv_0(x))
        first, rest = wide[:, : self.part], wide[:, self.part :]
        return self.conv_2(torch.cat([gelu(self.conv_1(first)), rest], dim=1))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Feature modulation block (FMB)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.smfa = Modulation(width)
        self.pcfn = Mixing(width)

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        x = x + self.smfa(normalize(x))
        mixed: Tensor = self.pcfn(normalize(x))
        return x + mixed


class SMFANet(Restorer):
    """SMFANet+.

    Args:
        scale: upscaling factor.
        width, blocks: features and number of blocks; 48 and 12 in the paper.
    """

    def __init__(self, scale: int = 4, width: int = 48, blocks: int = 12) -> None:
        super().__init__()
        self.to_feat = nn.Conv2d(3, width, 3, padding=1)
        self.feats = nn.Sequential(*(Block(width) for _ in range(blocks)))
        self.to_img = nn.Sequential(
            nn.Conv2d(width, 3 * scale**2, 3, padding=1), nn.PixelShuffle(scale)
        )
        self.geometry = Geometry(channels=3, scale=scale, multiple=CELL, radius=32, local=False)

    @classmethod
    def infer(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Infer the arguments from a state dict of `to_feat`, `feats` and `to_img`."""
        inside = [key.split(".") for key in state if key.startswith("feats.")]
        scale = side_of(len(state["to_img.0.weight"]), 3)
        blocks = 1 + max(int(words[1]) for words in inside)
        return {"scale": scale, "width": len(state["to_feat.weight"]), "blocks": blocks}

    def forward(self, x: Tensor) -> Tensor:  # N, 3, H, W -> N, 3, scale*H, scale*W
        features = self.to_feat(x)
        image: Tensor = self.to_img(features + self.feats(features))
        return image.to(x.dtype)
