"""The tasks of the networks that measure photos; they have no commands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from restore_cli.tasks import Task

if TYPE_CHECKING:
    from restore_cli.image import Pixels
    from restore_cli.tasks.restoration import Observed


@dataclass(frozen=True)
class Measuring(Task):
    """Measure something in photos."""

    preserves_mean: ClassVar[bool] = False

    def finish(self, output: Pixels, observed: Observed) -> Pixels:
        """Return the network's output, the figures at each pixel, unchanged."""
        return output.reshape(*observed.size, -1)


@dataclass(frozen=True)
class NoiseLevel(Measuring):
    """Measure the noise of photos."""

    name: ClassVar[str] = "noise"
    suffix: ClassVar[str] = "noise"


@dataclass(frozen=True)
class BlurKind(Measuring):
    """Measure the blur of photos."""

    name: ClassVar[str] = "blur"
    suffix: ClassVar[str] = "blur"
