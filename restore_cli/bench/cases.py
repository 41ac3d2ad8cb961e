"""The cases of a request: each image set at each degradation level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from restore_cli.bench.request import Request
from restore_cli.datasets.find import find_sets, open_set
from restore_cli.datasets.layout import Example, ImageSet
from restore_cli.degradations import Degradation, find_degradation
from restore_cli.errors import PictureError, UsageError
from restore_cli.image import Pixels, luma, read_picture, round_to_bytes, to_gray
from restore_cli.levels import describe


@dataclass(frozen=True)
class Case:
    """An image set at one degradation level.

    Attributes:
        name: the name of the set in the table.
        warnings: one sentence for each example that is skipped.
    """

    request: Request
    images: ImageSet
    damage: Degradation
    level: Mapping[str, Any]
    name: str
    warnings: tuple[str, ...]

    @property
    def real(self) -> bool:
        """Whether the degraded images come with the set."""
        return self.images.examples[0].damaged is not None

    def open(self, example: Example) -> tuple[Pixels, Pixels]:
        """Read the clean and the degraded image of an example, H x W x C in [0, 1].

        The clean image is degraded here if the set does not have a degraded one.

        Raises:
            UsageError: the image is too small to be scored, or the images of a pair differ in size
                (when upright), or only one of them is gray.
        """
        clean = self.damage.crop_to_scale(read(example.clean, self.request))
        if not self.damage.crop_border(clean).size:
            raise UsageError(
                f"Cannot score {example.clean}: the image is too small. Remove it from the set."
            )
        if example.damaged:
            observed = read(example.damaged, self.request)
            pair = f"{example.clean} and {example.damaged}"
            height, width = self.damage.task().target_size(*observed.shape[:2])
            if (height, width) != clean.shape[:2]:
                raise UsageError(
                    f"Cannot compare {pair}: the result would have {width} x {height} pixels, but"
                    f" the clean image has {clean.shape[1]} x {clean.shape[0]}. Resize one of them."
                )
            if observed.shape[2] != clean.shape[2]:
                raise UsageError(
                    f"Cannot compare {pair}: only one of them is gray. Convert one, or use --gray."
                )
        else:
            observed = self.damage.apply(clean, np.random.RandomState(0))
        return clean, round_to_bytes(observed) if self.request.clip else observed


def read(path: Path, request: Request) -> Pixels:
    """Read the pixels of a file, converted to gray if requested."""
    pixels = read_picture(path).opaque_pixels()
    if not request.gray or pixels.shape[2] == 1:
        return pixels
    return round_to_bytes(to_gray(pixels) if request.full_range else luma(pixels)[..., None])


def find_cases(requests: Sequence[Request]) -> list[list[Case]]:
    """The cases of each request; sets that share a name are named by their folders.

    Raises:
        UsageError: a set or level is unknown, or no set is given.
        PictureError: none of the images of a set can be read.
    """
    cases = [list(_find_cases(request)) for request in requests]
    folders: dict[str, set[Path]] = {}
    for case in (case for group in cases for case in group):
        folders.setdefault(case.name.lower(), set()).add(case.images.folder.resolve())
    ambiguous = {name for name, found in folders.items() if len(found) > 1}
    return [
        [
            replace(case, name=str(case.images.folder)) if case.name.lower() in ambiguous else case
            for case in group
        ]
        for group in cases
    ]


def _find_cases(request: Request) -> Iterator[Case]:
    sets = request.sets or find_sets(request.task, request.data)
    if not sets:
        raise UsageError(
            "Cannot benchmark: no set is given. Name one, or give a folder with --data."
        )
    kind = find_degradation(request.task)
    problems: dict[Path, str] = {}
    for name in sets:
        for level in request.levels or kind.validation:
            damage = _make_damage(request.task, kind, level)
            scale = round(damage.task().enlargement(100, 100))
            images = open_set(
                name,
                request.data,
                scale=scale if scale > 1 else None,
                pairs=request.pairs,
                degrade=request.degrade,
                offline=request.offline,
            )
            if not damage.paired:
                examples = tuple(replace(example, damaged=None) for example in images.examples)
                images = replace(images, examples=examples)
            images, warnings = _without_unreadable(images, problems)
            if images.examples[0].damaged and not request.levels and scale == 1:
                # Real pairs need no level, unless their damage has to be found.
                if request.task == "inpaint":
                    raise UsageError(
                        f"Cannot measure {images.name}: the damage of real pairs must be found."
                        " Use --level detect=text or --level detect=scratches."
                    )
                yield Case(request, images, kind(), {}, images.name, warnings)
                break
            if images.examples[0].damaged and scale == 1 and damage.task() == kind().task():
                raise UsageError(
                    f"Cannot measure {images.name} at {describe(level)}: its images are already"
                    " damaged. Use --degrade instead of --level, or leave it out."
                )
            yield Case(request, images, damage, level, images.name, warnings)


def _make_damage(task: str, kind: type[Degradation], level: Mapping[str, Any]) -> Degradation:
    try:
        return kind.make(level)
    except TypeError as error:
        raise UsageError(
            f"{describe(level)!r} is not a valid level for {task}; check its name and value."
        ) from error


def _without_unreadable(
    images: ImageSet, problems: dict[Path, str]
) -> tuple[ImageSet, tuple[str, ...]]:
    """The set without unreadable examples, and a warning for each of those.

    Args:
        problems: the error of each file, "" for readable files; new files are added.

    Raises:
        PictureError: none of the examples can be read.
    """
    readable, faults = [], []
    for example in images.examples:
        paths = [path for path in (example.clean, example.damaged) if path]
        fault = next(filter(None, [_problem(path, problems) for path in paths]), "")
        if fault:
            faults.append(fault)
        else:
            readable.append(example)
    if not readable:
        raise PictureError(faults[0])
    kept = replace(images, examples=tuple(readable))
    return kept, tuple(f"skipped: {fault}" for fault in faults)


def _problem(path: Path, problems: dict[Path, str]) -> str:
    if path not in problems:
        try:
            read_picture(path)
            problems[path] = ""
        except PictureError as error:
            problems[path] = str(error)
    return problems[path]
