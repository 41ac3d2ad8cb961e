"""`restore bench suite`: tables of several tasks, on the available sets."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli.bench.baselines import baselines
from restore_cli.bench.methods import ModelMethod
from restore_cli.bench.request import Request
from restore_cli.bench.run import BenchResult, Progress, bench
from restore_cli.bench.suites import Part, plan, suites
from restore_cli.cli import app
from restore_cli.datasets.known import known_sets
from restore_cli.degradations import MEASURES, find_degradation
from restore_cli.engine import Settings
from restore_cli.errors import UsageError
from restore_cli.models import catalog
from restore_cli.models.catalog import Bundled
from restore_cli.recipes import read_keys

PARTS = [
    pytest.param(part, id=f"{name}: {part.about}")
    for name, parts in suites().items()
    for part in parts
]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three small images called BSD68."""
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "data/BSD68").mkdir(parents=True)
    random = np.random.default_rng(0)
    for name in "abc":
        small = Image.fromarray(random.integers(0, 256, (6, 8), np.uint8))
        small.resize((32, 24), Image.Resampling.BICUBIC).save(tmp_path / f"data/BSD68/{name}.png")
    return tmp_path / "data"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["bench", *words])


@pytest.mark.parametrize("part", PARTS)
def test_a_part_names_existing_levels_models_and_sets(part: Part) -> None:
    damage = find_degradation(part.task)
    for name, values in part.levels.items():
        for value in values if isinstance(values, list) else [values]:
            damage(**{name: value})
    for model in part.models if part.sets else ():
        entry = catalog.choose(
            None if model == "default" else model, part.task, 1 if part.gray else 3
        )
        assert isinstance(entry, catalog.Entry)
        assert isinstance(entry.source, Bundled)
    assert set(part.baselines) <= set(baselines(part.task))
    assert set(part.sets) <= set(known_sets())


def test_every_bundled_model_is_measured() -> None:
    asked = {(part.task, model) for part in suites()["bundled"] for model in part.models}
    for entry in catalog.entries().values():
        if entry.task in MEASURES:  # benchmarks/noise_level.py does
            continue
        names = {entry.name, entry.short, "default" if entry.default else ""}
        assert not isinstance(entry.source, Bundled) or any(
            (entry.task, name) in asked for name in names
        )


def test_a_suite_measures_the_available_sets_and_reports_the_others(
    data: Path, tmp_path: Path
) -> None:
    report = tmp_path / "papers.json"
    result = run("suite", "papers", "--data", str(data), "--report", str(report))
    assert result.exit_code == 0, result.stderr
    assert "set12 is not available." in result.stderr
    assert "xdncnn" in result.stdout and "xUnit" in result.stdout
    rows = json.loads(report.read_text())
    measured = [(row["level"], row["model"]) for row in rows if row["measured"]]
    models = ("input", "default", "red30", "nlm", "tv")
    assert measured[:10] == [(f"sigma {sigma}", model) for sigma in (10, 30) for model in models]
    assert measured[-3:] == [("sigma 25", model) for model in ("input", "default", "xdncnn")]
    assert any(row["model"] == "xDnCNN" and not row["measured"] for row in rows)


def test_a_suite_reports_what_is_missing_of_each_table(data: Path) -> None:
    command = run("suite", "papers", "--data", str(data), "--json")
    assert command.exit_code == 0, command.stderr
    for table in (
        "RED-Net, table 2",
        "RED-Net, table 10",
        "BT, table 4",
        "IRAE, table 1",
        "InfoAccum, table III",
    ):
        assert f"warning: {table}, " in command.stderr
    assert "DnCNN-S is not bundled (recipe xunit/denoise-50:dncnn-s)" in command.stderr
    published = {
        (row["level"], row["model"]) for row in json.loads(command.stdout) if not row["measured"]
    }
    assert {("sigma 25", "DnCNN-S"), ("sigma 50", "xDnCNN")} <= published


def test_a_suite_runs_for_the_given_tasks() -> None:
    common = Request("", (), (), offline=True)
    with pytest.raises(UsageError, match=r"None of the sets"):
        plan("papers", common, ["derain", "sr"])
    with pytest.raises(UsageError, match=r"suite 'bundled' for train: it has no benchmark of"):
        plan("bundled", common, ["train"])


def test_the_command_runs_the_benchmarks_of_a_task(data: Path) -> None:
    result = run("suite", "papers", "--task", "denoise,sr", "--data", str(data), "--json")
    assert result.exit_code == 0, result.stderr
    assert {row["task"] for row in json.loads(result.stdout)} == {"denoise"}
    assert "BT, table 4, " in result.stderr
    assert "RED-Net, table 9" not in result.stderr


def test_the_recipes_named_in_a_suite_exist() -> None:
    text = " ".join(part.missing for part in suites()["papers"])
    names = re.findall(r"[a-z]+/[a-z]+-[\w.-]*[\w](?:\:[a-z-]+)?", text)
    assert len(names) > 15
    for name in names:
        assert read_keys(name)


def test_a_part_sets_the_options_of_its_table() -> None:
    bt = next(part for part in suites()["papers"] if part.about.startswith("BT, table 4"))
    red = next(part for part in suites()["papers"] if part.ensemble)
    assert bt.clip and bt.gray and red.models == ("red30",)
    settings = Settings("cpu", ensemble=True)
    assert ModelMethod("red30", "sr", settings, offline=True).name == "red30, ensemble"


def test_an_interrupted_suite_resumes(data: Path) -> None:
    requests, _ = plan("papers", Request("", (), (data,)))
    first, *_, second = requests
    whole = list(bench(first, second))
    assert isinstance(whole[-1], BenchResult)
    whole[-1].discard()
    cut = bench(first, second)
    last = next(
        moment for moment in cut if isinstance(moment, Progress) and moment.done == len(whole) - 4
    )
    cut.close()
    again = list(bench(first, second))
    assert {moment.kept for moment in again if isinstance(moment, Progress)} == {last.done}
    assert isinstance(again[-1], BenchResult)
    assert [row.images for row in again[-1].rows] == [row.images for row in whole[-1].rows]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["suite", "nonsense"], "Unknown suite 'nonsense'"),
        (["suite", "papers", "--task", "tests"], "Unknown task 'tests'"),
        (["suite", "papers"], "None of the sets of suite 'papers' is available"),
    ],
)
def test_invalid_options_are_refused(data: Path, words: list[str], sentence: str) -> None:
    result = run(*words)
    assert result.exit_code == 2
    assert sentence in result.stderr
