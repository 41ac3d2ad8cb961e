"""Estimates the cost of a training from one patch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from restore_cli.archs.layers import flop_counter
from restore_cli.degradations import find_degradation
from restore_cli.engine import autocast
from restore_cli.network import Geometry
from restore_cli.training.data import load_data
from restore_cli.training.distributed import Group
from restore_cli.training.objectives import Adversary
from restore_cli.training.patches import Patches
from restore_cli.training.recipe import Recipe
from restore_cli.training.request import Request
from restore_cli.training.start import make_network, trial_side


@dataclass(frozen=True)
class Plan:
    """The cost of a training.

    Attributes:
        parameters: number of trained parameters.
        flops: floating point operations of the forward pass on one patch, where a multiplication
            and an addition count as two. Large patches are extrapolated from a smaller one.
        memory: approximate bytes of weights, gradients, momenta, moving average and the activations
            of a batch.
        images, holdout: number of images for training and for validation.
        unreadable: one error for each file that is left out.
    """

    parameters: int
    flops: int
    memory: int
    images: int
    holdout: int
    unreadable: tuple[str, ...]


def plan(request: Request) -> Plan:
    """Estimate the cost of a training by one forward pass on the CPU.

    A small patch is used where the recipe's patches would take too long.

    Raises:
        UsageError, WeightsError: as `loop.train`.
    """
    recipe = request.recipe
    network = make_network(recipe)
    data = load_data(request.data, recipe, network.geometry.channels, request.validation)
    side = _side(recipe, network.geometry)
    times = (max(recipe.sides) / side) ** 2
    patches = Patches(data.training, dataclasses.replace(recipe, batch=1), network.geometry)
    patches.recipe = dataclasses.replace(patches.recipe, patch=side)
    observed = patches[0][0]
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    activations: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            activations[storage.data_ptr()] = storage.nbytes()
        return tensor

    counter = flop_counter()
    kept = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    cpu, trained = torch.device("cpu"), _count(network)
    with autocast(cpu, recipe.precision), counter, kept:
        restored = network.train()(observed)
    if recipe.adversarial:
        adversary = Adversary(network.geometry.channels, recipe, Group(0, 1, cpu))
        trained += _count(adversary.network)
        own |= {one.untyped_storage().data_ptr() for one in adversary.network.parameters()}
        with autocast(cpu, recipe.precision), kept:
            adversary.generator_loss(observed, restored)
    part = -(-recipe.batch // recipe.accumulate)
    return Plan(
        parameters=trained,
        flops=round(counter.get_total_flops() * times),
        # float32 weights, gradients, two momenta and the moving average
        memory=5 * 4 * trained + round(part * sum(activations.values()) * times),
        images=len(data.training),
        holdout=len(data.holdout),
        unreadable=data.unreadable,
    )


def _count(network: nn.Module) -> int:
    return sum(one.numel() for one in network.parameters() if one.requires_grad)


def _side(recipe: Recipe, geometry: Geometry) -> int:
    """Return the side of the patch to measure: the recipe's largest, or a smaller one that fits."""
    damage = find_degradation(recipe.task).draw(recipe.levels, np.random.default_rng(0))

    def fits(side: int) -> bool:
        return len(damage.crop_to_scale(np.broadcast_to(np.float32(0), (side, side, 1)))) == side

    largest = max(recipe.sides)
    sides = range(trial_side(geometry), largest, geometry.multiple * geometry.scale)
    return next((side for side in sides if fits(side) and fits(largest)), largest)
