"""Prepares a release: dates its changes in CHANGELOG.md, and states it in CITATION.cff.

    python scripts/release.py 0.2.0

It prints the commands that commit and tag it. The tag determines the version of the package; the
`fallback-version` of pyproject.toml, for copies without git, becomes the next one.
"""

from __future__ import annotations

import re
import sys
from datetime import date
from pathlib import Path

ROOT = Path(__file__).parents[1]
UNRELEASED = "## [Unreleased]\n"


def prepare(root: Path, version: str, day: date) -> None:
    """Write a release into the files of a checkout.

    Args:
        root: the folder of pyproject.toml.
        version: three numbers, such as 0.2.0.
        day: the date of the release.

    Raises:
        ValueError: the version is not three numbers or was released before, or nothing changed.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"{version!r} is not a version; expected three numbers, such as 0.2.0")
    log = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if f"\n## [{version}] - " in log:
        raise ValueError(f"CHANGELOG.md has a release {version}")
    head, found, changes = log.partition(UNRELEASED)
    if not found or not changes.partition("\n## ")[0].strip():
        raise ValueError("CHANGELOG.md has no unreleased changes")
    dated = f"{head}{UNRELEASED}\n## [{version}] - {day.isoformat()}\n{changes}"
    _write(root / "CHANGELOG.md", dated)

    citation = (root / "CITATION.cff").read_text(encoding="utf-8")
    lines = [
        line
        for line in citation.splitlines()
        if not line.startswith(("version:", "date-released:"))
    ]
    lines += [f"version: {version}", f"date-released: {day.isoformat()}", ""]
    _write(root / "CITATION.cff", "\n".join(lines))

    major, minor, patch = version.split(".")
    project = (root / "pyproject.toml").read_text(encoding="utf-8")
    following = f'fallback-version = "{major}.{minor}.{int(patch) + 1}.dev0"'
    _write(root / "pyproject.toml", re.sub(r'fallback-version = "[^"]*"', following, project))


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("Usage: python scripts/release.py VERSION")
    prepare(ROOT, sys.argv[1], date.today())
    print(f"git commit -am 'Release {sys.argv[1]}' && git tag -a v{sys.argv[1]} -m {sys.argv[1]}")
