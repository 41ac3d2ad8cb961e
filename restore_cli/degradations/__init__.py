"""How clean pictures are damaged, for training and for benchmarks.

A degradation is a frozen dataclass whose fields are its levels; recipes and benchmarks call it by
the name of the task that takes it away.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from restore_cli.errors import UsageError
from restore_cli.image import Pixels, luma, round_to_bytes
from restore_cli.levels import Levels, draw, parse_level
from restore_cli.metrics import psnr
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
MEASURES = {"noise": "noise_level:AnyNoise"}  # what networks learn to measure, which is no command


@dataclass(frozen=True)
class Degradation(ABC):
    """A way in which clean pictures are damaged: a frozen dataclass whose fields are its levels.

    Attributes:
        protocol: how benchmarks damage a clean image.
        headline_metric: by which figure results are compared: "PSNR", over all channels, or "PSNR
            Y", on luma.
        levels: what a network is trained for when its recipe does not say; see `draw`.
        validation: the levels at which it is scored then.
    """

    protocol: ClassVar[str]
    headline_metric: ClassVar[Literal["PSNR", "PSNR Y"]] = "PSNR"
    levels: ClassVar[Levels]
    validation: ClassVar[tuple[Levels, ...]]

    @classmethod
    def draw(cls, levels: Mapping[str, Any], rng: Random) -> Self:
        """One with each level fixed, or drawn: a range uniformly, a choice one of its words."""
        return cls(**{key: draw(parse_level(level), rng) for key, level in levels.items()})

    @property
    def paired(self) -> bool:
        """Whether a set's real pairs have this damage."""
        return True

    @abstractmethod
    def task(self) -> Task:
        """What a user who knows the damage would ask for."""

    @abstractmethod
    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Damage a clean image, H x W x C in [0, 1]; the same random state gives the same image."""

    def pair(self, clean: Pixels, rng: Random) -> tuple[Task, Pixels, Pixels]:
        """A pair for training.

        Returns:
            The task, with what there is to say of the damage; what a network is given, by its
            `prepare`; and what it is to make of it, the clean image.
        """
        return self.task(), self.apply(clean, rng), clean

    def crop_to_scale(self, clean: Pixels) -> Pixels:
        """The part of a clean image that `apply` takes: all of it, unless it changes the size."""
        return clean

    def crop_border(self, image: Pixels) -> Pixels:
        """The part of a result that is scored: all of it, unless the border is left out."""
        return image

    def score(self, restored: Pixels, clean: Pixels) -> float:
        """PSNR in dB by the protocol; the restored image is rounded to 8 bits, its luma is not."""
        restored, clean = self.crop_border(round_to_bytes(restored)), self.crop_border(clean)
        if self.headline_metric == "PSNR Y" and clean.shape[2] == 3:
            restored, clean = luma(restored), luma(clean)
        return psnr(restored, clean)


def find_degradation(name: str) -> type[Degradation]:
    """The degradation that a task takes away, or a network learns to measure, by its name.

    Raises:
        UsageError: there is no such task.
    """
    known = DEGRADATIONS | MEASURES
    if name not in known:
        raise UsageError(f"There is no task {name!r}; choose {', '.join(TASKS)}.")
    file, _, cls = known[name].partition(":")
    found: type[Degradation] = getattr(importlib.import_module(f"{__name__}.{file}"), cls)
    return found
