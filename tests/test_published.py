"""Published results: found by task, set and level; errors in the table are reported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restore_cli.bench.published import everything, published, read_figures
from restore_cli.datasets.known import known_sets
from restore_cli.degradations import find_degradation
from restore_cli.errors import RestoreError

ELSEWHERE = {  # sets that are not in sets.toml: private, or not scored image by image
    "images14", "bsd200", "images-of-xu", "celeba", "bird", "flower", "unnamed",
    "sidd", "reside", "rain1200", "outdoorrain", "raincityscapes",
}  # fmt: skip


def test_every_result_has_a_known_set_and_a_valid_level() -> None:
    figures = everything()
    assert len(figures) > 800
    for figure in figures:
        assert figure.set in known_sets() or figure.set in ELSEWHERE, figure
        find_degradation(figure.task).draw(figure.level, np.random.default_rng(0))
        assert figure.psnr is None or 10 < figure.psnr < 50
        assert figure.ssim is None or 0.5 < figure.ssim < 1
        assert all((figure.paper, figure.where, figure.model, figure.protocol))


def test_results_are_unique() -> None:
    keys = [(f.paper, f.where, f.set, str(f.level), f.model) for f in everything()]
    assert len(keys) == len(set(keys))


TEXT = {"damage": "text", "size": 10, "share": 0.1, "blind": True}


@pytest.mark.parametrize(
    ("task", "set", "level", "model", "psnr", "ssim"),
    [
        ("denoise", "bsd68", {"sigma": 25}, "xDnCNN", 29.20, None),
        ("denoise", "Set12", {"sigma": 50.0, "noise": "gaussian"}, "DRUNet", 27.90, None),
        ("denoise", "cbsd68", {"sigma": 15}, "Restormer", 34.40, None),
        ("denoise", "set5", {"sigma": 12.75}, "BT", 33.59, None),
        ("denoise", "celeba", {"sigma": [0, 55]}, "IRAE", 31.6158, None),
        ("sr", "set14", {"scale": 3}, "VDSR", 29.77, 0.8314),
        ("sr", "bsd100", {"scale": 4}, "ARFL+", 26.86, 0.7091),
        ("sr", "set5", {"scale": 2}, "RED30-blind", 37.56, 0.9595),
        ("denoise", "images14", {"sigma": 70}, "RED30", 25.31, 0.7206),
        ("denoise", "bsd200", {"sigma": 10}, "RED30 blind", 33.38, 0.9280),
        ("sr", "urban100", {"scale": 4}, "SwinIR-light", 26.47, 0.7980),
        ("deblock", "live1", {"quality": 10}, "AR-CNN", 28.98, None),
        ("deblock", "live1", {"quality": 10}, "Deeper SRCNN", 28.92, None),
        ("deblock", "classic5", {"quality": 40}, "DnCNN-3", 33.77, 0.9003),
        ("inpaint", "live1", TEXT, "RED30", 38.24, 0.9869),
        ("derain", "rain1200", {}, "UNet-5 InfoAccum LSGAN", 30.77, 0.9013),
        ("derain", "raincityscapes", {}, "UNet-5 LSGAN", 26.74, 0.8564),
        ("derain", "rain800", {"rain": "none"}, "En/Decoder", 24.06, 0.7194),
        ("derain", "rain100h", {"rain": "streaks"}, "PReNet", 29.46, 0.899),
        ("deblur", "images-of-xu", {"kernel": "disk", "size": 7}, "RED30", 32.13, None),
    ],
)
def test_results_are_found_by_set_and_level(
    task: str, set: str, level: dict[str, Any], model: str, psnr: float, ssim: float | None
) -> None:
    found = [figure for figure in published(task, set, level) if figure.model == model]
    assert (psnr, ssim) in [(figure.psnr, figure.ssim) for figure in found]
    assert all(figure.set == set.lower() and figure.task == task for figure in found)


def test_results_of_other_levels_are_not_found() -> None:
    assert published("denoise", "bsd68", {"sigma": 26}) == ()
    assert published("denoise", "bsd68", {}) == ()
    assert published("sr", "set5", {"scale": 2, "damage": "bicubic"})
    assert published("sr", "set5", {"scale": 2, "damage": "photo"}) == ()
    assert published("denoise", "set12", {"sigma": 25, "noise": "camera"}) == ()
    assert published("deblur", "images-of-xu", {"kernel": "motion"})
    assert not [
        figure for figure in everything() if figure.model == "Schuler" and figure.psnr is None
    ]


ROW = '{ set = "set5", scale = 2, psnr = [30.0, nan] }'


def write(path: Path, rows: str, extra: str = "", models: str = '["A", "B"]') -> Path:
    text = (
        '[t]\npaper = "P"\nwhere = "W"\ntask = "sr"\nprotocol = "Q"\n'
        f"models = {models}\nrows = [{rows}]\n"
    )
    path.write_text(text + extra)
    return path


def test_a_table_is_read(tmp_path: Path) -> None:
    (figure,) = read_figures(write(tmp_path / "t.toml", ROW))
    assert (figure.model, figure.psnr, figure.ssim, figure.level) == ("A", 30.0, None, {"scale": 2})


@pytest.mark.parametrize(
    ("rows", "extra", "words"),
    [
        ("{ scale = 2, psnr = [1.0, 2.0] }", "", "t contains a row without a set"),
        ('{ set = "x", psnr = [1.0] }', "", "t: psnr must be a list of 2 numbers"),
        ('{ set = "x", psnr = [1.0, 200.0] }', "", "t: psnr must be floats up to 100"),
        ('{ set = "x", ssim = [30.0, 0.5] }', "", "t: ssim must be floats up to 1"),
        ('{ set = "x", psnr = [1.0, "2"] }', "", "t: psnr must be floats"),
        ('{ set = "x" }', "", "t contains a row without psnr and ssim"),
        ('"x"', "", "t contains a row without a set"),
        (ROW, 'set = "x"\n', "t has unknown keys: set"),
        (ROW, "[u]\n", "u lacks paper, where"),
        (ROW, "[", "Cannot read the table"),
    ],
)
def test_an_error_names_its_table(tmp_path: Path, rows: str, extra: str, words: str) -> None:
    with pytest.raises(RestoreError, match=words):
        read_figures(write(tmp_path / "t.toml", rows, extra))
