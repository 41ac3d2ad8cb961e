"""`restore compare`: a page to look at versions of pictures, made elsewhere or by models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore_cli.cli import options
from restore_cli.cli.display import print_error, print_note, print_result, print_warning
from restore_cli.cli.fields import option_fields, split_keys
from restore_cli.cli.options import FLAG, Debug
from restore_cli.cli.progress import show_progress
from restore_cli.cli.signals import Worker, call
from restore_cli.cli.values import parse_tile, split_commas
from restore_cli.errors import ExitCode, PictureError, UsageError
from restore_cli.models import store
from restore_cli.tasks import TASKS, Task, find_task

if TYPE_CHECKING:
    from restore_cli.pipeline.batch import Request
    from restore_cli.report.comparison import Version
    from restore_cli.report.gallery import Gallery

EPILOG = (
    "Examples:\n"
    "  restore compare photo.jpg retouched.jpg -o page.html\n"
    "  restore compare photos/ denoised/ -o page.html\n"
    "  restore compare photo.jpg --models default,best,realesrgan --level scale=4 -o page.html\n"
    "  restore compare photo.jpg --models default,mine.safetensors --task denoise -o page.html\n\n"
    "Exit codes: 0 the page is written, 1 it is written without a model that failed, or not at all,"
    " 2 invalid arguments, 130 interrupted."
)


def compare(
    before: Annotated[
        Path, typer.Argument(metavar="BEFORE", help="The picture as it was, or a folder.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FILE.html", help="The page to write.", show_default=False
        ),
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
            help=f"What the models do: {', '.join(TASKS)}; by default what all that are named are"
            " for.",
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
        Path | None,
        typer.Option(metavar="FILE|DIR", help="The clean picture: gives PSNR and SSIM."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar=FLAG, help="Replace a page that exists.")
    ] = False,
    accept: options.Accept = None,
    offline: options.Offline = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    tile: options.Tile = "auto",
    mask: options.Mask = None,
    quiet: options.Quiet = False,
    debug: Debug = False,
) -> None:
    """Write a page that compares pictures: with a divider, side by side or blinking, down to the
    pixels.

    It is one file that needs no network. A BEFORE that is smaller by a whole factor is enlarged
    bicubically.

    Of folders it compares the pictures of one name, such as photo.jpg and photo.denoised.jpg: the
    first 50, or with --reference the 50 worst.

    With --models one photo is restored by each of them as the task's command does, and only the
    page is kept. A model that cannot be loaded is named, and the others go on.
    """
    from restore_cli.report.gallery import Gallery, check_page

    names = split_commas(models)
    if not names and not after:
        raise UsageError(
            f"Cannot compare {before} with nothing. Name another picture, or give --models."
        )
    if not names and (task or level or mask):
        raise UsageError("Cannot use --task, --level or --mask without models. Give --models.")
    if task and task not in TASKS:
        raise UsageError(f"There is no task {task!r}; choose {', '.join(TASKS)}.")
    for name in accept or ():
        store.accept_license(name)
    check_page(out, overwrite=overwrite)
    page = Gallery(out, "compared")
    if names:
        from restore_cli.engine import Settings  # imports torch
        from restore_cli.pipeline import batch as job
        from restore_cli.pipeline.files import STREAM, FileJob, match_files
        from restore_cli.pipeline.lineup import find_task_of

        kind = _fill(find_task(task or call(find_task_of, names)), level or ())
        settings = Settings(device, precision, parse_tile(tile))
        item = FileJob(str(before), STREAM, before.name, format="PNG")
        items = match_files([item], mask, None)
        request = job.Request(kind, items, settings=settings, offline=offline, debug=debug)
        others = [*(after or ()), *([reference] if reference else ())]
        failed = _add_restored(page, before, names, request, others, reference is not None, quiet)
    else:
        failed = _add_pictures(page, [before, *(after or ())], reference, debug)
    call(page.write)
    if page.kept:
        print_result(str(out))
    if page.left_out:
        print_warning(f"{out} has room for {page.photos}: the first, or with --reference the worst")
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _add_pictures(
    page: Gallery, paths: Sequence[Path], reference: Path | None, debug: bool
) -> bool:
    """Compare files, or those of folders that have one name; say whether any fails."""
    from restore_cli.metrics import psnr
    from restore_cli.pipeline.compare import make_alike, measure, pair, read_versions
    from restore_cli.report.comparison import Comparison

    failed = False
    for name, files in pair([*paths, *([reference] if reference else [])]).items():
        found = [path for path in files if path]
        if len(found) < len(files):
            print_warning(f"{name} is left out: not every folder has a picture of its name")
            continue
        try:
            versions, rank = call(make_alike, call(read_versions, found)), math.inf
            if reference:
                rank = call(psnr, versions[1].pixels, versions[-1].pixels)
                versions = call(measure, versions)
        except PictureError as error:
            if debug:
                raise
            print_error(str(error))
            failed = True
            continue
        page.add(rank, partial(Comparison, name, tuple(versions)))
    return failed


def _fill(task: type[Task], words: Sequence[str]) -> Task:
    """A task with the options that KEY=VALUE words give."""
    known = option_fields(task)
    given: dict[str, Any] = {}
    for key, text in split_keys("--level", words):
        name = key.replace("-", "_")
        if name not in known:
            raise UsageError(
                f"Cannot use --level {key}={text}: {task.name} takes KEY=VALUE of"
                f" {', '.join(known)}."
            )
        value = known[name].metadata["parse"](text)
        given[name] = (*given.get(name, ()), value) if known[name].default == () else value
    return task(**given)


def _add_restored(
    page: Gallery,
    photo: Path,
    models: Sequence[str],
    request: Request,
    others: Sequence[Path],
    measured: bool,
    quiet: bool,
) -> bool:
    """Compare what models make of a photo, and other versions of it; say whether any fails.

    Args:
        measured: the last of the others is what all are measured against.
    """
    from restore_cli.pipeline.compare import make_alike, measure, read_versions
    from restore_cli.report.comparison import Comparison

    if photo.is_dir():
        raise UsageError(f"Cannot restore the folder {photo} by --models. Name one photo.")
    given = call(read_versions, others)
    made, failed = _restore(photo, models, request, quiet)
    if not made:
        print_note(f"nothing was restored; {page.path} is not written")
        return True
    versions = call(make_alike, [*made, *given])
    if measured:
        versions = call(measure, versions)
    page.add(math.inf, partial(Comparison, photo.name, tuple(versions)))
    return failed


def _restore(
    photo: Path, models: Sequence[str], request: Request, quiet: bool
) -> tuple[list[Version], bool]:
    """The photo and what the models make of it, nothing where all fail; and whether any fails."""
    from restore_cli.pipeline.batch import Callbacks
    from restore_cli.pipeline.lineup import line_up

    versions: list[Version] = []
    names, done, failed = list(dict.fromkeys(models)), 0, False
    with show_progress("comparing", quiet) as bar, Worker() as worker:

        def show(note: str) -> None:
            bar.update(done, len(names), f"{done}/{len(names)} models, {note}")

        callbacks = Callbacks(
            on_download=lambda size, _: show(f"fetching {names[done]}, {size / 1e6:.0f} MB"),
            on_progress=lambda *_: show(names[done]),
        )
        for one in worker.each(line_up(photo, names, request, callbacks)):
            done += 1
            if one.before and one.after:
                versions += [one.after] if versions else [one.before, one.after]
            else:
                failed = True
                print_error(f"{one.model}: {one.error}")
            for warning in () if quiet else one.warnings:
                print_warning(f"{one.model}: {warning}")
    return versions, failed
