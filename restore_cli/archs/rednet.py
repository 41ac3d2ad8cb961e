"""RED-Net, a convolutional auto-encoder with symmetric skips.

Mao, Shen and Yang, "Image Restoration Using Convolutional Auto-encoders with Symmetric Skip
Connections", 2016. Convolutions remove the degradation, mirrored transposed convolutions restore
the details, and skips carry details across. A ReLU follows each layer and each sum (equations 2 and
3), as in the authors' released network. Unlike in the paper's text, none follows the last layer,
neither in the released network nor in this one, because the output is the difference from the clean
image (section 3.4), which can be negative.

The paper leaves some details open. Here He et al.'s skips (figure 7) span blocks between the first
and the last layer, since only these two change the number of features. A stride as large as the
kernel (figure 5) has no padding, so that every pixel is used.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from restore_cli.archs.layers import convolve
from restore_cli.network import Geometry, Restorer


class REDNet(Restorer):
    """RED10, RED20 and RED30 (section 5), their ablations and their faster variants (section 4.5).

    Args:
        channels: image channels, 1 or 3.
        depth: layers, half of them convolutions; 10 (in the paper with `skip` 0), 20 or 30.
        width: features; 64 in the paper's experiments, 128 in the released networks.
        kernel: size of all kernels, odd.
        skip: layers between skips; 0 for no skips.
        strides: convolutions, counted from 1, that reduce the resolution; their mirrors increase
            it. The paper's variants are [1], [5], [9] and [5, 9]; with depth 10 and stride 3, [1,
            2, 3, 4, 5] turns 243x243 pixels into a vector (figure 5).
        stride: the factor of each reduction; at most the kernel size.
        mirrored: connect a convolution to its mirror, rather than to the end of a block of `skip`
            layers as in He et al.'s residual networks (figure 7).
        deconvolution: use transposed convolutions in the second half. Without them (figure 2) all
            layers are convolutions, and depth may be odd if there are no skips.
        rectified: apply a ReLU before a sum as well as after it.
        residual: add the input to the output (section 3.4).

    Raises:
        ValueError: the arguments contradict each other.
    """

    def __init__(
        self,
        channels: int = 1,
        depth: int = 30,
        width: int = 64,
        kernel: int = 3,
        skip: int = 2,
        strides: Sequence[int] = (),
        stride: int = 2,
        mirrored: bool = True,
        deconvolution: bool = True,
        rectified: bool = True,
        residual: bool = True,
    ) -> None:
        super().__init__()
        half, odd = divmod(depth, 2)
        chain = not deconvolution and not skip
        if half < 1 or (odd and not chain) or kernel % 2 == 0 or not 1 <= stride <= kernel:
            raise ValueError(
                "depth must be even, kernel must be odd, and stride must be from 1 to kernel"
            )
        if not all(1 <= layer <= half for layer in strides):
            raise ValueError("strides must be from 1 to depth / 2")
        if strides and not (deconvolution and mirrored):
            raise ValueError("strides need deconvolution and mirrored skips")
        self.rectified, self.residual = rectified, residual
        steps = [stride if layer in strides else 1 for layer in range(1, half + odd + 1)]
        pads = [(kernel - step + 1) // 2 for step in steps]
        inputs = [channels, *[width] * (half + odd - 1)]
        outputs = [*[width] * (half - 1), channels]
        self.encoder = nn.ModuleList(
            nn.Conv2d(in_channels, width, kernel, stride=step, padding=pad)
            for in_channels, step, pad in zip(inputs, steps, pads, strict=True)
        )
        self.decoder = nn.ModuleList(
            nn.ConvTranspose2d(
                width,
                out_channels,
                kernel,
                stride=step,
                padding=pad,
                output_padding=step + 2 * pad - kernel,
            )
            if deconvolution
            else nn.Conv2d(width, out_channels, kernel, padding=pad)
            for out_channels, step, pad in zip(
                outputs, steps[half - 1 :: -1], pads[half - 1 :: -1], strict=True
            )
        )
        # From a layer, counted from 1, to the layer whose output is added to its own.
        self.skip_sources: dict[int, int] = {}
        if skip and mirrored:
            self.skip_sources = {depth - layer: layer for layer in range(skip, half, skip)}
        elif skip:
            self.skip_sources = {layer + skip: layer for layer in range(1, depth - skip, skip)}
        cell, reach = 1, odd * (kernel // 2)
        for step, pad in zip(steps[:half], pads, strict=False):
            reach += 2 * pad * cell
            cell *= step
        self.geometry = Geometry(channels=channels, multiple=cell, radius=reach + cell - 1)

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, H, W
        features = x
        skips: dict[int, Tensor] = {}
        for number, layer in enumerate((*self.encoder, *self.decoder[:-1]), start=1):
            features = convolve(
                layer, features, rectified=self.rectified or number not in self.skip_sources
            )
            if number in self.skip_sources:
                features = features + skips.pop(self.skip_sources[number])
                # If rectified, neither summand is negative.
                features = features if self.rectified else features.relu()
            if number in self.skip_sources.values():
                skips[number] = features
        result = convolve(self.decoder[-1], features).to(x.dtype)
        return x + result if self.residual else result
