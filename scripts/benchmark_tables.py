"""Writes the results of `restore bench suite bundled --report FILE.json` into docs/benchmarks.md.

    python scripts/benchmark_tables.py FILE.json...

Between the markers of each task, there is one table per set with measured results, and one with
published results.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from restore_cli.degradations import find_degradation
from restore_cli.report.figures import PSNR, PSNR_Y, SSIM, SSIM_Y, WORK

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

Row = Mapping[str, Any]


def tables(rows: Sequence[Row]) -> Iterator[str]:
    """The tables of a task: measured results by protocol and set, then published results."""
    measured = [row for row in rows if row["measured"]]
    papers = [row for row in rows if not row["measured"] and cell(row)]
    for protocol in unique(row["protocol"] for row in measured):
        yield f"Measured: {protocol}."
        own = [row for row in measured if row["protocol"] == protocol]
        for name in unique(row["set"] for row in own):
            yield table(name, [row for row in own if row["set"] == name], costs)
    if papers:
        yield "As published:"
    for name in unique(row["set"] for row in papers):
        yield table(name, [row for row in papers if row["set"] == name], source)
    sources = unique(f"- {row['note']}: {row['protocol']}" for row in papers)
    if sources:
        yield "\n".join(sources)


def table(name: str, rows: Sequence[Row], last: Callable[[Sequence[Row]], str]) -> str:
    """A table of models against levels; bold where `restore bench` declares a best model."""
    levels = unique(row["level"] for row in rows)
    lines = [[name, *(level or "real pairs" for level in levels), ""]]
    lines.append(["---", *["---:"] * len(levels), "---"])
    for key in unique((row["model"], row["measured"] or row["note"]) for row in rows):
        own = {
            row["level"]: row
            for row in rows
            if (row["model"], row["measured"] or row["note"]) == key
        }
        cells = [cell(own[level]) if level in own else "" for level in levels]
        lines.append([key[0], *cells, last(list(own.values()))])
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def costs(rows: Sequence[Row]) -> str:
    """The costs of a model over the levels, "447, 201, 114 kFLOP/pixel"."""
    found = unique(row["figures"].get(WORK.name) for row in rows)
    return f"{', '.join(f'{cost:,.0f}' for cost in found)} kFLOP/pixel" if all(found) else ""


def source(rows: Sequence[Row]) -> str:
    """The source of a published result, "Mao et al., Table 9"."""
    paper, where = rows[0]["source"]
    return f"{paper.partition(',')[0]}, {re.split('[,;]', where)[0]}"


def cell(row: Row) -> str:
    """PSNR and SSIM of a row, "34.61 / 0.9712"."""
    figures = row["figures"]
    on_luma = find_degradation(row["task"]).headline_metric.luma and PSNR_Y.name in figures
    shown = (PSNR_Y, SSIM_Y) if on_luma else (PSNR, SSIM)
    missing = math.inf if row["measured"] else None  # infinity is no number of JSON
    values = {name: missing if value is None else value for name, value in figures.items()}
    text = " / ".join(filter(None, (one.format(values.get(one.name)) for one in shown)))
    return f"**{text}**" if row["best"] else text


def unique(values: Iterable[Any]) -> list[Any]:
    """The values without duplicates, in their original order."""
    return list(dict.fromkeys(values))


def main() -> None:
    """Rewrite the page."""
    rows = [
        row for path in sys.argv[1:] for row in json.loads(Path(path).read_text(encoding="utf-8"))
    ]
    page = PAGE.read_text(encoding="utf-8")
    for task in unique(row["task"] for row in rows):
        start, end = f"<!-- {task} -->\n", "<!-- end -->"
        head, _, rest = page.partition(start)
        made = "\n\n".join(tables([row for row in rows if row["task"] == task]))
        page = f"{head}{start}\n{made}\n\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
