"""BT: the quantizers' formulas, gradients, the transition term, packed checkpoints, exact tiles."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate

from restore_cli.archs import build
from restore_cli.archs.binarized import (
    QUANTIZERS,
    VGG6,
    BTNet,
    QuantizedConv2d,
    from_bytes,
    to_bytes,
    transition,
)
from restore_cli.archs.layers import Bicubic
from restore_cli.engine import Settings, run
from restore_cli.errors import WeightsError
from restore_cli.models import checkpoint
from restore_cli.models.header import Header

ALL = list(QUANTIZERS)
each = pytest.mark.parametrize("quantizer", ALL)
COUNTS = {"bwn": 2, "twn": 3, "ttq": 3, "lq": 4, "bt": 5}


def trained(quantizer: str, **params: Any) -> BTNet:
    """A network whose every layer does something, with learned scales away from where they
    began.
    """
    torch.manual_seed(0)
    network = BTNet(quantizer=quantizer, **params)
    network.init_weights()
    nn.init.normal_(network.tail.weight, std=0.02)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(3):
        x = torch.rand(1, network.geometry.channels, 12, 12)
        network.train()(x).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return network.eval()


def layers(network: nn.Module) -> dict[str, QuantizedConv2d]:
    return {
        name: part for name, part in network.named_modules() if isinstance(part, QuantizedConv2d)
    }


def header(network: BTNet, **params: Any) -> Header:
    channels = network.geometry.channels
    return Header(
        task="denoise",
        arch="binarized:BTNet",
        params={"channels": channels, **params},
        channels=channels,
    )


# The quantizers


def expected(
    quantizer: str, w: NDArray[np.float64], scales: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The papers' formulas, one weight at a time."""
    mean = np.abs(w).mean()
    result = np.empty_like(w)
    if quantizer == "twn":
        scale = np.mean([abs(x) for x in w.flat if abs(x) > 0.66 * mean])
    if quantizer == "bt":
        alpha2 = np.mean([abs(x - mean if x >= 0 else x + mean) for x in w.flat])
    for place, x in np.ndenumerate(w):
        if quantizer == "bwn":
            value = mean if x >= 0 else -mean
        elif quantizer == "twn":
            value = scale * np.sign(x) if abs(x) > 0.66 * mean else 0.0
        elif quantizer == "ttq":
            beyond = abs(x) > 0.05 * np.abs(w).max()
            value = (scales[0, 1] if x > 0 else -scales[0, 0]) if beyond else 0.0
        elif quantizer == "lq":
            v1, v2 = scales[place[0]]
            value = min(
                (s * v1 + t * v2 for s in (-1, 1) for t in (-1, 1)), key=lambda v: abs(v - x)
            )
        else:
            first = 1 if x >= 0 else -1
            error = x - mean * first
            second = 0 if abs(error) < 0.66 * alpha2 else np.sign(error)
            value = (0.75 * mean - 0.25 * alpha2) * (first + second)
        result[place] = value
    return result


@each
def test_the_formulas_are_the_papers(quantizer: str) -> None:
    torch.manual_seed(1)
    weight = torch.randn(6, 5, 3, 3, dtype=torch.float64) * 0.1
    part = QUANTIZERS[quantizer](6).double()
    part.reset(weight)
    if quantizer == "ttq":
        part.scales.data.copy_(torch.tensor([[0.07, 0.2]]))
    scales = part.split(weight)[0].detach().numpy()
    wanted = expected(quantizer, weight.numpy(), scales)
    np.testing.assert_allclose(part(weight).detach().numpy(), wanted, rtol=1e-12)
    filters = [np.unique(part(weight)[number].detach().numpy()) for number in range(6)]
    assert max(len(values) for values in filters) == COUNTS[quantizer]


def test_the_five_values_of_bt_by_hand() -> None:
    weight = torch.tensor([0.1, -0.1, 1.0, -1.0, 2.3, -2.3, 1.1, -1.1])[:, None, None, None]
    # alpha1 = 1.125; errors 1.025, 0.125, 1.175, 0.025: alpha2 = 0.5875, threshold 0.38775, scale
    # 0.696875
    values = QUANTIZERS["bt"](8)(weight).flatten() / 0.696875
    torch.testing.assert_close(values, torch.tensor([0.0, 0, 1, -1, 2, -2, 1, -1]))


@pytest.mark.parametrize("quantizer", ["twn", "bt"])
def test_a_higher_threshold_gives_fewer_values_beyond_it(quantizer: str) -> None:
    weight = torch.randn(4, 4, 3, 3)
    low, high = (QUANTIZERS[quantizer](4, threshold).split(weight)[1] for threshold in (0.3, 0.9))
    zero = QUANTIZERS[quantizer](4).count // 2
    beyond = [
        ((codes - zero).abs() != (1 if quantizer == "bt" else 0)).sum() for codes in (low, high)
    ]
    assert beyond[0] > beyond[1]


def test_scales_that_ttq_learns_begin_at_the_mean_of_their_side_and_get_a_gradient() -> None:
    weight = torch.randn(4, 4, 3, 3)
    part = QUANTIZERS["ttq"](4)
    part.reset(weight)
    sides = [
        -weight[weight < -0.05 * weight.abs().max()],
        weight[weight > 0.05 * weight.abs().max()],
    ]
    torch.testing.assert_close(part.scales, torch.stack([side.mean() for side in sides])[None])
    part(weight).sum().backward()
    assert part.scales.grad is not None
    assert part.scales.grad.tolist() == [[-len(sides[0]), len(sides[1])]]


def test_the_basis_of_lq_goes_to_the_least_squares_one() -> None:
    weight = torch.randn(3, 8, 3, 3)
    part = QUANTIZERS["lq"](3)
    part.reset(weight)
    errors = []
    for _ in range(300):
        errors.append((part(weight) - weight).square().mean())
        part.follow(weight)
    assert errors[-1] < 0.95 * errors[0]
    codes = part.split(weight)[1].flatten(1)
    for number in range(3):
        signs = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]])[codes[number]]
        best = np.linalg.lstsq(signs, weight[number].flatten().numpy(), rcond=None)[0]
        np.testing.assert_allclose(part.scales[number], best, rtol=2e-3)


def test_a_basis_of_two_values_is_no_division_by_zero() -> None:
    part = QUANTIZERS["lq"](1)
    part.scales.copy_(torch.tensor([[0.1, 1.0]]))
    part.follow(torch.full((1, 2, 3, 3), 1.5))
    assert part.scales.isfinite().all()


@each
def test_the_gradient_goes_straight_through(quantizer: str) -> None:
    weight = torch.randn(4, 3, 3, 3, requires_grad=True)
    slopes = torch.randn(4, 3, 3, 3)
    part = QUANTIZERS[quantizer](4)
    part.reset(weight)
    (part(weight) * slopes).sum().backward()
    torch.testing.assert_close(weight.grad, slopes)


@each
def test_a_layer_computes_with_the_quantized_weight_to_the_bit(quantizer: str) -> None:
    layer = QuantizedConv2d(3, 4, quantizer).eval()
    x = torch.rand(1, 3, 7, 9)
    scales, codes = layer.split()
    wanted = conv2d(x, layer.quantizer.join(scales, codes), layer.bias, padding=1)
    assert torch.equal(layer(x), wanted)


# The transition term


def test_the_transition_term_is_what_noise_changes() -> None:
    layer = QuantizedConv2d(8, 8, "bwn")
    torch.manual_seed(3)
    value = transition(layer)
    value.backward()
    torch.manual_seed(3)
    w = layer.weight.detach()
    alpha = w.abs().mean()
    disturbed = w + 0.1 * alpha * torch.randn_like(w)
    change = alpha * (torch.where(disturbed >= 0, 1.0, -1.0) - torch.where(w >= 0, 1.0, -1.0))
    assert 0 < change.count_nonzero() < w.numel() / 4
    torch.testing.assert_close(value, change.abs().sum() / 8)
    torch.testing.assert_close(layer.weight.grad, change.sign() / 8)


@each
def test_ascending_the_transition_term_gathers_weights_at_the_transitions(quantizer: str) -> None:
    torch.manual_seed(0)
    layer = QuantizedConv2d(16, 16, quantizer)
    optimizer = torch.optim.SGD([layer.weight], 16e-3)
    before = np.mean([transition(layer).item() for _ in range(20)])
    for _ in range(100):
        optimizer.zero_grad()
        (-transition(layer)).backward()
        optimizer.step()
    assert np.mean([transition(layer).item() for _ in range(20)]) > 1.3 * before
    assert all(parameter.grad is None for parameter in layer.quantizer.parameters())


def test_the_transition_term_of_a_network_is_the_sum_of_its_layers() -> None:
    network = VGG6(3, width=4, side=8)
    torch.manual_seed(5)
    total = transition(network)
    torch.manual_seed(5)
    torch.testing.assert_close(total, sum(layer.transition() for layer in layers(network).values()))
    assert transition(VGG6(3, width=4, side=8, quantizer="none")).item() == 0


def test_the_penalty_of_a_network_is_its_negative_transition_term() -> None:
    network = BTNet(width=4)
    torch.manual_seed(5)
    penalty = network.penalty()
    torch.manual_seed(5)
    assert torch.equal(penalty, -transition(network)) and penalty < 0
    assert BTNet(width=4, quantizer="none").penalty() == build("rednet:REDNet", {}).penalty() == 0


# The networks


@pytest.mark.parametrize(
    ("params", "count", "quantized"),
    [
        ({}, 148_929, 4 * 36_864),
        ({"quantizer": "none"}, 148_929, 0),
        ({"quantizer": "ttq"}, 148_929 + 4 * 2, 4 * 36_864),
        ({"channels": 3, "scale": 3}, 151_235 + 9 * 36_928, 13 * 36_864),
        ({"scale": 4}, 148_929 + 16 * 36_928, 20 * 36_864),
    ],
)
def test_first_and_last_layer_alone_are_of_full_precision(
    params: dict[str, Any], count: int, quantized: int
) -> None:
    network = BTNet(**params)
    assert sum(parameter.numel() for parameter in network.parameters()) == count
    assert sum(layer.weight.numel() for layer in layers(network).values()) == quantized


def test_vgg6_quantizes_all_convolutions_and_no_linear_layer() -> None:
    network = VGG6(10, width=16, quantizer="bt")
    shapes = [tuple(layer.weight.shape[:2]) for layer in layers(network).values()]
    assert shapes == [(16, 3), (16, 16), (32, 16), (32, 32), (64, 32), (64, 64)]
    linear = [
        (part.in_features, part.out_features)
        for part in network.modules()
        if type(part) is nn.Linear
    ]
    assert linear == [(64 * 16, 128), (128, 10)]
    assert network(torch.rand(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"quantizer": "int8"}, "unknown quantizer 'int8'; expected none, bwn"),
        ({"scale": 5}, "scale must be 1, 2, 3 or 4, not 5"),
    ],
)
def test_nonsense_is_refused(params: dict[str, Any], words: str) -> None:
    with pytest.raises(WeightsError, match=words):
        build("binarized:BTNet", params)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_an_untrained_network_enlarges_bicubically(scale: int) -> None:
    network = BTNet(channels=3, scale=scale, width=8)
    network.init_weights()
    x = torch.rand(2, 3, 11, 8)
    wanted = interpolate(x, scale_factor=scale, mode="bicubic", antialias=True)
    assert torch.equal(network(x), Bicubic(scale)(x))
    inner = (..., slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
    torch.testing.assert_close(network(x)[inner], wanted[inner], atol=1e-6, rtol=0)


def test_an_untrained_denoiser_is_the_identity_and_scales_follow_its_weights() -> None:
    for quantizer in ("ttq", "lq"):
        network = BTNet(width=8, quantizer=quantizer)
        before = {name: layer.quantizer.scales.clone() for name, layer in layers(network).items()}
        network.init_weights()
        x = torch.rand(1, 1, 9, 9)
        assert torch.equal(network(x), x)
        for name, layer in layers(network).items():
            ratio = layer.quantizer.scales / before[name]
            assert ((ratio - ratio.mean()).abs() < 0.2 * ratio.mean()).all() and ratio.mean() > 1.2


@pytest.mark.parametrize(("quantizer", "scale"), [("bt", 1), ("bt", 2), ("lq", 3), ("none", 4)])
@pytest.mark.parametrize("size", [(1, 1), (9, 70), (67, 41)])
def test_any_size_comes_back_and_tiles_are_exact(
    quantizer: str, scale: int, size: tuple[int, int]
) -> None:
    network = trained(quantizer, scale=scale, width=8)
    pixels = np.random.default_rng(0).random((*size, 1), np.float32)
    whole, tiled = (
        run(network, pixels, (), Settings("cpu", "fp32", tile=tile)).pixels for tile in (0, 16)
    )
    assert whole.shape == (size[0] * scale, size[1] * scale, 1)
    assert np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.parametrize("scale", [1, 2, 3])
def test_the_radius_is_what_an_output_pixel_sees(scale: int) -> None:
    network = trained("none", scale=scale, width=4)
    for part in network.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.uniform_(part.weight, 0, 0.3)
    x = torch.rand(1, 1, 31, 31, requires_grad=True)
    network(x)[0, 0, 15 * scale : 16 * scale, 15 * scale : 16 * scale].sum().backward()
    assert x.grad is not None
    assert (x.grad[0, 0].nonzero() - 15).abs().max() == network.geometry.radius


@each
def test_bf16_copies_and_channels_last(quantizer: str) -> None:
    network = trained(quantizer, scale=2, width=16)
    x = torch.rand(1, 1, 15, 13)
    with torch.inference_mode():
        exact = network(x)
        assert torch.equal(copy.deepcopy(network)(x), exact)
        last = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        torch.testing.assert_close(last(x.contiguous(memory_format=torch.channels_last)), exact)
        with torch.autocast("cpu", torch.bfloat16):
            assert (network(x) - exact).abs().max() < 0.02


@pytest.mark.parametrize("quantizer", ["lq", "bt"])
def test_it_can_be_compiled(quantizer: str) -> None:
    network = trained(quantizer, width=4)
    compiled = torch.compile(copy.deepcopy(network).train(), backend="aot_eager")
    x = torch.rand(1, 1, 9, 9)
    torch.testing.assert_close(compiled(x), network.train()(x))


# Checkpoints


@pytest.mark.parametrize("count", [2, 3, 4, 5])
@pytest.mark.parametrize("size", [1, 8, 61])
def test_codes_come_back_from_bytes(count: int, size: int) -> None:
    codes = torch.randint(count, (size, 1, 3, 3), generator=torch.Generator().manual_seed(0))
    packed = to_bytes(codes, count)
    assert packed.dtype == torch.uint8
    assert len(packed) == math.ceil(size * 9 / {2: 8, 3: 5, 4: 4, 5: 3}[count])
    assert torch.equal(from_bytes(packed, count, codes.shape), codes)


@each
@pytest.mark.parametrize("params", [{}, {"channels": 3, "scale": 2, "width": 12}])
def test_a_checkpoint_computes_the_same_from_few_values(
    quantizer: str, params: dict[str, Any], tmp_path: Path
) -> None:
    network = trained(quantizer, **params)
    path, again = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    checkpoint.save(network, path, header(network, quantizer=quantizer, **params))
    loaded = checkpoint.load(path)
    x = torch.rand(1, network.geometry.channels, 16, 21)
    with torch.inference_mode():
        assert torch.equal(loaded.network(x), network(x))
    for name, layer in layers(loaded.network).items():
        assert layer.fixed
        for kept in layer.weight.detach() if quantizer == "lq" else [layer.weight.detach()]:
            assert len(kept.unique()) <= COUNTS[quantizer]
        assert not torch.equal(layer.weight, layers(network)[name].weight)
    checkpoint.save(loaded.network, again, loaded.header)
    reloaded = checkpoint.load(again).network
    with torch.inference_mode():
        assert torch.equal(reloaded(x), network(x))


@pytest.mark.parametrize(
    ("quantizer", "bits", "times"),
    [("bwn", 1, 31), ("twn", 1.6, 19), ("ttq", 1.6, 19), ("lq", 2, 15), ("bt", 8 / 3, 11.9)],
)
def test_quantized_layers_take_a_tenth_and_less(
    quantizer: str, bits: float, times: float, tmp_path: Path
) -> None:
    network = trained(quantizer)
    path = tmp_path / "x.safetensors"
    checkpoint.save(network, path, header(network, quantizer=quantizer))
    state = load_file(path)
    assert not [key for key in state if key.endswith(("fixed", "quantizer.scales"))]
    for name, layer in layers(network).items():
        assert f"{name}.weight" not in state
        kept = {key: state[f"{name}.{key}"] for key in ("codes", "scales")}
        assert abs(8 * len(kept["codes"]) / layer.weight.numel() - bits) < 0.001
        size = sum(value.numel() * value.element_size() for value in kept.values())
        assert 4 * layer.weight.numel() / size >= (14 if quantizer == "lq" else times)
    full = sum(4 * parameter.numel() for parameter in network.parameters())
    assert path.stat().st_size < full / 9


def test_full_precision_is_kept_as_any_network(tmp_path: Path) -> None:
    state = BTNet(quantizer="none", width=8).checkpoint_state()
    assert state["head.weight"].dtype == state["pairs.0.0.weight"].dtype == torch.float16
    assert BTNet(width=8).checkpoint_state()["head.weight"].dtype == torch.float32


def change(key: str, value: Any) -> Any:
    def apply(state: dict[str, Tensor]) -> None:
        state[key] = value(state[key])

    return apply


@pytest.mark.parametrize(
    "damage",
    [
        change("pairs.0.0.codes", lambda codes: codes[:-1]),
        change("pairs.0.0.codes", lambda codes: torch.cat([codes, codes[:1]])),
        change("pairs.0.0.codes", lambda codes: torch.full_like(codes, 255)),
        change("pairs.0.0.codes", lambda codes: codes.float()),
        change("pairs.0.0.codes", lambda codes: codes[None]),
        change("pairs.1.2.scales", lambda scales: scales[:, :0]),
        change("pairs.1.2.scales", lambda scales: scales.repeat(2, 1)),
        lambda state: state.pop("pairs.1.0.scales"),
        lambda state: state.pop("pairs.1.0.codes"),
    ],
)
def test_damaged_codes_and_scales_are_named(damage: Any, tmp_path: Path) -> None:
    network = trained("bt", width=8)
    path = tmp_path / "x.safetensors"
    checkpoint.save(network, path, header(network, width=8))
    state = load_file(path)
    damage(state)
    with safe_open(path, "pt") as file:
        save_file(state, path, file.metadata())
    with pytest.raises(WeightsError, match="does not fit binarized:BTNet"):
        checkpoint.load(path)


@each
def test_a_state_dict_holds_the_shadows(quantizer: str) -> None:
    network = trained(quantizer, width=8)
    other = BTNet(quantizer=quantizer, width=8)
    other.load_state_dict(network.convert_state(network.state_dict()))
    for own, read in zip(network.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(own, read)
    assert not any(layer.fixed for layer in layers(other).values())


@each
def test_training_goes_on_from_the_values_of_a_checkpoint(quantizer: str, tmp_path: Path) -> None:
    network = trained(quantizer, width=24)
    path = tmp_path / "x.safetensors"
    checkpoint.save(network, path, header(network, quantizer=quantizer, width=24))
    loaded = checkpoint.load(path).network
    values = {name: layer.weight.detach().clone() for name, layer in layers(loaded).items()}
    for name, layer in layers(loaded.train()).items():
        assert not layer.fixed
        torch.testing.assert_close(
            layer.quantizer(layer.weight).detach(), values[name], atol=1e-7, rtol=1e-5
        )
    loaded(torch.rand(1, 1, 9, 9)).sum().backward()
    assert all(layer.weight.grad is not None for layer in layers(loaded).values())
