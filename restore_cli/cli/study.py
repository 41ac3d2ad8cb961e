"""`restore study`: trains a series of small networks and plots a figure from a paper."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore_cli.cli.completion import study_names
from restore_cli.cli.display import print_note, print_result
from restore_cli.cli.examples import examples
from restore_cli.cli.fields import parse_keys
from restore_cli.cli.options import FLAG, Debug, Device
from restore_cli.cli.progress import show_progress
from restore_cli.errors import UsageError

if TYPE_CHECKING:
    from restore_cli.training.progress import Beat

EPILOG = examples("study")


def _option(text: str, metavar: str, *names: str, **others: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=text, **others)


def study(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Name of the study (see --list).",
            autocompletion=study_names,
        ),
    ] = None,
    list_studies: Annotated[
        bool, typer.Option("--list", metavar=FLAG, help="List the studies.")
    ] = False,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Training images.")] = Path(),
    validation: Annotated[
        Path | None, _option(r"Validation images. \[default: a held-out split]", "DIR", "--val")
    ] = None,
    minutes: Annotated[
        float | None,
        _option(r"Minutes per training. \[default: 8]", "N", "--minutes-each", min=0.01),
    ] = None,
    steps: Annotated[
        int | None,
        _option("Steps per training, instead of minutes.", "N", "--steps-each", min=1),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Trainings per point, each with its own seed."),
    ] = 1,
    settings: Annotated[
        list[str] | None,
        _option("Key for all recipes, such as batch=4; repeatable.", "KEY=VALUE", "--set"),
    ] = None,
    out: Annotated[
        Path | None, _option(r"Folder for the results. \[default: studies/NAME]", "DIR", "--out")
    ] = None,
    device: Device = "auto",
    debug: Debug = False,  # noqa: ARG001 (its callback stores it)
) -> None:
    """Train a series of small networks and plot a figure from a paper.

    After each training, the study writes NAME.html (chart and table), .svg, .md and
    .json. The same command resumes an interrupted study.
    """
    from restore_cli.training.sweep import find, points, studies

    if list_studies:
        for key, found in studies().items():
            print_result(f"{key}: {found.title} ({found.figure})")
        return
    if not name:
        raise UsageError("Cannot start a study: no name given. `restore study --list` shows all.")
    if minutes and steps:
        raise UsageError("Cannot use --minutes-each together with --steps-each. Give one of them.")
    from restore_cli.report.study import to_markdown, write_study
    from restore_cli.training import study as job

    keys = parse_keys("--set", settings)
    folder = out or Path("studies") / name
    request = job.Request(
        name, data, folder, minutes or 8.0, steps or 0, seeds, validation, device, keys
    )
    with show_progress("training") as bar:
        total = len(list(points(find(name), keys))) * seeds

        def show(done: int, beat: Beat) -> None:
            bar.update(
                done + beat.done,
                total,
                f"{done} of {total} trained, step {beat.step}, {beat.doing}",
            )

        try:
            with closing(job.study(request, show)) as moments:
                for moment in moments:
                    written = write_study(folder, name, moment.chart)
                    print_note(f"{moment.done}/{moment.total}  {moment.summary}")
        except KeyboardInterrupt:
            print_note("finished trainings were kept; run the same command again to continue")
            raise
    print_result(to_markdown(moment.chart).rstrip())
    print_note(f"written: {', '.join(map(str, written))}")
