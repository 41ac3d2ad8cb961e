"""What a training says of itself as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """A moment of a training.

    Attributes:
        step, done: steps so far, and what share of the training that is, 0 to 1.
        seconds: spent so far.
        objective, images_per_s, waiting: mean objective, speed, and the share of time spent waiting
            for data, since the moment before; `rate` is the learning rate.
        scores, inputs: where it validated, the mean PSNR in dB of restored and of damaged images at
            each level of the recipe's validation.
        saved: whether this was the best so far, and was written to `out`.
        notes: what the user should know.
        levels: the levels that the scores are of, in words; empty for real pairs.
    """

    step: int
    done: float
    seconds: float
    objective: float
    images_per_s: float
    rate: float = 0.0
    waiting: float = 0.0
    scores: tuple[float, ...] = ()
    inputs: tuple[float, ...] = ()
    saved: bool = False
    notes: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()

    def figures(self) -> dict[str, float | int]:
        """A row of the log."""
        figures: dict[str, float | int] = {
            "step": self.step,
            "seconds": self.seconds,
            "objective": self.objective,
            "rate": self.rate,
            "images/s": self.images_per_s,
            "waiting": self.waiting,
        }
        for kind, scores in (("PSNR", self.scores), ("input PSNR", self.inputs)):
            for level, score in zip(self.levels, scores, strict=False):
                figures[f"{kind} {level}".strip()] = score
        return figures


@dataclass(frozen=True)
class Beat:
    """Where a training stands between two moments: at a step, or at an image of a validation.

    Attributes:
        step, done: as of `Progress`.
        doing: "training", or "validating 5 of 12".
    """

    step: int
    done: float
    doing: str


Watch = Callable[[Beat], None]
