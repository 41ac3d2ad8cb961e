"""A row of a benchmark, and the origin of its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from restore_cli.levels import Levels, describe
from restore_cli.report.figures import PSNR, Figure

Colors = Literal["", "luma", "gray"]  # images as they are, their luma, or gray of full range


@dataclass(frozen=True)
class Row:
    """The result of one model on one set at one degradation level.

    Attributes:
        level: the degradation level; empty for real pairs.
        measured: False for a published result, which is shown in a separate table.
        figures: in the order of the columns; None is missing.
        images: `quality` of each image in dB, by the name of the image; may be empty.
        note: "best", "not significantly better than bt", or the source of a published result.
        best: whether the method is declared the best of its case.
        source: paper and table of a published result.
        quality: the figure by which models are compared.
        colors: the color conversion that was applied to the images.
        about: library, version and settings of a baseline.
        details: everything that was measured for each image, by its name; may be empty.
        files: sha256 of the checkpoints of the model, by their names.
    """

    task: str
    set: str
    level: Levels
    model: str
    protocol: str
    measured: bool
    figures: Mapping[Figure, float | None]
    images: Mapping[str, float]
    note: str = ""
    best: bool = False
    source: tuple[str, str] | None = None
    quality: Figure = PSNR
    colors: Colors = ""
    about: str = ""
    details: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def set_title(self) -> str:
        """The set as shown in a table, "set12 luma"."""
        return f"{self.set} {self.colors}".rstrip()

    @property
    def level_title(self) -> str:
        """The level as shown in a table, "sigma 25"; "" for real pairs."""
        return describe(self.level)

    @property
    def worst(self) -> str:
        """The name of the image with the lowest PSNR; "" if there are no images."""
        return min(self.images, key=lambda name: self.images[name], default="")

    @property
    def comparison_group(self) -> str:
        """What comparable rows have in common, such as "sr, as published: luma"."""
        return f"{self.task}{'' if self.measured else ', as published'}: {self.protocol}"


@dataclass(frozen=True)
class Origin:
    """The origin of measured figures.

    Attributes:
        version: version of this package.
        command: the command line.
        date: start of the run in UTC, as ISO 8601.
        machine: "Linux 6.1 x86_64, AMD EPYC 9B14, 2 CPUs".
        device: "cpu", or the name of a GPU.
        threads: number of threads of PyTorch.
        torch: version of PyTorch.
        precision: the requested precision.
    """

    version: str
    command: str
    date: str
    machine: str
    device: str
    threads: int
    torch: str
    precision: str

    def __str__(self) -> str:
        """Describe the origin in two sentences."""
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return (
            f"Measured by restore {self.version} on {self.date}: {self.machine};"
            f" device {self.device}, precision {self.precision}, {threads}, PyTorch {self.torch}."
            f" Command: {self.command}"
        )
