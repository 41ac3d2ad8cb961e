"""Fills deep gaps of training patches from coarse to fine, as `Inpaint.run_network` does."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from restore_cli.network import Restorer
from restore_cli.tasks.missing import DEPTH


@torch.no_grad()
def fill_deep_gaps(network: Restorer, observed: Tensor) -> Tensor:
    """Fill gaps deeper than DEPTH by the network itself at half the size.

    Without this, a network would only know gaps that are filled smoothly, but get its own coarse
    result when it restores photos. Patches whose halves do not fit the network stay as they are.

    Args:
        network: the network, with the mask as its only condition.
        observed: N x (channels + 1) x h x w in [0, 1], missing pixels filled smoothly; the last
            plane is 1 where they are.

    Returns:
        The patches with filled gaps; the argument is not changed.
    """
    pixels, missing = observed[:, :-1], observed[:, -1:]
    around = functional.pad(missing, [DEPTH] * 4)  # pixels outside count as known
    eroded = -functional.max_pool2d(-around, 2 * DEPTH + 1, stride=1)
    deep = eroded.flatten(1).amax(1) > 0
    if not deep.any() or any(side % (2 * network.geometry.multiple) for side in observed.shape[2:]):
        return observed
    pixels, missing = pixels[deep], missing[deep]
    known = functional.avg_pool2d(1 - missing, 2)
    means = functional.avg_pool2d(pixels * (1 - missing), 2) / known.clamp(min=0.25)
    lost = known == 0
    smooth = functional.avg_pool2d(pixels, 2)
    half = torch.cat([torch.where(lost, smooth, means), lost.to(means.dtype)], dim=1)
    coarse = network(fill_deep_gaps(network, half))
    larger = functional.interpolate(coarse, scale_factor=2, mode="bicubic")
    filled = observed.clone()
    filled[deep, :-1] = torch.where(missing > 0, larger.to(pixels.dtype), pixels)
    return filled
