"""The networks: sizes the papers state, foreign layouts, what the wiring promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from restore_cli import weights
from restore_cli.archs import build
from restore_cli.archs.unet import UNet
from restore_cli.archs.xunit import XUnit
from restore_cli.engine import Restorer, Settings, run
from restore_cli.errors import WeightsError


def test_xunit_has_the_papers_parameters_and_formula() -> None:
    unit = XUnit(6, kernel=5).eval()
    assert sum(parameter.numel() for parameter in unit.parameters()) == (5**2 + 4) * 6
    z = torch.randn(2, 6, 9, 9)
    first, _, depthwise, last = unit.gate
    d = last(depthwise(first(z).relu()))
    torch.testing.assert_close(unit(z), z * torch.exp(-(d**2)))


def test_a_depthwise_gate_reaches_its_radius_only() -> None:
    unit = XUnit(1, kernel=9).eval()
    z = torch.ones(1, 1, 25, 25, requires_grad=True)
    unit(z)[0, 0, 12, 12].backward()
    assert z.grad is not None
    assert set((z.grad[0, 0].nonzero() - 12).abs().max(dim=0).values.tolist()) == {4}


@pytest.mark.parametrize("skips", ["inner", "outer"])
def test_a_unet_without_tail_is_the_identity(skips: str) -> None:
    network = UNet(widths=[8, 8, 8], skips=skips)
    torch.nn.init.zeros_(network.tail.weight)
    torch.nn.init.zeros_(network.tail.bias)
    x = torch.rand(1, 4, 16, 24)
    torch.testing.assert_close(network(x), x[:, :3])


def test_a_masked_unet_changes_what_the_mask_covers() -> None:
    network = UNet(widths=[8, 8], masked=True)
    x = torch.rand(1, 4, 16, 16)
    x[:, 3] = 0
    x[:, 3, 4:9, 5:7] = 1
    changed = (network(x) != x[:, :3]).any(dim=1)
    assert torch.equal(changed, x[:, 3] == 1)


def test_inner_and_outer_skips_are_different_networks() -> None:
    torch.manual_seed(0)
    inner = UNet(widths=[8, 8], skips="inner")
    outer = UNet(widths=[8, 8], skips="outer")
    outer.load_state_dict(inner.state_dict())
    x = torch.rand(1, 4, 16, 16)
    assert (inner(x) - outer(x)).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("arch", "params", "message"),
    [
        ("unet:Nothing", {}, "Unknown architecture 'unet:Nothing'"),
        ("nowhere:UNet", {}, "Unknown architecture"),
        ("unet", {}, "Unknown architecture"),
        ("unet:UNet", {"depth": 3}, "cannot be built"),
        ("unet:UNet", {"widths": [8, 8], "blocks": [1]}, "1 entries for 2 levels"),
        ("unet:UNet", {"skips": "none"}, "not 'inner' or 'outer'"),
        ("unet:UNet", {"masked": True, "conditions": 0}, "masked needs a condition"),
        ("unet:ResidualBlock", {"width": 4, "bias": True}, "no restoration network"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(arch: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        build(arch, params)


LAYERED = [
    ("rednet:REDNet", {"depth": 10, "width": 6, "skip": 0}),
    ("rednet:REDNet", {"channels": 3, "depth": 20, "width": 6}),
    ("rednet:REDNet", {"depth": 20, "width": 6, "kernel": 5, "skip": 3}),
    ("rednet:REDNet", {"depth": 20, "width": 6, "strides": [1]}),
    ("rednet:REDNet", {"depth": 20, "width": 6, "strides": [5, 9]}),
    ("baselines:FFDNet", {"depth": 6, "width": 6}),
    ("baselines:FFDNet", {"channels": 3, "depth": 6, "width": 6}),
    ("baselines:ConvChain", {"widths": [6, 6]}),
    ("baselines:ConvChain", {"channels": 3, "widths": [6, 6], "kernels": [16, 1, 8], "bias": False}),
    ("baselines:ConvChain", {"widths": [6, 6], "residual": True}),
    ("xunit:XSRCNN", {"widths": [6, 6]}),
    ("xunit:XSRCNN", {"widths": [6, 6], "residual": True}),
    ("xunit:XDnCNN", {"depth": 4, "width": 6, "kernel": 0}),
    ("xunit:XDnCNN", {"channels": 3, "depth": 4, "width": 6, "kernel": 5}),
]


def made(arch: str, params: dict[str, Any]) -> Restorer:
    torch.manual_seed(0)
    network = build(arch, params).eval()
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.kaiming_normal_(module.weight)
            module.weight.data *= 0.5
    return network


def test_the_case_of_a_name_does_not_matter() -> None:
    assert type(build("rednet:REDNET", {"depth": 4})) is type(build("rednet:REDNet", {"depth": 4}))


@pytest.mark.parametrize(("arch", "params"), LAYERED)
def test_a_checkpoint_brings_them_back(arch: str, params: dict[str, Any], tmp_path: Path) -> None:
    network = made(arch, params)
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1 and name.endswith("weight"):
            parameter.data = parameter.data.half().float()  # as kernels are kept
    geometry = network.geometry
    header = weights.Header(task="denoise", arch=arch, params=params, channels=geometry.channels)
    weights.save(network, tmp_path / "model.safetensors", header)
    loaded = weights.load(tmp_path / "model.safetensors").network
    x = torch.rand(1, geometry.channels + geometry.conditions, 16, 24)
    assert loaded.geometry == geometry
    assert torch.equal(loaded(x), network(x))


@pytest.mark.parametrize(("arch", "params"), LAYERED)
@pytest.mark.parametrize("size", [(1, 1), (9, 150), (101, 3)])
def test_any_size_comes_back_and_tiles_are_exact(
    arch: str, params: dict[str, Any], size: tuple[int, int]
) -> None:
    network = made(arch, params)
    pixels = np.random.default_rng(0).random((*size, network.geometry.channels), np.float32)
    conditions = (0.1,) * network.geometry.conditions
    whole, tiled = (
        run(network, pixels, conditions, Settings("cpu", "fp32", tile=tile)).pixels for tile in (0, 16)
    )
    assert whole.shape == pixels.shape
    assert np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.parametrize(("arch", "params"), LAYERED)
def test_the_stated_radius_is_the_receptive_field(arch: str, params: dict[str, Any]) -> None:
    network = build(arch, params).eval().double()
    geometry = network.geometry
    for parameter in network.parameters():  # positive weights: nothing cancels, ReLU passes everything
        nn.init.constant_(parameter, 1 / parameter[0].numel())
    middle = -(-(geometry.radius + 2) // geometry.multiple) * geometry.multiple
    reach = 0
    for at in range(middle, middle + geometry.multiple):
        shape = (1, geometry.channels + geometry.conditions, 2 * middle, 2 * middle)
        x = torch.rand(shape, dtype=torch.float64, requires_grad=True)
        network(x)[0, 0, at, at].backward()
        assert x.grad is not None
        reach = max(reach, int((x.grad[0, : geometry.channels].nonzero()[:, 1:] - at).abs().max()))
    assert geometry.radius - geometry.multiple < reach <= geometry.radius


@pytest.mark.parametrize("strides", [(), (1,), (5, 9)])
def test_red_net_without_deconvolutions_is_the_identity(strides: tuple[int, ...]) -> None:
    network = made("rednet:REDNet", {"depth": 20, "width": 4, "strides": strides})
    nn.init.zeros_(network.decoder[-1].weight)
    nn.init.zeros_(network.decoder[-1].bias)
    x = torch.rand(1, 1, 16, 24)
    torch.testing.assert_close(network(x), x)


@pytest.mark.parametrize(("skip", "handed"), [(2, [2, 4, 6, 8]), (3, [3, 6, 9]), (0, [])])
def test_red_net_hands_every_second_layer_to_its_mirror(skip: int, handed: list[int]) -> None:
    """With the deconvolution that mirrors a layer at zero, only skips there or later pass."""
    for layer in range(1, 10):
        network = made("rednet:REDNet", {"depth": 20, "width": 4, "skip": skip})
        mirror = network.decoder[9 - layer]
        nn.init.zeros_(mirror.weight)
        for deconvolution in network.decoder:
            nn.init.zeros_(deconvolution.bias)
        x = torch.rand(1, 1, 16, 16)
        changed = bool((network(x) - x).abs().max() > 0)
        assert changed == any(kept <= layer for kept in handed), layer


@pytest.mark.parametrize("params", [{"depth": 9}, {"kernel": 4}, {"strides": [16]}])
def test_red_net_refuses_what_cannot_be_mirrored(params: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="depth is even, kernel is odd"):
        build("rednet:REDNet", params)


def test_an_xdncnn_may_learn_the_image_directly() -> None:
    network = made("xunit:XDnCNN", {"depth": 3, "width": 4, "kernel": 3})
    direct = build("xunit:XDnCNN", {"depth": 3, "width": 4, "kernel": 3, "residual": False}).eval()
    direct.load_state_dict(network.state_dict())
    x = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(x - direct(x), network(x))
