"""The degradation of photos that cameras, editors and the web have reduced."""

from __future__ import annotations

import numpy as np

from restore_cli.degradations import Random, photo_noise
from restore_cli.degradations.camera import add_camera_noise
from restore_cli.degradations.grain import mottle
from restore_cli.image import Pixels, resize, round_to_bytes

WORN = 20.0  # highest noise level of reduced photos, on the 0..255 scale


def wear(clean: Pixels, height: int, width: int, rng: Random) -> Pixels:
    """Reduce a photo as cameras, editors and the web do, in up to two rounds.

    Each round blurs the photo, reduces it by a part of the factor, adds noise and compresses it, in
    random order and strength. One photo in eight is only reduced. This follows Zhang et al.,
    "Designing a Practical Degradation Model for Deep Blind Image Super-Resolution", and Wang et
    al., "Real-ESRGAN", both ICCV 2021, but is milder.

    Args:
        clean: H x W x C in [0, 1].
        height, width: of the result.
    """
    if rng.uniform() < 0.125:
        return round_to_bytes(resize(clean, height, width))
    worn, share = clean, rng.uniform()
    rounds = [(share, 0.5), (1.0, 1.0)]  # share of the reduction (as an exponent), and of the noise
    for way, part in rounds[rng.uniform() < 0.4 :]:
        sides = zip(clean.shape, (height, width), strict=False)
        tall, wide = (round(full * (end / full) ** way) for full, end in sides)
        for step in rng.permutation(3):
            if step == 0:
                worn = _reduce(_blur(worn, rng), tall, wide, rng)
            elif step == 1 and rng.uniform() < 0.6:
                level = part * photo_noise.draw_level(rng, WORN)
                add = add_camera_noise if rng.uniform() < 0.4 else mottle
                worn = add(worn, level, rng).clip(0, 1) if level else worn
            elif step == 2:
                worn = photo_noise.save(worn, rng, share=0.5)
    return round_to_bytes(worn)


def _blur(photo: Pixels, rng: Random) -> Pixels:
    """Blur by up to about 1.5 pixels, with a Gaussian that is mostly wider in one direction."""
    import cv2

    if rng.uniform() < 0.25:
        return photo
    across, along, angle = rng.uniform(0.2, 1.5), rng.uniform(0.2, 1.5), rng.uniform(0, np.pi)
    y, x = np.mgrid[-4:5, -4:5].astype(np.float64)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.exp(-0.5 * ((u / across) ** 2 + (v / along) ** 2))
    blurred = cv2.filter2D(photo, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
    return np.asarray(blurred.reshape(photo.shape), np.float32)


def _reduce(photo: Pixels, height: int, width: int, rng: Random) -> Pixels:
    """Reduce by area, bilinearly, or bicubically with or without antialiasing."""
    import cv2

    way = int(rng.uniform(0, 4))
    if way == 0:
        return np.asarray(resize(photo, height, width).clip(0, 1), np.float32)
    kind = (cv2.INTER_AREA, cv2.INTER_LINEAR, cv2.INTER_CUBIC)[way - 1]
    reduced = cv2.resize(photo, (width, height), interpolation=kind).reshape(height, width, -1)
    return np.asarray(reduced.clip(0, 1), np.float32)
