"""`restore study`: trains a small sweep and draws the figure of a paper."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore_cli import training
from restore_cli.cli.display import print_note, print_result
from restore_cli.cli.fields import parse_keys
from restore_cli.cli.options import FLAG, Debug, Device
from restore_cli.cli.progress import show_progress
from restore_cli.errors import RestoreError, UsageError
from restore_cli.tables import read_toml

if TYPE_CHECKING:
    from restore_cli.training.loop import Beat


def _word(text: str, metavar: str, *names: str, **others: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=text, show_default=False, **others)


def _study_names() -> list[str]:
    table = Path(training.__file__).with_name(
        "studies.toml"
    )  # which its module would read behind torch
    return list(read_toml(table, RestoreError))


def study(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="The study, as of --list.",
            show_default=False,
            autocompletion=_study_names,
        ),
    ] = None,
    list_studies: Annotated[
        bool, typer.Option("--list", metavar=FLAG, help="List the studies.")
    ] = False,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Images to train on.")] = Path(),
    validation: Annotated[
        Path | None, _word("Images to score with; by default some are held out.", "DIR", "--val")
    ] = None,
    minutes: Annotated[
        float | None,
        _word("Time of each training; by default 8 minutes.", "N", "--minutes-each", min=0.01),
    ] = None,
    steps: Annotated[
        int | None,
        _word("Steps of each training, in place of minutes.", "N", "--steps-each", min=1),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Trainings of each point, which show the spread."),
    ] = 1,
    settings: Annotated[
        list[str] | None,
        _word("A key of all recipes, such as batch=4; may be repeated.", "KEY=VALUE", "--set"),
    ] = None,
    out: Annotated[
        Path | None, _word("Folder for the results; by default studies/NAME.", "DIR", "--out")
    ] = None,
    device: Device = "auto",
    debug: Debug = False,  # noqa: ARG001 (its callback keeps it)
) -> None:
    """Train a small sweep of networks and draw the figure of a paper.

    restore study xunit-filter --data photos/ --minutes-each 8 --seeds 2

    After each training it writes NAME.html (chart and table), .svg, .md and .json.
    Started again, a study that was interrupted goes on where it was.
    """
    from restore_cli.training import study as job

    if list_studies:
        for key, found in job.studies().items():
            print_result(f"{key}: {found.title} ({found.figure})")
        return
    if not name:
        raise UsageError("Cannot start a study: none is named. `restore study --list` shows all.")
    if minutes and steps:
        raise UsageError(
            "Cannot train for minutes and for steps: give --minutes-each or --steps-each."
        )
    from restore_cli.report.study import to_markdown, write_study

    keys = parse_keys("--set", settings)
    folder = out or Path("studies") / name
    request = job.Request(
        name, data, folder, minutes or 8.0, steps or 0, seeds, validation, device, keys
    )
    with show_progress("training") as bar:
        total = len(list(job.points(job.find(name), keys))) * seeds

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
                    print_note(f"{moment.done}/{moment.total}  {moment.words}")
        except KeyboardInterrupt:
            print_note("what is trained is kept; start the study again to go on")
            raise
    print_result(to_markdown(moment.chart).rstrip())
    print_note(f"written: {', '.join(map(str, written))}")
