"""What a network says of itself: the contract between the engine and the architectures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Geometry:
    """What the engine must know of a network.

    Args:
        channels: image channels in and out, 1 or 3.
        conditions: planes that follow the image channels in the input.
        scale: output pixels for each input pixel along a side.
        multiple: input sizes and tile origins must be divisible by this.
        radius: how far, in input pixels, an output pixel can see; where that is everywhere, how far
            tiles overlap.
        local: whether it sees no farther than the radius, so that tiles are exact.
        tile: the side of tiles that suits it best, 0 for any.
        largest: the largest side that it takes, a tile's halo included, 0 for any.
        floats: numbers that it holds at once for an input pixel, 0 where its largest layer tells.
    """

    channels: int
    conditions: int = 0
    scale: int = 1
    multiple: int = 1
    radius: int = 0
    local: bool = True
    tile: int = 0
    largest: int = 0
    floats: int = 0

    @property
    def halo(self) -> int:
        """The radius rounded up to the grid: what a tile needs on each side to be exact."""
        return -(-self.radius // self.multiple) * self.multiple


class Restorer(nn.Module):
    """A network from pictures to pictures that states its own geometry.

    `forward` maps N x (channels + conditions) x H x W to N x channels x scale*H x scale*W; pictures
    are in [0, 1], noise and results may leave it.
    """

    geometry: Geometry
    precisions: tuple[str, ...] = ("fp32",)  # measured to cost at most 0.02 dB; set by the loader
    on_cpu: bool = False  # whether it runs nowhere else, and in fp32
    bounds: tuple[float, float] | None = (
        None  # which results leave where the network fails, if it does
    )

    @classmethod
    def infer(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """The arguments that make the network of a state dict without a header, by its keys and
        shapes.

        Raises:
            LookupError, ValueError: it is another network's, or of one that does not follow from
                them.
        """
        raise LookupError(f"{cls.__name__} does not follow from {len(state)} tensors")

    def init_weights(self) -> None:
        """Set up the weights for training: He's normal initialisation at half its variance, biases
        zero.

        Half the variance because of residual blocks and summed skips, whose variances add up; the
        last kernel is zero, so that a network with a residual starts as the identity.
        """
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        convolutions = [module for module in self.modules() if isinstance(module, kinds)]
        for convolution in convolutions:
            nn.init.kaiming_normal_(convolution.weight)
            with torch.no_grad():
                convolution.weight *= 0.5**0.5
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)
        nn.init.zeros_(convolutions[-1].weight)

    def penalty(self) -> Tensor:
        """A scalar that training adds to its objective, by the weight of the recipe's `transition`.

        It may draw from torch's generator.
        """
        return torch.zeros(())

    def fold_for_inference(self) -> None:
        """Put what only training needs, for good, into a simpler form that gives the same
        pictures.
        """

    def checkpoint_state(self) -> dict[str, Tensor]:
        """The tensors as a checkpoint keeps them, on the CPU.

        Kernels as float16, which halves the file and changes a result by less than 0.001 dB
        (docs/training.md); all else, such as biases and batch statistics, as float32.
        """
        kinds = (nn.Conv2d, nn.ConvTranspose2d)
        kernels = {
            f"{name}.weight" for name, module in self.named_modules() if isinstance(module, kinds)
        }
        packed = {}
        for key, value in self.state_dict().items():
            if value.is_floating_point():
                value = value.half() if key in kernels else value.float()
            packed[key] = value.detach().cpu().contiguous()
        return packed

    def convert_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Turn what `checkpoint_state` made, or a state dict of the authors' own code, into a state
        dict of this network.

        Raises:
            LookupError, ValueError, RuntimeError: it is neither.
        """
        return dict(state)
