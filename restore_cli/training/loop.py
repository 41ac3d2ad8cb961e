"""The training loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, nullcontext

import torch

from restore_cli import memory
from restore_cli.degradations import find_degradation
from restore_cli.errors import EngineError, RestoreError
from restore_cli.levels import describe
from restore_cli.models.checkpoint import save
from restore_cli.models.header import Header
from restore_cli.training.clock import Clock, Meter
from restore_cli.training.distributed import Group, join
from restore_cli.training.header import make_header
from restore_cli.training.log import Log
from restore_cli.training.optimizer import learning_rate
from restore_cli.training.progress import Beat, Progress, Watch
from restore_cli.training.request import Request
from restore_cli.training.setup import Setup, set_up
from restore_cli.training.state import Moment, State, uninterrupted
from restore_cli.training.step import learn
from restore_cli.training.validation import Validation, validate

_STATE_SECONDS = 180  # between two saved states: the most that a kill can lose


def train(request: Request, watch: Watch = lambda beat: None) -> Generator[Progress]:
    """Train, and yield at regular intervals and at each validation.

    With several processes, only rank 0 yields. On an interruption, or when the iterator is closed,
    the state of the last complete step is saved.

    Args:
        watch: called after each step and each validated image.

    Raises:
        UsageError: recipe, data and device do not fit together, or an output cannot be written.
        RestoreError: the objective is NaN or infinite, or the log of a resumed training is damaged.
        WeightsError: the state to resume from is damaged or comes from another recipe.
    """
    with (
        join(request.device) as group,
        memory.reuse() if group.device.type == "cpu" else nullcontext(),
        request.reserve() if group.rank == 0 else nullcontext(),
    ):
        yield from _train(request, group, watch)


def _train(request: Request, group: Group, watch: Watch) -> Iterator[Progress]:
    recipe = request.recipe
    setup = set_up(request, group)
    state, moment, notes = setup.state, setup.state.moment, setup.notes
    clock, meter, saved = Clock(recipe, moment, group), Meter(group.device), time.monotonic()

    def beat(image: int = 0, images: int = 0) -> None:
        watch(Beat(moment.step, clock.read(), image, images))

    if clock.ended and moment.best == -math.inf:  # it was shortened before its first validation
        moment.due = True
    with _writing(request, state, group) as log:  # None in all processes but the first
        if log and clock.ended and not moment.due:
            yield _already_ended(moment, notes)
        while moment.due or not clock.ended:
            rate = learning_rate(recipe, moment.step, clock.done, moment.drops)
            if not moment.due:  # otherwise a validation was interrupted, and comes first
                observed, clean = meter.next_batch(setup.feed)
                with uninterrupted():
                    torch.manual_seed(recipe.seed + moment.step)  # for networks that draw
                    meter.count_step(learn(state, setup.forward, recipe, observed, clean, rate))
                    state.update_average(recipe.ema)
                    clock.count_step(rate)
                beat()
            keeps = moment.due or time.monotonic() - saved > _STATE_SECONDS
            if not keeps and not meter.is_due():
                continue
            mean, speed, waiting = meter.read(moment.step)
            validation, header, better = Validation(), None, False
            if moment.due:
                validation, header, score = _validate(request, setup, group, clock, beat)
            with uninterrupted():
                if moment.due:
                    counts = recipe.counts_plateaus(moment.step)
                    better = moment.record_score(score, recipe.patience, counts)
                    if header:
                        save(state.average, request.last, header)
                        if better:
                            save(state.average, request.out, header)
                    moment.due = False
                if log and keeps:
                    state.save(request.state, recipe)
            if log:
                progress = Progress(
                    step=moment.step,
                    done=clock.done,
                    seconds=moment.seconds,
                    objective=mean,
                    images_per_s=speed * recipe.batch * group.size,
                    rate=rate,
                    waiting=waiting,
                    scores=validation.scores,
                    inputs=validation.inputs,
                    figure=find_degradation(recipe.task).headline_metric,
                    saved=better,
                    notes=notes,
                    levels=tuple(map(describe, recipe.validation)),
                )
                log.write(progress.figures())
                log.show(moment.step, validation.pictures)
                yield progress
            saved = time.monotonic() if keeps else saved
            meter, notes = Meter(group.device), ()


@contextmanager
def _writing(request: Request, state: State, group: Group) -> Iterator[Log | None]:
    """Open the log in the first process of a group, and save the state if the block is interrupted.

    An interruption is a signal, or the end of the iteration over `train`.
    """
    if group.rank:
        yield None
        return
    with closing(Log(request.log, state.moment.step, request.logdir)) as log:
        try:
            yield log
        except (KeyboardInterrupt, GeneratorExit):
            if all(value.isfinite().all() for value in state.average.parameters()):
                with uninterrupted():
                    state.save(request.state, request.recipe)
            raise


def _already_ended(moment: Moment, notes: tuple[str, ...]) -> Progress:
    hint = "give more --steps or --minutes to extend it."
    if moment.over:
        hint = "the rate fell below lr_final. Start a new one from its result with --init."
    note = f"The training already ended after step {moment.step}; {hint}"
    return Progress(moment.step, 1.0, moment.seconds, math.nan, 0.0, notes=(*notes, note))


def _validate(
    request: Request, setup: Setup, group: Group, clock: Clock, watch: Callable[[int, int], None]
) -> tuple[Validation, Header | None, float]:
    """Validate the moving average of the weights.

    Returns:
        The validation and the checkpoint's header in the first process of a group, an empty
        validation and None in the others; and the total of the scores in all of them.
    """
    started = time.monotonic()
    validation, header = Validation(), None
    if group.rank == 0:
        average, data, device = setup.state.average, setup.data, group.device
        try:
            validation = validate(average, request.recipe, data.holdout, device, watch=watch)
            last = clock.ended
            header = make_header(request, average, data, validation, device, watch, last=last)
        except EngineError as error:
            raise RestoreError(
                f"Cannot validate at step {setup.state.moment.step}: {error} If the loss"
                " grew, lower the learning rate."
            ) from error
    clock.validating += time.monotonic() - started
    [score] = group.broadcast([validation.total])
    return validation, header, score
