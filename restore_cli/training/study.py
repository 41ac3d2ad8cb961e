"""Runs a study: trains the networks of a small sweep, one for each point of a paper's figure."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

from restore_cli import recipes
from restore_cli.atomic import write_text
from restore_cli.errors import RestoreError, UsageError
from restore_cli.levels import describe
from restore_cli.models import checkpoint
from restore_cli.report.study import Chart, Mark
from restore_cli.training.data import images_in
from restore_cli.training.loop import train
from restore_cli.training.progress import Beat
from restore_cli.training.recipe import Recipe
from restore_cli.training.request import Request as Training
from restore_cli.training.sweep import Point, Study, find, points

_ONCE: Mapping[str, Any] = {"validate_every": 2**31}  # a point is scored at its end only


@dataclass(frozen=True)
class Request:
    """One study.

    Attributes:
        name: the name of the study.
        data: the folder of training images.
        out: the folder for checkpoints, the list of finished trainings, table and chart.
        minutes, steps: length of each training; one of them is 0.
        seeds: number of trainings for each point.
        validation: a folder of validation images to use instead of held-out ones.
        device: as in `engine.find_device`.
        keys: recipe keys that override those of the study.
    """

    name: str
    data: Path
    out: Path
    minutes: float = 8.0
    steps: int = 0
    seeds: int = 1
    validation: Path | None = None
    device: str = "auto"
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Moment:
    """A report after each training of a study, including those that an earlier run finished.

    Attributes:
        done, total: number of trainings.
        summary: the training and its score, in one line.
        chart: all points so far.
    """

    done: int
    total: int
    summary: str
    chart: Chart


def study(
    request: Request, watch: Callable[[int, Beat], None] = lambda done, beat: None
) -> Generator[Moment]:
    """Train all points, seed by seed, and skip or resume the trainings that are found in `out`.

    Args:
        watch: called after each step with the number of finished trainings.

    Raises:
        UsageError: there is no such study, a recipe is invalid, or as `train`.
        RestoreError, WeightsError: as `train`, or the list of finished trainings is damaged.
    """
    found = find(request.name)
    if own := request.keys.keys() & {"seed", "steps", "minutes"}:
        raise UsageError(
            f"Cannot set {', '.join(sorted(own))}. Use --seeds, --steps-each or --minutes-each."
        )
    length = (
        {"minutes": 0.0, "steps": request.steps} if request.steps else {"minutes": request.minutes}
    )
    swept = list(points(found, recipes.merge(_ONCE, length, request.keys)))
    kept = request.out / "points.json"
    try:
        request.out.mkdir(parents=True, exist_ok=True)
        ended: dict[str, dict[str, Any]] = (
            json.loads(kept.read_text("utf-8")) if kept.exists() else {}
        )
    except OSError as error:
        raise UsageError(
            f"Cannot write {request.out}: {error.strerror}. Choose another --out."
        ) from error
    except ValueError as error:
        raise RestoreError(
            f"Cannot read {kept}: it is damaged. Delete it or choose another --out."
        ) from error
    images = [
        [(path.relative_to(folder).as_posix(), path.stat().st_size) for path in images_in(folder)]
        for folder in filter(None, (request.data, request.validation))
    ]
    trainings = [
        _training(request, point, seed, images) for seed in range(request.seeds) for point in swept
    ]
    for done, (point, training) in enumerate(zip(swept * request.seeds, trainings, strict=True)):
        key, seed = training.out.stem, training.recipe.seed
        if key not in ended:
            ended[key] = _run(training, functools.partial(watch, done))
            write_text(kept, json.dumps(ended, indent=1))
        marks = [
            _mark(one, trainings[number :: len(swept)], ended) for number, one in enumerate(swept)
        ]
        name = f"{point.curve}, {found.varied or found.axis}: {point.label}".removeprefix(", ")
        summary = (
            f"{name}, seed {seed}: {ended[key]['psnr']:.2f} dB after {ended[key]['steps']} steps"
        )
        chart = _chart(request, found, swept[0].recipe, [mark for mark in marks if mark.scores])
        yield Moment(done + 1, len(trainings), summary, chart)


def _training(
    request: Request, point: Point, seed: int, images: Sequence[Sequence[tuple[str, int]]]
) -> Training:
    """Return the training of a point.

    Its file name contains a digest of the recipe, and of the names and sizes of the `images`.
    """
    recipe = dataclasses.replace(point.recipe, seed=seed)
    identity = json.dumps([recipe.to_plain(), images], sort_keys=True)
    words = [*(_slug(word) for word in (point.curve, point.label)), f"seed-{seed}"]
    stem = "-".join([*filter(None, words), hashlib.sha256(identity.encode()).hexdigest()[:8]])
    out = request.out / f"{stem}.safetensors"
    return Training(
        recipe, request.data, out, request.device, resume=True, validation=request.validation
    )


def _run(training: Training, watch: Callable[[Beat], None]) -> dict[str, Any]:
    """Train to the end, keep the last weights and their log, and return score, steps and time."""
    with closing(train(training, watch)) as moments:
        *_, last = moments
    psnr = mean(float(score.psnr) for score in checkpoint.load(training.last).header.scores)
    training.last.replace(training.out)
    training.state.unlink(missing_ok=True)
    return {"psnr": psnr, "steps": last.step, "minutes": last.seconds / 60}


def _mark(
    point: Point, trainings: Sequence[Training], ended: Mapping[str, Mapping[str, Any]]
) -> Mark:
    found = [ended[training.out.stem] for training in trainings if training.out.stem in ended]
    return Mark(
        curve=point.curve,
        label=point.label,
        x=point.x,
        parameters=point.parameters,
        scores=tuple(one["psnr"] for one in found),
        steps=mean(one["steps"] for one in found) if found else 0,
        minutes=mean(one["minutes"] for one in found) if found else 0,
    )


def _chart(request: Request, found: Study, recipe: Recipe, marks: Sequence[Mark]) -> Chart:
    levels = "; ".join(map(describe, recipe.validation))
    images = "held-out images"
    if request.validation:
        images = f"the centers of {request.validation.resolve().name}"
    length = f"{request.steps} steps" if request.steps else f"{request.minutes:g} minutes"
    own = "".join(f", {key} = {value}" for key, value in request.keys.items())
    note = (
        f"{length} for each training, with the recipe {found.recipe}{own}; seeds: {request.seeds}."
    )
    return Chart(
        title=found.title,
        figure=found.figure,
        shows=found.shows,
        axis=found.axis,
        varied=found.varied or found.axis,
        figures=f"PSNR in dB on {images}, {levels}".removesuffix(", "),
        note=note,
        marks=tuple(marks),
        fixed=found.x == "",
    )


def _slug(words: str) -> str:
    return re.sub("[^a-z0-9]+", "-", words.lower()).strip("-")
