"""The methods that are compared: the input itself, models, and baselines."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from restore_cli.bench.baselines import Baseline, baselines
from restore_cli.bench.request import Request
from restore_cli.degradations import Degradation
from restore_cli.engine import Settings
from restore_cli.errors import UsageError
from restore_cli.image import Picture, Pixels
from restore_cli.models import catalog
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.pipeline.apply import restore
from restore_cli.pipeline.networks import Models
from restore_cli.tasks import Task

_WARM_UP_SIDE = 64  # pixels a side of what a method runs on before the clock starts


class Method:
    """A method, here the one that leaves the damaged image as it is.

    Attributes:
        name: what its rows call it.
        cache_key: changes with whatever may change its results.
        description: library, version and settings, where it is a baseline.
        restores: whether it changes the image at all.
    """

    name = "input"
    cache_key = "input"
    description = ""
    restores = False

    def __init__(self) -> None:
        self._warm: tuple[Degradation, int] | None = None  # for which damage and channels

    def warm_up(self, observed: Pixels, damage: Degradation) -> None:
        """Load what such images take and run on a part of one, before the clock starts."""
        if self._warm != (damage, observed.shape[2]):
            small = observed[:_WARM_UP_SIDE, :_WARM_UP_SIDE]
            missing = np.isnan(small)
            alike = not missing.all() and missing.any() == np.isnan(observed).any()
            self.restore(small if alike else observed, damage)
            self._warm = damage, observed.shape[2]

    def restore(self, observed: Pixels, damage: Degradation) -> Pixels:
        """The result, H x W x C in [0, 1]."""
        return damage.task().unrestored(observed)

    def network(self, shape: tuple[int, ...], damage: Degradation) -> Checkpoint | None:
        """What restores an image of this shape, H x W x C, if it is a network."""

    def release(self) -> None:
        """Free the memory of models."""


class LibraryMethod(Method):
    """A baseline."""

    restores = True

    def __init__(self, baseline: Baseline) -> None:
        super().__init__()
        baseline.check()
        self.name, self.description = baseline.name, baseline.description
        self.cache_key = f"{baseline.name} {baseline.description}"
        self._baseline = baseline

    def restore(self, observed: Pixels, damage: Degradation) -> Pixels:
        """As the library does it."""
        return self._baseline.restore(observed, damage)


class ModelMethod(Method):
    """A model by its name, which may be that of several networks; each is loaded when it is first
    needed.
    """

    restores = True

    def __init__(self, name: str | None, task: str, settings: Settings, offline: bool) -> None:
        super().__init__()
        chosen = catalog.choose(name, task, 3)  # an unknown one is refused before any work
        self._asked, self._settings, self._models = name, settings, Models(offline)
        self.name = (name or "default") + (", ensemble" if settings.ensemble else "")
        file = hashlib.sha256(chosen.read_bytes()).hexdigest() if isinstance(chosen, Path) else ""
        self.cache_key = f"{name} {file} {settings}"

    def restore(self, observed: Pixels, damage: Degradation) -> Pixels:
        """As its command does, without reading and writing."""
        picture, task = Picture(observed), damage.task()
        task = task.look(picture) or task
        return restore(picture, task, self._network(observed.shape, task), self._settings).pixels

    def network(self, shape: tuple[int, ...], damage: Degradation) -> Checkpoint:
        """The network for such an image, loaded."""
        return self._network(shape, damage.task())

    def _network(self, shape: tuple[int, ...], task: Task) -> Checkpoint:
        height, width, channels = shape
        name = self._asked or task.model
        return self._models.find(name, task.name, channels, task.enlargement(height, width))

    def release(self) -> None:
        """Free the memory."""
        self._models.loaded.clear()


def find_methods(request: Request) -> list[Method]:
    """The input first, then models, then baselines.

    Raises:
        UsageError, WeightsError: one of them does not exist, or its library is not installed.
    """
    return [Method(), *_models(request), *_baselines(request)]


def _models(request: Request) -> Iterator[Method]:
    for name in request.models:
        yield ModelMethod(name, request.task, request.settings, request.offline)


def _baselines(request: Request) -> Iterator[Method]:
    known = baselines(request.task)
    for name in request.peers:
        if name not in known:
            names = ", ".join(known) or "none"
            raise UsageError(f"There is no peer {name!r} for {request.task}; there are: {names}.")
        yield LibraryMethod(known[name])
