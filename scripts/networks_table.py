"""Writes networks.md, the tables of the papers' networks, from networks.toml and the networks
themselves.

    python scripts/networks_table.py

A test fails when the page is stale.
"""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

from restore_cli.archs import build

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
HEAD = """# The networks of the papers

Made by scripts/networks_table.py from docs/networks.toml. To train one:
`restore train --arch ARCH --param KEY=VALUE`.
The receptive field is the side, in input pixels, of the square that an output pixel can see.

| network | arch | params | parameters | published | receptive field | paper |
|---|---|---|---|---|---|---|
"""
PARAMETERS = """
## Their parameters

| arch | parameter | default | what it is |
|---|---|---|---|
"""


def explain(network: type) -> dict[str, str]:
    """What a class says of its arguments, by their names as they stand there, "depth, width"."""
    words = (inspect.getdoc(network) or "").partition("Args:\n")[2].partition("\n\n")[0]
    entries = re.split(r"\n(?=    \w)", words)
    parts = (entry.partition(": ") for entry in entries)
    return {name.strip(): " ".join(what.split()) for name, _, what in parts}


def write() -> str:
    """The page."""
    rows, networks = [], {}
    for name, entry in tomllib.loads(PAGE.with_suffix(".toml").read_text(encoding="utf-8")).items():
        network = build(entry["arch"], entry["params"])
        networks[entry["arch"]] = type(network)
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
    rows.append(PARAMETERS)
    for arch, kind in networks.items():
        known = inspect.signature(kind).parameters
        for names, what in explain(kind).items():
            defaults = ", ".join(_show(known[name].default) for name in names.split(", "))
            words = what.replace("|", r"\|")
            rows.append(f"| {arch} | {names} | {defaults} | {words} |\n")
    return HEAD + "".join(rows)


def _show(default: object) -> str:
    """As `--param` takes it."""
    words = str(list(default) if isinstance(default, tuple) else default)
    return words.lower() if isinstance(default, bool) else words.replace(" ", "")


if __name__ == "__main__":
    PAGE.write_text(write(), encoding="utf-8")
