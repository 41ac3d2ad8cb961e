"""The documentation as a site, and README.md as its first page."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

import restore_cli
from restore_cli.degradations import DEGRADATIONS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOOKS = ROOT / "scripts" / "site_pages.py"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site; a link, an anchor or a page that leads nowhere is an error."""
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return folder


def test_the_site_loads_nothing_from_other_servers(site: Path) -> None:
    loaded = r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"(?:https?:)?//|<link\b[^>]*\bhref=\"http"
    styles = r"url\([\"']?(?:https?:)?//|@import"
    for path in site.rglob("*"):
        if path.suffix in (".html", ".css"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(loaded if path.suffix == ".html" else styles, text), path


def test_the_site_has_the_files_of_the_repository(site: Path) -> None:
    first = (site / "index.html").read_text(encoding="utf-8")
    for picture in re.findall(r"\]\(docs/(pictures/\w+\.jpg)\)", README):
        assert f'src="{picture}"' in first and (site / picture).is_file()
    assert "Unreleased" in (site / "changelog.html").read_text(encoding="utf-8")


def test_the_site_describes_what_is_public(site: Path) -> None:
    page = (site / "python.html").read_text(encoding="utf-8")
    described = {
        name.rpartition(".")[2] for name in re.findall(r'<h3 id="(restore_cli\.[\w.]+)"', page)
    }
    damages = {value.partition(":")[2] for value in DEGRADATIONS.values()}
    assert described == {*restore_cli.__all__} | damages
    assert "float32, H x W x C in [0, 1]" in page


def test_links_become_links_between_pages() -> None:
    pytest.importorskip("mkdocs")
    adapt = runpy.run_path(str(HOOKS))["adapt"]
    text = "[a](docs/guide.md#noise) [b](SECURITY.md) [c](https://example.org/docs/d.md) [e](#here)"
    there = "[a](guide.md#noise) [b](security.md) [c](https://example.org/docs/d.md) [e](#here)"
    assert adapt(text, "") == there
    assert adapt("[f](../benchmarks/README.md) [g](cli.md)", "docs") == "[f](speed.md) [g](cli.md)"
    assert adapt("```sh parse-only\nrestore\n```", "") == "```sh\nrestore\n```"


def test_the_readme_is_short_and_has_small_pictures() -> None:
    assert len(README.splitlines()) < 100
    pictures = [ROOT / name for name in re.findall(r"\]\((docs/pictures/\w+\.jpg)\)", README)]
    assert len(pictures) == 7
    assert sum(path.stat().st_size for path in pictures) < 400_000
