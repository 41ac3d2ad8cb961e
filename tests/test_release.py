"""What a release needs: dated changes, a citation, and workflows that are valid."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "release.py"
FILES = ("CHANGELOG.md", "CITATION.cff", "pyproject.toml")
RELEASE = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)


def validate(schema: str, *paths: Path) -> None:
    pytest.importorskip("check_jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    answer = subprocess.run(
        [*command, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_release_is_written_into_the_files(tmp_path: Path) -> None:
    for name in FILES:
        shutil.copy(ROOT / name, tmp_path)
    log = tmp_path / "CHANGELOG.md"
    released = RELEASE.findall(log.read_text(encoding="utf-8"))
    log.write_text(
        log.read_text(encoding="utf-8").replace(
            "## [Unreleased]\n", "## [Unreleased]\n\n- A change.\n"
        ),
        encoding="utf-8",
    )
    prepare = runpy.run_path(str(SCRIPT))["prepare"]
    prepare(tmp_path, "7.8.9", date(2030, 1, 2))
    text = log.read_text(encoding="utf-8")
    assert RELEASE.findall(text) == [("7.8.9", "2030-01-02"), *released]
    assert "## [Unreleased]\n\n## [7.8.9] - 2030-01-02\n\n- A change.\n" in text
    citation = tmp_path / "CITATION.cff"
    assert citation.read_text(encoding="utf-8").count("version: 7.8.9\n") == 1
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["hatch"]["version"]["fallback-version"] == "7.8.10.dev0"
    for version, reason in {
        "7.8.9": "has a release",
        "8": "three",
        "8.0.0": "no unreleased",
    }.items():
        with pytest.raises(ValueError, match=reason):
            prepare(tmp_path, version, date(2030, 1, 2))
    validate("citation-file-format", citation)


def test_the_citation_is_of_the_last_release() -> None:
    released = RELEASE.findall((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"))
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    stated = re.findall(r"^version: (.+)\ndate-released: (.+)$", text, re.MULTILINE)
    assert stated == released[:1]
    validate("citation-file-format", ROOT / "CITATION.cff")


def test_the_workflows_are_valid() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert {path.stem for path in workflows} == {"docs", "release", "tests"}
    for path in workflows:
        text = path.read_text(encoding="utf-8")
        assert "\npermissions:\n  contents: read\n" in text, path
        used = re.findall(r"uses: (\S+)", text)
        assert used and all(re.search(r"@(v\d+|release/v\d+|[0-9a-f]{40})$", name) for name in used)
    validate("github-workflows", *workflows)
