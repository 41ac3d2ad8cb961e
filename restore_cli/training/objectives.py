"""What a training minimizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss

from restore_cli.archs.infoaccum import PatchGAN
from restore_cli.errors import UsageError
from restore_cli.training.distributed import Group
from restore_cli.training.optimizer import Optimizer
from restore_cli.training.recipe import Objective, Recipe


def _charbonnier(restored: Tensor, clean: Tensor, width: float = 1e-3) -> Tensor:
    """Mean of sqrt(error^2 + width^2): L1 that is smooth at zero (Lai et al., LapSRN, CVPR
    2017).
    """
    return ((restored - clean).square() + width**2).sqrt().mean()


def _log_mse(restored: Tensor, clean: Tensor, floor: float = 2.5e-6) -> Tensor:
    """Mean over N patches of the logarithm of their mean squared error: PSNR, but for a negative
    factor.

    A patch with little noise counts as much as one with a lot (Chen et al., "Simple Baselines for
    Image Restoration", ECCV 2022). The floor, 56 dB, keeps patches without any from counting for
    all.
    """
    return ((restored - clean).square().mean(dim=(1, 2, 3)) + floor).log().mean()


def _mean_error(restored: Tensor, clean: Tensor) -> Tensor:
    """L1 of the means of each patch and channel, where the target is one figure for a whole
    patch.
    """
    return l1_loss(restored.mean(dim=(2, 3)), clean.mean(dim=(2, 3)))


OBJECTIVES: dict[Objective, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1_loss,
    "l2": mse_loss,
    "charbonnier": _charbonnier,
    "psnr": _log_mse,
    "mean": _mean_error,
    "lsgan": l1_loss,  # to which the adversary's loss is added
    "gan": l1_loss,
}
_VERDICTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "lsgan": mse_loss,
    "gan": binary_cross_entropy_with_logits,
}


class Adversary:
    """A PatchGAN that learns to tell restored from clean patches, given the observed ones.

    Its objective is that of least squares (Mao et al., "Least Squares Generative Adversarial
    Networks", ICCV 2017), or, with "gan", the cross-entropy of Goodfellow et al., "Generative
    Adversarial Nets", 2014, as pix2pix has it: the network maximizes the chance of passing. Real is
    1 and restored is 0.

    Raises:
        UsageError: patches are too small for it.
    """

    def __init__(self, channels: int, recipe: Recipe, group: Group) -> None:
        self.channels, self.group = channels, group
        if min(recipe.sides) < 2**recipe.discriminator:
            raise UsageError(
                f"Cannot judge patches of {min(recipe.sides)} pixels by a discriminator of"
                f" {recipe.discriminator} convolutions: it takes {2**recipe.discriminator} or"
                " more. Give a"
                " larger patch, or a lower discriminator."
            )
        self.verdict = _VERDICTS[recipe.objective]
        self.network = PatchGAN(2 * channels, recipe.discriminator).to(group.device)
        self.optimizer = Optimizer(
            self.network, replace(recipe, optimizer="adam", weight_decay=0.0)
        )

    def generator_loss(self, observed: Tensor, restored: Tensor) -> Tensor:
        """How far restored patches, N x C x H x W, are from passing for clean ones: 0 if they
        do.
        """
        self.network.requires_grad_(False)
        seen = self._discriminate(observed, restored)
        return self.verdict(seen, torch.ones_like(seen))

    def learn(self, observed: Tensor, restored: Tensor, clean: Tensor, rate: float) -> Tensor:
        """One step at telling both apart; the objective before it."""
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
        verdict: Tensor = self.network(torch.cat([observed[:, : self.channels], candidate], dim=1))
        return verdict
