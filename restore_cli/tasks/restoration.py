"""The values that pass between a task, its networks and the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restore_cli.engine import Result
    from restore_cli.image import Mask, Picture, Pixels
    from restore_cli.levels import Levels
    from restore_cli.models.checkpoint import Checkpoint
    from restore_cli.network import Geometry


@dataclass(frozen=True)
class Trained:
    """The levels that a network was trained for, as in weights.toml, and its geometry."""

    levels: Levels
    geometry: Geometry


@dataclass(frozen=True)
class Observed:
    """The observed pixels, and what a result has to share with them.

    Attributes:
        pixels: H x W x C; a network that was run on this array may have overwritten it.
        gray: whether all channels were equal.
        mean: of each channel, in [0, 1].
    """

    pixels: Pixels
    gray: bool
    mean: tuple[float, ...]

    @classmethod
    def of(cls, pixels: Pixels) -> Observed:
        """Examine H x W x C, before a network is run."""
        import cv2

        from restore_cli.image import is_gray

        return cls(pixels, is_gray(pixels), tuple(cv2.mean(pixels)[: pixels.shape[2]]))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.pixels.shape[:2]
        return height, width


@dataclass(frozen=True)
class TaskReport:
    """What a task reports about a photo.

    Attributes:
        options: the task's options as used, such as an estimated sigma instead of "auto".
        warnings: sentences for the user.
        strength: 0 to 1, how much of the network's change to apply.
    """

    options: Mapping[str, float | str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    strength: float = 1.0


@dataclass(frozen=True)
class NetworkInput:
    """The input of a network.

    Attributes:
        pixels: the image, H x W x C in [0, 1].
        conditions: the condition planes, each a value or H x W.
        report: the task's report.
        missing: H x W, True where pixels are missing and only roughly filled; None if none are.
    """

    pixels: Pixels
    conditions: tuple[float | Pixels, ...] = ()
    report: TaskReport = field(default_factory=TaskReport)
    missing: Mask | None = None


@dataclass(frozen=True)
class NetworkRun:
    """A run of a network on a picture: its input and its result."""

    model: Checkpoint
    input: NetworkInput
    result: Result

    def find_problem(self) -> str:
        """Describe why the result is unusable; empty if it is fine."""
        bounds = self.model.network.bounds
        if not bounds:
            return ""
        low, high = (float(edge) for edge in (self.result.pixels.min(), self.result.pixels.max()))
        if low >= bounds[0] and high <= bounds[1]:
            return ""
        return f"{self.model.name} failed: its output is {low:.1f} to {high:.1f}, not 0 to 1"


@dataclass(frozen=True)
class Restoration:
    """The result of a task, before `strength` and the mask are applied.

    Attributes:
        pixels: the restored pixels, in [0, 1].
        unrestored: the observed pixels at the result's size, unless they were overwritten.
        observed: the observed pixels, unless they were overwritten; missing ones are NaN.
        mask: H x W in [0, 1], 1 where the picture is changed; None means everywhere.
        report: the task's report.
        runs: the networks that were run, those that detect damage first; empty if nothing changes.
        changed: whether a network made `pixels`; otherwise they are `unrestored`.
    """

    pixels: Pixels
    unrestored: Pixels
    observed: Pixels
    mask: Pixels | None
    report: TaskReport
    runs: tuple[NetworkRun, ...] = ()
    changed: bool = True

    def warn(self, sentence: str) -> Restoration:
        """Return the result with one more warning."""
        warnings = (*self.report.warnings, sentence)
        return replace(self, report=replace(self.report, warnings=warnings))


@dataclass(frozen=True)
class Finding:
    """What is known about a photo before it is restored.

    Attributes:
        picture: the photo.
        trained: the levels that the model was trained for.
        measured: its noise level on the 0..255 scale, if the task measured it.
    """

    picture: Picture
    trained: Levels
    measured: float | None = None

    @cached_property
    def noise(self) -> float:
        """The photo's noise level on the 0..255 scale, measured when it is first needed."""
        from restore_cli.noise import measure_noise

        if self.measured is not None:
            return self.measured
        return measure_noise(self.picture.opaque_pixels(), self.picture.visible).level
