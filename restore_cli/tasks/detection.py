"""Where text or scratches lie on a photo, by what networks that take them away change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from restore_cli.image import Pixels

WEAK, STRONG = 36 / 255, 64 / 255  # changes that belong to paint, and that prove it
SPECK = 6  # pixels; what is smaller is not paint
# Pixels in all of pieces that are so near each other.
LEAST, REACH = {"text": 100, "scratches": 50}, 16
LITTLE = {"text": 0.001, "scratches": 0.01}  # shares of a photo; smaller finds are doubtful
AGREE = 0.88  # of what is proven near hard paint is part of it, if hard paint is all there is
ENCLOSED = 3  # times the pixels of an outline, at most, that it may enclose
MARGIN, FAINT = 2, 8 / 255  # pixels by which what is found grows, over what is changed this much
DOUBT = 0.5  # of what is proven: so many changes that prove nothing mean that some may be missed
TRACE, MUCH = 0.002, 0.2  # shares of a photo: doubts that do not count, and finds that are doubtful
UNCERTAIN = (
    "It is not certain where the photo has {}: {} pixels were found ({:.2%}). Check the result, or"
    " save the mask with --save-mask, correct it and pass it with --mask."
)


def locate(
    kind: str, restored: Sequence[Pixels], observed: Pixels, keep_edges: bool
) -> tuple[Pixels, str]:
    """Set to NaN what the first network finds, grown over its soft edge, or what the second finds.

    The second finds only paint with hard edges, in PNGs and good JPEGs, but to the pixel. If it
    finds nearly all that the first proves near there, its find counts, and the edges are its own
    pixels: growth would leave nothing between dense letters to fill from.

    It is doubtful if much else is changed a little, or if a small or a large part of the photo is
    found.

    Args:
        kind: "text" or "scratches".
        restored: what each network makes of the photo, H x W x C.
        observed: the photo.
        keep_edges: whether hard edges are the second network's own pixels; else they are missing.

    Returns:
        What was observed, NaN where it is damaged, and restored already where that is better; and a
        sentence if in doubt.
    """
    import cv2

    changes = [np.abs(image - observed).max(axis=2) for image in restored]
    finds = [find_paint(change, LEAST[kind]) for change in changes]
    hard = len(finds) > 1 and is_all(finds[1][0], changes[0])
    found, unsure = finds[hard]
    sure = np.count_nonzero(found)
    if kind == "text" and not hard:
        found = fill_outlines(found)
    around = cv2.dilate(found, np.ones((2 * MARGIN + 1,) * 2, np.uint8))
    mask = (found | around * (changes[hard] > FAINT)) > 0
    known = np.where(mask[..., None], restored[hard], observed)
    known[found > 0 if hard and keep_edges else mask] = np.nan
    share = float(mask.mean())
    doubtful = (
        unsure > max(DOUBT * sure, TRACE * mask.size) or share > MUCH or 0 < share < LITTLE[kind]
    )
    return known, UNCERTAIN.format(kind, np.count_nonzero(mask), share) if doubtful else ""


def find_paint(change: Pixels, least: int) -> tuple[NDArray[np.uint8], int]:
    """Where a network changed much, or less beside it (hysteresis as Canny's); specks are left out.

    Args:
        change: H x W in [0, 1].
        least: pixels; groups of pieces that are smaller are left out, too.

    Returns:
        1 where it is, H x W, else 0; and how many pixels more are changed, specks apart.
    """
    import cv2

    count, parts, about, _ = cv2.connectedComponentsWithStats(np.asarray(change > WEAK, np.uint8))
    areas = about[:, cv2.CC_STAT_AREA] * (about[:, cv2.CC_STAT_AREA] >= SPECK)
    areas[0] = 0  # what is around the parts
    proven = np.zeros(count, bool)
    proven[parts[change > STRONG]] = True
    found = np.asarray((proven & (areas > 0))[parts], np.uint8)
    groups = cv2.connectedComponents(cv2.dilate(found, np.ones((REACH + 1,) * 2, np.uint8)))[1]
    sizes = np.bincount(groups.ravel(), found.ravel())
    found *= (sizes >= least)[groups]
    return found, int(areas.sum() - np.count_nonzero(found))


def is_all(found: NDArray[np.uint8], change: Pixels) -> bool:
    """Whether what is found, 1 or 0, is nearly all of what another network's changes prove near
    there.
    """
    import cv2

    near = cv2.dilate(found, np.ones((REACH + 1,) * 2, np.uint8))
    proven = near * (change > STRONG)
    return bool(
        found.any() and np.count_nonzero(proven * found) >= AGREE * np.count_nonzero(proven)
    )


def fill_outlines(found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill what is enclosed by parts that are not much smaller: bodies of letters whose outline is
    found.

    Args:
        found: H x W, 1 or 0.
    """
    import cv2

    contours, tree = cv2.findContours(found, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    _, parts, about, _ = cv2.connectedComponentsWithStats(found)
    filled = found.copy()
    for contour, (*_, parent) in zip(contours, () if tree is None else tree[0], strict=True):
        column, row = contour[0, 0]  # on the outline
        if (
            parent >= 0
            and cv2.contourArea(contour) <= ENCLOSED * about[parts[row, column], cv2.CC_STAT_AREA]
        ):
            cv2.drawContours(filled, [contour], -1, 1, cv2.FILLED)
    return filled
