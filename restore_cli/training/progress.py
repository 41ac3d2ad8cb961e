"""The progress reports of a training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from restore_cli.report.figures import PSNR, Figure


@dataclass(frozen=True)
class Progress:
    """A report that is made at regular intervals and at each validation.

    Attributes:
        step, done: steps so far, and the share of the training that is done, 0 to 1.
        seconds: time spent so far.
        objective, images_per_s, waiting: mean objective, patches per second, and the share of time
            spent on waiting for data, since the last report.
        rate: learning rate.
        scores, inputs: at a validation, the mean figure of the restored and of the degraded images
            at each validation level.
        figure: what the scores are.
        saved: whether this was the best validation so far, and was written to `out`.
        notes: messages for the user.
        levels: the validation levels as text; empty for real pairs.
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
    figure: Figure = PSNR
    saved: bool = False
    notes: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()

    def figures(self) -> dict[str, float | int]:
        """Return a row of the log."""
        figures: dict[str, float | int] = {
            "step": self.step,
            "seconds": self.seconds,
            "objective": self.objective,
            "rate": self.rate,
            "images/s": self.images_per_s,
            "waiting": self.waiting,
        }
        name = "PSNR" if self.figure.luma else self.figure.name
        for kind, scores in ((name, self.scores), (f"input {name}", self.inputs)):
            for level, score in zip(self.levels, scores, strict=False):
                figures[f"{kind} {level}".strip()] = score
        return figures


@dataclass(frozen=True)
class Beat:
    """A short report after each step and each validated image.

    Attributes:
        step, done: as in `Progress`.
        image, images: number of the validated image, and of all; 0 while training.
    """

    step: int
    done: float
    image: int = 0
    images: int = 0

    @property
    def doing(self) -> str:
        """ "training", or "validating 5 of 12"."""
        return f"validating {self.image} of {self.images}" if self.image else "training"


Watch = Callable[[Beat], None]
