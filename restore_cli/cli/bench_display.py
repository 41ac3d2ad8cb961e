"""The output of `restore bench`: progress, tables and the paths of reports."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from restore_cli.cli.display import literal, print_note, print_result, print_warning, stdout
from restore_cli.cli.progress import show_progress
from restore_cli.cli.signals import Worker, call

if TYPE_CHECKING:
    from restore_cli.bench.request import Request
    from restore_cli.bench.run import BenchResult
    from restore_cli.report.figures import Figure
    from restore_cli.report.row import Origin, Row


def run_bench(
    title: str, requests: Sequence[Request], reports: Sequence[Path], json: bool, quiet: bool
) -> None:
    """Run the requests, print the tables and write the reports.

    Args:
        title: what is measured, for the title of a page.
    """
    from restore_cli.bench.origin import find_origin
    from restore_cli.report.bench_report import to_json, write_bench_report

    origin = find_origin(requests[0].settings, shlex.join(["restore", *sys.argv[1:]]))
    result = _measure(requests, quiet)
    if json:
        print_result(to_json(result.rows, origin).rstrip())
    else:
        print_tables(result.rows, origin)
    for path in reports:
        heading = f"Benchmark: {title}"
        call(write_bench_report, path, heading, result.rows, origin, result.comparisons)
        if not quiet:
            print_note(f"report {path}")
    result.discard()


def _measure(requests: Sequence[Request], quiet: bool) -> BenchResult:
    """The result; a progress bar runs until it is ready."""
    from restore_cli.bench.run import Progress, SetWarning, bench

    try:
        with show_progress("measuring", quiet) as bar, Worker() as worker:
            for event in worker.each(bench(*requests)):
                if isinstance(event, SetWarning):
                    if not quiet:
                        print_warning(event.warning)
                elif isinstance(event, Progress):
                    if event.done == 1 and event.kept and not quiet:
                        print_note(f"resuming: {event.kept} images are already measured")
                    note = f"{event.done}/{event.total} images, {event.note}"
                    bar.update(event.done, event.total, note)
                else:
                    return event
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            "Measurements are kept; run the same command again to resume."
        ) from error
    raise AssertionError("a benchmark ends with its result")


def print_tables(rows: Sequence[Row], origin: Origin) -> None:
    """Print one table per protocol, and published results in tables of their own.

    A terminal gets the main columns, with long notes below the table; a pipe gets Markdown with
    all columns.
    """
    from restore_cli.report.bench_report import by_protocol, legend, to_markdown

    if not stdout.is_terminal:
        print_result(to_markdown(rows, origin).rstrip())
        return
    for title, group in by_protocol(rows):
        notes = {note: f"[{number}]" for number, note in enumerate(_long_notes(group), 1)}
        stdout.print(_table(title, group, notes))
        for note, number in notes.items():
            stdout.print(literal(f"{number} {note}"))
        stdout.print()
    for line in legend(rows, origin):
        stdout.print(literal(line))


def _table(title: str, rows: Sequence[Row], notes: Mapping[str, str]) -> Table:
    """A table for the terminal, in which numbers replace long notes."""
    figures = _shown_figures(rows)
    table = Table("set", "level", "model", box=None, title=literal(title), title_justify="left")
    for figure in figures:
        table.add_column(figure.name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for row in rows:
        cells = [figure.format(row.figures.get(figure)) for figure in figures]
        keys = (row.set_title, row.level_title, row.model)
        table.add_row(*map(literal, (*keys, *cells, notes.get(row.note, row.note))))
    return table


def _shown_figures(rows: Sequence[Row]) -> list[Figure]:
    """The figures that fit into a terminal."""
    from restore_cli.report.bench_report import columns
    from restore_cli.report.figures import SSIM_Y

    return [figure for figure in columns(rows) if not figure.hidden and figure != SSIM_Y]


def _long_notes(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.note for row in rows if len(row.note) > len("best")))
