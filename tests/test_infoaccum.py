"""InfoAccum's U-Net, its discriminator, and the plain U-Net: sizes, how far they see, what they
keep.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from restore_cli.archs import build
from restore_cli.archs.infoaccum import MODULES, Accumulation, InfoAccum, InfoAccumUNet, PatchGAN
from restore_cli.engine import Settings, run
from restore_cli.errors import WeightsError
from restore_cli.models import checkpoint
from restore_cli.models.header import Header
from restore_cli.network import Restorer

INFOACCUM, PLAIN = "infoaccum:InfoAccumUNet", "baselines:RonnebergerUNet"
IRAES = {"width": 64, "levels": 4, "slope": 0.2, "pool": "average", "tail": 3}

SMALL = [
    (INFOACCUM, {"levels": 2, "width": 4, "layers": 2, "growth": 2}),
    (INFOACCUM, {"levels": 3, "width": 4, "places": [], "subpixel": False, "channels": 1}),
    (
        INFOACCUM,
        {"levels": 3, "width": 4, "places": [1, 3], "layers": 1, "growth": 2, "norm": "none"},
    ),
    (INFOACCUM, {"levels": 1, "width": 4, "layers": 1, "growth": 2, "subpixel": False}),
    (
        INFOACCUM,
        {"levels": 2, "width": 4, "layers": 2, "growth": 2, "skips": False, "residual": True},
    ),
    (
        INFOACCUM,
        {"levels": 3, "width": 4, "places": [], "subpixel": False, "skips": False, "pooling": True},
    ),
    (INFOACCUM, {"levels": 2, "width": 4, "places": [], "pooling": True}),
    *(
        (INFOACCUM, {"levels": 2, "width": 4, "layers": 5, "growth": 1, "module": module})
        for module in ("dense", "residual", "context", "recursive")
    ),
    (PLAIN, {"levels": 3, "width": 4}),
    (PLAIN, {"levels": 2, "width": 4, "channels": 1}),
    (PLAIN, {**IRAES, "width": 4}),
]


def made(arch: str, params: dict[str, Any]) -> Restorer:
    """A network as after some training."""
    torch.manual_seed(0)
    network = build(arch, params)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return network.eval()


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("arch", "params", "parameters"),
    [
        (
            INFOACCUM,
            {"levels": 8, "places": [], "subpixel": False},
            54_413_955,
        ),  # 54.4M, pix2pix's unet_256
        (INFOACCUM, {"levels": 5, "places": [], "subpixel": False}, 16_659_075),  # UNet-5
        (INFOACCUM, {"subpixel": False}, 16_984_515),  # + InfoAccum-15
        (INFOACCUM, {}, 16_992_204),  # + SubPixUpsamp
        (PLAIN, {"channels": 3}, 7_760_163),
        (PLAIN, {"channels": 1}, 7_759_521),
        (PLAIN, IRAES, 7_699_011),  # 7.70M, section 5 of IRAE's paper
        (
            "baselines:DnCNN",
            {"channels": 3, "depth": 42, "residual": False},
            1_483_200,
        ),  # 1.48M, there too
    ],
)
def test_they_have_the_papers_sizes(arch: str, params: dict[str, Any], parameters: int) -> None:
    with torch.device("meta"):
        assert count(build(arch, params)) == parameters


def test_the_u_net_answers_to_its_older_name() -> None:
    assert type(build("baselines:PlainUNet", {})) is type(build(PLAIN, {}))


def test_the_u_net_averages_and_leaks_where_it_is_said() -> None:
    network = made(PLAIN, {**IRAES, "width": 4, "levels": 2})
    x = torch.rand(1, 3, 8, 8)
    finest = network.encoder[0](x)
    assert finest.min() < 0
    torch.testing.assert_close(
        network.pool(finest, 2), finest.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5))
    )
    with pytest.raises(WeightsError, match="pool must be one of max, average"):
        build(PLAIN, {"pool": "median"})


def test_a_direct_dncnn_gives_the_image_itself() -> None:
    params = {"depth": 4, "width": 4}
    noise, image = (
        made("baselines:DnCNN", {**params, "residual": residual}) for residual in (True, False)
    )
    image.load_state_dict(noise.state_dict())
    x = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(x - image(x), noise(x))


@pytest.mark.parametrize(("arch", "params"), SMALL)
def test_they_see_as_far_as_they_say(arch: str, params: dict[str, Any]) -> None:
    """With positive kernels, no biases and a plane that becomes zeros, a spike shows wherever it is
    seen.
    """
    network = build(arch, params).eval()
    for name, parameter in network.named_parameters():
        nn.init.zeros_(parameter) if name.endswith("bias") else nn.init.ones_(parameter)
    multiple, radius = network.geometry.multiple, network.geometry.radius
    middle = -(-(radius + 2) // multiple) * multiple
    plane = torch.full((1, network.geometry.channels, 2 * middle, 2 * middle), 0.5)
    plane *= arch == INFOACCUM  # which maps [0, 1] to [-1, 1]
    reach = 0
    for at in range(middle, middle + multiple):
        spiked = plane.clone()
        spiked[..., at, at] += 0.5
        with torch.no_grad():
            seen = (network(spiked) != network(plane))[0, 0].nonzero()
        reach = max(reach, int((seen - at).abs().max()))
    assert reach == radius


@pytest.mark.parametrize(("arch", "params"), SMALL)
@pytest.mark.parametrize("size", [(1, 1), (9, 150), (101, 3)])
def test_any_size_comes_back_and_tiles_are_exact(
    arch: str, params: dict[str, Any], size: tuple[int, int]
) -> None:
    network = made(arch, params)
    pixels = np.random.default_rng(0).random((*size, network.geometry.channels), np.float32)
    whole, tiled = (
        run(network, pixels, (), Settings("cpu", "fp32", tile=tile)).pixels for tile in (0, 16)
    )
    assert whole.shape == pixels.shape
    assert np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.parametrize(("arch", "params"), SMALL)
def test_a_checkpoint_brings_them_back(arch: str, params: dict[str, Any], tmp_path: Path) -> None:
    network = made(arch, params)
    for parameter in network.parameters():
        parameter.data = parameter.data.half().float()  # as kernels are kept
    channels = network.geometry.channels
    header = Header(task="denoise", arch=arch, params=params, channels=channels)
    checkpoint.save(network, tmp_path / "model.safetensors", header)
    loaded = checkpoint.load(tmp_path / "model.safetensors").network
    x = torch.rand(1, channels, 16, 24)
    assert loaded.geometry == network.geometry
    assert torch.equal(loaded(x), network(x))


@torch.no_grad()
def test_infoaccum_keeps_its_input_and_adds_what_it_sees() -> None:
    module = InfoAccum(3, layers=4, growth=2)
    x = torch.randn(1, 3, 12, 12)
    accumulated = module(x)
    assert accumulated.shape == (1, 3 + 4 * 3 * 2, 12, 12)
    assert torch.equal(accumulated[:, :3], x)
    first = torch.cat(
        [
            nn.functional.conv2d(x, path.weight, path.bias, padding=dilation, dilation=dilation)
            for path, dilation in zip(module[0].paths, (1, 3, 5), strict=True)  # equation 14
        ],
        dim=1,
    )
    torch.testing.assert_close(accumulated[:, 3:9], nn.functional.leaky_relu(first, 0.2))


@pytest.mark.parametrize("skips", [True, False])
def test_skips_hand_on_what_the_coarsest_level_does_not(skips: bool) -> None:
    network = made(INFOACCUM, {"levels": 3, "width": 4, "layers": 1, "growth": 2, "skips": skips})
    assert isinstance(network, InfoAccumUNet)
    nn.init.zeros_(network.decoder[0][1].weight)
    one, other = torch.rand(2, 1, 3, 32, 32)
    assert torch.equal(network(one), network(other)) != skips


def test_it_starts_as_the_identity_if_residual_and_gray_if_not() -> None:
    x = torch.rand(1, 3, 16, 16)
    for residual, expected in ((True, x), (False, torch.full_like(x, 0.5))):
        network = InfoAccumUNet(levels=2, width=4, layers=1, residual=residual).eval()
        network.init_weights()
        torch.testing.assert_close(network(x), expected)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_it_learns_from_a_batch_of_one(norm: str) -> None:
    torch.manual_seed(0)
    network = InfoAccumUNet(levels=3, width=4, layers=1, growth=2, norm=norm)
    x = torch.rand(1, 3, 32, 32)
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(30):
        loss = (network(x) - x).square().mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"levels": 0}, "levels must be from 1 to 8"),
        ({"levels": 9}, "levels must be from 1 to 8"),
        ({"levels": 2, "places": [3]}, "places from 1 to levels"),
        (
            {"module": "se"},
            "unknown module 'se'; expected one of infoaccum, dense, residual, context, scan",
        ),
        ({"norm": "layer"}, "unknown norm 'layer'; expected one of batch, instance, none"),
    ],
)
def test_nonsense_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        build(INFOACCUM, params)


def test_patchgan_is_pix2pixs() -> None:
    assert count(PatchGAN(6)) == 2_768_705
    with pytest.raises(ValueError, match="depth must be from 3 to 7"):
        PatchGAN(depth=2)


@pytest.mark.parametrize(("depth", "patch"), [(3, 16), (4, 34), (5, 70)])
def test_patchgan_scores_patches(depth: int, patch: int) -> None:
    network = PatchGAN(2, depth=depth, width=4, norm="none")
    pair = torch.rand(1, 2, 128, 128, requires_grad=True)
    scores: Tensor = network(pair)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()  # type: ignore[no-untyped-call]
    assert pair.grad is not None
    seen = pair.grad[0, 0].nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [patch, patch]


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_patchgan_takes_small_patches(norm: str) -> None:
    scores = PatchGAN(2, width=4, norm=norm)(torch.rand(3, 2, 32, 32))
    assert scores.shape == (3, 1, 2, 2)


def test_accumulated_gradients_are_right() -> None:
    torch.manual_seed(0)
    shapes = [(2, 2, 4, 3), (3, 2, 2, 3, 3), (3, 2), (3, 2, 8, 3, 3), (3, 2)]
    given = [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    assert torch.autograd.gradcheck(Accumulation.apply, given)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_infoaccum_trains_as_its_layers_do(dtype: torch.dtype, bound: float) -> None:
    torch.manual_seed(0)
    module = InfoAccum(3, layers=3, growth=4).to(dtype)
    x = torch.randn(2, 3, 20, 11, dtype=dtype, requires_grad=True)
    gradient = torch.randn(2, 39, 20, 11, dtype=dtype)
    wanted = [x, *module.parameters()]
    whole, layered = module(x), nn.Sequential(*module)(x)
    torch.testing.assert_close(whole, layered, atol=bound, rtol=bound)
    ours, right = (torch.autograd.grad(result, wanted, gradient) for result in (whole, layered))
    for our, exact in zip(ours, right, strict=True):
        assert (our - exact).abs().max() <= bound * exact.abs().max()


def test_infoaccum_trains_in_bfloat16() -> None:
    """Which PyTorch 2.13's own gradient of dilated convolutions does not stand."""
    torch.manual_seed(0)
    module = InfoAccum(3, layers=3, growth=4)
    x, gradient = torch.randn(2, 3, 20, 24), torch.randn(2, 39, 20, 24)
    exact = torch.autograd.grad(module(x), list(module.parameters()), gradient)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = module(x)
    assert rounded.dtype == torch.bfloat16
    ours = torch.autograd.grad(rounded, list(module.parameters()), gradient.bfloat16())
    our, right = (torch.cat([part.flatten() for part in parts]) for parts in (ours, exact))
    assert (
        our - right
    ).norm() <= 0.08 * right.norm()  # weights rounded to bfloat16 alone make it 0.03


@pytest.mark.parametrize("name", MODULES)
def test_a_module_gives_the_features_that_it_says(name: str) -> None:
    torch.manual_seed(0)
    module = MODULES[name](3, 15, 3).double()
    x = torch.rand(1, 3, 150, 2, dtype=torch.float64, requires_grad=True)
    features = module(x)
    assert features.shape == (1, module.outputs, 150, 2)
    features[0, -1, 75, 0].backward()
    assert x.grad is not None
    reach = int((x.grad.abs().sum((0, 1, 3)).nonzero() - 75).abs().max())
    assert reach == (module.reach if getattr(module, "local", True) else 75)
    if name in ("infoaccum", "dense", "attention"):
        assert torch.equal(features[:, :3], x)


def test_the_modules_are_as_deep_and_large_as_infoaccum() -> None:
    sizes = {name: count(module(3, 15, 4)) for name, module in MODULES.items()}
    assert sizes.pop("infoaccum") == sizes.pop("dense") == 141_120
    assert sizes.pop("recursive") < 20_000
    assert all(0.6 < size / 141_120 < 1.1 for size in sizes.values()), sizes


@pytest.mark.parametrize("name", ["scan", "attention"])
def test_modules_that_a_spike_does_not_show_train_and_come_back(name: str, tmp_path: Path) -> None:
    params = {"levels": 2, "width": 4, "layers": 3, "growth": 1, "module": name}
    test_a_checkpoint_brings_them_back(INFOACCUM, params, tmp_path)
    network = made(INFOACCUM, params)
    assert network.geometry.local == (name != "scan")
    if network.geometry.local:
        test_any_size_comes_back_and_tiles_are_exact(INFOACCUM, params, (9, 150))


def test_tiles_with_instance_norm_are_said_to_be_approximate() -> None:
    assert not made(INFOACCUM, {"levels": 2, "width": 4, "norm": "instance"}).geometry.local


def test_compiled_dilations_are_none_where_gradients_are_asked_for() -> None:
    """Which PyTorch's gradients in bfloat16 do not stand on some CPUs."""
    torch.manual_seed(0)
    module = InfoAccum(3, layers=2, growth=2)
    graphs = []

    def keep(graph: torch.fx.GraphModule, _inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    x = torch.rand(1, 3, 20, 11)
    compiled = torch.compile(module, backend=keep)(x)
    torch.testing.assert_close(compiled, module(x))
    calls = [node for graph in graphs for node in graph.graph.nodes if "conv2d" in str(node.target)]
    assert len(calls) == 6
    assert not any(dilation in node.args for node in calls for dilation in ((3, 3), (5, 5)))
