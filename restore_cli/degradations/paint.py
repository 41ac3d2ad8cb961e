"""Text and scratches on photos: date stamps, captions, watermarks, dust and scratches.

A network that detects them must also have seen signs and lines that belong to a photo, and the
JPEG artifacts of both.
"""

from __future__ import annotations

import numpy as np

from restore_cli.degradations import Random
from restore_cli.degradations.lettering import draw_strip, draw_text
from restore_cli.degradations.look import Look
from restore_cli.degradations.photo_noise import save
from restore_cli.image import Pixels

UNTOUCHED = 0.12  # share of photos without damage
FURNISHED = 0.3  # share of photos that get letters or lines that belong to them
COMPRESSED = 0.5  # share of photos that become JPEGs
PIECES = 12  # maximum number of lines of text or of scratches


def paint(clean: Pixels, kind: str, rng: Random, *, size: float, share: float) -> Pixels:
    """Paint text or scratches of a random look over a photo.

    Args:
        clean: H x W x C in [0, 1].
        kind: "text" or "scratches".
        rng: draws everything.
        size: of the type in pixels.
        share: share of covered pixels at which no more pieces are added after the first.
    """
    height, width, channels = clean.shape
    look = Look.draw(kind, size, channels, rng)
    cover = np.zeros((height, width), np.float32)
    for _ in range(PIECES):
        text = kind == "text"
        piece = draw_text(height, width, rng, size) if text else _draw_scratch(height, width, rng)
        cover = np.maximum(cover, piece)
        if np.count_nonzero(cover) >= share * cover.size:
            break
    return look.lay(cover, clean)


def pair(
    clean: Pixels, kind: str, rng: Random, *, size: float, share: float
) -> tuple[Pixels, Pixels]:
    """Return the file of a photo with text or scratches, and the same file without; see `paint`.

    Some photos contain letters or lines that belong to them, in both files; some have no damage.
    """
    if rng.uniform() < FURNISHED:
        clean = _furnish(clean, kind, rng)
    painted = (
        clean if rng.uniform() < UNTOUCHED else paint(clean, kind, rng, size=size, share=share)
    )
    seed = int(rng.uniform(0, 2**31))
    file, plain = (
        save(photo.clip(0, 1), np.random.default_rng(seed), COMPRESSED)
        for photo in (painted, clean)
    )
    return file, plain


def _draw_scratch(height: int, width: int, rng: Random) -> Pixels:
    """Draw a scratch, bent or along a film, with smooth edges and often fading in places."""
    import cv2

    fine = 3
    extent = np.array([width, height])
    start, end = rng.uniform(-0.1, 1.1, (2, 2)) * extent
    kind = rng.uniform()
    if kind < 0.3:  # short: a hair, a nick
        end = start + (end - start) * rng.uniform(0.05, 0.3)
    elif kind < 0.5:  # along a film
        end = np.array([start[0] + rng.uniform(-0.03, 0.03) * width, height])
        start = np.array([start[0], -1.0])
    away = end - start
    bow = rng.uniform(-0.3, 0.3) * (0.05 if kind > 0.7 else 1)
    bend = (start + end) / 2 + bow * away[::-1] * [1, -1]
    t = np.linspace(0, 1, 33)[:, None]
    curve = start * (1 - t) ** 2 + 2 * bend * t * (1 - t) + end * t**2
    canvas = np.zeros((fine * height, fine * width), np.uint8)
    thickness = round(rng.uniform(0.7, 4) * fine)
    points = np.rint(curve * fine).astype(np.int32)
    cv2.polylines(canvas, [points], False, 255, thickness, cv2.LINE_AA)
    reduced = cv2.resize(canvas, (width, height), interpolation=cv2.INTER_AREA)
    cover = reduced.astype(np.float32) / 255
    if rng.uniform() < 0.5:
        coarse = rng.uniform(-0.2, 1.6, (height // 12 + 2, width // 12 + 2)).clip(0, 1)
        cover *= cv2.resize(
            coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR
        )
    return np.asarray(cover, np.float32)


def _furnish(photo: Pixels, kind: str, rng: Random) -> Pixels:
    """Add something that must not be detected: a sign, or the other kind of paint."""
    if rng.uniform() < 0.5:
        return _hang_sign(photo, rng)
    other = "scratches" if kind == "text" else "text"
    return paint(photo, other, rng, size=rng.uniform(8, 40), share=0.02)


def _hang_sign(photo: Pixels, rng: Random) -> Pixels:
    """Add a board with letters in perspective, with the light and texture of its place."""
    import cv2

    height, width, channels = photo.shape
    strip = draw_strip(rng, rng.uniform(12, 48))
    tall, long = strip.shape
    middle = rng.uniform(0.2, 0.8, 2) * [width, height]
    side = np.array([min(long, width), min(tall * rng.uniform(0.7, 1.5), height)]) / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * side
    far_side = [1, 2] if rng.uniform() < 0.5 else [0, 3]
    corners[far_side, 1] *= rng.uniform(0.35, 0.75)
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
