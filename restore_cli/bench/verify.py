"""Checks that models still reach the scores listed in weights.toml."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore_cli.bench.request import Request
from restore_cli.bench.run import BenchResult, bench
from restore_cli.bench.statistics import mean
from restore_cli.datasets.find import open_set
from restore_cli.engine import Settings
from restore_cli.errors import RestoreError, UsageError
from restore_cli.levels import describe
from restore_cli.models.catalog import Entry


@dataclass(frozen=True)
class ScoreCheck:
    """A listed score and its new measurement.

    Attributes:
        label: model, set and level.
        listed, measured: PSNR in dB; `measured` is None if the set is not available.
        warning: a sentence if the set is incomplete.
    """

    label: str
    listed: float
    measured: float | None
    warning: str = ""


def check_scores(entry: Entry, data: Sequence[Path]) -> Iterator[ScoreCheck]:
    """Measure the scores of an entry again, in fp32, except those published by its authors.

    Raises:
        UsageError, WeightsError: see `bench`.
    """
    for score in entry.scores:
        if score.protocol.published:
            continue
        label = f"{entry.name}, {score.title} {describe(score.levels)}".rstrip()
        try:
            warning = open_set(score.set, data, offline=True).warning
        except (UsageError, RestoreError):
            yield ScoreCheck(label, score.psnr, None)
            continue
        request = Request(
            entry.task,
            (score.set,),
            tuple(data),
            levels=(score.levels,) if score.levels else (),
            models=(entry.name,),
            gray=score.protocol.luma,
            full_range=score.protocol.full_range,
            settings=Settings(precision="fp32"),
        )
        yield ScoreCheck(label, score.psnr, _measure(request), warning)


def _measure(request: Request) -> float:
    """The mean PSNR in dB of the only model of a request."""
    *_, result = bench(request)
    assert isinstance(result, BenchResult)
    result.discard()
    _, row = result.rows  # the input comes first
    return mean(row.images.values())
