"""Builds the network of a training before the first step."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from restore_cli.archs import build
from restore_cli.degradations import MEASURES
from restore_cli.errors import UsageError
from restore_cli.models import catalog, checkpoint
from restore_cli.network import Geometry, Restorer
from restore_cli.tasks import TASKS, find_task
from restore_cli.training.recipe import Recipe

_TRIAL_SIDE = 256  # of a patch on which a network is tried; a larger one shows nothing more


def make_network(recipe: Recipe) -> Restorer:
    """Build the recipe's network with its initial weights.

    Raises:
        UsageError: the patch or the initial checkpoint does not fit the network, or the network
            does not run.
        WeightsError: there is no such network or checkpoint.
    """
    torch.manual_seed(recipe.seed)
    network = build(recipe.arch, recipe.params)
    network.init_weights()
    _check_scale(recipe, network.geometry)
    _try(network, recipe)
    fills = recipe.task == "inpaint" and not recipe.levels.get("blind")
    if recipe.coarse and not (fills and network.geometry.conditions == 1):
        raise UsageError(
            "Cannot train with the key coarse: it is for networks that fill the gaps of a mask, the"
            " only condition. Leave it out."
        )
    if recipe.pretrain and network.geometry.scale > 1:
        raise UsageError(
            "Cannot pretrain a network that upscales as an autoencoder. Leave pretrain out."
        )
    if recipe.init:
        _load_init(network, recipe)
    return network


def trial_side(geometry: Geometry) -> int:
    """Return the side of a target patch on which a network is tried: 256 rounded up to its grid."""
    grid = geometry.multiple * geometry.scale
    return -(-_TRIAL_SIDE // grid) * grid


def _check_scale(recipe: Recipe, geometry: Geometry) -> None:
    if recipe.task in MEASURES and geometry.channels != 3:
        raise UsageError(
            f"Cannot train {recipe.arch} for {recipe.task}: it has {geometry.channels} channel. Use"
            " --param channels=3."
        )
    if geometry.scale > 1 and not (recipe.task in TASKS and find_task(recipe.task).enlarges):
        raise UsageError(
            f"Cannot train {recipe.arch} for {recipe.task}: it upscales {geometry.scale}x. Use"
            " another network or other parameters."
        )
    scale = recipe.levels.get("scale", 2)
    if geometry.scale > 1 and scale != geometry.scale:
        raise UsageError(
            f"Cannot train {recipe.arch} for scale {scale}: it upscales {geometry.scale}x. Use"
            f" --level scale={geometry.scale}, or other parameters."
        )
    grid = geometry.multiple * geometry.scale
    for patch in recipe.sides:
        if patch % grid:
            raise UsageError(
                f"Cannot train on patches of {patch} pixels: this network needs multiples of"
                f" {grid}. Use --patch {max(patch // grid, 1) * grid}."
            )


def _try(network: Restorer, recipe: Recipe) -> None:
    """Run the network on a small patch; raises UsageError if that fails."""
    geometry = network.geometry
    side = min(*recipe.sides, trial_side(geometry)) // geometry.scale
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, geometry.channels + geometry.conditions, side, side))
    except RuntimeError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise UsageError(
            f"Cannot run {recipe.arch} with {dict(recipe.params)}: {reason}."
        ) from error


def _load_init(network: Restorer, recipe: Recipe) -> None:
    """Load the weights of the recipe's `init`, except for layers of other shapes."""
    channels = network.geometry.channels
    if recipe.init.endswith(".safetensors") and not Path(recipe.init).exists():
        raise UsageError(
            f"Cannot start from {recipe.init}: the file does not exist. Use --set init=MODEL to"
            " start from another model, or --set init= to start from random weights."
        )
    named = catalog.entries().get(recipe.init)  # of any task
    level = recipe.levels.get("scale", 1)  # of networks that get an image of the result's size
    scale = network.geometry.scale if not isinstance(level, (int, float)) else float(level)
    loaded = checkpoint.load(named or catalog.choose(recipe.init, recipe.task, channels, scale))
    own, given = network.state_dict(), loaded.network.state_dict()
    if loaded.network.geometry.channels == channels:
        given = {
            key: _widen(value, own[key]) if key in own else value for key, value in given.items()
        }
    fitting = {
        key: value for key, value in given.items() if key in own and own[key].shape == value.shape
    }
    sizes = [sum(value.numel() for value in state.values()) for state in (fitting, own)]
    if own.keys() != given.keys() or sizes[0] < sizes[1] / 2:
        raise UsageError(
            f"Cannot start from {recipe.init}: it does not fit the recipe's {recipe.arch}."
        )
    network.load_state_dict(own | fitting)


def _widen(weight: Tensor, like: Tensor) -> Tensor:
    """Extend the weight of a layer to additional condition planes, which start without effect."""
    wider = weight.ndim == like.ndim == 4 and weight.shape[1] < like.shape[1]
    if not wider or weight[:, :1].shape != like[:, :1].shape:
        return weight
    return torch.cat([weight, torch.zeros_like(like[:, weight.shape[1] :])], dim=1)
