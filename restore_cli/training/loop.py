"""Trains a network by a recipe: one loop, read downwards."""

from __future__ import annotations

import copy
import dataclasses
import errno
import json
import math
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from restore_cli import memory
from restore_cli.archs import build
from restore_cli.archs.binarized import transition
from restore_cli.archs.layers import flop_counter
from restore_cli.degradations import find_degradation
from restore_cli.engine import Settings, autocast
from restore_cli.errors import RestoreError, UsageError
from restore_cli.image import Picture
from restore_cli.image import Pixels as Image
from restore_cli.models import catalogue as weights
from restore_cli.models.catalogue import Header, save
from restore_cli.network import Geometry, Restorer
from restore_cli.pipeline.apply import restore_fully
from restore_cli.tasks import TASKS, find_task
from restore_cli.training.distributed import Group, join
from restore_cli.training.log import Log
from restore_cli.training.objectives import OBJECTIVES, Adversary
from restore_cli.training.optimizer import Optimizer, learning_rate
from restore_cli.training.pairs import Corpus, Patches, Sample, batches, load_corpus, to_float
from restore_cli.training.recipe import Levels, Recipe
from restore_cli.training.state import State, uninterrupted

STATE_SECONDS = 180  # a kill loses no more than this
TELL_SECONDS, TELL_STEPS = 20, 100  # a moment is told after whichever comes first
VALIDATION_SHARE = (
    0.2  # of a training by the clock that validations may take, unless its recipe says when
)
PRECISION_LOSS = 0.02  # dB that a checkpoint may lose in a faster precision and still list it
TRIAL_SIDE = 256  # of a patch on which a network is tried; a larger one says no more
SHOWN = 3  # held-out images of which a log shows pictures


@dataclass(frozen=True)
class Request:
    """One training.

    Attributes:
        recipe: what decides the weights; all else does not.
        data: the folder that holds the recipe's folders.
        out: where the best checkpoint goes; beside it NAME.last.safetensors, the newest,
            NAME.state.safetensors, to resume from, and NAME.csv, the log.
        device: as `engine.find_device` takes it.
        resume: go on from the state, if there is one; the recipe may have become longer.
        validation: a folder of images to score with, in place of those held out.
        workers: processes that draw batches ahead; None is as many as an accelerator needs, none
            for a CPU.
        compile: compile the network with torch.compile, which pays in long trainings on a GPU.
        logdir: a folder for TensorBoard.
    """

    recipe: Recipe
    data: Path
    out: Path
    device: str = "auto"
    resume: bool = False
    validation: Path | None = None
    workers: int | None = None
    compile: bool = False
    logdir: Path | None = None

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.out.with_suffix(".last.safetensors")

    @property
    def state(self) -> Path:
        """The file to resume from."""
        return self.out.with_suffix(".state.safetensors")

    @property
    def log(self) -> Path:
        """The table of all moments."""
        return self.out.with_suffix(".csv")


@dataclass(frozen=True)
class Progress:
    """A moment of a training.

    Attributes:
        step, done: steps so far, and what share of the training that is, 0 to 1.
        seconds: spent so far.
        objective, images_per_s, waiting: mean objective, speed, and the share of time spent waiting
            for data, since the moment before; `rate` is the learning rate.
        scores, inputs: where it validated, the mean PSNR in dB of restored and of damaged images at
            each level of the recipe's validation.
        saved: whether this was the best so far, and was written to `out`.
        notes: what the user should know.
        levels: the levels that the scores are of, in words; empty for real pairs.
    """

    step: int
    done: float
    seconds: float
    objective: float
    images_per_s: float
    rate: float = 0.0
    waiting: float = 0.0
    scores: tuple[float, ...] = ()
    inputs: tuple[float, ...] = ()
    saved: bool = False
    notes: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Beat:
    """Where a training stands between two moments: at a step, or at an image of a validation.

    Attributes:
        step, done: as of `Progress`.
        doing: "training", or "validating 5 of 12".
    """

    step: int
    done: float
    doing: str


Watch = Callable[[Beat], None]


def train(request: Request, watch: Watch = lambda beat: None) -> Generator[Progress]:
    """Train, yielding every so often and at each validation; of several processes only rank 0
    yields.

    Whoever interrupts it, or closes the iterator, finds the state of the last whole step.

    Args:
        watch: called after each step and each validated image.

    Raises:
        UsageError: recipe, data, device and the places to write to do not fit together.
        RestoreError: the objective is no longer finite, or the log to go on with is damaged.
        WeightsError: the state to resume from is damaged or another recipe's.
    """
    with (
        join(request.device) as group,
        memory.kept() if group.device.type == "cpu" else nullcontext(),
    ):
        yield from _train(request, group, watch)


def _train(request: Request, group: Group, watch: Watch) -> Iterator[Progress]:
    recipe, device = request.recipe, group.device
    fingerprint = dataclasses.asdict(recipe)
    if group.rank == 0:
        _check_places(request)

    network = make_network(recipe).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    corpus = load_corpus(request.data, recipe, network.geometry.channels, request.validation)
    patches = Patches(corpus.training, recipe, network.geometry, group.rank)
    network.train()
    if group.size > 1:  # what a first batch sets up must stand before the processes are made alike
        with torch.no_grad():
            network(patches[0][0].to(device))
    forward: nn.Module = torch.compile(network) if request.compile else network  # type: ignore[assignment]
    if group.size > 1:
        forward = DistributedDataParallel(forward)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    adversary = Adversary(network.geometry.channels, recipe, group) if recipe.adversarial else None
    state = State(network, average, Optimizer(network, recipe), adversary)
    notes = tuple(f"left out: {error}" for error in corpus.unreadable)
    if request.resume and request.state.exists():
        state.load(request.state, fingerprint)
    elif request.resume:
        notes += (
            f"There is no {request.state} to resume from; training starts at the first step.",
        )
    moment = state.moment
    before = recipe.done(moment.step, moment.seconds)
    ended = before >= 1 or moment.over

    feed = batches(patches, moment.step, _workers(request, device), pinned=device.type == "cuda")
    saved = time.monotonic()
    begun = saved - moment.seconds
    meter, validating = Meter(device), 0.0

    def beat(doing: str = "training") -> None:
        watch(Beat(moment.step, min(recipe.done(moment.step, time.monotonic() - begun), 1), doing))

    told = Log(request.log, moment.step, request.logdir) if group.rank == 0 else nullcontext()
    with (
        told as log,
        _kept(state, request if log else None),
    ):  # of the first process, which tells for all
        if log and ended and not moment.due:
            notes += (
                f"Training ended after step {moment.step}; give more --steps or --minutes to"
                " prolong it.",
            )
            yield Progress(moment.step, 1.0, moment.seconds, math.nan, 0.0, notes=notes)
        while moment.due or not ended:
            rate = learning_rate(recipe, moment.step, before, moment.drops)
            if not moment.due:  # else a validation was interrupted, and comes first
                asked = time.monotonic()
                observed, clean = (
                    side.to(device, memory_format=torch.channels_last, non_blocking=True)
                    for side in next(feed)
                )
                meter.waited += time.monotonic() - asked
                with uninterrupted():
                    torch.manual_seed(
                        recipe.seed + moment.step
                    )  # of what networks and objectives draw
                    meter.total += learn(state, forward, recipe, observed, clean, rate)
                    state.update_average(recipe.ema)
                    moment.step, meter.steps = moment.step + 1, meter.steps + 1
                    moment.seconds = time.monotonic() - begun
                    spare = VALIDATION_SHARE * moment.seconds - validating
                    if recipe.minutes:
                        [moment.seconds, spare] = group.share([moment.seconds, spare])
                    done = recipe.done(moment.step, moment.seconds)
                    moment.over = recipe.is_over(moment.step, rate)
                    ended = done >= 1 or moment.over
                    moment.due = ended or recipe.validates(moment.step, before, done, spare)
                    before = done
                beat()
            keeps = moment.due or time.monotonic() - saved > STATE_SECONDS
            if not keeps and not meter.is_due():
                continue
            mean, speed, waiting = meter.read()
            if meter.steps and not math.isfinite(mean):
                raise RestoreError(
                    f"The objective is no longer finite at step {moment.step}; lower the learning"
                    " rate, or"
                    " train in fp32. The state before it is kept."
                )
            validation, better = Validation(), False
            if moment.due:
                started = time.monotonic()
                if log:
                    validation = validate(state.average, recipe, corpus.holdout, device, watch=beat)
                    header = make_header(request, state.average, corpus, validation, device, beat)
                validating += time.monotonic() - started
                [score] = group.share([sum(validation.scores)])
            with uninterrupted():
                if moment.due:
                    better = moment.judge(
                        score, recipe.patience, recipe.counts_plateaus(moment.step)
                    )
                    for path in (request.last, request.out)[: 1 + better] if log else ():
                        save(state.average, path, header)
                    moment.due = False
                if log and keeps:
                    state.save(request.state, fingerprint)
            if log:
                progress = Progress(
                    step=moment.step,
                    done=before,
                    seconds=moment.seconds,
                    objective=mean,
                    rate=rate,
                    images_per_s=speed * recipe.batch * group.size,
                    waiting=waiting,
                    scores=validation.scores,
                    inputs=validation.inputs,
                    saved=better,
                    notes=notes,
                    levels=tuple(map(_words, recipe.validation)),
                )
                log.write(_figures(progress))
                log.show(moment.step, validation.pictures)
                yield progress
            saved = time.monotonic() if keeps else saved
            meter, notes = Meter(device), ()


@contextmanager
def _kept(state: State, request: Request | None) -> Iterator[None]:
    """Write the state if the block is interrupted, by a signal or by who asks for no more."""
    try:
        yield
    except (KeyboardInterrupt, GeneratorExit):
        if request and all(value.isfinite().all() for value in state.average.parameters()):
            with uninterrupted():
                state.save(request.state, dataclasses.asdict(request.recipe))
        raise


def _check_places(request: Request) -> None:
    """Raise UsageError where what a training writes cannot be written, before any work is done."""
    path = request.out
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for path in (request.out, request.last, request.state, request.log):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}."):
                pass
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror}. Give another --out.") from error


class Meter:
    """What is counted from one moment to the next."""

    def __init__(self, device: torch.device) -> None:
        self.total, self.steps, self.waited = torch.zeros((), device=device), 0, 0.0
        self.started = time.monotonic()

    def is_due(self) -> bool:
        """Whether it is time to tell."""
        return self.steps >= TELL_STEPS or time.monotonic() - self.started > TELL_SECONDS

    def read(self) -> tuple[float, float, float]:
        """Mean objective, steps a second, and the share of time spent waiting for data."""
        mean = (
            self.total.item() / self.steps if self.steps else math.nan
        )  # on a GPU this waits for all steps
        seconds = max(time.monotonic() - self.started, 1e-9)
        return mean, self.steps / seconds, self.waited / seconds


def learn(
    state: State, forward: nn.Module, recipe: Recipe, observed: Tensor, clean: Tensor, rate: float
) -> Tensor:
    """One step of the optimizer, on a batch that is computed in parts; the objective."""
    if state.adversary and recipe.rests(state.moment.step):
        with torch.no_grad(), autocast(clean.device, recipe.precision):
            result = forward(observed)
        return state.adversary.learn(observed, result.float(), clean, rate)
    total = torch.zeros((), device=clean.device)
    restored: list[Tensor] = []
    chunks = list(
        zip(observed.chunk(recipe.accumulate), clean.chunk(recipe.accumulate), strict=True)
    )
    for index, (seen, wanted) in enumerate(chunks):
        waits = isinstance(forward, DistributedDataParallel) and index + 1 < len(chunks)
        with forward.no_sync() if waits else nullcontext():  # type: ignore[operator]
            with autocast(clean.device, recipe.precision):
                result = forward(seen)
            result = result.float()
            loss = OBJECTIVES[recipe.objective](result, wanted)
            if state.adversary:
                loss = recipe.pixel_weight * loss + state.adversary.judge(seen, result)
            if recipe.transition:
                loss = loss - recipe.transition * transition(state.network)
            loss = loss * len(wanted) / len(clean)
            loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
        restored.append(result.detach())
    nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip)
    state.optimizer.step(rate)
    if state.adversary:
        state.adversary.learn(observed, torch.cat(restored), clean, rate)
    return total


def make_network(recipe: Recipe) -> Restorer:
    """The recipe's network as it is before the first step.

    Raises:
        UsageError: the patch does not fit the network, or the checkpoint to start from does not, or
            the network does not run.
        WeightsError: there is no such network or checkpoint.
    """
    torch.manual_seed(recipe.seed)
    network = build(recipe.arch, recipe.params)
    network.initialise()
    geometry = network.geometry
    if geometry.scale > 1 and recipe.task in TASKS and not find_task(recipe.task).enlarges:
        raise UsageError(
            f"Cannot train {recipe.arch} for {recipe.task}: it enlarges {geometry.scale} times."
            " Give another network, or other parameters."
        )
    grid = geometry.multiple * geometry.scale
    for patch in recipe.sides:
        if patch % grid:
            raise UsageError(
                f"The patch has {patch} pixels a side; this network needs multiples of {grid}."
            )
    side = min(*recipe.sides, -(-TRIAL_SIDE // grid) * grid) // geometry.scale
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, geometry.channels + geometry.conditions, side, side))
    except RuntimeError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise UsageError(
            f"Cannot run {recipe.arch} with {dict(recipe.params)}: {reason}."
        ) from error
    if recipe.pretrain and geometry.scale > 1:
        raise UsageError(
            "A network that enlarges cannot be trained as an autoencoder; leave pretrain out."
        )
    if recipe.init:
        loaded = weights.load(weights.choose(recipe.init, recipe.task, geometry.channels))
        own, given = network.state_dict(), loaded.network.state_dict()
        if loaded.network.geometry.channels == geometry.channels:
            given = {
                key: _widen(value, own[key]) if key in own else value
                for key, value in given.items()
            }
        fitting = {
            key: value
            for key, value in given.items()
            if key in own and own[key].shape == value.shape
        }
        sizes = [sum(value.numel() for value in state.values()) for state in (fitting, own)]
        if own.keys() != given.keys() or sizes[0] < sizes[1] / 2:
            raise UsageError(f"{recipe.init} does not fit the recipe's {recipe.arch}.")
        network.load_state_dict(own | fitting)
    return network


def _widen(weight: Tensor, like: Tensor) -> Tensor:
    """The weight of a layer that gets more condition planes than it had; they start without
    effect.
    """
    wider = weight.ndim == like.ndim == 4 and weight.shape[1] < like.shape[1]
    if not wider or weight[:, :1].shape != like[:, :1].shape:
        return weight
    return torch.cat([weight, torch.zeros_like(like[:, weight.shape[1] :])], dim=1)


def _workers(request: Request, device: torch.device) -> int:
    if request.workers is not None:
        return request.workers
    return 0 if device.type == "cpu" else min(8, max(1, (os.cpu_count() or 2) - 1))


@dataclass(frozen=True)
class Validation:
    """Scores of held-out images at each level; and some of them, damaged, restored and clean."""

    scores: tuple[float, ...] = ()
    inputs: tuple[float, ...] = ()
    pictures: tuple[tuple[Image, Image, Image], ...] = ()


def _as_loaded(network: Restorer, recipe: Recipe) -> weights.Loaded:
    """The network as a model that tasks run."""
    header = Header(
        task=recipe.task,
        arch=recipe.arch,
        params=recipe.params,
        channels=network.geometry.channels,
        conditions=recipe.levels,
    )
    return weights.Loaded("the network", network, header)


def validate(
    network: Restorer,
    recipe: Recipe,
    samples: list[Sample],
    device: torch.device,
    precision: str = "fp32",
    watch: Callable[[str], None] = lambda doing: None,
) -> Validation:
    """Score a network by its task's protocol, as mean PSNR in dB at each validation level.

    The random generator starts anew with seed 0 for each image. `watch` is told "validating 5 of
    12" before each image.
    """
    task = find_degradation(recipe.task)
    settings = Settings(device=str(device), precision=precision)
    loaded = _as_loaded(network, recipe)
    scores: list[float] = []
    inputs: list[float] = []
    pictures: list[tuple[Image, Image, Image]] = []
    number = len(recipe.validation) * len(samples)
    for level in recipe.validation:
        damage = task.draw(level, np.random.RandomState(0))
        rows: list[tuple[float, float]] = []
        for sample in samples:
            watch(f"validating {len(scores) * len(samples) + len(rows) + 1} of {number}")
            clean = damage.crop_to_scale(to_float(sample.clean))
            if sample.damaged is None:
                job, observed, clean = damage.pair(clean, np.random.RandomState(0))
            else:
                job, observed = damage.task(), to_float(sample.damaged)
            restored = restore_fully(Picture(observed), job, loaded, settings)
            before = job.unrestored(observed)
            rows.append((damage.score(restored, clean), damage.score(before, clean)))
            if len(pictures) < SHOWN:
                pictures.append((before, restored, clean))
        after_mean, before_mean = np.mean(rows, axis=0).tolist()
        scores.append(after_mean)
        inputs.append(before_mean)
    return Validation(tuple(scores), tuple(inputs), tuple(pictures))


def make_header(
    request: Request,
    network: Restorer,
    corpus: Corpus,
    validation: Validation,
    device: torch.device,
    watch: Callable[[str], None] = lambda doing: None,
) -> Header:
    """What the checkpoint says of itself; it lists bf16 if that costs at most 0.02 dB at every
    level.
    """
    recipe = request.recipe
    fast = validate(network, recipe, corpus.holdout, device, "bf16", watch).scores
    stands = all(a - b <= PRECISION_LOSS for a, b in zip(validation.scores, fast, strict=True))
    halved = (f"{name} at half its size" for name in recipe.halved)
    folders = (*recipe.pairs, *recipe.folders, *halved) or (request.data.resolve().name,)
    held = request.validation.name if request.validation else "held out"
    return Header(
        task=recipe.task,
        arch=recipe.arch,
        params=dict(recipe.params),
        channels=network.geometry.channels,
        conditions=dict(recipe.levels),
        precisions=("fp32", "bf16") if stands else ("fp32",),
        recipe=json.loads(json.dumps(dataclasses.asdict(recipe))),
        scores=tuple(
            {"set": held, **level, "psnr": round(score, 3), "protocol": "validation"}
            for level, score in zip(recipe.validation, validation.scores, strict=True)
        ),
        data=f"{len(corpus.training)} images of {', '.join(folders)}",
        commit=_commit(),
    )


def _words(level: Levels) -> str:
    return " ".join(f"{key} {value}" for key, value in level.items())


def _figures(progress: Progress) -> dict[str, float | int]:
    """A row of the log."""
    figures: dict[str, float | int] = {
        "step": progress.step,
        "seconds": progress.seconds,
        "objective": progress.objective,
        "rate": progress.rate,
        "images/s": progress.images_per_s,
        "waiting": progress.waiting,
    }
    for kind, scores in (("PSNR", progress.scores), ("input PSNR", progress.inputs)):
        for words, score in zip(progress.levels, scores, strict=False):
            figures[f"{kind} {words}".strip()] = score
    return figures


@dataclass(frozen=True)
class Plan:
    """What a training would take.

    Attributes:
        parameters: those that are trained.
        flops: floating point operations of the network on one patch, a multiplication and an
            addition each. Those of a large patch follow from a smaller one.
        memory: bytes of weights, gradients, momenta, moving average and the activations of a batch,
            about.
        images, holdout: to train on and to score with.
        unreadable: files that are left out.
    """

    parameters: int
    flops: int
    memory: int
    images: int
    holdout: int
    unreadable: tuple[str, ...]


def plan(request: Request) -> Plan:
    """Find out what a training would take, by one patch on the CPU, which a large patch would keep
    too long.

    Raises:
        UsageError, WeightsError: as `train`.
    """
    recipe = request.recipe
    network = make_network(recipe)
    corpus = load_corpus(request.data, recipe, network.geometry.channels, request.validation)
    side = _trial_side(recipe, network.geometry)
    times = (max(recipe.sides) / side) ** 2
    patches = Patches(corpus.training, dataclasses.replace(recipe, batch=1), network.geometry)
    patches.recipe = dataclasses.replace(patches.recipe, patch=side)
    observed = patches[0][0]
    own = {parameter.data_ptr() for parameter in network.parameters()}
    activations: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            activations[tensor.data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    counter = flop_counter()
    kept = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with autocast(torch.device("cpu"), recipe.precision), counter, kept:
        network.train()(observed)
    trained = sum(
        parameter.numel() for parameter in network.parameters() if parameter.requires_grad
    )
    part = -(-recipe.batch // recipe.accumulate)
    return Plan(
        parameters=trained,
        flops=round(counter.get_total_flops() * times),
        memory=5 * 4 * trained  # float32 weights, gradients, two momenta and the average
        + round(part * sum(activations.values()) * times),
        images=len(corpus.training),
        holdout=len(corpus.holdout),
        unreadable=corpus.unreadable,
    )


def _trial_side(recipe: Recipe, geometry: Geometry) -> int:
    """The side of a patch that stands for the recipe's largest: if that is large, a smaller one
    that fits.
    """
    task = find_degradation(recipe.task).draw(recipe.levels, np.random.default_rng(0))
    grid = geometry.multiple * geometry.scale

    def fits(side: int) -> bool:
        return len(task.crop_to_scale(np.broadcast_to(np.float32(0), (side, side, 1)))) == side

    largest = max(recipe.sides)
    sides = range(-(-TRIAL_SIDE // grid) * grid, largest, grid)
    return next((side for side in sides if fits(side) and fits(largest)), largest)


def _commit() -> str:
    """The commit this package runs from, or nothing where it is no checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() if answer.returncode == 0 else ""
