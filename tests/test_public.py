"""The public networks: exact tiles or blended ones, the authors' names and shapes, and their own
files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, leaky_relu, pad, pixel_shuffle, pixel_unshuffle
from typer.testing import CliRunner

from restore_cli import engine
from restore_cli.archs import build, rrdb
from restore_cli.cli import app
from restore_cli.engine import Settings, run
from restore_cli.models import checkpoint
from restore_cli.network import Restorer
from restore_cli.tiles import Box, Limits, split

FILES = Path(__file__).parents[1] / "../shared/checkpoints"

LOCAL = [
    ("compact:Compact", {"scale": 2, "depth": 3, "width": 6}),
    ("compact:Compact", {"channels": 1, "scale": 1, "depth": 2, "width": 6}),
    ("rrdb:RRDBNet", {"blocks": 1, "width": 6, "growth": 3}),
    ("rrdb:RRDBNet", {"blocks": 1, "width": 6, "growth": 3, "doublings": 1}),
    ("rrdb:RRDBNet", {"blocks": 1, "width": 6, "growth": 3, "unshuffle": 2}),
    ("rrdb:RRDBNet", {"channels": 1, "blocks": 1, "width": 6, "growth": 3, "unshuffle": 4}),
    ("span:SPAN", {"scale": 2, "width": 6}),
    ("prenet:PReNet", {"stages": 2, "width": 6}),
    ("aodnet:AODNet", {"width": 5}),
]
WIDE = [
    ("smfanet:SMFANet", {"scale": 2, "width": 8, "blocks": 2}),
    ("nafnet:NAFNet", {"width": 6, "encoder": [1, 1], "decoder": [1, 1]}),
    (
        "restormer:Restormer",
        {"width": 8, "blocks": [1] * 4, "heads": [1, 2, 2, 4], "refinement": 1},
    ),
    ("restormer:Restormer", {"width": 4, "blocks": [1] * 4, "heads": [1] * 4, "biased": True}),
]


def made(arch: str, params: Mapping[str, Any]) -> Restorer:
    """A network whose every layer matters and whose results are about as large as pictures."""
    torch.manual_seed(0)
    network = build(arch, params).eval()
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
        elif name.endswith("bias"):
            nn.init.normal_(parameter, std=0.1)
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight *= 0.3 / network(torch.rand(1, network.geometry.channels, 64, 64)).std()
    return network


def photo(height: int, width: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, channels), np.float32)


@pytest.mark.parametrize(("arch", "params"), LOCAL)
def test_a_training_starts_with_gradients(arch: str, params: dict[str, Any]) -> None:
    torch.manual_seed(0)
    network = build(arch, params)
    network.init_weights()
    channels, side = network.geometry.channels + network.geometry.conditions, 64
    result = network(torch.rand(1, channels, side, side))
    (result - 0.3).square().mean().backward()
    assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in network.parameters())


@pytest.mark.parametrize(("arch", "params"), LOCAL)
@pytest.mark.parametrize("size", [(1, 1), (5, 130), (67, 41)])
def test_tiles_are_exact(arch: str, params: dict[str, Any], size: tuple[int, int]) -> None:
    network = made(arch, params)
    pixels = photo(*size, network.geometry.channels)
    whole, tiled = (
        run(network, pixels, (), Settings("cpu", "fp32", tile=side)).pixels for side in (0, 16)
    )
    assert whole.shape[:2] == tuple(side * network.geometry.scale for side in size)
    assert np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.parametrize(("arch", "params"), LOCAL)
def test_the_stated_radius_is_the_receptive_field(arch: str, params: dict[str, Any]) -> None:
    network = build(arch, params).eval().double()
    geometry = network.geometry
    for parameter in network.parameters():  # positive weights: nothing cancels
        nn.init.constant_(parameter, 1 / parameter[0].numel())
    middle = -(-(geometry.radius + 2) // geometry.multiple) * geometry.multiple
    reach = 0
    for at in range(middle, middle + geometry.multiple):
        shape = (1, geometry.channels, 2 * middle, 2 * middle)
        x = (
            1 + torch.rand(shape, dtype=torch.float64)
        ).requires_grad_()  # of which AOD-Net makes no black
        inside = slice(at * geometry.scale, (at + 1) * geometry.scale)
        network(x)[0, 0, inside, inside].sum().backward()
        assert x.grad is not None
        reach = max(reach, int((x.grad[0].nonzero()[:, 1:] - at).abs().max()))
    assert geometry.radius - geometry.multiple < reach <= geometry.radius


@pytest.mark.parametrize(("arch", "params"), WIDE)
def test_tiles_of_networks_that_see_everything_are_blended(
    arch: str, params: dict[str, Any]
) -> None:
    network = made(arch, params)
    assert not network.geometry.local
    for size in ((1, 1), (9, 70)):
        assert run(network, photo(*size), (), Settings("cpu", "fp32")).pixels.shape[:2] == tuple(
            side * network.geometry.scale for side in size
        )
    pixels = photo(40, 260)
    shares: list[float] = []
    whole, tiled = (
        run(network, pixels, (), Settings("cpu", "fp32", tile=side), shares.append).pixels
        for side in (0, 64)
    )
    assert sum(shares) == pytest.approx(2)
    difference = np.abs(whole - tiled)
    assert 0 < difference.max() < 0.2
    geometry = network.geometry
    limits = Limits(64 + 2 * geometry.halo)
    first = split(Box(0, 0, 40, 260), limits, geometry.halo, geometry.multiple)[0]
    seam = first.box.right * geometry.scale
    steps = np.abs(np.diff(tiled - whole, axis=1)).mean((0, 2))
    assert steps[seam - 1] < 3 * np.median(steps)  # no edge where one tile ends


def test_a_constant_comes_back_from_blended_tiles() -> None:
    network = made(*WIDE[0])
    nn.init.zeros_(network.get_parameter("to_img.0.weight"))
    nn.init.constant_(network.get_parameter("to_img.0.bias"), 0.5)
    pixels = run(network, photo(50, 131), (), Settings("cpu", "fp32", tile=16)).pixels
    np.testing.assert_allclose(pixels, 0.5, atol=1e-6)


@pytest.mark.parametrize(
    ("gigabytes", "size", "side"),
    [
        (
            10,
            (1000, 1000),
            1000,
        ),  # of which half the memory holds all, so that no halo is computed twice
        (
            10,
            (3000, 4000),
            174,
        ),  # half the halo, not the 16 pixels that a quarter of the memory leaves
        (200, (3000, 4000), 1024),
    ],
)
def test_wide_halos_do_not_make_tiny_tiles(
    monkeypatch: pytest.MonkeyPatch, gigabytes: float, size: tuple[int, int], side: int
) -> None:
    with torch.device("meta"):
        network = build("rrdb:RRDBNet", {})
    assert network.geometry.radius == 349
    monkeypatch.setattr(engine, "free_memory", lambda device: gigabytes * 1e9)
    assert engine._tile_side(network, torch.device("cpu"), Settings(precision="fp32"), size) == side


def write(path: Path, state: Mapping[str, Tensor], wrapper: str = "", prefix: str = "") -> Path:
    state = {f"{prefix}{key}": value.clone() for key, value in state.items()}
    torch.save({wrapper: state} if wrapper else state, path)
    return path


@pytest.mark.parametrize("wrapper", ["", "params_ema", "params", "state_dict", "model", "net"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_state_dicts_are_found_where_authors_put_them(
    tmp_path: Path, wrapper: str, prefix: str
) -> None:
    arch, params = LOCAL[0]
    network = made(arch, params)
    loaded = checkpoint.load(write(tmp_path / "x.pth", network.state_dict(), wrapper, prefix))
    assert loaded.header.arch == arch
    assert torch.equal(loaded.network(torch.ones(1, 3, 8, 8)), network(torch.ones(1, 3, 8, 8)))


def test_averaged_weights_are_preferred(tmp_path: Path) -> None:
    first, second = made(*LOCAL[0]).state_dict(), made(*LOCAL[0]).state_dict()
    second["body.0.bias"] += 1
    torch.save({"params": first, "params_ema": second, "epoch": 3}, tmp_path / "x.pth")
    loaded = checkpoint.load(tmp_path / "x.pth").network.state_dict()
    assert torch.equal(loaded["body.0.bias"], second["body.0.bias"])


@pytest.mark.parametrize(("arch", "params"), [*LOCAL, *WIDE])
def test_keys_and_shapes_tell_the_network(
    tmp_path: Path, arch: str, params: dict[str, Any]
) -> None:
    network = made(arch, params)
    if arch.startswith("prenet"):  # whose stages share their weights
        params = {**params, "stages": 6}
        network = made(arch, params)
    loaded = checkpoint.load(write(tmp_path / "x.pth", network.state_dict()))
    assert loaded.header.arch == arch
    assert loaded.network.geometry == network.geometry
    assert loaded.task == ("sr" if network.geometry.scale > 1 else "")
    x = torch.rand(1, network.geometry.channels, 16, 24)
    torch.testing.assert_close(loaded.network(x), network(x))


def chain(state: dict[str, Tensor], name: str, taken: int, given: int) -> None:
    """A 3x3 convolution as SPAN trains it, with an `eval_conv` that is out of date."""
    shapes = {"sk": (given, taken, 1), "eval_conv": (given, taken, 3)}
    shapes |= {
        "conv.0": (2 * taken, taken, 1),
        "conv.1": (2 * given, 2 * taken, 3),
        "conv.2": (given, 2 * given, 1),
    }
    for part, (out, into, side) in shapes.items():
        state[f"{name}.{part}.weight"] = (
            torch.randn(out, into, side, side) / (into * side**2) ** 0.5
        )
        state[f"{name}.{part}.bias"] = torch.randn(out) / 10


def span(state: Mapping[str, Tensor], x: Tensor, scale: int) -> Tensor:
    """SPAN as its authors train it."""

    def convolve(name: str, x: Tensor) -> Tensor:
        inner = pad(x, (1, 1, 1, 1))
        for part in range(3):
            inner = conv2d(
                inner, state[f"{name}.conv.{part}.weight"], state[f"{name}.conv.{part}.bias"]
            )
        return inner + conv2d(x, state[f"{name}.sk.weight"], state[f"{name}.sk.bias"])

    mean = torch.tensor([0.4488, 0.4371, 0.4040]).view(3, 1, 1)
    first = features = convolve("conv_1", (x - mean) * 255)
    results, inners = [], []
    for number in range(1, 7):
        inner = nn.functional.silu(convolve(f"block_{number}.c1_r", features))
        last = convolve(
            f"block_{number}.c3_r", nn.functional.silu(convolve(f"block_{number}.c2_r", inner))
        )
        features = (last + features) * (torch.sigmoid(last) - 0.5)
        results.append(features)
        inners.append(inner)
    joined = torch.cat([first, convolve("conv_2", features), results[0], inners[5]], dim=1)
    joined = conv2d(joined, state["conv_cat.weight"], state["conv_cat.bias"])
    up = conv2d(joined, state["upsampler.0.weight"], state["upsampler.0.bias"], padding=1)
    return pixel_shuffle(up, scale)


def test_span_of_the_authors_is_merged(tmp_path: Path) -> None:
    torch.manual_seed(0)
    width, scale = 8, 2
    state: dict[str, Tensor] = {}
    for name in (
        "conv_1",
        *(f"block_{i}.c{j}_r" for i in range(1, 7) for j in (1, 2, 3)),
        "conv_2",
    ):
        chain(state, name, 3 if name == "conv_1" else width, width)
    for name, shape in {
        "conv_cat": (width, 4 * width, 1, 1),
        "upsampler.0": (3 * scale**2, width, 3, 3),
    }.items():
        state[f"{name}.weight"] = torch.randn(shape) / 1000
        state[f"{name}.bias"] = torch.zeros(shape[0])
    network = checkpoint.load(write(tmp_path / "x.pth", state, "params_ema")).network
    x = torch.rand(1, 3, 17, 12)
    torch.testing.assert_close(network(x), span(state, x, scale), atol=1e-4, rtol=1e-4)


def first_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As ESRGAN's code named them at first."""
    ups = sum(re.fullmatch(r"conv_up\d.weight", key) is not None for key in state)
    blocks = 1 + max(int(key.split(".")[1]) for key in state if key.startswith("body."))
    late = {f"conv_up{i}": 3 * i for i in range(1, ups + 1)} | {
        "conv_hr": 3 * ups + 2,
        "conv_last": 3 * ups + 4,
    }
    own = {}
    for key, value in state.items():
        layer, _, part = key.rpartition(".")
        if layer.startswith("body."):
            _, block, dense, conv = layer.split(".")
            own[f"model.1.sub.{block}.{dense.upper()}.{conv}.0.{part}"] = value
        elif layer == "conv_body":
            own[f"model.1.sub.{blocks}.{part}"] = value
        else:
            own[f"model.{late.get(layer, 0)}.{part}"] = value
    return own


def second_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """As ESRGAN's code, and KAIR's, named them then."""
    own = {}
    for key, value in state.items():
        for ours, theirs in (
            (r"^body\.(\d+)\.rdb", r"RRDB_trunk.\1.RDB"),
            ("^conv_body", "trunk_conv"),
            ("^conv_up", "upconv"),
            ("^conv_hr", "HRconv"),
        ):
            key = re.sub(ours, theirs, key)
        own[key] = value
    return own


@pytest.mark.parametrize("names", [first_names, second_names])
@pytest.mark.parametrize("doublings", [0, 1, 2, 3])
def test_esrgan_by_its_older_names(tmp_path: Path, names: Any, doublings: int) -> None:
    network = made("rrdb:RRDBNet", {"blocks": 2, "width": 6, "growth": 3, "doublings": doublings})
    loaded = checkpoint.load(write(tmp_path / "x.pth", names(network.state_dict()))).network
    assert loaded.geometry == network.geometry
    x = torch.rand(1, 3, 9, 12)
    assert torch.equal(loaded(x), network(x))


def rrdbnet(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    """Real-ESRGAN's network that enlarges twice, of two blocks, all of it at once."""

    def convolve(name: str, x: Tensor) -> Tensor:
        return conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)

    first = x = convolve("conv_first", pixel_unshuffle(x, 2))
    for block in range(2):
        outer = x
        for dense in (1, 2, 3):
            features = [x]
            for conv in range(1, 5):
                more = convolve(f"body.{block}.rdb{dense}.conv{conv}", torch.cat(features, dim=1))
                features.append(leaky_relu(more, 0.2))
            x = x + 0.2 * convolve(f"body.{block}.rdb{dense}.conv5", torch.cat(features, dim=1))
        x = outer + 0.2 * x
    x = first + convolve("conv_body", x)
    for up in (1, 2):
        x = leaky_relu(convolve(f"conv_up{up}", interpolate(x, scale_factor=2)), 0.2)
    return convolve("conv_last", leaky_relu(convolve("conv_hr", x), 0.2))


def test_rrdb_enlarges_in_squares_what_its_authors_do_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rrdb, "SQUARE", 5)
    network = made("rrdb:RRDBNet", {"blocks": 2, "width": 6, "growth": 3, "unshuffle": 2})
    x = torch.rand(2, 3, 26, 38)
    torch.testing.assert_close(network(x), rrdbnet(network.state_dict(), x))


def restored(folder: Path, model: Path, *words: str, width: int = 60) -> Any:
    """What `restore sr` says of a photo, as JSON."""
    Image.fromarray((photo(40, width) * 255).astype(np.uint8)).save(folder / "photo.png")
    command = [
        "sr",
        str(folder / "photo.png"),
        "--model",
        str(model),
        "--device",
        "cpu",
        "--json",
        *words,
    ]
    answer = CliRunner().invoke(app, command)
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_span_that_explodes_is_replaced_and_said(tmp_path: Path) -> None:
    network = made("span:SPAN", {"scale": 2, "width": 6})
    network.get_parameter("up.weight").data *= 0.1
    nn.init.constant_(network.get_parameter("up.bias"), 0.5)
    record = restored(tmp_path, write(tmp_path / "x.pth", network.state_dict()))
    assert record["model"].endswith("x.pth")
    nn.init.constant_(network.get_parameter("up.bias"), 9.0)
    record = restored(tmp_path, write(tmp_path / "y.pth", network.state_dict()), "--overwrite")
    assert record["model"] == "sr-color-x2"
    (said,) = (warning for warning in record["warnings"] if "failed" in warning)
    assert re.search(
        "y.pth failed: its output is .*, not 0 to 1. The photo was restored with"
        " sr-color-x2 instead.",
        said,
    )


def test_approximate_tiles_are_said(tmp_path: Path) -> None:
    model = write(tmp_path / "x.pth", made(*WIDE[0]).state_dict())
    sentence = f"{model} looks at the entire photo, so its tiles are approximate"
    for words, said in (([], False), (["--tile", "32", "--overwrite"], True)):
        record = restored(tmp_path, model, *words, width=400)
        assert any(warning.startswith(sentence) for warning in record["warnings"]) == said


# The authors' files, where they are


@pytest.mark.weights
@pytest.mark.parametrize(
    ("file", "arch", "scale", "count"),
    [
        ("span-ch48-x2.safetensors", "span:SPAN", 2, 410_700),
        ("span-ch48-x4.safetensors", "span:SPAN", 4, 426_288),
        ("SMFANet_plus_DF2K_100w_x2SR.pth", "smfanet:SMFANet", 2, 480_300),
        ("SMFANet_plus_DF2K_100w_x3SR.pth", "smfanet:SMFANet", 3, 486_795),
        ("SMFANet_plus_DF2K_100w_x4SR.pth", "smfanet:SMFANet", 4, 495_888),
        ("dehazer.pth", "aodnet:AODNet", 1, 1761),
    ],
)
def test_published_files_load_as_they_are(file: str, arch: str, scale: int, count: int) -> None:
    if not (FILES / file).is_file():
        pytest.skip(f"{file} is not there")
    loaded = checkpoint.load(FILES / file)
    task = "sr" if scale > 1 else "dehaze"  # which the entry of its bytes says
    assert (loaded.header.arch, loaded.task, loaded.network.geometry.scale) == (arch, task, scale)
    assert sum(parameter.numel() for parameter in loaded.network.parameters()) == count
    if scale == 1:
        return
    ramp = np.linspace(0.1, 0.9, 24, dtype=np.float32)
    pixels = np.dstack([np.broadcast_to(ramp, (24, 24))] * 3)
    enlarged = run(loaded.network, pixels, (), Settings("cpu", "fp32")).pixels
    kept = enlarged.reshape(24, scale, 24, scale, 3).mean((1, 3))
    assert np.abs(kept - pixels)[4:-4, 4:-4].max() < 0.02
