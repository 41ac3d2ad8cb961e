"""Noisy photos as files: noise of some kind and level, 8 bits, and mostly JPEG.

`camera.photograph` follows a camera, from the light on its sensor to a file; `grain.mottle` follows
none: its noise has a random spectrum, color, and dependence on brightness. A network that was
trained on simulated cameras alone does not recognize the noise of others; one trained on both does.
"""

from __future__ import annotations

import math

import numpy as np

from restore_cli.degradations import Random
from restore_cli.degradations.camera import photograph
from restore_cli.degradations.grain import mottle
from restore_cli.image import Pixels, compress, round_to_bytes

NOISES = ("gaussian", "camera", "random")
LEVELS = (1.0, 40.0)  # deviations on the 0..255 scale between which a photo's noise is drawn
CLEAN = 0.1  # share of photos without noise
QUALITIES = (60, 100)  # of photos that are saved as JPEG; the better ones are the more
GRID = 16  # pixels; the blocks of a JPEG with reduced color repeat after so many


def add_noise(clean: Pixels, noise: str, sigma: float, rng: Random) -> Pixels:
    """Add noise of a kind, one of NOISES, and of standard deviation `sigma` on the 0..255 scale;
    not clipped.

    White Gaussian noise is drawn in H x W x C order; for the others see `photograph` and `mottle`.
    """
    if noise == "gaussian":
        white = rng.standard_normal(clean.shape)
        white *= sigma / 255
        white += clean
        return white.astype(np.float32)
    if not sigma:
        return clean
    return photograph(clean, sigma, rng) if noise == "camera" else mottle(clean, sigma, rng)


def draw_level(rng: Random, highest: float = LEVELS[1]) -> float:
    """A noise level on the 0..255 scale: log-uniform, or 0 for a clean photo."""
    low, high = math.log(LEVELS[0]), math.log(highest)
    return 0.0 if rng.uniform() < CLEAN else math.exp(rng.uniform(low, high))


def save(photo: Pixels, rng: Random, share: float = 0.6) -> Pixels:
    """The photo as a file gives it back: 8 bits, and mostly a JPEG, sometimes for the second time.

    Args:
        photo: H x W x C, clipped to [0, 1].
        share: of photos that become JPEGs; a quarter of them twice, as when a phone's photo is
            edited. Half the time blocks start at the corner, or else anywhere.
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


def noisy_file(clean: Pixels, noise: str, sigma: float, rng: Random) -> tuple[Pixels, Pixels]:
    """A file of a noisy photo, and its noise: what differs from the same file without it.

    Args:
        clean, noise, sigma: as of `add_noise`.

    Returns:
        H x W x C in [0, 1]; H x W x C in [-1, 1].
    """
    noisy = add_noise(clean, noise, sigma, rng).clip(0, 1)
    seed = int(rng.uniform(0, 2**31))
    file, plain = (save(image, np.random.default_rng(seed)) for image in (noisy, clean))
    return file, file - plain
