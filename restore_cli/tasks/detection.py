"""Detection of text and scratches, from the changes of networks that remove them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from restore_cli.image import Pixels

WEAK, STRONG = 36 / 255, 64 / 255  # changes that may be paint, and that prove it
SPECK = 6  # pixels; smaller pieces are ignored
# A group of pieces at most REACH pixels apart counts if it has LEAST pixels in total.
LEAST, REACH = {"text": 100, "scratches": 50}, 16
# Smallest share of a photo that is not doubtful: whiskers, twigs and wires look like scratches.
LITTLE = {"text": 0.001, "scratches": 0.1}
AGREE = 0.88  # share of the proven pixels that must be hard paint, if all paint is hard
ENCLOSED = 3  # an outline may enclose at most this many times its own pixels
MARGIN, FAINT = 2, 8 / 255  # pixels by which finds grow, where the change is at least FAINT
DOUBT = 0.5  # ratio of unproven to proven pixels above which some paint may be missed
TRACE, MUCH = 0.002, 0.2  # share of unproven pixels that is harmless; share found that is doubtful
UNCERTAIN = (
    "Detection of {} is uncertain: {} pixels were found ({:.2%}). Check the result, or correct"
    " the mask that --save-mask saves, and pass it with --mask."
)


def locate(
    kind: str, restored: Sequence[Pixels], observed: Pixels, keep_edges: bool
) -> tuple[Pixels, str]:
    """Set painted pixels to NaN, as found by the first network or by the second.

    The first network finds paint with soft edges; its finds are grown over these edges. The second
    only finds paint with hard edges, in PNGs and good JPEGs, but exactly. If it finds nearly all
    that the first one proves nearby, its finds are used without growing, which would leave nothing
    between dense letters to fill from.

    A find is doubtful if there are many other weak changes, or if it is very small or very large.

    Args:
        kind: "text" or "scratches".
        restored: the output of each network for the photo, H x W x C.
        observed: the photo, H x W x C.
        keep_edges: whether hard edges keep the second network's pixels; otherwise they are missing.

    Returns:
        The observed pixels, NaN where they are damaged, or already restored where that is better;
        and a warning if the find is doubtful, or "".
    """
    import cv2

    changes = [np.abs(image - observed).max(axis=2) for image in restored]
    finds = [_find_paint(change, LEAST[kind]) for change in changes]
    hard = len(finds) > 1 and _is_all(finds[1][0], changes[0])
    found, unsure = finds[hard]
    sure = np.count_nonzero(found)
    if kind == "text" and not hard:
        found = _fill_outlines(found)
    around = cv2.dilate(found, np.ones((2 * MARGIN + 1,) * 2, np.uint8))
    mask = (found | around * (changes[hard] > FAINT)) > 0
    known = np.where(mask[..., None], restored[hard], observed)
    known[found > 0 if hard and keep_edges else mask] = np.nan
    share = float(mask.mean())
    doubtful = share > 0 and (
        unsure > max(DOUBT * sure, TRACE * mask.size) or share > MUCH or share < LITTLE[kind]
    )
    return known, UNCERTAIN.format(kind, np.count_nonzero(mask), share) if doubtful else ""


def _find_paint(change: Pixels, least: int) -> tuple[NDArray[np.uint8], int]:
    """Find strong changes and connected weak ones (hysteresis, as in Canny's edge detector).

    Args:
        change: H x W in [0, 1].
        least: smallest number of pixels in a group of pieces; specks are ignored.

    Returns:
        1 for paint and 0 elsewhere, H x W; and the number of other changed pixels without specks.
    """
    import cv2

    count, parts, about, _ = cv2.connectedComponentsWithStats(np.asarray(change > WEAK, np.uint8))
    areas = about[:, cv2.CC_STAT_AREA] * (about[:, cv2.CC_STAT_AREA] >= SPECK)
    areas[0] = 0  # the background
    proven = np.zeros(count, bool)
    proven[parts[change > STRONG]] = True
    found = np.asarray((proven & (areas > 0))[parts], np.uint8)
    groups = cv2.connectedComponents(cv2.dilate(found, np.ones((REACH + 1,) * 2, np.uint8)))[1]
    sizes = np.bincount(groups.ravel(), found.ravel())
    found *= (sizes >= least)[groups]
    return found, int(areas.sum() - np.count_nonzero(found))


def _is_all(found: NDArray[np.uint8], change: Pixels) -> bool:
    """Whether the finds, 1 or 0, are nearly all that another network proves nearby."""
    import cv2

    near = cv2.dilate(found, np.ones((REACH + 1,) * 2, np.uint8))
    proven = near * (change > STRONG)
    return bool(
        found.any() and np.count_nonzero(proven * found) >= AGREE * np.count_nonzero(proven)
    )


def _fill_outlines(found: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Fill areas that a found outline of similar size encloses, such as hollow letters.

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
