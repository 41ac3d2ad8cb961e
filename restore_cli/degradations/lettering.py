"""Lines of text: dates, captions, watermarks, and the text on signs."""

from __future__ import annotations

import math
import string

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Random
from restore_cli.image import Pixels

FACES = 6  # typefaces
LONGEST = 24  # characters in a line
MARGIN = 0.5  # around letters, as a share of their height: room for outlines and shadows
DATES = (
    "00.00.0000",
    "'00 00 00",
    "00 00 '00",
    "0000/00/00",
    "0000-00-00 00:00",
    "00:00:00",
    "0 0 00 00:00",
)
SEGMENTS = {  # of a seven-segment digit; its corners are 0 1 at the top, 2 3, and 4 5 below
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


def draw_text(height: int, width: int, rng: Random, size: float) -> Pixels:
    """Draw a line of text at a random place, horizontal or slanted."""
    import cv2

    strip = draw_strip(rng, size)
    tall, long = strip.shape
    turned = rng.uniform(-45, 45) if rng.uniform() < 0.2 else 0.0
    shear, stretch = rng.uniform(-0.3, 0.3) if rng.uniform() < 0.3 else 0.0, rng.uniform(0.8, 1.25)
    turn = np.array(cv2.getRotationMatrix2D((0, 0), turned, 1))[:, :2]
    shape = turn @ np.array([[stretch, shear], [0, 1]])
    place = np.array([rng.uniform(0, 1) * width, rng.uniform(0, 1) * height])
    matrix = np.column_stack([shape, place - shape @ [rng.uniform(0, 1) * long, tall / 2]])
    return np.asarray(cv2.warpAffine(strip, matrix, (width, height)), np.float32)


def draw_strip(rng: Random, size: float) -> Pixels:
    """Draw a line of text, white on black, with a margin."""
    height = round(size)
    if rng.uniform() < 0.2:
        line = _digits(_date(rng), height, rng)
    else:
        words = _date(rng) if rng.uniform() < 0.3 else _words(rng)
        # Pillow's typeface, which is most like today's, is more frequent.
        face = max(0, int(rng.uniform(-2, FACES)))
        weight = rng.uniform(0, 0.08) if face == 0 else rng.uniform(0.05, 0.2)
        line = set_line(words, height, face, round(weight * height))
    return np.pad(line.astype(np.float32) / 255, math.ceil(MARGIN * height))


def _date(rng: Random) -> str:
    form = DATES[int(rng.uniform(0, len(DATES)))]
    return "".join(str(int(rng.uniform(0, 10))) if sign == "0" else sign for sign in form)


def _words(rng: Random) -> str:
    """Make up one to four words, as in captions and watermarks."""
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
    """Draw a date as cameras stamp it, in seven-segment digits; half of them without gaps."""
    import cv2

    fine = 4  # drawn larger by this factor, for smooth edges
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


def set_line(words: str, size: int, face: int, weight: int | None = None) -> NDArray[np.uint8]:
    """Draw a line of white text on black, cropped to the text.

    Args:
        words: the text, in ASCII.
        size: pixels; the em of Pillow's typeface, or the height of capitals of OpenCV's.
        face: 0 is Pillow's default typeface, 1 to 5 are OpenCV's (Hershey's up to version 4).
        weight: width of strokes in pixels, or for Pillow's the width that is added on either side;
            None is the default.
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
