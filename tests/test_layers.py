"""Layers that several networks share: their gradients are PyTorch's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from restore_cli.archs import layers, unet
from restore_cli.archs.layers import Depthwise, DepthwiseConv2d, DilatedConv2d, convolve
from restore_cli.archs.rednet import REDNet
from restore_cli.archs.unet import ResidualBlock, UNet, enlarge
from restore_cli.archs.xunit import Gated


@pytest.mark.parametrize("size", [(1, 1), (5, 19), (16, 33)])
@pytest.mark.parametrize("side", [1, 3, 9])
def test_depthwise_gradients_are_right(size: tuple[int, int], side: int) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, side, side, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Depthwise.apply, (x, weight))


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_depthwise_gradients_are_pytorchs_within_rounding(
    dtype: torch.dtype, bound: float, layout: torch.memory_format
) -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv2d(8, 9).to(dtype)
    x = torch.randn(4, 8, 40, 24).to(dtype).to(memory_format=layout).requires_grad_()
    gradient = torch.randn_like(x)
    ours = torch.autograd.grad(layer(x), (x, layer.weight), gradient)
    exact_x, exact_weight = (
        x.detach().double().requires_grad_(),
        layer.weight.detach().double().requires_grad_(),
    )
    exact = conv2d(exact_x, exact_weight, padding=4, groups=8)
    for our, right in zip(
        ours, torch.autograd.grad(exact, (exact_x, exact_weight), gradient.double()), strict=True
    ):
        assert our.dtype == dtype
        assert (our - right).abs().max() <= bound * right.abs().max()


def test_a_frozen_depthwise_layer_gives_its_input_a_gradient() -> None:
    layer = DepthwiseConv2d(2, 3).requires_grad_(False)
    x = torch.randn(1, 2, 8, 8, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None and layer.weight.grad is None


def test_without_gradients_a_depthwise_layer_is_pytorchs() -> None:
    layer, x = DepthwiseConv2d(4, 9), torch.randn(1, 4, 20, 20)
    with torch.no_grad():
        assert torch.equal(layer(x), nn.Conv2d.forward(layer, x))
        traced = torch.export.export(layer, (x,))
    assert "conv2d" in str(traced.graph)


def test_gated_gradients_are_right() -> None:
    z, distance = (
        torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)
    )
    assert torch.autograd.gradcheck(Gated.apply, (z, distance))


def test_autocast_reaches_the_depthwise_layer() -> None:
    layer = DepthwiseConv2d(4, 3)
    x = torch.randn(1, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        result: Tensor = layer(x)
    assert result.dtype == torch.bfloat16
    result.sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("dilation", [1, 2, 5])
@pytest.mark.parametrize("size", [(1, 1), (7, 10), (12, 3)])
def test_a_dilated_convolution_is_pytorchs(dilation: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = DilatedConv2d(3, 4, dilation).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    wanted = [x, *layer.parameters()]
    results = layer(x), nn.Conv2d.forward(layer, x)
    torch.testing.assert_close(*results)
    gradient = torch.randn_like(results[0])
    ours, right = (torch.autograd.grad(result, wanted, gradient) for result in results)
    for our, exact in zip(ours, right, strict=True):
        torch.testing.assert_close(our, exact)


def derivatives(function: Callable[[Tensor], Tensor], module: nn.Module, x: Tensor) -> list[Tensor]:
    """What a function makes of x, and the gradients of x and of the module's parameters."""
    x = x.clone().requires_grad_()
    result = function(x)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view_as(result)
    return [result.detach(), *torch.autograd.grad(result, [x, *module.parameters()], weights)]


def assert_near(ours: list[Tensor], exact: list[Tensor], bound: float) -> None:
    for our, right in zip(ours, exact, strict=True):
        assert (our.double() - right).norm() <= bound * right.norm()


PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 2e-2)]


@pytest.mark.parametrize(("dtype", "bound"), PRECISIONS)
@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 5, 3, padding=1),
        nn.Conv2d(6, 5, 1, bias=False),
        nn.ConvTranspose2d(6, 5, 3, padding=1),
        nn.ConvTranspose2d(6, 5, 5, padding=2, bias=False),
        nn.Conv2d(6, 5, 3, stride=2, padding=1),
    ],
    ids=lambda layer: str(layer),
)
def test_convolving_is_the_layer_and_its_relu(
    layer: nn.Module, rectified: bool, dtype: torch.dtype, bound: float
) -> None:
    torch.manual_seed(0)
    layer, x = layer.to(dtype), torch.randn(2, 6, 8, 12).to(dtype)
    ours = derivatives(lambda x: convolve(layer, x, rectified), layer, x)
    layer, x = layer.double(), x.double()
    exact = derivatives(lambda x: layer(x).relu() if rectified else layer(x), layer, x)
    if rectified and dtype != torch.float64:  # what lies within rounding of 0 flows or does not
        ours[0] = torch.where(exact[0] > 0, ours[0].double(), 0)
    assert_near(ours, exact, 0.15 if rectified and dtype == torch.bfloat16 else bound)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_a_residual_block_in_training_is_its_parts(
    bias: bool, dtype: torch.dtype, bound: float
) -> None:
    torch.manual_seed(0)
    block, x = ResidualBlock(6, bias).to(dtype), torch.randn(2, 6, 8, 12, dtype=dtype)
    ours = derivatives(block, block, x)
    block, x = block.double(), x.double()
    exact = derivatives(lambda x: x + block.conv2(block.conv1(x).relu()), block, x)
    assert_near(ours, exact, bound)


@pytest.mark.parametrize("bias", [True, False])
def test_enlarging_in_training_is_a_pixel_shuffle(bias: bool) -> None:
    torch.manual_seed(0)
    up, x = nn.Conv2d(5, 12, 1, bias=bias).double(), torch.randn(2, 5, 4, 6).double()
    added = torch.randn(2, 3, 8, 12, dtype=torch.float64)
    ours = derivatives(lambda x: enlarge(up, x, added), up, x)
    assert_near(
        ours, derivatives(lambda x: nn.functional.pixel_shuffle(up(x), 2) + added, up, x), 1e-12
    )
    torch.testing.assert_close(enlarge(up, x), nn.functional.pixel_shuffle(up(x), 2))


@pytest.mark.parametrize(
    "network",
    [
        UNet(widths=[8, 12, 16], unshuffle=1),
        UNet(widths=[8, 12], skips="outer", bias=False),
        REDNet(depth=10, width=8),
        REDNet(depth=10, width=8, rectified=False),
        REDNet(depth=10, width=8, strides=[2]),
    ],
    ids=lambda network: type(network).__name__,
)
def test_training_computes_what_pytorch_does(
    network: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = network.double().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    planes = network.geometry.channels + network.geometry.conditions
    x = torch.rand(2, planes, 16, 32, dtype=torch.float64)
    ours = derivatives(network, network, x)
    for module in (layers, unet):
        monkeypatch.setattr(module, "computes_on_cpu", lambda _x: False)
    assert_near(ours, derivatives(network, network, x), 1e-10)
    with torch.no_grad():
        assert_near([network.float()(x.float())], ours[:1], 1e-5)


def test_fused_convolutions_count_as_they_do_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    network, x = UNet(channels=3, widths=[4, 8]), torch.rand(1, 4, 16, 16)

    def count() -> int:
        with layers.flop_counter() as counter, torch.no_grad():
            network(x)
        return int(counter.get_total_flops())

    ours = count()
    for module in (layers, unet):
        monkeypatch.setattr(module, "computes_on_cpu", lambda _x: False)
    assert ours == count() > 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_residual_block_may_overwrite_its_input(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    block = ResidualBlock(6, bias=True).to(dtype)
    x = torch.randn(1, 6, 8, 12, dtype=dtype).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        kept = block(x)
        torch.testing.assert_close(block(x), kept)  # x is as it was
        torch.testing.assert_close(block(x, overwrite=True), kept)


@pytest.mark.parametrize("skips", ["inner", "outer"])
@pytest.mark.parametrize("blocks", [0, 1, 2])
@pytest.mark.parametrize("widths", [[8], [8, 12, 16]])
def test_a_unet_overwrites_nothing_that_it_needs(
    skips: str, blocks: int, widths: list[int]
) -> None:
    torch.manual_seed(0)
    network = UNet(widths=widths, blocks=blocks, skips=skips, unshuffle=1)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.2)
    x = torch.rand(1, 4, 16, 32)
    in_training = network(x).detach()  # overwrites nothing
    with torch.no_grad():
        torch.testing.assert_close(network(x), in_training)
