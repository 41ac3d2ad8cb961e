"""The network of a recipe that does not name it or leaves out some parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from restore_cli.archs import build
from restore_cli.errors import UsageError, WeightsError
from restore_cli.image import Picture
from restore_cli.levels import Levels
from restore_cli.models import catalog
from restore_cli.tasks import Task
from restore_cli.tasks.restoration import Trained

_DEFAULT_NETWORK: tuple[str, Mapping[str, Any]] = (  # for tasks without a default model
    "unet:UNet",
    {"channels": 3, "widths": [32, 64, 96, 128, 160], "unshuffle": 1},
)


def default_network(task: str, levels: Levels) -> tuple[str, Mapping[str, Any]]:
    """Return architecture and parameters of a task's default color model.

    Args:
        levels: their scale, if any, chooses the model.
    """
    scale = levels.get("scale", 1)
    try:
        found = catalog.choose(None, task, 3, scale if isinstance(scale, (int, float)) else 1)
    except UsageError:
        return _DEFAULT_NETWORK
    assert isinstance(found, catalog.Entry)
    return found.arch, found.params


def fit_conditions(
    task: Task, levels: Levels, arch: str, params: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the parameters with the number of condition planes that the task provides.

    Parameters that already contain `conditions` are returned as they are.

    Raises:
        WeightsError, UsageError: the network is unknown, or not for images of 1 or 3 channels.
    """
    with torch.device("meta"):  # allocates no memory
        geometry = build(arch, params).geometry
        if geometry.channels not in (1, 3):
            raise UsageError(
                f"Cannot train a network of {geometry.channels} channels; images have 1 or 3."
            )
    blank = np.zeros((16, 16, geometry.channels), np.float32)
    given = len(task.prepare(Picture(blank), Trained(levels, geometry)).conditions)
    if "conditions" in params or given == geometry.conditions:
        return params
    try:
        with torch.device("meta"):
            build(arch, {**params, "conditions": given})
    except WeightsError:  # the network has no such parameter
        return params
    return {**params, "conditions": given}
