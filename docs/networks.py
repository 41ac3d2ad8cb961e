"""Writes networks.md, the table of the papers' networks, from networks.toml and the networks themselves.

    python docs/networks.py

A test fails when the page is stale.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

from restore_cli.archs import build

PAGE = Path(__file__).with_suffix(".md")
HEAD = """# The networks of the papers

Made by docs/networks.py from docs/networks.toml; `restore train --arch ARCH --param KEY=VALUE` trains one.
The receptive field is the side, in input pixels, of the square that an output pixel can see.

| network | arch | params | parameters | published | receptive field | paper |
|---|---|---|---|---|---|---|
"""


def write() -> str:
    """The page."""
    rows = []
    for name, entry in tomllib.loads(PAGE.with_suffix(".toml").read_text(encoding="utf-8")).items():
        network = build(entry["arch"], entry["params"])
        cells = [
            name,
            entry["arch"],
            " ".join(f"{key}={value}".replace(" ", "") for key, value in entry["params"].items()),
            f"{sum(parameter.numel() for parameter in network.parameters()):,}",
            entry.get("published", ""),
            str(2 * network.geometry.radius + 1) if network.geometry.local else "all",
            entry["paper"],
        ]
        rows.append(f"| {' | '.join(cells)} |\n")
    return HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(write(), encoding="utf-8")
