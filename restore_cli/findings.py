"""Finds what damages a photo: noise, JPEG compression, rain, haze and blur.

The bundled networks for rain, haze and blur were also trained on photos without this damage, which
they must not change. How much they change a photo therefore measures the damage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from restore_cli.blur import SHORTEST, deconvolve, measure_blur
from restore_cli.haze import measure_removed, reduce_scene
from restore_cli.image import Mask, Picture, Pixels, find_inside
from restore_cli.metrics import estimate_compressions
from restore_cli.noise import (
    MIN_VISIBLE,
    SIDE,
    Noise,
    cut_windows,
    exposed,
    measure_noise,
    run_windows,
    visible_windows,
)

_INSIDE = np.s_[16:-16, 16:-16]  # of a window; a network restores its borders worse
_RINGING = 16  # pixels that the JPEG compression of a frame may have changed
_PART = 32  # side in pixels of the parts that are searched for rain
_SPARED = 25  # percentage of the parts that rain may leave out
_STREAK = 3.0  # deviation in pixels of the Gaussian filter below which light is a streak
_VEILED = 1.25  # by how much the contrast of detail rises at least when haze is removed
_FLAT = 1 / 255  # contrast of fine detail that counts as none
_FINE = 2.0  # deviation in pixels of the Gaussian filter below which detail is fine


@dataclass(frozen=True)
class Compression:
    """A JPEG compression of a photo.

    Attributes:
        quality: libjpeg's quality, 1 to 100.
        corner: row and column where blocks start, 0 to 15.
    """

    quality: int
    corner: tuple[int, int]


@dataclass(frozen=True)
class Findings:
    """What was measured in a photo.

    Attributes:
        width, height: its size in pixels.
        noise: its noise; streaks of rain and very strong JPEG artifacts raise the level.
        compressions: its JPEG compressions, the last one first; at most two are found.
        rain: deviation of the light of streaks on the 0..255 scale, in the quarter of the photo
            with the least rain.
        haze: mean brightness of the haze that is removed, on the 0..255 scale; 0 if the contrast
            of detail hardly rises, as that of a pale sky.
        blur: by how much sharpening increases the contrast of fine detail; 1 for a sharp photo.
        searched: whether rain, haze and blur were measured, which needs 128 pixels on each side.
    """

    width: int
    height: int
    noise: Noise
    compressions: tuple[Compression, ...] = ()
    rain: float = 0.0
    haze: float = 0.0
    blur: float = 1.0
    searched: bool = True


def examine(picture: Picture) -> Findings:
    """Measure the damage of a photo, in windows all over it.

    Args:
        picture: pixels H x W x C in [0, 1]; transparent ones and a frame of one color are ignored.

    Raises:
        WeightsError: the file of a network is missing or damaged.
    """
    height, width, compressions = picture.height, picture.width, _find_compressions(picture)
    if inside := find_inside(picture.pixels, _RINGING):
        picture = picture.crop(*inside)
    pixels, visible = picture.opaque_pixels(), picture.visible
    noise = measure_noise(pixels, visible)
    if min(pixels.shape[:2]) < SHORTEST:
        return Findings(width, height, noise, compressions, searched=False)
    return Findings(
        width=width,
        height=height,
        noise=noise,
        compressions=compressions,
        rain=_measure_rain(pixels, exposed(pixels, visible)),
        haze=_measure_haze(pixels),
        blur=_measure_blur(pixels, visible),
    )


def _find_compressions(picture: Picture) -> tuple[Compression, ...]:
    """The last JPEG compression, of which a JPEG file has the quality, and one before it."""
    found = estimate_compressions(picture.pixels, picture.compression, picture.visible)
    return tuple(Compression(*one) for one in found)


def _measure_rain(pixels: Pixels, visible: Mask | None) -> float:
    """Measure the light that removing rain takes away, apart from smooth changes.

    Rain is everywhere in a photo, so the quarter of its parts with the least rain is decisive.
    Parts that are mostly invisible do not count.
    """
    import cv2

    if visible is None:
        visible = np.ones(pixels.shape[:2], bool)
    before, after = _restore_windows("derain", pixels, visible)
    seen = [
        visible[top : top + SIDE, left : left + SIDE][_INSIDE]
        for top, left in visible_windows(pixels, visible)
    ]
    removed = [window - cv2.GaussianBlur(window, (0, 0), _STREAK) for window in before - after]
    parts = [
        window[row : row + _PART, column : column + _PART].std()
        for window, shown in zip(removed, seen, strict=True)
        for row in range(0, window.shape[0] - _PART + 1, _PART)
        for column in range(0, window.shape[1] - _PART + 1, _PART)
        if shown[row : row + _PART, column : column + _PART].mean() >= MIN_VISIBLE
    ]
    return 255 * float(np.percentile(parts, _SPARED)) if parts else 0.0


def _measure_haze(pixels: Pixels) -> float:
    """Measure by how much removing haze darkens the scene; see `measure_removed`."""
    from restore_cli.models.checkpoint import load_default

    network, small = load_default("dehaze"), reduce_scene(pixels)
    height, width = small.shape[:2]
    around = [(0, -side % network.geometry.multiple) for side in (height, width)]
    padded = np.pad(small, [*around, (0, 0)], "symmetric")
    output = run_windows(network, padded.transpose(2, 0, 1)[None])[0].transpose(1, 2, 0)
    darker, clearer = measure_removed(small, output[:height, :width].clip(0, 1))
    return darker if clearer >= _VEILED else 0.0


def _measure_blur(pixels: Pixels, visible: Mask | None) -> float:
    """Measure how much sharpening gains in fine detail; sharp windows have most of it and count.

    So a photo with a blurred background is sharp.
    """
    import cv2

    def detail(windows: Pixels) -> float:
        fine = [window - cv2.GaussianBlur(window, (0, 0), _FINE) for window in windows]
        return float(np.std(fine)) + _FLAT

    def with_inverse(windows: Pixels) -> Pixels:
        blurring = measure_blur(pixels, visible)
        inverse = [np.stack(deconvolve(one.transpose(1, 2, 0), blurring)) for one in windows]
        colors = np.broadcast_to(windows, (len(windows), 3, *windows.shape[2:]))
        return np.concatenate([colors, inverse], axis=1)

    before, after = _restore_windows("deblur", pixels, visible, with_inverse)
    return detail(after) / detail(before) if before.size else 1.0


def _restore_windows(
    task: str,
    pixels: Pixels,
    visible: Mask | None,
    feed: Callable[[Pixels], Pixels] = lambda windows: windows,
) -> tuple[Pixels, Pixels]:
    """The brightness of windows, N x h x w, before and after a task's default network.

    Args:
        feed: makes the network's input of windows, N x C x h x w.
    """
    from restore_cli.models.checkpoint import load_default

    network = load_default(task)
    windows = cut_windows(pixels, visible, network)
    if not len(windows):
        return np.empty((0, 1, 1), np.float32), np.empty((0, 1, 1), np.float32)
    restored = run_windows(network, feed(windows)).clip(0, 1)
    return windows.mean(axis=1)[:, *_INSIDE], restored.mean(axis=1)[:, *_INSIDE]
