"""Networks of other projects by spandrel: real ones where it is installed, and a stand-in everywhere."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, library, nn

from restore_cli import weights
from restore_cli.engine import Settings, run
from restore_cli.errors import WeightsError


class Descriptor:
    """What spandrel says of a network."""

    def __init__(self, model: nn.Module, channels: int = 3, scale: int = 1, square: bool = False) -> None:
        self.model, self.scale = model, scale
        self.input_channels = self.output_channels = channels
        self.size_requirements = SimpleNamespace(minimum=0, multiple_of=1, square=square)
        self.architecture = SimpleNamespace(id="Stand-in")

    def __call__(self, x: Tensor) -> Tensor:
        result: Tensor = self.model(x)
        return result


class Wide(nn.Module):
    """Sees the mean of all, though all its layers are convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) + x.mean((2, 3), keepdim=True)  # type: ignore[no-any-return]


def convolutions(*, norm: bool = False) -> nn.Module:
    layers = [nn.Conv2d(3, 4, 5, padding=2), *([nn.GroupNorm(1, 4)] * norm), nn.Mish(), nn.Conv2d(4, 3, 1)]
    return nn.Sequential(*layers)


@pytest.fixture
def spandrel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """A stand-in that makes what is put into `model`, and a file that nothing else knows."""
    module: Any = ModuleType("spandrel")

    class Loader:
        def __init__(self, device: str) -> None:
            assert device == "cpu"

        def load_from_state_dict(self, state: dict[str, Tensor]) -> Any:
            if isinstance(module.found, Exception):
                raise module.found
            return module.found

    module.ModelLoader, module.ImageModelDescriptor = Loader, Descriptor
    module.canonicalize_state_dict = lambda state: state
    monkeypatch.setitem(sys.modules, "spandrel", module)
    module.file = tmp_path / "x.pth"
    torch.save({"strange.weight": torch.ones(40, 40)}, module.file)
    return module


@pytest.mark.parametrize(
    ("model", "radius", "local"),
    [
        (convolutions(), 2, True),
        (convolutions(norm=True), 64, False),
        (Wide(), 64, False),
        (nn.Sequential(nn.Conv2d(3, 3, 2, stride=2), nn.Upsample(scale_factor=2)), 64, False),
    ],
)
def test_what_tiles_cost_is_tried(spandrel: Any, model: nn.Module, radius: int, local: bool) -> None:
    spandrel.found = Descriptor(model)
    loaded = weights.load(spandrel.file)
    geometry = loaded.network.geometry
    assert (geometry.radius, geometry.local, loaded.task) == (radius, local, "")
    assert loaded.header.arch == "spandrel:Stand-in"
    pixels = np.random.default_rng(0).random((40, 150, 3), np.float32)
    whole, tiled = (run(loaded.network, pixels, (), Settings("cpu", tile=side)).pixels for side in (0, 16))
    if local:
        assert np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.parametrize(
    "found",
    [
        Descriptor(convolutions(), channels=4),
        Descriptor(convolutions(), square=True),
        SimpleNamespace(model=convolutions()),  # of another kind, as for inpainting
        ValueError("no such network"),
    ],
)
def test_what_cannot_be_run_is_refused(spandrel: Any, found: Any) -> None:
    spandrel.found = found
    with pytest.raises(WeightsError, match=r"are of no known network; .* Install restore-cli\[community\]"):
        weights.load(spandrel.file)


def test_a_network_that_enlarges_is_for_sr(spandrel: Any) -> None:
    spandrel.found = Descriptor(nn.Sequential(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2)), scale=2)
    loaded = weights.load(spandrel.file)
    assert (loaded.task, loaded.conditions) == ("sr", {"scale": 2})


# The real one


@pytest.fixture(scope="module")
def real() -> Any:
    """Where torchvision does not fit torch, spandrel needs the names of two of its operators."""
    if "torchvision" not in sys.modules:
        try:
            import torchvision  # noqa: F401
        except ImportError:
            pytest.skip("torchvision is not installed")
        except RuntimeError:
            for name in ("nms", "qnms"):
                library.define(
                    f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
                )
            for module in [name for name in sys.modules if name.startswith("torchvision")]:
                del sys.modules[module]
    return pytest.importorskip("spandrel")


def random_networks() -> dict[str, Any]:
    """Networks of many architectures, by their own constructors with few features."""
    from spandrel import architectures as a

    shuffle = {"upscale": 2, "upsampler": "pixelshuffle", "window_size": 8, "num_heads": [2]}
    one = {"enc_blk_nums": [1, 1, 1, 1], "middle_blk_num": 1, "dec_blk_nums": [1, 1, 1, 1]}
    return {
        "PLKSR": lambda: a.PLKSR.PLKSR(dim=8, n_blocks=2, upscaling_factor=2),
        "MoSR": lambda: a.MoSR.MoSR(n_block=2, dim=8, upscale=2),
        "SAFMN": lambda: a.SAFMN.SAFMN(dim=8, n_blocks=2, upscaling_factor=2),
        "SwinIR": lambda: a.SwinIR.SwinIR(img_size=16, depths=[2], embed_dim=8, **shuffle),
        "OmniSR": lambda: a.OmniSR.OmniSR(num_feat=8, res_num=1, up_scale=2, block_num=1),
        "RCAN": lambda: a.RCAN.RCAN(scale=2, n_resgroups=2, n_resblocks=2, n_feats=16, reduction=4),
        "RealCUGAN": lambda: a.RealCUGAN.UpCunet2x(),
        "KBNet": lambda: a.KBNet.KBNet_s(width=8, **one),
        "HAT": lambda: a.HAT.HAT(embed_dim=12, depths=[1], squeeze_factor=4, **shuffle),
        "DAT": lambda: a.DAT.DAT(upscale=2, embed_dim=16, depth=[1], num_heads=[2], split_size=[8, 8]),
        "SCUNet": lambda: a.SCUNet.SCUNet(config=[1] * 7, dim=64),
    }


EXACT = ("PLKSR", "MoSR")
OTHERS = ("SAFMN", "SwinIR", "OmniSR", "RCAN", "RealCUGAN", "KBNet", "HAT", "DAT", "SCUNet")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*EXACT, *OTHERS])
def test_networks_of_others_load_and_run(real: Any, tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    network = random_networks()[name]()
    torch.save({"params_ema": network.state_dict()}, tmp_path / "x.pth")
    loaded = weights.load(tmp_path / "x.pth")
    assert loaded.header.arch == f"spandrel:{name}"
    geometry = loaded.network.geometry
    pixels = np.random.default_rng(0).random((20, 70, geometry.channels), np.float32)
    whole, tiled = (run(loaded.network, pixels, (), Settings("cpu", tile=side)).pixels for side in (0, 32))
    assert whole.shape[:2] == (20 * geometry.scale, 70 * geometry.scale)
    assert geometry.local == (name in EXACT)
    if geometry.local:
        assert np.abs(whole - tiled).max() <= 1e-5
