"""`restore bench`: benchmark models on image sets, one command per task."""

from __future__ import annotations

import copy
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from json import dumps
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from restore_cli.bench.baselines import baselines
from restore_cli.cli import bench_options as bench
from restore_cli.cli import options
from restore_cli.cli.bench_display import run_bench
from restore_cli.cli.completion import complete_list
from restore_cli.cli.display import print_result, print_text, print_warning
from restore_cli.cli.examples import examples
from restore_cli.cli.fields import compose, option_fields, parameter, split_keys
from restore_cli.cli.values import split_commas
from restore_cli.degradations import Degradation, find_degradation
from restore_cli.errors import UsageError
from restore_cli.metrics.perceptual import Metric, find_metric
from restore_cli.tables import read_value
from restore_cli.tasks import TASKS, Task, find_task

app = typer.Typer(
    help="Benchmark models on image sets, for one task or for a predefined suite.",
    no_args_is_help=True,
    epilog=examples("bench"),
)


@app.command("suite", epilog=examples("bench suite"))
def run_suite(
    name: bench.Suite,
    task: bench.Tasks = None,
    data: bench.Data = None,
    metric: bench.Metrics = None,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    offline: options.Offline = False,
    fresh: bench.Fresh = False,
    report: bench.Report = None,
    show: bench.Show = 2,
    json: bench.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001 (read by the error boundary)
) -> None:
    """Run a predefined suite of benchmarks on the available sets.

    papers: every table of the five papers, next to their published results.
    bundled: every bundled model.
    """
    _check_reports(report or ())

    from restore_cli.bench.request import Request
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
    requests, lacking = plan(name, common, [find_task(one).name for one in split_commas(task)])
    if not quiet:
        for sentence in lacking:
            print_warning(sentence)
    run_bench(f"suite {name}", requests, report or (), json, quiet)


@app.command("sets", epilog=examples("bench sets"))
def list_sets(data: bench.Data = None, json: bench.Json = False) -> None:
    """List the known image sets and where to get them."""
    from restore_cli.datasets.find import find_folder
    from restore_cli.datasets.known import known_sets

    places = {name: find_folder(name, data or ()) for name in known_sets()}
    if json:
        records = [
            dataclasses.asdict(entry) | {"path": places[name]}
            for name, entry in known_sets().items()
        ]
        print_result(dumps(records, default=str, indent=2))
        return
    rows = [("set", "title", "images", "color", "tasks", "where")]
    for name, entry in known_sets().items():
        where = "here" if places[name] else "download" if entry.source else "manual"
        color = "gray" if entry.channels == 1 else "color"
        rows.append((name, entry.title, str(entry.images), color, ", ".join(entry.tasks), where))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print_result("  ".join(map(str.ljust, row, widths)).rstrip())
    for name, entry in known_sets().items():
        if not places[name] and not entry.source:
            print_text(f"{name}: {entry.note}")


_VALUES = "VALUE,VALUE,..."


def _add_commands() -> None:
    """Add one command per task to the app."""
    for name in TASKS:
        text, epilog = f"Benchmark {name} models.", examples(f"bench {name}")
        app.command(name, help=text, epilog=epilog)(_compose(find_task(name)))


def _compose(task: type[Task]) -> Callable[..., None]:
    """The command of a task: the common options, and one option per degradation level."""
    damage = find_degradation(task.name)
    levels = {name: item for name, item in option_fields(task).items() if name in damage.levels}
    own = [
        parameter(
            name,
            Annotated[
                str | None,
                options.option(bench.WHAT, _VALUES, _describe(damage, item)),
            ],
        )
        for name, item in levels.items()
    ]

    def parse(given: Mapping[str, str | None]) -> dict[str, dict[str, list[Any]]]:
        values = {
            name: [levels[name].metadata["parse"](text) for text in texts.split(",")]
            for name, texts in given.items()
            if texts
        }
        return {"given": values}

    offered = inspect.signature(_run, eval_str=True).parameters
    listed = {"level": list(_parsers(task)), "peer": list(baselines(task.name))}
    annotations = {
        name: _with_values(offered[name].annotation, values) for name, values in listed.items()
    }
    return compose(partial(_run, task), ["given"], {"given": own}, parse, annotations)


def _describe(damage: type[Degradation], item: dataclasses.Field[Any]) -> str:
    """The help of a level's option, with the values that are used by default."""
    levels = damage.validation
    usual = dict.fromkeys(str(level[item.name]) for level in levels if item.name in level)
    more = f"; by default {', '.join(usual)}" if usual else ""
    return f"{item.metadata['help'].partition(';')[0].rstrip('.')}{more}."


def _with_values(annotation: Any, values: list[str]) -> Any:
    """An option whose help and shell completion list the values that a task accepts."""
    kind, option = get_args(annotation)
    option = copy.copy(option)
    option.help = f"{option.help}: {', '.join(values) or 'none'}."
    option.autocompletion = complete_list(lambda _: values)
    return Annotated[kind, option]


def _run(
    task: type[Task],
    *,
    sets: bench.Sets = None,
    given: Mapping[str, Sequence[Any]],
    data: bench.Data = None,
    pairs: bench.Pairs = "",
    level: bench.Level = None,
    degrade: bench.Degrade = None,
    model: bench.Models = None,
    peer: bench.Baselines = None,
    metric: bench.Metrics = None,
    published: bench.Published = False,
    gray: bench.Gray = False,
    full_range: bench.FullRange = False,
    clip: bench.Clip = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    tile: options.Tile = None,
    ensemble: options.Ensemble = False,
    offline: options.Offline = False,
    fresh: bench.Fresh = False,
    report: bench.Report = None,
    show: bench.Show = 2,
    json: bench.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,  # noqa: ARG001 (read by the error boundary)
) -> None:
    """Benchmark a task with the options of a command line.

    Args:
        given: values of the levels that have options of their own.
    """
    _check_reports(report or ())

    from restore_cli.bench.request import Request
    from restore_cli.engine import Settings  # imports torch

    request = Request(
        task=task.name,
        sets=tuple(sets or ()),
        data=tuple(data or ()),
        pairs=pairs,
        degrade=bool(degrade),
        levels=tuple(_parse_levels(task, given, [*(level or ()), *(degrade or ())])),
        models=tuple(None if name == "default" else name for name in split_commas(model))
        or (None,),
        baselines=tuple(split_commas(peer)),
        metrics=_metrics(metric),
        gray=gray or full_range,
        full_range=full_range,
        clip=clip,
        published=published,
        shown=_shown(report, show),
        settings=Settings(device, precision, tile, ensemble),
        offline=offline,
        fresh=fresh,
    )
    run_bench(task.name, [request], report or (), json, quiet)


def _check_reports(paths: Sequence[Path]) -> None:
    """Raise UsageError if a report cannot be written, before any work is done."""
    from restore_cli.report.bench_report import check_bench_report

    for path in paths:
        check_bench_report(path)


def _shown(reports: Sequence[Path] | None, show: int) -> int:
    """The number of images per set and level to show: 0 unless a report shows images."""
    return show if any(path.suffix.lower() == ".html" for path in reports or ()) else 0


def _metrics(names: Sequence[str] | None) -> tuple[Metric, ...]:
    return tuple(map(find_metric, dict.fromkeys(split_commas(names))))


def _parse_levels(
    task: type[Task], given: Mapping[str, Sequence[Any]], assignments: Sequence[str]
) -> list[Mapping[str, Any]]:
    """All combinations of the given values of each level; empty if no level is given.

    Raises:
        UsageError: an assignment is not KEY=VALUE, or the task does not have this level.
    """
    from restore_cli.bench.suites import combine

    parsers = _parsers(task)
    values = {key: list(found) for key, found in given.items()}
    for key, text in split_keys("--level or --degrade", assignments):
        if key not in parsers:
            raise UsageError(
                f"Unknown level {key!r} for {task.name}; available: {', '.join(parsers)}."
            )
        more = [parsers[key](part) for part in text.split(",")]
        values[key] = list(dict.fromkeys([*values.get(key, ()), *more]))
    return combine(values)


def _parsers(task: type[Task]) -> dict[str, Callable[[str], Any]]:
    """The parser of each level of a task, by the level's name."""
    own = {name: item.metadata["parse"] for name, item in option_fields(task).items()}
    levels = dataclasses.fields(find_degradation(task.name))
    return {item.name: own.get(item.name, read_value) for item in levels}


_add_commands()
