"""The input of a network in training."""

from __future__ import annotations

import numpy as np

from restore_cli.errors import UsageError
from restore_cli.image import Picture, Pixels
from restore_cli.levels import Levels
from restore_cli.network import Geometry
from restore_cli.tasks import Task
from restore_cli.tasks.restoration import Trained


def stack_input(task: Task, observed: Pixels, levels: Levels, geometry: Geometry) -> Pixels:
    """Return the network's complete input, H x W x (channels + conditions).

    Raises:
        UsageError: the network needs another number of conditions than the task provides.
    """
    fed = task.prepare(Picture(observed), Trained(levels, geometry))
    if len(fed.conditions) != geometry.conditions:
        raise UsageError(
            f"The network needs {geometry.conditions} conditions, but {task.name} provides"
            f" {len(fed.conditions)}. Change its parameter conditions."
        )
    size = fed.pixels.shape[:2]
    planes = [np.broadcast_to(np.float32(plane), size)[:, :, None] for plane in fed.conditions]
    return np.concatenate([fed.pixels, *planes], axis=2)
