"""Missing pixels: under text, scratches and boxes, or in a hole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import numpy as np

from restore_cli.degradations import Degradation, Random, paint
from restore_cli.degradations.masks import draw_mask
from restore_cli.errors import UsageError
from restore_cli.image import Pixels
from restore_cli.levels import Choice, Levels, Range
from restore_cli.tasks import Task
from restore_cli.tasks.inpaint import Inpaint, Paint

Damage = Literal["text", "scratches", "boxes", "hole", "shifted"]
Style = Literal["plain", "photo"]
PAINTED: tuple[Paint, ...] = get_args(Paint)  # damages that can be detected
_DIFFERENT = 8 / 255  # from here on, a pixel of a real pair counts as missing


@dataclass(frozen=True)
class Missing(Degradation):
    """Pixels that are missing, or painted over.

    Attributes:
        damage: "text", "scratches", "boxes", "hole" or "shifted"; see `draw_mask`.
        size: height of the text in pixels, 6 to 64.
        share: share of missing pixels, 0 to 0.9; text covers less if its lines are full.
        blind: whether the damage is painted, in white, black or a random color, at unknown places.
            Otherwise missing pixels are known, and NaN in the result of `apply`. A network may be
            given whether the damage is "text" or "scratches".
        style: of painted damage: "plain", with hard edges and one color; or "photo", as on real
            photos, see `paint.paint`. Pairs for training are then files with and without the
            damage, see `paint.pair`.
        detect: "text" or "scratches" for a task that detects and fills them; None for one that
            does not.
    """

    protocol: ClassVar[str] = (
        "pixels lost as drawn by numpy's RandomState(0), restarted for each image"
    )
    levels: ClassVar[Levels] = {
        "damage": Choice(("text", "text", "scratches", "scratches", "boxes", "hole")),
        "size": Range(8, 32),
        "share": Range(0.02, 0.25),
    }
    validation: ClassVar[tuple[Levels, ...]] = (
        {"damage": "text", "size": 10},
        {"damage": "text", "size": 20},
        {"damage": "scratches", "share": 0.1},
        {"damage": "hole", "share": 0.25},
    )

    damage: Damage = "text"
    size: float = 16
    share: float = 0.15
    blind: bool = False
    style: Style = "plain"
    detect: Paint | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 6 <= self.size <= 64:
            raise UsageError(
                f"{self.size:g} is not a valid text size; expected pixels from 6 to 64."
            )
        if not 0 <= self.share <= 0.9:
            raise UsageError(
                f"{self.share:g} is not a valid share; expected a number from 0 to 0.9."
            )
        self.task()  # raises an error for damage that cannot be detected

    def describe(self) -> str:
        """Describe how benchmarks degrade a clean image with these levels."""
        kind = self.protocol.replace("lost", "painted over") if self.blind else self.protocol
        return f"{kind}, and its file of 8 bits or JPEG" if self._lifelike else kind

    def task(self) -> Inpaint:
        """Return the task, which detects the damage or is given it."""
        if self.detect:
            return Inpaint(detect=self.detect)
        return Inpaint(blind=self.damage if self.blind else None)

    def apply(self, clean: Pixels, rng: Random) -> Pixels:
        """Set missing pixels to NaN in all channels, or paint over them if the damage is blind."""
        height, width, channels = clean.shape
        if self._lifelike:
            return paint.paint(clean, self.damage, rng, size=self.size, share=self.share)
        cover = draw_mask(self.damage, height, width, rng, size=self.size, share=self.share)
        if not self.blind:
            return np.where(cover[..., None] > 0, np.float32(np.nan), clean)
        drawn = np.asarray(rng.uniform(0, 1, channels), np.float32)
        color = (np.zeros_like(drawn), np.ones_like(drawn), drawn)[rng.choice(3)]
        return clean + cover[..., None] * (color - clean)

    def pair(self, clean: Pixels, rng: Random) -> tuple[Task, Pixels, Pixels]:
        """Make a pair for training; in the style "photo" of files with and without the damage."""
        if not self._lifelike:
            return super().pair(clean, rng)
        return self.task(), *paint.pair(clean, self.damage, rng, size=self.size, share=self.share)

    def real_pair(self, clean: Pixels, observed: Pixels) -> tuple[Task, Pixels, Pixels]:
        """Make a pair for training from a real one; pixels are missing where both images differ.

        Damage that the network has to find stays in the image.
        """
        if not self.blind and not self.detect:
            differs = np.abs(observed - clean).max(axis=2, keepdims=True) > _DIFFERENT
            observed = np.where(differs, np.float32(np.nan), observed)
        return self.task(), observed, clean

    @property
    def _lifelike(self) -> bool:
        return self.blind and self.style == "photo" and self.damage in PAINTED
