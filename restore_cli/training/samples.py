"""Training images in memory, and crops of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore_cli.image import Pixels

Bytes = NDArray[np.uint8]

_VALIDATION_CROP = 256  # pixels; the center of a held-out image is enough, and fast to score


@dataclass(frozen=True)
class Sample:
    """An image, H x W x C bytes, and the degraded image of a real pair."""

    clean: Bytes
    damaged: Bytes | None = None

    @property
    def scale(self) -> int:
        """How many times larger the clean image is than the degraded one."""
        return 1 if self.damaged is None else self.clean.shape[0] // self.damaged.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the smaller image."""
        smaller = self.clean if self.damaged is None else self.damaged
        return smaller.shape[0], smaller.shape[1]

    @property
    def nbytes(self) -> int:
        """The bytes of both images."""
        return self.clean.nbytes + (0 if self.damaged is None else self.damaged.nbytes)

    def crop(self, corner: Sequence[int], side: int) -> Sample:
        """Return views of the same square of both images, cut off at their edges.

        Args:
            corner: top and left in the smaller image.
            side: in pixels of the smaller image.
        """
        return Sample(
            _crop(self.clean, corner, side, self.scale),
            None if self.damaged is None else _crop(self.damaged, corner, side, 1),
        )

    def center_crop(self, grid: int = 1) -> Sample:
        """Return a copy of the center, the part that validation uses; of a pair, on a grid."""
        grid = grid if self.damaged is not None else 1
        side = _VALIDATION_CROP // self.scale
        cut = self.crop([max(0, (size - side) // 2) // grid * grid for size in self.size], side)
        return Sample(cut.clean.copy(), None if cut.damaged is None else cut.damaged.copy())


def to_float(image: Bytes) -> Pixels:
    """Convert an image of bytes to floats in [0, 1]."""
    return np.divide(image, 255, dtype=np.float32)


def _crop(image: Bytes, corner: Sequence[int], side: int, scale: int) -> Bytes:
    top, left = (scale * at for at in corner)
    return image[top : top + scale * side, left : left + scale * side]
