"""What lies on photos: date stamps, captions, watermarks, scratches; and signs and lines that
belong to them.

A network that is to find the former must have seen the latter, and what JPEG makes of both.
"""

from __future__ import annotations

import math
import string
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Random, camera
from restore_cli.image import Pixels

UNTOUCHED = 0.12  # share of photos on which nothing lies
FURNISHED = 0.3  # share of photos that get letters or lines which belong to them
FACES = 6  # of type
COMPRESSED = 0.5  # share of photos that become JPEGs
PIECES = 12  # lines of text, or groups of scratches, at most
LONGEST = 24  # characters of a line
MARGIN = 0.5  # around letters, by their height: room for outlines and shadows
WHITE, BLACK, ORANGE, YELLOW, RED = (
    (1, 1, 1),
    (0, 0, 0),
    (1, 0.5, 0.1),
    (1, 0.85, 0.2),
    (0.9, 0.15, 0.1),
)
TEXT_COLORS = (
    WHITE,
    WHITE,
    WHITE,
    BLACK,
    BLACK,
    ORANGE,
    ORANGE,
    YELLOW,
    RED,
    None,
    None,
)  # None is any
LINE_COLORS = (WHITE, WHITE, WHITE, BLACK, BLACK, BLACK, None)
DATES = (
    "00.00.0000",
    "'00 00 00",
    "00 00 '00",
    "0000/00/00",
    "0000-00-00 00:00",
    "00:00:00",
    "0 0 00 00:00",
)
SEGMENTS = {  # of a digit as on a display: corners of its upper and lower square, 0 1, 2 3, 4 5
    "0": "01 13 35 54 42 20",
    "1": "13 35",
    "2": "01 13 32 24 45",
    "3": "01 13 32 35 54",
    "4": "02 23 13 35",
    "5": "10 02 23 35 54",
    "6": "10 02 24 45 53 32",
    "7": "01 13 35",
    "8": "01 13 35 54 42 20 23",
    "9": "32 20 01 13 35 54",
    "-": "23",
}

Plane = NDArray[np.float32]


def paint(clean: Pixels, kind: str, rng: Random, *, size: float, share: float) -> Pixels:
    """A photo with text or scratches on it, in a random color, mostly without a gap, or shining
    through.

    Args:
        clean: H x W x C in [0, 1].
        kind: "text" or "scratches".
        rng: draws all of it.
        size: of the type in pixels.
        share: of the pixels up to which more pieces follow the first.
    """
    height, width, channels = clean.shape
    draw = _text if kind == "text" else _scratches
    look = _Look.draw(kind, size, channels, rng)
    cover = np.zeros((height, width), np.float32)
    for _ in range(PIECES):
        cover = np.maximum(cover, draw(height, width, rng, size))
        if np.count_nonzero(cover) >= share * cover.size:
            break
    return look.lay(cover, clean)


def pair(
    clean: Pixels, kind: str, rng: Random, *, size: float, share: float
) -> tuple[Pixels, Pixels]:
    """The file of a photo with text or scratches on it, and the same file without; see `paint`.

    In some photos there are letters, or lines, that are to stay; on some nothing lies.
    """
    if rng.uniform() < FURNISHED:
        clean = _furnish(clean, kind, rng)
    painted = (
        clean if rng.uniform() < UNTOUCHED else paint(clean, kind, rng, size=size, share=share)
    )
    seed = int(rng.uniform(0, 2**31))
    file, plain = (
        camera.save(photo.clip(0, 1), np.random.default_rng(seed), COMPRESSED)
        for photo in (painted, clean)
    )
    return file, plain


@dataclass(frozen=True)
class _Look:
    """How letters and lines are painted.

    Attributes:
        body, edge, shade: colors of themselves, of their outlines and of their shadows, C each;
            None is none.
        outline: pixels. offset: of the shadow in pixels, across and down. softness, blur: radii in
            pixels of the whole and of the shadow.
        opacity: 1 hides the photo.
    """

    body: Plane | None
    edge: Plane | None
    shade: Plane | None
    outline: int
    offset: tuple[int, int]
    softness: float
    blur: float
    opacity: float

    @classmethod
    def draw(cls, kind: str, size: float, channels: int, rng: Random) -> _Look:
        text = kind == "text"
        body = _color(TEXT_COLORS if text else LINE_COLORS, channels, rng)
        bright = body.mean() > 0.5
        contrast = np.full_like(body, rng.uniform(0, 0.2) if bright else rng.uniform(0.8, 1))
        outlined = rng.uniform() < (0.4 if text else 0.15)
        glows = rng.uniform() < 0.4
        reach = max(1.0, size / 8) if text else 1.0
        return cls(
            body=None if outlined and rng.uniform() < 0.1 else body,
            edge=contrast if outlined else None,
            shade=(body if glows else contrast) if rng.uniform() < (0.3 if text else 0.1) else None,
            outline=max(1, round(rng.uniform(0.3, 1) * reach)),
            offset=(0, 0)
            if glows
            else (round(rng.uniform(-1, 1) * reach), round(rng.uniform(0, 1) * reach)),
            softness=rng.uniform(0.3, 0.9) if rng.uniform() < 0.6 else 0.0,
            blur=rng.uniform(0.3, 1) * reach,
            opacity=1.0 if rng.uniform() < 0.5 else rng.uniform(0.4, 1),
        )

    def lay(self, cover: Plane, photo: Pixels) -> Pixels:
        """The photo under shadow, outline and body."""
        import cv2

        paint, hidden = np.zeros_like(photo), np.zeros_like(photo[..., :1])
        around = cv2.dilate(cover, _disk(self.outline))
        shift = np.array([[1, 0, self.offset[0]], [0, 1, self.offset[1]]], np.float32)
        shadow = cv2.GaussianBlur(
            cv2.warpAffine(around, shift, cover.shape[::-1]), (0, 0), self.blur
        )
        hollow = around - cover if self.body is None else around
        for color, plane in ((self.shade, 0.8 * shadow), (self.edge, hollow), (self.body, cover)):
            if color is not None:
                soft = cv2.GaussianBlur(plane, (0, 0), self.softness) if self.softness else plane
                layer = np.asarray(soft, np.float32)[..., None]
                paint = paint * (1 - layer) + color * layer
                hidden = hidden * (1 - layer) + layer
        return np.asarray(photo * (1 - self.opacity * hidden) + self.opacity * paint, np.float32)


def _disk(radius: int) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2), np.uint8)


def _color(colors: tuple[tuple[float, ...] | None, ...], channels: int, rng: Random) -> Plane:
    """One of some colors, about; gray where there is a single channel."""
    color = colors[int(rng.uniform(0, len(colors)))]
    drawn = rng.uniform(0, 1, 3) if color is None else np.array(color) + rng.uniform(-0.12, 0.12, 3)
    drawn = drawn.clip(0, 1)
    return np.asarray(drawn if channels == 3 else np.full(channels, drawn.mean()), np.float32)


def _text(height: int, width: int, rng: Random, size: float) -> Plane:
    """A line of text somewhere, level or aslant."""
    import cv2

    strip = _strip(rng, size)
    tall, long = strip.shape
    turned = rng.uniform(-45, 45) if rng.uniform() < 0.2 else 0.0
    shear, stretch = rng.uniform(-0.3, 0.3) if rng.uniform() < 0.3 else 0.0, rng.uniform(0.8, 1.25)
    turn = np.array(cv2.getRotationMatrix2D((0, 0), turned, 1))[:, :2]
    shape = turn @ np.array([[stretch, shear], [0, 1]])
    place = np.array([rng.uniform(0, 1) * width, rng.uniform(0, 1) * height])
    matrix = np.column_stack([shape, place - shape @ [rng.uniform(0, 1) * long, tall / 2]])
    return np.asarray(cv2.warpAffine(strip, matrix, (width, height)), np.float32)


def _strip(rng: Random, size: float) -> Plane:
    """A line of text, white on black, with a margin."""
    height = round(size)
    if rng.uniform() < 0.2:
        line = _digits(_date(rng), height, rng)
    else:
        words = _date(rng) if rng.uniform() < 0.3 else _words(rng)
        face = max(
            0, int(rng.uniform(-2, FACES))
        )  # Pillow's, the likest to the type of today, more often
        weight = rng.uniform(0, 0.08) if face == 0 else rng.uniform(0.05, 0.2)
        line = set_line(words, height, face, round(weight * height))
    return np.pad(line.astype(np.float32) / 255, math.ceil(MARGIN * height))


def _date(rng: Random) -> str:
    form = DATES[int(rng.uniform(0, len(DATES)))]
    return "".join(str(int(rng.uniform(0, 10))) if sign == "0" else sign for sign in form)


def _words(rng: Random) -> str:
    """One to four made-up words, as of captions and watermarks."""
    letters = (
        string.ascii_uppercase
        if rng.uniform() < 0.4
        else string.ascii_lowercase * 4 + string.ascii_uppercase
    )
    letters += string.digits
    lengths = rng.uniform(1, 10, int(rng.uniform(1, 5))).astype(int)
    words = (
        "".join(letters[int(at)] for at in rng.uniform(0, len(letters), length))
        for length in lengths
    )
    return " ".join(words)[:LONGEST]


def _digits(date: str, height: int, rng: Random) -> NDArray[np.uint8]:
    """As cameras stamp dates: digits of seven segments; or, half the time, without the gaps between
    these.
    """
    import cv2

    fine = 4  # times larger, for smooth edges
    tall, weight = fine * height, max(fine, round(rng.uniform(0.08, 0.18) * fine * height))
    wide, gap = round(rng.uniform(0.45, 0.6) * tall), weight / tall if rng.uniform() < 0.5 else 0.0
    pitch = wide + 2 * weight
    canvas = np.zeros((tall + 2 * weight, pitch * len(date)), np.uint8)
    for place, sign in enumerate(date):
        origin = np.array([place * pitch + weight, weight])
        if sign in ".:'":
            for level in {".": [1.0], ":": [0.3, 0.7], "'": [0.0]}[sign]:
                dot = int(origin[0] + wide / 2), int(origin[1] + level * tall)
                cv2.circle(canvas, dot, weight * 2 // 3, 255, -1)
        elif sign == "/":
            cv2.line(canvas, [int(origin[0]), tall], [int(origin[0]) + wide, weight], 255, weight)
        for segment in SEGMENTS.get(sign, "").split():
            ends = np.array([[int(end) % 2 * wide, int(end) // 2 * tall / 2] for end in segment])
            ends += gap * (ends[::-1] - ends)
            start, end = (origin + ends).astype(int).tolist()
            cv2.line(canvas, start, end, 255, weight)
    size = (canvas.shape[1] // fine, canvas.shape[0] // fine)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def _scratches(height: int, width: int, rng: Random, size: float) -> Plane:  # noqa: ARG001
    """A scratch: bent, or along a film; with smooth edges, and mostly paler in places."""
    import cv2

    fine = 3
    extent = np.array([width, height])
    start, end = rng.uniform(-0.1, 1.1, (2, 2)) * extent
    kind = rng.uniform()
    if kind < 0.3:  # short: a hair, a nick
        end = start + (end - start) * rng.uniform(0.05, 0.3)
    elif kind < 0.5:  # along a film
        start, end = (
            np.array([start[0], -1.0]),
            np.array([start[0] + rng.uniform(-0.03, 0.03) * width, height]),
        )
    away = end - start
    bend = (start + end) / 2 + rng.uniform(-0.3, 0.3) * (0.05 if kind > 0.7 else 1) * away[::-1] * [
        1,
        -1,
    ]
    t = np.linspace(0, 1, 33)[:, None]
    curve = start * (1 - t) ** 2 + 2 * bend * t * (1 - t) + end * t**2
    canvas = np.zeros((fine * height, fine * width), np.uint8)
    thickness = round(rng.uniform(0.7, 4) * fine)
    cv2.polylines(
        canvas, [np.rint(curve * fine).astype(np.int32)], False, 255, thickness, cv2.LINE_AA
    )
    cover = (
        cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    )
    if rng.uniform() < 0.5:
        coarse = (
            rng.uniform(-0.2, 1.6, (height // 12 + 2, width // 12 + 2))
            .clip(0, 1)
            .astype(np.float32)
        )
        cover *= cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cover, np.float32)


def _furnish(photo: Pixels, kind: str, rng: Random) -> Pixels:
    """Put something into a photo that is not to be found: a sign in perspective, or what is not
    asked for.
    """
    if rng.uniform() < 0.5:
        return _hang_sign(photo, rng)
    other = "scratches" if kind == "text" else "text"
    return paint(photo, other, rng, size=rng.uniform(8, 40), share=0.02)


def _hang_sign(photo: Pixels, rng: Random) -> Pixels:
    """A board with letters, seen from aside, in the light and with the texture of its place."""
    import cv2

    height, width, channels = photo.shape
    strip = _strip(rng, rng.uniform(12, 48))
    tall, long = strip.shape
    middle = rng.uniform(0.2, 0.8, 2) * [width, height]
    side = np.array([min(long, width), min(tall * rng.uniform(0.7, 1.5), height)]) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side
    corners[[1, 2] if rng.uniform() < 0.5 else [0, 3], 1] *= rng.uniform(
        0.35, 0.75
    )  # the side farther away
    corners[:, 1] += rng.uniform(-0.4, 0.4) * corners[:, 0]
    source = np.array([[0, 0], [long, 0], [long, tall], [0, tall]], np.float32)
    matrix = cv2.getPerspectiveTransform(source, np.asarray(corners + middle, np.float32))
    letters, board = (
        cv2.warpPerspective(plane, matrix, (width, height))
        for plane in (strip, np.ones_like(strip))
    )
    soft = rng.uniform(0.5, 1.3)
    light = cv2.GaussianBlur(photo, (0, 0), 6).reshape(photo.shape)
    grain = photo - light
    sign, shade = photo, 0.4 + 0.8 * light.mean(axis=2, keepdims=True)
    for plane in (board, letters):
        color = np.asarray(rng.uniform(0, 1, channels), np.float32)
        cover = cv2.GaussianBlur(plane, (0, 0), soft)[..., None]
        sign = sign * (1 - cover) + (color * shade + 0.3 * grain) * cover
    return np.asarray(sign.clip(0, 1), np.float32)


def set_line(words: str, size: int, face: int, weight: int | None = None) -> NDArray[np.uint8]:
    """A line of white text on black, as high and wide as it is.

    Args:
        words: in ASCII.
        size: pixels; the em of Pillow's face, the height of capitals of OpenCV's.
        face: 0 is Pillow's own, 1 to 5 are OpenCV's, Hershey's up to its version 4.
        weight: of strokes in pixels, or of Pillow's how much is added on either side; None is the
            usual.
    """
    return (
        _pillow_line(words, size, weight or 0)
        if face == 0
        else _hershey_line(words, size, face, weight)
    )


def _pillow_line(line: str, size: int, stroke: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size)
    left, top, right, bottom = (round(edge) for edge in font.getbbox(line, stroke_width=stroke))
    canvas = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(canvas).text((-left, -top), line, 255, font, stroke_width=stroke)
    return np.asarray(canvas)


def _hershey_line(line: str, size: int, face: int, weight: int | None) -> NDArray[np.uint8]:
    import cv2

    faces = (
        cv2.FONT_HERSHEY_SIMPLEX,
        cv2.FONT_HERSHEY_DUPLEX,
        cv2.FONT_HERSHEY_COMPLEX,
        cv2.FONT_HERSHEY_TRIPLEX,
        cv2.FONT_HERSHEY_COMPLEX | cv2.FONT_ITALIC,
    )
    weight = max(1, size // 12 if weight is None else weight)
    scale = cv2.getFontScaleFromHeight(faces[face - 1], size, weight)
    (width, height), below = cv2.getTextSize(line, faces[face - 1], scale, weight)
    canvas = np.zeros((height + below, width), np.uint8)
    cv2.putText(canvas, line, (0, height), faces[face - 1], scale, 255, weight, cv2.LINE_AA)
    rows = np.flatnonzero(canvas.any(axis=1))
    return canvas[rows[0] : rows[-1] + 1]
