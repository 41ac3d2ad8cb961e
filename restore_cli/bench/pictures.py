"""Collects the worst images of a case for the report while they are measured."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from restore_cli.bench.cases import Case
from restore_cli.bench.measurement import RestoredImage, restore_example
from restore_cli.bench.methods import Method
from restore_cli.image import Pixels, round_to_bytes
from restore_cli.levels import describe
from restore_cli.report.comparison import Comparison, Version
from restore_cli.report.row import Row


class WorstImages:
    """The results of all methods on the images that the leading method restores worst.

    The leading method is the first that restores, or the input if there is no other. At most as
    many images are in memory as the request shows.
    """

    def __init__(self, case: Case, methods: Sequence[Method]) -> None:
        self._case = case
        self._input, self._leading = methods[0], methods[min(1, len(methods) - 1)]
        self._scores: dict[str, float] = {}  # of the leading method
        self._worst: list[str] = []  # names of images, worst first
        self._clean: dict[str, Pixels] = {}
        self._pictures: dict[
            str, dict[Method, Pixels]
        ] = {}  # by image, in the order of the methods

    def offer(self, method: Method, name: str, score: float, image: RestoredImage | None) -> None:
        """Add a measured image; it is None if its measurement comes from the cache."""
        if method is self._leading:
            self._scores[name] = score
            worst = sorted(self._scores, key=lambda name: self._scores[name])
            self._worst = worst[: self._case.request.shown]
            for left_out in self._pictures.keys() - set(self._worst):
                del self._pictures[left_out], self._clean[left_out]
        if image and name in self._worst:
            self._keep(method, name, image)

    def complete(self, method: Method) -> None:
        """Restore the worst images whose measurements come from the cache, after all are known."""
        for example in self._case.images.examples:
            name = example.name
            if name in self._worst and method not in self._pictures.get(name, {}):
                self._keep(method, name, restore_example(method, self._case, example))

    def _keep(self, method: Method, name: str, image: RestoredImage) -> None:
        pictures = self._pictures.setdefault(name, {})
        if method is self._leading:
            self._clean[name] = image.clean
            plain = self._input.restore(image.observed, self._case.damage)
            pictures[self._input] = round_to_bytes(plain)
        pictures[method] = round_to_bytes(image.restored)

    def comparisons(self, rows: Sequence[Row]) -> Iterator[Comparison]:
        """A comparison of all methods for each image, worst first.

        Args:
            rows: the rows of the case, in the order of the methods.
        """
        case = self._case
        for name in self._worst:
            pictures = self._pictures[name].values()
            versions = [
                Version(row.model, pixels, _note(row, name))
                for row, pixels in zip(rows, pictures, strict=True)
            ]
            title = ", ".join(filter(None, (f"{case.name}/{name}", describe(case.level))))
            yield Comparison(title, (*versions, Version("reference", self._clean[name])))


def _note(row: Row, name: str) -> str:
    value = row.images[name]
    return "equal" if value == math.inf else f"{row.quality.format(value)} {row.quality.unit}"
