"""Networks of other projects, some forty architectures, by spandrel, which is optional.

It is given tensors, never a file, and tells by their keys and shapes which network they are of. It does not
tell how far a network sees: where all layers are convolutions and work on single pixels, that is summed up
and then tried; any other network's tiles are approximate.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from restore_cli.engine import Geometry, Restorer

OVERLAP = 64  # pixels, of approximate tiles
FARTHEST = 160  # pixels of a radius that is tried
EXACT = 1e-5  # by which tiles may differ
_POINTWISE = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Hardswish,
    nn.Identity, nn.Dropout, nn.PixelShuffle, nn.Upsample, nn.BatchNorm2d,
)  # fmt: skip


class Community(Restorer):
    """A network that spandrel made.

    Args:
        architecture: what spandrel calls it.
        model: the network.
        call: runs it, filling pictures up to the sizes that it takes.
        geometry: what the engine must know of it.
    """

    def __init__(
        self, architecture: str, model: nn.Module, call: Callable[[Tensor], Tensor], geometry: Geometry
    ) -> None:
        super().__init__()
        self.architecture, self.model, self.geometry = architecture, model, geometry
        self._call = call

    def forward(self, x: Tensor) -> Tensor:  # N, channels, H, W -> N, channels, scale*H, scale*W, in [0, 1]
        return self._call(x).to(x.dtype)


def find(state: Mapping[str, Tensor]) -> Community | None:
    """The network of a state dict; None where spandrel does not know it, or is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import spandrel

            found = spandrel.ModelLoader("cpu").load_from_state_dict(
                spandrel.canonicalize_state_dict(dict(state))
            )
            return _wrap(found) if isinstance(found, spandrel.ImageModelDescriptor) else None
    except Exception:  # also what torchvision raises, which it imports, where that does not fit torch
        return None


def _wrap(found: Any) -> Community | None:
    channels, sizes = found.input_channels, found.size_requirements
    if channels not in (1, 3) or found.output_channels != channels or sizes.square:
        return None
    found.model.eval().requires_grad_(False)

    def make(geometry: Geometry) -> Community:
        return Community(str(found.architecture.id), found.model, found, geometry)

    basis = {"channels": channels, "scale": found.scale, "multiple": max(sizes.multiple_of, sizes.minimum)}
    radius = _reach(found.model)
    if radius is not None:
        exact = make(Geometry(**basis, radius=radius))
        if _is_local(exact):
            return exact.eval()
    return make(Geometry(**basis, radius=OVERLAP, local=False)).eval()


def _reach(model: nn.Module) -> int | None:
    """How far its convolutions see; None where other layers could see farther."""
    reach = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            if {*module.stride} != {1}:
                return None
            reach += max(
                side // 2 * step for side, step in zip(module.kernel_size, module.dilation, strict=True)
            )
        elif not (_is_pointwise(module) or any(True for _ in module.children())):
            return None
    return reach if reach <= FARTHEST else None


def _is_pointwise(module: nn.Module) -> bool:
    """Whether a layer works on single pixels; a norm of their channels many write for themselves."""
    return isinstance(module, _POINTWISE) or type(module).__name__ == "LayerNorm"


@torch.inference_mode()
def _is_local(network: Community) -> bool:
    """Whether a tile with its halo has, away from it, the result of a larger picture."""
    geometry = network.geometry
    cell, halo, scale = geometry.multiple, geometry.halo, geometry.scale
    side = 2 * halo + 4 * cell
    picture = torch.rand(1, geometry.channels, side, side, generator=torch.Generator().manual_seed(0))
    whole, tile = network(picture), network(picture[:, :, cell : side - cell, cell : side - cell])
    inside, same = (slice(start * scale, (start + cell) * scale) for start in (halo + cell, halo))
    return bool((whole[:, :, inside, inside] - tile[:, :, same, same]).abs().max() <= EXACT)
