"""Missing pixels, which are NaN: where they are, and how what is around them fills them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from restore_cli.errors import RestoreError
from restore_cli.image import Mask, Pixels

DEPTH = 8  # pixels from the border of a gap beyond which it is filled at half the size first
CONTEXT = 128  # pixels, at least, that networks which look at all of a photo see around a gap


def find_missing(pixels: Pixels) -> Mask:
    """Where any channel is NaN, H x W."""
    return np.asarray(np.isnan(pixels).any(axis=2))


def mark(
    pixels: Pixels,
    mask: Pixels | None,
    boxes: Sequence[tuple[int, int, int, int]] = (),
    grow: int = 0,
) -> Pixels:
    """Make NaN of what is at least half white in a mask, and of boxes, besides what is NaN already.

    Args:
        pixels: H x W x C.
        mask: H x W in [0, 1].
        boxes: x, y, width and height in pixels; what lies beyond the photo is cut.
        grow: pixels by which all of it grows on every side.

    Raises:
        RestoreError: a box lies outside of the photo, or nothing is left.
    """
    import cv2

    missing = find_missing(pixels).astype(np.uint8)
    if mask is not None:
        missing[mask >= 0.5] = 1
    height, width = missing.shape
    for x, y, across, down in boxes:
        if x >= width or y >= height:
            raise RestoreError(
                f"the box {x},{y},{across},{down} lies outside of {width} x {height} pixels."
            )
        missing[y : y + down, x : x + across] = 1
    if grow and missing.any():
        away = cv2.distanceTransform(1 - missing, cv2.DIST_C, 3)
        missing = np.asarray(away <= grow, np.uint8)
    if missing.all():
        raise RestoreError("all of it is missing; leave something that is to stay.")
    return np.where(missing[..., None], np.float32(np.nan), pixels)


def around(missing: Mask) -> tuple[slice, slice]:
    """Rows and columns of what is missing, grown by their number on each side; all where nothing
    is.
    """

    def grow(lines: NDArray[np.intp]) -> slice:
        first, end = int(lines.min()), int(lines.max()) + 1
        margin = max(CONTEXT, end - first)
        return slice(max(0, first - margin), end + margin)

    rows, columns = np.nonzero(missing)
    return (grow(rows), grow(columns)) if len(rows) else (slice(None), slice(None))


def coarsen(observed: Pixels) -> Pixels | None:
    """Half the size, if a gap is so wide that its middle is out of sight of its border."""
    import cv2

    missing = find_missing(observed)
    if not missing.any() or missing.all():
        return None
    # What lies beyond the photo's border counts as known.
    depth = cv2.distanceTransform(np.pad(missing.astype(np.uint8), 1), cv2.DIST_C, 3)
    return halve(observed, missing)[0] if depth.max() > DEPTH else None


def refine(pixels: Pixels, observed: Pixels, restored: Pixels) -> Pixels:
    """A network's input, with the smaller picture's pixels in the gaps, bicubically enlarged."""
    import cv2

    height, width = observed.shape[:2]
    size = (2 * restored.shape[1], 2 * restored.shape[0])
    larger = cv2.resize(restored, size, interpolation=cv2.INTER_CUBIC)
    larger = larger.reshape(size[1], size[0], -1)
    return np.where(np.isnan(observed), larger[:height, :width], pixels)


def fill(image: Pixels, missing: Mask) -> Pixels:
    """Fill missing pixels from coarse to fine, however large a hole is.

    Push-pull (Gortler et al., "The Lumigraph", SIGGRAPH 1996): the image is reduced, each pixel the
    mean of the known ones of four, until none is missing; on the way back each resolution fills the
    gaps of the finer one.

    Args:
        image: H x W x C; what is missing may be NaN.
        missing: H x W. If all is, the result is gray.
    """
    import cv2

    if not missing.any():
        return image
    if missing.all():
        return np.full_like(image, 0.5)
    height, width = missing.shape
    means, lost = halve(image, missing)
    coarse = fill(means, lost)
    size = (2 * coarse.shape[1], 2 * coarse.shape[0])
    fine = cv2.resize(coarse, size, interpolation=cv2.INTER_LINEAR).reshape(size[1], size[0], -1)
    return np.where(missing[..., None], fine[:height, :width], image)


def halve(image: Pixels, missing: Mask) -> tuple[Pixels, Mask]:
    """Half the size, rounded up: means of the known ones of four pixels, or NaN; and where none is
    known.
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
