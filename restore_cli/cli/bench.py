"""`restore bench`: measures models on sets of images, one command for each kind of damage."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from rich.table import Table

from restore_cli.bench.baselines import peer_names
from restore_cli.cli import options
from restore_cli.cli.display import (
    literal,
    print_note,
    print_result,
    print_text,
    print_warning,
    stdout,
)
from restore_cli.cli.progress import show_progress
from restore_cli.cli.signals import Worker, call
from restore_cli.cli.values import parse_tile, split_commas
from restore_cli.degradations import find_degradation
from restore_cli.errors import UsageError
from restore_cli.metrics.perceptual import METRICS, Metric, find_metric
from restore_cli.tables import read_value
from restore_cli.tasks import TASKS, Task, find_task

if TYPE_CHECKING:
    from restore_cli.bench.run import Request
    from restore_cli.report.bench import Origin
    from restore_cli.report.html import Row

app = typer.Typer(
    help="Benchmark models on image sets.", no_args_is_help=True, invoke_without_command=True
)

_WHAT, _OUT = "What to measure", "Results"


def _word(
    text: str, metavar: str | None, panel: str, complete: Callable[..., Any] | None = None
) -> Any:
    return typer.Option(
        metavar=metavar,
        help=text,
        rich_help_panel=panel,
        show_default=False,
        autocompletion=complete,
    )


def _set_names() -> list[str]:
    from restore_cli.datasets.known import known

    return list(known())


def _suite_names() -> list[str]:
    return ["papers", "bundled"]


Sets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SET",
        help="Names, as of `restore bench sets`, or folders of images.",
        autocompletion=_set_names,
    ),
]


Data = Annotated[
    list[Path] | None, _word("Folder that contains the sets, or is itself a set.", "DIR", _WHAT)
]
Metrics = Annotated[
    list[str] | None,
    _word(
        f"Additional metrics: {', '.join(METRICS)}.",
        "NAME,...",
        _WHAT,
        options.complete_list(lambda: METRICS),
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh", metavar=options.FLAG, help="Start over; ignore results of an interrupted run."
    ),
]
Report = Annotated[
    list[Path] | None,
    _word("Write a report, as .html, .md, .csv, .json or .toml; may be repeated.", "FILE", _OUT),
]
Show = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help="Worst images of each set and level that an HTML report shows; by default 2.",
        rich_help_panel=_OUT,
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar=options.FLAG,
        help="Print all rows, with the figures of each image, as JSON.",
        rich_help_panel=_OUT,
    ),
]


@app.callback()
def start(
    context: typer.Context,
    suite: Annotated[
        str | None,
        _word("Same as the command suite: papers, bundled.", "NAME", _WHAT, _suite_names),
    ] = None,
    data: Data = None,
    metric: Metrics = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    offline: options.Offline = False,
    fresh: Fresh = False,
    report: Report = None,
    show: Show = 2,
    json: Json = False,
    quiet: options.Quiet = False,
) -> None:
    """Benchmark models on image sets: of a task, or with --suite the tables of papers."""
    command = context.invoked_subcommand
    if command:
        sources = map(context.get_parameter_source, context.params)
        if any(source and source.name != "DEFAULT" for source in sources):
            raise UsageError(
                f"Give options after {command}; and none of --suite, which has its own tasks."
            )
        return
    if suite is None:
        raise UsageError("Nothing says what to measure; name a task, or give --suite.")
    run_suite(suite, data, metric, device, precision, offline, fresh, report, show, json, quiet)


@app.command("suite")
def run_suite(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="papers or bundled.",
            show_default=False,
            autocompletion=_suite_names,
        ),
    ],
    data: Data = None,
    metric: Metrics = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    offline: options.Offline = False,
    fresh: Fresh = False,
    report: Report = None,
    show: Show = 2,
    json: Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001 (read by the error boundary)
) -> None:
    """Benchmark many tables at once, on the sets at hand, and say what the others lack.

    papers: every table of the five papers, with the figures that they publish.
    bundled: every bundled model.
    """
    check_reports(report or ())

    from restore_cli.bench.run import Request
    from restore_cli.bench.suites import plan
    from restore_cli.engine import Settings  # imports torch

    common = Request(
        task="",
        sets=(),
        data=tuple(data or ()),
        metrics=_metrics(metric),
        published=True,
        shown=_shown(report, show),
        settings=Settings(device, precision),
        offline=offline,
        fresh=fresh,
    )
    requests, lacking = plan(name, common)
    if not quiet:
        for sentence in lacking:
            print_warning(sentence)
    _render(f"suite {name}", requests, report or (), json, quiet)


@app.command("sets")
def list_sets(data: Data = None, json: Json = False) -> None:
    """List the sets known by name: which are here, can be downloaded, or must be fetched by
    hand.
    """
    from restore_cli.datasets.known import find_folder, known

    places = {name: find_folder(name, data or ()) for name in known()}
    if json:
        records = [
            dataclasses.asdict(entry) | {"path": places[name]} for name, entry in known().items()
        ]
        print_result(dumps(records, default=str, indent=2))
        return
    rows = [("set", "title", "images", "colour", "for", "where")]
    for name, entry in known().items():
        where = "here" if places[name] else "download" if entry.source else "by hand"
        colour = "gray" if entry.channels == 1 else "colour"
        rows.append((name, entry.title, str(entry.images), colour, ", ".join(entry.tasks), where))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print_result("  ".join(map(str.ljust, row, widths)).rstrip())
    for name, entry in known().items():
        if not places[name] and not entry.source:
            print_text(f"{name}: {entry.note}")


def add_commands() -> None:
    """Give the app one command for each task."""
    for name in TASKS:
        app.command(name, help=f"Benchmark {name} models.")(compose(find_task(name)))


def compose(task: type[Task]) -> Callable[..., None]:
    """The command of a task: the parameters of `run`, among them those fields that are levels of
    damage.
    """
    levels = [
        item
        for item in dataclasses.fields(task)
        if "parse" in item.metadata and item.name in find_degradation(task.name).levels
    ]
    own = [
        inspect.Parameter(
            item.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=None,
            annotation=Annotated[
                str | None, _word(_describe(task, item), "VALUE,VALUE,...", _WHAT)
            ],
        )
        for item in levels
    ]
    _, sets, *others = inspect.signature(run, eval_str=True).parameters.values()

    def command(**words: Any) -> None:
        given = {item.name: words.pop(item.name) for item in levels}
        values = {
            item.name: [item.metadata["parse"](word) for word in given[item.name].split(",")]
            for item in levels
            if given[item.name]
        }
        run(task, **words, given=values)

    listed = {"level": list(_parsers(task)), "peer": peer_names(task.name)}
    others = [_with_values(item, listed.get(item.name)) for item in others[:-1]]
    command.__signature__ = inspect.Signature([sets, *own, *others])  # type: ignore[attr-defined]
    command.__annotations__ = {}
    return command


def _describe(task: type[Task], item: dataclasses.Field[Any]) -> str:
    """What a level is, and its values when none is named."""
    usual = dict.fromkeys(
        str(level[item.name])
        for level in find_degradation(task.name).validation
        if item.name in level
    )
    more = f"; by default {', '.join(usual)}" if usual else ""
    return f"{item.metadata['help'].partition(';')[0].rstrip('.')}{more}."


def _with_values(parameter: inspect.Parameter, values: list[str] | None) -> inspect.Parameter:
    """The parameter, whose help ends with the values that it takes for a task, by which it is
    completed.
    """
    if values is None:
        return parameter
    kind, option = get_args(parameter.annotation)
    option = copy.copy(option)
    option.help = f"{option.help}: {', '.join(values) or 'none'}."
    option.autocompletion = options.complete_list(lambda: values)
    return parameter.replace(annotation=Annotated[kind, option])


def run(
    task: type[Task],
    *,
    sets: Sets = None,
    data: Data = None,
    pairs: Annotated[str, _word("Folders of real pairs in each set.", "CLEAN:DAMAGED", _WHAT)] = "",
    level: Annotated[
        list[str] | None, _word("Level of the damage", "KEY=VALUE,VALUE,...", _WHAT)
    ] = None,
    degrade: Annotated[
        list[str] | None,
        _word(
            "Take the images as clean even if they are not, and add damage of this level.",
            "KEY=VALUE,VALUE,...",
            _WHAT,
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        _word(
            "Models; by default the task's own.",
            "NAME|FILE,...",
            _WHAT,
            options.complete_list(options.model_names),
        ),
    ] = None,
    peer: Annotated[
        list[str] | None, _word("Other methods to compare with", "NAME,...", _WHAT)
    ] = None,
    metric: Metrics = None,
    published: Annotated[
        bool,
        typer.Option(
            "--published",
            metavar=options.FLAG,
            help="Also show figures from papers.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    gray: Annotated[
        bool,
        typer.Option(
            "--gray",
            metavar=options.FLAG,
            help="Convert images to luma first.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    full_range: Annotated[
        bool,
        typer.Option(
            "--full-range",
            metavar=options.FLAG,
            help="With --gray: gray of full range, as MATLAB's rgb2gray, in place of luma.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    clip: Annotated[
        bool,
        typer.Option(
            "--clip",
            metavar=options.FLAG,
            help="Round damaged images to 8 bits.",
            rich_help_panel=_WHAT,
        ),
    ] = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    tile: options.Tile = "auto",
    ensemble: options.Ensemble = False,
    offline: options.Offline = False,
    fresh: Fresh = False,
    report: Report = None,
    show: Show = 2,
    json: Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001 (read by the error boundary)
    given: Mapping[str, Sequence[Any]],
) -> None:
    """Measure what the words of a command line ask for."""
    check_reports(report or ())
    side = parse_tile(tile)

    from restore_cli.bench import run as job
    from restore_cli.engine import Settings  # imports torch

    request = job.Request(
        task=task.name,
        sets=tuple(sets or ()),
        data=tuple(data or ()),
        pairs=pairs,
        degrade=bool(degrade),
        levels=tuple(parse_levels(task, given, [*(level or ()), *(degrade or ())])),
        models=tuple(None if name == "default" else name for name in split_commas(model))
        or (None,),
        peers=tuple(split_commas(peer)),
        metrics=_metrics(metric),
        gray=gray or full_range,
        full_range=full_range,
        clip=clip,
        published=published,
        shown=_shown(report, show),
        settings=Settings(device, precision, side, ensemble),
        offline=offline,
        fresh=fresh,
    )
    _render(task.name, [request], report or (), json, quiet)


def check_reports(paths: Sequence[Path]) -> None:
    """Raise UsageError where one cannot be written, before any work is done."""
    from restore_cli.report.bench import check_bench

    for path in paths:
        check_bench(path)


def _shown(reports: Sequence[Path] | None, show: int) -> int:
    """How many images of each set and level are kept: none unless a report has pictures."""
    return show if any(path.suffix.lower() == ".html" for path in reports or ()) else 0


def _metrics(words: Sequence[str] | None) -> tuple[Metric, ...]:
    return tuple(map(find_metric, dict.fromkeys(split_commas(words))))


def parse_levels(
    task: type[Task], given: Mapping[str, Sequence[Any]], words: Sequence[str]
) -> list[Mapping[str, Any]]:
    """All combinations of the values named for each level; none where none is named.

    Raises:
        UsageError: a word is no KEY=VALUE, or the task has no such level.
    """
    from restore_cli.bench.suites import combine

    parsers = _parsers(task)
    values = {key: list(found) for key, found in given.items()}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"--level takes KEY=VALUE, not {word!r}.")
        if key not in parsers:
            raise UsageError(f"{task.name} has no level {key!r}; it has {', '.join(parsers)}.")
        values[key] = [parsers[key](part) for part in text.split(",")]
    return combine(values)


def _parsers(task: type[Task]) -> dict[str, Callable[[str], Any]]:
    """What makes values of words, by the levels of a task."""
    own = {item.name: item.metadata.get("parse", read_value) for item in dataclasses.fields(task)}
    damage = dataclasses.fields(find_degradation(task.name))
    return {item.name: own.get(item.name, read_value) for item in damage}


def _render(
    title: str, requests: Sequence[Request], reports: Sequence[Path], json: bool, quiet: bool
) -> None:
    from restore_cli.bench import run as job
    from restore_cli.report.bench import to_json, write_bench

    origin = job.origin(requests[0].settings, shlex.join(["restore", *sys.argv[1:]]))
    found, moments = None, job.bench(*requests)
    try:
        with show_progress("measuring", quiet) as bar, Worker() as worker:
            for moment in worker.each(moments):
                if isinstance(moment, job.Bench):
                    found = moment
                    break
                if isinstance(moment, job.Notice):
                    if not quiet:
                        print_warning(moment.warning)
                    continue
                if moment.done == 1 and moment.kept and not quiet:
                    print_note(f"going on with {moment.kept} images of a run that was interrupted")
                bar.update(
                    moment.done, moment.total, f"{moment.done}/{moment.total} images, {moment.note}"
                )
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt("What was measured is kept; run it again to go on.") from error
    assert found
    if json:
        print_result(to_json(found.rows, origin).rstrip())
    else:
        print_tables(found.rows, origin)
    for path in reports:
        call(write_bench, path, f"{title}, measured", found.rows, origin, found.comparisons)
        if not quiet:
            print_note(f"report {path}")
    next(moments, None)  # all is written, and what was measured may be forgotten


def _long_notes(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row.note for row in rows if len(row.note) > len("best")))


def print_tables(rows: Sequence[Row], origin: Origin) -> None:
    """A table for each protocol, and one of what papers say; with all columns where it is no
    terminal.

    There notes stand below the table, where they have room.
    """
    from restore_cli.report.bench import by_protocol, columns, format_figure, legend, to_markdown
    from restore_cli.report.html import FOLDED

    if not stdout.is_terminal:
        print_result(to_markdown(rows, origin).rstrip())
        return
    for title, group in by_protocol(rows):
        keys = [key for key in columns(group) if key not in (*FOLDED, "SSIM Y")]
        table = Table("set", "level", "model", box=None, title=literal(title), title_justify="left")
        for key in keys:
            table.add_column(key, justify="right", no_wrap=True)
        table.add_column("", no_wrap=True)
        notes = {note: f"[{number}]" for number, note in enumerate(_long_notes(group), 1)}
        for row in group:
            cells = [format_figure(key, row.figures.get(key)) for key in keys]
            texts = [row.set, row.level, row.model, *cells, notes.get(row.note, row.note)]
            table.add_row(*map(literal, texts))
        stdout.print(table)
        for note, number in notes.items():
            stdout.print(literal(f"{number} {note}"))
        stdout.print()
    for line in legend(rows, origin):
        stdout.print(literal(line))


add_commands()
