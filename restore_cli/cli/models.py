"""`restore models`: which checkpoints there are, where they lie, and whether they are sound."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from restore_cli.atomic import check_place
from restore_cli.cli.display import literal, print_note, print_result, stderr, stdout
from restore_cli.cli.model_facts import EXTRA, to_facts, to_lines, to_record, to_traits
from restore_cli.cli.options import ACCEPT, FLAG, model_names
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
    help="List, show, fetch, add, remove, verify and export models.", no_args_is_help=True
)


def _name(metavar: str, text: str) -> Any:
    return typer.Argument(metavar=metavar, help=text, autocompletion=model_names)


File = Annotated[str, _name("NAME|FILE", "A full or short name, or a checkpoint.")]
Name = Annotated[str, _name("NAME", "Full or short name of a model.")]
Names = Annotated[list[str] | None, _name("NAME", "Full or short names.")]
Json = Annotated[bool, typer.Option("--json", metavar=FLAG, help="Print JSON.")]
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task",
        metavar="TASK",
        help="Only models of this task.",
        autocompletion=lambda: list(TASKS),
    ),
]
Accepted = Annotated[
    list[str] | None,
    typer.Option("--accept-license", metavar="NAME", help=ACCEPT, autocompletion=model_names),
]


@app.command("list")
def list_models(
    task: TaskName = None,
    installed: Annotated[
        bool, typer.Option("--installed", metavar=FLAG, help="Only models that are here.")
    ] = False,
    license: Annotated[
        str | None,
        typer.Option("--license", metavar="NAME", help="Only models of this license, such as MIT."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List models by task, and below each its short names, what it is good for, and its scores.

    A star marks the defaults.
    """
    entries = [
        entry
        for entry in _of_task(task)
        if (not installed or store.path_of(entry).is_file())
        and (license is None or entry.license.lower().startswith(license.lower()))
    ]
    if as_json:
        stdout.print_json(data=[to_record(entry) for entry in entries])
        return
    if not entries:
        raise UsageError("No model is like that; `restore models list` shows all.")
    for lines in to_lines(entries):
        print_result(lines)


@app.command()
def show(name: File, as_json: Json = False) -> None:
    """Show all that is known of a model, or what a checkpoint says of itself."""
    found = _find(name)
    models: Sequence[Entry | Header] = found if isinstance(found, tuple) else ()
    traits: dict[str, str] = {}
    if isinstance(found, Path):
        loaded = call(checkpoint.load, found)
        models, traits = [loaded.header], to_traits(loaded) | checkpoint.traits(found)
    if as_json:
        stdout.print_json(data=[to_record(model) | traits for model in models], ensure_ascii=True)
        return
    for number, model in enumerate(models):
        if number:
            stdout.print()
        grid = Table.grid(padding=(0, 2))
        for fact, value in (to_facts(model) | traits).items():
            if value:
                grid.add_row(fact, literal(*([value] if isinstance(value, str) else value)))
        stdout.print(grid)


@app.command()
def fetch(
    names: Names = None,
    everything: Annotated[
        bool, typer.Option("--all", metavar=FLAG, help="Fetch all models.")
    ] = False,
    task: TaskName = None,
    accept: Accepted = None,
) -> None:
    """Download models into the cache and print where they lie.

    Of --all and of a task, models are left out whose licenses you have not accepted.
    """
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn()
    for name in accept or ():
        store.accept_license(name)
    for entry in _select(names, everything, task):
        if not names and not store.path_of(entry).is_file():
            try:
                store.check_license(entry)
            except WeightsError as error:
                print_note(f"{entry.name} is left out. {error}")
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
                done: int, total: int, progress: Progress = progress, bar: Any = bar
            ) -> None:
                progress.update(bar, completed=done, total=total or None)

            path = call(partial(store.ensure_local, entry, progress=advance))
        print_result(f"{entry.name} {path}")


@app.command()
def add(
    name: Name,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Its file, fetched on another machine.")
    ],
    accept: Accepted = None,
) -> None:
    """Put a file into the cache, if its sha256 is the model's, and print where it lies."""
    for each in accept or ():
        store.accept_license(each)
    print_result(str(store.add(name, file)))


@app.command()
def remove(names: Annotated[list[str], _name("NAME", "Full names.")]) -> None:
    """Delete models from the cache."""
    for entry in map(_entry, names):
        print_result(f"removed {store.remove(entry)}")


@app.command()
def path(name: Name) -> None:
    """Print where a model's file lies."""
    for entry in catalog.find(name):
        print_result(str(store.ensure_local(entry, offline=True)))


@app.command()
def verify(
    names: Names = None,
    everything: Annotated[
        bool, typer.Option("--all", metavar=FLAG, help="Verify all models that are here.")
    ] = False,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Measure their scores again, on the sets that lie in DIR."
        ),
    ] = None,
) -> None:
    """Check that the models' files are what the table says, fit their networks, and score as it
    says.
    """
    entries = _select(names, everything)
    if everything:
        entries = [entry for entry in entries if store.path_of(entry).is_file()]
    for folder in data or ():
        if not folder.is_dir():
            raise UsageError(f"{folder} is no folder; give one that has folders of images.")
    faults: list[str] = []
    scores: list[ScoreCheck] = []
    for entry in entries:
        try:
            call(partial(checkpoint.load, entry, offline=True))
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
        raise UsageError(
            f"None of the sets lies in {folders}; give a folder that holds them by their names."
        )


def _remeasure(entry: Entry, data: Sequence[Path]) -> Iterator[ScoreCheck]:
    """Measure and print an entry's scores."""
    from restore_cli.bench.verify import check_scores

    with Worker() as worker:
        for score in worker.each(check_scores(entry, data)):
            found = "not measured, its set is not there"
            if score.measured is not None:
                found = f"{score.measured:.3f} dB, listed {score.listed:.3f}{_ending(score)}"
            print_result(f"{score.label}: {found}")
            yield score


def _fault(score: ScoreCheck) -> str:
    """A sentence where it is not what the table says."""
    if score.measured is None or abs(score.measured - score.listed) <= _TOLERANCE:
        return ""
    return (
        f"{score.label} is {score.measured:.3f} dB, not {score.listed:.3f}{_ending(score) or '.'}"
    )


def _ending(score: ScoreCheck) -> str:
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
    from restore_cli.models import export as job

    model = _one(name)
    difference = call(lambda: job.export(checkpoint.load(model), output))
    print_note(f"results differ by {difference:.2g} at most")
    print_result(str(output))


def _find(name: str) -> tuple[Entry, ...] | Path:
    """The entries that answer to a name, or the file if there are none."""
    try:
        return catalog.find(name)
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


def _entry(name: str) -> Entry:
    """The one entry of that name."""
    found = _one(name)
    if isinstance(found, Path):
        raise UsageError(f"Cannot use {name}: it is a file. Give a name of `restore models list`.")
    return found


def _of_task(task: str | None) -> list[Entry]:
    """The entries of a task, or all."""
    entries = [entry for entry in catalog.entries().values() if task in (None, entry.task)]
    if not entries:
        tasks = sorted({entry.task for entry in catalog.entries().values()})
        raise UsageError(f"There is no model of the task {task!r}; choose {', '.join(tasks)}.")
    return entries


def _select(names: Sequence[str] | None, everything: bool, task: str | None = None) -> list[Entry]:
    if bool(names) + everything + bool(task) != 1:
        raise UsageError("Name the models, or give --all for all of them.")
    if not names:
        return _of_task(task)
    return list(
        {entry.name: entry for name in names or () for entry in catalog.find(name)}.values()
    )
