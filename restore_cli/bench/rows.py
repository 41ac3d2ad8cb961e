"""Builds the rows of the table: measured and published results for a case."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from restore_cli.bench.cases import Case, read
from restore_cli.bench.costs import measure_costs
from restore_cli.bench.measurement import Measurement
from restore_cli.bench.methods import Method
from restore_cli.bench.protocol import describe_protocol
from restore_cli.bench.published import published
from restore_cli.bench.statistics import mean
from restore_cli.levels import Choice, Range, parse_level
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.report.figures import (
    IMAGES,
    MEDIAN,
    OVER_ALL_CHANNELS,
    PEAK_MEMORY,
    PSNR,
    PSNR_Y,
    SECONDS,
    SPEED,
    SSIM,
    SSIM_Y,
    WORST,
    Figure,
)
from restore_cli.report.row import Row
from restore_cli.tasks import find_task

Measurements = Mapping[str, Measurement]  # by the name of the image


def measured_row(method: Method, case: Case, images: Measurements) -> Row:
    """The row of a method on a case, from the measurements of all images.

    The costs of the networks that restored them are measured here.
    """
    quality = case.damage.headline_metric
    scores = {name: image.figures[quality] for name, image in images.items()}
    figures: dict[Figure, float | None] = {IMAGES: len(images), **_means(images, quality)}
    figures |= {MEDIAN: float(np.median(list(scores.values()))), WORST: min(scores.values())}
    notes = list(_gaps(images, quality))
    if method.restores:
        figures |= _speed(images)
    used = dict.fromkeys(image.network for image in images.values() if image.network)
    networks = [method.network(name) for name in used]
    costs = [measure_costs(one.network, _passes(case, one, images)) for one in networks]
    if len(costs) == 1:
        figures |= costs[0]
    elif costs:
        notes.append(f"restored by {' and '.join(used)}")
    for one in networks:
        notes += [note for note in untrained(case.level, one.conditions) if note not in notes]
    return Row(
        task=case.request.task,
        set=case.name,
        colors=case.request.colors,
        level=case.level,
        model=method.name,
        protocol=describe_protocol(case),
        measured=True,
        figures=figures,
        images=scores,
        note="; ".join(notes),
        quality=quality,
        about=method.description,
        details={name: image.to_plain() for name, image in images.items()},
        files={one.name: one.sha256 for one in networks},
    )


def _passes(case: Case, model: Checkpoint, images: Measurements) -> int:
    """How often a network runs for an image: a gray one restores each channel of a color image."""
    task = find_task(case.request.task)
    gray = model.network.geometry.channels == 1 and not task.gray_via_luma
    channels = max(image.channels for image in images.values()) if gray else 1
    ensemble = case.request.settings.ensemble and not model.has_one_view
    return channels * (2 * task.turns if ensemble else 1)


def _means(images: Measurements, quality: Figure) -> dict[Figure, float]:
    """The mean of each figure over the images.

    Figures on luma are left out if they equal those over all channels, as for gray images.
    """
    means = {}
    for figure in _figures(images):
        own = [image.figures[figure] for image in images.values() if figure in image.figures]
        plain = OVER_ALL_CHANNELS.get(figure)
        others = [
            image.figures.get(plain)
            for image in images.values()
            if plain and figure in image.figures
        ]
        if figure == quality or own != others:
            means[figure] = mean(own)
    return means


def _speed(images: Measurements) -> dict[Figure, float]:
    seconds = sum(image.seconds for image in images.values())
    figures = {
        SECONDS: seconds / len(images),
        SPEED: sum(image.megapixels for image in images.values()) / max(seconds, 1e-9),
    }
    peaks = [image.peak_mb for image in images.values() if image.peak_mb is not None]
    if len(peaks) == len(images):
        figures[PEAK_MEMORY] = max(peaks)
    return figures


def _figures(images: Measurements) -> list[Figure]:
    return list(dict.fromkeys(figure for image in images.values() for figure in image.figures))


def _gaps(images: Measurements, quality: Figure) -> Iterator[str]:
    """Notes on figures that do not cover all images, or that are computed in two ways."""
    equal = sum(math.isinf(image.figures[quality]) for image in images.values())
    if 0 < equal < len(images):
        yield f"not in the means: {equal} of {len(images)} images, identical to the reference"
    for figure in _figures(images):
        count = sum(figure in image.figures for image in images.values())
        if count < len(images) and not figure.luma:
            yield f"{figure.name} covers {count} of {len(images)} images"
    gray = sum(image.channels == 1 for image in images.values())
    if 0 < gray < len(images):
        yield f"Y is full-range gray for {gray} of {len(images)} images"


def untrained(level: Mapping[str, Any], trained: Mapping[str, Any]) -> Iterator[str]:
    """Notes on levels that the model was not trained for: "trained for sigma 25, not 15"."""
    for key, value in level.items():
        if value is None:  # drawn for each image
            continue
        known = parse_level(trained.get(key, value))
        if isinstance(known, Range):
            inside = known.low <= value <= known.high
        else:
            inside = _text(value) in (known.words if isinstance(known, Choice) else [_text(known)])
        if not inside:
            yield f"trained for {key} {_text(known)}, not {_text(value)}"


def _text(level: Any) -> str:
    number = isinstance(level, (int, float)) and not isinstance(level, bool)
    return f"{level:g}" if number else str(level)


def published_rows(case: Case) -> Iterator[Row]:
    """The published results for the set, level and colors of a case."""
    request = case.request
    if not request.published:
        return
    quality = case.damage.headline_metric
    gray = read(case.images.examples[0].clean, request).shape[2] == 1
    for result in published(request.task, case.images.name, case.level):
        if request.gray and not result.luma:
            continue
        on_luma = result.luma and (not gray or quality.luma)
        yield Row(
            task=request.task,
            set=case.images.name,
            colors=request.colors,
            level=case.level,
            model=result.model,
            protocol=result.protocol,
            measured=False,
            figures={
                PSNR_Y if on_luma else PSNR: result.psnr,
                SSIM_Y if on_luma else SSIM: result.ssim,
            },
            images={},
            note=f"{result.paper}, {result.where}",
            source=(result.paper, result.where),
            quality=quality,
        )
