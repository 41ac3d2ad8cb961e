"""AOD-Net: Li et al., "AOD-Net: All-in-One Dehazing Network", ICCV 2017.

Five convolutions with three features estimate K, which combines transmission and atmospheric light;
the clean image is K x - K + 1. The layers are named as in the PyTorch port with a free checkpoint,
which loads unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from restore_cli.network import Geometry, Restorer


class AODNet(Restorer):
    """AOD-Net for color images.

    Args:
        width: features, 3 in the paper.
    """

    def __init__(self, width: int = 3) -> None:
        super().__init__()

        def convolve(in_channels: int, out_channels: int, side: int) -> nn.Conv2d:
            return nn.Conv2d(in_channels, out_channels, side, padding=side // 2)

        self.e_conv1 = convolve(3, width, 1)
        self.e_conv2 = convolve(width, width, 3)
        self.e_conv3 = convolve(2 * width, width, 5)
        self.e_conv4 = convolve(2 * width, width, 7)
        self.e_conv5 = convolve(4 * width, 3, 3)
        self.geometry = Geometry(channels=3, radius=7)

    def init_weights(self) -> None:
        """Set K to 1, which changes nothing; at 0 its ReLU would have no gradient."""
        super().init_weights()
        with torch.no_grad():
            self.e_conv5.bias.fill_(1)  # type: ignore[union-attr]

    @classmethod
    def infer(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Infer the arguments from a state dict of `e_conv1` to `e_conv5`."""
        return {"width": len(state["e_conv1.weight"])}

    def forward(self, x: Tensor) -> Tensor:  # N, 3, H, W -> N, 3, H, W
        first = self.e_conv1(x).relu()
        second = self.e_conv2(first).relu()
        third = self.e_conv3(torch.cat([first, second], dim=1)).relu()
        fourth = self.e_conv4(torch.cat([second, third], dim=1)).relu()
        k: Tensor = (
            self.e_conv5(torch.cat([first, second, third, fourth], dim=1)).relu().to(x.dtype)
        )
        return (k * x - k + 1).relu()
