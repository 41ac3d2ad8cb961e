"""The kinds of damage. A task says once what the damage is, how a network is fed and what it gives back."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Random = np.random.Generator | np.random.RandomState

TASKS = {"denoise": "denoise:Denoise"}  # command -> file:class of this package


@dataclass(frozen=True)
class Feed:
    """What a network gets: the image, H x W x C in [0, 1], and its condition planes; what to tell the user.

    `noise` is the noise level on the 0..255 scale, where the task estimated it.
    """

    pixels: Image
    conditions: tuple[float | Image, ...] = ()
    options: Mapping[str, float | str] | None = None
    warnings: tuple[str, ...] = ()
    noise: float | None = None


def option(default: Any, help: str, metavar: str, parse: Callable[[str], Any]) -> Any:
    """A task's field, as the command line offers it.

    Args:
        default: None where the task finds out by itself, which the command line calls "auto".
        help: one sentence.
        metavar: what a value looks like, "FLOAT|auto".
        parse: makes the value of a word; raises UsageError for nonsense.
    """
    return field(default=default, metadata={"help": help, "metavar": metavar, "parse": parse})


@dataclass(frozen=True)
class Task(ABC):
    """A kind of damage. Subclasses are frozen dataclasses: docstring is the help, fields are the options."""

    name: ClassVar[str]
    suffix: ClassVar[str]  # of output files: photo.SUFFIX.jpg

    @classmethod
    def draw(cls, levels: Mapping[str, Any], rng: Random) -> Self:
        """A task with each option fixed, or drawn uniformly from [low, high]."""
        return cls(
            **{key: rng.uniform(*x) if isinstance(x, (list, tuple)) else x for key, x in levels.items()}
        )

    @abstractmethod
    def degrade(self, clean: Image, rng: Random) -> Image:
        """Damage a clean image, H x W x C in [0, 1]; used by training and measuring alike."""

    @abstractmethod
    def prepare(
        self, pixels: Image, trained: Mapping[str, Any], planes: int, visible: Mask | None = None
    ) -> Feed:
        """Turn a picture's pixels into a network's input.

        Args:
            pixels: H x W x C in [0, 1].
            trained: the levels the checkpoint was trained for, as in weights.toml.
            planes: how many condition planes the network takes.
            visible: H x W; where the picture is not fully transparent, None where it nowhere is.
        """

    def finish(self, restored: Image) -> Image:
        """Turn a network's output into pixels in [0, 1]."""
        return restored.clip(0, 1, out=restored)


def find_task(name: str) -> type[Task]:
    """The task's class by its command name."""
    file, _, cls = TASKS[name].partition(":")
    task: type[Task] = getattr(importlib.import_module(f"{__name__}.{file}"), cls)
    return task
