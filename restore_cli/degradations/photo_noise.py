"""Noisy photos as files: noise of some kind and level, 8 bits, and mostly JPEG.

`camera.add_camera_noise` simulates a camera, from the light on its sensor to a file. The noise of
`grain.mottle` has a random spectrum, color, and dependence on brightness instead. A network that is
trained on simulated cameras only does not recognize the noise of others; one trained on both does.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np

from restore_cli.degradations import Random
from restore_cli.degradations.camera import add_camera_noise
from restore_cli.degradations.grain import mottle
from restore_cli.image import Pixels, compress, round_to_bytes

NoiseKind = Literal["gaussian", "camera", "random"]
NOISES: tuple[NoiseKind, ...] = get_args(NoiseKind)
LEVELS = (1.0, 40.0)  # range of noise levels, standard deviations on the 0..255 scale
CLEAN = 0.1  # share of photos without noise
QUALITIES = (60, 100)  # range of JPEG qualities; high ones are more frequent
GRID = 16  # pixels; period of the blocks of a JPEG with subsampled color


def add_noise(clean: Pixels, noise: NoiseKind, sigma: float, rng: Random) -> Pixels:
    """Add noise to an image, without clipping.

    White Gaussian noise is drawn in H x W x C order; for the other kinds see `add_camera_noise` and
    `mottle`.

    Args:
        clean: H x W x C in [0, 1].
        noise: the kind, one of NOISES.
        sigma: standard deviation on the 0..255 scale.
    """
    if noise == "gaussian":
        white = rng.standard_normal(clean.shape)
        white *= sigma / 255
        white += clean
        return white.astype(np.float32)
    if not sigma:
        return clean
    return add_camera_noise(clean, sigma, rng) if noise == "camera" else mottle(clean, sigma, rng)


def draw_level(rng: Random, highest: float = LEVELS[1]) -> float:
    """Draw a noise level on the 0..255 scale: log-uniform, or 0 for a clean photo."""
    low, high = math.log(LEVELS[0]), math.log(highest)
    return 0.0 if rng.uniform() < CLEAN else math.exp(rng.uniform(low, high))


def save(photo: Pixels, rng: Random, share: float = 0.6) -> Pixels:
    """Save a photo as a file of 8 bits, mostly as JPEG, and read it back.

    Args:
        photo: H x W x C, clipped to [0, 1].
        share: share of photos that become JPEGs. A quarter of them are compressed twice, as edited
            photos are. Blocks start at the corner in half of them, anywhere in the others.
    """
    if rng.uniform() >= share:
        return round_to_bytes(photo)
    height, width = photo.shape[:2]
    for _ in range(1 + (rng.uniform() < 0.25)):
        top, left = (int(rng.uniform(0, GRID)) for _ in range(2)) if rng.uniform() < 0.5 else (0, 0)
        subsampling = "4:2:0" if rng.uniform() < 0.6 else "4:4:4"
        padded = np.pad(photo, [(top, 0), (left, 0), (0, 0)], "symmetric")
        low, high = QUALITIES
        quality = round(high - (high - low) * rng.uniform() ** 1.5)
        photo = compress(padded, quality, subsampling)[top : top + height, left : left + width]
    return photo


def noisy_file(clean: Pixels, noise: NoiseKind, sigma: float, rng: Random) -> tuple[Pixels, Pixels]:
    """Make the file of a noisy photo, and its noise: the difference from the file without noise.

    Args:
        clean, noise, sigma: as in `add_noise`.

    Returns:
        The file, H x W x C in [0, 1], and its noise, H x W x C in [-1, 1].
    """
    noisy = add_noise(clean, noise, sigma, rng).clip(0, 1)
    seed = int(rng.uniform(0, 2**31))
    file, plain = (save(image, np.random.default_rng(seed)) for image in (noisy, clean))
    return file, file - plain
