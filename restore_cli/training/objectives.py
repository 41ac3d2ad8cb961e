"""What a training minimises."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss


def charbonnier(restored: Tensor, clean: Tensor, width: float = 1e-3) -> Tensor:
    """Mean of sqrt(error^2 + width^2): L1 that is smooth at zero (Lai et al., LapSRN, CVPR 2017)."""
    return ((restored - clean).square() + width**2).sqrt().mean()


OBJECTIVES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l1": l1_loss,
    "l2": mse_loss,
    "charbonnier": charbonnier,
}
