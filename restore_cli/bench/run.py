"""Measures all methods on all cases, image by image; each method opens an image once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from restore_cli.bench.cache import ResultCache, cache_key
from restore_cli.bench.cases import Case, find_cases
from restore_cli.bench.measurement import Measurement, measure, restore_example
from restore_cli.bench.methods import Method, find_methods
from restore_cli.bench.pictures import WorstImages
from restore_cli.bench.request import Request
from restore_cli.bench.rows import measured_row, published_rows
from restore_cli.bench.statistics import BEST, compare_methods
from restore_cli.errors import UsageError
from restore_cli.report.comparison import Comparison
from restore_cli.report.row import Row


@dataclass(frozen=True)
class SetWarning:
    """A warning about a set, before it is measured."""

    warning: str


@dataclass(frozen=True)
class Progress:
    """One more image is done: `done` of `total`, of which `kept` come from the cache."""

    done: int
    total: int
    kept: int
    note: str


@dataclass(frozen=True)
class BenchResult:
    """The result of a benchmark; the cache keeps it under `cache_keys` until it is discarded."""

    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    cache_keys: tuple[str, ...]

    def discard(self) -> None:
        """Remove the result from the cache, after it has been reported."""
        with closing(ResultCache()) as cache:
            cache.discard(self.cache_keys)


def bench(*requests: Request) -> Iterator[SetWarning | Progress | BenchResult]:
    """Run the requests; yields warnings first, then progress for each image, then the result.

    There is a warning for each known set with a wrong number of images, and for each image that is
    skipped because it cannot be read.

    The cache keeps all measurements until the caller discards the result. A run that was
    interrupted, or that failed to write its report, therefore resumes, and so does any other run
    that shares measurements with it.

    Raises:
        UsageError: a set, level, baseline or metric is unknown or not available.
        WeightsError: a model is unknown or not available.
        PictureError: none of the images of a set can be read.
        RestoreError: the measurements cannot be saved.
    """
    methods = [find_methods(request) for request in requests]
    groups = [
        [_CaseRun(case, own) for case in cases]
        for cases, own in zip(find_cases(requests), methods, strict=True)
    ]
    runs = [run for group in groups for run in group]
    yield from map(SetWarning, _warnings(runs))
    with closing(ResultCache()) as cache:
        cache.discard(key for run in runs if run.case.request.fresh for key in run.cache_keys())
        keys = [key for run in runs for key in run.cache_keys()]
        kept = sum(cache.find(key) is not None for key in keys)
        notes = (
            note
            for group, own in zip(groups, methods, strict=True)
            for note in _measure(group, own, cache)
        )
        for done, note in enumerate(notes, 1):
            yield Progress(done, len(keys), kept, note)
    rows = _compare([row for run in runs for row in run.rows])
    papers = _without_repeats(row for run in runs for row in published_rows(run.case))
    comparisons = tuple(comparison for run in runs for comparison in run.comparisons())
    yield BenchResult((*rows, *papers), comparisons, tuple(keys))


class _CaseRun:
    """A case in progress; `rows` belong to the methods that are done."""

    def __init__(self, case: Case, methods: Sequence[Method]) -> None:
        for method in methods:
            if method.needs and case.real and not case.level:
                raise UsageError(
                    f"Cannot run {method.name} on {case.name}: the {method.needs} of its images is"
                    " not known. Leave it out of --peer."
                )
        self.case = case
        self.rows: list[Row] = []
        self._methods = methods
        self._worst = WorstImages(case, methods)

    def cache_keys(self) -> Iterator[str]:
        """The cache keys of all measurements of the case."""
        for method in self._methods:
            for example in self.case.images.examples:
                yield cache_key(method, self.case, example)

    def measure(self, method: Method, cache: ResultCache) -> Iterator[str]:
        """Measure a method on all images, and add its row; yields a note for each image."""
        measured: dict[str, Measurement] = {}
        for example in self.case.images.examples:
            key = cache_key(method, self.case, example)
            measurement, image = cache.find(key), None
            if measurement is None:
                image = restore_example(method, self.case, example)
                measurement = measure(image, self.case)
                cache.add(key, measurement)
            measured[example.name] = measurement
            score = measurement.figures[self.case.damage.headline_metric]
            self._worst.offer(method, example.name, score, image)
            yield f"{method.name}, {self.case.name}"
        self._worst.complete(method)
        self.rows.append(measured_row(method, self.case, measured))

    def comparisons(self) -> Iterator[Comparison]:
        """The worst images, as restored by all methods."""
        return self._worst.comparisons(self.rows)


def _warnings(runs: Sequence[_CaseRun]) -> Iterable[str]:
    """The warnings of all cases, without duplicates."""
    found = (warning for run in runs for warning in (run.case.images.warning, *run.case.warnings))
    return dict.fromkeys(filter(None, found))


def _measure(
    runs: Sequence[_CaseRun], methods: Sequence[Method], cache: ResultCache
) -> Iterator[str]:
    """Measure one method after the other, so that only one model is in memory."""
    for method in methods:
        for run in runs:
            yield from run.measure(method, cache)
        method.release()


def _compare(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows, grouped by case and without duplicates, with a note on which method is best."""
    groups: dict[tuple[object, ...], dict[str, Row]] = {}
    for row in rows:
        case = (row.task, row.set_title, row.level_title, row.protocol)
        groups.setdefault(case, {}).setdefault(row.model, row)
    for group in groups.values():
        rivals = {name: row.images for name, row in group.items() if name != Method.name}
        notes = compare_methods(rivals) if len(rivals) > 1 else {}
        for row in group.values():
            verdict = notes.get(row.model)
            note = "; ".join(filter(None, (verdict, row.note)))
            yield replace(row, note=note, best=verdict == BEST)


def _without_repeats(rows: Iterable[Row]) -> list[Row]:
    found: list[Row] = []
    for row in rows:
        if row not in found:
            found.append(row)
    return found
