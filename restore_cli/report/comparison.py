"""Versions of one image to compare side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Version:
    """One version of an image.

    Attributes:
        name: "input", "default" or "reference".
        pixels: H x W x C, C = 1 (gray) or 3 (RGB); shown clipped to [0, 1] in 8 bits, NaN as black.
        note: shown below the name, "28.41 dB".
        icc: the profile of the colors; None is sRGB.
    """

    name: str
    pixels: NDArray[np.float32]
    note: str = ""
    icc: bytes | None = None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Versions of one image: the degraded one first, a reference last.

    The viewer starts with the first two versions.

    Raises:
        ValueError: there are fewer than two versions, or their sizes differ.
    """

    title: str
    versions: tuple[Version, ...]

    def __post_init__(self) -> None:
        if len(self.versions) < 2:
            raise ValueError("a comparison needs at least two versions")
        if len({version.pixels.shape[:2] for version in self.versions}) > 1:
            raise ValueError(f"the versions of {self.title} differ in size")
