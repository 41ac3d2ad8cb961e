"""Takes a photo through its steps in memory, in float32 from the first to the last."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from restore_cli.engine import Settings
from restore_cli.image import Picture, Pixels
from restore_cli.pipeline.apply import apply, check_tiles, result_of
from restore_cli.pipeline.networks import Models
from restore_cli.pipeline.plan import Step, result_size
from restore_cli.pipeline.provenance import record_step
from restore_cli.report.provenance import PastStep
from restore_cli.report.record import StepRecord
from restore_cli.tasks import Task, option_fields
from restore_cli.tasks.restoration import Finding, Restoration


@dataclass(frozen=True, eq=False)
class Progress:
    """A picture after some of its steps.

    Attributes:
        picture: the picture now.
        changed: whether a network has changed it.
        drawn: the mask that the user gave, H x W x 1 at the picture's size, or None.
        mask: the mask that was used last, H x W at the size of that step's result, or None.
        masked: whether a mask has limited the change of every step.
        unrestored: the photo at the picture's size as if no step had restored it, or None.
        shown: the same, but with the missing pixels of a first step that fills them.
        records: a part of the record for each step.
        past: the provenance of each step.
        warnings: sentences for the user.
        loading: seconds that loading models took.
    """

    picture: Picture
    changed: bool = False
    drawn: Pixels | None = None
    mask: Pixels | None = None
    masked: bool = True
    unrestored: Pixels | None = None
    shown: Pixels | None = None
    records: tuple[StepRecord, ...] = ()
    past: tuple[PastStep, ...] = ()
    warnings: tuple[str, ...] = ()
    loading: float = 0.0


@dataclass(frozen=True)
class Walker:
    """Takes pictures through steps.

    Attributes:
        models: finds the models; those of all steps stay loaded.
        settings: how to run networks.
        checks_tiles: whether to measure the effect of tiling.
        noise_levels: whether records have the noise before each step.
        advises: whether to suggest what would suit a photo better than the last step.
    """

    models: Models
    settings: Settings
    checks_tiles: bool = False
    noise_levels: bool = True
    advises: bool = True

    def walk(
        self,
        steps: Sequence[Step],
        start: list[Progress],
        on_progress: Callable[[float, float], None] = lambda share, megapixels: None,
    ) -> Progress:
        """Take a picture through steps; the input of each one is freed before the next.

        Args:
            steps: the steps in their order. If one of them fills missing areas, the user's mask is
                for such steps only; otherwise it is for all.
            start: a list with the photo, which is taken out; it has the mask, and its own pixels as
                `unrestored` to keep them.
            on_progress: called with each further share of the work, 0 to 1, and the megapixels of
                the result that it amounts to.

        Raises:
            RestoreError: see `apply` and `Models.find`.
        """
        at = start.pop()
        height, width = result_size(steps, at.picture.height, at.picture.width)
        megapixels = height * width / 1e6

        def report(share: float) -> None:
            on_progress(share / len(steps), share / len(steps) * megapixels)

        for number in range(len(steps)):
            at = self._take(steps, number, at, report)
        return at

    def _take(
        self, steps: Sequence[Step], number: int, at: Progress, report: Callable[[float], None]
    ) -> Progress:
        """Take a picture through one of the steps."""
        started = time.perf_counter()
        step, picture = steps[number], at.picture
        task = step.task.look(picture)
        scale = task.enlargement(picture.height, picture.width)
        before_model = time.perf_counter()
        model = self.models.find(step.model or task.model, task.name, picture.channels, scale)
        loading = time.perf_counter() - before_model
        drawn = None if at.drawn is None else task.unrestored(at.drawn)
        used = task.keeps_most_pixels or not any(one.task.keeps_most_pixels for one in steps)
        found = Finding(picture, model.conditions, task.noise)  # before it is overwritten
        last = number + 1 == len(steps)
        advice = task.advise(found) if self.advises and last else None
        noise = found.noise if self.noise_levels else task.noise
        change = apply(
            picture,
            task,
            model,
            self.models,
            self.settings,
            step.strength,
            drawn[..., 0] if used and drawn is not None else None,
            report,
            overwrite=at.unrestored is None and not self.checks_tiles,
        )
        record, warnings = self._record(replace(step, task=task), noise, change)
        warnings += [advice] if advice else []
        if len(steps) > 1:
            warnings = [f"{task.name}: {warning}" for warning in warnings]
        unrestored, shown = _unrestored(at, task, change, number == 0)
        return Progress(
            picture=result_of(picture, task, change),
            changed=at.changed or change.changed,
            drawn=drawn,
            mask=at.mask if change.mask is None else change.mask,
            masked=at.masked and change.mask is not None,
            unrestored=unrestored,
            shown=shown,
            records=(
                *at.records,
                replace(record, seconds=time.perf_counter() - started - loading),
            ),
            past=(*at.past, record_step(step, model, change)),
            warnings=(*at.warnings, *warnings),
            loading=at.loading + loading,
        )

    def _record(
        self, step: Step, noise: float | None, change: Restoration
    ) -> tuple[StepRecord, list[str]]:
        """The record of a step, without its time, and warnings."""
        report, last = change.report, change.runs[-1] if change.runs else None
        warnings = list(report.warnings)
        difference = None
        if self.checks_tiles:
            difference = check_tiles(last, self.settings) if last else None
            if difference is None:
                fixed = last and last.model.network.geometry.largest
                reason = "the model's input has a fixed size" if fixed else "it fits in one tile"
                warnings.append(f"--check-tiles had no effect on the photo: {reason}.")
        options = dict(report.options)
        if step.strength < 1:
            options["strength"] = step.strength
        record = StepRecord(
            task=step.task.name,
            model=" + ".join(run.model.name for run in change.runs) or None,
            options=options,
            estimated=tuple(_find_estimated(step.task, options)),
            device=last.result.device if last else None,
            precision=last.result.precision if last else None,
            tile=last.result.tile if last else None,
            width=change.pixels.shape[1],
            height=change.pixels.shape[0],
            noise_before=noise,
            tile_difference=difference,
        )
        return record, warnings


def _find_estimated(task: Task, options: Mapping[str, float | str]) -> Iterator[str]:
    """The options that the task measured, which were neither given nor read from the file."""
    known = option_fields(type(task))
    for name in options:
        if name in known and known[name].metadata["absent"]:  # no value always means the same one
            continue
        if f"{name}_from" not in options and getattr(task, name, 0) is None:
            yield name


def _unrestored(
    at: Progress, task: Task, change: Restoration, first: bool
) -> tuple[Pixels | None, Pixels | None]:
    """What `Progress.unrestored` and `shown` are after a step."""
    if at.unrestored is None or at.shown is None:
        return None, None
    if first:
        alike = change.observed.shape == change.unrestored.shape
        return change.unrestored, change.observed if alike else change.unrestored
    unrestored = task.unrestored(at.unrestored)
    return unrestored, at.shown if at.shown.shape == unrestored.shape else unrestored
