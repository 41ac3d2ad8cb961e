"""PReNet, a recurrent deraining network.

Ren et al., "Progressive Image Deraining Networks: A Better and Simpler Baseline", CVPR 2019. A
small network with an LSTM runs several times, each time on the rainy image and its last result. The
layers are named as in the released checkpoints, which load unchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from restore_cli.network import Geometry, Restorer

RESIDUALS = 5


class PReNet(Restorer):
    """PReNet, with one set of weights for all stages.

    Args:
        channels: image channels, 1 or 3.
        stages: number of runs, 6 in the paper.
        width: features.
    """

    def __init__(self, channels: int = 3, stages: int = 6, width: int = 32) -> None:
        super().__init__()

        def convolve(in_channels: int, out_channels: int, *others: nn.Module) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(in_channels, out_channels, 3, padding=1), *others)

        self.conv0 = convolve(2 * channels, width, nn.ReLU())
        for number in range(1, RESIDUALS + 1):
            block = convolve(
                width, width, nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
            )
            self.add_module(f"res_conv{number}", block)
        for gate in "ifgo":
            squash = nn.Tanh() if gate == "g" else nn.Sigmoid()
            self.add_module(f"conv_{gate}", convolve(2 * width, width, squash))
        self.conv = convolve(width, channels)
        self.stages, self.width = stages, width
        # Each stage: the first convolution, the LSTM's, two per residual block, and the last one.
        self.geometry = Geometry(channels=channels, radius=stages * (3 + 2 * RESIDUALS))

    @classmethod
    def infer(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Infer the arguments from a state dict of `conv0`, `res_conv1` and so on; 6 stages."""
        state["conv_g.0.weight"]
        width, in_channels = state["conv0.0.weight"].shape[:2]
        return {"channels": in_channels // 2, "width": width}

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        image = x
        hidden = cell = x.new_zeros(x.shape[0], self.width, *x.shape[2:])
        for _ in range(self.stages):
            seen = self.conv0(torch.cat([x, image], dim=1))
            hidden, cell = self._remember(torch.cat([seen, hidden], dim=1), cell)
            features = hidden
            for number in range(1, RESIDUALS + 1):
                features = (self.get_submodule(f"res_conv{number}")(features) + features).relu()
            image = x + self.conv(features).to(x.dtype)
        return image

    def _remember(self, seen: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """Run the LSTM; returns its output and its cell state."""
        write, keep, new, read = (self.get_submodule(f"conv_{gate}")(seen) for gate in "ifgo")
        cell = keep * cell + write * new
        return read * cell.tanh(), cell
