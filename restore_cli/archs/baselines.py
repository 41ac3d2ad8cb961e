"""Reference networks with which the papers compare their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, pixel_shuffle, pixel_unshuffle

from restore_cli.network import Geometry, Restorer


class DnCNN(Restorer):
    """DnCNN of Zhang et al., "Beyond a Gaussian Denoiser", TIP 2017.

    Convolutions predict the noise. The layers are numbered as in the authors' released checkpoints,
    which have batch normalization merged into the convolutions and load with `norm=False`. The
    DnCNN in IRAE's paper, with 1.48 million parameters, has depth 42 and residual False.

    Args:
        channels: image channels, 1 or 3.
        depth: convolutions, 17 in DnCNN-S.
        width: features.
        norm: use batch normalization, except in the first and last layer.
        residual: predict the noise and subtract it from the input, rather than the image itself.
    """

    def __init__(
        self,
        channels: int = 1,
        depth: int = 17,
        width: int = 64,
        norm: bool = True,
        residual: bool = True,
    ) -> None:
        super().__init__()
        self.residual = residual
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers.append(nn.Conv2d(width, width, 3, padding=1, bias=not norm))
            layers += [nn.BatchNorm2d(width), nn.ReLU()] if norm else [nn.ReLU()]
        layers.append(nn.Conv2d(width, channels, 3, padding=1, bias=not norm))
        self.model = nn.Sequential(*layers)
        self.geometry = Geometry(channels=channels, radius=depth)

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        predicted: Tensor = self.model(x).to(x.dtype)
        return x - predicted if self.residual else predicted


class FFDNet(Restorer):
    """FFDNet of Zhang et al., TIP 2018: DnCNN at half resolution, with a noise level plane.

    Args:
        channels: image channels, 1 or 3.
        depth, width: convolutions and features; 15 and 64 for gray, 12 and 96 for color.
    """

    def __init__(self, channels: int = 1, depth: int = 15, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(4 * channels + 1, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        layers.append(nn.Conv2d(width, 4 * channels, 3, padding=1))
        self.channels = channels
        self.model = nn.Sequential(*layers)
        self.geometry = Geometry(channels=channels, conditions=1, multiple=2, radius=2 * depth + 1)

    def forward(self, x: Tensor) -> Tensor:  # N, channels + 1, H, W -> N, channels, H, W
        image = pixel_unshuffle(x[:, : self.channels], 2)
        level = x[:, self.channels :, ::2, ::2]
        restored: Tensor = self.model(torch.cat([image, level], dim=1))
        return pixel_shuffle(restored.to(x.dtype), 2)


class ConvChain(Restorer):
    """Convolutions with ReLU between them, from the damaged to the clean image.

    SRCNN of Dong et al., 2014: widths [64, 32], kernels [9, 5, 5]. AR-CNN of Dong et al., 2015:
    widths [64, 32, 16], kernels [9, 7, 1, 5]. DerainNet of Fu et al., 2017: widths [512, 512],
    kernels [16, 1, 8], no biases; theirs gets only the details that a guided filter takes away,
    this one the image. Even kernels reach one pixel farther right and down.

    Args:
        channels: image channels, 1 or 3.
        widths, kernels: features between the convolutions, side of each kernel.
        bias: use biases in the convolutions.
        residual: add the input to the output, which the papers do not do.
    """

    def __init__(
        self,
        channels: int = 1,
        widths: Sequence[int] = (64, 32),
        kernels: Sequence[int] = (9, 5, 5),
        bias: bool = True,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.residual = residual
        features = [channels, *widths, channels]
        layers: list[nn.Module] = []
        for (in_channels, out_channels), kernel in zip(pairwise(features), kernels, strict=True):
            before, after = (kernel - 1) // 2, kernel // 2
            layers.append(nn.ZeroPad2d((before, after, before, after)))
            layers += [nn.Conv2d(in_channels, out_channels, kernel, bias=bias), nn.ReLU()]
        self.model = nn.Sequential(*layers[:-1])
        self.geometry = Geometry(channels=channels, radius=sum(kernel // 2 for kernel in kernels))

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        restored: Tensor = self.model(x).to(x.dtype)
        return x + restored if self.residual else restored


class RonnebergerUNet(Restorer):
    """U-Net of Ronneberger, Fischer and Brox, 2015, from the damaged to the clean image.

    The convolutions pad, and the default width is half the original's. The U-Net in the code of
    IRAE's authors has 7,699,011 parameters: width 64, levels 4, slope 0.2, pool "average", tail 3.

    Args:
        channels: image channels, 1 or 3.
        width: features of the finest level, doubled on each coarser one; 64 originally.
        levels: number of resolutions, each half of the previous one.
        slope: negative slope of the activations; 0 is a ReLU.
        pool: "max" or "average", the method that halves the resolution.
        tail: kernel size of the last convolution, odd.

    Raises:
        ValueError: the pool is unknown, or the tail is even.
    """

    def __init__(
        self,
        channels: int = 3,
        width: int = 32,
        levels: int = 5,
        slope: float = 0.0,
        pool: str = "max",
        tail: int = 1,
    ) -> None:
        super().__init__()
        pools: dict[str, Callable[[Tensor, int], Tensor]] = {
            "max": max_pool2d,
            "average": avg_pool2d,
        }
        if pool not in pools or tail % 2 == 0:
            raise ValueError(f"pool must be one of {', '.join(pools)}, and tail must be odd")
        self.pool = pools[pool]

        def convolve(in_channels: int, out_channels: int) -> nn.Sequential:
            first, second = (
                nn.Conv2d(inputs, out_channels, 3, padding=1)
                for inputs in (in_channels, out_channels)
            )
            return nn.Sequential(first, nn.LeakyReLU(slope), second, nn.LeakyReLU(slope))

        widths = [width * 2**level for level in range(levels)]
        steps = list(pairwise(widths))
        self.encoder = nn.ModuleList(convolve(a, b) for a, b in pairwise([channels, *widths]))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, stride=2) for a, b in reversed(steps))
        self.decoder = nn.ModuleList(convolve(2 * a, a) for a, _ in reversed(steps))
        self.tail = nn.Conv2d(width, channels, tail, padding=tail // 2)
        # Each level has two convolutions on the way down and two up; the coarsest has two in total.
        cell = 2 ** (levels - 1)
        reach = 4 * (cell - 1) + 2 * cell + tail // 2
        self.geometry = Geometry(channels=channels, multiple=cell, radius=reach + cell - 1)

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        features, skips = self.encoder[0](x), []
        for blocks in self.encoder[1:]:
            skips.append(features)
            features = blocks(self.pool(features, 2))
        for up, blocks in zip(self.up, self.decoder, strict=True):
            features = blocks(torch.cat([skips.pop(), up(features)], dim=1))
        restored: Tensor = self.tail(features)
        return restored.to(x.dtype)


PlainUNet = RonnebergerUNet  # the name in older checkpoints and recipes
