"""RRDBNet, the network of ESRGAN, Real-ESRGAN and BSRGAN.

Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial Networks", ECCVW 2018.
Residual-in-residual dense blocks at low resolution; then the size is doubled several times, each
time followed by a convolution. Features at high resolution would take most of the memory, so that
they are computed in squares.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pixel_unshuffle

from restore_cli.network import Geometry, Restorer

SQUARE = 128  # side of the squares that are enlarged, in pixels of the low resolution
# The names of layers in the authors' first two versions, the oldest first.
_NAMES = {
    r"model\.0\.(.*)": r"conv_first.\1",
    r"model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.(.*)": r"body.\1.rdb\2.conv\3.\4",
    r"model\.1\.sub\.(\d+)\.(weight|bias)": r"conv_body.\2",
    r"RRDB_trunk\.(\d+)\.RDB(\d)\.(.*)": r"body.\1.rdb\2.\3",
    r"trunk_conv\.(.*)": r"conv_body.\1",
    r"upconv(\d)\.(.*)": r"conv_up\1.\2",
    r"HRconv\.(.*)": r"conv_hr.\1",
}


class Dense(nn.Module):
    """Residual dense block: five convolutions, each of all previous features."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for number in range(1, 6):
            out_channels = growth if number < 5 else width
            in_channels = width + (number - 1) * growth
            self.add_module(f"conv{number}", nn.Conv2d(in_channels, out_channels, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        features = x
        for number in range(1, 5):
            more = self.get_submodule(f"conv{number}")(features)
            features = torch.cat([features, leaky_relu(more, 0.2)], dim=1)
        change: Tensor = self.get_submodule("conv5")(features)
        return x + 0.2 * change


class Block(nn.Module):
    """Residual in residual dense block (RRDB)."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (Dense(width, growth) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:  # N, width, H, W
        change: Tensor = self.rdb3(self.rdb2(self.rdb1(x)))
        return x + 0.2 * change


class RRDBNet(Restorer):
    """RRDBNet.

    Args:
        channels: image channels, 1 or 3.
        blocks: number of blocks; 23, or 6 in the network for drawings.
        width, growth: features, and features that a convolution adds.
        doublings: how often the size is doubled.
        unshuffle: factor of the pixel-unshuffle before the first layer; 2 in Real-ESRGAN's network
            for scale 2.
    """

    def __init__(
        self,
        channels: int = 3,
        blocks: int = 23,
        width: int = 64,
        growth: int = 32,
        doublings: int = 2,
        unshuffle: int = 1,
    ) -> None:
        super().__init__()
        scale, rest = divmod(2**doublings, unshuffle) if 0 <= doublings <= 4 else (1, 1)
        if rest:
            raise ValueError(
                "doublings must be from 0 to 4, and 2**doublings a multiple of unshuffle"
            )
        self.conv_first = nn.Conv2d(channels * unshuffle**2, width, 3, padding=1)
        self.body = nn.Sequential(*(Block(width, growth) for _ in range(blocks)))
        self.conv_body = nn.Conv2d(width, width, 3, padding=1)
        for number in range(1, doublings + 1):
            self.add_module(f"conv_up{number}", nn.Conv2d(width, width, 3, padding=1))
        self.conv_hr = nn.Conv2d(width, width, 3, padding=1)
        self.conv_last = nn.Conv2d(width, channels, 3, padding=1)
        self.doublings, self.unshuffle = doublings, unshuffle
        reach = 2  # of the last layers; after a doubling it is half as far, rounded up
        for _ in range(doublings):
            reach = -(-(reach + 1) // 2)
        self.reach = reach
        cells = reach + 2 + 15 * blocks
        self.geometry = Geometry(
            channels=channels,
            scale=scale,
            multiple=unshuffle,
            radius=cells * unshuffle + unshuffle - 1,
            floats=5 * (width + 4 * growth) // unshuffle**2,
        )

    @classmethod
    def infer(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Infer the arguments from a state dict of any version of the authors' code."""
        own = rename(state)
        width, in_channels = own["conv_first.weight"].shape[:2]
        channels = len(own["conv_last.weight"])
        return {
            "channels": channels,
            "blocks": 1 + max(int(key.split(".")[1]) for key in own if key.startswith("body.")),
            "width": width,
            "growth": len(own["body.0.rdb1.conv1.weight"]),
            "doublings": sum(re.fullmatch(r"conv_up\d\.weight", key) is not None for key in own),
            "unshuffle": round((in_channels / channels) ** 0.5),
        }

    def convert_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Rename the tensors as in the authors' latest version."""
        return rename(state)

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, scale*H, scale*W
        first = self.conv_first(pixel_unshuffle(x, self.unshuffle))
        features = first + self.conv_body(self.body(first))
        if torch.compiler.is_exporting():  # squares would fix the size of the exported network
            return self._finish(features).to(x.dtype)
        height, width = features.shape[2:]
        rows = []
        for top in range(0, height, SQUARE):
            row = [self._enlarge(features, top, left) for left in range(0, width, SQUARE)]
            rows.append(torch.cat(row, dim=3))
        return torch.cat(rows, dim=2).to(x.dtype)

    def _enlarge(self, features: Tensor, top: int, left: int) -> Tensor:
        """Compute a square of the result from the features in its receptive field."""
        above, before = min(top, self.reach), min(left, self.reach)
        inside = (
            slice(start - more, start + SQUARE + self.reach)
            for start, more in ((top, above), (left, before))
        )
        image = self._finish(features[:, :, *inside])
        height, width = (
            min(SQUARE, size - start)
            for size, start in zip(features.shape[2:], (top, left), strict=True)
        )
        side = 2**self.doublings
        return image[
            :, :, above * side : (above + height) * side, before * side : (before + width) * side
        ]

    def _finish(self, features: Tensor) -> Tensor:
        """Enlarge features, and compute the image."""
        for number in range(1, self.doublings + 1):
            larger = interpolate(features, scale_factor=2)
            features = leaky_relu(self.get_submodule(f"conv_up{number}")(larger), 0.2)
        image: Tensor = self.conv_last(leaky_relu(self.conv_hr(features), 0.2))
        return image


def rename(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a state dict as in the authors' latest version.

    Raises:
        LookupError: the state dict belongs to another network.
    """
    if "conv_first.weight" in state and "conv_body.weight" in state:
        return dict(state)
    own = {}
    late = sorted(
        {int(key.split(".")[1]) for key in state if re.fullmatch(r"model\.\d+\.weight", key)}
    )
    *ups, high, last = late[1:] or (0, 0)
    oldest = {f"model.{number}": f"conv_up{i}" for i, number in enumerate(ups, 1)}
    oldest |= {f"model.{high}": "conv_hr", f"model.{last}": "conv_last"} if late else {}
    for key, value in state.items():
        layer, _, part = key.rpartition(".")
        if layer in oldest:
            own[f"{oldest[layer]}.{part}"] = value
            continue
        matches = (
            re.sub(f"^{theirs}$", ours, key)
            for theirs, ours in _NAMES.items()
            if re.fullmatch(theirs, key)
        )
        own[next(matches, key)] = value
    if "conv_first.weight" not in own or "conv_body.weight" not in own:
        raise LookupError("the state dict belongs to another network")
    return own
