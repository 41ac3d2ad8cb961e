"""LPIPS and NIQE in benchmarks: what pyiqa is shown, what becomes of its figures, and what it may
lack.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli.bench.request import Request
from restore_cli.bench.run import Progress, bench
from restore_cli.cli import app
from restore_cli.degradations import find_degradation
from restore_cli.errors import UsageError, WeightsError
from restore_cli.image import read_picture, round_to_bytes, to_gray
from restore_cli.metrics import perceptual
from restore_cli.metrics.perceptual import METRICS, find_metric
from restore_cli.report.figures import LPIPS, NIQE

CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels[60:204, 150:294]
SIDES = {"large": 100, "medium": 40, "small": 20}  # for both metrics, only LPIPS, neither


class Pyiqa(ModuleType):
    """A fake of the library: its LPIPS is the mean difference, its NIQE the mean, in [0, 1]."""

    def __init__(self) -> None:
        super().__init__("pyiqa")
        self.created: list[str] = []
        self.sizes: list[tuple[int, int]] = []  # of the images that were measured

    def create_metric(self, name: str, device: str) -> Any:
        assert device == "cpu"
        self.created.append(name)
        print("Loading pretrained model")

        def measure(image: Image.Image, reference: Image.Image) -> torch.Tensor:
            assert (image.mode, reference.mode) == ("RGB", "RGB")
            self.sizes.append(image.size)
            shown, wanted = (
                np.asarray(picture, np.float64) / 255 for picture in (image, reference)
            )
            if shown.std() == 0:
                raise torch.linalg.LinAlgError
            return torch.tensor(
                [[np.abs(shown - wanted).mean() if name == "lpips" else shown.mean()]]
            )

        return measure


@pytest.fixture(autouse=True)
def pyiqa(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Pyiqa]:
    fake = Pyiqa()
    monkeypatch.setitem(sys.modules, "pyiqa", fake)
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    perceptual._load.cache_clear()
    yield fake
    perceptual._load.cache_clear()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Make a folder with a large gray image, and smaller ones in color."""
    folder = tmp_path / "BSD68"
    folder.mkdir()
    for name, side in SIDES.items():
        pixels = np.rint(CAT[:side, :side] * 255).astype(np.uint8)
        Image.fromarray(pixels[..., 1] if name == "large" else pixels).save(folder / f"{name}.png")
    return folder


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["bench", *words])


def rows(*words: str) -> list[dict[str, Any]]:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_the_images_that_are_large_enough_are_averaged_as_8_bits(
    photos: Path, pyiqa: Pyiqa
) -> None:
    words = "denoise", str(photos), "--sigma", "15,50", "--peer", "tv"
    found = rows(*words, "--metric", "niqe,lpips", "--metric", "lpips")
    assert pyiqa.created == ["niqe", "lpips"]  # once for all rows
    for row, plain in zip(found, rows(*words), strict=True):
        assert "; NIQE and LPIPS by pyiqa, all rounded to 8 bits" in row["protocol"]
        assert row["figures"].keys() - plain["figures"].keys() == {"NIQE", "LPIPS"}
        assert row["images"].keys() == plain["images"].keys()
        for name, image in plain["images"].items():
            assert row["images"][name]["PSNR"] == image["PSNR"]
        assert all(
            words in row["note"]
            for words in ("NIQE covers 1 of 3 images", "LPIPS covers 2 of 3 images")
        )
        assert set(plain["note"].split("; ")) <= set(row["note"].split("; "))
    noise = find_degradation("denoise")(sigma=50.0)
    clean = {name: read_picture(photos / f"{name}.png").pixels for name in SIDES}
    noisy = {
        name: round_to_bytes(noise.apply(clean[name], np.random.RandomState(0))) for name in SIDES
    }
    differences = [np.abs(noisy[name] - clean[name]).mean() for name in ("large", "medium")]
    assert found[3]["figures"]["LPIPS"] == pytest.approx(np.mean(differences), rel=1e-5)
    assert found[3]["figures"]["NIQE"] == pytest.approx(noisy["large"].mean(), rel=1e-5)


def test_the_border_of_the_scale_is_left_out(photos: Path, pyiqa: Pyiqa) -> None:
    rows("sr", str(photos), "--scale", "3", "--metric", "lpips")
    assert set(pyiqa.sizes) == {(99 - 6, 99 - 6), (39 - 6, 39 - 6)}


def test_a_suite(photos: Path) -> None:
    for name in ("medium", "small"):
        (photos / f"{name}.png").unlink()
    found = rows("suite", "papers", "--data", str(photos.parent), "--metric", "niqe", "--quiet")
    assert all(("NIQE" in row["figures"]) == row["measured"] for row in found)


def test_an_image_without_texture_has_no_niqe() -> None:
    assert METRICS["niqe"].measure(np.zeros_like(CAT), CAT) is None


def test_a_run_without_the_metric_is_not_resumed(photos: Path) -> None:
    plain, both = (
        Request("denoise", (str(photos),), levels=({"sigma": 25.0},), models=(), metrics=metrics)
        for metrics in ((), tuple(METRICS.values()))
    )
    for request, kept in ((plain, 0), (plain, 1), (both, 0), (both, 1)):
        moments = bench(request)
        first = next(moments)
        moments.close()
        assert isinstance(first, Progress) and first.kept == kept


def test_figures_are_formatted() -> None:
    assert [figure.format(0.123456) for figure in (LPIPS, NIQE)] == ["0.1235", "0.12"]
    assert NIQE.format(12.3456) == "12.35"


def test_an_unknown_metric(photos: Path) -> None:
    result = run("denoise", str(photos), "--sigma", "25", "--metric", "lpips,magic")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: Unknown metric 'magic'; choose lpips, niqe.\n",
    )


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    with pytest.raises(UsageError, match=r"LPIPS .*non-commercial.*restore-cli\[perceptual\]"):
        METRICS["lpips"].measure(CAT, CAT)


def test_an_incompatible_torchvision_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyiqa.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pyiqa")
    with pytest.raises(
        UsageError, match=r"same build as torch \(RuntimeError: operator torchvision::nms"
    ):
        METRICS["niqe"].measure(CAT, CAT)


def test_weights_that_cannot_be_downloaded(
    photos: Path, pyiqa: Pyiqa, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str, device: str) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(pyiqa, "create_metric", fail)
    result = run("denoise", str(photos), "--sigma", "25", "--metric", "niqe")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (3, "", 1)
    assert "NIQE: URLError: <urlopen error Name or service not known>." in result.stderr
    assert "pyiqa/niqe_modelparameters.mat" in result.stderr


@pytest.mark.parametrize("words", [["--offline"], []], ids=["option", "variable"])
def test_nothing_is_downloaded_offline(
    photos: Path, pyiqa: Pyiqa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    if not words:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    words = ["denoise", str(photos), "--sigma", "25", "--metric", "niqe", *words]
    result = run(*words)
    assert result.exit_code == 3 and "NIQE needs pyiqa/niqe_modelparameters.mat in" in result.stderr
    assert pyiqa.created == []
    [name] = METRICS["niqe"].files
    (tmp_path / "torch" / "hub" / name).parent.mkdir(parents=True)
    (tmp_path / "torch" / "hub" / name).touch()
    assert "NIQE" in rows(*words)[0]["figures"]


@pytest.mark.parametrize("name", METRICS)
def test_the_library_itself(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pyiqa")
    metric = find_metric(name)
    noisy = find_degradation("denoise")(sigma=25.0).apply(CAT, np.random.RandomState(0))
    try:
        clean = metric.measure(CAT, CAT, offline=True)
    except (UsageError, WeightsError) as error:
        pytest.skip(str(error))
    assert clean is not None
    worse = metric.measure(noisy, CAT, offline=True)
    assert worse is not None and worse > clean
    assert clean == 0 or name == "niqe"
    gray = metric.measure(to_gray(noisy), to_gray(CAT), offline=True)
    assert gray is not None and gray > clean
    smallest = noisy[: metric.side, : metric.side], CAT[: metric.side, : metric.side]
    assert metric.measure(*smallest, offline=True) is not None
    assert metric.measure(*(image[1:] for image in smallest), offline=True) is None
