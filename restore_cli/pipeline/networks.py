"""Finds the networks for a picture, and runs them on any size and number of channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from restore_cli import engine
from restore_cli.engine import Result, Settings
from restore_cli.errors import RestoreError, UsageError, WeightsError
from restore_cli.image import resize, to_gray, to_rgb
from restore_cli.models import catalog, checkpoint
from restore_cli.models.catalog import Entry
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.tasks import Task, find_task
from restore_cli.tasks.restoration import NetworkInput, NetworkRun

MOST_WORK = 64  # how many times slower tiles may be than the entire picture at once


def load(
    model: str | None = None,
    task: str = "denoise",
    channels: int = 3,
    scale: float = 1,
    *,
    offline: bool = False,
    download: Callable[[int, int], None] | None = None,
) -> Checkpoint:
    """Load a model by its name or path; by default the task's own.

    Args:
        model: name or path; a short name selects the variant that fits best.
        task: name of the task.
        channels: 1 or 3, of the pictures.
        scale: by which pictures are upscaled.
        offline: whether downloads are forbidden.
        download: called with the bytes done and the total bytes of a download, 0 if unknown.

    Raises:
        WeightsError: the model is unknown, cannot be downloaded or read, or upscales for a task
            that does not.
        UsageError: the model is for another task.
    """
    loaded = checkpoint.load(
        catalog.choose(model, task, channels, scale), offline=offline, progress=download
    )
    check_task(loaded, task)
    return loaded


def check_task(model: Checkpoint, task: str) -> None:
    """Raise UsageError or WeightsError if a model cannot be used for a task."""
    if model.task not in (task, ""):
        raise UsageError(
            f"Cannot use {model.name} for {task}: it is for {model.task}. Use another --model."
        )
    scale = model.network.geometry.scale
    if scale > 1 and not find_task(task).enlarges:
        raise WeightsError(
            f"Cannot use {model.name} for {task}: its network upscales {scale} times."
            " Use another --model."
        )


@dataclass(frozen=True)
class Models:
    """Models by name; each is loaded once.

    Attributes:
        offline: whether downloads are forbidden.
        download: called with a model, the bytes done and the total bytes, 0 if unknown.
        loaded: models that are loaded, by name.
    """

    offline: bool = False
    download: Callable[[Entry, int, int], None] = lambda entry, done, total: None
    loaded: dict[str, Checkpoint] = field(default_factory=dict)

    def find(self, model: str | None, task: str, channels: int, scale: float = 1) -> Checkpoint:
        """Load the model that `--model` means for such a picture, see `catalog.choose`."""
        chosen = catalog.choose(model, task, channels, scale)
        name = str(chosen) if isinstance(chosen, Path) else chosen.name
        if name not in self.loaded:
            report = partial(self.download, chosen) if isinstance(chosen, Entry) else None
            self.loaded[name] = load(name, task, offline=self.offline, download=report)
        return self.loaded[name]


@dataclass(frozen=True)
class PictureNetworks:
    """The networks for one picture; see `tasks.Networks`.

    Attributes:
        chosen: the model that the user chose, or the task's default.
        models: finds other models.
        channels: 1 or 3, of the picture.
        scale: by which the picture is upscaled.
        settings: how to run networks.
        on_progress: called with each further share of the work, 0 to 1.
        overwrite: whether a network may write its result over the picture's pixels.
    """

    chosen: Checkpoint
    models: Models
    channels: int
    scale: float
    settings: Settings
    on_progress: Callable[[float], None] = lambda share: None
    overwrite: bool = False

    def find(self, name: str | None, task: str) -> Checkpoint:
        """Find a model for this picture by its name; None is the task's default."""
        return self.models.find(name, task, self.channels, self.scale)

    def run(self, task: Task, model: Checkpoint, fed: NetworkInput, progress: float) -> NetworkRun:
        """Run a network with one or three channels on a picture with either.

        Raises:
            RestoreError: tiles are so small that their halos would take nearly all the time.
        """
        _check_tile(model, fed, self.settings)

        def report(share: float) -> None:
            if progress:
                self.on_progress(progress * share)

        # The picture is needed to blend it, or to restore it with another model.
        replaced = fed.report.strength == 1 and not model.network.bounds
        overwrite = self.overwrite and replaced
        settings = replace(self.settings, turns=task.turns)
        if model.has_one_view:
            settings = replace(settings, ensemble=False)
        return NetworkRun(model, fed, _run(model, task, fed, settings, report, overwrite))


def _check_tile(model: Checkpoint, fed: NetworkInput, settings: Settings) -> None:
    tile, halo = settings.tile or max(fed.pixels.shape), model.network.geometry.halo
    work = math.prod(max(1, min(tile + 2 * halo, side) / tile) for side in fed.pixels.shape[:2])
    if work > MOST_WORK:
        raise RestoreError(
            f"Cannot use tiles of {tile} pixels: {model.name} needs {halo} pixels around each one,"
            f" which makes it {work:.0f} times slower. Give {halo} or more, or auto."
        )


def _run(
    model: Checkpoint,
    task: Task,
    fed: NetworkInput,
    settings: Settings,
    on_tile: Callable[[float], None],
    overwrite: bool,
) -> Result:
    """Run a network on a picture whose number of channels may differ.

    A color network gets a gray picture as three equal channels; a gray network gets a color picture
    channel by channel, or only its luma.
    """
    network, channels = model.network, fed.pixels.shape[2]
    if channels == network.geometry.channels:
        return engine.run(network, fed.pixels, fed.conditions, settings, on_tile, overwrite)
    if channels == 1:
        result = engine.run(network, to_rgb(fed.pixels), fed.conditions, settings, on_tile)
        return replace(result, pixels=to_gray(result.pixels))
    if task.gray_via_luma:
        gray = to_gray(fed.pixels)
        result = engine.run(network, gray, fed.conditions, settings, on_tile)
        colors = fed.pixels - gray
        if network.geometry.scale > 1:
            colors = resize(colors, *result.pixels.shape[:2])
        return replace(result, pixels=result.pixels + colors)
    output = np.empty_like(fed.pixels)
    for channel in range(channels):
        plane = np.ascontiguousarray(fed.pixels[..., channel : channel + 1])
        result = engine.run(
            network, plane, fed.conditions, settings, lambda share: on_tile(share / channels)
        )
        output[..., channel] = result.pixels[..., 0]
    return replace(result, pixels=output)
