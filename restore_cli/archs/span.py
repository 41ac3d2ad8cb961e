"""SPAN, a fast super-resolution network with parameter-free attention.

Wan et al., "Swift Parameter-free Attention Network for Efficient Super-Resolution", CVPRW 2024.
Each block has three convolutions and weights their result by a function of itself without
parameters. The paper trains each 3x3 convolution as a chain of 1x1, 3x3 and 1x1 with a parallel
1x1. Here they are single convolutions, and `convert_state` merges those of the released
checkpoints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, pixel_shuffle, silu

from restore_cli.archs.layers import side_of
from restore_cli.network import Geometry, Restorer

MEAN = (0.4488, 0.4371, 0.4040)  # of DIV2K, RGB
LAYERS = ("c1_r", "c2_r", "c3_r")  # of a block, in the authors' code


class SPAN(Restorer):
    """SPAN with six blocks.

    Args:
        scale: upscaling factor.
        width: features, 48 or 52 in the paper.
    """

    bounds = (-0.5, 1.5)  # with white noise of sigma 50, results from -71 to 63 were measured
    mean: Tensor

    def __init__(self, scale: int = 4, width: int = 48) -> None:
        super().__init__()
        self.conv_1 = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in LAYERS) for _ in range(6)
        )
        self.conv_2 = nn.Conv2d(width, width, 3, padding=1)
        self.conv_cat = nn.Conv2d(4 * width, width, 1)
        self.up = nn.Conv2d(width, 3 * scale**2, 3, padding=1)
        self.register_buffer("mean", torch.tensor(MEAN))
        self.scale = scale
        self.geometry = Geometry(channels=3, scale=scale, radius=21)

    @classmethod
    def infer(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Infer the arguments from a state dict of this class or of the authors' own code."""
        up = state["up.weight"] if "up.weight" in state else state["upsampler.0.weight"]
        width = up.shape[1]
        if state["conv_cat.weight"].shape[:2] != (width, 4 * width):
            raise LookupError("the state dict belongs to another network")
        return {"scale": side_of(len(up), 3), "width": width}

    def convert_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Merge the convolutions of the authors' code; its own `eval_conv` may be out of date."""
        if "upsampler.0.weight" not in state:
            return dict(state)
        own = {f"conv_cat.{part}": state[f"conv_cat.{part}"] for part in ("weight", "bias")}
        own |= {f"up.{part}": state[f"upsampler.0.{part}"] for part in ("weight", "bias")}
        names = {
            f"blocks.{i}.{j}": f"block_{i + 1}.{LAYERS[j]}" for i in range(6) for j in range(3)
        }
        for name, theirs in (names | {"conv_1": "conv_1", "conv_2": "conv_2"}).items():
            own[f"{name}.weight"], own[f"{name}.bias"] = _merge(state, theirs)
        return own | {"mean": self.mean}

    def forward(self, x: Tensor) -> Tensor:  # N, 3, H, W -> N, 3, scale*H, scale*W
        first = features = self.conv_1((x - self.mean.view(3, 1, 1)) * 255)
        outputs = []
        for block in self.blocks:
            inner = silu(block[0](features))  # type: ignore[index]
            change = block[2](silu(block[1](inner)))  # type: ignore[index]
            features = (change + features) * (change.sigmoid() - 0.5)
            outputs.append((features, inner))
        joined = torch.cat([first, self.conv_2(features), outputs[0][0], outputs[5][1]], dim=1)
        image: Tensor = self.up(self.conv_cat(joined))
        return pixel_shuffle(image.to(x.dtype), self.scale)


def _merge(state: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Merge 1x1, 3x3 and 1x1 with a parallel 1x1 into the kernel and bias of one 3x3."""
    (first, a), (middle, b), (last, c) = (
        (state[f"{name}.conv.{i}.weight"].double(), state[f"{name}.conv.{i}.bias"].double())
        for i in range(3)
    )
    first, last = first.flatten(1), last.flatten(1)
    kernel = torch.einsum("om,mnyx,ni->oiyx", last, middle, first)
    bias = last @ (torch.einsum("mnyx,n->m", middle, a) + b) + c
    kernel += pad(state[f"{name}.sk.weight"].double(), (1, 1, 1, 1))
    return kernel.float(), (bias + state[f"{name}.sk.bias"].double()).float()
