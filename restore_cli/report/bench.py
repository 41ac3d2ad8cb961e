"""What was measured, as JSON, CSV, Markdown, TOML or a page."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from restore_cli.atomic import check_place, write_text
from restore_cli.report import csv_cell, markdown_cell
from restore_cli.report.html import Comparison, Row, check_charts, render_bench

WORDS = ("task", "set", "level", "model", "protocol")  # columns before the figures
REMARKS = ("note", "about")  # and behind them
_COLORS = {  # ends of sets' names, and what they say of the protocol
    " luma": ", luma = true",
    " gray": ", luma = true, full_range = true",
}
LEGEND = (
    "PSNR and SSIM are over all channels of RGB, or the one of gray. Y is BT.601 luma of studio"
    " range in"
    " float; its PSNR reads 1.32 dB higher than that of full-range gray. SSIM takes a Gaussian"
    " window of 11 x"
    " 11 pixels and sigma 1.5, population covariance, and the mean over channels. For"
    " super-resolution, clean"
    " images are first cut to a multiple of the scale. Seconds are the mean of an image, median"
    " and worst"
    " those of the PSNR that models are compared by."
)


@dataclass(frozen=True)
class Origin:
    """Where figures come from.

    Attributes:
        version: of this package. command: as it was typed.
        date: of the beginning, in UTC and ISO 8601.
        machine: "Linux 6.1 x86_64, AMD EPYC 9B14, 2 CPUs". device: "cpu", or a GPU's name.
        threads: of PyTorch. torch: PyTorch's version. precision: as it was asked for.
    """

    version: str
    command: str
    date: str
    machine: str
    device: str
    threads: int
    torch: str
    precision: str

    def __str__(self) -> str:
        """Two sentences."""
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return (
            f"Measured by restore {self.version} on {self.date}: {self.machine}; device"
            f" {self.device},"
            f" precision {self.precision}, {threads}, PyTorch {self.torch}. Command: {self.command}"
        )


def columns(rows: Sequence[Row]) -> list[str]:
    """The names of the figures that any row has."""
    return list(
        dict.fromkeys(
            key for row in rows for key, value in row.figures.items() if value is not None
        )
    )


def format_figure(name: str, value: float | None) -> str:
    """A figure as it is read: dB and NIQE have two decimals, SSIM and LPIPS four, whole numbers
    none.
    """
    if value is None or math.isnan(value):
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    if name.startswith(("SSIM", "LPIPS")):
        return f"{value:.4f}"
    if name.startswith(("PSNR", "NIQE")) or name in ("median", "worst"):
        return f"{value:.2f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def to_json(rows: Sequence[Row], origin: Origin) -> str:
    """All rows with all digits, and the figures of each image; what is infinite or missing becomes
    null.
    """

    def finite(figures: Mapping[str, float | None]) -> dict[str, float | None]:
        return {
            key: None if value is None or not math.isfinite(value) else value
            for key, value in figures.items()
        }

    table = [
        {word: getattr(row, word) for word in (*WORDS, *REMARKS)}
        | {"measured": row.measured, "metrics": LEGEND if row.measured else ""}
        | {"figures": finite(row.figures)}
        | {"images": {name: finite(figures) for name, figures in row.details.items()}}
        | ({"sha256": row.files, "origin": asdict(origin)} if row.measured else {})
        for row in rows
    ]
    return json.dumps(table, indent=1, ensure_ascii=False) + "\n"


def _csv(rows: Sequence[Row], origin: Origin) -> str:
    keys = columns(rows)
    source = asdict(origin)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*WORDS, "measured", *keys, "worst image", *REMARKS, "sha256", *source])
    for row in rows:
        words, remarks = ([getattr(row, word) for word in part] for part in (WORDS, REMARKS))
        figures = [row.figures.get(key) for key in keys]
        files = " ".join(f"{name}={sha256}" for name, sha256 in row.files.items())
        origins = source.values() if row.measured else [""] * len(source)
        cells = [*words, row.measured, *figures, row.worst, *remarks, files, *origins]
        table.writerow(map(csv_cell, cells))
    return text.getvalue()


def to_markdown(rows: Sequence[Row], origin: Origin) -> str:
    """A table for each protocol, measured or of papers, and below them what their figures are."""
    parts = []
    for title, group in by_protocol(rows):
        keys = columns(group)
        lines = [["set", "level", "model", *keys, ""], ["---"] * 3 + ["---:"] * len(keys) + ["---"]]
        for row in group:
            cells = {key: format_figure(key, row.figures.get(key)) for key in keys}
            if row.worst and "worst" in cells:
                cells["worst"] += f", {row.worst}"
            lines.append([row.set, row.level, row.model, *cells.values(), row.note])
        table = "".join("| " + " | ".join(map(markdown_cell, line)) + " |\n" for line in lines)
        parts.append(f"{markdown_cell(title)}\n\n{table}")
    return "\n".join([*parts, *(f"{markdown_cell(line)}\n" for line in legend(rows, origin))])


def legend(rows: Sequence[Row], origin: Origin) -> list[str]:
    """What the figures are and come from, and a line for each library, "tv: scikit-image 0.25.2,
    ...".
    """
    libraries = dict.fromkeys(f"{row.model}: {row.about}." for row in rows if row.about)
    files = {name: sha256 for row in rows for name, sha256 in row.files.items()}
    return [
        LEGEND,
        *libraries,
        *(f"{name}: sha256 {sha256}." for name, sha256 in files.items()),
        str(origin),
    ]


def by_protocol(rows: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    """The rows that may be compared, under what they have in common; published ones apart and
    last.
    """
    groups: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: not row.measured):
        groups.setdefault(row.basis, []).append(row)
    return list(groups.items())


def _toml(rows: Sequence[Row], origin: Origin) -> str:
    """What was measured of models, each a table with the `scores` of weights.toml; comments say by
    what.
    """
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
    """Set, level, the PSNR that models are compared by, SSIM of the same channels, and protocol."""
    lines = []
    for row in rows:
        words = row.level.split(" ") if row.level else []
        colors = next((end for end in _COLORS if row.set.endswith(end)), "")
        cells = {
            "set": row.set.removesuffix(colors),
            **dict(zip(words[::2], words[1::2], strict=True)),
        }
        values = [f"{key} = {_toml_value(value)}" for key, value in cells.items()]
        values.append(f"psnr = {sum(row.images.values()) / len(row.images):.3f}")
        ssim = row.figures.get(row.quality.replace("PSNR", "SSIM"))
        if ssim is not None:
            values.append(f"ssim = {ssim:.4f}")
        protocol = f"text = {json.dumps(row.protocol)}" + _COLORS.get(colors, "")
        lines.append(f"    {{ {', '.join(values)}, protocol = {{ {protocol} }} }},\n")
    return "".join(lines)


def _toml_value(word: str) -> str:
    if word in ("True", "False"):
        return word.lower()
    try:
        return f"{float(word):g}"
    except ValueError:
        return json.dumps(word)


WRITERS: dict[str, Callable[[Sequence[Row], Origin], str]] = {
    ".json": to_json,
    ".csv": _csv,
    ".md": to_markdown,
    ".toml": _toml,
}


def check_bench(path: Path) -> None:
    """Raise UsageError where a report cannot be written under this name, before any work is
    done.
    """
    check_place(path, (*WRITERS, ".html"), overwrite=True)
    if path.suffix.lower() == ".html":
        check_charts()


def write_bench(
    path: Path,
    title: str,
    rows: Sequence[Row],
    origin: Origin,
    comparisons: Sequence[Comparison] = (),
) -> None:
    """Write in the format of the path's suffix; raises RestoreError where that fails."""
    writer = WRITERS.get(path.suffix.lower())
    if writer:
        page = writer(rows, origin)
    else:
        page = render_bench(title, rows, comparisons, notes=legend(rows, origin))
    write_text(path, page)
