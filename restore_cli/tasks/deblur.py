"""Blur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from restore_cli.tasks import Task
from restore_cli.tasks.restoration import NetworkInput, TaskReport, Trained

if TYPE_CHECKING:
    from restore_cli.blur import Blurring
    from restore_cli.image import Picture


@dataclass(frozen=True)
class Deblur(Task):
    """Sharpen blurred photos.

    Attributes:
        found: the blur, if it is known; otherwise it is measured.
    """

    name: ClassVar[str] = "deblur"
    suffix: ClassVar[str] = "deblurred"
    skips_frames: ClassVar[bool] = True
    maps: ClassVar[int] = 6

    found: Blurring | None = None

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput | None:
        """Add the photo with its blur inverted, in six planes, unless the network needs none."""
        if not trained.geometry.conditions:
            return None
        from restore_cli.blur import deconvolve, measure_blur

        found = self.found or measure_blur(picture.pixels, picture.visible)
        report = TaskReport({"blur": str(found)})
        return NetworkInput(picture.pixels, deconvolve(picture.pixels, found), report)
