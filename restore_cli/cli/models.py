"""`restore models`: lists, shows, downloads, verifies and exports models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from restore_cli.atomic import check_place
from restore_cli.cli.choose_models import find, find_entry, find_of_task, find_one, select
from restore_cli.cli.completion import (
    download_names,
    licensed_names,
    model_names,
    removable_names,
)
from restore_cli.cli.display import literal, print_note, print_result, stderr, stdout
from restore_cli.cli.examples import examples
from restore_cli.cli.model_facts import (
    EXTRA,
    to_facts,
    to_lines,
    to_record,
    to_traits,
)
from restore_cli.cli.options import ACCEPT, FLAG
from restore_cli.cli.progress import Downloads
from restore_cli.cli.signals import Worker, call
from restore_cli.errors import UsageError, WeightsError
from restore_cli.models import catalog, checkpoint, store
from restore_cli.models.catalog import Entry
from restore_cli.models.header import Header
from restore_cli.tasks import TASKS

if TYPE_CHECKING:
    from restore_cli.bench.verify import ScoreCheck

_TOLERANCE = 0.02  # dB

app = typer.Typer(
    help="List, show, fetch, add, remove, verify and export models.",
    no_args_is_help=True,
    epilog=examples("models"),
)


def _name(metavar: str, text: str, names: Callable[..., list[str]] = model_names) -> Any:
    return typer.Argument(metavar=metavar, help=text, autocompletion=names)


File = Annotated[str, _name("NAME|FILE", "Full or short model name, or a checkpoint file.")]
Name = Annotated[str, _name("NAME", "Full or short model name.")]
Names = Annotated[list[str] | None, _name("NAME", "Full or short model names.")]
Json = Annotated[bool, typer.Option("--json", metavar=FLAG, help="Print JSON.")]
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="Limit to models of this task.",
        autocompletion=lambda: list(TASKS),
    ),
]
Accepted = Annotated[
    list[str] | None,
    typer.Option("--accept-license", metavar="NAME", help=ACCEPT, autocompletion=licensed_names),
]


@app.command("list", epilog=examples("models list"))
def list_models(
    task: TaskName = None,
    installed: Annotated[
        bool, typer.Option("--installed", metavar=FLAG, help="List only models that are installed.")
    ] = False,
    license: Annotated[
        str | None,
        typer.Option(
            "--license", metavar="NAME", help="List only models with this license, e.g. MIT."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List models and their scores.

    Models are sorted by task. Below each model are its short names, its purpose and its scores. A
    star marks the default models.
    """
    entries = [
        entry
        for entry in find_of_task(task)
        if (not installed or store.path_of(entry).is_file())
        and (license is None or entry.license.lower().startswith(license.lower()))
    ]
    if as_json:
        print_result(json.dumps([to_record(entry) for entry in entries], indent=2))
        return
    if not entries:
        raise UsageError("No model matches. Run `restore models list` to see all models.")
    for lines in to_lines(entries):
        print_result(lines)


@app.command(epilog=examples("models show"))
def show(name: File, as_json: Json = False) -> None:
    """Show details of a model or checkpoint."""
    found = find(name)
    models: Sequence[Entry | Header] = found if isinstance(found, tuple) else ()
    traits: dict[str, str] = {}
    if isinstance(found, Path):
        loaded = call(checkpoint.load, found)
        models, traits = [loaded.header], to_traits(loaded) | checkpoint.traits(found)
    if as_json:
        print_result(json.dumps([to_record(model) | traits for model in models], indent=2))
        return
    for number, model in enumerate(models):
        if number:
            stdout.print()
        grid = Table.grid(padding=(0, 2))
        for fact, value in (to_facts(model) | traits).items():
            if value:
                grid.add_row(fact, literal(*([value] if isinstance(value, str) else value)))
        stdout.print(grid)


@app.command(epilog=examples("models fetch"))
def fetch(
    names: Names = None,
    everything: Annotated[
        bool, typer.Option("--all", metavar=FLAG, help="Download all models.")
    ] = False,
    task: TaskName = None,
    accept: Accepted = None,
) -> None:
    """Download models and print their paths.

    With --all or --task, models are skipped if you have not accepted their license.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    downloads = Downloads(quiet=False)
    for name in accept or ():
        store.accept_license(name)
    for entry in select(names, everything, task):
        if not names and not store.path_of(entry).is_file():
            try:
                store.check_license(entry)
            except WeightsError as error:
                print_note(f"{entry.name} was skipped. {error}")
                continue
        if entry.terms:
            print_note(f"{entry.name}: {entry.terms} ({entry.license})")
        if entry.by_spandrel:
            print_note(f"{entry.name} needs {EXTRA} to run")
        with Progress(
            *columns, console=stderr, transient=True, disable=not stderr.is_terminal
        ) as progress:
            bar = progress.add_task(entry.name, total=entry.size)

            def advance(
                done: int,
                total: int,
                entry: Entry = entry,
                progress: Progress = progress,
                bar: Any = bar,
            ) -> None:
                downloads.announce(entry)
                progress.update(bar, completed=done, total=total or None)

            path = call(partial(store.ensure_local, entry, progress=advance))
        print_result(f"{entry.name} {path}")


@app.command(epilog=examples("models add"))
def add(
    name: Annotated[str, _name("NAME", "Full or short model name.", download_names)],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Checkpoint file, downloaded elsewhere.")
    ],
    accept: Accepted = None,
) -> None:
    """Add a downloaded model file to the cache and print its path.

    The sha256 of the file must be that of the model.
    """
    for each in accept or ():
        store.accept_license(each)
    print_result(str(store.add(name, file)))


@app.command(epilog=examples("models remove"))
def remove(
    names: Annotated[list[str], _name("NAME", "Full model names.", removable_names)],
) -> None:
    """Delete models from the cache."""
    for entry in map(find_entry, names):
        print_result(f"removed {store.remove(entry)}")


@app.command(epilog=examples("models path"))
def path(name: Name) -> None:
    """Print the path of a model's file."""
    for entry in catalog.find(name):
        print_result(str(store.ensure_local(entry, offline=True)))


@app.command(epilog=examples("models verify"))
def verify(
    names: Names = None,
    everything: Annotated[
        bool, typer.Option("--all", metavar=FLAG, help="Verify all installed models.")
    ] = False,
    data: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="Measure the scores again on the datasets in DIR."),
    ] = None,
) -> None:
    """Verify checksums, load each model, and optionally re-measure its scores."""
    entries = select(names, everything)
    if everything:
        entries = [entry for entry in entries if store.path_of(entry).is_file()]
    for folder in data or ():
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder. Give a folder that contains datasets.")
    faults: list[str] = []
    scores: list[ScoreCheck] = []
    for entry in entries:
        try:
            call(partial(checkpoint.load, entry, offline=True))
        except WeightsError as error:
            faults.append(str(error))
            continue
        print_result(f"{entry.name}: OK")
        if data:
            scores += _remeasure(entry, data)
    faults += filter(None, map(_fault, scores))
    if faults:
        raise WeightsError(" ".join(faults))
    if scores and all(score.measured is None for score in scores):
        folders = " or ".join(map(str, data or ()))
        raise UsageError(
            f"None of the datasets was found in {folders}. Give a folder with subfolders named"
            " after the datasets."
        )


def _remeasure(entry: Entry, data: Sequence[Path]) -> Iterator[ScoreCheck]:
    """Measure and print an entry's scores again."""
    from restore_cli.bench.verify import check_scores

    with Worker() as worker:
        for score in worker.each(check_scores(entry, data)):
            found = "skipped, dataset not found"
            if score.measured is not None:
                found = f"{score.measured:.3f} dB, listed {score.listed:.3f}{_ending(score)}"
            print_result(f"{score.label}: {found}")
            yield score


def _fault(score: ScoreCheck) -> str:
    """Return a sentence if the measured score differs from the listed one, else nothing."""
    if score.measured is None or abs(score.measured - score.listed) <= _TOLERANCE:
        return ""
    return (
        f"{score.label}: measured {score.measured:.3f} dB, but {score.listed:.3f} dB is"
        f" listed{_ending(score) or '.'}"
    )


def _ending(score: ScoreCheck) -> str:
    return f"; {score.warning}" if score.warning else ""


@app.command(epilog=examples("models export"))
def export(
    name: File,
    output: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.ONNX|FILE.SAFETENSORS",
            help="File to write; its suffix selects the format.",
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar=FLAG, help="Overwrite an existing file.")
    ] = False,
) -> None:
    """Export to ONNX, or to a checkpoint of half the size.

    An ONNX file is kept only if its output equals that of PyTorch. A checkpoint gets kernels in 8
    bits, which hardly change the output.
    """
    check_place(output, (".onnx", ".safetensors"), overwrite=overwrite)
    from restore_cli.models import export as job

    model = find_one(name)
    write = job.export if output.suffix.lower() == ".onnx" else job.shrink
    difference = call(lambda: write(checkpoint.load(model), output))
    print_note(f"maximum difference from {name}: {difference:.2g}")
    print_result(str(output))
