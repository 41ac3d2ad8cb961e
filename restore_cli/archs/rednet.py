"""RED-Net: Mao, Shen and Yang, "Image Restoration Using Convolutional Auto-encoders with Symmetric Skip
Connections", 2016.

Convolutions that take the damage away, mirrored transposed convolutions that bring the details back, and
skips that hand details across. The paper leaves open whether a ReLU follows the last layer; here none does,
for what it gives is the damage, which has either sign.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from restore_cli.engine import Geometry, Restorer


class REDNet(Restorer):
    """RED10, RED20 and RED30 (section 3), their studies and their faster variants (section 4.5).

    Args:
        channels: image channels, 1 or 3.
        depth: layers, half of them convolutions: 10 (in the paper with `skip` 0), 20 or 30.
        width: features; 64 in the paper, 128 "better and slower".
        kernel: side of all kernels, odd.
        skip: layers from one skip to the next; 0 for none.
        strides: the convolutions, counted from 1, that halve the resolution; their mirrors double it. The
            paper's variants are [1], [5], [9] and [5, 9].
    """

    def __init__(
        self,
        channels: int = 1,
        depth: int = 30,
        width: int = 64,
        kernel: int = 3,
        skip: int = 2,
        strides: Sequence[int] = (),
    ) -> None:
        super().__init__()
        half = depth // 2
        if depth % 2 or kernel % 2 == 0 or not all(1 <= layer <= half for layer in strides):
            raise ValueError("depth is even, kernel is odd, strides are convolutions from 1 to depth / 2")
        self.skip = skip
        inputs = [channels, *[width] * (half - 1)]
        steps = [2 if layer in strides else 1 for layer in range(1, half + 1)]
        pad = kernel // 2
        self.encoder = nn.ModuleList(
            nn.Conv2d(taken, width, kernel, stride=step, padding=pad)
            for taken, step in zip(inputs, steps, strict=True)
        )
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(width, taken, kernel, stride=step, padding=pad, output_padding=step - 1)
            for taken, step in zip(reversed(inputs), reversed(steps), strict=True)
        )
        cell, reach = 1, 0
        for step in steps:
            reach += 2 * pad * cell
            cell *= step
        self.geometry = Geometry(channels=channels, multiple=cell, radius=reach + cell - 1)

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        features, kept = x, []
        for layer, convolution in enumerate(self.encoder, start=1):
            features = convolution(features).relu()
            kept.append(features if self.skip and layer % self.skip == 0 else None)
        kept.pop()  # of the last convolution, which the first of the decoder is given anyway
        for deconvolution in self.decoder[:-1]:
            features, mirrored = deconvolution(features), kept.pop()
            features = (features if mirrored is None else features + mirrored).relu()
        damage: Tensor = self.decoder[-1](features)
        return x + damage.to(x.dtype)
