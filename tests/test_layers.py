"""Layers that several networks share: their gradients are PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from restore_cli.archs import layers
from restore_cli.archs.layers import Depthwise, DepthwiseConv2d, DilatedConv2d
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
    z, distance = (torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(Gated.apply, (z, distance))


def test_autocast_reaches_the_depthwise_layer() -> None:
    layer = DepthwiseConv2d(4, 3)
    x = torch.randn(1, 4, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        result: Tensor = layer(x)
    assert result.dtype == torch.bfloat16
    result.sum().backward()
    assert layer.weight.grad is not None and layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("bias", [True, False])
def test_fused_convolutions_are_the_plain_ones(dtype: torch.dtype, bias: bool) -> None:
    """Also where a condition makes the sums large; bfloat16 keeps 8 bits, and rounds the sum once."""
    torch.manual_seed(0)
    convolution = nn.Conv2d(16, 16, 3, padding=1, bias=bias)
    x, other = (
        4 * torch.randn(1, 16, 33, 29).contiguous(memory_format=torch.channels_last) for _ in range(2)
    )
    x, other = x.to(dtype), other.to(dtype)
    exact = nn.functional.conv2d(x.float(), convolution.weight.to(dtype).float(), padding=1)
    exact = exact + (0 if convolution.bias is None else convolution.bias.to(dtype).float()[:, None, None])
    with torch.inference_mode(), torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        assert layers._fuses(x)
        rectified, added = layers.conv_relu(convolution, x), layers.conv_add(convolution, x, other)
    assert rectified.dtype == added.dtype == dtype
    bound = 1e-5 if dtype == torch.float32 else 2**-8
    torch.testing.assert_close(rectified.float(), exact.relu(), rtol=bound, atol=bound)
    torch.testing.assert_close(added.float(), exact + other.float(), rtol=bound, atol=bound)


def test_fused_convolutions_leave_gradients_and_exports_alone() -> None:
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    assert not layers._fuses(x)
    convolution = nn.Conv2d(4, 4, 3, padding=1)
    layers.conv_add(convolution, layers.conv_relu(convolution, x), x).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None and convolution.weight.grad is not None


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
