"""Compact (SRVGGNetCompact), the small network of Real-ESRGAN.

Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data",
ICCVW 2021. Plain convolutions at low resolution and a sub-pixel convolution; the image, enlarged by
repeating pixels, is added. The layers are numbered as in the released checkpoints, which load
unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle

from restore_cli.archs.layers import side_of
from restore_cli.network import Geometry, Restorer


class Compact(Restorer):
    """Convolutions with PReLU activations.

    Args:
        channels: image channels, 1 or 3.
        scale: upscaling factor; 4 in the released checkpoints.
        depth: convolutions between the first and the last; 32 in "general", 16 in "animevideo".
        width: features.
    """

    def __init__(self, channels: int = 3, scale: int = 4, depth: int = 32, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.PReLU(width)]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        layers.append(nn.Conv2d(width, channels * scale**2, 3, padding=1))
        self.body = nn.Sequential(*layers)
        self.scale = scale
        self.geometry = Geometry(channels=channels, scale=scale, radius=depth + 2)

    @classmethod
    def infer(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Infer the arguments from a state dict of `body.0` to `body.N`, odd ones PReLUs."""
        width, channels = state["body.0.weight"].shape[:2]
        last = max(int(key.split(".")[1]) for key in state)
        scale = side_of(len(state[f"body.{last}.weight"]), channels)
        return {"channels": channels, "scale": scale, "depth": last // 2 - 1, "width": width}

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, scale*H, scale*W
        details: Tensor = self.body(x)
        return pixel_shuffle(
            details.to(x.dtype) + x.repeat_interleave(self.scale**2, dim=1), self.scale
        )
