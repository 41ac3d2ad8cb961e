"""A request to the benchmark."""

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
        sets: names or folders, see `open_set`; if empty, all sets in `data` that suit the task.
        data: folders that contain the named sets.
        pairs: "CLEAN:DAMAGED", the folders of paired images inside each set.
        degrade: treat all images of a set as clean, even if it is listed as a set of real damage.
        levels: the degradation levels; if empty, the default levels of the task, or none for
            paired images.
        models: names or files, as for `--model`; None is the default model.
        baselines: names of baselines.
        metrics: metrics to compute in addition to PSNR and SSIM.
        gray: convert each image to luma, rounded to 8 bits.
        full_range: with gray, convert to full-range gray instead, as MATLAB's rgb2gray does.
        clip: quantize degraded images to 8 bits before they are restored.
        published: add published results for the same sets and levels.
        shown: number of worst images per set and level to compare in the report.
        settings: how to run the networks.
        offline: never download.
        fresh: ignore the cached results of an interrupted run.
    """

    task: str
    sets: tuple[str, ...]
    data: tuple[Path, ...] = ()
    pairs: str = ""
    degrade: bool = False
    levels: tuple[Mapping[str, Any], ...] = ()
    models: tuple[str | None, ...] = (None,)
    baselines: tuple[str, ...] = ()
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
        """The color conversion that is applied to all images first."""
        return "" if not self.gray else "gray" if self.full_range else "luma"
