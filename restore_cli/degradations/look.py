"""The look of painted letters and lines: colors, outline, shadow, softness, opacity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Random
from restore_cli.image import Pixels

WHITE, BLACK = (1, 1, 1), (0, 0, 0)
ORANGE, YELLOW, RED = (1, 0.5, 0.1), (1, 0.85, 0.2), (0.9, 0.15, 0.1)
# None is a random color.
TEXT_COLORS = (WHITE,) * 3 + (BLACK,) * 2 + (ORANGE,) * 2 + (YELLOW, RED, None, None)
LINE_COLORS = (WHITE,) * 3 + (BLACK,) * 3 + (None,)


@dataclass(frozen=True)
class Look:
    """The look of painted letters and lines.

    Attributes:
        body, edge, shade: colors, C each, of the strokes, their outlines and their shadows; None
            leaves them out.
        outline: width of the outline in pixels.
        offset: of the shadow in pixels, across and down.
        softness: blur radius in pixels of all parts.
        blur: blur radius in pixels of the shadow.
        opacity: 0 to 1; 1 hides the photo.
    """

    body: Pixels | None
    edge: Pixels | None
    shade: Pixels | None
    outline: int
    offset: tuple[int, int]
    softness: float
    blur: float
    opacity: float

    @classmethod
    def draw(cls, kind: str, size: float, channels: int, rng: Random) -> Look:
        """Draw a look for "text" or for "scratches"."""
        text = kind == "text"
        body = _color(TEXT_COLORS if text else LINE_COLORS, channels, rng)
        bright = body.mean() > 0.5
        contrast = np.full_like(body, rng.uniform(0, 0.2) if bright else rng.uniform(0.8, 1))
        outlined = rng.uniform() < (0.4 if text else 0.15)
        glows = rng.uniform() < 0.4
        reach = max(1.0, size / 8) if text else 1.0

        def offset() -> tuple[int, int]:
            across, down = rng.uniform(-1, 1), rng.uniform(0, 1)
            return round(across * reach), round(down * reach)

        return cls(
            body=None if outlined and rng.uniform() < 0.1 else body,
            edge=contrast if outlined else None,
            shade=(body if glows else contrast) if rng.uniform() < (0.3 if text else 0.1) else None,
            outline=max(1, round(rng.uniform(0.3, 1) * reach)),
            offset=(0, 0) if glows else offset(),
            softness=rng.uniform(0.3, 0.9) if rng.uniform() < 0.6 else 0.0,
            blur=rng.uniform(0.3, 1) * reach,
            opacity=1.0 if rng.uniform() < 0.5 else rng.uniform(0.4, 1),
        )

    def lay(self, cover: Pixels, photo: Pixels) -> Pixels:
        """Paint a cover, H x W in [0, 1], over a photo, with shadow and outline."""
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


def _color(colors: tuple[tuple[float, ...] | None, ...], channels: int, rng: Random) -> Pixels:
    """Draw one of the colors, slightly varied; gray if there is a single channel."""
    color = colors[int(rng.uniform(0, len(colors)))]
    drawn = rng.uniform(0, 1, 3) if color is None else np.array(color) + rng.uniform(-0.12, 0.12, 3)
    drawn = drawn.clip(0, 1)
    return np.asarray(drawn if channels == 3 else np.full(channels, drawn.mean()), np.float32)
