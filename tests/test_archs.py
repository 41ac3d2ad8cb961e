"""The networks: sizes the papers state, foreign layouts, what the wiring promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from restore_cli.archs import build
from restore_cli.archs.unet import UNet
from restore_cli.archs.xunit import XUnit
from restore_cli.engine import Settings, run
from restore_cli.errors import WeightsError
from restore_cli.models import checkpoint
from restore_cli.models.header import Header
from restore_cli.network import Restorer


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
        (
            "unet:UNet",
            {"depth": 3},
            "Cannot build .*: unknown parameter depth; expected channels, .*widths",
        ),
        ("unet:UNet", {"widths": [8, 8], "blocks": [1]}, "1 entries for 2 levels"),
        ("unet:UNet", {"skips": "none"}, "must be 'inner' or 'outer'"),
        ("unet:UNet", {"masked": True, "conditions": 0}, "masked needs a condition"),
        ("unet:ResidualBlock", {"width": 4, "bias": True}, "not a restoration network"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(
    arch: str, params: dict[str, object], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        build(arch, params)


LAYERED = [
    ("rednet:REDNet", {"depth": 10, "width": 6, "skip": 0, "residual": False}),
    ("rednet:REDNet", {"channels": 3, "depth": 20, "width": 6}),
    ("rednet:REDNet", {"depth": 20, "width": 6, "kernel": 5, "skip": 3}),
    ("rednet:REDNet", {"depth": 20, "width": 6, "strides": [1]}),
    ("rednet:REDNet", {"depth": 20, "width": 6, "strides": [5, 9]}),
    ("rednet:REDNet", {"depth": 6, "width": 6, "strides": [1, 2], "stride": 3}),
    ("rednet:REDNet", {"depth": 4, "width": 6, "kernel": 5, "strides": [2], "stride": 3}),
    ("rednet:REDNet", {"depth": 10, "width": 6, "mirrored": False}),
    ("rednet:REDNet", {"depth": 10, "width": 6, "skip": 0, "deconvolution": False}),
    ("rednet:REDNet", {"depth": 5, "width": 6, "skip": 0, "deconvolution": False}),
    ("rednet:REDNet", {"depth": 10, "width": 6, "rectified": False}),
    ("baselines:FFDNet", {"depth": 6, "width": 6}),
    ("baselines:FFDNet", {"channels": 3, "depth": 6, "width": 6}),
    ("baselines:ConvChain", {"widths": [6, 6]}),
    (
        "baselines:ConvChain",
        {"channels": 3, "widths": [6, 6], "kernels": [16, 1, 8], "bias": False},
    ),
    ("baselines:ConvChain", {"widths": [6, 6], "residual": True}),
    ("baselines:DnCNN", {"channels": 3, "depth": 6, "width": 6, "residual": False}),
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
    header = Header(task="denoise", arch=arch, params=params, channels=geometry.channels)
    checkpoint.save(network, tmp_path / "model.safetensors", header)
    loaded = checkpoint.load(tmp_path / "model.safetensors").network
    height, width = (-(-size // geometry.multiple) * geometry.multiple for size in (16, 24))
    x = torch.rand(1, geometry.channels + geometry.conditions, height, width)
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
        run(network, pixels, conditions, Settings("cpu", "fp32", tile=tile)).pixels
        for tile in (0, 16)
    )
    assert whole.shape == pixels.shape
    assert np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.parametrize(("arch", "params"), LAYERED)
def test_the_stated_radius_is_the_receptive_field(arch: str, params: dict[str, Any]) -> None:
    network = build(arch, params).eval().double()
    geometry = network.geometry
    for (
        parameter
    ) in network.parameters():  # positive weights: nothing cancels, ReLU passes everything
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


@pytest.mark.parametrize(
    "params",
    [
        {"depth": 9},
        {"depth": 9, "skip": 0},
        {"depth": 9, "deconvolution": False},
        {"depth": 1, "skip": 0, "deconvolution": False},
        {"depth": 0},
        {"kernel": 4},
        {"strides": [16]},
        {"strides": [1], "stride": 5},
    ],
)
def test_red_net_refuses_what_cannot_be_mirrored(params: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match=r"depth must be even|strides must be from 1 to"):
        build("rednet:REDNet", params)


@pytest.mark.parametrize("params", [{"deconvolution": False}, {"mirrored": False}])
def test_red_net_refuses_strides_that_nothing_mirrors(params: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="strides need deconvolution"):
        build("rednet:REDNet", {"strides": [1], **params})


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"depth": 10, "skip": 0}, 296_641),
        ({"depth": 20}, 665_921),
        ({"depth": 30}, 1_035_201),
        (
            {"depth": 30, "width": 128},
            4_134_785,
        ),  # the authors' released networks, gray and in color
        ({"depth": 30, "width": 128, "channels": 3}, 4_139_395),
        ({"depth": 30, "mirrored": False}, 1_035_201),
        ({"depth": 10, "skip": 0, "deconvolution": False}, 296_641),  # figure 2
        ({"depth": 5, "skip": 0, "deconvolution": False}, 112_001),
    ],
)
def test_red_net_has_the_parameters_of_the_paper(params: dict[str, Any], count: int) -> None:
    assert (
        sum(parameter.numel() for parameter in build("rednet:REDNet", params).parameters()) == count
    )


def by_hand(network: Restorer, x: torch.Tensor, sums: dict[int, int]) -> torch.Tensor:
    """Equations 2 and 3: a ReLU after each layer and each sum, but for the last layer."""
    features, outputs = x, [x]
    layers = [*network.encoder, *network.decoder]
    for number, layer in enumerate(layers[:-1], start=1):
        features = layer(features).clamp(min=0)
        if number in sums:
            features = (features + outputs[sums[number]]).clamp(min=0)
        outputs.append(features)
    return x + layers[-1](features)


@pytest.mark.parametrize(
    ("params", "sums"),
    [
        ({"depth": 10}, {8: 2, 6: 4}),
        ({"depth": 10, "skip": 3}, {7: 3}),
        ({"depth": 10, "mirrored": False}, {3: 1, 5: 3, 7: 5, 9: 7}),
        ({"depth": 10, "skip": 4, "mirrored": False}, {5: 1, 9: 5}),
        ({"depth": 10, "skip": 0}, {}),
    ],
)
def test_red_net_sums_what_relus_have_passed(params: dict[str, Any], sums: dict[int, int]) -> None:
    network, x = made("rednet:REDNet", {"width": 4, **params}), torch.rand(1, 1, 16, 16)
    torch.testing.assert_close(network(x), by_hand(network, x, sums))
    earlier = build("rednet:REDNet", {"width": 4, **params, "rectified": False})
    earlier.load_state_dict(network.state_dict())
    assert bool((earlier(x) - network(x)).abs().max() > 1e-4) == bool(sums)


def test_five_strides_of_three_make_a_vector_of_a_patch() -> None:
    network = made(
        "rednet:REDNet", {"depth": 10, "width": 4, "strides": [1, 2, 3, 4, 5], "stride": 3}
    )
    sizes = []
    for layer in network.encoder:
        layer.register_forward_hook(lambda _layer, _given, made: sizes.append(made.shape[-1]))
    assert network(torch.rand(1, 1, 243, 243)).shape == (1, 1, 243, 243)
    assert sizes == [81, 27, 9, 3, 1]


def test_an_xdncnn_may_learn_the_image_directly() -> None:
    network = made("xunit:XDnCNN", {"depth": 3, "width": 4, "kernel": 3})
    direct = build("xunit:XDnCNN", {"depth": 3, "width": 4, "kernel": 3, "residual": False}).eval()
    direct.load_state_dict(network.state_dict())
    x = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(x - direct(x), network(x))
