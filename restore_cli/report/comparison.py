"""Versions of one picture, to look at side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Version:
    """One version of a picture.

    Attributes:
        name: "input", "house" or "reference".
        pixels: H x W x C, C = 1 (gray) or 3 (RGB); shown clipped to [0, 1] in 8 bits, NaN as black.
        note: stands below the name, "28.41 dB".
    """

    name: str
    pixels: NDArray[np.float32]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Versions of one picture, the damaged one first and a reference last; the first two are shown
    first.

    Raises ValueError unless there are two versions or more, all of one height and width.
    """

    title: str
    versions: tuple[Version, ...]

    def __post_init__(self) -> None:
        if len(self.versions) < 2:
            raise ValueError("a comparison takes two versions or more")
        if len({version.pixels.shape[:2] for version in self.versions}) > 1:
            raise ValueError(f"the versions of {self.title} differ in size")
