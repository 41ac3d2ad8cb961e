"""How to serve: who may send what, and how networks are run."""

from __future__ import annotations

from dataclasses import dataclass, field

from restore_cli.engine import Settings


@dataclass(frozen=True)
class Config:
    """How to serve.

    Attributes:
        settings: how to run networks.
        offline: whether downloads of models are forbidden.
        token: what clients must send; None lets everyone in.
        max_upload: the largest request, in bytes.
        max_pixels: the most pixels of a photo or result.
        max_jobs: the largest number of photos that are held at once.
        keep: seconds after which a finished photo is deleted.
    """

    settings: Settings = field(default_factory=Settings)
    offline: bool = False
    token: str | None = None
    max_upload: int = 200 * 10**6
    max_pixels: int = 100 * 10**6
    max_jobs: int = 100
    keep: float = 1800.0
