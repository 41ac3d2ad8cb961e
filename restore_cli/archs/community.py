"""Networks of other projects, about forty architectures, through the optional package spandrel.

spandrel receives tensors, never a file, and recognizes the network by their keys and shapes. It
does not report the receptive field. If a network consists of convolutions and pointwise layers, the
receptive field is computed and then verified; the tiles of other networks are approximate. Some
networks need more than an image, which spandrel fixes or omits; here it is one more input plane,
which their task provides.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from restore_cli.errors import WeightsError
from restore_cli.levels import Levels, Range
from restore_cli.network import Geometry, Restorer
from restore_cli.tables import brief
from restore_cli.tiles import OVERLAP

FARTHEST = 160  # pixels, the largest radius that is verified
EXACT = 1e-5  # tolerance for exact tiles
_POINTWISE = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.GELU, nn.SiLU, nn.Mish, nn.Sigmoid, nn.Tanh, nn.Hardswish,
    nn.Identity, nn.Dropout, nn.PixelShuffle, nn.Upsample, nn.BatchNorm2d,
)  # fmt: skip


@dataclass(frozen=True)
class Plane:
    """An input that a network needs in addition to the image, as one more plane.

    Attributes:
        task: the task that provides the plane.
        call: runs the network on an input with this last plane.
        levels: the degradation levels that the network was trained for.
        multiple: as in `Geometry`.
    """

    task: str
    call: Callable[[nn.Module, Tensor], Tensor]
    levels: Levels = field(default_factory=dict)
    multiple: int = 1


def _fill(model: nn.Module, x: Tensor) -> Tensor:
    """Run LaMa, which fills where its mask is 1."""
    return model(x[:, :-1], x[:, -1:])  # type: ignore[no-any-return]


def _deblock(model: nn.Module, x: Tensor) -> Tensor:
    """Run FBCNN with 1 - quality / 100, N x 1, instead of the quality that it would estimate."""
    return model(x[:, :-1], 1 - x[:, -1:].mean((2, 3)))[0]  # type: ignore[no-any-return]


def _denoise(model: nn.Module, x: Tensor) -> Tensor:
    """Run DRUNet or FDnCNN, which take sigma / 255 as a plane."""
    return model(x)  # type: ignore[no-any-return]


PLANES = {  # by the names in spandrel
    "LaMa": Plane("inpaint", _fill, multiple=16),
    "FBCNN": Plane("deblock", _deblock, {"quality": Range(5, 95)}, multiple=8),
    "DRUNet": Plane("denoise", _denoise, {"sigma": Range(0, 50)}, multiple=8),
    "FDnCNN": Plane("denoise", _denoise, {"sigma": Range(0, 75)}),
}


class Community(Restorer):
    """A network that spandrel built.

    Args:
        architecture: the name in spandrel.
        model: the network.
        call: runs the network, and pads inputs to the sizes that it accepts.
        geometry: the network's geometry.
        task, levels: its task and the degradation levels that it was trained for, if known.
    """

    def __init__(
        self,
        architecture: str,
        model: nn.Module,
        call: Callable[[Tensor], Tensor],
        geometry: Geometry,
        task: str = "",
        levels: Levels | None = None,
    ) -> None:
        super().__init__()
        self.architecture, self.model, self.geometry = architecture, model, geometry
        self.task, self.levels = task, levels or {}
        self._call = call

    def forward(self, x: Tensor) -> Tensor:
        # N, channels + conditions, H, W -> N, channels, scale*H, scale*W
        return self._call(x).to(x.dtype)


def load_spandrel() -> ModuleType:
    """Import the package spandrel.

    Raises:
        ImportError: it is not installed or fails to import; the message says what to install.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import spandrel
    except ModuleNotFoundError as error:
        raise ImportError(
            "Install restore-cli[community] for networks of other projects."
        ) from error
    except Exception as error:  # from torchvision, if its version does not fit torch
        raise ImportError(
            f"Install the torchvision version for PyTorch {torch.__version__}: spandrel cannot be"
            f" imported ({brief(str(error))})."
        ) from error
    return spandrel  # type: ignore[no-any-return]


def find(state: Mapping[str, Tensor]) -> Community | None:
    """Build the network of a state dict; returns None if spandrel does not recognize it.

    Raises:
        ImportError: as `load_spandrel`.
        WeightsError: the network is not supported; the message is a clause.
    """
    package = load_spandrel()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = package.ModelLoader("cpu").load_from_state_dict(
                package.canonicalize_state_dict(dict(state))
            )
    except Exception:  # its own errors and those of any network's constructor
        return None
    return _wrap(found)


def _wrap(found: Any) -> Community:
    name, sizes = str(found.architecture.id), found.size_requirements
    if name == "DnCNN" and found.model.mode == "FDnCNN":
        name = "FDnCNN"
    plane = PLANES.get(name)
    if fault := _fault(found, plane):
        raise WeightsError(f"networks of {name} are not supported, because {fault}")
    model = found.model.eval().requires_grad_(False)
    basis = {"channels": found.input_channels, "scale": found.scale}
    if plane:
        geometry = Geometry(
            **basis, conditions=1, multiple=plane.multiple, radius=OVERLAP, local=False
        )
        call = partial(plane.call, model)
        return Community(name, model, call, geometry, plane.task, plane.levels).eval()
    basis["multiple"] = max(sizes.multiple_of, sizes.minimum)
    radius = _reach(model)
    if radius is not None:
        exact = Community(name, model, found, Geometry(**basis, radius=radius)).eval()
        if _is_local(exact):
            return exact
    return Community(name, model, found, Geometry(**basis, radius=OVERLAP, local=False)).eval()


def _fault(found: Any, plane: Plane | None) -> str:
    """Return the reason why a network cannot restore photos, or nothing."""
    if found.purpose == "FaceSR":
        return "they restore cropped faces only"
    if found.purpose == "Inpainting" and not plane:
        return "how they take a mask is not known"
    if found.input_channels not in (1, 3) or found.output_channels != found.input_channels:
        return f"they turn {found.input_channels} channels into {found.output_channels}"
    return ""


def _reach(model: nn.Module) -> int | None:
    """Return the radius of the receptive field; None if it is not known or too large."""
    reach = 0
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            if {*module.stride} != {1}:
                return None
            reach += max(
                side // 2 * step
                for side, step in zip(module.kernel_size, module.dilation, strict=True)
            )
        elif not (_is_pointwise(module) or any(True for _ in module.children())):
            return None
    return reach if reach <= FARTHEST else None


def _is_pointwise(module: nn.Module) -> bool:
    """Whether a layer works on single pixels; many projects define their own LayerNorm."""
    return isinstance(module, _POINTWISE) or type(module).__name__ == "LayerNorm"


@torch.inference_mode()
def _is_local(network: Community) -> bool:
    """Whether the inside of a tile, without its halo, is the same as in a larger image."""
    geometry = network.geometry
    cell, halo, scale = geometry.multiple, geometry.halo, geometry.scale
    side = 2 * halo + 4 * cell
    image = torch.rand(1, geometry.channels, side, side, generator=torch.Generator().manual_seed(0))
    whole, tile = network(image), network(image[:, :, cell : side - cell, cell : side - cell])
    inside, same = (slice(start * scale, (start + cell) * scale) for start in (halo + cell, halo))
    return bool((whole[:, :, inside, inside] - tile[:, :, same, same]).abs().max() <= EXACT)
