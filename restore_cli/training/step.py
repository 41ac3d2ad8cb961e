"""One step of a training."""

from __future__ import annotations

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from restore_cli.engine import autocast
from restore_cli.training.gaps import fill_deep_gaps
from restore_cli.training.objectives import OBJECTIVES
from restore_cli.training.recipe import Recipe
from restore_cli.training.state import State


def learn(
    state: State, forward: nn.Module, recipe: Recipe, observed: Tensor, clean: Tensor, rate: float
) -> Tensor:
    """Train for one step on a batch, which is computed in `recipe.accumulate` parts.

    Args:
        state: everything that changes.
        forward: the state's network, possibly compiled or distributed.
        recipe: the recipe of the training.
        observed: N x (channels + conditions) x h x w.
        clean: N x channels x H x W.
        rate: the learning rate.

    Returns:
        The objective before the step, a scalar.
    """
    if recipe.coarse and torch.rand(()) < recipe.coarse:
        with autocast(clean.device, recipe.precision):
            observed = fill_deep_gaps(state.network, observed)
    if state.adversary and recipe.rests(state.moment.step):
        with torch.no_grad(), autocast(clean.device, recipe.precision):
            result = forward(observed)
        return state.adversary.learn(observed, result.float(), clean, rate)
    # An autoencoder's pairs would teach the discriminator that real images equal their input.
    adversary = state.adversary if state.moment.step >= recipe.pretrain else None
    total = torch.zeros((), device=clean.device)
    restored: list[Tensor] = []
    parts = observed.chunk(recipe.accumulate), clean.chunk(recipe.accumulate)
    chunks = list(zip(*parts, strict=True))
    for index, (seen, wanted) in enumerate(chunks):
        waits = isinstance(forward, DistributedDataParallel) and index + 1 < len(chunks)
        with forward.no_sync() if waits else nullcontext():  # type: ignore[operator]
            with autocast(clean.device, recipe.precision):
                result = forward(seen)
            result = result.float()
            loss = OBJECTIVES[recipe.objective](result, wanted)
            if adversary:
                loss = recipe.pixel_weight * loss + adversary.generator_loss(seen, result)
            if recipe.transition:
                loss = loss + recipe.transition * state.network.penalty()
            loss = loss * len(wanted) / len(clean)
            loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
        restored.append(result.detach())
    nn.utils.clip_grad_norm_(state.network.parameters(), recipe.clip)
    state.optimizer.step(rate)
    if adversary:
        adversary.learn(observed, torch.cat(restored), clean, rate)
    return total
