"""Pictures of the worst images of a case, kept while they are measured."""

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
    """What each method makes of the images that the leading one restores worst.

    The leading method is the first that restores, or the input where there is no other. Of each
    method there are as many pictures as the request shows, and no more.
    """

    def __init__(self, case: Case, methods: Sequence[Method]) -> None:
        self._case = case
        self._input, self._leading = methods[0], methods[min(1, len(methods) - 1)]
        self._scores: dict[str, float] = {}  # of the leading method
        self._worst: list[str] = []  # names of images, worst first
        self._clean: dict[str, Pixels] = {}
        self._pictures: dict[str, dict[Method, Pixels]] = {}  # of each image, in order

    def offer(self, method: Method, name: str, score: float, image: RestoredImage | None) -> None:
        """Consider an image that was measured; it is None where an interrupted run measured it."""
        if method is self._leading:
            self._scores[name] = score
            worst = sorted(self._scores, key=lambda name: self._scores[name])
            self._worst = worst[: self._case.request.shown]
            for left_out in self._pictures.keys() - set(self._worst):
                del self._pictures[left_out], self._clean[left_out]
        if image and name in self._worst:
            self._keep(method, name, image)

    def complete(self, method: Method) -> None:
        """Restore again what only an interrupted run measured, once a method has measured all."""
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
        """The pictures of each image, the worst first.

        Args:
            rows: of the case, a row for each method in order.
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
