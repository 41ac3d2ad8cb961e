"""A network that measures the blur of a photo by its spectrum.

A blur multiplies the spectrum of a photo by that of its kernel. The logarithms of the spectra of
many blocks, averaged, show it, because the content of the blocks differs, but not their blur: a
disk or a motion leaves zeros (Cannon, "Blind deconvolution of spatially invariant image blurs with
phase", 1976). A few convolutions recognize which.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from restore_cli.network import Geometry, Restorer

BLOCK = 64  # side of the blocks in pixels; they overlap by half
FLOOR = 1e-7  # power that is too low to be seen in 8 bits
LUMA = (0.299, 0.587, 0.114)


class BlurMeter(Restorer):
    """Three convolutions and two linear layers on spectra of blocks.

    The output is constant: for each image the three numbers of `restore_cli.blur.to_numbers`.

    Args:
        width: features of the first convolution, a quarter of those of the last.
    """

    window: Tensor
    luma: Tensor
    places: Tensor

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        line = torch.hann_window(BLOCK)
        rows = torch.linspace(-1, 1, BLOCK)[:, None].expand(BLOCK, BLOCK // 2)
        columns = torch.linspace(0, 1, BLOCK // 2).expand(BLOCK, BLOCK // 2)
        self.register_buffer("window", line[:, None] * line, persistent=False)
        self.register_buffer("luma", torch.tensor(LUMA).view(3, 1, 1), persistent=False)
        self.register_buffer("places", torch.stack([rows, columns]), persistent=False)
        layers: list[nn.Module] = []
        for inputs, outputs in ((5, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        size = 4 * width * (BLOCK // 8) * (BLOCK // 16)
        layers += [nn.Flatten(), nn.Linear(size, 8 * width), nn.ReLU(), nn.Linear(8 * width, 3)]
        self.model = nn.Sequential(*layers)
        self.geometry = Geometry(channels=3, radius=BLOCK, local=False)

    def forward(self, x: Tensor) -> Tensor:  # N, 3, H, W -> N, 3, H, W
        with torch.autocast(x.device.type, enabled=False):
            spectra = self._measure(x.float()) / 8 + 1
            places = self.places.expand(x.shape[0], -1, -1, -1)
            numbers: Tensor = self.model(torch.cat([spectra, places], dim=1))
        return numbers[:, :, None, None].expand(x.shape)

    def _measure(self, x: Tensor) -> Tensor:
        """Return the logarithms of three means of the power of all blocks.

        They are the geometric mean, the arithmetic mean, and the geometric mean of the quarter with
        the most detail: N x 3 x BLOCK x BLOCK / 2, with zero frequency at the middle left.
        """
        gray = (x * self.luma).sum(1)
        below, right = (max(0, BLOCK - size) for size in gray.shape[1:])
        gray = pad(gray, (0, right, 0, below))
        blocks = gray.unfold(1, BLOCK, BLOCK // 2).unfold(2, BLOCK, BLOCK // 2).flatten(1, 2)
        blocks = (blocks - blocks.mean((2, 3), keepdim=True)) * self.window
        power = torch.fft.rfft2(blocks, norm="ortho").abs().square()[..., : BLOCK // 2] + FLOOR
        power = torch.fft.fftshift(power, dim=2)
        logs = power.log()
        detail = logs.mean((2, 3))
        best = detail.topk(-(-detail.shape[1] // 4)).indices[:, :, None, None]
        top = logs.gather(1, best.expand(-1, -1, *logs.shape[2:]))
        return torch.stack([logs.mean(1), power.mean(1).log(), top.mean(1)], dim=1)

    def init_weights(self) -> None:
        """Initialize the convolutions by He's method, and keep PyTorch's linear layers."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
