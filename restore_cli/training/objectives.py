"""The objectives that a training minimizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    interpolate,
    l1_loss,
    mse_loss,
)

from restore_cli.archs.infoaccum import PatchGAN
from restore_cli.errors import UsageError
from restore_cli.training.distributed import Group
from restore_cli.training.optimizer import Optimizer
from restore_cli.training.recipe import Objective, Recipe


def _charbonnier(restored: Tensor, clean: Tensor, width: float = 1e-3) -> Tensor:
    """Mean of sqrt(error^2 + width^2), an L1 that is smooth at zero.

    Lai et al., "Deep Laplacian Pyramid Networks for Fast and Accurate Super-Resolution", CVPR 2017.
    """
    return ((restored - clean).square() + width**2).sqrt().mean()


def _log_mse(restored: Tensor, clean: Tensor, floor: float = 2.5e-6) -> Tensor:
    """Mean over patches of the logarithm of their mean squared error: PSNR times a negative factor.

    A patch with little noise counts as much as one with a lot (Chen et al., "Simple Baselines for
    Image Restoration", ECCV 2022). The floor, 56 dB, prevents patches without noise from
    dominating.
    """
    return ((restored - clean).square().mean(dim=(1, 2, 3)) + floor).log().mean()


def _mean_error(restored: Tensor, clean: Tensor) -> Tensor:
    """L1 of the means of each patch and channel, for targets that are constant over a patch."""
    return l1_loss(restored.mean(dim=(2, 3)), clean.mean(dim=(2, 3)))


OBJECTIVES: dict[Objective, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1_loss,
    "l2": mse_loss,
    "charbonnier": _charbonnier,
    "psnr": _log_mse,
    "mean": _mean_error,
    "lsgan": l1_loss,  # the adversary's loss is added to it
    "gan": l1_loss,
}
_VERDICTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "lsgan": mse_loss,
    "gan": binary_cross_entropy_with_logits,
}


class Adversary:
    """A PatchGAN that learns to distinguish restored from clean patches, given the observed ones.

    Its objective is least squares (Mao et al., "Least Squares Generative Adversarial Networks",
    ICCV 2017) or, for "gan", the cross-entropy of Goodfellow et al., "Generative Adversarial Nets",
    2014, in the form of pix2pix: the network maximizes the probability that its patches pass for
    clean. Clean is 1 and restored is 0.

    Raises:
        UsageError: the patches are too small for the discriminator.
    """

    def __init__(self, channels: int, recipe: Recipe, group: Group) -> None:
        self.channels, self.group = channels, group
        if min(recipe.sides) < 2**recipe.discriminator:
            raise UsageError(
                f"Cannot use a discriminator of {recipe.discriminator} convolutions on patches of"
                f" {min(recipe.sides)} pixels: it needs {2**recipe.discriminator} or more. Increase"
                " patch, or lower discriminator."
            )
        self.verdict = _VERDICTS[recipe.objective]
        self.network = PatchGAN(2 * channels, recipe.discriminator).to(group.device)
        self.optimizer = Optimizer(
            self.network, replace(recipe, optimizer="adam", weight_decay=0.0)
        )

    def generator_loss(self, observed: Tensor, restored: Tensor) -> Tensor:
        """Return the loss of restored patches, N x C x H x W: 0 if they pass for clean ones."""
        self.network.requires_grad_(False)
        seen = self._discriminate(observed, restored)
        return self.verdict(seen, torch.ones_like(seen))

    def learn(self, observed: Tensor, restored: Tensor, clean: Tensor, rate: float) -> Tensor:
        """Train the discriminator for one step, and return its objective before the step."""
        self.network.requires_grad_(True)
        real, fake = self._discriminate(observed, clean), self._discriminate(observed, restored)
        loss = (
            self.verdict(real, torch.ones_like(real)) + self.verdict(fake, torch.zeros_like(fake))
        ) / 2
        loss.backward()  # type: ignore[no-untyped-call]
        self.group.average_gradients(self.network)
        self.optimizer.step(rate)
        return loss.detach()

    def _discriminate(self, observed: Tensor, candidate: Tensor) -> Tensor:
        seen = observed[:, : self.channels]
        if seen.shape[2:] != candidate.shape[2:]:  # the network upscales
            seen = interpolate(seen, candidate.shape[2:])
        verdict: Tensor = self.network(torch.cat([seen, candidate], dim=1))
        return verdict
