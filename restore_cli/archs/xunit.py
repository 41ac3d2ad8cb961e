"""xUnit networks, which have spatial activation functions.

Kligvasser, Rott Shaham and Michaeli, "xUnit: Learning a Spatial Activation Function for Efficient
Image Restoration", CVPR 2018. Each feature is gated by a Gaussian of a depthwise convolution of the
features around it, so that a few layers have a wide receptive field.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from restore_cli.archs.layers import DepthwiseConv2d, trains_on_cpu
from restore_cli.network import Geometry, Restorer


class XUnit(nn.Module):
    """z * exp(-d^2) with d = BN(depthwise_r(ReLU(BN(z)))) (section 3).

    It has (r^2 + 4) * width parameters.
    """

    def __init__(self, width: int, kernel: int = 9) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, not {kernel}")
        self.gate = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            DepthwiseConv2d(width, kernel),
            nn.BatchNorm2d(width),
        )

    def forward(self, z: Tensor) -> Tensor:  # N, C, H, W -> N, C, H, W
        distance: Tensor = self.gate(z)
        if trains_on_cpu(z):
            gated: Tensor = Gated.apply(z, distance)  # type: ignore[no-untyped-call]
            return gated
        return z * distance.square().neg().exp()


class Gated(torch.autograd.Function):
    """z * exp(-d^2) and its gradients, in few passes over memory."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, distance: Tensor) -> Tensor:
        gate = distance.square().neg_().exp_()
        ctx.save_for_backward(z, distance, gate)
        return z * gate

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        z, distance, gate = ctx.saved_tensors
        of_z = gradient * gate
        return of_z, (of_z * z).mul_(distance).mul_(-2)


class XDnCNN(Restorer):
    """xDnCNN (section 4.1): DnCNN with 9 convolutions and xUnits.

    It has 303K parameters for gray and 306K for RGB. Other depths and kernels give the xNets of the
    study in section 3. With kernel 0, batch normalization and ReLU replace the xUnits, as in the
    ConvNets of that study.

    Args:
        channels: image channels, 1 or 3.
        depth: convolutions.
        width: features.
        kernel: size of the xUnits' depthwise filters, odd; 0 for no xUnits.
        residual: learn the noise and subtract it, rather than the image itself ("direct learning").
    """

    def __init__(
        self,
        channels: int = 1,
        depth: int = 9,
        width: int = 64,
        kernel: int = 9,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.residual = residual
        layers: list[nn.Module] = []
        for inputs in (channels, *[width] * (depth - 2)):
            layers.append(nn.Conv2d(inputs, width, 3, padding=1))
            layers += [XUnit(width, kernel)] if kernel else [nn.BatchNorm2d(width), nn.ReLU()]
        layers.append(nn.Conv2d(width, channels, 3, padding=1))
        self.model = nn.Sequential(*layers)
        self.geometry = Geometry(channels=channels, radius=depth + (depth - 1) * (kernel // 2))

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        learned: Tensor = self.model(x).to(x.dtype)
        return x - learned if self.residual else learned


class XSRCNN(Restorer):
    """xSRCNN (section 4.3): SRCNN with xUnits, for luma that was upscaled bicubically.

    xSRCNN-f (smaller filters, 32K): widths [64, 32], kernels [9, 3, 5]. xSRCNN-c (fewer channels,
    44K): widths [42, 32], kernels [9, 5, 5].

    Args:
        channels: image channels, 1 or 3.
        widths, kernels: features between the convolutions, side of each kernel.
        kernel: size of the xUnits' depthwise filters.
        residual: add the input to the output, which the paper does not do.
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (64, 32),
        kernels: Sequence[int] = (9, 3, 5),
        kernel: int = 9,
        residual: bool = False,
    ) -> None:
        super().__init__()
        if not all(side % 2 for side in kernels):
            raise ValueError(f"kernels must be odd, not {list(kernels)}")
        self.residual = residual
        layers: list[nn.Module] = []
        for (in_channels, out_channels), side in zip(
            pairwise([channels, *widths]), kernels[:-1], strict=True
        ):
            layers += [
                nn.Conv2d(in_channels, out_channels, side, padding=side // 2),
                XUnit(out_channels, kernel),
            ]
        layers.append(nn.Conv2d(widths[-1], channels, kernels[-1], padding=kernels[-1] // 2))
        self.model = nn.Sequential(*layers)
        reach = sum(side // 2 for side in kernels) + len(widths) * (kernel // 2)
        self.geometry = Geometry(channels=channels, radius=reach)

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        restored: Tensor = self.model(x).to(x.dtype)
        return x + restored if self.residual else restored
