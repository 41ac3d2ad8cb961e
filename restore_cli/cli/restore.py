"""`restore TASK`: one command for each task, with the fields of the task as options."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from restore_cli.cli import options
from restore_cli.cli.display import describe, print_error, print_note, print_result, stdout
from restore_cli.cli.fields import compose, make_task, option_fields, task_parameter
from restore_cli.cli.hints import add_hint, example_options
from restore_cli.cli.outcomes import Outcomes
from restore_cli.cli.progress import BatchProgress, show_progress
from restore_cli.cli.signals import Worker
from restore_cli.cli.sources import Sources
from restore_cli.cli.values import (
    check_ray,
    fill_in_ray,
    parse_existing,
    parse_format,
    parse_shard,
    parse_tile,
)
from restore_cli.errors import UsageError
from restore_cli.models import store
from restore_cli.report.batch_report import check_report
from restore_cli.tasks import Task, find_task

if TYPE_CHECKING:
    from restore_cli.pipeline.files import FileJob
    from restore_cli.pipeline.journal import Journal
    from restore_cli.pipeline.request import Request


class _TaskCommand(TyperCommand):
    """The command of a task, whose option --ray may lack its value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        rest: list[str] = super().parse_args(ctx, fill_in_ray(args))
        return rest


def add_command(app: typer.Typer, name: str) -> None:
    """Add the command of a task to the app."""
    task = find_task(name)
    doc = inspect.cleandoc(task.__doc__ or "").partition("\n\nAttributes:")[0]
    first, *rest = (" ".join(paragraph.split()) for paragraph in doc.split("\n\n"))
    text = "\n\n".join([add_hint(first, name), *rest])
    app.command(name, cls=_TaskCommand, help=text, epilog=_epilog(name))(task_command(task))


def _epilog(name: str) -> str:
    """The end of a task's help: examples and exit codes."""
    more = example_options(name)
    return (
        f"Examples:\n"
        f"  restore {name} photo.jpg{more}\n"
        f"  restore {name} photos/ -r -o restored/ --skip-existing{more}\n"
        f"  restore {name} - -o - --format png{more} < photo.jpg > photo.png\n\n"
        "Exit codes: 0 all inputs restored, 1 some failed, 2 invalid arguments, 3 no model,"
        " 130 interrupted."
    )


def task_command(task: type[Task]) -> Callable[..., None]:
    """The command of a task: the common options, and the fields of the task."""
    own = [task_parameter(item) for item in option_fields(task).values()]
    changed = {"mask": options.Missing} if task.keeps_most_pixels else {}
    return compose(_run, "task", own, lambda values: make_task(task, values), changed)


def _run(
    *,
    inputs: options.Inputs = None,
    task: Task,
    output: options.Output = None,
    suffix: options.Suffix = None,
    format: options.Format = None,
    jpeg_quality: options.JpegQuality = None,
    recursive: options.Recursive = False,
    files_from: options.FilesFrom = None,
    max_pixels: options.MaxPixels = None,
    skip_existing: options.SkipExisting = False,
    overwrite: options.Overwrite = False,
    dry_run: options.DryRun = False,
    resume: options.Resume = False,
    retry_failed: options.RetryFailed = False,
    watch: options.Watch = False,
    jobs: options.Jobs = None,
    shard: options.Shard = None,
    ray: options.Ray = None,
    model: options.Model = None,
    accept: options.Accept = None,
    offline: options.Offline = False,
    device: options.Devices = "auto",
    precision: options.Precision = "auto",
    tile: options.Tile = "auto",
    check_tiles: options.CheckTiles = False,
    ensemble: options.Ensemble = False,
    compile: options.Compile = False,
    strength: options.Strength = 1.0,
    mask: options.Mask = None,
    save_mask: options.SaveMask = None,
    reference: options.Reference = None,
    report: options.Report = None,
    compare: options.Compare = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Restore the inputs of a command line; raises typer.Exit if one of them fails."""
    from restore_cli.pipeline.files import OutputNaming

    Path.cwd()  # raises an error if it is gone, where libraries would end the process
    reports = report or []
    _check_written(reports, compare, overwrite)
    resume = resume or retry_failed or watch
    if resume and skip_existing:
        raise UsageError("Cannot use --skip-existing with --resume, which skips more. Choose one.")
    sources = Sources(
        inputs=inputs or (),
        files_from=files_from,
        recursive=recursive,
        watch=watch,
        shard=parse_shard(shard) if shard else None,
        naming=OutputNaming(
            output=output,
            suffix=f".{task.suffix}" if suffix is None else suffix,
            format=parse_format(format) if format else None,
            exact=task.keeps_most_pixels or mask is not None,
            masks=save_mask,
        ),
        existing=parse_existing(skip_existing, overwrite),
        masks=mask,
        references=reference,
        reports=[*reports, *([compare] if compare else [])],
    )
    with sources.open_journal(create=not dry_run) if resume else nullcontext() as journal:
        items = sources.find(journal, quiet)
        side = parse_tile(tile)
        for name in accept or ():
            store.accept_license(name)
        if not dry_run and isinstance(items, list):
            _check_streams(items, json, ray)

        from restore_cli.engine import Settings  # imports torch
        from restore_cli.pipeline.request import Request
        from restore_cli.pipeline.workers import share_devices

        devices = share_devices(device, jobs, ray is not None)
        if compare and (ray or len(devices) > 1):
            processes = "--ray. Leave one out" if ray else "several processes. Use --jobs 1"
            raise UsageError(f"Cannot use --compare with {processes}.")
        single = isinstance(items, list) and len(items) == 1
        alone = not ray and (len(devices) == 1 or single)
        request = Request(
            task=task,
            items=items,
            model=model,
            settings=Settings(devices[0], precision, side, ensemble, compile),
            devices=() if alone or (ray and jobs is None) else devices,
            ray=check_ray(ray) if ray else None,
            jpeg_quality=jpeg_quality,
            max_pixels=max_pixels,
            skip_existing=skip_existing,
            retry_failed=retry_failed,
            strength=strength,
            check_tiles=check_tiles,
            noise_levels=single or json or bool(reports),
            checksums=resume,
            offline=offline,
            debug=debug,
        )
        if dry_run:
            _print_plan(request, journal, json)
        else:
            _restore(request, journal, reports, compare, json, quiet)


def _check_written(reports: Sequence[Path], compare: Path | None, overwrite: bool) -> None:
    """Raise UsageError if a report or the page cannot be written, before any work is done."""
    for path in reports:
        check_report(path, overwrite=overwrite)
    if compare:
        from restore_cli.report.gallery import check_page

        check_page(compare, overwrite=overwrite)


def _check_streams(items: Sequence[FileJob], json: bool, ray: str | None) -> None:
    """Raise UsageError if standard input or output cannot be used for an image."""
    from restore_cli.pipeline.files import STREAM

    if ray and any(STREAM in (item.input, item.output) for item in items):
        raise UsageError("Cannot use standard input or output with --ray. Give files or folders.")
    if not any(item.output == STREAM for item in items):
        return
    if json:
        raise UsageError(
            "Cannot write both the image and --json to standard output. Give a file as -o."
        )
    if sys.stdout.isatty():
        raise UsageError("Cannot write an image to a terminal. Give -o FILE, or redirect it.")


def _print_plan(request: Request, journal: Journal | None, json: bool) -> None:
    from restore_cli.pipeline.batch import preview

    most, largest = 0, ""
    for record in preview(request, journal):
        if json:
            print_result(record.to_json())
        elif record.error:
            print_error(record.error)
        else:
            print_result(describe(record, request.task))
        if (record.memory or 0) > most:
            most, largest = record.memory or 0, record.input
    if most and not json:
        print_note(f"Peak memory: about {most / 1e9:.1f} GB, for {largest}.")


def _restore(
    request: Request,
    journal: Journal | None,
    reports: Sequence[Path],
    compare: Path | None,
    json: bool,
    quiet: bool,
) -> None:
    from restore_cli.pipeline.batch import restore_files
    from restore_cli.pipeline.request import Callbacks

    task, page = request.task, None
    if compare:
        from restore_cli.report.gallery import Gallery

        page = Gallery(compare, task.suffix)
    hidden = quiet or (json and stdout.is_terminal)
    with show_progress(task.name, hidden) as bar, Worker() as worker:
        batch = BatchProgress(bar, len(request.items) if isinstance(request.items, list) else None)
        callbacks = Callbacks(
            on_download=batch.download,
            on_progress=batch.restore,
            on_comparison=page.add if page else None,
        )
        records = restore_files(
            request,
            stdin=sys.stdin.buffer,
            stdout=sys.stdout.buffer,
            callbacks=callbacks,
            journal=journal,
        )
        option = "" if journal else " with --skip-existing"
        Outcomes(task, batch, option, reports, page, json, quiet).render(worker.each(records))
