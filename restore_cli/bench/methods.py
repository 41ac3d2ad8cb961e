"""The methods to compare: the input itself, models and baselines."""

from __future__ import annotations

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
from restore_cli.storage import sha256_of

_WARM_UP_SIDE = 64  # of the crop that a method runs on before it is timed, in pixels


class Method:
    """A method to compare. This base class returns the degraded image unchanged.

    Attributes:
        name: the name in the table.
        cache_key: depends on everything that can change the results.
        description: library, version and settings of a baseline; empty otherwise.
        restores: whether the method changes the image at all.
        needs: what the method must know of a degradation, "kernel"; empty for most.
        used: the name of the network that restored the last image; empty if it is not a model.
    """

    name = "input"
    cache_key = "input"
    description = ""
    restores = False
    needs = ""
    used = ""

    def __init__(self) -> None:
        self._warm: tuple[Degradation, int] | None = None  # degradation and channels

    def warm_up(self, observed: Pixels, damage: Degradation) -> None:
        """Load what is needed for such an image, and run on a crop of it, before timing."""
        if self._warm != (damage, observed.shape[2]):
            small = observed[:_WARM_UP_SIDE, :_WARM_UP_SIDE]
            missing = np.isnan(small)
            alike = not missing.all() and missing.any() == np.isnan(observed).any()
            self.restore(small if alike else observed, damage)
            self._warm = damage, observed.shape[2]

    def restore(self, observed: Pixels, damage: Degradation) -> Pixels:
        """Restore an image; the result is H x W x C in [0, 1]."""
        return damage.task().unrestored(observed)

    def network(self, name: str) -> Checkpoint:
        """Load a network by the name in `used`."""
        raise NotImplementedError

    def release(self) -> None:
        """Free the memory of loaded models."""


class LibraryMethod(Method):
    """A baseline, run by its library."""

    restores = True

    def __init__(self, baseline: Baseline) -> None:
        super().__init__()
        baseline.check()
        self.name, self.description = baseline.name, baseline.description
        self.needs = baseline.needs
        self.cache_key = f"{baseline.name} {baseline.description}"
        self._baseline = baseline

    def restore(self, observed: Pixels, damage: Degradation) -> Pixels:
        """Restore an image with the library."""
        return self._baseline.restore(observed, damage)


class ModelMethod(Method):
    """A model by name; a short name can select several networks, each loaded on first use."""

    restores = True

    def __init__(self, name: str | None, task: str, settings: Settings, offline: bool) -> None:
        super().__init__()
        chosen = catalog.choose(name, task, 3)  # fails early if the name is unknown
        self._model, self._task, self._settings = name, task, settings
        self._models, self._is_file = Models(offline), isinstance(chosen, Path)
        self.name = (name or catalog.DEFAULT) + (", ensemble" if settings.ensemble else "")
        file = sha256_of(chosen) if isinstance(chosen, Path) else ""
        self.cache_key = f"{name} {file} {settings}"

    def restore(self, observed: Pixels, damage: Degradation) -> Pixels:
        """Restore an image as the command of the task does, in memory."""
        picture, task = Picture(observed), damage.task()
        task = task.look(picture)
        height, width, channels = observed.shape
        name, scale = self._model or task.model, task.enlargement(height, width)
        network = self._models.find(name, task.name, channels, scale)
        self.used = network.name
        return restore(picture, task, network, self._settings).pixels

    def network(self, name: str) -> Checkpoint:
        """The network of this name; that of a file may be listed, too."""
        return self._models.find(self._model if self._is_file else name, self._task, 3)

    def release(self) -> None:
        """Free the memory of the loaded networks."""
        self._models.loaded.clear()


def find_methods(request: Request) -> list[Method]:
    """The methods of a request: the input, then the models, then the baselines.

    Raises:
        UsageError: a baseline is unknown, or its library is not installed.
        WeightsError: a model is unknown.
    """
    return [Method(), *_models(request), *_baselines(request)]


def _models(request: Request) -> Iterator[Method]:
    for name in request.models:
        yield ModelMethod(name, request.task, request.settings, request.offline)


def _baselines(request: Request) -> Iterator[Method]:
    known = baselines(request.task)
    for name in request.baselines:
        if name not in known:
            names = ", ".join(known) or "none"
            raise UsageError(f"Unknown baseline {name!r} for {request.task}; available: {names}.")
        yield LibraryMethod(known[name])
