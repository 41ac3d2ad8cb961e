"""Writes the records of a batch as JSON, JSON Lines, CSV or Markdown."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from restore_cli.atomic import check_place, write_text
from restore_cli.report.escaping import csv_cell, markdown_cell
from restore_cli.report.record import Record


def _rows(
    records: Sequence[Record], escape: Callable[[str], object]
) -> tuple[list[str], list[list[str]]]:
    """The columns that at least one record fills, and the rows of cells as text.

    Everything but numbers is escaped. Each option of a task has its own column, "options.sigma",
    and so has each field of a step, "steps.1.model".
    """
    table = [dict(_flatten(asdict(record))) for record in records]
    used = dict.fromkeys(
        name for row in table for name, value in row.items() if value not in (None, (), [])
    )
    order = list(Record.__dataclass_fields__)
    columns = sorted(used, key=lambda name: order.index(name.partition(".")[0]))

    def cell(value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, (int, float)):
            return f"{value:.4g}" if isinstance(value, float) else str(value)
        if isinstance(value, (tuple, list)):
            return " ".join(map(cell, value))
        return str(escape(str(value)))

    heads = [str(escape(name)) for name in columns]
    return heads, [[cell(row.get(name)) for name in columns] for row in table]


def _flatten(fields: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, object]]:
    """The fields and those of inner tables, each with its path."""
    for name, value in fields.items():
        parts = value if isinstance(value, (tuple, list)) else ()
        inner = {str(place): part for place, part in enumerate(parts, 1) if isinstance(part, dict)}
        if isinstance(value, dict) or inner:
            yield from _flatten(inner or value, f"{where}{name}.")
        else:
            yield f"{where}{name}", value


def _csv(records: Sequence[Record]) -> str:
    columns, rows = _rows(records, csv_cell)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


def _markdown(records: Sequence[Record]) -> str:
    columns, rows = _rows(records, markdown_cell)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _json(records: Sequence[Record]) -> str:
    return "[\n" + ",\n".join(record.to_json() for record in records) + "\n]\n"


def _jsonl(records: Sequence[Record]) -> str:
    return "".join(record.to_json() + "\n" for record in records)


_WRITERS = {".json": _json, ".jsonl": _jsonl, ".csv": _csv, ".md": _markdown}


def check_report(path: Path, *, overwrite: bool = False) -> None:
    """Raise UsageError if a report cannot be written to this path, before any work is done."""
    check_place(path, _WRITERS, overwrite=overwrite)


def write_report(records: Sequence[Record], path: Path) -> None:
    """Write all records, in the format of the suffix: .json, .jsonl, .csv or .md.

    Raises:
        RestoreError: the file cannot be written.
    """
    write_text(path, _WRITERS[path.suffix.lower()](records))
