"""Restores one photo with several models, to compare them."""

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
from restore_cli.pipeline.batch import restore_files
from restore_cli.pipeline.request import Callbacks, Request
from restore_cli.report.comparison import Comparison, Version
from restore_cli.report.record import Record
from restore_cli.tasks import TASKS


@dataclass(frozen=True)
class Entrant:
    """A model and its result for the photo.

    Attributes:
        model: the name as it was given.
        before: the photo at the result's size; None if the model failed.
        after: the result, with the model's full name and the seconds it took as its note.
        warnings: sentences for the user.
        error: why the model failed.
    """

    model: str
    before: Version | None = None
    after: Version | None = None
    warnings: tuple[str, ...] = ()
    error: str = ""


def find_task_of(models: Sequence[str]) -> str:
    """Find the task that all of these models are for, by the catalog or by their headers.

    Raises:
        UsageError: they share no task, or more than one.
    """
    known = {name: tasks for name in models if (tasks := _tasks(name))}
    shared = reduce(set.intersection, known.values(), {*TASKS})
    if known and len(shared) == 1:
        return shared.pop()
    listed = ", ".join(
        f"{name} is for {' and '.join(sorted(tasks))}" for name, tasks in known.items()
    )
    reason = listed or f"{', '.join(models)} may be for any task"
    raise UsageError(f"Cannot determine the task: {reason}. Give --task, as in --task denoise.")


def _tasks(name: str) -> set[str]:
    """The tasks that a model is for; empty if unknown, as for the default."""
    if name == catalog.DEFAULT:
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
    """Restore a photo with each model, as the task's command does, and yield the results.

    A model that cannot be loaded, or fails, does not stop the others. No file is written.

    Args:
        photo: path of the photo.
        models: names or files as for `--model`; catalog.DEFAULT is the task's own.
        request: everything else; its plan is a step, and its only item is the photo, to standard
            output as PNG.
        callbacks: report downloads and progress.

    Raises:
        PictureError: the photo cannot be read.
        UsageError: the device is not available.
    """
    engine.find_device(request.settings.device)
    read_picture(photo, max_pixels=request.max_pixels)
    (step,) = request.plan.steps
    for name in dict.fromkeys(models):
        step = replace(step, model=None if name == catalog.DEFAULT else name)
        try:
            record, shown = _restore(replace(request, plan=step), callbacks)
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
    """The record of the only item, and its comparison of before and after unless it failed."""
    kept: list[Comparison] = []

    def keep(_: float, make: Callable[[], Comparison]) -> None:
        kept.append(make())

    (record,) = restore_files(
        request, stdout=io.BytesIO(), callbacks=replace(callbacks, on_comparison=keep)
    )
    return record, kept[0] if kept else None
