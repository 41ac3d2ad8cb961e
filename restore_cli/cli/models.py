"""`restore models`: which checkpoints there are, where they lie, and whether they are sound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from restore_cli import weights
from restore_cli.cli.display import print_result, stderr, stdout
from restore_cli.errors import UsageError, WeightsError
from restore_cli.weights import Bundled, Entry

app = typer.Typer(help="List, show, fetch and verify the models.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="A full or short name.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Full or short names.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List all models."""
    entries = weights.entries().values()
    if as_json:
        _print_json(entries)
        return
    table = Table("model", "task", "colour", "size", "licence", "where", "PSNR in dB", box=None)
    for column in table.columns[:-1]:
        column.no_wrap = True
    for entry in entries:
        size = decimal(entry.size) if entry.size else ""
        score = next(iter(_scores(entry, middle=True)), "")
        table.add_row(entry.name, entry.task, _colour(entry), size, entry.license, _where(entry), score)
    stdout.print(table)


@app.command()
def show(name: Name, as_json: Json = False) -> None:
    """Show all that is known of a model."""
    entries = weights.find(name)
    if as_json:
        _print_json(entries)
        return
    for entry in entries:
        levels = [f"{key} {_level(level)}" for key, level in entry.conditions.items()]
        facts = {
            "model": entry.name,
            "short name": entry.short,
            "task": f"{entry.task}, by default" if entry.default else entry.task,
            "colour": _colour(entry),
            "trained for": ", ".join(levels),
            "architecture": f"{entry.arch} {_pairs(entry.params)}",
            "precisions": ", ".join(entry.precisions),
            "recipe": _pairs(entry.recipe),
            "commit": entry.commit,
            "paper": entry.paper,
            "licence": entry.license,
            "size": f"{entry.size:,} bytes" if entry.size else "",
            "sha256": f"{entry.sha256}, from the {entry.verified}" if entry.verified else entry.sha256,
            "source": str(entry.source),
            "where": f"{_where(entry)}, {weights.place(entry)}",
            "PSNR in dB": "\n".join(_scores(entry)),
        }
        grid = Table.grid(padding=(0, 2))
        for fact, value in facts.items():
            if value:
                grid.add_row(fact, Text(value, overflow="fold"))
        stdout.print(grid)


@app.command()
def fetch(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Fetch all models.")] = False,
) -> None:
    """Download models into the cache and print where they lie."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    for entry in _select(names, everything):
        with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
            bar = progress.add_task(entry.name, total=entry.size)

            def advance(done: int, total: int, progress: Progress = progress, bar: Any = bar) -> None:
                progress.update(bar, completed=done, total=total or None)

            path = weights.locate(entry, progress=advance)
        print_result(f"{entry.name} {path}")


@app.command()
def verify(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", help="Verify all models that are here.")] = False,
) -> None:
    """Check that the models' files are what the table says and fit their networks."""
    entries = _select(names, everything)
    if everything:
        entries = [entry for entry in entries if weights.place(entry).is_file()]
    faults = []
    for entry in entries:
        try:
            weights.load(entry, offline=True)
        except WeightsError as error:
            faults.append(str(error))
        else:
            print_result(f"{entry.name} sound")
    if faults:
        raise WeightsError(" ".join(faults))


def _select(names: Sequence[str] | None, everything: bool) -> list[Entry]:
    if bool(names) == everything:
        raise UsageError("Name the models, or give --all for all of them.")
    if everything:
        return list(weights.entries().values())
    return list({entry.name: entry for name in names or () for entry in weights.find(name)}.values())


def _print_json(entries: Iterable[Entry]) -> None:
    records = [
        asdict(entry) | {"where": _where(entry), "path": str(weights.place(entry))} for entry in entries
    ]
    stdout.print_json(data=records)


def _where(entry: Entry) -> str:
    if isinstance(entry.source, Bundled):
        return "bundled"
    return "cached" if weights.place(entry).is_file() else "download"


def _colour(entry: Entry) -> str:
    return "gray" if entry.channels == 1 else "colour"


def _level(level: Any) -> str:
    return " to ".join(map(str, level)) if isinstance(level, list) else str(level)


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())


def _scores(entry: Entry, middle: bool = False) -> list[str]:
    """One line for each set and protocol: "CBSD68 sigma 15 25 50: 34.30 31.69 28.51 (published)".

    Of its levels only the middle one, if so wanted.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for score in entry.scores:
        groups.setdefault((score["set"], score["protocol"]), []).append(score)
    lines = []
    for (name, protocol), scores in groups.items():
        if middle:
            scores = [scores[len(scores) // 2]]
        levels = [key for key in scores[0] if key not in ("set", "protocol", "psnr", "ssim")]
        heads = [name, *(f"{key} {' '.join(str(score[key]) for score in scores)}" for key in levels)]
        values = " ".join(f"{score['psnr']:.2f}" for score in scores)
        lines.append(f"{' '.join(heads)}: {values}" + ("" if middle else f" ({protocol})"))
    return lines
