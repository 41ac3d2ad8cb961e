"""Rain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from restore_cli.tasks import Task


@dataclass(frozen=True)
class Derain(Task):
    """Remove rain from photos."""

    name: ClassVar[str] = "derain"
    suffix: ClassVar[str] = "derained"
    skips_frames: ClassVar[bool] = True
    preserves_mean: ClassVar[bool] = False
    turns: ClassVar[int] = 1  # rain falls
