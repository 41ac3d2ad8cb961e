"""A row of a benchmark, and where its figures come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from restore_cli.levels import Levels, describe
from restore_cli.report.figures import PSNR, Figure

Colors = Literal["", "luma", "gray"]  # images as they are, their luma, or gray of full range


@dataclass(frozen=True)
class Row:
    """One model on one set at one level of damage.

    Attributes:
        level: of the damage; empty for real pairs.
        measured: False for a published figure, which is shown apart from those measured.
        figures: in the order of the columns; None is missing.
        images: `quality` of each image by its name, in dB; may be empty.
        note: "best", "not told apart from house", the source of a published figure.
        quality: the figure by which the models are compared.
        colors: what was made of the set's images first.
        about: library, version and settings of a method that is no model of ours.
        details: all that was measured of each image, by its name; may be empty.
        files: sha256 of the model's checkpoints, by their names.
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
    quality: Figure = PSNR
    colors: Colors = ""
    about: str = ""
    details: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def set_title(self) -> str:
        """The set as a table calls it, "set12 luma"."""
        return f"{self.set} {self.colors}".rstrip()

    @property
    def level_title(self) -> str:
        """The level as a table calls it, "sigma 25"; nothing for real pairs."""
        return describe(self.level)

    @property
    def worst(self) -> str:
        """The name of the image of the lowest PSNR; nothing where no images are known."""
        return min(self.images, key=lambda name: self.images[name], default="")

    @property
    def comparison_group(self) -> str:
        """What rows that may be compared have in common: "sr, as published: luma"."""
        return f"{self.task}{'' if self.measured else ', as published'}: {self.protocol}"


@dataclass(frozen=True)
class Origin:
    """Where figures come from.

    Attributes:
        version: of this package. command: as it was typed.
        date: of the beginning, in UTC and ISO 8601.
        machine: "Linux 6.1 x86_64, AMD EPYC 9B14, 2 CPUs". device: "cpu", or a GPU's name.
        threads: of PyTorch. torch: PyTorch's version. precision: as it was asked for.
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
        """Two sentences."""
        threads = f"{self.threads} thread{'' if self.threads == 1 else 's'}"
        return (
            f"Measured by restore {self.version} on {self.date}: {self.machine}; device"
            f" {self.device},"
            f" precision {self.precision}, {threads}, PyTorch {self.torch}. Command: {self.command}"
        )
