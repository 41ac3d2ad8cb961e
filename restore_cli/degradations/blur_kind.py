"""Blur of any kind, for networks that learn to measure it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from restore_cli.blur import LARGEST, to_numbers
from restore_cli.degradations import Random
from restore_cli.degradations.blur import Blur
from restore_cli.errors import UsageError
from restore_cli.image import Pixels, to_rgb
from restore_cli.report.figures import Figure
from restore_cli.tasks import Task
from restore_cli.tasks.measuring import BlurKind


@dataclass(frozen=True)
class AnyBlur(Blur):
    """Blur of an unknown kind."""

    protocol: ClassVar[str] = "blur of a random kind"
    headline_metric: ClassVar[Figure] = Figure("error", "pixels", higher_is_better=True)

    def task(self) -> Task:
        """Return the task of measuring the blur."""
        return BlurKind()

    def real_pair(self, clean: Pixels, observed: Pixels) -> tuple[Task, Pixels, Pixels]:  # noqa: ARG002
        """Raise UsageError: the kernel of a real pair is unknown."""
        raise UsageError(
            "Cannot learn to measure blur from real pairs: their blur is unknown. Train without"
            " --pairs."
        )

    def pair(self, clean: Pixels, rng: Random) -> tuple[Task, Pixels, Pixels]:
        """Make a pair for training; its target is the blur by `to_numbers`, constant."""
        drawn = self.with_angle(rng)
        observed = to_rgb(drawn.apply(clean, rng))
        target = np.broadcast_to(to_numbers(drawn.blurring), observed.shape)
        return self.task(), observed, target.astype(np.float32)

    def score(self, restored: Pixels, clean: Pixels) -> float:
        """Return the negative error of the size in pixels, 0 at best."""
        error = restored.mean(axis=(0, 1)) - clean.mean(axis=(0, 1))
        return -LARGEST * float(np.linalg.norm(error))
