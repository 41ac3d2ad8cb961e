"""The network of a recipe that leaves it out, in whole or in part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from restore_cli.archs import build
from restore_cli.errors import UsageError, WeightsError
from restore_cli.levels import Levels
from restore_cli.models import catalog
from restore_cli.tasks import Task
from restore_cli.training.network_input import feed

_DEFAULT_NETWORK: tuple[str, Mapping[str, Any]] = (  # of a task that has no model yet
    "unet:UNet",
    {"channels": 3, "widths": [32, 64, 96, 128, 160], "unshuffle": 1},
)


def default_network(task: str, levels: Levels) -> tuple[str, Mapping[str, Any]]:
    """Architecture and parameters of the task's own model for color, of the scale that is trained
    for.
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
    """The parameters, with as many condition planes as the task gives, unless they state their
    number.

    Raises:
        WeightsError, UsageError: there is no such network, or none for pictures.
    """
    with torch.device("meta"):  # without memory
        geometry = build(arch, params).geometry
        if geometry.channels not in (1, 3):
            raise UsageError(f"The network has {geometry.channels} channels; give it 1 or 3.")
        blank = np.zeros((16, 16, geometry.channels), np.float32)
        given = len(feed(task, blank, levels, geometry).conditions)
        if "conditions" in params or given == geometry.conditions:
            return params
        try:
            build(arch, {**params, "conditions": given})
        except WeightsError:  # not for this network to choose
            return params
    return {**params, "conditions": given}
