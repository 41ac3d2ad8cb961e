"""What a benchmark is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restore_cli.engine import Settings
from restore_cli.metrics.perceptual import Metric
from restore_cli.report.row import Colors


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        task: name of the task.
        sets: names or folders, as `open_set` takes them; none are all that `data` has for the task.
        data: folders that hold sets of these names.
        pairs: "CLEAN:DAMAGED", folders of real pairs in each set.
        degrade: take the images of each set as clean, even where it is known to have no clean ones.
        levels: of the damage: the task's fields; none are the task's own, or of real pairs none at
            all.
        models: as `--model` takes them; None is the task's default.
        peers: names of `baselines`.
        metrics: what to measure in addition to PSNR and SSIM.
        gray: take each image's luma, rounded to 8 bits, in place of its colors.
        full_range: where gray, take what MATLAB's rgb2gray does, which uses all of 0..255, and luma
            does not.
        clip: round damaged images to 8 bits before they are restored, as files are.
        published: add figures of papers for the same sets and levels.
        shown: images of each set and level, the worst first, to keep pictures of.
        settings: how to run the networks.
        offline: never download.
        fresh: ignore what an interrupted run has measured.
    """

    task: str
    sets: tuple[str, ...]
    data: tuple[Path, ...] = ()
    pairs: str = ""
    degrade: bool = False
    levels: tuple[Mapping[str, Any], ...] = ()
    models: tuple[str | None, ...] = (None,)
    peers: tuple[str, ...] = ()
    metrics: tuple[Metric, ...] = ()
    gray: bool = False
    full_range: bool = False
    clip: bool = False
    published: bool = False
    shown: int = 0
    settings: Settings = field(default_factory=Settings)
    offline: bool = False
    fresh: bool = False

    @property
    def colors(self) -> Colors:
        """What is made of the images of a set first."""
        return "" if not self.gray else "gray" if self.full_range else "luma"
