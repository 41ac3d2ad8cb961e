"""The noise of a camera's sensor, shaped by the processing in the camera."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Random
from restore_cli.degradations.filters import filter_image, gaussian_kernel, white_noise
from restore_cli.degradations.mosaic import INTERPOLATIONS, Interpolation, interpolate
from restore_cli.image import Pixels

STEPS = 4096  # samples of a tone curve


def add_camera_noise(clean: Pixels, sigma: float, rng: Random) -> Pixels:
    """Add the noise of a sensor, shaped by the processing in a camera.

    Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019: the processing is
    inverted, shot and read noise are added to the light on the sensor, and the processing is
    applied again, with the noise and without. The difference of both is added to the clean image,
    which so keeps its detail. 40 % of the photos are then reduced by up to a half, as phones and
    the web do.

    Args:
        clean: H x W x C in [0, 1]; gray images have neither mosaic nor white balance.
        sigma: approximate standard deviation at middle gray before smoothing, on the 0..255 scale.

    Returns:
        The noisy image, H x W x C, not clipped.
    """
    import cv2

    height, width, channels = clean.shape
    factor = rng.uniform(0.5, 1) if rng.uniform() < 0.4 else 1
    scene = clean
    if factor < 1:
        size = math.ceil(width / factor), math.ceil(height / factor)
        larger = cv2.resize(clean, size, interpolation=cv2.INTER_CUBIC).clip(0, 1)
        scene = np.asarray(larger.reshape(size[1], size[0], channels), np.float32)
    camera = Camera.draw(channels, sigma, rng)
    light = camera.expose(scene)
    noise = camera.noise(light, sigma, rng)
    noise = camera.develop(light + noise) - camera.develop(light)
    if factor < 1:
        smaller = cv2.resize(noise, (width, height), interpolation=cv2.INTER_AREA)
        noise = np.asarray(smaller.reshape(clean.shape), np.float32)
    return clean + noise


@dataclass(frozen=True)
class Camera:
    """The processing of a camera between light and photo, with its settings for one photo.

    Attributes:
        gains: white balance, one per channel.
        matrix: 3 x 3, from the colors of the sensor to those of the photo, rows of sum 1; None for
            gray.
        gamma, contrast: tone curve: exponent of the gamma curve, and share of an S-curve, 0 to 1.
        corner: row and column of the first red sample of the Bayer mosaic.
        interpolation: of the mosaic: "bilinear", "gradient" (Malvar, He and Cutler, "High-quality
            linear interpolation for demosaicing of Bayer-patterned color images", ICASSP 2004) or
            "edges" (OpenCV's edge-aware method).
        smoothing: standard deviation in pixels of the blur of color differences; 0 for none.
        cleaning: range of a bilateral filter, on a scale where white is 1; 0 for none.
        sharpening: amount and radius in pixels of unsharp masking.
        spread: logarithm of the factor by which read noise departs from its usual relation to shot
            noise.
    """

    gains: Pixels
    matrix: Pixels | None
    gamma: float
    contrast: float
    corner: tuple[int, int]
    interpolation: Interpolation
    smoothing: float
    cleaning: float
    sharpening: tuple[float, float]
    spread: float

    @classmethod
    def draw(cls, channels: int, sigma: float, rng: Random) -> Camera:
        """Draw a camera; its gains vary more than those of Brooks et al. for daylight."""
        gains, matrix = np.ones(channels, np.float32), None
        if channels == 3:
            gains[[0, 2]] = np.exp(rng.uniform(math.log(1.2), math.log(2.6), 2))
            own = rng.uniform(1.1, 2.0, 3)
            share = rng.uniform(0.1, 0.9, 3)
            rest = np.stack([share, 1 - share], axis=1) * (1 - own)[:, None]
            matrix = np.array(
                [[own[0], *rest[0]], [rest[1, 0], own[1], rest[1, 1]], [*rest[2], own[2]]],
                np.float32,
            )
        return cls(
            gains=gains,
            matrix=matrix,
            gamma=rng.uniform(1.8, 2.5),
            contrast=rng.uniform(0, 1),
            corner=(int(rng.uniform(0, 2)), int(rng.uniform(0, 2))),
            interpolation=INTERPOLATIONS[rng.choice(len(INTERPOLATIONS))],
            smoothing=rng.uniform(0.5, 3.5) if rng.uniform() < 0.7 else 0,
            cleaning=rng.uniform(0.5, 2.5) * sigma / 255 if rng.uniform() < 0.3 else 0,
            sharpening=(rng.uniform(0.1, 1.2) if rng.uniform() < 0.5 else 0, rng.uniform(0.4, 1.5)),
            spread=rng.normal(0, 0.5),
        )

    def _tones(self) -> NDArray[np.float64]:
        """Return the tone curve: the tones of a photo for square roots of light from 0 to 1."""
        tone = np.linspace(0, 1, STEPS) ** (2 / self.gamma)
        return (1 - self.contrast) * tone + self.contrast * tone * tone * (3 - 2 * tone)

    def expose(self, photo: Pixels) -> Pixels:
        """Invert the processing: return the light, H x W x C, in the colors of the sensor."""
        roots = np.linspace(0, 1, STEPS)
        seen = _look_up(np.square(np.interp(roots, self._tones(), roots)), photo)
        if self.matrix is not None:
            seen = np.asarray(seen @ np.linalg.inv(self.matrix).T, np.float32)
        return np.asarray(seen.clip(0, 1) / self.gains, np.float32)

    def noise(self, light: Pixels, sigma: float, rng: Random) -> Pixels:
        """Draw shot and read noise; its variance at a linear signal x is shot * x + read."""
        shot, read = self._sensor(sigma)
        noise = white_noise(light.shape, rng)
        return np.asarray(noise * np.sqrt(np.float32(shot) * light + np.float32(read)), np.float32)

    def _sensor(self, sigma: float) -> tuple[float, float]:
        """Return the shot and read noise that result in `sigma` for green at middle gray.

        Their relation follows Brooks et al. up to a shot noise of 0.012. Above, both grow in
        proportion, so that dark areas do not vanish in noise.
        """
        dark, gray, light = np.square(
            np.interp([0.49, 0.5, 0.51], self._tones(), np.linspace(0, 1, STEPS))
        )
        slope = (light - dark) / 0.02
        own = np.ones(1) if self.matrix is None else np.square(self.matrix[1] * self.gains)
        shots = np.concatenate([[0], np.geomspace(1e-8, 10, 200)])
        reads = shots * np.minimum(shots, 0.012) ** 1.18 * math.exp(1.20 + self.spread)
        variances = (own * (shots[:, None] * gray / self.gains + reads[:, None])).sum(axis=1)
        shot = float(np.interp(sigma / 255 * slope, np.sqrt(variances), shots))
        return shot, float(np.interp(shot, shots, reads))

    def develop(self, light: Pixels) -> Pixels:
        """Process light to a photo, clipped to [0, 1]."""
        import cv2

        if self.matrix is not None:
            colors = interpolate(light, self.corner, self.interpolation) * self.gains
            light = np.asarray(colors @ self.matrix.T, np.float32)
        photo = _look_up(self._tones(), np.sqrt(light.clip(0, 1)))
        if self.cleaning:
            cleaned = cv2.bilateralFilter(photo, 5, self.cleaning, 1.5)
            photo = np.asarray(cleaned.reshape(photo.shape), np.float32)
        if self.smoothing and photo.shape[2] == 3:
            brightness = photo.mean(axis=2, keepdims=True)
            photo = brightness + filter_image(photo - brightness, gaussian_kernel(self.smoothing))
        amount, radius = self.sharpening
        if amount:
            brightness = photo.mean(axis=2, keepdims=True)
            photo = photo + np.float32(amount) * (
                brightness - filter_image(brightness, gaussian_kernel(radius))
            )
        return photo.clip(0, 1)


def _look_up(table: NDArray[np.float64], values: Pixels) -> Pixels:
    """Apply a function, which is tabulated at even steps from 0 to 1, by the nearest step."""
    return table.astype(np.float32).take(
        (values * np.float32(STEPS - 1) + np.float32(0.5)).astype(np.int32)
    )
