"""`restore study`: a sweep of trainings, its table and its chart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner, Result

from restore_cli.archs import build
from restore_cli.cli import app
from restore_cli.errors import UsageError
from restore_cli.report.study import Chart, Mark, to_markdown, to_svg
from restore_cli.training import study as job
from restore_cli.training import sweep
from restore_cli.training.progress import Beat

TINY = {"batch": 1, "patch": 8, "params": {"width": 2}, "precision": "fp32", "holdout": 2}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a working folder with two small images in data/."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    random = np.random.default_rng(0)
    for name in "ab":
        Image.fromarray(random.integers(0, 256, (16, 16), np.uint8)).save(
            tmp_path / f"data/{name}.png"
        )
    return tmp_path


def study(*words: str) -> Result:
    tiny = ["batch=1", "patch=8", "params={ width = 2 }", "precision=fp32", "holdout=2"]
    settings = [part for word in tiny for part in ("--set", word)]
    return CliRunner().invoke(
        app, ["study", *words, "--steps-each", "1", "--device", "cpu", *settings]
    )


@pytest.mark.parametrize("name", sweep.studies())
def test_the_points_of_a_study_can_be_trained(name: str) -> None:
    found = sweep.find(name)
    points = list(sweep.points(found, {}))
    assert len(points) == len(found.curves) * len(next(iter(found.vary.values())))
    assert len({(point.curve, point.x) for point in points}) == len(points)
    assert len({json.dumps([point.recipe.params, point.recipe.patch]) for point in points}) == len(
        points
    )


def test_the_share_of_activations_is_compared_at_equal_parameters() -> None:
    points = list(sweep.points(sweep.find("activations-share"), {}))
    assert all(abs(point.parameters - 99_136) < 1500 for point in points)
    assert points[0].x == 0 and 24 < points[6].x < 25
    assert [point.x for point in points] == sorted(point.x for point in points)


def test_only_skips_pass_details_around_the_vector() -> None:
    """RED-Net, figure 5."""
    seen = []
    for point in sweep.points(sweep.find("rednet-vector"), {}):
        network = build(point.recipe.arch, {**point.recipe.params, "width": 16})
        nn.init.zeros_(network.encoder[-1].weight)
        image = torch.rand(2, 1, 243, 243)
        with torch.no_grad():
            first, second = network(image)
        seen.append(bool((first - second).abs().max() > 0))
    assert seen == [False, True]


def test_a_study_writes_a_figure_and_is_not_repeated(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = study("rednet-depth", "--data", "data", "--seeds", "2")
    assert result.exit_code == 0, result.stderr
    assert "12/12  skips of step 2, layers: 30, seed 1: " in result.stderr
    out = folder / "studies/rednet-depth"
    assert (
        result.stdout.count("\n| without skips | ")
        == result.stdout.count("\n| skips of step 2 | ")
        == 3
    )
    assert "PSNR in dB on held-out images, sigma 70. 1 steps for each training" in result.stdout
    assert {path.suffix for path in out.glob("rednet-depth.*")} == {".html", ".svg", ".md", ".json"}
    assert len(list(out.glob("*.safetensors"))) == len(list(out.glob("*.csv"))) == 12
    told = json.loads((out / "rednet-depth.json").read_text())
    assert [len(mark["scores"]) for mark in told["marks"]] == [2] * 6
    root = ElementTree.parse(out / "rednet-depth.svg").getroot()
    assert len(root.findall(".//{*}circle/{*}title")) == 6
    page = (out / "rednet-depth.html").read_text()
    assert "<svg" in page and "without skips the PSNR falls" in page

    monkeypatch.setattr(job, "train", lambda *_: pytest.fail("trained what was there"))
    again = study("rednet-depth", "--data", "data", "--seeds", "2")
    assert again.exit_code == 0 and again.stdout == result.stdout


def test_an_interrupted_study_is_resumed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = job.Request(
        "rednet-kernel", folder / "data", folder / "out", steps=3, device="cpu", keys=TINY
    )

    def stop(done: int, beat: Beat) -> None:
        if (done, beat.step) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(job.study(request, stop))
    assert len(json.loads((folder / "out/points.json").read_text())) == 1

    seen: list[tuple[int, int]] = []
    keep: Callable[[int, Beat], None] = lambda done, beat: seen.append((done, beat.step))  # noqa: E731
    *_, last = job.study(request, keep)
    assert min(seen) == (1, 3) and (last.done, last.total) == (4, 4)  # its third step was the next
    assert not list((folder / "out").glob("*.state.safetensors"))


def test_a_damaged_list_of_points_is_reported(folder: Path) -> None:
    (folder / "studies/rednet-depth").mkdir(parents=True)
    (folder / "studies/rednet-depth/points.json").write_text("{")
    result = study("rednet-depth", "--data", "data")
    assert (
        result.exit_code == 1
        and "points.json: it is damaged. Delete it or choose another" in result.stderr
    )


def test_invalid_studies_are_refused(folder: Path) -> None:
    listed = CliRunner().invoke(app, ["study", "--list"])
    assert "xunit-tradeoff: " in listed.stdout and "(xUnit, figure 3)" in listed.stdout
    for words, said in (
        ([], "no name given"),
        (["x"], "Unknown study 'x'"),
        (["rednet-depth", "--minutes-each", "1"], "--minutes-each together with --steps-each"),
        (["rednet-depth", "--set", "x"], "'x' is not a valid --set"),
        (["rednet-depth", "--set", "x=1"], "unknown key 'x'"),
        (["rednet-patch", "--set", "patch=40"], "Cannot set patch: the study varies it."),
        (["rednet-depth", "--set", "seed=5"], "Cannot set seed. Use --seeds"),
        (["rednet-filters"], "Cannot set width: the study varies it."),
    ):
        result = study(*words)
        assert result.exit_code == 2 and said in result.stderr
    with pytest.raises(UsageError, match="Unknown study"):
        sweep.find("x")


def test_a_chart_shows_means_and_spread() -> None:
    marks = [
        Mark("a & b", "3", 3, 49_025, (28.0, 28.2), 100, 8),
        Mark("a & b", "9", 9, 303_233, (28.5,), 90, 8),
    ]
    words = ["Title", "xUnit, figure 3", "what", "parameters", "layers", "PSNR in dB", "note"]
    chart = Chart(*words, marks=tuple(marks), fixed=False)
    table = to_markdown(chart)
    assert "| a & b | 3 | 49,025 | 28.10 | 28.00 to 28.20 | 100 | 8.0 |" in table
    assert "| 28.50 | one seed |" in table
    root = ElementTree.fromstring(to_svg(chart))
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Title", "PSNR in dB", "a & b", "4", "8", "28.2", "28.4"} <= set(texts)
    line = root.findall(".//{*}g/{*}line")[0]
    assert float(line.get("y1", 0)) < float(line.get("y2", 0))
