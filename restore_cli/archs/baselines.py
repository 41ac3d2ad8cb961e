"""Networks that the papers compare themselves with."""

from __future__ import annotations

from torch import Tensor, nn

from restore_cli.engine import Geometry, Restorer


class DnCNN(Restorer):
    """DnCNN of Zhang et al., "Beyond a Gaussian Denoiser", TIP 2017: convolutions that predict the noise.

    Its layers are numbered as in the authors' released checkpoints, whose batch normalisation is merged
    into the convolutions: with `norm=False` those load as they are.

    Args:
        channels: image channels, 1 or 3.
        depth: convolutions, 17 in DnCNN-S.
        width: features.
        norm: batch normalisation between convolution and ReLU, in all but the first and last layer.
    """

    def __init__(self, channels: int = 1, depth: int = 17, width: int = 64, norm: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            layers.append(nn.Conv2d(width, width, 3, padding=1, bias=not norm))
            layers += [nn.BatchNorm2d(width), nn.ReLU()] if norm else [nn.ReLU()]
        layers.append(nn.Conv2d(width, channels, 3, padding=1, bias=not norm))
        self.model = nn.Sequential(*layers)
        self.geometry = Geometry(channels=channels, radius=depth)

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        noise: Tensor = self.model(x)
        return x - noise.to(x.dtype)
