"""The generated pages are what code and tables say; networks have the parameters that were published."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path

import pytest

from restore_cli.archs import build

DOCS = Path(__file__).parents[1] / "docs"
NETWORKS = tomllib.loads((DOCS / "networks.toml").read_text(encoding="utf-8"))


def test_the_page_of_networks_is_up_to_date() -> None:
    write = runpy.run_path(str(DOCS / "networks.py"))["write"]
    assert (DOCS / "networks.md").read_text(encoding="utf-8") == write()


def test_the_tables_of_models_are_up_to_date() -> None:
    pages = runpy.run_path(str(DOCS / "models.py"))["write"]()
    assert {path.name for path in pages} == {"README.md", "models.md"}
    for path, page in pages.items():
        assert path.read_text(encoding="utf-8") == page, "run `python docs/models.py`"


@pytest.mark.parametrize("name", [name for name, entry in NETWORKS.items() if "published" in entry])
def test_networks_have_the_published_parameters(name: str) -> None:
    entry = NETWORKS[name]
    count = sum(parameter.numel() for parameter in build(entry["arch"], entry["params"]).parameters())
    number, unit = float(entry["published"][:-1]), {"K": 1e3, "M": 1e6}[entry["published"][-1]]
    assert count == pytest.approx(number * unit, rel=0.02, abs=1000)
