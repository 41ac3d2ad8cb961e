"""Haze and fog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from restore_cli.tasks import Task


@dataclass(frozen=True)
class Dehaze(Task):
    """Remove haze and fog from photos."""

    name: ClassVar[str] = "dehaze"
    suffix: ClassVar[str] = "dehazed"
    preserves_mean: ClassVar[bool] = False
