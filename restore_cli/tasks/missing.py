"""Missing pixels, which are NaN: marking them, and filling them from their surroundings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from restore_cli.errors import RestoreError
from restore_cli.image import Mask, Pixels

_SOFT = 0.02  # a mask from here on is not black; brushes have soft edges, and JPEGs ringing
DEPTH = 8  # pixels; a gap that is deeper is filled at half the size first
CONTEXT = 128  # least pixels around a gap for networks that look at the entire photo


def find_missing(pixels: Pixels) -> Mask:
    """Find the pixels with NaN in any channel, H x W."""
    return np.asarray(np.isnan(pixels).any(axis=2))


def mark(
    pixels: Pixels,
    mask: Pixels | None,
    boxes: Sequence[tuple[int, int, int, int]] = (),
    grow: int = 0,
) -> Pixels:
    """Set pixels to NaN where the mask is not black, and inside boxes.

    Args:
        pixels: H x W x C.
        mask: H x W in [0, 1].
        boxes: x, y, width and height in pixels; parts outside the photo are ignored.
        grow: pixels by which all missing areas grow on every side.

    Raises:
        RestoreError: a box lies outside the photo, or no pixels remain.
    """
    import cv2

    missing = find_missing(pixels).astype(np.uint8)
    if mask is not None:
        missing[mask >= _SOFT] = 1
    height, width = missing.shape
    for x, y, across, down in boxes:
        if not (-across < x < width and -down < y < height):
            raise RestoreError(
                f"Cannot fill the box {x},{y},{across},{down}: it lies outside the photo"
                f" ({width} x {height} pixels). Give X,Y,WIDTH,HEIGHT inside it."
            )
        missing[max(y, 0) : y + down, max(x, 0) : x + across] = 1
    if grow and missing.any():
        away = cv2.distanceTransform(1 - missing, cv2.DIST_C, 3)
        missing = np.asarray(away <= grow, np.uint8)
    if missing.all():
        raise RestoreError(
            "Cannot inpaint: nothing of the photo would be kept. Use a smaller mask, --box or"
            " --grow."
        )
    return np.where(missing[..., None], np.float32(np.nan), pixels)


def around(missing: Mask) -> tuple[slice, slice]:
    """Rows and columns of the missing pixels, with a margin as wide as they are on each side.

    If nothing is missing, all rows and columns.
    """

    def grow(lines: NDArray[np.intp]) -> slice:
        first, end = int(lines.min()), int(lines.max()) + 1
        margin = max(CONTEXT, end - first)
        return slice(max(0, first - margin), end + margin)

    rows, columns = np.nonzero(missing)
    return (grow(rows), grow(columns)) if len(rows) else (slice(None), slice(None))


def coarsen(observed: Pixels) -> Pixels | None:
    """Halve the image if a gap is deeper than DEPTH; otherwise return None."""
    import cv2

    missing = find_missing(observed)
    if not missing.any() or missing.all():
        return None
    # Pixels outside the photo count as known.
    depth = cv2.distanceTransform(np.pad(missing.astype(np.uint8), 1), cv2.DIST_C, 3)
    return _halve(observed, missing)[0] if depth.max() > DEPTH else None


def refine(pixels: Pixels, observed: Pixels, restored: Pixels) -> Pixels:
    """Fill the gaps of a network's input from the restored smaller image, upscaled bicubically."""
    import cv2

    height, width = observed.shape[:2]
    size = (2 * restored.shape[1], 2 * restored.shape[0])
    larger = cv2.resize(restored, size, interpolation=cv2.INTER_CUBIC)
    larger = larger.reshape(size[1], size[0], -1)
    return np.where(np.isnan(observed), larger[:height, :width], pixels)


def fill(image: Pixels, missing: Mask) -> Pixels:
    """Fill missing pixels from coarse to fine, for gaps of any size.

    Push-pull (Gortler et al., "The Lumigraph", SIGGRAPH 1996): the image is halved, each pixel the
    mean of the known ones among four, until none is missing; on the way back each resolution fills
    the gaps of the next finer one.

    Args:
        image: H x W x C; missing pixels may be NaN.
        missing: H x W. If all pixels are missing, the result is gray.
    """
    import cv2

    if not missing.any():
        return image
    if missing.all():
        return np.full_like(image, 0.5)
    height, width = missing.shape
    means, lost = _halve(image, missing)
    coarse = fill(means, lost)
    size = (2 * coarse.shape[1], 2 * coarse.shape[0])
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR).reshape(size[1], size[0], -1)
    return np.where(missing[..., None], fine[:height, :width], image)


def _halve(image: Pixels, missing: Mask) -> tuple[Pixels, Mask]:
    """Halve an image: the mean of the known pixels among four, or NaN; sizes are rounded up.

    Returns:
        The smaller image, and its missing pixels.
    """
    even = tuple((0, side % 2) for side in missing.shape)
    known = np.pad(np.asarray(~missing, np.float32), even)
    values = np.pad(np.where(missing[..., None], np.float32(0), image), (*even, (0, 0)))

    def sums(plane: Pixels) -> Pixels:
        rows = plane[::2] + plane[1::2]
        return np.asarray(rows[:, ::2] + rows[:, 1::2])

    count = sums(known)
    means = sums(values) / np.maximum(count, 1)[..., None]
    lost: Mask = count == 0
    return np.where(lost[..., None], np.float32(np.nan), means), lost
