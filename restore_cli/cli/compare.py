"""`restore compare`: a page to look at versions of one picture, made elsewhere or by models."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore_cli.cli import options
from restore_cli.cli.display import print_error, print_note, print_result, print_warning, show_progress
from restore_cli.cli.options import FLAG, Debug
from restore_cli.cli.signals import Worker, call
from restore_cli.errors import UsageError
from restore_cli.tasks import TASKS, Task, find_task

if TYPE_CHECKING:
    from restore_cli.jobs.restore import Request
    from restore_cli.report.html import Version

EPILOG = (
    "Examples:\n"
    "  restore compare photo.jpg retouched.jpg -o page.html\n"
    "  restore compare photo.jpg --models default,best,realesrgan --level scale=4 -o page.html\n"
    "  restore compare photo.jpg --models default,mine.safetensors --task denoise -o page.html\n\n"
    "Exit codes: 0 the page is written, 1 it is written without a model that failed, or not at all,"
    " 2 invalid arguments, 130 interrupted."
)


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The picture as it was.")],
    out: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE.html", help="The page to write.", show_default=False),
    ],
    after: Annotated[
        list[Path] | None,
        typer.Argument(metavar="AFTER", help="What was made of it; may be left out with --models."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE,...",
            help="Restore it by each of these models, too; default is the task's own.",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help=f"What the models do: {', '.join(TASKS)}; by default what all that are named are for.",
            autocompletion=lambda: [*TASKS],
            show_default=False,
        ),
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="An option of the task's command, such as scale=4 or sigma=25; may be repeated.",
        ),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The clean picture: gives PSNR and SSIM.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar=FLAG, help="Replace a page that exists.")
    ] = False,
    offline: options.Offline = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    tile: options.Tile = "auto",
    mask: options.Mask = None,
    quiet: options.Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a page that compares pictures: with a divider, side by side or blinking, down to the pixels.

    It is one file that needs no network. A BEFORE that is smaller by a whole factor is enlarged bicubically.
    With --models the picture is restored by each of them as the task's command does, and nothing but the page
    is kept. A model that cannot be had is named, and the others go on.
    """
    from restore_cli.atomic import write_text
    from restore_cli.jobs.compare import make_alike, measure, read_versions
    from restore_cli.report.html import Comparison, check_page, render_comparisons

    names = [name for word in models or () for name in word.split(",") if name]
    if not names and not after:
        raise UsageError("There is nothing to compare with; name another picture, or give --models.")
    if not names and (task or level or mask):
        raise UsageError("Options of models are given without any; give --models.")
    if task and task not in TASKS:
        raise UsageError(f"There is no task {task!r}; choose {', '.join(TASKS)}.")
    check_page(out, overwrite=overwrite)
    failed = False
    paths = [*(() if names else (before,)), *(after or ()), *([reference] if reference else ())]
    versions = call(read_versions, paths)
    if names:
        from restore_cli.engine import Settings  # imports torch
        from restore_cli.jobs import restore as job
        from restore_cli.jobs.lineup import find_task_of

        kind = _fill(find_task(task or call(find_task_of, names)), level or ())
        settings = Settings(device, precision, options.parse_tile(tile))
        request = job.Request(kind, (), settings=settings, mask=mask, offline=offline, debug=debug)
        made, failed = _restore(before, names, request, quiet)
        if not made:
            print_note(f"nothing was restored; {out} is not written")
            raise typer.Exit(1)
        versions = [*made, *versions]
    versions = call(make_alike, versions)
    if reference:
        versions = call(measure, versions)
    title = f"{before.name}, compared"
    page = call(render_comparisons, title, [Comparison(before.name, tuple(versions))])
    call(write_text, out, page)
    print_result(str(out))
    if failed:
        raise typer.Exit(1)


def _fill(task: type[Task], words: Sequence[str]) -> Task:
    """A task with the options that KEY=VALUE words give."""
    known = {item.name: item for item in dataclasses.fields(task) if "parse" in item.metadata}
    given: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        name = key.replace("-", "_")
        if not equals or name not in known:
            raise UsageError(f"Cannot use --level {word}: {task.name} takes KEY=VALUE of {', '.join(known)}.")
        value = known[name].metadata["parse"](text)
        given[name] = (*given.get(name, ()), value) if known[name].default == () else value
    return task(**given)


def _restore(photo: Path, models: Sequence[str], request: Request, quiet: bool) -> tuple[list[Version], bool]:
    """The photo and what the models make of it, nothing where all fail; and whether any fails."""
    from restore_cli.jobs.lineup import line_up
    from restore_cli.jobs.restore import Watch

    versions: list[Version] = []
    names, done, failed = list(dict.fromkeys(models)), 0, False
    with show_progress("comparing", quiet) as bar, Worker() as worker:

        def show(note: str) -> None:
            bar.update(done, len(names), f"{done}/{len(names)} models, {note}")

        watch = Watch(
            download=lambda size, _: show(f"fetching {names[done]}, {size / 1e6:.0f} MB"),
            restored=lambda *_: show(names[done]),
        )
        for one in worker.each(line_up(photo, names, request, watch)):
            done += 1
            if one.before and one.after:
                versions += [one.after] if versions else [one.before, one.after]
            else:
                failed = True
                print_error(f"{one.model}: {one.error}")
            for warning in () if quiet else one.warnings:
                print_warning(f"{one.model}: {warning}")
    return versions, failed
