"""The generated pages are what code and tables say; networks have the parameters that were
published.
"""

from __future__ import annotations

import inspect
import re
import runpy
import tomllib
from importlib import import_module
from pathlib import Path

import pytest

from restore_cli import archs
from restore_cli.archs import build
from restore_cli.models.catalog import Bundled, entries
from restore_cli.tasks import TASKS

DOCS = Path(__file__).parents[1] / "docs"
SCRIPTS = DOCS.parent / "scripts"
NETWORKS = tomllib.loads((DOCS / "networks.toml").read_text(encoding="utf-8"))


def test_the_page_of_networks_is_up_to_date() -> None:
    write = runpy.run_path(str(SCRIPTS / "networks_table.py"))["write"]
    assert (DOCS / "networks.md").read_text(encoding="utf-8") == write()


def test_the_page_of_commands_is_up_to_date() -> None:
    write = runpy.run_path(str(SCRIPTS / "cli_page.py"))["write"]
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == write(), (
        "run `python scripts/cli_page.py`"
    )


@pytest.mark.parametrize("arch", sorted({entry["arch"] for entry in NETWORKS.values()}))
def test_every_parameter_of_a_network_is_documented(arch: str) -> None:
    module, _, name = arch.partition(":")
    network = getattr(import_module(f"restore_cli.archs.{module}"), name)
    explained = runpy.run_path(str(SCRIPTS / "networks_table.py"))["explain"](network)
    assert all(explained.values())
    assert sorted(", ".join(explained).split(", ")) == sorted(inspect.signature(network).parameters)


def test_every_network_is_documented() -> None:
    assert archs.known().keys() == {entry["arch"] for entry in NETWORKS.values()}


def test_the_tables_of_models_are_up_to_date() -> None:
    pages = runpy.run_path(str(SCRIPTS / "models_table.py"))["write"]()
    assert {path.name for path in pages} == {"models.md", "public-models.md"}
    for path, page in pages.items():
        assert path.read_text(encoding="utf-8") == page, "run `python scripts/models_table.py`"


@pytest.mark.parametrize(
    "page",
    [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))],
    ids=lambda page: page.name,
)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    heads = {
        line.lstrip("# ").lower().replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith("#"):
            assert link[1:] in heads, link
        elif "://" not in link:
            assert (page.parent / link.partition("#")[0]).exists(), link


def test_the_tables_of_what_is_kept_are_up_to_date() -> None:
    write = runpy.run_path(str(SCRIPTS / "fidelity_table.py"))["write"]
    assert (DOCS / "fidelity.md").read_text(encoding="utf-8") == write(), (
        "run `python scripts/fidelity_table.py`"
    )


def test_every_guarantee_names_the_tests_that_hold_it() -> None:
    rows = re.findall(
        r"^\| (.+) \| (.+) \|$", (DOCS / "guarantees.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    guarantees = [row for row in rows if row[0] not in ("guarantee", "---")]
    assert len(guarantees) > 40
    for guarantee, held in guarantees:
        tests = re.findall(r"`(\w+\.py)::(\w+)`", held)
        assert tests and held.count("`") == 2 * len(tests), guarantee
        for file, name in tests:
            text = (DOCS.parent / "tests" / file).read_text(encoding="utf-8")
            assert f"def {name}(" in text, f"{guarantee} {file}::{name}"


@pytest.mark.parametrize("name", [name for name, entry in NETWORKS.items() if "published" in entry])
def test_networks_have_the_published_parameters(name: str) -> None:
    entry = NETWORKS[name]
    count = sum(
        parameter.numel() for parameter in build(entry["arch"], entry["params"]).parameters()
    )
    number, unit = float(entry["published"][:-1]), {"K": 1e3, "M": 1e6}[entry["published"][-1]]
    assert count == pytest.approx(number * unit, rel=0.02, abs=1000)


@pytest.mark.parametrize("task", TASKS)
def test_the_benchmarks_hold_every_bundled_model_of_a_task(task: str) -> None:
    page = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    section = page.partition(f"<!-- {task} -->")[2].partition("<!-- end -->")[0]
    rows = {
        line.split(" | ")[0].removeprefix("| ")
        for line in section.splitlines()
        if line.startswith("| ")
    }
    for entry in entries().values():
        if entry.task == task and isinstance(entry.source, Bundled):
            assert rows & {entry.name, entry.short, "default" if entry.default else entry.name}, (
                entry.name
            )


def test_a_benchmark_becomes_tables() -> None:
    tables = runpy.run_path(str(SCRIPTS / "benchmark_tables.py"))["tables"]

    def row(
        model: str, level: str, psnr: float, note: str = "", **other: object
    ) -> dict[str, object]:
        figures = {"PSNR": psnr, "SSIM": 0.5, "kFLOP/pixel": 151.2 if model == "house" else None}
        words = {"task": "denoise", "set": "set12", "protocol": "float", "measured": True}
        words |= {"best": note == "best", "source": None}
        return {**words, "model": model, "level": level, "figures": figures, "note": note, **other}

    told = {
        "note": "Mao et al., Title, with comma, 2016, Table 1; old",
        "source": ("Mao et al., Title, with comma, 2016", "Table 1; old"),
        "protocol": "theirs",
        "measured": False,
    }
    rows = [
        row("input", "sigma 15", 24.5),
        row("house", "sigma 15", 33.0, "best"),
        row("house", "sigma 25", 31.0),
        row("RED30", "sigma 25", 32.0, **told),
        row("old", "sigma 25", 30.0, **told, figures={"PSNR": 30.0, "SSIM": None}),
    ]
    assert "\n".join(tables(rows)).splitlines() == [
        "Measured: float.",
        "| set12 | sigma 15 | sigma 25 |  |",
        "| --- | ---: | ---: | --- |",
        "| input | 24.50 / 0.5000 |  |  |",
        "| house | **33.00 / 0.5000** | 31.00 / 0.5000 | 151 kFLOP/pixel |",
        "As published:",
        "| set12 | sigma 25 |  |",
        "| --- | ---: | --- |",
        "| RED30 | 32.00 / 0.5000 | Mao et al., Table 1 |",
        "| old | 30.00 | Mao et al., Table 1 |",
        "- Mao et al., Title, with comma, 2016, Table 1; old: theirs",
    ]
