"""`restore bench`: standard protocols, resuming, significance and reports."""

from __future__ import annotations

import csv
import dataclasses
import html
import io
import json
import os
import platform
import re
import shutil
import sqlite3
import sys
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner, Result

from restore_cli import __version__
from restore_cli.archs import build
from restore_cli.bench import cache, costs, methods
from restore_cli.bench import run as job
from restore_cli.bench.baselines import Baseline
from restore_cli.bench.cases import read
from restore_cli.bench.measurement import score
from restore_cli.bench.request import Request
from restore_cli.bench.rows import untrained
from restore_cli.bench.run import BenchResult, Progress, SetWarning
from restore_cli.bench.statistics import compare_methods, interval
from restore_cli.cli import app
from restore_cli.degradations import find_degradation
from restore_cli.degradations.blur import Blur
from restore_cli.degradations.haze import Haze
from restore_cli.degradations.missing import Missing
from restore_cli.engine import Settings, find_device
from restore_cli.errors import UsageError
from restore_cli.image import to_gray
from restore_cli.metrics import psnr
from restore_cli.models import catalog, checkpoint
from restore_cli.models.header import Header
from restore_cli.models.scores import Protocol, Score
from restore_cli.report.figures import PEAK_MEMORY, PSNR_Y, SPEED
from restore_cli.storage import sha256_of

DATA = Path(__file__).parents[1] / "../shared/data/eval"


@pytest.fixture
def sets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two sets: small (plain) and rain (pairs)."""
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for folder in ("data/small", "data/rain/clean", "data/rain/rainy"):
        Path(folder).mkdir(parents=True)
        for name in "abc":
            small = Image.fromarray(random.integers(0, 256, (6, 8, 3), np.uint8))
            small.resize((32, 24), Image.Resampling.BICUBIC).save(f"{folder}/{name}.png")
    return Path("data")


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["bench", *words])


def rows(*words: str) -> list[dict[str, Any]]:
    result = run(*words, "--json")
    assert result.exit_code == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_every_model_and_baseline_is_measured_at_every_level(
    sets: Path, checkpoints: dict[int, Path]
) -> None:
    words = "denoise", "small", "--data", str(sets), "--model", str(checkpoints[3]), "--peer", "tv"
    found = rows(*words, "--sigma", "15,25")
    assert [(row["level"], row["model"]) for row in found] == [
        (level, model)
        for level in ("sigma 15", "sigma 25")
        for model in ("input", str(checkpoints[3]), "tv")
    ]
    noisy, same, smooth = found[3:]
    assert noisy["figures"]["images"] == 3 and set(noisy["images"]) == {"a", "b", "c"}
    for key in ("PSNR", "SSIM", "PSNR Y", "SSIM Y"):
        mean = np.mean([image[key] for image in noisy["images"].values()])
        assert noisy["figures"][key] == pytest.approx(mean)
    assert all(image["seconds"] > 0 for image in smooth["images"].values())
    assert noisy["figures"]["PSNR"] == pytest.approx(20.2, abs=0.3)  # sigma 25
    # The result is clipped to 0..255, the input is not.
    assert same["figures"]["PSNR"] > noisy["figures"]["PSNR"] + 0.1
    assert smooth["figures"]["PSNR"] > noisy["figures"]["PSNR"] + 1
    assert noisy["figures"]["PSNR Y"] > noisy["figures"]["PSNR"] + 1
    assert same["figures"]["parameters"] > 1000 and same["figures"]["kFLOP/pixel"] > 1
    assert {"MP/s", "seconds"} <= smooth["figures"].keys() and "MP/s" not in noisy["figures"]
    assert smooth["about"].startswith("scikit-image ") and same["about"] == ""
    both = rows(*words[:-2], "--sigma", "15", "--level", "sigma=15", "--level", "sigma=25")
    assert list(dict.fromkeys(row["level"] for row in both)) == ["sigma 15", "sigma 25"]
    eight = rows(*words[:-2], "--sigma", "15", "--ensemble")[1]
    one, several = same["figures"]["kFLOP/pixel"], eight["figures"]["kFLOP/pixel"]
    assert several == pytest.approx(8 * one)
    camera = rows(
        "denoise", "small", "--data", str(sets), "--sigma", "9", "--level", "noise=camera"
    )
    assert camera[0]["protocol"].startswith("camera noise and its file of 8 bits or JPEG")
    clipped = rows("denoise", "small", "--data", str(sets), "--sigma", "25", "--clip")[0]
    assert (
        clipped["figures"]["PSNR"] > noisy["figures"]["PSNR"] + 0.1
        and "8 bits" in clipped["protocol"]
    )
    gray = rows("denoise", "small", "--data", str(sets), "--sigma", "25", "--gray")[0]
    assert "PSNR Y" not in gray["figures"] and gray["set"] == "small luma"
    full = rows("denoise", "small", "--data", str(sets), "--sigma", "25", "--gray", "--full-range")[
        0
    ]
    assert (
        full["set"] == "small gray"
        and "of the gray of full range, rounded to 8 bits" in full["protocol"]
    )
    alone = rows("denoise", "small", "--data", str(sets), "--sigma", "25", "--full-range")[0]
    assert (alone["set"], alone["figures"]["PSNR"]) == ("small gray", full["figures"]["PSNR"])


def test_levels_of_real_pairs_are_refused(sets: Path) -> None:
    words = ["derain", "rain", "--data", str(sets), "--level", "rain=none"]
    result = CliRunner().invoke(app, ["bench", *words])
    assert (
        result.exit_code == 2 and "its images are already damaged. Use --degrade" in result.stderr
    )


def test_the_damage_of_real_pairs_must_be_found(sets: Path) -> None:
    result = run("inpaint", "rain", "--data", str(sets), "--pairs", "clean:rainy")
    assert result.exit_code == 2 and "Use --level detect=text" in result.stderr


def test_the_file_of_a_known_model_is_not_downloaded(checkpoints: dict[int, Path]) -> None:
    method = methods.ModelMethod(str(checkpoints[3]), "denoise", Settings(), offline=True)
    assert method.network("kair-ffdnet-color").name == str(checkpoints[3])


def test_real_pairs(sets: Path, tmp_path: Path) -> None:
    network = build("unet:UNet", {"widths": [8], "conditions": 0})
    network.init_weights()
    header = Header(
        task="derain", arch="unet:UNet", params={"widths": [8], "conditions": 0}, channels=3
    )
    checkpoint.save(network, tmp_path / "same.safetensors", header)
    found = rows("derain", "rain", "--data", str(sets), "--model", "same.safetensors")
    assert [row["model"] for row in found] == ["input", "same.safetensors"]
    assert found[0]["figures"] | {"MP/s": 0} != found[1]["figures"]
    assert found[0]["figures"]["PSNR"] == pytest.approx(found[1]["figures"]["PSNR"], abs=1e-3)
    assert found[0]["protocol"].startswith("real pairs")


def kept(*requests: Request) -> set[int]:
    """Run a request, and return how many images were already in the cache, which is cleared."""
    moments = list(job.bench(*requests))
    results(moments).discard()
    return {moment.kept for moment in moments if isinstance(moment, Progress)}


def cut(request: Request, after: int) -> None:
    """Stop a run after this number of images."""
    moments = job.bench(request)
    for _ in range(after):
        next(moments)
    moments.close()  # type: ignore[attr-defined]


def test_an_interrupted_run_resumes(
    sets: Path, checkpoints: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(
        "denoise", ("small",), (sets,), levels=({"sigma": 25.0},), models=(str(checkpoints[3]),)
    )
    whole = list(job.bench(request))
    assert [moment.kept for moment in whole if isinstance(moment, Progress)] == [0] * 6
    results(whole).discard()
    cut(request, 4)
    counted: list[str] = []
    restore = job.restore_example
    monkeypatch.setattr(
        job, "restore_example", lambda *words: counted.append(words[2].name) or restore(*words)
    )
    again = list(job.bench(request))
    results(again).discard()
    assert counted == ["b", "c"]
    for first, second in zip(results(whole).rows, results(again).rows, strict=True):
        assert first.images == second.images
    assert kept(request) == {0}  # the cache is empty after a finished run
    cut(request, 4)
    assert kept(dataclasses.replace(request, fresh=True)) == {0}


def test_two_runs_share_cached_measurements(
    sets: Path, checkpoints: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    levels = ({"sigma": 25.0}, {"sigma": 50.0})
    request = Request("denoise", ("small",), (sets,), levels=levels, models=(str(checkpoints[3]),))
    cut(request, 9)  # all of the input, half of the model
    assert kept(dataclasses.replace(request, levels=levels[1:], baselines=("tv",))) == {3}
    cut(request, 10)
    assert kept(dataclasses.replace(request, shown=2)) == {10}
    for other in ({"clip": True}, {"gray": True}, {"settings": Settings(precision="bf16")}):
        cut(request, 9)
        common = 6 if "settings" in other else 0  # the input is the same
        assert kept(dataclasses.replace(request, **other)) == {common}  # type: ignore[arg-type]
    cut(request, 9)
    (sets / "small" / "a.png").touch()
    assert kept(request) == {6}
    cut(request, 9)
    monkeypatch.setattr(cache, "_MAX_AGE_DAYS", -1)  # as if a month had passed
    assert kept(request) == {0}


@pytest.mark.parametrize("after", [0, 4, 5, 8])
def test_each_method_opens_an_image_once_even_after_an_interruption(
    sets: Path, checkpoints: dict[int, Path], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    request = Request("denoise", ("small",), (sets,), levels=({"sigma": 25.0},), shown=2)
    request = dataclasses.replace(request, models=(str(checkpoints[3]),), baselines=("tv",))
    opened: list[str] = []
    restore = job.restore_example
    monkeypatch.setattr(
        job, "restore_example", lambda *words: opened.append(words[2].name) or restore(*words)
    )
    whole = results(list(job.bench(request)))
    whole.discard()
    assert opened == [*"abc"] * 3
    worst = sorted(whole.rows[1].images, key=lambda name: whole.rows[1].images[name])[:2]
    assert [one.title for one in whole.comparisons] == [f"small/{name}, sigma 25" for name in worst]
    cut(request, after)
    again = results(list(job.bench(request)))
    again.discard()
    for first, second in zip(whole.comparisons, again.comparisons, strict=True):
        assert first.title == second.title
        for one, other in zip(first.versions, second.versions, strict=True):
            assert (one.name, one.note) == (other.name, other.note)
            np.testing.assert_array_equal(one.pixels, other.pixels)


def test_measurements_are_cached_until_reports_are_written(
    sets: Path, checkpoints: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: Any) -> None:
        raise OSError(28, "No space left on device", "x.csv")

    words = "denoise", "small", "--data", str(sets), "--sigma", "25", "--model", str(checkpoints[3])
    with monkeypatch.context() as patch:
        patch.setattr("restore_cli.report.bench_report.write_text", fail)
        result = run(*words, "--report", "x.csv")
        assert result.exit_code == 1 and "No space left" in result.stderr
    assert "resuming: 6 images" in run(*words, "--report", "x.csv").stderr
    assert "resuming" not in run(*words).stderr


def test_loading_is_not_timed(
    sets: Path, checkpoints: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, load = [0.0], checkpoint.load

    def slow(*words: Any, **others: Any) -> Any:
        clock[0] += 1000
        return load(*words, **others)

    def tick() -> float:
        clock[0] += 0.5
        return clock[0]

    monkeypatch.setattr(checkpoint, "load", slow)
    monkeypatch.setattr(costs.time, "perf_counter", tick)
    request = Request("denoise", ("small",), (sets,), models=(str(checkpoints[3]),))
    restored = [row for row in results(list(job.bench(request))).rows if row.model != "input"]
    assert len(restored) == 3 and clock[0] > 1000
    assert [row.figures[SPEED] for row in restored] == pytest.approx([32 * 24 / 1e6 / 0.5] * 3)


def test_peak_memory_is_that_of_the_method(sets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if costs._reset_peak() is None:
        pytest.skip("this system does not report peak memory")

    def method(name: str, megabytes: int) -> Baseline:
        def restore(observed: Any, task: Any) -> Any:
            np.ones(megabytes * 10**6, np.uint8)
            return observed.clip(0, 1)

        return Baseline(name, "numpy", "numpy", restore)

    monkeypatch.setattr(
        methods, "baselines", lambda task: {"big": method("big", 300), "small": method("small", 40)}
    )
    request = Request("denoise", ("small",), (sets,), levels=({"sigma": 25},), models=())
    request = dataclasses.replace(request, baselines=("big", "small"))
    found = results(list(job.bench(request)))
    found.discard()
    _, big, small = found.rows
    assert big.figures[PEAK_MEMORY] == pytest.approx(300, abs=20)
    assert small.figures[PEAK_MEMORY] == pytest.approx(40, abs=20)
    monkeypatch.setattr(costs, "_reset_peak", lambda: None)
    if not torch.cuda.is_available():
        assert PEAK_MEMORY not in results(list(job.bench(request))).rows[1].figures


def results(moments: list[SetWarning | Progress | BenchResult]) -> BenchResult:
    assert isinstance(moments[-1], BenchResult)
    return moments[-1]


def compare(**methods: list[float]) -> dict[str, str]:
    """The notes on methods, given the PSNR of their images."""
    return compare_methods(
        {
            name: {str(number): value for number, value in enumerate(values)}
            for name, values in methods.items()
        }
    )


def test_a_best_method_is_declared_only_if_significant() -> None:
    base = np.random.default_rng(0).normal(30, 3, 40)  # images differ far more than models
    good, chance, bad = (
        list(base + np.random.default_rng(seed).normal(mean, 0.1, 40))
        for seed, mean in ((1, 0.2), (2, 0.19), (3, -0.2))
    )
    notes = compare(good=good, chance=chance, bad=bad)
    best = max(("good", "chance"), key=lambda name: np.mean({"good": good, "chance": chance}[name]))
    other = "chance" if best == "good" else "good"
    assert notes[best] == f"not significantly better than {other}"
    assert notes["bad"].startswith("-0.") and notes["bad"].endswith(f"dB to {best}")
    assert compare(good=good, bad=bad)["good"] == "best"


def test_the_input_and_a_model_alone_are_not_compared(
    sets: Path, checkpoints: dict[int, Path]
) -> None:
    words = "denoise", "small", "--data", str(sets), "--sigma", "25", "--model", str(checkpoints[3])
    assert [row["note"] for row in rows(*words)] == ["", ""]
    noisy, *others = rows(*words, "--peer", "tv")
    assert noisy["note"] == "" and all(row["note"] for row in others)


def test_few_images_allow_no_verdict() -> None:
    def notes(count: int) -> list[str]:
        found = compare(good=[30.0] * count, bad=[29.5] * count)
        return [found["good"], found["bad"]]

    assert notes(1) == ["too few images for a verdict, 1 of at least 5", "-0.50 dB to good"]
    assert notes(4)[0].startswith("too few")
    assert notes(5) == ["best", "-0.50 [-0.50, -0.50] dB to good"]


def test_infinite_psnr_is_compared_sensibly() -> None:
    exact, worse = [np.inf] * 6, [30.0] * 6
    other, swapped = [np.inf, 29.0, 30.0, 30.0, 30.0, 30.0], [31.0, np.inf, 31.0, 31.0, 31.0, 31.0]
    notes = compare(exact=exact, same=exact)
    assert notes["exact"] == "not significantly better than same"
    assert notes["same"] == "+0.00 [+0.00, +0.00] dB to exact"
    notes = compare(exact=exact, worse=worse)
    assert (notes["exact"], notes["worse"]) == ("best", "-∞ [-∞, -∞] dB to exact")
    assert compare(worse=worse, other=other)["worse"] == "not significantly better than other"
    assert compare(swapped=swapped, other=other)["other"] == "±∞ [-∞, +∞] dB to swapped"
    mostly, good = [*[np.inf] * 5, 30.0], [*[40.0] * 5, 39.0]
    assert compare(mostly=mostly, good=good)["good"] == "not significantly better than mostly"


def test_deconvolution_is_not_compared_on_real_pairs(sets: Path) -> None:
    result = run("deblur", "rain", "--data", str(sets), "--peer", "wiener")
    assert result.exit_code == 2 and "the kernel of its images is not known" in result.stderr


def test_an_image_identical_to_the_reference_is_not_in_the_mean(
    sets: Path, checkpoints: dict[int, Path]
) -> None:
    Image.open(sets / "small/a.png").save(sets / "rain/clean/a.png")
    Image.open(sets / "small/a.png").save(sets / "rain/rainy/a.png")
    found = rows("denoise", "rain", "--data", str(sets), "--model", str(checkpoints[3]))[0]
    assert 5 < found["figures"]["PSNR"] < 50
    assert found["note"] == "not in the means: 1 of 3 images, identical to the reference"
    words = f"sr small --data {sets} --scale 1 --model bt --peer bicubic,lanczos".split()
    result = run(*words)
    assert (result.exit_code, result.stderr) == (0, "") and "nan" not in result.stdout


def test_notes_say_which_figures_do_not_cover_all_images(
    sets: Path, checkpoints: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def choose(
        model: str | None, task: str, channels: int, scale: float = 1
    ) -> catalog.Entry | Path:
        return chosen(
            "red30-gray-denoise" if model == "gaussian" and channels == 1 else model, task, channels
        )

    chosen = catalog.choose
    monkeypatch.setattr(catalog, "choose", choose)
    Image.open(sets / "small/a.png").convert("L").save(sets / "small/a.png")
    Image.open(sets / "small/b.png").crop((0, 0, 32, 10)).save(sets / "small/b.png")
    words = "denoise", "small", "--data", str(sets), "--sigma", "25"
    noisy, restored, *_ = rows(*words, "--model", "gaussian", "--peer", "tv")
    assert "SSIM covers 2 of 3 images" in noisy["note"]
    assert "Y is full-range gray for 1 of 3 images" in noisy["note"]
    assert (
        "restored by red30-gray-denoise and denoise-color" in restored["note"]
        and "parameters" not in restored["figures"]
    )
    assert rows(*words, "--model", str(checkpoints[3]))[1]["figures"]["parameters"] > 1000


def test_images_that_cannot_be_scored_are_reported(sets: Path) -> None:
    Image.open(sets / "small/b.png").crop((0, 0, 8, 8)).save(sets / "small/b.png")
    result = run("sr", "small", "--data", str(sets), "--scale", "4", "--model", "bt")
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)
    assert "Cannot score data/small/b.png: the image is too small" in result.stderr
    Image.open(sets / "rain/rainy/a.png").convert("L").save(sets / "rain/rainy/a.png")
    result = run("derain", "rain", "--data", str(sets))
    assert result.exit_code == 2
    assert (
        "data/rain/clean/a.png and data/rain/rainy/a.png: only one of them is gray" in result.stderr
    )


def test_pairs_of_unequal_sizes_are_reported(sets: Path, checkpoints: dict[int, Path]) -> None:
    image = Image.open(sets / "rain/clean/a.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    image.save(sets / "rain/clean/a.png", exif=turned)
    words = ("rain", "--data", str(sets), "--pairs", "clean:rainy", "--model")
    result = run("denoise", *words, str(checkpoints[3]))
    assert result.exit_code == 2
    assert "the result would have 32 x 24 pixels, but the clean image has 24 x 32" in result.stderr
    image.save(sets / "rain/clean/a.png")
    result = run("sr", *words, "bt", "--scale", "2")
    assert result.exit_code == 2
    assert "the result would have 64 x 48 pixels, but the clean image has 32 x 24" in result.stderr


def test_a_row_names_the_network_that_restored(sets: Path) -> None:
    for path in sets.glob("rain/*/*.png"):
        image = Image.linear_gradient("L").convert("RGB")
        if path.parent.name == "rainy":
            noise = np.random.default_rng(0).normal(0, 25, (256, 256, 3))
            image = Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8))
        image.save(path)
    words = ("denoise", "rain", "--data", str(sets), "--pairs", "clean:rainy")
    for _ in range(2):  # measured, then from the cache
        assert set(rows(*words)[1]["sha256"]) == {"denoise-color"}


def test_the_interval_agrees_with_the_normal_approximation() -> None:
    values = np.random.default_rng(0).normal(1, 2, 100)
    low, high = interval(values)
    error = 1.96 * values.std() / 10
    assert low == pytest.approx(values.mean() - error, abs=0.05)
    assert high == pytest.approx(values.mean() + error, abs=0.05)
    assert interval(np.full(5, 0.3)) == pytest.approx((0.3, 0.3))


def test_reports(sets: Path, checkpoints: dict[int, Path]) -> None:
    reports = [f"report.{suffix}" for suffix in ("json", "csv", "md", "html")]
    words = f"denoise small --data {sets} --sigma 25 --model {checkpoints[3]}".split()
    words += [word for report in reports for word in ("--report", report)]
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("| small |") == 2  # no terminal: Markdown
    assert json.loads(Path("report.json").read_text())[1]["model"] == str(checkpoints[3])
    table = list(csv.DictReader(io.StringIO(Path("report.csv").read_text())))
    assert [line["set"] for line in table] == ["small", "small"] and float(table[0]["PSNR"]) > 19
    worst = table[1]["worst image"]
    assert float(table[1]["seconds"]) > 0 and worst in "abc"
    assert Path("report.md").read_text().rstrip() == result.stdout.rstrip()
    assert re.search(rf"\| \d+\.\d\d, {worst} \|", result.stdout)
    page = Path("report.html").read_text()
    # The two worst images, each as input, model and reference.
    assert page.count('"source": "data:image/png') == 6
    for report in ("report.json", "report.md", "report.html"):
        assert "BT.601 luma of studio range" in Path(report).read_text()


def test_reports_state_the_origin_of_their_figures(
    sets: Path, checkpoints: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    reports = [f"report.{suffix}" for suffix in ("json", "csv", "md", "html", "toml")]
    words = ["bench", "denoise", "small", "--data", str(sets), "--sigma", "25", "--published"]
    words += ["--model", f"gaussian,{checkpoints[3]}"]
    words += [word for report in reports for word in ("--report", report)]
    monkeypatch.setattr(sys, "argv", ["restore", *words, "a b"])
    before = datetime.now(UTC).replace(microsecond=0)
    assert run(*words[1:]).exit_code == 0
    bundled, mine = catalog.entries()["denoise-color"].sha256, sha256_of(checkpoints[3])
    noisy, *measured = json.loads(Path("report.json").read_text())
    assert noisy["sha256"] == {}
    assert [row["sha256"] for row in measured] == [
        {"denoise-color": bundled},
        {str(checkpoints[3]): mine},
    ]
    origin = noisy["origin"]
    assert origin["command"] == f"restore {' '.join(words)} 'a b'"
    assert (origin["version"], origin["torch"]) == (__version__, torch.__version__)
    assert (origin["device"], origin["threads"]) == (str(find_device()), torch.get_num_threads())
    assert before <= datetime.fromisoformat(origin["date"]) <= datetime.now(UTC)
    assert platform.machine() in origin["machine"] and f"{os.cpu_count()} CPUs" in origin["machine"]
    line = list(csv.DictReader(io.StringIO(Path("report.csv").read_text())))[1]
    assert line["sha256"] == f"denoise-color={bundled}" and line["command"] == origin["command"]
    for report in ("report.md", "report.html", "report.toml"):
        text = html.unescape(Path(report).read_text())
        assert all(
            word in text
            for word in (bundled, mine, origin["command"], origin["date"], origin["machine"])
        )
    assert tomllib.loads(Path("report.toml").read_text()).keys() == {
        "gaussian",
        str(checkpoints[3]),
    }


def test_a_level_outside_of_the_training_is_noted(sets: Path, checkpoints: dict[int, Path]) -> None:
    words = "denoise", "small", "--data", str(sets), "--model", f"xdncnn,{checkpoints[3]}", "--gray"
    marked = {
        (row["level"], row["model"] == "xdncnn"): row["note"]
        for row in rows(*words, "--sigma", "15,25,60")
        if row["model"] != "input"
    }
    assert "trained for sigma 25, not 15" in marked["sigma 15", True]
    assert "trained" not in marked["sigma 25", True] + marked["sigma 15", False]
    assert "trained for sigma 0 to 50, not 60" in marked["sigma 60", False]


@pytest.mark.parametrize(
    ("level", "trained", "words"),
    [
        ({"sigma": 25.0}, {"sigma": 25}, []),
        ({"sigma": 25.0}, {}, []),
        ({"sigma": None}, {"sigma": [0, 75]}, []),
        ({"scale": 4.0}, {"scale": ["2", "3", "4"]}, []),
        ({"scale": 5}, {"scale": ["2", "3", "4"]}, ["trained for scale 2 or 3 or 4, not 5"]),
        ({"rain": "heavy"}, {"rain": ["none", "none", "heavy"]}, []),
        (
            {"rain": "depth", "mist": 2},
            {"rain": ["a", "a"], "mist": [0, 1]},
            ["trained for rain a, not depth"],
        ),
        ({"blind": False}, {"blind": True}, ["trained for blind True, not False"]),
        ({"damage": "text"}, {"damage": "hole"}, ["trained for damage hole, not text"]),
    ],
)
def test_what_a_model_was_trained_for(
    level: dict[str, Any], trained: dict[str, Any], words: list[str]
) -> None:
    assert list(untrained(level, trained))[:1] == words


def test_images_without_ground_truth_are_refused(sets: Path) -> None:
    shutil.rmtree(sets / "rain/clean")
    shutil.copytree(sets / "small", sets / "real_rain_20")
    for word in ("rain", str(sets / "rain/rainy"), "real_rain_20", str(sets / "real_rain_20")):
        result = run("derain", word, "--data", str(sets))
        assert (result.exit_code, result.stdout) == (2, "")
        assert (
            "it has no ground-truth images" in result.stderr
            and "--degrade KEY=VALUE" in result.stderr
        )
    words = "derain", "rain", "--data", str(sets), "--degrade", "rain=streaks", "--model", "default"
    noisy, *_ = rows(*words, "--degrade", "heaviness=0.2,0.8")
    assert noisy["level"] == "rain streaks heaviness 0.2" and noisy["figures"]["images"] == 3
    assert run("derain", "--data", str(sets / "rain")).exit_code == 2


def test_the_clean_images_of_pairs_can_be_degraded(
    sets: Path, checkpoints: dict[int, Path]
) -> None:
    words = "denoise", "rain", "--data", str(sets), "--model", str(checkpoints[3])
    assert rows(*words)[0]["protocol"].startswith("real pairs")
    noisy, *_ = rows(*words, "--degrade", "sigma=25")
    assert noisy["figures"]["PSNR"] == pytest.approx(20.2, abs=0.3) and noisy["level"] == "sigma 25"


def test_unreadable_images_are_skipped(sets: Path, checkpoints: dict[int, Path]) -> None:
    damaged = (sets / "small/b.png").read_bytes()[:-40]
    (sets / "small/b.png").write_bytes(damaged)
    words = f"denoise small --data {sets} --sigma 15,25 --model {checkpoints[3]}".split()
    result = run(*words, "--json")
    assert result.exit_code == 0
    assert [set(row["images"]) for row in json.loads(result.stdout)] == [{"a", "c"}] * 4
    assert result.stderr.count("warning: skipped: ") == 1 and "small/b.png" in result.stderr
    for name in "ac":
        (sets / f"small/{name}.png").write_bytes(damaged)
    result = run(*words)
    assert (result.exit_code, result.stderr.count("\n")) == (
        1,
        1,
    ) and "small/a.png" in result.stderr


@pytest.mark.parametrize("place", ["/proc/cache", "file/cache", "full"])
def test_an_unusable_cache_is_reported_in_one_sentence(
    sets: Path, checkpoints: dict[int, Path], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    Path("file").write_text("no folder")
    monkeypatch.setenv("RESTORE_CACHE", place)
    if place == "full":

        def add(results: cache.ResultCache, *words: Any) -> None:
            with results._guard():
                raise sqlite3.OperationalError("database or disk is full")

        monkeypatch.setattr(cache.ResultCache, "add", add)
    result = run(
        "denoise", "small", "--data", str(sets), "--sigma", "25", "--model", str(checkpoints[3])
    )
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "Cannot save measurements in" in result.stderr and "RESTORE_CACHE" in result.stderr


def test_a_terminal_shows_long_notes_below_the_table(
    sets: Path, checkpoints: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(checkpoints[3], "[a].safetensors")
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr("restore_cli.cli.bench_display.stdout", terminal)
    words = f"denoise small --data {sets} --sigma 25,60 --model [a].safetensors".split()
    assert run(*words, "--peer", "tv").exit_code == 0
    said = terminal.file.getvalue()  # type: ignore[attr-defined]
    lines = said.splitlines()
    table = [line for line in lines if line.strip().startswith("small")]
    assert len(table) == 6 and any("[a].safete" in line for line in table)
    assert re.search(r"^\[\d\] .*trained for sigma 0 to 50, not 60", said, re.MULTILINE)


def test_help_lists_levels_and_baselines() -> None:
    said = " ".join(run("denoise", "--help").stdout.replace("│", " ").split())
    assert "Baselines to compare with: bm3d, nlm, tv." in said
    assert "Degradation level: sigma, noise" in said


def test_an_image_equal_to_the_reference_is_labeled(
    sets: Path, checkpoints: dict[int, Path]
) -> None:
    words = "--sigma", "0", "--model", str(checkpoints[3]), "--report", "report.html"
    assert run("denoise", "small", "--data", str(sets), *words).exit_code == 0
    page = Path("report.html").read_text()
    assert '"name": "input", "note": "equal"' in page and "inf dB" not in page


def test_the_settings_of_libraries_are_printed(sets: Path) -> None:
    words = ["--sigma", "25", "--model", "gaussian", "--peer", "nlm", "--report", "report.csv"]
    words += ["--report", "report.html"]
    result = run("denoise", "small", "--data", str(sets), *words)
    assert re.search(
        r"nlm: opencv-python-headless \S+, .* clipped and rounded to 8 bits", result.stdout
    )
    for report in ("report.csv", "report.html"):
        assert "clipped and rounded to 8 bits" in Path(report).read_text()


def test_an_estimated_level_is_auto(sets: Path) -> None:
    words = "denoise", "small", "--data", str(sets), "--sigma", "auto", "--model", "gaussian"
    assert "sigma auto" in run(*words, "--report", "scores.toml").stdout
    [score] = tomllib.loads(Path("scores.toml").read_text())["gaussian"]["scores"]
    assert "sigma" not in score and score["psnr"] > 20
    assert "a level of 0 to 50, drawn once for all images" in score["protocol"]["text"]


def test_the_toml_report_has_scores_of_models_only(sets: Path) -> None:
    words = "sr", "small", "--data", str(sets), "--scale", "2", "--model", "bt", "--peer", "lanczos"
    assert run(*words, "--report", "scores.toml").exit_code == 0
    [(name, table)] = tomllib.loads(
        Path("scores.toml").read_text()
    ).items()  # the library is no model
    [score] = table["scores"]
    assert name == "bt"
    measured = rows(*words)[1]
    assert (score["set"], score["scale"]) == ("small", 2)
    assert score["protocol"] == {"text": measured["protocol"]}
    assert score["psnr"] == pytest.approx(measured["figures"]["PSNR Y"], abs=1e-3)
    assert score["ssim"] == pytest.approx(measured["figures"]["SSIM Y"], abs=1e-4)


def test_the_toml_report_has_the_ssim_of_gray_images(sets: Path) -> None:
    words = ["sr", "small", "--data", str(sets), "--scale", "2", "--model", "bt", "--gray"]
    assert run(*words, "--report", "scores.toml").exit_code == 0
    [score] = tomllib.loads(Path("scores.toml").read_text())["bt"]["scores"]
    assert score["ssim"] == pytest.approx(rows(*words)[1]["figures"]["SSIM"], abs=1e-4)


@pytest.mark.parametrize(("off", "code"), [(0.0, 0), (0.019, 0), (-0.021, 3)])
def test_models_verify_measures_scores_again(
    sets: Path, monkeypatch: pytest.MonkeyPatch, off: float, code: int
) -> None:
    measured = rows(
        "sr", "small", "--data", str(sets), "--scale", "2", "--model", "bt", "--precision", "fp32"
    )
    psnr = measured[1]["figures"]["PSNR Y"]
    scores = (
        Score("small", Protocol("x"), psnr + off, levels={"scale": 2}),
        Score("elsewhere", Protocol("x"), 1.0, levels={"scale": 2}),
        Score("small", Protocol("published", published=True), 1.0, levels={"scale": 2}),
    )
    entry = dataclasses.replace(catalog.entries()["bt-gray-x2"], scores=scores)
    monkeypatch.setattr(catalog, "entries", lambda: {entry.name: entry})
    result = CliRunner().invoke(app, ["models", "verify", "bt-gray-x2", "--data", str(sets)])
    assert result.exit_code == code
    lines = result.stdout.splitlines()
    assert lines[1:] == [
        f"bt-gray-x2, small scale 2: {psnr:.3f} dB, listed {psnr + off:.3f}",
        "bt-gray-x2, elsewhere scale 2: skipped, dataset not found",
    ]
    message = f"measured {psnr:.3f} dB, but {psnr + off:.3f} dB is listed"
    assert (message in result.stderr) == bool(code)


def test_models_verify_measures_scores_on_real_pairs_again(
    sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scores of models for real photos have no level."""
    words = "denoise", "rain", "--data", str(sets), "--model", "irae", "--precision", "fp32"
    psnr = rows(*words)[1]["figures"]["PSNR"]
    scores = (Score("rain", Protocol("x"), psnr),)
    entry = dataclasses.replace(catalog.entries()["irae-color-denoise"], scores=scores)
    monkeypatch.setattr(catalog, "entries", lambda: {entry.name: entry})
    result = CliRunner().invoke(app, ["models", "verify", entry.name, "--data", str(sets)])
    assert result.exit_code == 0, result.stderr
    assert f"{entry.name}, rain: {psnr:.3f} dB, listed {psnr:.3f}" in result.stdout


@pytest.mark.parametrize(("angle", "views"), [(45, 1), (None, 8)])
def test_the_work_of_an_ensemble(sets: Path, angle: int | None, views: int) -> None:
    """A network for motion in one direction restores a photo in one view."""
    conditions = {"kernel": "motion", "size": 15} | ({"angle": angle} if angle else {})
    arch, params = "rednet:REDNet", {"channels": 3, "depth": 4, "width": 4}
    network = build(arch, params)
    header = Header(task="deblur", arch=arch, params=params, channels=3, conditions=conditions)
    checkpoint.save(network, Path("own.safetensors"), header)
    words = "deblur", "small", "--data", str(sets), "--model", "own.safetensors"
    one, several = (
        rows(*words, "--level", "kernel=motion", *more)[1]["figures"]["kFLOP/pixel"]
        for more in ([], ["--ensemble"])
    )
    assert several == pytest.approx(views * one)


def test_the_protocol_names_files_rounding_and_paint() -> None:
    for damage, words in (
        (Blur(style="photo"), "in linear light, and its file of 8 bits or JPEG"),
        (Blur(rounded=True), "rounded to 8 bits"),
        (Haze(style="photo"), "and its file of 8 bits or JPEG"),
        (Missing(blind=True), "pixels painted over as drawn"),
        (Missing(blind=True, style="photo"), "and its file of 8 bits or JPEG"),
    ):
        assert words in damage.describe()
        assert words not in type(damage)().describe()


def test_models_verify_needs_the_sets_of_the_scores(
    sets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = (Score("set5", Protocol("x"), 1.0, levels={"scale": 2}),)
    entry = dataclasses.replace(catalog.entries()["bt-gray-x2"], scores=scores)
    monkeypatch.setattr(catalog, "entries", lambda: {entry.name: entry})

    def verify(data: Path) -> Result:
        return CliRunner().invoke(app, ["models", "verify", "bt-gray-x2", "--data", str(data)])

    result = verify(Path("nowhere"))
    assert result.exit_code == 2 and "nowhere is not a folder" in result.stderr
    result = verify(sets)
    assert result.exit_code == 2 and "None of the datasets was found in data" in result.stderr
    (sets / "small").rename(sets / "set5")
    result = verify(sets)
    assert result.exit_code == 3 and "Set5 has 5 images, but data/set5 holds 3" in result.stderr


def test_published_results_are_separate_rows(tmp_path: Path, sets: Path) -> None:
    (sets / "small").rename(sets / "set5")
    found = rows("sr", "set5", "--data", str(sets), "--scale", "2", "--model", "bt", "--published")
    assert [row["model"] for row in found if row["measured"]] == ["input", "bt"]
    said = {row["model"]: row for row in found if not row["measured"]}
    assert said["RED30"]["figures"]["PSNR Y"] == 37.66 and "RED-Net" in said["RED30"]["note"]


def test_a_published_result_is_in_the_column_of_its_figure(sets: Path) -> None:
    (sets / "small").rename(sets / "live1")
    words = "deblock", "live1", "--data", str(sets), "--quality", "10", "--published"
    color, gray = run(*words), run(*words, "--gray")
    [title] = [line for line in color.stdout.splitlines() if line == "deblock, as published: luma"]
    _, table = color.stdout.split(f"{title}\n\n")
    # The PSNR of the measured models is over RGB.
    assert table.startswith("| set | level | model | PSNR Y | SSIM Y |")
    assert "| live1 | quality 10 | DRUNet | 29.79 | 0.8278 |" in table
    assert "| live1 luma | quality 10 | DRUNet | 29.79 | 0.8278 |" in gray.stdout
    assert "PSNR Y" not in gray.stdout.partition("PSNR and SSIM are")[0]


def test_published_color_results_are_not_shown_for_luma(sets: Path) -> None:
    (sets / "small").rename(sets / "cbsd68")
    words = "denoise", "cbsd68", "--data", str(sets), "--sigma", "25", "--published"
    assert any(not row["measured"] for row in rows(*words))
    assert all(row["measured"] for row in rows(*words, "--gray"))


def test_the_protocol_of_real_pairs_states_their_degradation(sets: Path) -> None:
    for side, size in (("hr", (33, 25)), ("lr", (16, 12))):
        (sets / "set5/x2" / side).mkdir(parents=True)
        Image.new("RGB", size, "gray").save(sets / "set5/x2" / side / "a.png")
    found = rows("sr", "set5", "--data", str(sets), "--scale", "2", "--model", "bt")
    assert found[0]["protocol"].startswith(
        "real pairs, reduced by MATLAB's imresize, bicubic and antialiased;"
        " clean sides cut to a multiple of the scale; results rounded"
    )


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["denoise", "nowhere", "--sigma", "25"], 2, "nowhere"),
        (["denoise", "small", "--sigma", "loud"], 2, "'loud'"),
        (["denoise", "small", "--level", "quality=3"], 2, "Unknown level 'quality' for denoise"),
        (
            ["denoise", "small", "--level", "luma=true"],
            2,
            "level 'luma' for denoise; available: sigma, noise",
        ),
        (["denoise", "small", "--level", "sigma=loud"], 2, "'loud'"),
        (
            ["derain", "small", "--level", "heaviness=loud"],
            2,
            "'heaviness loud' is not a valid level for derain",
        ),
        (["denoise", "small", "--level", "rounded=False"], 2, "not a valid rounded; expected"),
        (
            ["sr", "small", "--level", "size=64x64"],
            2,
            "level 'size' for sr; available: scale, damage.",
        ),
        (["denoise", "small", "--level", "sigma"], 2, "KEY=VALUE"),
        (["denoise", "small", "--sigma", "25", "--peer", "magic"], 2, "available: bm3d, nlm, tv"),
        (["denoise", "small", "--sigma", "25", "--model", "magic"], 3, "magic"),
        (["denoise", "small", "--sigma", "25", "--report", "x.pdf"], 2, ".html"),
        (
            ["denoise", "small", "--sigma", "25", "--report", "/proc/x.csv"],
            2,
            "Cannot write /proc/x.csv",
        ),
        (
            ["denoise", "small", "--sigma", "25", "--report", "folder.html"],
            2,
            "Cannot write folder.html: it is a folder",
        ),
    ],
)
def test_invalid_requests_are_refused_before_any_work(
    sets: Path, words: list[str], code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("folder.html").mkdir()
    monkeypatch.setattr(job, "restore_example", lambda *words: pytest.fail("it worked first"))
    result = run(*words, "--data", str(sets))
    assert (result.exit_code, result.stdout) == (code, "")
    assert said in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("library", "words"),
    [("bm3d", ["--peer", "nlm,bm3d"]), ("plotly.offline", ["--report", "x.html"])],
)
def test_a_missing_library_is_reported_before_any_work(
    sets: Path, monkeypatch: pytest.MonkeyPatch, library: str, words: list[str]
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setattr(job, "restore_example", lambda *words: pytest.fail("it worked first"))
    result = run("denoise", "small", "--data", str(sets), "--sigma", "25", *words)
    assert result.exit_code == 2 and "pip install 'restore-cli[" in result.stderr


def test_without_names_all_available_sets_are_measured(
    sets: Path, checkpoints: dict[int, Path]
) -> None:
    (sets / "small").rename(sets / "Set12")
    words = "denoise", "--sigma", "25", "--model", str(checkpoints[3])
    assert {row["set"] for row in rows(*words, "--data", str(sets))} == {"set12"}
    assert {row["set"] for row in rows(*words, "--data", str(sets / "Set12"))} == {"Set12"}
    result = run(*words)
    assert result.exit_code == 2 and "Cannot benchmark: no set is given. Name one" in result.stderr


def test_a_folder_without_sets_of_the_task_is_refused(sets: Path) -> None:
    (sets / "small").rename(sets / "Set12")
    result = run("derain", "--data", str(sets))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "data contains several sets: Set12, rain. Name one of them" in result.stderr


@pytest.mark.parametrize(
    "words", [["data/set12", "other/set12"], ["--data", "data", "--data", "other"]]
)
def test_sets_with_the_same_name_are_shown_by_path(
    sets: Path, checkpoints: dict[int, Path], words: list[str]
) -> None:
    (sets / "rain" / "clean").rename(sets / "set12")
    (sets.parent / "other").mkdir()
    (sets / "small").rename(sets.parent / "other" / "set12")
    found = rows("denoise", *words, "--sigma", "25", "--model", str(checkpoints[3]))
    assert [row["set"] for row in found] == ["data/set12"] * 2 + ["other/set12"] * 2
    assert found[0]["images"] != found[2]["images"]


def test_an_incomplete_set_is_warned_of_once(sets: Path, checkpoints: dict[int, Path]) -> None:
    words = f"denoise small set12 --data {sets} --sigma 15,25 --model {checkpoints[3]}".split()
    (sets / "rain" / "clean").rename(sets / "Set12")
    result = run(*words, "--json")
    assert result.exit_code == 0 and len(json.loads(result.stdout)) == 8
    assert result.stderr == f"warning: Set12 has 12 images, but {sets / 'Set12'} holds 3.\n"
    assert run(*words, "--quiet").stderr == ""


def test_a_negative_number_of_images_is_refused() -> None:
    result = run("denoise", "small", "--show", "-1")
    assert result.exit_code == 2 and "--show" in result.stderr


def test_known_sets_are_listed() -> None:
    result = run("sets")
    assert result.exit_code == 0
    head, *rows = (line.split("  ") for line in result.stdout.splitlines())
    assert head[0] == "set" and {"set12", "urban100", "rain100h"} <= {
        row[0].strip() for row in rows
    }
    assert "manga109: available from its authors on request" in result.stdout


def test_known_sets_say_whether_they_are_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    for place in ("data/Set12", "cache/sets/set5"):
        (tmp_path / place).mkdir(parents=True)
    lines = run("sets", "--data", str(tmp_path / "data")).stdout.splitlines()
    where = {line.split()[0]: line.split()[-1] for line in lines}
    assert (where["set12"], where["set5"], where["set14"]) == ("here", "here", "download")
    (found,) = (one for one in json.loads(run("sets", "--json").stdout) if one["name"] == "set5")
    assert (found["images"], found["path"]) == (5, str(tmp_path / "cache/sets/set5"))


def figure(task: str, name: str, level: dict[str, Any], **options: Any) -> dict[str, float]:
    """The scores of the degraded images of a standard set."""
    if not DATA.exists():
        pytest.skip("needs the standard sets")
    return measure(Request(task, (name,), (DATA,), levels=(level,), models=(), **options))


def measure(request: Request) -> dict[str, float]:
    """The scores of the degraded images of a request with one set."""
    [measured] = results(list(job.bench(request))).rows
    return {key.name: value for key, value in measured.figures.items() if value is not None}


@pytest.mark.parametrize(
    ("sigma", "noisy", "clipped"), [(15, 24.64, 24.70), (25, 20.20, 20.37), (50, 14.18, 14.79)]
)
def test_noise_matches_published_input_scores(
    sets: Path, sigma: float, noisy: float, clipped: float
) -> None:
    level = {"sigma": float(sigma)}
    assert figure("denoise", "set12", level)["PSNR"] == pytest.approx(noisy, abs=0.02)
    assert figure("denoise", "set12", level, clip=True)["PSNR"] == pytest.approx(clipped, abs=0.02)


def test_downscaling_and_jpeg_match_published_input_scores(sets: Path) -> None:
    assert figure("sr", "set5", {"scale": 4.0})["PSNR Y"] == pytest.approx(28.43, abs=0.02)
    for quality, expected in ((10.0, 27.82), (20.0, 30.12), (30.0, 31.48)):
        found = figure("deblock", "classic5", {"quality": quality}, gray=True)["PSNR"]
        assert found == pytest.approx(expected, abs=0.02)


def opencv(clean: Image.Image, size: tuple[int, int]) -> Image.Image:
    return Image.fromarray(cv2.resize(np.asarray(clean), size, interpolation=cv2.INTER_CUBIC))


def pillow(clean: Image.Image, size: tuple[int, int]) -> Image.Image:
    return clean.resize(size, Image.Resampling.BICUBIC)


def torches(clean: Image.Image, size: tuple[int, int]) -> Image.Image:
    planes = torch.from_numpy(np.asarray(clean, np.float32)).permute(2, 0, 1)[None]
    small = torch.nn.functional.interpolate(planes, size[::-1], mode="bicubic", antialias=True)
    return Image.fromarray(np.asarray(small[0].permute(1, 2, 0).clip(0, 255).round().byte()))


@pytest.mark.parametrize(
    ("reduce", "scale", "more"),
    [
        (opencv, 2, 0.77),
        (opencv, 4, -0.63),
        (pillow, 2, 0),
        (pillow, 4, 0),
        (torches, 2, 0),
        (torches, 4, 0),
    ],
)
def test_the_downscaling_library_affects_the_score(
    sets: Path, reduce: Callable[..., Image.Image], scale: int, more: float
) -> None:
    """Compared with MATLAB, OpenCV does not antialias; Pillow and torch are equivalent."""
    level = {"scale": float(scale)}
    theirs = figure("sr", "set5", level)["PSNR Y"]
    made = sets / "made"
    for side in ("hr", "lr"):
        (made / side).mkdir(parents=True)
    for path in (DATA / f"set5/x{scale}/hr").iterdir():
        clean = Image.open(path).convert("RGB")
        size = clean.width // scale, clean.height // scale
        clean = clean.crop((0, 0, size[0] * scale, size[1] * scale))
        clean.save(made / "hr" / path.name)
        reduce(clean, size).save(made / "lr" / path.name)
    found = measure(Request("sr", (str(made),), levels=(level,), models=()))
    assert found["images"] == 5
    assert found["PSNR Y"] - theirs == pytest.approx(more, abs=0.02 if more else 0.01)


def test_psnr_on_studio_range_luma_is_higher(sets: Path) -> None:
    noisy = figure("denoise", "cbsd68", {"sigma": 25.0})
    difference = noisy["PSNR Y"] - noisy["PSNR"]
    assert difference == pytest.approx(4.80, abs=0.02)  # white noise is weaker in luma
    random = np.random.default_rng(0)
    clean, image = (random.random((64, 64, 3), np.float32) for _ in range(2))
    gray = psnr(to_gray(image), to_gray(clean))
    found = score(image, clean, find_degradation("denoise")())
    assert found[PSNR_Y] - gray == pytest.approx(1.32, abs=0.01)


def test_full_range_gray_equals_matlab(sets: Path) -> None:
    """Tested with known values of rgb2gray and rgb2ycbcr for red, white and gray."""
    pixels = np.array([[[255, 0, 0], [255, 255, 255], [128, 128, 128]]], np.uint8)
    path = sets / "known.png"
    Image.fromarray(pixels).save(path)
    for full_range, expected in ((True, [76, 255, 128]), (False, [81, 235, 126])):
        image = read(path, Request("denoise", (), gray=True, full_range=full_range))
        assert np.rint(image * 255).ravel().tolist() == expected


def test_an_unknown_choice_of_a_level_is_refused() -> None:
    with pytest.raises(UsageError, match="'frogs' is not a valid rain"):
        list(job.bench(Request("derain", ("x",), levels=({"rain": "frogs"},))))


def test_a_hole_is_filled_during_the_warm_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
    (tmp_path / "one").mkdir()
    small.resize((200, 200), Image.Resampling.BICUBIC).save(tmp_path / "one/a.png")
    words = ["inpaint", str(tmp_path / "one"), "--level", "damage=hole", "--level", "share=0.05"]
    result = CliRunner().invoke(app, ["bench", *words, "--peer", "telea", "--json"])
    assert result.exit_code == 0, result.stderr
    assert [row["model"] for row in json.loads(result.stdout)] == ["input", "default", "telea"]
