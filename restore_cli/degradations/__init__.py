"""How clean pictures are damaged, for training and for benchmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Random = np.random.Generator | np.random.RandomState


def round_to_bytes(image: Image) -> Image:
    """The image as a file of 8 bits a sample holds it, still in [0, 1]."""
    return np.asarray(np.rint(image.clip(0, 1) * 255) / 255, np.float32)
