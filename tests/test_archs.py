"""The networks: sizes the papers state, foreign layouts, what the wiring promises."""

from __future__ import annotations

import pytest
import torch

from restore_cli.archs import build
from restore_cli.archs.unet import UNet
from restore_cli.archs.xunit import XUnit
from restore_cli.errors import WeightsError


@pytest.mark.parametrize(
    ("arch", "params", "count"),
    [
        ("xunit:XDnCNN", {"channels": 1}, 303_233),  # 303K, xUnit paper, table 1
        ("xunit:XDnCNN", {"channels": 3}, 305_539),  # 306K, section 4.2
        ("baselines:DnCNN", {"norm": True}, 556_096),
        ("baselines:DnCNN", {"norm": False}, 555_137),  # 555K, DnCNN-S with its normalisation merged
        (
            "unet:UNet",
            {"widths": [64, 128, 256, 512], "blocks": 4, "unshuffle": 1, "skips": "outer"}
            | {"bias": False, "residual": False},
            32_640_960,  # 32.64M, DRUNet in colour
        ),
    ],
)
def test_parameter_counts_are_the_published_ones(arch: str, params: dict[str, object], count: int) -> None:
    assert sum(parameter.numel() for parameter in build(arch, params).parameters()) == count


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
        ("unet:ResidualBlock", {"width": 4, "bias": True}, "no restoration network"),
    ],
)
def test_nonsense_is_refused_in_one_sentence(arch: str, params: dict[str, object], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        build(arch, params)
