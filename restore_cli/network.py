"""The base class of all networks: the contract between the engine and the architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from restore_cli.errors import EngineError


@dataclass(frozen=True)
class Geometry:
    """The properties of a network that the engine needs.

    Args:
        channels: image channels in and out, 1 or 3.
        conditions: planes that follow the image channels in the input.
        scale: output pixels for each input pixel along a side.
        multiple: input sizes and tile origins must be divisible by this.
        radius: the radius of the receptive field in input pixels; the overlap of tiles if the
            network is not local.
        local: whether the receptive field ends at the radius, so that tiles are exact.
        tile: the preferred side of tiles, 0 for any.
        largest: the largest input side that it accepts, including a tile's halo, 0 for any.
        floats: numbers in memory at once for an input pixel; 0 to measure them.
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
        """The radius rounded up to the grid: the margin that a tile needs on each side."""
        return -(-self.radius // self.multiple) * self.multiple


class Restorer(nn.Module):
    """A network that restores images and declares its own geometry.

    `forward` maps N x (channels + conditions) x H x W to N x channels x scale*H x scale*W. Images
    are in [0, 1]; noise and results may leave that range.
    """

    geometry: Geometry
    precisions: tuple[str, ...] = ("fp32",)  # measured to cost at most 0.02 dB; set by the loader
    on_cpu: bool = False  # whether it runs on the CPU only, in fp32
    bounds: tuple[float, float] | None = None  # a result outside them means that the network failed

    @cached_property
    def largest_activation(self) -> float:
        """The numbers for one input pixel in the largest output of a layer, measured once."""
        side = 2 * self.geometry.multiple
        largest = 0

        def record(_module: nn.Module, _inputs: object, output: object) -> None:
            nonlocal largest
            if isinstance(output, Tensor):
                largest = max(largest, output.numel())

        hooks = [module.register_forward_hook(record) for module in self.modules()]
        planes = self.geometry.channels + self.geometry.conditions
        try:
            with torch.inference_mode():
                self(next(self.parameters()).new_zeros(1, planes, side, side))
        finally:
            for hook in hooks:
                hook.remove()
        return largest / side**2

    @classmethod
    def infer(cls, state: Mapping[str, Tensor]) -> dict[str, Any]:
        """Infer the constructor's arguments from the keys and shapes of a state dict.

        Raises:
            LookupError, ValueError: the state dict belongs to another network, or does not
                determine the arguments.
        """
        raise LookupError(f"{cls.__name__} cannot be inferred from {len(state)} tensors")

    @cached_property
    def compiled(self) -> Callable[[Tensor], Tensor]:
        """The network as compiled by torch.compile, at its first call and for new sizes.

        Raises:
            EngineError: when it is called, if this machine cannot compile it.
        """
        from torch._dynamo.exc import TorchDynamoException  # takes a second to import

        compiled = torch.compile(self)

        def call(x: Tensor) -> Tensor:
            try:
                return compiled(x)  # type: ignore[no-any-return]
            except TorchDynamoException as error:
                cause = getattr(error, "inner_exception", error)
                reason = str(cause).strip().partition("\n")[0].rstrip(".")
                raise EngineError(
                    f"Cannot compile the network: {reason}. Leave out --compile."
                ) from error

        return call

    def init_weights(self) -> None:
        """Initialize the weights for training: He's normal initialization with half the variance.

        The variance is halved because residual blocks and summed skips add up. Biases are zero. The
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
        """Return a scalar that training adds to its loss, weighted by the recipe's `transition`.

        It may draw from torch's random generator.
        """
        return torch.zeros(())

    def fold_for_inference(self) -> None:
        """Simplify the network for inference, irreversibly, with the same results."""

    def checkpoint_state(self) -> dict[str, Tensor]:
        """Return the tensors to save in a checkpoint, on the CPU.

        Kernels are float16, which halves the file and changes a result by less than 0.001 dB
        (docs/training.md). All others, such as biases and batch statistics, are float32.
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
        """Convert the tensors of a checkpoint, ours or the authors', to this network's state dict.

        Raises:
            LookupError, ValueError, RuntimeError: the tensors belong to another network.
        """
        return dict(state)
