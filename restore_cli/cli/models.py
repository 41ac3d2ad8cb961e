"""`restore models`: which checkpoints there are, where they lie, and whether they are sound."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from restore_cli import weights
from restore_cli.atomic import check_place
from restore_cli.cli.display import literal, print_note, print_result, stderr, stdout
from restore_cli.cli.options import FLAG
from restore_cli.cli.signals import Worker, call
from restore_cli.errors import UsageError, WeightsError
from restore_cli.weights import Bundled, Entry, Header

if TYPE_CHECKING:
    from restore_cli.jobs.bench import Remeasured

TOLERANCE = 0.02  # dB

app = typer.Typer(help="List, show, fetch, verify and export the models.", no_args_is_help=True)

File = Annotated[str, typer.Argument(metavar="NAME|FILE", help="A full or short name, or a checkpoint.")]
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Full or short names.")]
Json = Annotated[bool, typer.Option("--json", metavar=FLAG, help="Print JSON.")]


@app.command("list")
def list_models(as_json: Json = False) -> None:
    """List all models, and below each its scores; a star marks the defaults."""
    if as_json:
        stdout.print_json(data=[_record(entry) for entry in weights.entries().values()])
        return
    entries = in_order()
    rows = [("model", "short", "task", "colour", "MB", "licence", "where")]
    for entry in entries:
        size = f"{entry.size / 1e6:.2f}".rjust(6) if entry.size else ""
        name = f"{entry.name} *" if entry.default else entry.name
        rows.append((name, entry.short, entry.task, colour(entry), size, entry.license, _where(entry)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    print_result(f"{head}\n    set, levels of damage: PSNR in dB; * default of its task")
    for entry, line in zip(entries, lines, strict=True):
        print_result("\n    ".join([line, *map(str, entry.series())]))


@app.command()
def show(name: File, as_json: Json = False) -> None:
    """Show all that is known of a model, or what a checkpoint says of itself."""
    found = _find(name)
    models: Sequence[Entry | Header] = (
        [call(weights.load, found).header] if isinstance(found, Path) else found
    )
    if as_json:
        stdout.print_json(data=[_record(model) for model in models], ensure_ascii=True)
        return
    for number, model in enumerate(models):
        if number:
            stdout.print()
        grid = Table.grid(padding=(0, 2))
        for fact, value in _facts(model).items():
            if value:
                grid.add_row(fact, literal(*([value] if isinstance(value, str) else value)))
        stdout.print(grid)


@app.command()
def fetch(
    names: Names = None,
    everything: Annotated[bool, typer.Option("--all", metavar=FLAG, help="Fetch all models.")] = False,
) -> None:
    """Download models into the cache and print where they lie."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    for entry in _select(names, everything):
        with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as progress:
            bar = progress.add_task(entry.name, total=entry.size)

            def advance(done: int, total: int, progress: Progress = progress, bar: Any = bar) -> None:
                progress.update(bar, completed=done, total=total or None)

            path = call(partial(weights.locate, entry, progress=advance))
        print_result(f"{entry.name} {path}")


@app.command()
def verify(
    names: Names = None,
    everything: Annotated[
        bool, typer.Option("--all", metavar=FLAG, help="Verify all models that are here.")
    ] = False,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Measure their scores again, on the sets that lie in DIR."),
    ] = None,
) -> None:
    """Check that the models' files are what the table says, fit their networks, and score as it says."""
    entries = _select(names, everything)
    if everything:
        entries = [entry for entry in entries if weights.place(entry).is_file()]
    for folder in data or ():
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder; give one that has folders of images.")
    faults: list[str] = []
    scores: list[Remeasured] = []
    for entry in entries:
        try:
            call(partial(weights.load, entry, offline=True))
        except WeightsError as error:
            faults.append(str(error))
            continue
        print_result(f"{entry.name} sound")
        if data:
            scores += _remeasure(entry, data)
    faults += filter(None, map(_fault, scores))
    if faults:
        raise WeightsError(" ".join(faults))
    if scores and all(score.measured is None for score in scores):
        folders = " or ".join(map(str, data or ()))
        raise UsageError(f"None of the sets lies in {folders}; give a folder that holds them by their names.")


def _remeasure(entry: Entry, data: Sequence[Path]) -> Iterator[Remeasured]:
    """Measure and print an entry's scores."""
    from restore_cli.jobs.bench import remeasure

    with Worker() as worker:
        for score in worker.each(remeasure(entry, data)):
            found = "not measured, its set is not there"
            if score.measured is not None:
                found = f"{score.measured:.3f} dB, listed {score.listed:.3f}{_ending(score)}"
            print_result(f"{score.words}: {found}")
            yield score


def _fault(score: Remeasured) -> str:
    """A sentence where it is not what the table says."""
    if score.measured is None or abs(score.measured - score.listed) <= TOLERANCE:
        return ""
    return f"{score.words} is {score.measured:.3f} dB, not {score.listed:.3f}{_ending(score) or '.'}"


def _ending(score: Remeasured) -> str:
    return f"; {score.warning}" if score.warning else ""


@app.command()
def export(
    name: File,
    output: Annotated[Path, typer.Argument(metavar="MODEL.ONNX", help="Where to write.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar=FLAG, help="Replace a file that exists.")
    ] = False,
) -> None:
    """Write a model as ONNX, for other runtimes, and measure how far its results differ."""
    check_place(output, (".onnx",), overwrite=overwrite)
    model = _one(name)

    from restore_cli.jobs import export as job

    difference = call(lambda: job.export(weights.load(model), output))
    print_note(f"results differ by {difference:.2g} at most")
    print_result(str(output))


def _find(name: str) -> tuple[Entry, ...] | Path:
    """The entries that answer to a name, or the file if there are none."""
    try:
        return weights.find(name)
    except WeightsError:
        if Path(name).is_file():
            return Path(name)
        raise


def _one(name: str) -> Entry | Path:
    """The one entry of that name, or the file if there is none."""
    found = _find(name)
    if isinstance(found, Path):
        return found
    if len(found) > 1:
        names = " or ".join(entry.name for entry in found)
        raise UsageError(f"{name} is several models; name {names}.")
    return found[0]


def _select(names: Sequence[str] | None, everything: bool) -> list[Entry]:
    if bool(names) == everything:
        raise UsageError("Name the models, or give --all for all of them.")
    if everything:
        return list(weights.entries().values())
    return list({entry.name: entry for name in names or () for entry in weights.find(name)}.values())


def _record(model: Entry | Header) -> dict[str, Any]:
    where = {"where": _where(model), "path": str(weights.place(model))} if isinstance(model, Entry) else {}
    return asdict(model) | where


def _facts(model: Entry | Header) -> dict[str, str | list[str]]:
    """What is known, in words; a list has a line for each item."""
    series = model.series()
    protocols = dict.fromkeys(one.protocol for one in series if not one.published)
    marks = {protocol: f" [{number}]" for number, protocol in enumerate(protocols, 1)}
    common: dict[str, str | list[str]] = {
        "task": model.task,
        "colour": colour(model),
        "trained for": trained_for(model),
        "architecture": f"{model.arch} {_pairs(model.params)}",
        "parameters": f"{_count_parameters(model):,}",
        "precisions": ", ".join(model.precisions),
        "recipe": _pairs(model.recipe),
        "data": model.data,
        "commit": model.commit,
        "PSNR in dB": [f"{one}{marks.get(one.protocol, '')}" for one in series],
        "measured": [f"{mark.lstrip()} {protocol}" for protocol, mark in marks.items()],
    }
    if not isinstance(model, Entry):
        return common
    return {
        "model": model.name,
        "short name": model.short,
        **common,
        "default": f"of {model.task}" if model.default else "",
        "paper": model.paper,
        "licence": model.license,
        "size": f"{model.size:,} bytes" if model.size else "",
        "sha256": f"{model.sha256}, from the {model.verified}" if model.verified else model.sha256,
        "source": str(model.source),
        "where": f"{_where(model)}, {weights.place(model)}",
    }


def _count_parameters(model: Header) -> int:
    """How many numbers of its network are trained."""
    import torch

    from restore_cli import archs

    with torch.device("meta"):  # without memory
        network = archs.build(model.arch, model.params)
    return sum(parameter.numel() for parameter in network.parameters())


def _where(entry: Entry) -> str:
    if isinstance(entry.source, Bundled):
        return "bundled"
    return "cached" if weights.place(entry).is_file() else "download"


def in_order() -> list[Entry]:
    """All entries, those of a task together and its defaults first."""
    return sorted(weights.entries().values(), key=lambda entry: (entry.task, not entry.default))


def colour(model: Header) -> str:
    """What pictures it is made for."""
    return "gray" if model.channels == 1 else "colour"


def trained_for(model: Header) -> str:
    """The damage: "quality 5 to 90, subsampling 4:4:4 or 4:2:0"."""
    return ", ".join(f"{key} {_level(level)}" for key, level in model.conditions.items())


def _level(level: Any) -> str:
    if not isinstance(level, (list, tuple)):
        return str(level)
    return (" or " if isinstance(level[0], str) else " to ").join(dict.fromkeys(map(str, level)))


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
