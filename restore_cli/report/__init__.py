"""What became of each input: one `Record`, written as JSON lines, CSV, Markdown or JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from restore_cli.atomic import check_place, write_text


@dataclass(frozen=True)
class Record:
    """The outcome for one input. What does not apply is None.

    Attributes:
        input, output: paths, "-" for standard input and output.
        status: "done", "skipped", "planned" or "failed".
        task, model: what ran, no model where nothing could change, "a + b" where a finds damage and
            b fills the rest; `options` are the task's, as used (an estimated sigma in place of
            "auto").
        device, precision, tile: how the last model ran; tile 0 is the whole picture at once.
        width, height, channels, depth: of the picture, depth in bits a sample.
        output_width, output_height: of what was written.
        seconds: reading, restoring and writing, without loading the model; megapixels_per_s of the
            output.
        noise_before, noise_after: estimated noise level, 0..255 scale.
        psnr, ssim, psnr_y, ssim_y: against the reference, RGB (or gray) and BT.601 luma; dB for
            psnr.
        input_psnr: of the unrestored input against the reference, for comparison.
        tile_difference: largest difference of tiled and whole output on a crop, 0..1.
        warnings: sentences for the user; error: why it failed.
    """

    input: str
    status: str
    output: str | None = None
    task: str | None = None
    model: str | None = None
    options: dict[str, float | str] | None = None
    device: str | None = None
    precision: str | None = None
    tile: int | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    depth: int | None = None
    output_width: int | None = None
    output_height: int | None = None
    seconds: float | None = None
    megapixels_per_s: float | None = None
    noise_before: float | None = None
    noise_after: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    psnr_y: float | None = None
    ssim_y: float | None = None
    input_psnr: float | None = None
    tile_difference: float | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None

    def to_json(self) -> str:
        """One line of JSON without the fields that do not apply; an infinite PSNR becomes null."""
        fields = {
            name: _finite(value) for name, value in asdict(self).items() if value not in (None, ())
        }
        return json.dumps(fields, ensure_ascii=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return None if value in (float("inf"), float("-inf")) else round(value, 6)
    return value


def _json(records: Sequence[Record]) -> str:
    return "[\n" + ",\n".join(record.to_json() for record in records) + "\n]\n"


def _jsonl(records: Sequence[Record]) -> str:
    return "".join(record.to_json() + "\n" for record in records)


_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_MARKDOWN = re.compile(r"[\\`*\[\]<|]")
_FORMULA = tuple("=+-@\t\n＝＋－＠")


def visible(text: str, keep: str = "") -> str:
    """A stranger's text with what steers terminals, or the direction of writing, as \\u escapes."""
    return _STEERING.sub(lambda it: it[0] if it[0] in keep else f"\\u{ord(it[0]):04x}", text)


def csv_cell(value: object) -> object:
    """A text that no spreadsheet takes for a formula: one that begins like that gets an apostrophe
    before it.

    What is no text is as it was.
    """
    if not isinstance(value, str):
        return value
    text = visible(value, "\n\t")  # the csv module leaves a carriage return without quotes
    return f"'{text}" if text.startswith(_FORMULA) and text != "-" else text


def markdown_cell(text: str) -> str:
    """A text that stays in its cell, and of which Markdown makes no link, no picture and no
    HTML.
    """
    return _MARKDOWN.sub(r"\\\g<0>", visible(text))


def _rows(
    records: Sequence[Record], escape: Callable[[str], object]
) -> tuple[list[str], list[list[str]]]:
    """Only the columns that any record fills, and their cells as text, escaped where they are no
    numbers.

    Each option of a task has a column, "options.sigma", as where tables are made of JSON.
    """
    table = [asdict(record) for record in records]
    for row in table:
        row |= {f"options.{key}": value for key, value in (row["options"] or {}).items()}
    options = dict.fromkeys(key for row in table for key in row if key.startswith("options."))
    columns = [
        column
        for name in Record.__dataclass_fields__
        for column in (options if name == "options" else [name])
        if any(row.get(column) not in (None, ()) for row in table)
    ]

    def cell(value: object) -> str:
        if value is None:
            return ""
        if isinstance(value, (int, float)):
            return f"{value:.4g}" if isinstance(value, float) else str(value)
        if isinstance(value, tuple):
            value = " ".join(value)
        return str(escape(str(value)))

    heads = [str(escape(name)) for name in columns]
    return heads, [[cell(row.get(name)) for name in columns] for row in table]


def _csv(records: Sequence[Record]) -> str:
    columns, rows = _rows(records, csv_cell)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([columns, *rows])
    return text.getvalue()


def _markdown(records: Sequence[Record]) -> str:
    columns, rows = _rows(records, markdown_cell)
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


WRITERS = {".json": _json, ".jsonl": _jsonl, ".csv": _csv, ".md": _markdown}


def check_report(path: Path, *, overwrite: bool = False) -> None:
    """Raise UsageError where a report cannot be written under this name, before any work is
    done.
    """
    check_place(path, WRITERS, overwrite=overwrite)


def write_report(records: Sequence[Record], path: Path) -> None:
    """Write all records in the format of the path's suffix: .json, .jsonl, .csv or .md.

    Raises:
        RestoreError: it cannot be written.
    """
    write_text(path, WRITERS[path.suffix.lower()](records))
