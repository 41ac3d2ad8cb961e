"""Restormer, a U-Net of transformer blocks with attention between channels.

Zamir et al., "Restormer: Efficient Transformer for High-Resolution Image Restoration", 2022. The
cost is linear in the number of pixels, because attention works between channels. Tiles are
approximate, because attention uses all pixels of its input. The layers are named as in the released
checkpoints, which load unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, normalize

from restore_cli.network import Geometry, Restorer
from restore_cli.tiles import OVERLAP


class ChannelNorm(nn.Module):
    """Layer normalization over the channels of each pixel; without bias the mean stays."""

    def __init__(self, width: int, biased: bool) -> None:
        super().__init__()
        own = {"weight": nn.Parameter(torch.ones(width))}
        if biased:
            own["bias"] = nn.Parameter(torch.zeros(width))
        self.body = nn.ParameterDict(own)

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, unbiased=False)
        scale: Tensor = self.body["weight"].view(-1, 1, 1) / (variance + 1e-5).sqrt()
        if "bias" not in self.body:
            return x * scale
        bias: Tensor = self.body["bias"].view(-1, 1, 1)
        return (x - mean) * scale + bias


class Attention(nn.Module):
    """MDTA, section 3.1: attention between the channels of each head."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(width, 3 * width, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(
            3 * width, 3 * width, 3, padding=1, groups=3 * width, bias=False
        )
        self.project_out = nn.Conv2d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        count, width, height, length = x.shape
        heads = len(self.temperature)
        features = self.qkv_dwconv(self.qkv(x)).reshape(
            count, 3, heads, width // heads, height * length
        )
        query, key, value = features.unbind(1)
        alike = normalize(query, dim=-1) @ normalize(key, dim=-1).transpose(-2, -1)
        mixed = (alike * self.temperature).softmax(dim=-1).to(value.dtype) @ value
        result: Tensor = self.project_out(mixed.reshape(count, width, height, length))
        return result


class FeedForward(nn.Module):
    """GDFN, section 3.2: one half of the features gates the other."""

    def __init__(self, width: int, expansion: float) -> None:
        super().__init__()
        inner = int(width * expansion)
        self.project_in = nn.Conv2d(width, 2 * inner, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * inner, 2 * inner, 3, padding=1, groups=2 * inner, bias=False)
        self.project_out = nn.Conv2d(inner, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        gate, features = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        result: Tensor = self.project_out(gelu(gate) * features)
        return result


class Block(nn.Module):
    """A transformer block, figure 2."""

    def __init__(self, width: int, heads: int, expansion: float, biased: bool) -> None:
        super().__init__()
        self.norm1 = ChannelNorm(width, biased)
        self.attn = Attention(width, heads)
        self.norm2 = ChannelNorm(width, biased)
        self.ffn = FeedForward(width, expansion)

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))  # type: ignore[no-any-return]


class Shuffle(nn.Module):
    """A convolution, then half the size and twice the features, or the reverse."""

    def __init__(self, width: int, shuffle: nn.Module) -> None:
        super().__init__()
        out_channels = width // 2 if isinstance(shuffle, nn.PixelUnshuffle) else 2 * width
        self.body = nn.Sequential(nn.Conv2d(width, out_channels, 3, padding=1, bias=False), shuffle)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.body(x)
        return result


class Restormer(Restorer):
    """Restormer with four levels.

    Args:
        channels: image channels, 1 or 3.
        width: features at full resolution, a multiple of each level's heads.
        blocks, heads: blocks and attention heads of each level.
        refinement: blocks after the decoder.
        expansion: features inside the feed-forward part, relative to its width.
        biased: use biases in the norms.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 48,
        blocks: Sequence[int] = (4, 6, 6, 8),
        heads: Sequence[int] = (1, 2, 4, 8),
        refinement: int = 4,
        expansion: float = 2.66,
        biased: bool = False,
    ) -> None:
        super().__init__()

        def level(index: int, count: int, features: int) -> nn.Sequential:
            return nn.Sequential(
                *(Block(features, heads[index], expansion, biased) for _ in range(count))
            )

        def shrink(features: int) -> Shuffle:
            return Shuffle(features, nn.PixelUnshuffle(2))

        def enlarge(features: int) -> Shuffle:
            return Shuffle(features, nn.PixelShuffle(2))

        self.patch_embed = nn.ModuleDict(
            {"proj": nn.Conv2d(channels, width, 3, padding=1, bias=False)}
        )
        self.encoder_level1 = level(0, blocks[0], width)
        self.down1_2 = shrink(width)
        self.encoder_level2 = level(1, blocks[1], 2 * width)
        self.down2_3 = shrink(2 * width)
        self.encoder_level3 = level(2, blocks[2], 4 * width)
        self.down3_4 = shrink(4 * width)
        self.latent = level(3, blocks[3], 8 * width)
        self.up4_3 = enlarge(8 * width)
        self.reduce_chan_level3 = nn.Conv2d(8 * width, 4 * width, 1, bias=False)
        self.decoder_level3 = level(2, blocks[2], 4 * width)
        self.up3_2 = enlarge(4 * width)
        self.reduce_chan_level2 = nn.Conv2d(4 * width, 2 * width, 1, bias=False)
        self.decoder_level2 = level(1, blocks[1], 2 * width)
        self.up2_1 = enlarge(2 * width)
        self.decoder_level1 = level(0, blocks[0], 2 * width)
        self.refinement = level(0, refinement, 2 * width)
        self.output = nn.Conv2d(2 * width, channels, 3, padding=1, bias=False)
        self.geometry = Geometry(channels=channels, multiple=8, radius=OVERLAP, local=False)

    @classmethod
    def infer(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Infer the arguments from a state dict of `encoder_level1`, `latent` and so on."""
        levels = ("encoder_level1", "encoder_level2", "encoder_level3", "latent")
        width, channels = state["patch_embed.proj.weight"].shape[:2]

        def count(name: str) -> int:
            return len({key.split(".")[1] for key in state if key.startswith(f"{name}.")})

        return {
            "channels": channels,
            "width": width,
            "blocks": [count(name) for name in levels],
            "heads": [len(state[f"{name}.0.attn.temperature"]) for name in levels],
            "refinement": count("refinement"),
            "biased": "latent.0.norm1.body.bias" in state,
        }

    def forward(self, x: Tensor) -> Tensor:
        # N, channels, H, W -> N, channels, H, W; H and W are multiples of 8
        first = self.encoder_level1(self.patch_embed["proj"](x))
        second = self.encoder_level2(self.down1_2(first))
        third = self.encoder_level3(self.down2_3(second))
        up = self.up4_3(self.latent(self.down3_4(third)))
        up = self.decoder_level3(self.reduce_chan_level3(torch.cat([up, third], dim=1)))
        up = self.decoder_level2(
            self.reduce_chan_level2(torch.cat([self.up3_2(up), second], dim=1))
        )
        up = self.refinement(self.decoder_level1(torch.cat([self.up2_1(up), first], dim=1)))
        change: Tensor = self.output(up).to(x.dtype)
        return x + change
