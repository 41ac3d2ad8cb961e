"""One photo, restored by several models, to be compared."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

from restore_cli import engine
from restore_cli.errors import RestoreError, UsageError
from restore_cli.image import read_picture
from restore_cli.models import catalog, checkpoint
from restore_cli.pipeline.batch import Callbacks, Request, restore_files
from restore_cli.report.comparison import Comparison, Version
from restore_cli.report.record import Record
from restore_cli.tasks import TASKS

DEFAULT = "default"  # the word for a task's own model


@dataclass(frozen=True)
class Entrant:
    """A model, and what became of the photo.

    Attributes:
        model: as it was named.
        before: the photo at the result's size; None where there is no result.
        after: the result, whose note says which model it was and how long it took.
        warnings: sentences for the user.
        error: why there is no result.
    """

    model: str
    before: Version | None = None
    after: Version | None = None
    warnings: tuple[str, ...] = ()
    error: str = ""


def find_task_of(models: Sequence[str]) -> str:
    """The task that all of these models are for, by the table or by what their files say.

    Raises:
        UsageError: there is no such task, or more than one.
    """
    known = {name: tasks for name in models if (tasks := _tasks(name))}
    shared = reduce(set.intersection, known.values(), {*TASKS})
    if known and len(shared) == 1:
        return shared.pop()
    listed = ", ".join(
        f"{name} is for {' and '.join(sorted(tasks))}" for name, tasks in known.items()
    )
    reason = listed or f"{', '.join(models)} may be for any"
    raise UsageError(f"Cannot tell the task: {reason}. Give --task, such as --task denoise.")


def _tasks(name: str) -> set[str]:
    """The tasks that a model is for; none where that is not known, as of the default."""
    if name == DEFAULT:
        return set()
    try:
        return {entry.task for entry in catalog.find(name)} & {*TASKS}
    except RestoreError:
        try:
            return {checkpoint.load(Path(name)).task} & {*TASKS}
        except RestoreError:  # `line_up` reports it
            return set()


def line_up(
    photo: Path, models: Sequence[str], request: Request, callbacks: Callbacks
) -> Iterator[Entrant]:
    """Restore a photo by one model after the other, as the task's command does, and yield what
    comes of each.

    A model that cannot be loaded, or fails, does not stop the others. No file is written.

    Args:
        models: as `--model` takes them; DEFAULT is the task's own.
        request: all else; its one item is the photo, to standard output as PNG.

    Raises:
        PictureError: the photo cannot be read.
        UsageError: the device is not there.
    """
    engine.find_device(request.settings.device)
    read_picture(photo, max_pixels=request.max_pixels)
    for name in dict.fromkeys(models):
        try:
            record, shown = _restore(
                replace(request, model=None if name == DEFAULT else name), callbacks
            )
        except RestoreError as error:
            if request.debug:
                raise
            yield Entrant(name, error=str(error))
            continue
        if not shown:
            yield Entrant(name, error=record.error or "")
            continue
        before, after, *_ = shown.versions
        used = record.model or "left unchanged"
        note = f"{record.seconds:.1f} s" if used == name else f"{used}, {record.seconds:.1f} s"
        versions = replace(before, name=photo.name), replace(after, name=name, note=note)
        yield Entrant(name, *versions, warnings=record.warnings)


def _restore(request: Request, callbacks: Callbacks) -> tuple[Record, Comparison | None]:
    """The record of a request's one item, and its versions before and after, unless it failed."""
    kept: list[Comparison] = []

    def keep(_: float, make: Callable[[], Comparison]) -> None:
        kept.append(make())

    (record,) = restore_files(
        request, stdout=io.BytesIO(), callbacks=replace(callbacks, on_comparison=keep)
    )
    return record, kept[0] if kept else None
