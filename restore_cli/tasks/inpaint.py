"""Missing pixels: under text, scratches and boxes, or in a hole."""

from __future__ import annotations

import functools
import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Image, Mask, Random, paint
from restore_cli.errors import RestoreError, UsageError
from restore_cli.tasks import Feed, Task, option

if TYPE_CHECKING:
    from restore_cli.image import Picture
    from restore_cli.network import Geometry

DAMAGES = ("text", "scratches", "boxes", "hole", "shifted")
PAINTED = ("text", "scratches")  # damages that can be found
WEAK, STRONG = 36 / 255, 64 / 255  # changes that belong to paint, and that prove it
SPECK = 6  # pixels; what is smaller is no paint
LEAST, REACH = (
    {"text": 100, "scratches": 50},
    16,
)  # pixels in all of pieces that are so near each other
LITTLE = {"text": 0.001, "scratches": 0.01}  # shares of a photo; smaller finds are doubtful
AGREE = 0.88  # of what is proven near hard paint is part of it, if hard paint is all there is
ENCLOSED = 3  # times the pixels of an outline, at most, that it may enclose
MARGIN, FAINT = 2, 8 / 255  # pixels by which what is found grows, over what is changed this much
DOUBT = (
    0.5  # of what is proven: so many changes that prove nothing mean that some damage may be missed
)
TRACE, MUCH = 0.002, 0.2  # shares of a photo: doubts that do not count, and finds that are doubtful
UNCERTAIN = (
    "It is not certain where the photo has {}: {} pixels were found ({:.2%}). Check the result, or"
    " save the"
    " mask with --save-mask, correct it and pass it with --mask."
)
DEPTH = 8  # pixels from the border of a gap beyond which it is filled at half the size first
STYLES = ("plain", "photo")


def parse_box(word: str) -> tuple[int, int, int, int]:
    """ "x,y,w,h": the left upper corner, width and height, in pixels."""
    parts = word.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(
            f"The box is {word!r}; give x,y,width,height in pixels, such as 10,20,300,40."
        )
    x, y, width, height = map(int, parts)
    if not width or not height:
        raise UsageError(f"The box {word!r} is empty; give it a width and a height of at least 1.")
    return x, y, width, height


def parse_grow(word: str) -> int:
    """A number of pixels."""
    try:
        return int(word)
    except ValueError as error:
        raise UsageError(
            f"The mask is to grow by {word!r}; give a whole number of pixels."
        ) from error


def parse_detect(word: str) -> str:
    """ "text" or "scratches"."""
    if word not in PAINTED:
        raise UsageError(f"What is to be detected is {word!r}; choose {' or '.join(PAINTED)}.")
    return word


@dataclass(frozen=True)
class Inpaint(Task):
    """Fill in missing parts of photos: what is white in --mask, boxes, and text or scratches that
    it finds.

    Attributes:
        box: rectangles that are missing, x, y, width and height in pixels.
        detect: "text" or "scratches" that lie on the photo, to be found.
        grow: pixels by which all that is missing grows on every side.
        damage: "text", "scratches", "boxes", "hole" or "shifted"; see `draw_mask`.
        size: height of the text in pixels, 6 to 64.
        share: of the pixels that are missing, 0 to 0.9; lines of text end at what they can cover.
        blind: the damage is painted, white, black or in a random colour, and nobody says where;
            else the missing pixels are known, and NaN in what `degrade` returns. A network may be
            told which of "text" and "scratches" it is.
        style: of painted damage: "plain", hard and of one color; or "photo", as it lies on photos,
            see `paint.paint`. Then pairs for training are files, with and without it; see
            `paint.pair`.
    """

    name: ClassVar[str] = "inpaint"
    suffix: ClassVar[str] = "inpainted"
    steady: ClassVar[bool] = False
    exact: ClassVar[bool] = True
    protocol: ClassVar[str] = "pixels lost as drawn by numpy's RandomState(0) anew for each image"
    levels: ClassVar[Mapping[str, Any]] = {
        "damage": ["text", "text", "scratches", "scratches", "boxes", "hole"],
        "size": [8, 32],
        "share": [0.02, 0.25],
    }
    validation: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"damage": "text", "size": 10},
        {"damage": "text", "size": 20},
        {"damage": "scratches", "share": 0.1},
        {"damage": "hole", "share": 0.25},
    )

    box: tuple[tuple[int, int, int, int], ...] = option(
        (),
        help="A part that is missing, in the upright photo; what reaches beyond it is cut; may be"
        " repeated.",
        metavar="X,Y,W,H",
        parse=parse_box,
    )
    detect: str | None = option(
        None,
        help="Find text or scratches on the photo, and fill them in; --save-mask shows what was"
        " found.",
        metavar="text|scratches",
        parse=parse_detect,
        level=True,
    )
    grow: int = option(
        0,
        help="Pixels by which what is missing grows on every side.",
        metavar="INTEGER",
        parse=parse_grow,
    )
    damage: str = "text"
    size: float = 16
    share: float = 0.15
    blind: bool = False
    style: str = "plain"

    def __post_init__(self) -> None:
        if self.grow < 0:
            raise UsageError(f"The mask is to grow by {self.grow}; give a whole number of pixels.")
        if self.damage not in DAMAGES:
            raise UsageError(f"The damage is {self.damage!r}; choose {', '.join(DAMAGES)}.")
        if not 6 <= self.size <= 64:
            raise UsageError(f"The text's size is {self.size:g}; give pixels from 6 to 64.")
        if not 0 <= self.share <= 0.9:
            raise UsageError(f"The missing share is {self.share:g}; give a number from 0 to 0.9.")
        if self.style not in STYLES:
            raise UsageError(
                f"The style of the damage is {self.style!r}; choose {' or '.join(STYLES)}."
            )

    def degrade(self, clean: Image, rng: Random) -> Image:
        """Lose pixels: NaN in all channels where the mask is known, painted over where it is
        not.
        """
        height, width, channels = clean.shape
        if self._lifelike:
            return paint.paint(clean, self.damage, rng, size=self.size, share=self.share)
        cover = draw_mask(self.damage, height, width, rng, size=self.size, share=self.share)
        if not self.blind:
            return np.where(cover[..., None] > 0, np.float32(np.nan), clean)
        drawn = np.asarray(rng.uniform(0, 1, channels), np.float32)
        color = (np.zeros_like(drawn), np.ones_like(drawn), drawn)[rng.choice(3)]
        return clean + cover[..., None] * (color - clean)

    def pair(self, clean: Image, rng: Random) -> tuple[Inpaint, Image, Image]:
        """For a network that is to find what lies on photos: files with it and without; else as any
        task.
        """
        if not self._lifelike:
            return super().pair(clean, rng)
        return self, *paint.pair(clean, self.damage, rng, size=self.size, share=self.share)

    @property
    def _lifelike(self) -> bool:
        return self.blind and self.style == "photo" and self.damage in PAINTED

    def prepare(
        self,
        pixels: Image,
        trained: Mapping[str, Any],  # noqa: ARG002
        geometry: Geometry,
        picture: Picture | None = None,  # noqa: ARG002
    ) -> Feed:
        """Fill missing pixels roughly, and give a plane that is 1 where they are and 0 elsewhere.

        To a network that is to find damage the plane says what: 0 is text, 1 scratches.
        """
        if self._sees:
            return Feed(pixels, (float(self.damage == "scratches"),) * geometry.conditions)
        missing: Mask = np.asarray(np.isnan(pixels).any(axis=2))
        warnings: tuple[str, ...] = ()
        if self.detect and not missing.any():
            warnings = (f"Found no {self.detect}; nothing is changed.",)
        return Feed(
            fill(pixels, missing),
            (np.asarray(missing, np.float32),) * geometry.conditions,
            {"missing": f"{missing.mean():.2%}"},
            warnings,
        )

    @property
    def _sees(self) -> bool:
        """Whether a network has to find the damage by itself, and nothing is known to be
        missing.
        """
        return self.blind and not self.detect

    def detector(self, trained: Mapping[str, Any]) -> tuple[Inpaint, tuple[str | None, ...]] | None:
        """The same task as one for whom nobody says where the damage is, and the models for that.

        A chosen model that finds damage does no more than that; the default fills what it finds.

        Raises:
            UsageError: the chosen model finds damage, and is not to.
        """
        alone = bool(trained.get("blind"))
        if self.detect:
            names = (None,) if alone else ("finder", "blind")
            return replace(self, damage=self.detect, blind=True, detect=None), names
        if alone and not self.blind:
            raise UsageError(
                "This model finds what is painted over a photo; give it --detect, or another"
                " --model."
            )
        return None

    def locate(self, restored: Sequence[Image], observed: Image) -> tuple[Image, str]:
        """Set to NaN what the first network finds, grown over its soft edge, or what the second
        finds.

        The second finds only paint with hard edges, in PNGs and good JPEGs, but to the pixel. If it
        finds nearly all that the first proves near there, its find counts, and the edges are its
        own pixels: growth would leave nothing between dense letters to fill from. If the mask is to
        grow, edges are filled, too.

        It is doubtful if much else is changed a little, or if a small or a large part of the photo
        is found.
        """
        import cv2

        kind = str(self.detect)
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
        known[found > 0 if hard and not self.grow else mask] = np.nan
        share = float(mask.mean())
        doubtful = (
            unsure > max(DOUBT * sure, TRACE * mask.size)
            or share > MUCH
            or 0 < share < LITTLE[kind]
        )
        return known, UNCERTAIN.format(kind, np.count_nonzero(mask), share) if doubtful else ""

    def mark(self, pixels: Image, mask: Image | None) -> tuple[Image, Image | None]:
        """Make NaN of what is at least half white in the mask, and of the boxes, beside what is NaN
        already.

        Raises:
            UsageError: there is nothing of all that.
            RestoreError: mask and boxes leave nothing out.
        """
        if self._sees:
            return pixels, None
        missing = np.asarray(np.isnan(pixels).any(axis=2), np.uint8)
        if mask is None and not self.box and not self.detect and not missing.any():
            raise UsageError("Nothing says what is missing; give --mask, --box or --detect.")
        if mask is not None:
            missing[mask >= 0.5] = 1
        height, width = missing.shape
        for x, y, across, down in self.box:
            if x >= width or y >= height:
                raise RestoreError(
                    f"the box {x},{y},{across},{down} lies outside of {width} x {height} pixels."
                )
            missing[y : y + down, x : x + across] = 1
        if self.grow and missing.any():
            import cv2

            missing = np.asarray(
                cv2.distanceTransform(1 - missing, cv2.DIST_C, 3) <= self.grow, np.uint8
            )
        if not missing.any() and not self.detect:
            raise RestoreError(
                "nothing is missing, for its mask is nowhere half white or more; make white what"
                " is missing."
            )
        if missing.all():
            raise RestoreError("all of it is missing; leave something that is to stay.")
        return np.where(missing[..., None], np.float32(np.nan), pixels), missing.astype(np.float32)

    def coarsen(self, observed: Image) -> Image | None:
        """Half the size, if a gap is so wide that its middle is out of sight of its border."""
        import cv2

        missing: Mask = np.asarray(np.isnan(observed).any(axis=2))
        if not missing.any() or missing.all():
            return None
        depth = cv2.distanceTransform(
            np.pad(missing.astype(np.uint8), 1), cv2.DIST_C, 3
        )  # the border is known
        return halve(observed, missing)[0] if depth.max() > DEPTH else None

    def refine(self, pixels: Image, observed: Image, restored: Image) -> Image:
        """The smaller picture's pixels in the gaps, bicubically enlarged."""
        import cv2

        height, width = observed.shape[:2]
        size = (2 * restored.shape[1], 2 * restored.shape[0])
        larger = cv2.resize(restored, size, interpolation=cv2.INTER_CUBIC).reshape(
            size[1], size[0], -1
        )
        return np.where(np.isnan(observed), larger[:height, :width], pixels)

    def plain(self, observed: Image) -> Image:
        """Missing pixels smoothly filled; see `fill`."""
        return fill(observed, np.asarray(np.isnan(observed).any(axis=2)))


def find_paint(change: Image, least: int) -> tuple[NDArray[np.uint8], int]:
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


def is_all(found: NDArray[np.uint8], change: Image) -> bool:
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


def fill(image: Image, missing: Mask) -> Image:
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


def halve(image: Image, missing: Mask) -> tuple[Image, Mask]:
    """Half the size, rounded up: means of the known ones of four pixels, or NaN; and where none is
    known.
    """
    even = tuple((0, side % 2) for side in missing.shape)
    known = np.pad(np.asarray(~missing, np.float32), even)
    values = np.pad(np.where(missing[..., None], np.float32(0), image), (*even, (0, 0)))

    def sums(plane: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = plane[::2] + plane[1::2]
        return np.asarray(rows[:, ::2] + rows[:, 1::2])

    count = sums(known)
    means = sums(values) / np.maximum(count, 1)[..., None]
    lost: Mask = count == 0
    return np.where(lost[..., None], np.float32(np.nan), means), lost


def draw_mask(
    damage: str, height: int, width: int, rng: Random, *, size: float = 16, share: float = 0.15
) -> NDArray[np.float32]:
    """Where pixels are missing, H x W in [0, 1]: above 0 they are, below 1 at the soft edge of a
    letter.

    The same random state gives the same mask; letters are those of the Pillow and OpenCV at hand.

    Args:
        damage: "text": level lines of random words, as far apart as the type's height; "scratches":
            curves 1 to 3 pixels wide; "boxes": rectangles of a twentieth to a third of the sides;
            "hole": one rectangle in the middle, of the image's shape (a quarter of the pixels is
            half of each side); "shifted": as much of it as one of its size covers that lies at a
            random place. So IRAE's paper has it, with 128x128 of 256x256 pixels; it leaves open how
            large its "central region" is.
        height, width: in pixels.
        rng: draws where.
        size: of the type in pixels, rounded: the em of Pillow's, the height of capitals of
            OpenCV's.
        share: of missing pixels; what is drawn last goes past it by a part of itself, the hole
            rounds its sides and loses some when it is shifted, and text ends when its lines are
            full, at 0.2 to 0.4.
    """
    if damage in ("hole", "shifted"):
        mask = np.zeros((height, width), np.float32)
        inner = [round(side * math.sqrt(share)) for side in (height, width)]
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        mask[top : top + inner[0], left : left + inner[1]] = 1
        if damage == "shifted":
            top, left = (
                int(rng.uniform(0, side - part + 1))
                for side, part in zip(mask.shape, inner, strict=True)
            )
            mask[:top], mask[top + inner[0] :], mask[:, :left], mask[:, left + inner[1] :] = (
                0,
                0,
                0,
                0,
            )
        return mask
    if damage == "text":
        return _draw_text(height, width, rng, round(size), share)
    return _draw_shapes(damage, height, width, rng, share)


def _draw_shapes(
    damage: str, height: int, width: int, rng: Random, share: float
) -> NDArray[np.float32]:
    import cv2

    mask = np.zeros((height, width), np.uint8)
    shapes: list[NDArray[np.int32]] = []
    while cv2.countNonZero(mask) < share * mask.size:
        if not shapes:
            shapes = list((_draw_boxes if damage == "boxes" else _draw_curves)(height, width, rng))
        shape = shapes.pop()
        if damage == "boxes":
            (left, top), (right, bottom) = shape
            mask[top:bottom, left:right] = 1
        else:
            cv2.polylines(mask, list(shape), False, 1)
    return mask.astype(np.float32)


def _draw_boxes(height: int, width: int, rng: Random) -> NDArray[np.int32]:
    """Eight rectangles: 8 x (first corner, last corner) x (column, row), the last one excluded."""
    extent = np.array([width, height])
    sides = np.maximum(1, extent * rng.uniform(1 / 20, 1 / 3, (8, 2)))
    corners = rng.uniform(0, 1, (8, 2)) * (extent - sides)
    return np.asarray(np.rint(np.stack([corners, corners + sides], axis=1)), np.int32)


def _draw_curves(height: int, width: int, rng: Random) -> list[NDArray[np.int32]]:
    """Eight scratches, parabolas bent by up to a fifth of their length: 1 to 3 lines x 17 x
    (column, row).
    """
    start, end = np.moveaxis(rng.uniform(-0.1, 1.1, (8, 2, 2)) * np.array([width, height]), 1, 0)
    away = end - start
    bend = (start + end) / 2 + rng.uniform(-0.4, 0.4, (8, 1)) * away[:, ::-1] * [1, -1]
    t = np.linspace(0, 1, 17)[:, None]
    curves = start[:, None] * (1 - t) ** 2 + 2 * bend[:, None] * t * (1 - t) + end[:, None] * t**2
    # OpenCV draws lines of two pixels as thick as of three, so wide ones are thin ones side by
    # side.
    aside = np.abs(away) < np.abs(away)[:, ::-1]
    lines = curves[:, None] + np.arange(3)[:, None, None] * aside[:, None, None]
    widths = rng.uniform(1, 4, 8).astype(int)
    return [
        line[:width] for line, width in zip(np.rint(lines).astype(np.int32), widths, strict=True)
    ]


def _draw_text(
    height: int, width: int, rng: Random, size: int, share: float
) -> NDArray[np.float32]:
    strip = _text_strip(int(rng.choice(paint.FACES)), size)
    tall, long = strip.shape
    pitch = tall + max(1, size // 5)
    mask = np.zeros((height, width), np.uint8)
    wanted = math.ceil(share * mask.size)
    tops = np.arange(-int(rng.uniform(0, pitch)), height, pitch)
    for top in rng.permutation(tops):
        first = int(rng.uniform(0, long))
        line = strip[max(0, -top) : height - top].take(
            range(first, first + width), axis=1, mode="wrap"
        )
        counts = np.cumsum(np.count_nonzero(line, axis=0))
        if counts[-1] > wanted:
            line = line[:, : int(np.searchsorted(counts, wanted)) + 1]
        top = max(0, int(top))
        mask[top : top + len(line), : line.shape[1]] = line
        wanted -= int(counts[-1])
        if wanted <= 0:
            break
    return mask.astype(np.float32) / np.float32(255)


@functools.lru_cache(maxsize=256)
def _text_strip(face: int, size: int) -> NDArray[np.uint8]:
    """A long line of white text on black, size x several thousand; made-up words, the same ones
    always.
    """
    letters = np.random.RandomState(face * 100 + size)
    alphabet = list(string.ascii_lowercase * 4 + string.ascii_uppercase + string.digits)
    words = ("".join(letters.choice(alphabet, length)) for length in letters.randint(1, 11, 60))
    line = " ".join(words)
    return paint.set_line(line, size, face)
