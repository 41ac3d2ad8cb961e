"""The values that pass between a task, the networks that it runs, and whoever asked for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore_cli.engine import Result
    from restore_cli.image import Mask, Picture, Pixels
    from restore_cli.levels import Levels
    from restore_cli.models.checkpoint import Checkpoint
    from restore_cli.network import Geometry


@dataclass(frozen=True)
class Trained:
    """What a network was trained for, as in weights.toml, and what it says of itself."""

    levels: Levels
    geometry: Geometry


@dataclass(frozen=True)
class TaskReport:
    """What a task has to say of a photo.

    Attributes:
        options: the task's, as used: an estimated sigma in place of "auto".
        warnings: sentences for the user.
        noise: the noise level on the 0..255 scale, where the task estimated it.
        strength: 0 to 1, how much of the network's change is for the better.
    """

    options: Mapping[str, float | str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    noise: float | None = None
    strength: float = 1.0


@dataclass(frozen=True)
class NetworkInput:
    """What a network is given.

    Attributes:
        pixels: the image, H x W x C in [0, 1].
        conditions: its condition planes, each a value or H x W.
        report: what the task has to say.
        missing: H x W, which pixels are only roughly known; None is none.
    """

    pixels: Pixels
    conditions: tuple[float | Pixels, ...] = ()
    report: TaskReport = field(default_factory=TaskReport)
    missing: Mask | None = None


@dataclass(frozen=True)
class NetworkRun:
    """A network that was run over a picture: what it was given, and what it gave."""

    model: Checkpoint
    input: NetworkInput
    result: Result

    def find_fault(self) -> str:
        """What is wrong with a result that is no picture, if anything is."""
        low, high = (float(edge) for edge in (self.result.pixels.min(), self.result.pixels.max()))
        bounds = self.model.network.bounds
        if not bounds or (low >= bounds[0] and high <= bounds[1]):
            return ""
        return f"{self.model.name} fails on it, with values from {low:.1f} to {high:.1f} for 0 to 1"


@dataclass(frozen=True)
class Restoration:
    """What is made of a picture, before `strength` and the mask are applied.

    Attributes:
        pixels: of the result, in [0, 1].
        unrestored: what was observed, at the result's size.
        observed: what was observed; what is missing is NaN.
        mask: H x W in [0, 1], where the change is made; None is everywhere.
        report: what the task has to say.
        runs: the networks that were run, those that find damage first; none where nothing can
            change.
        changed: whether any network made `pixels`, which are `unrestored` otherwise.
    """

    pixels: Pixels
    unrestored: Pixels
    observed: Pixels
    mask: Pixels | None
    report: TaskReport
    runs: tuple[NetworkRun, ...] = ()
    changed: bool = True


@dataclass(frozen=True)
class Finding:
    """What is known of a photo when it was restored.

    Attributes:
        picture: the photo.
        noise: its noise level on the 0..255 scale.
        trained: the levels that the model was trained for.
    """

    picture: Picture
    noise: float
    trained: Levels
