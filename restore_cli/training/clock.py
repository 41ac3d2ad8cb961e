"""Steps and time of a training: progress, due validations, and speed."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from restore_cli.errors import RestoreError
from restore_cli.training.distributed import Group
from restore_cli.training.recipe import Recipe
from restore_cli.training.state import Moment

_LOG_EVERY_SECONDS, _LOG_EVERY_STEPS = 20, 100  # whichever comes first
_VALIDATION_SHARE = 0.2  # of the time, for validations; unless the recipe sets their interval


class Clock:
    """The progress of a training, and when a validation is due.

    Attributes:
        done: the share of the training that is done after the last complete step, 0 to 1.
        validating: seconds that this process spent on validations.
    """

    def __init__(self, recipe: Recipe, moment: Moment, group: Group) -> None:
        self.recipe, self.moment, self.group = recipe, moment, group
        self.begun = time.monotonic() - moment.seconds
        self.done = recipe.done(moment.step, moment.seconds)
        self.validating = 0.0

    @property
    def ended(self) -> bool:
        """Whether all steps are done."""
        return self.done >= 1 or self.moment.over

    def read(self) -> float:
        """Return the share of the training that is done by now, 0 to 1."""
        return min(self.recipe.done(self.moment.step, time.monotonic() - self.begun), 1)

    def count_step(self, rate: float) -> None:
        """Count a step at a learning rate; every process of a group must call this."""
        recipe, moment = self.recipe, self.moment
        moment.step += 1
        moment.seconds = time.monotonic() - self.begun
        spare = _VALIDATION_SHARE * moment.seconds - self.validating
        if recipe.minutes:
            [moment.seconds, spare] = self.group.broadcast([moment.seconds, spare])
        before, self.done = self.done, recipe.done(moment.step, moment.seconds)
        moment.over = recipe.is_over(moment.step, rate)
        moment.due = self.ended or recipe.validates(moment.step, before, self.done, spare)


class Meter:
    """Measures objective, speed and waiting time from one row of the log to the next."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.total, self.steps, self.waited = torch.zeros((), device=device), 0, 0.0
        self.started = time.monotonic()

    def next_batch(self, feed: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        """Return the next batch, observed and clean, on the device, and count the waiting time."""
        started = time.monotonic()
        observed, clean = (
            side.to(self.device, memory_format=torch.channels_last, non_blocking=True)
            for side in next(feed)
        )
        self.waited += time.monotonic() - started
        return observed, clean

    def count_step(self, objective: Tensor) -> None:
        """Add the objective of a step."""
        self.total += objective
        self.steps += 1

    def is_due(self) -> bool:
        """Return whether it is time for a row of the log."""
        elapsed = time.monotonic() - self.started
        return self.steps >= _LOG_EVERY_STEPS or elapsed > _LOG_EVERY_SECONDS

    def read(self, step: int) -> tuple[float, float, float]:
        """Return the mean objective, steps per second, and the share of time spent on waiting.

        Raises:
            RestoreError: the objective is NaN or infinite at this step.
        """
        mean = math.nan
        if self.steps:
            mean = self.total.item() / self.steps  # waits for all steps on a GPU
            if not math.isfinite(mean):
                raise RestoreError(
                    f"The loss became NaN or infinite at step {step}. Lower the learning rate, or"
                    " train in fp32."
                )
        seconds = max(time.monotonic() - self.started, 1e-9)
        return mean, self.steps / seconds, self.waited / seconds
