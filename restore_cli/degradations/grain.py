"""Noise of a random kind that does not follow a camera: grain and color blotches."""

from __future__ import annotations

import numpy as np

from restore_cli.degradations import Random
from restore_cli.degradations.filters import filter_image, gaussian_kernel, sharpen, white_noise
from restore_cli.image import Pixels


def mottle(clean: Pixels, sigma: float, rng: Random) -> Pixels:
    """Add noise of a random kind: grain and color blotches of random size, uneven over the tones.

    Brightness and color differences each get a field with a random spectrum. The color field is
    mostly coarser and stronger, because cameras smooth colors more. A random smooth function of the
    brightness scales both. A third of the results are sharpened.

    Args:
        clean: H x W x C in [0, 1].
        sigma: standard deviation of the noise over the entire photo, on the 0..255 scale.

    Returns:
        The noisy image, H x W x C, not clipped.
    """
    height, width, channels = clean.shape
    noise = _grain((height, width, 1), (0, 0.55, 1, 2.5), rng)
    if channels == 3:
        smoothed = rng.uniform() < 0.7
        radii = (0.7, 1.4, 2.5, 4) if smoothed else (0, 0.55, 1, 2.5)
        red, blue = np.dsplit(_grain((height, width, 2), radii, rng), 2)
        red, blue = (side * np.float32(np.exp(rng.normal(0.2, 0.5))) for side in (red, blue))
        green = -(np.float32(0.299) * red + np.float32(0.114) * blue) / np.float32(0.587)
        noise = noise + np.concatenate([red, green, blue], axis=2)
    knots = np.exp(rng.normal(0, 0.45, 5))
    tones = clean.mean(axis=2, keepdims=True)
    noise = noise * np.interp(tones, np.linspace(0, 1, 5), knots).astype(np.float32)
    if rng.uniform() < 0.33:
        noise = sharpen(noise, rng)
    deviation = float(noise.std())
    return np.asarray(clean + noise * np.float32(sigma / 255 / max(deviation, 1e-6)), np.float32)


def _grain(shape: tuple[int, ...], radii: tuple[float, ...], rng: Random) -> Pixels:
    """Draw noise of deviation 1: a random mix of noise that is blurred by about each radius."""
    shares = np.exp(rng.normal(0, 0.8, 4) - [0, 0, 0, 0.7])
    shares = (shares * (rng.uniform(size=4) < (0.5, 0.6, 0.6, 0.5))).astype(np.float32)
    shares[1] = max(shares[1], 1e-3)  # in case all are zero
    grain = np.zeros(shape, np.float32)
    for radius, share in zip(radii, shares, strict=True):
        if share:
            grain += share * _blurred_noise(shape, radius * rng.uniform(0.7, 1.4), rng)
    return np.asarray(grain / np.sqrt(np.square(shares).sum()), np.float32)


def _blurred_noise(shape: tuple[int, ...], radius: float, rng: Random) -> Pixels:
    noise = white_noise(shape, rng)
    if not radius:
        return noise
    kernel = gaussian_kernel(radius)
    return filter_image(noise, kernel) / np.float32(np.square(kernel).sum())
