"""Every network beyond plain PyTorch: as ONNX, in 8 bits, compiled, and in bfloat16."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

from restore_cli.archs import build
from restore_cli.archs.invertible import IRAE
from restore_cli.cli.models import app
from restore_cli.errors import EngineError, RestoreError, UsageError, WeightsError
from restore_cli.levels import to_plain_levels
from restore_cli.models import checkpoint
from restore_cli.models import export as job
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.models.eight_bits import pack, unpack
from restore_cli.models.header import Header
from restore_cli.network import Restorer

NETWORKS: list[tuple[str, dict[str, Any]]] = [
    ("rednet:REDNet", {"depth": 10, "width": 6}),
    ("rednet:REDNet", {"depth": 10, "width": 6, "strides": [2, 4]}),
    ("xunit:XDnCNN", {"depth": 4, "width": 6}),
    ("xunit:XSRCNN", {"widths": [6, 6]}),
    ("invertible:IRAE", {"steps": 1, "hidden": 8, "recompute": True}),
    ("infoaccum:InfoAccumUNet", {"levels": 2, "width": 4, "layers": 2, "growth": 2}),
    ("infoaccum:InfoAccumUNet", {"levels": 3, "width": 4, "places": [], "subpixel": False}),
    ("baselines:DnCNN", {"depth": 4, "width": 6}),
    ("baselines:FFDNet", {"depth": 4, "width": 6}),
    ("baselines:ConvChain", {"widths": [6, 6], "kernels": [8, 1, 5]}),
    ("baselines:RonnebergerUNet", {"levels": 3, "width": 4}),
    (
        "infoaccum:InfoAccumUNet",
        {"levels": 2, "width": 4, "layers": 5, "growth": 2, "module": "attention"},
    ),
    ("prenet:PReNet", {"stages": 2, "width": 6}),
    ("rrdb:RRDBNet", {"blocks": 1, "width": 6, "growth": 3}),
    ("rrdb:RRDBNet", {"blocks": 1, "width": 6, "growth": 3, "unshuffle": 2}),
    ("unet:UNet", {"widths": [8, 8]}),
    ("unet:UNet", {"widths": [8], "blocks": 2, "conditions": 0, "unshuffle": 1, "scale": 3}),
    ("binarized:BTNet", {"width": 6}),
    ("binarized:BTNet", {"width": 6, "scale": 3, "quantizer": "none"}),
]
EACH = pytest.mark.parametrize(
    ("arch", "params"),
    NETWORKS,
    ids=lambda value: value.split(":")[1] if isinstance(value, str) else "",
)


@torch.no_grad()
def made(arch: str, params: dict[str, Any]) -> Restorer:
    """A network all of whose parts do something, as after some training."""
    torch.manual_seed(0)
    network = build(arch, params)
    for parameter in network.parameters():
        parameter += 0.05 * torch.randn_like(parameter)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def loaded(arch: str, params: dict[str, Any]) -> Checkpoint:
    network = made(arch, params)
    channels = network.geometry.channels
    conditions = {"sigma": [0, 50]} if network.geometry.conditions else {"sigma": 25}
    header = Header(
        task="denoise", arch=arch, params=params, channels=channels, conditions=conditions
    )
    return Checkpoint("model", network, header)


def sample(network: Restorer) -> torch.Tensor:
    planes = network.geometry.channels + network.geometry.conditions
    return torch.rand(1, planes, 24, 40, generator=torch.Generator().manual_seed(0))


@EACH
def test_onnx_gives_what_pytorch_does_at_any_size(
    arch: str, params: dict[str, Any], tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    model = loaded(arch, params)
    parts = list(model.network.state_dict())
    path = tmp_path / "model.onnx"
    assert job.export(model, path) <= 1e-5
    assert [file.name for file in tmp_path.iterdir()] == ["model.onnx"]
    assert list(model.network.state_dict()) == parts
    assert str(Path.cwd()).encode() not in path.read_bytes()

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = sample(model.network)
    (output,) = session.run(["output"], {"input": x.numpy()})
    torch.testing.assert_close(
        torch.from_numpy(output), model.network(x).detach(), atol=1e-5, rtol=1e-5
    )
    geometry = model.network.geometry
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata.pop("trained")) == to_plain_levels(model.conditions)
    assert metadata.pop("task") == "denoise"
    assert metadata == {
        key: str(getattr(geometry, key))
        for key in ("channels", "conditions", "scale", "multiple", "radius", "local")
    }


@EACH
def test_compiled_networks_give_the_same(arch: str, params: dict[str, Any]) -> None:
    if "recompute" in params:
        params = params | {"recompute": False}  # a training's affair
    network = made(arch, params)
    x = sample(network)
    torch.compiler.reset()
    with torch.no_grad():
        compiled = torch.compile(network, backend="aot_eager", fullgraph=True)(x)
        torch.testing.assert_close(compiled, network(x), atol=1e-5, rtol=1e-5)


@EACH
def test_bfloat16_stays_close(arch: str, params: dict[str, Any]) -> None:
    network = made(arch, params)
    x = sample(network)
    with torch.no_grad():
        exact = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            fast = network(x)
    assert fast.dtype == torch.float32
    assert (fast - exact).abs().max() <= 0.02 * exact.abs().max()


def test_folding_changes_nothing() -> None:
    network = made("invertible:IRAE", {"steps": 2, "hidden": 8})
    assert isinstance(network, IRAE)
    x = sample(network)
    before = network(x)
    network.fold_for_inference()
    assert torch.equal(network(x), before)
    assert (network.inverse(before) - x).abs().max() <= 1e-4


def test_a_file_that_computes_something_else_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("onnxruntime")
    model = loaded("baselines:DnCNN", {"depth": 3, "width": 4})
    monkeypatch.setattr(job, "_write", lambda *arguments: b"something else")
    monkeypatch.setattr(job, "_compare", lambda *_: float("nan"))
    with pytest.raises(EngineError, match="Cannot export model: its output in ONNX differs by nan"):
        job.export(model, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_place_that_is_not_there_is_named(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = loaded("baselines:DnCNN", {"depth": 3, "width": 4})
    with pytest.raises(
        RestoreError, match=r"Cannot write .*model\.onnx: No such file or directory"
    ):
        job.export(model, tmp_path / "nowhere" / "model.onnx")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime", "onnxscript"])
def test_without_onnx_it_says_what_to_install(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match=r"install 'restore-cli\[export\]'"):
        job.export(loaded("baselines:DnCNN", {"depth": 3, "width": 4}), tmp_path / "model.onnx")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    model = loaded("unet:UNet", {"widths": [8, 8]})
    checkpoint.save(model.network, tmp_path / "mine.safetensors", model.header)
    return tmp_path / "mine.safetensors"


def test_the_command_names_the_file_and_the_difference(mine: Path) -> None:
    pytest.importorskip("onnxruntime")
    output = mine.with_name("mine.onnx")
    answer = CliRunner().invoke(app, ["export", str(mine), str(output)])
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == f"{output}\n"
    assert "maximum difference from" in answer.stderr
    assert output.is_file()


@pytest.mark.parametrize(
    ("arch", "params"),
    [
        ("rednet:REDNet", {"depth": 10, "width": 48}),
        ("invertible:IRAE", {"steps": 2}),
        ("infoaccum:InfoAccumUNet", {"levels": 3, "width": 32}),
        ("unet:UNet", {"widths": [32, 64]}),
    ],
)
def test_8_bits_halve_a_checkpoint(arch: str, params: dict[str, Any], tmp_path: Path) -> None:
    model = loaded(arch, params)
    whole, small = tmp_path / "whole.safetensors", tmp_path / "small.safetensors"
    checkpoint.save(model.network, whole, model.header)
    difference = job.shrink(checkpoint.load(whole), small)

    assert small.stat().st_size < 0.62 * whole.stat().st_size
    again = checkpoint.load(small)
    assert again.header == checkpoint.load(whole).header
    x = sample(model.network)
    with torch.no_grad():
        exact = model.network(x)
        assert (again.network(x) - exact).abs().max() <= 0.02 * exact.abs().max()
    assert difference > 0


def test_each_filter_has_its_own_steps() -> None:
    kernel = torch.randn(32, 8, 3, 3, generator=torch.Generator().manual_seed(0))
    kernel *= torch.logspace(-4, 2, 32).view(-1, 1, 1, 1)
    state = {"a.weight": kernel.half(), "a.bias": torch.ones(32), "b.weight": torch.ones(2).half()}
    packed = pack(state)
    assert packed["a.weight"].dtype == torch.int8 and packed["a.weight.step"].shape == (32,)
    assert packed.keys() == state.keys() | {"a.weight.step"}
    unpacked = unpack(packed)
    assert unpacked.keys() == state.keys()
    error = (unpacked["a.weight"] - kernel).flatten(1).norm(dim=1)
    assert (error <= 0.01 * kernel.flatten(1).norm(dim=1)).all()
    assert torch.equal(unpacked["a.bias"], state["a.bias"])
    assert torch.equal(unpacked["b.weight"], state["b.weight"])


def test_the_command_exports_in_8_bits(mine: Path) -> None:
    output = mine.with_name("small.safetensors")
    answer = CliRunner().invoke(app, ["export", str(mine), str(output)])
    assert answer.exit_code == 0, answer.output
    assert answer.stdout == f"{output}\n"
    assert "maximum difference from" in answer.stderr
    assert checkpoint.load(output).header == checkpoint.load(mine).header


def test_a_file_with_wrong_steps_is_refused(tmp_path: Path) -> None:
    model = loaded("unet:UNet", {"widths": [48, 48]})
    path = tmp_path / "small.safetensors"
    job.shrink(model, path)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    key = next(key for key in state if key.endswith(".step"))
    state[key] = state[key][:-1]
    save_file(state, path, metadata)
    with pytest.raises(WeightsError, match="do not belong to that network"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("default", "'default' is ambiguous; expected one of "),
        ("no-such-model", "Unknown model or file 'no-such-model'"),
    ],
)
def test_a_name_must_mean_one_model(name: str, message: str, tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["export", name, str(tmp_path / "model.onnx")])
    assert isinstance(answer.exception, RestoreError)
    assert message in str(answer.exception)


def test_a_file_is_replaced_only_if_told(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "export", lambda model, path: path.write_bytes(b"new") and 0.0)
    output = mine.with_name("mine.onnx")
    output.write_bytes(b"old")
    words = ["export", str(mine), str(output)]
    answer = CliRunner().invoke(app, words)
    assert isinstance(answer.exception, UsageError)
    assert output.read_bytes() == b"old"
    assert CliRunner().invoke(app, [*words, "--overwrite"]).exit_code == 0
    assert output.read_bytes() == b"new"
