"""`restore TASK`: one command for each task, with the fields of the task as options."""

from __future__ import annotations

import inspect
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand

from restore_cli import storage
from restore_cli.atomic import check_folder
from restore_cli.cli import options
from restore_cli.cli.display import (
    describe,
    list_found,
    print_error,
    print_note,
    print_result,
    stdout,
)
from restore_cli.cli.examples import format_examples
from restore_cli.cli.fields import compose, make_task, option_fields, parameter, task_parameter
from restore_cli.cli.outcomes import Outcomes
from restore_cli.cli.progress import BatchProgress, Downloads, show_progress
from restore_cli.cli.signals import Worker
from restore_cli.cli.sources import Sources
from restore_cli.cli.values import date_of_environment, fill_in_ray, parse_existing, parse_shard
from restore_cli.errors import ExitCode, UsageError
from restore_cli.models import store
from restore_cli.pipeline.plan import Plan, Step, keeps_most_pixels
from restore_cli.report.batch_report import check_report
from restore_cli.tasks import Task, find_task

if TYPE_CHECKING:
    from restore_cli.pipeline.files import FileJob
    from restore_cli.pipeline.journal import Journal
    from restore_cli.pipeline.request import Request
    from restore_cli.report.comparison import Comparison


_MODEL = parameter("model", options.Model)
_STRENGTH = parameter("strength", options.Strength, 1.0)

_REQUIRED = {"inpaint": " --mask mask.png", "sr": " --scale 3"}  # that the examples need


class PhotoCommand(TyperCommand):
    """A command for photos, whose option --ray may lack its value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments."""
        rest: list[str] = super().parse_args(ctx, fill_in_ray(args))
        return rest


def add_command(app: typer.Typer, name: str) -> None:
    """Add the command of a task to the app."""
    task = find_task(name)
    doc = inspect.cleandoc(task.__doc__ or "").partition("\n\nAttributes:")[0]
    app.command(name, cls=PhotoCommand, help=doc, epilog=_epilog(name))(task_command(task))


def _epilog(name: str) -> str:
    """The end of a task's help: examples and exit codes."""
    more = _REQUIRED.get(name, "")
    lines = format_examples(
        f"restore {name} photo.jpg{more}",
        f"restore {name} photos/ -r -o restored/ --skip-existing{more}",
        f"restore {name} - -o - --format png{more} < photo.jpg > photo.png",
    )
    return (
        f"{lines}\n\nExit codes: 0 all inputs restored, 1 some failed, 2 invalid arguments, 3"
        " model missing or damaged, 130 interrupted."
    )


def task_command(task: type[Task]) -> Callable[..., None]:
    """The command of a task: the common options, and the fields of the task."""
    fields = [task_parameter(item) for item in option_fields(task).values()]
    own = {"plan": fields, "accept": [_MODEL], "mask": [_STRENGTH]}
    changed = {"mask": options.Missing} if task.keeps_most_pixels else {}
    return compose(restore_photos, ["plan"], own, partial(_make_plan, task), changed)


def step_command(task: type[Task]) -> Callable[..., Step]:
    """A command that returns a step; its options are the fields of the task, model and strength."""
    fields = [task_parameter(item) for item in option_fields(task).values()]
    own = {"plan": [*fields, _MODEL, _STRENGTH]}
    return compose(_get_plan, ["plan"], own, partial(_make_plan, task))


def _get_plan(*, plan: Step) -> Step:
    return plan


def _make_plan(task: type[Task], values: dict[str, Any]) -> dict[str, Step]:
    """Create a step from the values of the fields of a task, its model and strength."""
    model, strength = values.pop("model"), values.pop("strength")
    return {"plan": Step(make_task(task, values), model, strength)}


def restore_photos(
    *,
    inputs: options.Inputs = None,
    plan: Plan,
    output: options.Output = None,
    suffix: options.Suffix = None,
    format: options.Format = None,
    jpeg_quality: options.JpegQuality = None,
    provenance: options.Provenance = False,
    pages: options.Pages = "first",
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
    accept: options.Accept = None,
    offline: options.Offline = False,
    device: options.Devices = "auto",
    precision: options.Precision = "auto",
    tile: options.Tile = None,
    check_tiles: options.CheckTiles = False,
    ensemble: options.Ensemble = False,
    compile: options.Compile = False,
    mask: options.Mask = None,
    save_mask: options.SaveMask = None,
    reference: options.Reference = None,
    report: options.Report = None,
    compare: options.Compare = None,
    preview: options.Preview = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Restore the inputs of a command line; raises typer.Exit if one of them fails."""
    from restore_cli.pipeline.files import OutputNaming

    Path.cwd()  # raises an error if it is gone, where libraries would end the process
    reports = report or []
    resume = resume or retry_failed or watch
    _check_written([] if resume else reports, compare, overwrite)
    if pages == "all" and (reference or compare or preview or save_mask or provenance):
        raise UsageError(
            "Cannot use --pages all with --reference, --compare, --preview, --save-mask or"
            " --provenance. Leave one out."
        )
    fills = any(step.task.keeps_most_pixels for step in plan.steps)
    if save_mask and not (mask or fills):
        raise UsageError("Cannot save a mask: none is used. Give --mask.")
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
            suffix=f".{plan.suffix}" if suffix is None else suffix,
            format=format,
            exact=keeps_most_pixels(plan) or mask is not None,
            masks=save_mask,
        ),
        existing=parse_existing(skip_existing, overwrite),
        masks=mask,
        references=reference,
        reports=[*reports, *([compare] if compare else [])],
    )
    with sources.open_journal(create=not dry_run) if resume else nullcontext() as journal:
        for path in reports if resume else ():  # those of an earlier run are replaced
            check_report(
                path, overwrite=overwrite or (journal is not None and journal.owns(str(path)))
            )
        items = sources.find(journal, quiet)
        for name in accept or ():
            store.accept_license(name)
        from restore_cli.engine import Settings  # imports torch
        from restore_cli.pipeline.request import Request
        from restore_cli.pipeline.workers import share_devices

        devices = share_devices(device, jobs, ray is not None)
        single = isinstance(items, list) and len(items) == 1
        alone = not ray and (len(devices) == 1 or single)
        if (compare or preview) and not alone:
            processes = "--ray. Leave one out" if ray else "several processes. Use --jobs 1"
            name = "--compare" if compare else "--preview"
            raise UsageError(f"Cannot use {name} with {processes}.")
        if not dry_run and isinstance(items, list):
            _check_streams(items, json, alone)
            new = (item for item in items if not (skip_existing and storage.is_file(item.output)))
            for item in itertools.islice(new, 1):
                if not resume:  # otherwise the journal is in the folder
                    _check_writable(item.output)
                if item.mask:
                    _check_writable(item.mask, "--save-mask")
        request = Request(
            plan=plan,
            items=items,
            settings=Settings(devices[0], precision, tile, ensemble, compile),
            devices=() if alone or (ray and jobs is None) else devices,
            ray=ray,
            pages=pages,
            jpeg_quality=jpeg_quality,
            max_pixels=max_pixels,
            existing=sources.existing,
            retry_failed=retry_failed,
            check_tiles=check_tiles,
            noise_levels=single or json or bool(reports),
            checksums=resume,
            provenance=provenance,
            date=date_of_environment() if provenance else "",
            offline=offline,
            debug=debug,
        )
        if dry_run:
            _print_plan(request, journal, json)
        else:
            if journal:
                for path in reports:
                    journal.note(path)
            _restore(request, journal, reports, compare, preview, json, quiet)


def _check_written(reports: Sequence[Path], compare: Path | None, overwrite: bool) -> None:
    """Raise UsageError if a report or the page cannot be written, before any work is done."""
    for path in reports:
        check_report(path, overwrite=overwrite)
    if compare:
        from restore_cli.report.gallery import check_page

        check_page(compare, overwrite=overwrite)


def _check_streams(items: Sequence[FileJob], json: bool, alone: bool) -> None:
    """Raise UsageError if standard input or output cannot be used for an image."""
    from restore_cli.pipeline.files import STREAM

    if not alone and any(STREAM in (item.input, item.output) for item in items):
        raise UsageError(
            "Cannot use standard input or output with --ray or several processes. Give files or"
            " folders."
        )
    if not any(item.output == STREAM for item in items):
        return
    if json:
        raise UsageError(
            "Cannot write both the image and --json to standard output. Give a file as -o."
        )
    if sys.stdout.isatty():
        raise UsageError("Cannot write an image to a terminal. Give -o FILE, or redirect it.")


def _check_writable(output: str, option: str = "-o") -> None:
    """Raise UsageError if an output cannot be written, before a photo is restored."""
    if output == "-" or storage.is_url(output) or os.path.islink(output):
        return
    if os.path.isfile(output) or not os.path.exists(output):  # not standard output or /dev/null
        check_folder(Path(output).parent, option)


def _print_plan(request: Request, journal: Journal | None, json: bool) -> None:
    from restore_cli.pipeline.batch import preview

    most, largest, failed = 0, "", False
    for record in preview(request, journal):
        failed = failed or record.status == "failed"
        if json:
            print_result(record.to_json())
        elif record.error:
            print_error(record.error)
        else:
            for line in list_found(record):
                print_result(line)
            print_result(describe(record))
        if (record.memory or 0) > most:
            most, largest = record.memory or 0, record.input
    if most and not json:
        print_note(f"Peak memory: about {most / 1e9:.1f} GB, for {largest}.")
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _restore(
    request: Request,
    journal: Journal | None,
    reports: Sequence[Path],
    compare: Path | None,
    preview: bool,
    json: bool,
    quiet: bool,
) -> None:
    from restore_cli.pipeline.batch import restore_files
    from restore_cli.pipeline.request import Callbacks

    plan, page = request.plan, None
    views: list[Callable[[float, Callable[[], Comparison]], None]] = []
    if compare:
        from restore_cli.report.gallery import Gallery

        page = Gallery(compare, plan.suffix)
        views.append(page.add)
    if preview:
        from restore_cli.cli.preview import find_preview

        if shown := find_preview():
            views.append(shown.show)
        elif not quiet:
            print_note("This terminal cannot show pictures. Use --compare page.html.")

    def show_views(rank: float, make: Callable[[], Comparison]) -> None:
        for view in views:
            view(rank, make)

    hidden = quiet or (json and stdout.is_terminal)
    with show_progress(plan.name, hidden) as bar, Worker() as worker:
        count = len(request.items) if isinstance(request.items, list) else None
        batch = BatchProgress(bar, count, Downloads(quiet))
        callbacks = Callbacks(
            on_download=batch.download,
            on_progress=batch.restore,
            on_comparison=show_views if views else None,
        )
        records = restore_files(
            request,
            stdin=sys.stdin.buffer,
            stdout=sys.stdout.buffer,
            callbacks=callbacks,
            journal=journal,
        )
        kept = [*([] if journal else reports), *([compare] if compare else [])]
        changes = [] if journal else ["--skip-existing"]
        changes += [f"another name for {path}" for path in kept]
        change = f" with {' and '.join(changes)}" if changes else ""
        advice = f"Run the command again{change} for the rest."
        if request.existing == "overwrite" and not journal:
            advice = "Run the command again, which restores all of them."
        Outcomes(batch, advice, reports, page, json, quiet).render(worker.each(records))
