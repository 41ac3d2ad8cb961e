"""IRAE: it can be undone, has the paper's size, and recomputing activations changes no gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from restore_cli.archs.invertible import IRAE, ActNorm, Mixing, Step, Taken, fold
from restore_cli.bench.costs import measure_costs
from restore_cli.engine import Settings, run


def grown(seed: int = 0, **params: float | bool) -> IRAE:
    """A network whose couplings do something, as after some training."""
    torch.manual_seed(seed)
    network = IRAE(**params)  # type: ignore[arg-type]
    for name, parameter in network.named_parameters():
        if name.endswith(("net.6.weight", "net.6.bias", "log_scale", "shift")):
            nn.init.normal_(parameter, std=0.02)
    return network


def test_it_has_the_papers_size() -> None:
    count = sum(parameter.numel() for parameter in IRAE().parameters())
    assert count == 1_325_696
    assert abs(count / 1.33e6 - 1) < 0.02


@pytest.mark.parametrize(("levels", "channels"), [(2, 3), (3, 1)])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_it_can_be_undone(levels: int, channels: int, dtype: torch.dtype, bound: float) -> None:
    network = (
        grown(channels=channels, levels=levels, steps=16 if levels == 2 else 8).to(dtype).eval()
    )
    x = torch.rand(2, channels, 24, 32, dtype=dtype)
    with torch.no_grad():
        y = network(x)
        assert (y - x).abs().max() > 0.01
        assert (network.inverse(y) - x).abs().max() <= bound


def test_training_leaves_it_invertible_at_any_padded_size() -> None:
    torch.manual_seed(0)
    network = IRAE(steps=4, hidden=16).train()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(60):  # three times the paper's rate, and noise that cannot be kept
        clean = nn.functional.interpolate(torch.rand(4, 3, 4, 4), size=(16, 16), mode="bicubic")
        nn.functional.l1_loss(network(clean + 0.2 * torch.randn_like(clean)), clean).backward()
        optimizer.step()
        optimizer.zero_grad()
    network.eval()
    x = torch.rand(1, 3, 37, 53)
    for dtype, bound in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        network, x = network.to(dtype), x.to(dtype)
        padded = nn.functional.pad(x, (0, -53 % 4, 0, -37 % 4), mode="reflect")
        with torch.no_grad():
            y = network(padded)
            assert (y - padded).abs().max() > 0.1
            assert (network.inverse(y)[..., :37, :53] - x).abs().max() <= bound


def test_a_mixing_starts_as_a_rotation_and_is_its_lu_factors() -> None:
    mixing = Mixing(8).double()
    weight = mixing.weight()
    torch.testing.assert_close(
        weight @ weight.T, torch.eye(8, dtype=torch.float64), atol=1e-5, rtol=0
    )


def test_the_first_batch_sets_the_normalisation_and_no_other() -> None:
    norm = ActNorm(3)
    x = torch.randn(4, 3, 16, 16) * 5 + 2
    norm.eval()(x)
    assert norm.scale.eq(1).all()
    first = norm.train()(x)
    assert first.mean((0, 2, 3)).abs().max() < 1e-5
    torch.testing.assert_close(first.std((0, 2, 3)), torch.ones(3), atol=1e-4, rtol=0)
    before = norm.scale.clone()
    norm(x * 9)
    assert torch.equal(norm.scale, before)


@pytest.mark.parametrize("conditions", [0, 1])
def test_training_begins_at_the_identity(conditions: int) -> None:
    torch.manual_seed(0)
    network = IRAE(steps=3, levels=3, hidden=8, conditions=conditions)
    network.init_weights()
    x = torch.rand(2, 3 + conditions, 16, 24)
    assert (network.eval()(x) - x[:, :3]).abs().max() < 1e-4
    assert (
        network.train()(x) - x[:, :3]
    ).abs().max() < 1e-4  # normalisations set by this very batch
    norms = [module for module in network.modules() if isinstance(module, ActNorm)]
    assert all(norm.ready for norm in norms) and any((norm.scale != 1).any() for norm in norms)


def test_conditions_go_through_and_come_back() -> None:
    network = grown(steps=3, levels=3, hidden=8, conditions=1).eval()
    x = torch.rand(1, 4, 16, 16)
    with torch.no_grad():
        y = network.through(x)
        assert y.shape == x.shape and torch.equal(network(x), y[:, :3])
        assert (network.inverse(y) - x).abs().max() <= 1e-4


@pytest.mark.parametrize("levels", [1, 2])
def test_recomputing_gives_the_same_gradients(levels: int) -> None:
    gradients = []
    for recompute in (False, True):
        network = grown(channels=1, steps=3, levels=levels, hidden=8, recompute=recompute).double()
        x = torch.rand(2, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        network(x)  # sets the normalisations
        network.zero_grad()
        x.requires_grad_()
        network(x).square().sum().backward()
        gradients.append([x.grad, *(parameter.grad for parameter in network.parameters())])
    for plain, recomputed in zip(*gradients, strict=True):
        assert plain is not None and recomputed is not None
        torch.testing.assert_close(plain, recomputed, atol=1e-9, rtol=1e-9)


def test_tiles_are_exact() -> None:
    network = grown(channels=1, steps=2, levels=2, hidden=8).eval()
    pixels = np.random.default_rng(0).random((13, 150, 1), np.float32)
    whole, tiled = (
        run(network, pixels, (), Settings("cpu", "fp32", tile=tile)).pixels for tile in (0, 16)
    )
    assert np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("floor", [0.9, 0.0])
def test_the_gradients_of_a_step_are_right(backwards: bool, floor: float) -> None:
    torch.manual_seed(0)
    step = Step(4, 3, floor).double()
    for name, parameter in step.named_parameters():
        if name.endswith(("net.6.weight", "log_scale", "shift")):
            nn.init.normal_(parameter, std=0.5)
    with torch.no_grad():
        [kernels] = fold([step], backwards)
    given = [
        kernel.clone().requires_grad_()
        for kernel in (torch.randn(2, 4, 5, 3, dtype=torch.float64), *kernels)
    ]
    assert torch.autograd.gradcheck(
        lambda x, *others: Taken.apply(x, backwards, floor, *others), given
    )


def test_steps_are_what_their_parts_are() -> None:
    torch.manual_seed(0)
    step = Step(6, 8, 0.9).double().eval()
    for name, parameter in step.named_parameters():
        if name.endswith(("net.6.weight", "net.6.bias", "log_scale", "shift")):
            nn.init.normal_(parameter, std=0.5)
    x = torch.randn(1, 6, 8, 10, dtype=torch.float64)
    told, changed = step.mixing(step.norm(x)).chunk(2, dim=1)
    raw, shift = (step.coupling.net(told) * step.coupling.log_scale.exp()).chunk(2, dim=1)
    y = torch.cat([told, (changed + shift) * (0.9 + 0.1 * torch.sigmoid(raw + 2))], dim=1)
    torch.testing.assert_close(step(x), y, atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(step.inverse(y), x, atol=1e-12, rtol=1e-12)


def test_the_papers_scale_may_go_below() -> None:
    network = grown(channels=1, steps=2, hidden=8, floor=0).double().eval()
    x = torch.rand(1, 1, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        assert (network.inverse(network(x)) - x).abs().max() <= 1e-9
    with pytest.raises(ValueError, match=r"floor must be .*, not 1"):
        IRAE(floor=1)


def test_its_work_does_not_depend_on_the_mode() -> None:
    network = IRAE(steps=1, hidden=8)
    trained = measure_costs(network.train())
    assert trained == measure_costs(network.eval())
    assert network.train().training
