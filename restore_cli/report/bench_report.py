"""Writes the results of a benchmark as JSON, CSV, Markdown, TOML or HTML."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from restore_cli.atomic import check_place, write_text
from restore_cli.report.bench_page import plotly, render_bench
from restore_cli.report.comparison import Comparison
from restore_cli.report.escaping import csv_cell, markdown_cell
from restore_cli.report.figures import WORST, Figure
from restore_cli.report.row import Origin, Row
from restore_cli.report.scores import to_score

_LEGEND = (
    "PSNR and SSIM are measured over all RGB channels, or the single channel of gray images. Y is"
    " BT.601 luma of studio range in float; its PSNR is 1.32 dB higher than that of full-range"
    " gray. SSIM uses a Gaussian window of 11 x 11 pixels with sigma 1.5, population covariance,"
    " and the mean over channels. For super-resolution, clean images are first cropped to a"
    " multiple of the scale. Seconds are the mean per image. Median and worst refer to the PSNR by"
    " which models are compared."
)


def columns(rows: Sequence[Row]) -> list[Figure]:
    """The figures that at least one row has."""
    return list(
        dict.fromkeys(
            key for row in rows for key, value in row.figures.items() if value is not None
        )
    )


def to_json(rows: Sequence[Row], origin: Origin) -> str:
    """All rows at full precision, with the figures of each image.

    Infinite and missing values become null.
    """

    def finite(figures: Mapping[str, Any]) -> dict[str, Any]:
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in figures.items()
        }

    table = [
        {**_keys(row), **_notes(row)}
        | {"best": row.best, "source": row.source}
        | {"measured": row.measured, "metrics": _LEGEND if row.measured else ""}
        | {"figures": finite({key.name: value for key, value in row.figures.items()})}
        | {"images": {name: finite(figures) for name, figures in row.details.items()}}
        | ({"sha256": row.files, "origin": asdict(origin)} if row.measured else {})
        for row in rows
    ]
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def _keys(row: Row) -> dict[str, str]:
    """The columns before the figures."""
    return {
        "task": row.task,
        "set": row.set_title,
        "level": row.level_title,
        "model": row.model,
        "protocol": row.protocol,
    }


def _notes(row: Row) -> dict[str, str]:
    """The columns after the figures."""
    return {"note": row.note, "about": row.about}


def _csv(rows: Sequence[Row], origin: Origin) -> str:
    figures = columns(rows)
    source = asdict(origin)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    keys = ("task", "set", "level", "model", "protocol", "measured")
    names = [figure.name for figure in figures]
    table.writerow([*keys, *names, "worst image", "note", "about", "sha256", *source])
    for row in rows:
        values = [row.figures.get(figure) for figure in figures]
        files = " ".join(f"{name}={sha256}" for name, sha256 in row.files.items())
        origins = source.values() if row.measured else [""] * len(source)
        cells = [*_keys(row).values(), row.measured, *values, row.worst, *_notes(row).values()]
        table.writerow(map(csv_cell, [*cells, files, *origins]))
    return text.getvalue()


def to_markdown(rows: Sequence[Row], origin: Origin) -> str:
    """One table per protocol, published results last, followed by the legend."""
    parts = []
    for title, group in by_protocol(rows):
        keys = columns(group)
        names = [key.name for key in keys]
        lines = [
            ["set", "level", "model", *names, ""],
            ["---"] * 3 + ["---:"] * len(keys) + ["---"],
        ]
        for row in group:
            cells = {key: key.format(row.figures.get(key)) for key in keys}
            if row.worst and WORST in cells:
                cells[WORST] += f", {row.worst}"
            lines.append([row.set_title, row.level_title, row.model, *cells.values(), row.note])
        table = "".join("| " + " | ".join(map(markdown_cell, line)) + " |\n" for line in lines)
        parts.append(f"{markdown_cell(title)}\n\n{table}")
    return "\n".join([*parts, *(f"{markdown_cell(line)}\n" for line in legend(rows, origin))])


def legend(rows: Sequence[Row], origin: Origin) -> list[str]:
    """Definitions of the figures, a line for each library and checkpoint, and the origin.

    A library has a line such as "tv: scikit-image 0.25.2, ...".
    """
    libraries = dict.fromkeys(f"{row.model}: {row.about}." for row in rows if row.about)
    files = {name: sha256 for row in rows for name, sha256 in row.files.items()}
    return [
        _LEGEND,
        *libraries,
        *(f"{name}: sha256 {sha256}." for name, sha256 in files.items()),
        str(origin),
    ]


def by_protocol(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """Groups of rows that may be compared, by what they have in common; published ones last."""
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: not row.measured):
        groups.setdefault(row.comparison_group, []).append(row)
    return list(groups.items())


def _toml(rows: Sequence[Row], origin: Origin) -> str:
    """The measured `scores` of each model, as in weights.toml; comments state the origin."""
    own = [row for row in rows if row.measured and row.model != "input" and not row.about]
    tables = {row.model: [other for other in own if other.model == row.model] for row in own}
    files = dict.fromkeys(f"{name} {sha256}" for row in own for name, sha256 in row.files.items())
    head = "".join(f"# {line}\n" for line in (*str(origin).splitlines(), *files))
    return "\n".join(
        [
            head,
            *(f"[{json.dumps(name)}]\nscores = [\n{_scores(tables[name])}]\n" for name in tables),
        ]
    )


def _scores(rows: Sequence[Row]) -> str:
    return "".join(f"    {to_score(row)},\n" for row in rows)


_WRITERS: dict[str, Callable[[Sequence[Row], Origin], str]] = {
    ".json": to_json,
    ".csv": _csv,
    ".md": to_markdown,
    ".toml": _toml,
}


def check_bench_report(path: Path) -> None:
    """Raise UsageError if a report cannot be written to this path, before any work is done."""
    check_place(path, (*_WRITERS, ".html"), overwrite=True)
    if path.suffix.lower() == ".html":
        plotly()  # raises UsageError if charts cannot be drawn


def write_bench_report(
    path: Path,
    title: str,
    rows: Sequence[Row],
    origin: Origin,
    comparisons: Sequence[Comparison] = (),
) -> None:
    """Write a report in the format of the suffix; raises RestoreError if that fails."""
    writer = _WRITERS.get(path.suffix.lower())
    if writer:
        page = writer(rows, origin)
    else:
        page = render_bench(title, rows, comparisons, notes=legend(rows, origin))
    write_text(path, page)
