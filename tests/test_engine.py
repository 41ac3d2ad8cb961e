"""The engine: exact tiles at every size and border, back-off, precision, ensemble, refusal of
nonsense.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

import restore_cli.engine as engine
from restore_cli.archs import INFERRED, build
from restore_cli.engine import Settings, check_tiles, run
from restore_cli.errors import EngineError, UsageError
from restore_cli.forward import Batch, Forward
from restore_cli.models.catalog import Entry, entries
from restore_cli.network import Geometry, Restorer
from restore_cli.tiles import Box, Limits, split
from restore_cli.training.recipe import Recipe


def slim(entry: Entry) -> dict[str, Any]:
    """An entry's parameters with fewer features: depth, strides and kernels, which tiling hangs on,
    stay.
    """
    if "widths" in entry.params:
        return {**entry.params, "widths": [width // 8 for width in entry.params["widths"]]}
    if entry.arch == "xunit:XSRCNN":
        return {**entry.params, "widths": [8, 4]}
    return {**entry.params, "width": 12}


# Without IRAE, whose values random weights let grow beyond bounds; test_bundled tiles it with its
# real ones. The meter of blur has no tiles. Networks that their layers tell are tiled in
# test_public.
ELSEWHERE = ("invertible:IRAE", "spectral:BlurMeter", *INFERRED)
NETWORKS = {
    entry.name: (entry.arch, slim(entry))
    for entry in entries().values()
    if not entry.by_spandrel and entry.arch not in ELSEWHERE
}


def make(name: str) -> Restorer:
    """A network whose every layer matters and whose output is no larger than a picture's."""
    torch.manual_seed(0)
    arch, params = NETWORKS[name]
    network = build(arch, params).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    last = [module for module in network.modules() if isinstance(module, nn.Conv2d)][-1]
    with torch.no_grad():
        x = torch.rand(1, network.geometry.channels + network.geometry.conditions, 64, 64)
        larger = interpolate(x[:, : network.geometry.channels], scale_factor=network.geometry.scale)
        last.weight *= 0.3 / (network(x) - larger).std()
    return network


def photo(height: int, width: int, channels: int) -> np.ndarray:
    return np.random.default_rng(0).random((height, width, channels), np.float32)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("size", [(1, 1), (1, 37), (61, 1), (17, 23), (131, 97)])
def test_tiles_equal_the_whole_picture(name: str, size: tuple[int, int]) -> None:
    network = make(name)
    pixels = photo(*size, network.geometry.channels)
    conditions = (0.1,) * network.geometry.conditions
    whole = run(network, pixels, conditions, Settings("cpu", "fp32", tile=0))
    assert whole.tile == 0
    assert whole.pixels.shape == (
        *(side * network.geometry.scale for side in size),
        pixels.shape[2],
    )
    for tile in (16, 48):
        tiled = run(network, pixels, conditions, Settings("cpu", "fp32", tile=tile)).pixels
        assert np.abs(tiled - whole.pixels).max() <= 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_are_exact_where_the_halo_cuts_the_picture(name: str) -> None:
    """On a strip long enough that inner tiles see neither end of it."""
    network = make(name)
    halo = network.geometry.halo
    pixels = photo(24, 3 * halo + 29, network.geometry.channels)
    conditions = (0.1,) * network.geometry.conditions
    whole, tiled = (
        run(network, pixels, conditions, Settings("cpu", "fp32", tile=tile)).pixels
        for tile in (0, 32)
    )
    assert np.abs(tiled - whole).max() <= 1e-5


# InfoAccum always computes in single precision; its own tests hold its radius.
@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if "InfoAccum" not in NETWORKS[name][0]]
)
def test_the_stated_radius_is_the_receptive_field(name: str) -> None:
    network = make(name)
    geometry = network.geometry
    for (
        parameter
    ) in network.parameters():  # positive weights: nothing cancels, ReLU passes everything
        nn.init.constant_(parameter, 1 / parameter[0].numel())
    size = 2 * (geometry.halo + geometry.multiple) + 1
    reach = 0
    for offset in range(geometry.multiple):
        width = size // geometry.multiple * geometry.multiple
        x = torch.rand(
            1, geometry.channels + geometry.conditions, geometry.multiple, width
        ).double()
        x.requires_grad_()
        center = size // 2 // geometry.multiple * geometry.multiple + offset
        network.double()(x)[
            0, :, 0, center * geometry.scale : (center + 1) * geometry.scale
        ].sum().backward()
        assert x.grad is not None
        reached = x.grad.abs().sum((0, 1, 2)).nonzero()
        reach = max(reach, int((reached - center).abs().max()))
    assert geometry.radius - geometry.multiple < reach <= geometry.radius


def test_a_halo_too_small_would_be_seen() -> None:
    """The check that holds tiling exact can fail: seven pixels short of DnCNN's 17 are visible."""
    network = make("kair-dncnn-25")
    pixels = photo(24, 200, 1)
    whole = run(network, pixels, (), Settings("cpu", "fp32", tile=0)).pixels
    network.geometry = Geometry(channels=1, radius=10)
    tiled = run(network, pixels, (), Settings("cpu", "fp32", tile=32)).pixels
    assert np.abs(tiled - whole).max() > 1e-5
    difference = check_tiles(network, photo(400, 400, 1), (), Settings("cpu"))
    assert difference and difference > 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_check_tiles_finds_no_difference(name: str) -> None:
    network = make(name)
    pixels = photo(300, 60, network.geometry.channels)
    difference = check_tiles(network, pixels, (0.1,) * network.geometry.conditions, Settings("cpu"))
    if network.geometry.halo < 300:
        assert difference is not None and difference <= 1e-5
    else:
        assert difference is None  # a tile would be the whole picture


def test_condition_maps_are_cut_with_the_tiles() -> None:
    network = make("denoise-color")
    pixels = photo(50, 90, 3)
    level = np.linspace(0, 0.3, 50 * 90, dtype=np.float32).reshape(50, 90)
    whole, tiled = (
        run(network, pixels, (level,), Settings("cpu", "fp32", tile=t)).pixels for t in (0, 32)
    )
    assert np.abs(tiled - whole).max() <= 1e-5
    constant = run(network, pixels, (0.0,), Settings("cpu", "fp32", tile=0)).pixels
    assert np.abs(constant - whole).max() > 1e-3


def test_the_ensemble_averages_eight_views_and_tiles_exactly() -> None:
    network = make("denoise-color")
    pixels = photo(40, 56, 3)
    plain = run(network, pixels, (0.1,), Settings("cpu", "fp32", tile=0))
    whole = run(network, pixels, (0.1,), Settings("cpu", "fp32", tile=0, ensemble=True)).pixels
    tiled = run(network, pixels, (0.1,), Settings("cpu", "fp32", tile=16, ensemble=True)).pixels
    assert np.abs(tiled - whole).max() <= 1e-5
    assert np.abs(plain.pixels - whole).max() > 1e-4
    turned = run(
        network, np.rot90(pixels)[:32], (0.1,), Settings("cpu", "fp32", tile=0, ensemble=True)
    ).pixels
    straight = run(
        network, pixels[:, -32:], (0.1,), Settings("cpu", "fp32", tile=0, ensemble=True)
    ).pixels
    assert np.abs(np.rot90(straight) - turned).max() <= 1e-5


def test_an_ensemble_without_rotations_only_mirrors() -> None:
    network, pixels = make("denoise-color"), photo(32, 48, 3)
    settings = Settings("cpu", "fp32", tile=0)
    views = [run(network, view, (0.1,), settings).pixels for view in (pixels, pixels[:, ::-1])]
    mirrored = Settings("cpu", "fp32", tile=0, ensemble=True, turns=1)
    expected = (views[0] + views[1][:, ::-1]) / 2
    assert np.abs(run(network, pixels, (0.1,), mirrored).pixels - expected).max() <= 1e-5


class Scripted(Restorer):
    """Doubles its input and fails as told, noting the sizes and precisions it was run at."""

    geometry = Geometry(channels=1, radius=2)

    def __init__(self, fail_above: int = 10**9, nan_in: tuple[torch.dtype, ...] = ()) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.fail_above, self.nan_in = fail_above, nan_in
        self.sizes: list[tuple[int, int]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.sizes.append((x.shape[2], x.shape[3]))
        if x.shape[2] * x.shape[3] > self.fail_above:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        dtype = (
            torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32
        )
        return x * (float("nan") if dtype in self.nan_in else 2)


def test_short_memory_halves_the_tile_and_goes_on() -> None:
    network = Scripted(fail_above=1500)
    pixels = photo(100, 70, 1)
    shares: list[float] = []
    result = run(network, pixels, (), Settings("cpu", tile=64), shares.append)
    np.testing.assert_array_equal(result.pixels, 2 * pixels)
    assert result.tile == 32
    assert sum(shares) == pytest.approx(1)


def test_the_result_may_be_written_over_the_input() -> None:
    torch.manual_seed(0)
    network = build("unet:UNet", {"widths": [8, 16], "conditions": 1}).eval()
    nn.init.normal_(network.tail.weight)
    pixels = photo(230, 310, 3)
    settings = Settings("cpu", "fp32", tile=16)
    expected = run(network, pixels, (0.1,), settings).pixels
    result = run(network, pixels, (0.1,), settings, overwrite=True).pixels
    assert result is pixels
    np.testing.assert_array_equal(result, expected)


def test_short_memory_halves_tiles_that_are_written_over_the_input() -> None:
    pixels = photo(100, 70, 1)
    before = pixels.copy()
    run(Scripted(fail_above=1500), pixels, (), Settings("cpu", tile=64), overwrite=True)
    np.testing.assert_array_equal(pixels, 2 * before)


def test_memory_too_short_for_any_tile_is_said() -> None:
    with pytest.raises(EngineError, match="out of memory, even with tiles of 16 pixels"):
        run(Scripted(fail_above=20), photo(64, 64, 1), (), Settings("cpu"))


def test_other_errors_of_a_network_pass_through() -> None:
    network = Scripted()
    network.forward = lambda x: x.view(-1, 7)  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="shape"):
        run(network, photo(8, 8, 1), (), Settings("cpu"))


def test_nan_is_tried_again_in_fp32() -> None:
    network = Scripted(nan_in=(torch.bfloat16,))
    pixels = photo(20, 20, 1)
    result = run(network, pixels, (), Settings("cpu", "bf16", tile=16))
    np.testing.assert_array_equal(result.pixels, 2 * pixels)
    assert result.precision == "fp32"


def test_nan_in_fp32_is_an_error() -> None:
    network = Scripted(nan_in=(torch.bfloat16, torch.float32))
    with pytest.raises(EngineError, match="not finite"):
        run(network, photo(20, 20, 1), (), Settings("cpu", "bf16"))


@pytest.mark.parametrize("tile", [0, 16])
def test_one_nan_is_an_error(tile: int) -> None:
    class Spot(Scripted):
        def forward(self, x: Tensor) -> Tensor:
            output = super().forward(x).clone()
            output[..., -1, -1] = float("nan")
            return output

    with pytest.raises(EngineError, match="not finite"):
        run(Spot(), photo(40, 40, 1), (), Settings("cpu", tile=tile))


def test_the_tile_follows_from_the_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    network = make("kair-dncnn-25")
    monkeypatch.setattr(engine, "free_memory", lambda device: 4 * 200**2 * 10 * 4 * 12)
    result = run(network, photo(300, 180, 1), (), Settings("cpu"))
    assert result.tile == 200 - 2 * 17
    assert run(network, photo(30, 300, 1), (), Settings("cpu")).tile == 0  # in one piece


@pytest.mark.parametrize(
    ("tolerated", "instructions", "expected"),
    [
        (True, "amx_bf16", "bf16"),
        (True, "arm_bf16", "bf16"),
        (True, "avx512_bf16", "fp32"),  # slower than fp32
        (True, "avx2", "fp32"),
        (False, "amx_bf16", "fp32"),
    ],
)
def test_auto_precision_needs_a_tolerant_checkpoint_and_a_native_cpu(
    monkeypatch: pytest.MonkeyPatch, tolerated: bool, instructions: str, expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {instructions: True})
    network = make("denoise-color")
    network.precisions = ("fp32", "bf16") if tolerated else ("fp32",)
    assert run(network, photo(16, 16, 3), (0.1,), Settings("cpu")).precision == expected


@pytest.mark.parametrize("native", [True, False])
def test_trainings_use_bf16_where_it_is_native(
    monkeypatch: pytest.MonkeyPatch, native: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": native})
    precision = Recipe.parse({"task": "denoise"}).precision
    with engine.autocast(torch.device("cpu"), precision):
        result = torch.ones(2, 2) @ torch.ones(2, 2)
    assert result.dtype == (torch.bfloat16 if native else torch.float32)


@pytest.mark.parametrize(
    ("channels", "conditions", "settings", "message"),
    [
        (1, (0.1,), Settings("cpu"), "3 channels and 1 conditions, not 1 and 1"),
        (3, (), Settings("cpu"), "not 3 and 0"),
        (3, (0.1,), Settings("cuda:77"), "cuda:77: it is not available"),
        (3, (0.1,), Settings("toaster"), "toaster: it is not available"),
        (3, (0.1,), Settings("meta"), "meta: it is not supported"),
        (3, (0.1,), Settings("cpu", "fp8"), "Unknown precision 'fp8'"),
    ],
)
def test_what_does_not_fit_is_refused(
    channels: int, conditions: tuple[float, ...], settings: Settings, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        run(make("denoise-color"), photo(20, 20, channels), conditions, settings)


def test_windows_in_batches_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pixels = make("xsrcnn-f-gray-x3"), photo(130, 110, 1)
    alone = run(network, pixels, (), Settings("cpu", "fp32", tile=32))
    monkeypatch.setattr(engine, "_batch_size", lambda *_: 4)
    batched = run(network, pixels, (), Settings("cpu", "fp32", tile=32))
    assert np.abs(batched.pixels - alone.pixels).max() <= 1e-5


def test_batches_become_smaller_before_tiles_when_memory_runs_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network, pixels = make("xsrcnn-f-gray-x3"), photo(130, 110, 1)
    alone = run(network, pixels, (), Settings("cpu", "fp32", tile=32))
    counts = []

    def start(self: Forward, windows: list[Box]) -> Batch:
        counts.append(len(windows))
        if len(windows) > 1:
            raise torch.OutOfMemoryError
        return original(self, windows)

    original = Forward.start
    monkeypatch.setattr(Forward, "start", start)
    monkeypatch.setattr(engine, "_batch_size", lambda *_: 4)
    result = run(network, pixels, (), Settings("cpu", "fp32", tile=32))
    assert counts[0] == 4 and set(counts[1:]) == {1}
    assert result.tile == alone.tile and np.array_equal(result.pixels, alone.pixels)


def test_a_compiled_network_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    network, pixels = make("xsrcnn-f-gray-x3"), photo(64, 48, 1)
    plain, compiled = (
        run(network, pixels, (), Settings("cpu", "fp32", compile=wanted)).pixels
        for wanted in (False, True)
    )
    assert np.abs(compiled - plain).max() <= 1e-5


def test_a_machine_that_cannot_compile_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise LookupError("no C++ compiler")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=refuse))
    with pytest.raises(EngineError, match=r"Cannot compile .*no C\+\+ .*\. Leave out --compile\."):
        run(make("xsrcnn-f-gray-x3"), photo(20, 20, 1), (), Settings("cpu", compile=True))


@pytest.mark.gpu
@pytest.mark.parametrize("compiled", [False, True])
def test_batches_on_cuda_give_what_the_cpu_gives(compiled: bool) -> None:
    network, pixels = make("denoise-color"), photo(1500, 1300, 3)
    on_cpu = run(network, pixels, (0.1,), Settings("cpu", "fp32")).pixels
    on_gpu = run(network, pixels, (0.1,), Settings("cuda", "fp32", tile=128, compile=compiled))
    assert np.abs(on_gpu.pixels - on_cpu).max() <= 1e-3


@pytest.mark.gpu
@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_are_exact_on_cuda(name: str) -> None:
    network = make(name)
    pixels = photo(131, 97, network.geometry.channels)
    conditions = (0.1,) * network.geometry.conditions
    whole, tiled = (
        run(network, pixels, conditions, Settings("cuda", "fp32", tile=tile)).pixels
        for tile in (0, 48)
    )
    assert np.abs(tiled - whole).max() <= 1e-5


@pytest.mark.parametrize("halo", [0, 16, 128])
@pytest.mark.parametrize("size", [(1, 1), (300, 4000), (3000, 1001), (517, 1043)])
@pytest.mark.parametrize("limits", [Limits(400), Limits(area=500**2)])
def test_tiles_cover_the_image_once_with_windows_of_one_size(
    limits: Limits, size: tuple[int, int], halo: int
) -> None:
    grid, (height, width) = 16, size
    covered = np.zeros(size, int)
    sizes = set()
    for tile in split(Box(0, 0, height, width), limits, halo, grid):
        box, window = tile.box, tile.window
        covered[box.top : box.bottom, box.left : box.right] += 1
        assert window.top % grid == window.left % grid == 0
        assert window.top <= max(0, box.top - halo) and window.left <= max(0, box.left - halo)
        assert window.bottom >= min(height, box.bottom + halo)
        assert window.right >= min(width, box.right + halo)
        tall, wide = (
            -(-length // grid) * grid
            for length in (window.bottom - window.top, window.right - window.left)
        )
        sizes.add((tall, wide))
        assert max(tall, wide) <= limits.side and tall * wide <= limits.area
    assert (covered == 1).all()
    assert len(sizes) == 1


def test_tiles_compute_as_few_pixels_as_their_area_allows() -> None:
    tiles = split(Box(0, 0, 300, 8000), Limits(area=1024**2), 128, 16)
    assert len(tiles) == 3  # strips of the full height, without halos above and below
    assert {tile.window.bottom - tile.window.top for tile in tiles} == {300}


def test_the_estimated_memory_grows_with_photo_precision_and_tile() -> None:
    network = make("denoise-color")
    network.precisions = ("fp32", "bf16")

    def estimate(size: int, precision: str = "fp32", tile: int | None = None) -> int:
        return engine.estimate_memory(network, size, size, Settings("cpu", precision, tile))

    assert 3e8 < estimate(100, tile=64) < estimate(1000, tile=64) < estimate(1000, tile=256)
    assert estimate(1000, "bf16", 256) < estimate(1000, "fp32", 256)
    # Beyond the tile, only the photo itself grows, before and after: 24 bytes a pixel.
    more = estimate(8000, tile=256) - estimate(4000, tile=256)
    assert more == pytest.approx(24 * (8000**2 - 4000**2), rel=0.05)
    both, one = (
        engine.estimate_memory(network, 8000, 8000, Settings("cpu", "fp32", 256), overwrite)
        for overwrite in (False, True)
    )
    assert both - one == pytest.approx(12 * 8000**2, rel=0.1)
    guided = build("unet:UNet", {"channels": 3, "widths": [8, 8], "conditions": 2})
    without, with_maps = (
        engine.estimate_memory(guided, 1000, 1000, Settings("cpu", "fp32", 256), maps=maps)
        for maps in (0, 2)
    )
    assert with_maps - without == 8 * 1000**2
