"""Degradations of clean images, for training and benchmarks.

A degradation is a frozen dataclass; its fields are the levels. Recipes and benchmarks find it by
the name of the task that removes it.
"""

from __future__ import annotations

import dataclasses
import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

import numpy as np

from restore_cli.errors import UsageError
from restore_cli.image import Pixels, luma, round_to_bytes
from restore_cli.levels import Levels, Value, draw, parse_level
from restore_cli.metrics import psnr
from restore_cli.report.figures import PSNR, Figure
from restore_cli.tasks import TASKS, Task

Random = np.random.Generator | np.random.RandomState

DEGRADATIONS = {  # name of the task -> file:class of this package
    "denoise": "noise:Noise",
    "deblock": "jpeg:Jpeg",
    "derain": "rain:Rain",
    "inpaint": "missing:Missing",
    "sr": "downscale:Downscale",
    "dehaze": "haze:Haze",
    "deblur": "blur:Blur",
}
MEASURES = {  # degradations for networks that measure them
    "noise": "noise_level:AnyNoise",
    "blur": "blur_kind:AnyBlur",
}


@dataclass(frozen=True)
class Degradation(ABC):
    """A way to degrade clean images: a frozen dataclass with its levels as fields.

    Attributes:
        protocol: how benchmarks degrade a clean image, in words; see `describe`.
        headline_metric: the figure by which results are compared: PSNR over all channels, or on
            luma; of networks that measure, an error below 0.
        levels: the training levels of a recipe that does not set them; see `draw`.
        validation: the validation levels of such a recipe.
        grid: the pixels at whose multiples patches of real pairs start.
    """

    protocol: ClassVar[str]
    headline_metric: ClassVar[Figure] = PSNR
    levels: ClassVar[Levels]
    validation: ClassVar[tuple[Levels, ...]]
    grid: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the words of choices; raises UsageError."""
        for name, words in _choices(type(self)).items():
            if getattr(self, name) not in words:
                raise UsageError(
                    f"{getattr(self, name)!r} is not a valid {name}; expected {', '.join(words)}."
                )

    @classmethod
    def draw(cls, levels: Mapping[str, Any], rng: Random) -> Self:
        """Draw a degradation: a range uniformly, one word of a choice, other levels as they are."""
        return cls.make({key: draw(parse_level(level), rng) for key, level in levels.items()})

    @classmethod
    def make(cls, levels: Mapping[str, Value]) -> Self:
        """Make a degradation; raises UsageError if a value is not valid, TypeError if unknown."""
        for item in dataclasses.fields(cls):
            value = levels.get(item.name, item.default)
            if isinstance(item.default, bool) and not isinstance(value, bool):
                raise UsageError(f"{value!r} is not a valid {item.name}; expected true or false.")
        return cls(**levels)

    def describe(self) -> str:
        """Describe how benchmarks degrade a clean image with these levels."""
        return self.protocol

    @property
    def paired(self) -> bool:
        """Whether the real pairs of a dataset have this degradation."""
        return True

    @abstractmethod
    def task(self) -> Task:
        """Return the task with the options of a user who knows the degradation."""

    @abstractmethod
    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Degrade a clean image, H x W x C in [0, 1]; equal random states give equal images."""

    def pair(self, clean: Pixels, rng: Random) -> tuple[Task, Pixels, Pixels]:
        """Make a pair for training.

        Returns:
            The task, with what is known of the degradation; the observed image, to which the task's
            `prepare` is applied; and the target, which is the clean image.
        """
        return self.task(), self.apply(clean, rng), clean

    def real_pair(self, clean: Pixels, observed: Pixels) -> tuple[Task, Pixels, Pixels]:
        """Make the same as `pair` from a real pair, with what both images show of the degradation.

        Raises:
            UsageError: the degradation cannot be learned from real pairs.
        """
        return self.task(), observed, clean

    def crop_to_scale(self, clean: Pixels) -> Pixels:
        """Crop a clean image to the part that `apply` uses: all of it, unless the size changes."""
        return clean

    def crop_border(self, image: Pixels) -> Pixels:
        """Crop a result to the part that is scored: all of it, unless the border is left out."""
        return image

    def score(self, restored: Pixels, clean: Pixels) -> float:
        """Return the PSNR in dB by the protocol, of the restored image rounded to 8 bits."""
        restored, clean = self.crop_border(round_to_bytes(restored)), self.crop_border(clean)
        if self.headline_metric.luma and clean.shape[2] == 3:
            restored, clean = luma(restored), luma(clean)
        return psnr(restored, clean)


@cache
def _choices(degradation: type[Degradation]) -> dict[str, tuple[str, ...]]:
    """The words that each field accepts whose type is a Literal, or a union of these."""
    found = {}
    for name, hint in get_type_hints(degradation).items():
        parts = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        if all(get_origin(part) is Literal for part in parts):
            found[name] = tuple(word for part in parts for word in get_args(part))
    return found


def find_degradation(name: str) -> type[Degradation]:
    """Find the degradation that a task removes, or that a network learns to measure.

    Raises:
        UsageError: there is no such task.
    """
    known = DEGRADATIONS | MEASURES
    if name not in known:
        raise UsageError(f"Unknown task {name!r}; choose {', '.join(TASKS)}.")
    file, _, cls = known[name].partition(":")
    found: type[Degradation] = getattr(importlib.import_module(f"{__name__}.{file}"), cls)
    return found
