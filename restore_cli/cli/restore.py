"""`restore TASK`: one command for each kind of damage, whose fields are its options."""

from __future__ import annotations

import dataclasses
import inspect
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore_cli.cli import options
from restore_cli.cli.display import (
    Pace,
    describe,
    name_input,
    print_error,
    print_note,
    print_result,
    print_warning,
    show_progress,
    stdout,
)
from restore_cli.cli.signals import Worker
from restore_cli.errors import PictureError, UsageError
from restore_cli.models import catalog, store
from restore_cli.report import Record, check_report, write_report
from restore_cli.tasks import TASKS, Task, find_task

if TYPE_CHECKING:
    from restore_cli.pipeline.files import Item
    from restore_cli.report.html import Gallery


def add_commands(app: typer.Typer) -> None:
    """Give the app one command for each task."""
    for name in TASKS:
        task = find_task(name)
        summary = inspect.cleandoc(task.__doc__ or "").partition("\n\nAttributes:")[0]
        entries = [entry for entry in catalog.entries().values() if entry.task == name]
        model = None
        if not any(isinstance(entry.source, catalog.Bundled) for entry in entries):
            model = entries[0].short or entries[0].name if entries else "mine.safetensors"
            hint = f"--model {model} downloads one" if entries else "train your own"
            first, *rest = summary.split(
                "\n\n"
            )  # the first paragraph is all that `restore --help` shows
            summary = "\n\n".join([f"{first.rstrip('.')} (no model is bundled; {hint}).", *rest])
        app.command(name, help=summary, epilog=_epilog(name, model))(compose(task))


_FIRST = {"inpaint": " --mask mask.png", "sr": " --scale 3"}  # what a first example has to say


def _epilog(name: str, model: str | None) -> str:
    """What the help of a task ends with: examples, which name the model if they have to, and exit
    codes.
    """
    words = f"{_FIRST.get(name, '')}{f' --model {model}' if model else ''}"
    return (
        f"Examples:\n"
        f"  restore {name} photo.jpg{words}\n"
        f"  restore {name} photos/ -r -o restored/ --skip-existing{words}\n"
        f"  restore {name} - -o - --format png{words} < photo.jpg > photo.png\n\n"
        "Exit codes: 0 all inputs restored, 1 some failed, 2 invalid arguments, 3 no model, 130"
        " interrupted."
    )


def compose(task: type[Task]) -> Callable[..., None]:
    """The command of a task: the parameters of `run`, among them the task's fields."""
    own = [_parameter(item) for item in dataclasses.fields(task) if "parse" in item.metadata]
    lists = {item.name for item in dataclasses.fields(task) if item.default == ()}
    _, inputs, *others = inspect.signature(run, eval_str=True).parameters.values()
    if task.exact:
        others = [
            item.replace(annotation=options.Missing) if item.name == "mask" else item
            for item in others
        ]

    def command(**words: Any) -> None:
        given = {item.name: words.pop(item.name) for item in own}
        repeated = {key: tuple(value or ()) for key, value in given.items() if key in lists}
        run(task(**(given | repeated)), **words)

    command.__signature__ = inspect.Signature([inputs, *own, *others])  # type: ignore[attr-defined]
    command.__annotations__ = {}
    return command


def _parameter(item: dataclasses.Field[Any]) -> inspect.Parameter:
    told = item.metadata
    values = [
        word for word in told["metavar"].split("|") if word.islower()
    ]  # of FLOAT|auto the second
    auto = (
        " \\[default: auto]" if item.default is None and "auto" in values else ""
    )  # not taken for markup
    option = typer.Option(
        metavar=told["metavar"],
        help=f"{told['help']}{auto}",
        parser=told["parse"],
        autocompletion=lambda: values,
        show_default=item.default not in (None, ()),
    )
    repeated = item.default == ()
    kind = Annotated[list[str] | None, option] if repeated else Annotated[str, option]
    default = None if repeated else item.default
    return inspect.Parameter(
        item.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
    )


def run(
    task: Task,
    *,
    inputs: options.Inputs = None,
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
    model: options.Model = None,
    accept: options.Accept = None,
    offline: options.Offline = False,
    device: options.Device = "auto",
    precision: options.Precision = "auto",
    tile: options.Tile = "auto",
    check_tiles: options.CheckTiles = False,
    ensemble: options.Ensemble = False,
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
    """Restore what the words of a command line ask for; raises typer.Exit with 1 if an input
    failed.
    """
    from restore_cli.pipeline import files
    from restore_cli.report.html import Gallery, check_page

    if skip_existing and overwrite:
        raise UsageError("Both --skip-existing and --overwrite are given; choose one.")
    for path in report or ():
        check_report(path, overwrite=overwrite)
    if compare:
        check_page(compare, overwrite=overwrite)
    naming = files.Naming(
        output=output,
        suffix=f".{task.suffix}" if suffix is None else suffix,
        format=parse_format(format) if format else None,
        exact=task.exact or mask is not None,
        masks=save_mask,
    )
    unread: Counter[str] = Counter()
    items = files.plan(
        read_words(inputs or [], files_from),
        naming,
        recursive=recursive,
        existing="skip" if skip_existing else "overwrite" if overwrite else "refuse",
        others=[path for path in (mask, reference) if path],
        reports=[*(report or ()), *([compare] if compare else [])],
        unread=unread,
    )
    if unread and not quiet:
        skipped = f"{unread.total()} file{'s' * (unread.total() > 1)}"
        print_warning(
            f"skipped {skipped} that cannot be read: {files.count_unread(unread)}; convert them"
            " first"
        )
    side = options.parse_tile(tile)
    for name in accept or ():
        store.accept_license(name)
    if dry_run:
        _print_plan(items, task, skip_existing, json)
        return
    to_stdout = any(item.output == files.STREAM for item in items)
    if to_stdout and json:
        raise UsageError(
            "Standard output cannot take both the picture and --json; give a file as -o."
        )
    if to_stdout and sys.stdout.isatty():
        raise UsageError("Cannot show a picture in a terminal. Give a file as -o, or redirect it.")

    from restore_cli.engine import Settings  # imports torch
    from restore_cli.pipeline import batch as job

    request = job.Request(
        task=task,
        items=items,
        model=model,
        settings=Settings(device, precision, side, ensemble),
        naming=naming,
        jpeg_quality=jpeg_quality,
        max_pixels=max_pixels,
        skip_existing=skip_existing,
        reference=reference,
        strength=strength,
        mask=mask,
        check_tiles=check_tiles,
        offline=offline,
        debug=debug,
    )
    page = Gallery(compare, task.suffix) if compare else None
    with (
        show_progress(task.name, quiet or (json and stdout.is_terminal)) as bar,
        Worker() as worker,
    ):
        pace = Pace(bar, [item.relative for item in items])
        watch = job.Watch(
            download=pace.download, restored=pace.restore, compared=page.add if page else None
        )
        records = job.restore_files(
            request, stdin=sys.stdin.buffer, stdout=sys.stdout.buffer, watch=watch
        )
        _render(worker.each(records), pace, task, report or (), page, json, quiet)


def _render(
    records: Iterable[Record],
    pace: Pace,
    task: Task,
    reports: Sequence[Path],
    page: Gallery | None,
    json: bool,
    quiet: bool,
) -> None:
    """Tell of each record as it comes; reports and page are written whatever happens, of what there
    is.
    """
    counts = {"done": 0, "skipped": 0, "failed": 0}
    kept: list[Record] = []
    with ExitStack() as last:
        for path in reversed(reports):  # the last callback comes first
            last.callback(lambda path: write_report(kept, path) if kept else None, path)
        if page:
            last.callback(page.write)
        try:
            for record in records:
                counts[record.status] += 1
                pace.finish()
                if reports:
                    kept.append(record)
                if json:
                    print_result(record.to_json())
                if record.error:
                    print_error(record.error)
                elif not quiet:
                    print_note(describe(record, task))
                    for warning in record.warnings:
                        print_warning(f"{name_input(record)}: {warning}")
        except KeyboardInterrupt as error:
            if pace.photos == 1:
                raise
            done = f"{pace.done} of {pace.photos} photos are done"
            raise KeyboardInterrupt(
                f"{done}; run it again with --skip-existing for the rest."
            ) from error
    if pace.photos > 1 and not quiet:
        numbers = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
        print_note(f"{numbers} in {pace.seconds:.1f} s")
    if page and not page.kept and not quiet:
        print_note(f"nothing was restored; {page.path} is not written")
    elif page and page.left_out and not quiet:
        print_warning(
            f"{page.path} has room for {page.photos}: the first, or by --reference the worst"
        )
    if counts["failed"]:
        raise typer.Exit(1)


def _print_plan(items: Sequence[Item], task: Task, skip_existing: bool, json: bool) -> None:
    for item in items:
        status = "skipped" if skip_existing and os.path.isfile(item.output) else "planned"
        record = Record(item.input, status, item.output, task=task.name)
        print_result(record.to_json() if json else describe(record, task))


def read_words(inputs: Sequence[str], files_from: str | None) -> list[str]:
    """The inputs named, and those of a list, one a line or, as of `find -print0`, ended by NUL.

    Raises:
        UsageError: neither is given, or the list cannot be read.
    """
    if files_from is None:
        if not inputs:
            raise UsageError("There is no input; name files or folders, or - for standard input.")
        return list(inputs)
    try:
        data = sys.stdin.buffer.read() if files_from == "-" else Path(files_from).read_bytes()
    except OSError as error:
        raise UsageError(f"The list {files_from} cannot be read: {error.strerror}.") from error
    if files_from == "-" and "-" in inputs:
        raise UsageError(
            "Standard input cannot be both a picture and the list; give the list as a file."
        )
    lines = data.split(b"\0") if b"\0" in data else data.splitlines()
    return [*inputs, *(os.fsdecode(line) for line in lines if line)]


def parse_format(word: str) -> str:
    """Pillow's name of a format, from a file's extension."""
    from restore_cli.image import format_of

    try:
        return format_of(Path(f"picture.{word.lower()}"))
    except PictureError as error:
        raise UsageError(
            f"Unknown format {word!r}; choose png, jpg, webp, tif, bmp, ppm or avif."
        ) from error
