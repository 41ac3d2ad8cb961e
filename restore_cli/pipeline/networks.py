"""Which networks a picture is restored by, and how they run on one of any size and channels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from restore_cli import engine
from restore_cli.engine import Result, Settings
from restore_cli.errors import UsageError, WeightsError
from restore_cli.image import resize, to_gray, to_rgb
from restore_cli.models import catalog, checkpoint
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.tasks import Task, find_task
from restore_cli.tasks.restoration import NetworkInput, NetworkRun

MOST_WORK = 64  # times the work of the whole picture that tiles may cost


def load(
    model: str | None = None,
    task: str = "denoise",
    channels: int = 3,
    scale: float = 1,
    *,
    offline: bool = False,
    download: Callable[[int, int], None] | None = None,
) -> Checkpoint:
    """Load the network that `model`, a name or a path, stands for; by default the task's own.

    Args:
        channels, scale: of the pictures, and by which they are enlarged; a name may stand for
            several networks, of which one fits best.

    Raises:
        WeightsError: there is no such model, it cannot be fetched or read, or it does what the task
            does not.
        UsageError: it is for another task.
    """
    loaded = checkpoint.load(
        catalog.choose(model, task, channels, scale), offline=offline, progress=download
    )
    if loaded.task not in (task, ""):
        raise UsageError(
            f"{loaded.name} is for {loaded.task}, not for {task}; choose another --model."
        )
    scale = loaded.network.geometry.scale
    if scale > 1 and not find_task(task).enlarges:
        raise WeightsError(
            f"Cannot use {loaded.name} for {task}: its network enlarges {scale} times. Give"
            " another --model."
        )
    return loaded


@dataclass(frozen=True)
class Models:
    """Networks by their names; each is loaded once.

    Attributes:
        offline: never download.
        download: told bytes done and bytes in all, 0 if not known.
    """

    offline: bool = False
    download: Callable[[int, int], None] = lambda done, total: None
    loaded: dict[str, Checkpoint] = field(default_factory=dict)

    def find(self, model: str | None, task: str, channels: int, scale: float = 1) -> Checkpoint:
        """What `--model` means for such a picture, as `catalog.choose` has it."""
        chosen = catalog.choose(model, task, channels, scale)
        name = str(chosen) if isinstance(chosen, Path) else chosen.name
        if name not in self.loaded:
            self.loaded[name] = load(name, task, offline=self.offline, download=self.download)
        return self.loaded[name]


@dataclass(frozen=True)
class PictureNetworks:
    """The networks for one picture; see `tasks.Networks`.

    Attributes:
        chosen: what the user chose, or the task's default.
        models: where others come from.
        channels: of the picture.
        scale: by which it is enlarged.
        settings: how to run networks.
        on_progress: called with a share more of the picture, and how many megapixels of its result
            that is.
        megapixels: of the result.
    """

    chosen: Checkpoint
    models: Models
    channels: int
    scale: float
    settings: Settings
    on_progress: Callable[[float, float], None] = lambda share, megapixels: None
    megapixels: float = 0.0

    def find(self, name: str | None, task: str) -> Checkpoint:
        """A model for this picture by its name; None is the task's default."""
        return self.models.find(name, task, self.channels, self.scale)

    def run(self, task: Task, model: Checkpoint, fed: NetworkInput, progress: float) -> NetworkRun:
        """Run a network of one or three channels over a picture of either.

        Raises:
            UsageError: tiles are so small that what is around them would take nearly all the time.
        """
        _check_tile(model, fed, self.settings)

        def tell(share: float) -> None:
            if progress:
                self.on_progress(progress * share, progress * share * self.megapixels)

        return NetworkRun(model, fed, _run(model, task, fed, self.settings, tell))


def _check_tile(model: Checkpoint, fed: NetworkInput, settings: Settings) -> None:
    tile, halo = settings.tile or max(fed.pixels.shape), model.network.geometry.halo
    work = math.prod(max(1, min(tile + 2 * halo, side) / tile) for side in fed.pixels.shape[:2])
    if work > MOST_WORK:
        raise UsageError(
            f"Cannot cut tiles of {tile} pixels: {model.name} looks at {halo} around each, which"
            f" makes it {work:.0f} times slower. Give {halo} or more, or auto."
        )


def _run(
    model: Checkpoint,
    task: Task,
    fed: NetworkInput,
    settings: Settings,
    on_tile: Callable[[float], None],
) -> Result:
    """A color network takes a gray picture as three equal channels; a gray network a color picture
    channel by channel, or its luma.
    """
    network, channels = model.network, fed.pixels.shape[2]
    if channels == network.geometry.channels:
        return engine.run(network, fed.pixels, fed.conditions, settings, on_tile)
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
