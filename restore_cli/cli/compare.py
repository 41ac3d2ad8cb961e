"""`restore compare`: a page that compares versions of photos, from files or from models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restore_cli.cli import options
from restore_cli.cli.completion import complete_list, model_names
from restore_cli.cli.display import print_error, print_note, print_result, print_warning
from restore_cli.cli.examples import examples
from restore_cli.cli.fields import fill_task
from restore_cli.cli.options import FLAG, Debug
from restore_cli.cli.progress import Downloads, show_progress
from restore_cli.cli.signals import Worker, call
from restore_cli.cli.values import split_commas
from restore_cli.errors import ExitCode, PictureError, UsageError
from restore_cli.models import store
from restore_cli.models.catalog import Entry
from restore_cli.tasks import TASKS, find_task

if TYPE_CHECKING:
    from restore_cli.pipeline.request import Request
    from restore_cli.report.comparison import Version
    from restore_cli.report.gallery import Gallery

EPILOG = (
    f"{examples('compare')}\n\nExit codes: 0 page written, 1 some or all versions failed, 2 invalid"
    " arguments, 130 interrupted."
)


def compare(
    before: Annotated[
        Path, typer.Argument(metavar="BEFORE", help="Original photo, or a folder of photos.")
    ],
    out: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE.html", help="HTML page to write."),
    ],
    after: Annotated[
        list[Path] | None,
        typer.Argument(metavar="AFTER", help="Restored versions; optional with --models."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE,...",
            autocompletion=complete_list(model_names),
            help="Also restore the photo with these models; `default` is the task's own.",
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            metavar="TASK",
            help=f"Task of the models: {', '.join(TASKS)}; by default the one that all of them are"
            " for.",
            autocompletion=lambda: [*TASKS],
        ),
    ] = None,
    level: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Option of the task's command, such as scale=4, sigma=25 or detect=text;"
            " repeatable.",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|DIR", help="Reference photo, or a folder of them; reports PSNR and SSIM."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar=FLAG, help="Overwrite an existing page.")
    ] = False,
    accept: options.Accept = None,
    offline: options.Offline = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    tile: options.Tile = None,
    mask: options.Mask = None,
    quiet: options.Quiet = False,
    debug: Debug = False,
) -> None:
    """Write an HTML page that compares photos: divider, side by side, or blinking.

    The page is a single file that works offline. If BEFORE is smaller by an integer factor, it is
    upscaled bicubically.

    In folders, photos with matching names are compared, such as photo.jpg and photo.denoised.jpg:
    the first 50, or with --reference the 50 with the lowest PSNR.

    With --models, one photo is restored with each model, as the task's command does, and only the
    page is written. If a model cannot be loaded, an error names it and the others continue.
    """
    from restore_cli.report.gallery import Gallery, check_page

    names = split_commas(models)
    if not names and not after:
        raise UsageError(
            f"Cannot compare {before}: there is no second photo. Name one, or give --models."
        )
    if not names and (task or level or mask):
        raise UsageError("Cannot use --task, --level or --mask without --models.")
    if task and task not in TASKS:
        raise UsageError(f"Unknown task {task!r}; expected {', '.join(TASKS)}.")
    for name in accept or ():
        store.accept_license(name)
    check_page(out, overwrite=overwrite)
    page = Gallery(out, "compared")
    if names:
        from restore_cli.engine import Settings  # imports torch
        from restore_cli.pipeline import request as job
        from restore_cli.pipeline.files import STREAM, FileJob, match_files
        from restore_cli.pipeline.lineup import find_task_of
        from restore_cli.pipeline.plan import Step

        kind = fill_task(find_task(task or call(find_task_of, names)), "--level", level or ())
        settings = Settings(device, precision, tile)
        item = FileJob(str(before), STREAM, before.name, format="PNG")
        items = match_files([item], mask, None)
        request = job.Request(Step(kind), items, settings=settings, offline=offline, debug=debug)
        others = [*(after or ()), *([reference] if reference else ())]
        failed = _add_restored(page, before, names, request, others, reference is not None, quiet)
    else:
        failed = _add_pictures(page, [before, *(after or ())], reference, debug, quiet)
    call(page.write)
    if page.kept:
        print_result(str(out))
    if page.left_out and not quiet:
        print_warning(
            f"{out} shows {page.photos}: the first, or with --reference those with the lowest PSNR."
        )
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _add_pictures(
    page: Gallery, paths: Sequence[Path], reference: Path | None, debug: bool, quiet: bool
) -> bool:
    """Compare files, or matching files of folders; returns whether any of them failed."""
    from restore_cli.metrics import psnr
    from restore_cli.pipeline.compare import make_alike, measure, pair, read_versions
    from restore_cli.report.comparison import Comparison

    failed = False
    for name, files in pair([*paths, *([reference] if reference else [])]).items():
        found = [path for path in files if path]
        if len(found) < len(files):
            if not quiet:
                print_warning(f"Skipped {name}: not every folder has a matching photo.")
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


def _add_restored(
    page: Gallery,
    photo: Path,
    models: Sequence[str],
    request: Request,
    others: Sequence[Path],
    measured: bool,
    quiet: bool,
) -> bool:
    """Compare the results of models, and other versions of a photo; returns whether any failed.

    Args:
        measured: whether the last of the others is the reference for PSNR and SSIM.
    """
    from restore_cli.pipeline.compare import make_alike, measure, read_versions
    from restore_cli.report.comparison import Comparison

    if photo.is_dir():
        raise UsageError(f"Cannot restore the folder {photo} with --models. Name one photo.")
    given = call(read_versions, others)
    made, failed = _restore(photo, models, request, quiet)
    if not made:
        print_note(f"nothing was restored; {page.path} was not written")
        return True
    versions = call(make_alike, [*made, *given])
    if measured:
        versions = call(measure, versions)
    page.add(math.inf, partial(Comparison, photo.name, tuple(versions)))
    return failed


def _restore(
    photo: Path, models: Sequence[str], request: Request, quiet: bool
) -> tuple[list[Version], bool]:
    """The photo and the results of the models (empty if all fail), and whether any failed."""
    from restore_cli.pipeline.lineup import line_up
    from restore_cli.pipeline.request import Callbacks

    versions: list[Version] = []
    names, done, failed = list(dict.fromkeys(models)), 0, False
    downloads = Downloads(quiet)
    with show_progress("comparing", quiet) as bar, Worker() as worker:

        def show(note: str) -> None:
            bar.update(done, len(names), f"{done}/{len(names)} models, {note}")

        def download(entry: Entry, size: int, _: int) -> None:
            downloads.announce(entry)
            show(f"downloading {entry.name}, {size / 1e6:.0f} MB")

        callbacks = Callbacks(
            on_download=download,
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
