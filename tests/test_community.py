"""Networks of other projects by spandrel: real ones where it is installed, and a stand-in
everywhere.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hub import Hub, serving
from PIL import Image
from torch import Tensor, library, nn
from typer.testing import CliRunner

from restore_cli.archs import community
from restore_cli.cli import app
from restore_cli.degradations import find_degradation
from restore_cli.download import Url
from restore_cli.engine import Settings, run
from restore_cli.errors import UsageError, WeightsError
from restore_cli.image import Picture
from restore_cli.levels import Range, parse_levels
from restore_cli.models import catalog, checkpoint
from restore_cli.models.header import SPANDREL
from restore_cli.network import Geometry
from restore_cli.pipeline.networks import load
from restore_cli.tasks import missing
from restore_cli.tasks.denoise import Denoise
from restore_cli.tasks.restoration import Trained


class Descriptor:
    """What spandrel says of a network."""

    def __init__(
        self,
        model: nn.Module,
        channels: int = 3,
        scale: int = 1,
        architecture: str = "Stand-in",
        purpose: str = "Restoration",
        multiple: int = 1,
    ) -> None:
        self.model, self.scale, self.purpose = model, scale, purpose
        self.input_channels = self.output_channels = channels
        self.size_requirements = SimpleNamespace(minimum=0, multiple_of=multiple, square=False)
        self.architecture = SimpleNamespace(id=architecture)

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
    layers = [
        nn.Conv2d(3, 4, 5, padding=2),
        *([nn.GroupNorm(1, 4)] * norm),
        nn.Mish(),
        nn.Conv2d(4, 3, 1),
    ]
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
def test_what_tiles_cost_is_tried(
    spandrel: Any, model: nn.Module, radius: int, local: bool
) -> None:
    spandrel.found = Descriptor(model, multiple=2)  # as the one of stride 2 needs
    loaded = checkpoint.load(spandrel.file)
    geometry = loaded.network.geometry
    assert (geometry.radius, geometry.local, loaded.task) == (radius, local, "")
    assert loaded.header.arch == "spandrel:Stand-in"
    pixels = np.random.default_rng(0).random((40, 150, 3), np.float32)
    whole, tiled = (
        run(loaded.network, pixels, (), Settings("cpu", tile=side)).pixels for side in (0, 16)
    )
    if local:
        assert np.abs(whole - tiled).max() <= 1e-5


def test_what_it_does_not_know_is_refused(spandrel: Any) -> None:
    spandrel.found = ValueError("no such network")
    with pytest.raises(
        WeightsError,
        match=r"match no supported architecture .*Spandrel does not recognize it, either",
    ):
        checkpoint.load(spandrel.file)


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (Descriptor(convolutions(), channels=4), "they turn 4 channels into 4"),
        (Descriptor(convolutions(), purpose="FaceSR"), "they restore cropped faces only"),
        (
            Descriptor(convolutions(), purpose="Inpainting"),
            "how they take a mask is not known",
        ),
    ],
)
def test_what_cannot_be_run_is_refused(spandrel: Any, found: Any, reason: str) -> None:
    spandrel.found = found
    with pytest.raises(
        WeightsError,
        match=f"Cannot load .*x.pth: networks of Stand-in are not supported, because {reason}",
    ):
        checkpoint.load(spandrel.file)


def test_a_network_that_enlarges_is_for_sr(spandrel: Any) -> None:
    spandrel.found = Descriptor(nn.Sequential(nn.Conv2d(3, 12, 1), nn.PixelShuffle(2)), scale=2)
    loaded = checkpoint.load(spandrel.file)
    assert (loaded.task, loaded.conditions) == ("sr", {"scale": 2})


def photo(path: Path, side: int = 48, **saving: Any) -> Path:
    pixels = np.random.default_rng(0).integers(90, 160, (side, side, 3), np.uint8)
    Image.fromarray(pixels).save(path, **saving)
    return path


def restored(*words: str) -> Any:
    """What `restore` says, as JSON."""
    answer = CliRunner().invoke(app, [*words, "--device", "cpu", "--json", "--overwrite"])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


class Blind(nn.Module):
    """As FBCNN: what it makes, and the quality that it takes for, of all it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.told: list[float] = []

    def forward(self, x: Tensor, quality: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert quality is not None and quality.shape == (len(x), 1)
        self.told.append(round(quality.item(), 4))
        return x, quality


@pytest.mark.parametrize(
    ("words", "quality"), [(["--quality", "20"], 20), ([], 35), (["--quality", "2"], 5)]
)
def test_the_quality_is_given_or_read(
    spandrel: Any, tmp_path: Path, words: list[str], quality: int
) -> None:
    model = Blind()
    spandrel.found = Descriptor(model, architecture="FBCNN")
    jpeg = str(photo(tmp_path / "photo.jpg", quality=35))
    record = restored("deblock", jpeg, "--model", str(spandrel.file), *words)
    assert record["options"]["quality"] == (int(words[1]) if words else 35)
    assert {*model.told} - {1.0} == {1 - quality / 100}  # 1 of black pictures by which it was tried
    with pytest.raises(UsageError, match="for denoise: it is for deblock"):
        load(str(spandrel.file), "denoise")


class Filler(nn.Module):
    """As LaMa: fills with one value where the mask is 1."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 1)
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        self.sizes.append(tuple(x.shape[2:]))
        return x * (1 - mask) + 0.5 * mask


def test_a_hole_is_filled_from_what_is_around_it(
    spandrel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(missing, "CONTEXT", 16)
    model = Filler()
    spandrel.found = Descriptor(model, architecture="LaMa", purpose="Inpainting")
    given = photo(tmp_path / "photo.png", 160)
    record = restored("inpaint", str(given), "--box", "40,96,20,12", "--model", str(spandrel.file))
    assert not record["tile"] and model.sizes[-1] == (
        48,
        64,
    )  # of 12 + 2 * 16 and 20 + 2 * 20 pixels
    before, after = (np.asarray(Image.open(path)) for path in (given, record["output"]))
    hole = np.zeros(before.shape, bool)
    hole[96:108, 40:60] = True
    assert (after[hole] == 128).all()
    assert (after[~hole] == before[~hole]).all()


def test_a_level_of_noise_is_given(spandrel: Any, tmp_path: Path) -> None:
    model = nn.Conv2d(4, 3, 1)
    nn.init.zeros_(model.get_parameter("bias"))
    model.weight.data = torch.tensor([[0.0, 0, 0, 1]] * 3)[..., None, None]  # shows the plane
    spandrel.found = Descriptor(model, architecture="DRUNet")
    loaded = checkpoint.load(spandrel.file)
    assert (loaded.task, loaded.conditions) == ("denoise", {"sigma": Range(0, 50)})
    black = Picture(np.zeros((9, 9, 3), np.float32))
    trained = Trained({"sigma": Range(0, 75)}, loaded.network.geometry)
    fed = Denoise(sigma=51).prepare(black, trained)
    result = run(loaded.network, fed.pixels, fed.conditions, Settings("cpu")).pixels
    np.testing.assert_allclose(result, 0.2, atol=1e-6)


# By name

NAMES = [entry.name for entry in catalog.entries().values() if entry.by_spandrel]


@pytest.mark.parametrize("name", NAMES)
def test_a_network_is_told_what_its_task_says(name: str) -> None:
    entry = catalog.entries()[name]
    plane = community.PLANES.get(entry.arch.removeprefix(SPANDREL))
    geometry = Geometry(entry.channels, conditions=int(plane is not None))
    assert not plane or (entry.task, dict(entry.conditions)) == (plane.task, dict(plane.levels))
    damage = find_degradation(entry.task).draw(entry.conditions, np.random.default_rng(0))
    pixels = np.full((48, 48, entry.channels), 0.5, np.float32)
    trained = Trained(parse_levels(entry.conditions), geometry)
    fed = damage.task().prepare(Picture(pixels), trained)
    assert len(fed.conditions) == geometry.conditions


@pytest.fixture
def served(spandrel: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A server that has `scunet`, with other bytes, and an empty cache."""
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    content = spandrel.file.read_bytes()
    with serving() as hub:
        hub.files["/scunet.pth"] = content
        known = catalog.entries()["scunet-real-psnr"]
        source = Url(f"{hub.url}/scunet.pth")
        sha256, size = hashlib.sha256(content).hexdigest(), len(content)
        scunet = replace(known, source=source, sha256=sha256, size=size)
        table = {
            known.name: scunet,
            "noise-level": catalog.entries()["noise-level"],
        }  # measures every photo
        monkeypatch.setattr(catalog, "entries", lambda: table)
        yield hub


def test_a_name_is_fetched_checked_and_run(spandrel: Any, served: Hub, tmp_path: Path) -> None:
    spandrel.found = Descriptor(convolutions(), architecture="SCUNet")
    given = str(photo(tmp_path / "photo.png"))
    for _ in range(2):
        assert restored("denoise", given, "--model", "scunet")["model"] == "scunet-real-psnr"
    assert len([line for line in served.requests if line.startswith("GET")]) == 1
    assert checkpoint.load(spandrel.file).name == "scunet-real-psnr"  # its bytes tell
    spandrel.found = Descriptor(convolutions(), architecture="HAT")
    with pytest.raises(
        WeightsError, match=r"scunet-real-psnr does not fit spandrel:SCUNet: .* belong to HAT"
    ):
        checkpoint.load(catalog.find("scunet")[0])
    spandrel.found = ValueError("no such network")
    with pytest.raises(WeightsError, match="its tensors belong to an unknown network"):
        checkpoint.load(catalog.find("scunet")[0])


def test_what_is_missing_is_named_before_anything_is_fetched(
    served: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = str(photo(tmp_path / "photo.png"))
    monkeypatch.setitem(sys.modules, "spandrel", None)
    answer = CliRunner().invoke(app, ["denoise", given, "--model", "scunet"])
    assert answer.exit_code == 3
    said = " ".join(answer.stderr.split())
    assert "Cannot run scunet-real-psnr: its network SCUNet needs spandrel." in said
    assert "Install restore-cli[community]" in said
    monkeypatch.delitem(sys.modules, "spandrel")
    (tmp_path / "spandrel.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        WeightsError,
        match=r"Install the torchvision version for PyTorch .*operator torchvision::nms",
    ):
        checkpoint.load(catalog.find("scunet")[0])
    assert not served.requests


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
                    f"torchvision::{name}",
                    "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
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
        "DAT": lambda: a.DAT.DAT(
            upscale=2, embed_dim=16, depth=[1], num_heads=[2], split_size=[8, 8]
        ),
        "SCUNet": lambda: a.SCUNet.SCUNet(config=[1] * 7, dim=64),
        "FBCNN": lambda: a.FBCNN.FBCNN(nc=[8, 8, 8, 512], nb=2),
        "DRUNet": lambda: a.DRUNet.DRUNet(in_nc=4, out_nc=3, nc=[8] * 4, nb=2),
        "FDnCNN": lambda: a.DnCNN.DnCNN(in_nc=4, out_nc=3, nc=8, nb=9, act_mode="R", mode="FDnCNN"),
        "Swin2SR": lambda: a.Swin2SR.Swin2SR(img_size=16, depths=[2], embed_dim=8, **shuffle),
        "CRAFT": lambda: a.CRAFT.CRAFT(embed_dim=12, depths=[1], num_heads=[2], upscale=2),
        "DCTLSA": lambda: a.DCTLSA.DCTLSA(nf=10, upscale=2),
        "MixDehazeNet": lambda: a.MixDehazeNet.MixDehazeNet(embed_dims=[8] * 5),
        "RetinexFormer": lambda: a.RetinexFormer.RetinexFormer(n_feat=8, stage=1),
        "FFTformer": lambda: a.FFTformer.FFTformer(
            dim=8, num_blocks=[1] * 3, num_refinement_blocks=1
        ),
        "SeemoRe": lambda: a.SeemoRe.SeemoRe(scale=2, num_layers=1, embedding_dim=8, num_experts=2),
        "DRCT": lambda: a.DRCT.DRCT(embed_dim=12, depths=[1], gc=4, **shuffle),
        "SAFMNBCIE": lambda: a.SAFMNBCIE.SAFMNBCIE(dim=8, n_blocks=1, num_layers=1),
        "Uformer": lambda: a.Uformer.Uformer(
            img_size=128, embed_dim=4, depths=[1] * 9, num_heads=[1] * 9
        ),
        "HVICIDNet": lambda: a.HVICIDNet.HVICIDNet(channels=[4, 4, 8, 16]),
        "SwiftSRGAN": lambda: a.SwiftSRGAN.SwiftSRGAN(
            num_channels=8, num_blocks=1, upscale_factor=2
        ),
        "RGT": lambda: a.RGT.RGT(img_size=16, embed_dim=16, depth=[2], num_heads=[2]),
        "FDAT": lambda: a.FDAT.FDAT(
            scale=2, embed_dim=16, num_groups=1, depth_per_group=1, num_heads=2
        ),
        "MoESR": lambda: a.MoESR.MoESR(scale=2, dim=8, n_blocks=1, n_block=1, upsample_dim=8),
    }


EXACT = ("PLKSR", "MoSR", "SwiftSRGAN")
OTHERS = (
    *(
        "SAFMN",
        "SwinIR",
        "OmniSR",
        "RCAN",
        "RealCUGAN",
        "KBNet",
        "HAT",
        "DAT",
        "SCUNet",
        "FBCNN",
        "DRUNet",
    ),
    *(
        "FDnCNN",
        "Swin2SR",
        "CRAFT",
        "DCTLSA",
        "MixDehazeNet",
        "RetinexFormer",
        "FFTformer",
        "SeemoRe",
        "DRCT",
    ),
    *("SAFMNBCIE", "Uformer", "HVICIDNet", "RGT", "FDAT", "MoESR"),
)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*EXACT, *OTHERS])
def test_networks_of_others_load_and_run(real: Any, tmp_path: Path, name: str) -> None:
    torch.manual_seed(0)
    network = random_networks()[name]()
    torch.save({"params_ema": network.state_dict()}, tmp_path / "x.pth")
    loaded = checkpoint.load(tmp_path / "x.pth")
    assert loaded.header.arch == f"spandrel:{name}"
    geometry = loaded.network.geometry
    pixels = np.random.default_rng(0).random((20, 70, geometry.channels), np.float32)
    levels = (0.5,) * geometry.conditions
    whole, tiled = (
        run(loaded.network, pixels, levels, Settings("cpu", tile=side)).pixels for side in (0, 32)
    )
    assert whole.shape[:2] == (20 * geometry.scale, 70 * geometry.scale)
    assert geometry.local == (name in EXACT)
    if geometry.local:
        assert np.abs(whole - tiled).max() <= 1e-5


class Trap:
    """Runs code where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.mark.filterwarnings("ignore")
def test_a_folder_of_strangers_files(real: Any, tmp_path: Path) -> None:
    """Each says what it is or is refused with one sentence, and nothing in it is executed."""
    from spandrel import architectures

    torch.manual_seed(0)
    trap, folder = Trap(tmp_path / "executed"), tmp_path / "files"
    folder.mkdir()
    for name, make in random_networks().items():
        torch.save(make().state_dict(), folder / f"{name}.pth")
    few = {"n_embed": 8, "embed_dim": 8, "ch": 32, "num_res_blocks": 1, "z_channels": 8}
    faces = architectures.RestoreFormer.RestoreFormer(ch_mult=(1,) * 6, **few)
    torch.save(faces.state_dict(), folder / "faces.pth")
    torch.save({"state_dict": {"weight": torch.ones(3)}, "optimizer": trap}, folder / "code.pth")
    torch.save(trap, folder / "trap.pth", _use_new_zipfile_serialization=False)
    torch.save({"weight": torch.ones(3, 3)}, folder / "unknown.pth")
    refusals = {"faces", "code", "trap", "unknown"}
    for file in sorted(folder.iterdir()):
        answer = CliRunner().invoke(app, ["models", "show", str(file)])
        said = " ".join((answer.stdout + answer.stderr).split())
        if file.stem in refusals:
            assert answer.exit_code == 3 and file.name in said, said
        else:
            assert f"architecture spandrel:{file.stem}" in said and " tiles " in said, said
    assert len(list(folder.iterdir())) > 20 + len(refusals)
    assert not trap.path.exists()
