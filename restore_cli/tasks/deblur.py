"""Blur."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from restore_cli.tasks import Task


@dataclass(frozen=True)
class Deblur(Task):
    """Sharpen blurred photos."""

    name: ClassVar[str] = "deblur"
    suffix: ClassVar[str] = "deblurred"
