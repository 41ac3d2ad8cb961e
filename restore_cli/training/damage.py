"""How training has its pictures damaged: all that it asks a task about damage, in one place."""

from __future__ import annotations

from typing import Any

import numpy as np

from restore_cli.degradations import Image, Random
from restore_cli.errors import UsageError
from restore_cli.levels import Levels, to_plain
from restore_cli.network import Geometry
from restore_cli.tasks import Feed, Task


def plain(levels: Levels) -> dict[str, Any]:
    """The levels as TOML and JSON hold them."""
    return {key: to_plain(level) for key, level in levels.items()}


def label(levels: Levels) -> str:
    """The levels as logs and charts name them, "sigma 25"."""
    return " ".join(f"{key} {value}" for key, value in plain(levels).items())


def draw(task: type[Task], levels: Levels, rng: Random) -> Task:
    """A task with each of its fields fixed, or drawn from a level."""
    return task.draw(plain(levels), rng)


def make_pair(
    task: Task, clean: Image, damaged: Image | None, rng: Random
) -> tuple[Task, Image, Image]:
    """A clean image and its damage: that of a real pair, else the task's.

    Args:
        clean, damaged: H x W x C in [0, 1]; the damaged one may be smaller.

    Returns:
        The task, with what it knows of the damage; the observed image; and the target.
    """
    return task.pair(clean, rng) if damaged is None else (task, damaged, clean)


def prepare(task: Task, observed: Image, levels: Levels, geometry: Geometry) -> Feed:
    """What a network that is trained for these levels gets for an observed image."""
    return task.prepare(observed, plain(levels), geometry)


def stack_input(task: Task, observed: Image, levels: Levels, geometry: Geometry) -> Image:
    """The network's whole input, H x W x (channels + conditions).

    Raises:
        UsageError: the network takes another number of conditions than the task gives.
    """
    feed = prepare(task, observed, levels, geometry)
    if len(feed.conditions) != geometry.conditions:
        raise UsageError(
            f"The network takes {geometry.conditions} conditions where {task.name} gives"
            f" {len(feed.conditions)}; set its parameter conditions."
        )
    size = feed.pixels.shape[:2]
    planes = [np.broadcast_to(np.float32(plane), size)[:, :, None] for plane in feed.conditions]
    return np.concatenate([feed.pixels, *planes], axis=2)
