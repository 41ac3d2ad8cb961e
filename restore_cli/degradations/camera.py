"""What cameras, phones and the web make of a photo: sensor noise and what processing turns it into,
JPEG.

There are two ways to add noise. `photograph` follows a camera, from the light on its sensor to a
file; `mottle` follows none: its noise has a random spectrum, color, and dependence on brightness. A
network that was trained on simulated cameras alone does not recognize the noise of others; one
trained on both does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Random
from restore_cli.image import Pixels, round_to_bytes

NOISES = ("gaussian", "camera", "random")
LEVELS = (
    1.0,
    40.0,
)  # standard deviations on the 0..255 scale between which a photo's noise is drawn
CLEAN = 0.1  # share of photos without noise
QUALITIES = (60, 100)  # of photos that are saved as JPEG; the better ones are the more
GRID = 16  # pixels; the blocks of a JPEG with reduced color repeat after so many
STEPS = 4096  # of a tone curve
INTERPOLATIONS = ("bilinear", "gradient", "edges")


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
    from restore_cli.image import compress

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


def mottle(clean: Pixels, sigma: float, rng: Random) -> Pixels:
    """Add noise of a random kind: grain and color blotches of random size, more of it in some
    tones.

    Brightness and color differences get a field of a random spectrum each, and the colors are
    mostly the coarser and stronger one, for cameras smooth them more; a random smooth function of
    the brightness scales them; a third are sharpened.

    Args:
        clean: H x W x C in [0, 1].
        sigma: standard deviation of the noise on the 0..255 scale, over all of the photo.

    Returns:
        Not clipped.
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
        noise = _sharpen(noise, rng)
    deviation = float(noise.std())
    return np.asarray(clean + noise * np.float32(sigma / 255 / max(deviation, 1e-6)), np.float32)


def _grain(shape: tuple[int, ...], radii: tuple[float, ...], rng: Random) -> Pixels:
    """Noise of deviation 1: a sum of noise blurred by about each of the radii in pixels, in random
    shares.
    """
    shares = np.exp(rng.normal(0, 0.8, 4) - [0, 0, 0, 0.7])
    shares = (shares * (rng.uniform(size=4) < (0.5, 0.6, 0.6, 0.5))).astype(np.float32)
    shares[1] = max(shares[1], 1e-3)  # if there is none
    grain = np.zeros(shape, np.float32)
    for radius, share in zip(radii, shares, strict=True):
        if share:
            grain += share * _blurred_noise(shape, radius * rng.uniform(0.7, 1.4), rng)
    return np.asarray(grain / np.sqrt(np.square(shares).sum()), np.float32)


def _blurred_noise(shape: tuple[int, ...], radius: float, rng: Random) -> Pixels:
    noise = _white(shape, rng)
    if not radius:
        return noise
    kernel = _gaussian(radius)
    return _filter(noise, kernel) / np.float32(np.square(kernel).sum())


def _white(shape: tuple[int, ...], rng: Random) -> Pixels:
    if isinstance(rng, np.random.Generator):
        return rng.standard_normal(shape, np.float32)
    return rng.standard_normal(shape).astype(np.float32)


def _gaussian(radius: float) -> NDArray[np.float64]:
    """One-dimensional kernel of this standard deviation in pixels, sum 1."""
    reach = math.ceil(3 * radius)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    return np.asarray(kernel / kernel.sum(), np.float64)


def _filter(image: Pixels, kernel: NDArray[np.float64]) -> Pixels:
    import cv2

    filtered = cv2.sepFilter2D(image, -1, kernel, kernel, borderType=cv2.BORDER_REFLECT)
    return np.asarray(filtered.reshape(image.shape), np.float32)


def _sharpen(image: Pixels, rng: Random) -> Pixels:
    """Unsharp masking by a random amount and radius."""
    blurred = _filter(image, _gaussian(rng.uniform(0.4, 1.5)))
    return image + np.float32(rng.uniform(0.1, 1.2)) * (image - blurred)


def photograph(clean: Pixels, sigma: float, rng: Random) -> Pixels:
    """Add the noise of a sensor as a camera's processing shapes it.

    Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019: what a camera does is
    undone, shot and read noise are added to the light that its sensor saw, and it is done again. It
    is done twice, with the noise and without: what differs is the noise, so that the clean image
    keeps its detail. Of the photos 40 % are reduced afterwards, by up to a half, as phones and the
    web do it.

    Args:
        clean: H x W x C in [0, 1]; gray has neither mosaic nor white balance.
        sigma: about the standard deviation at middle gray before it is smoothed, on the 0..255
            scale.

    Returns:
        Not clipped.
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
    """What one camera does between light and photo, with its settings for one photo.

    Attributes:
        gains: of white balance, by channel.
        matrix: 3 x 3, from the sensor's colors to the photo's, rows of sum 1; None for gray.
        gamma, contrast: of the tone curve: exponent of the gamma curve, and how much of an S-curve
            is in it.
        corner: row and column of the first red sample of the Bayer mosaic.
        interpolation: of the mosaic: "bilinear", "gradient" (Malvar, He and Cutler, "High-quality
            linear interpolation for demosaicing of Bayer-patterned color images", ICASSP 2004) or
            "edges" (OpenCV's edge-aware).
        smoothing: standard deviation in pixels of the blur of color differences, 0 for none.
        cleaning: tolerance in tones of a bilateral filter, 0 for none.
        sharpening: amount and radius in pixels of unsharp masking.
        spread: of the relation of read to shot noise, as a logarithm.
    """

    gains: Pixels
    matrix: Pixels | None
    gamma: float
    contrast: float
    corner: tuple[int, int]
    interpolation: str
    smoothing: float
    cleaning: float
    sharpening: tuple[float, float]
    spread: float

    @classmethod
    def draw(cls, channels: int, sigma: float, rng: Random) -> Camera:
        """A random camera for such noise; its gains are spread wider than the daylight's of Brooks
        et al.
        """
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
            interpolation=str(rng.choice(INTERPOLATIONS)),
            smoothing=rng.uniform(0.5, 3.5) if rng.uniform() < 0.7 else 0,
            cleaning=rng.uniform(0.5, 2.5) * sigma / 255 if rng.uniform() < 0.3 else 0,
            sharpening=(rng.uniform(0.1, 1.2) if rng.uniform() < 0.5 else 0, rng.uniform(0.4, 1.5)),
            spread=rng.normal(0, 0.5),
        )

    def _tones(self) -> NDArray[np.float64]:
        """The tone curve: a photo's tones, for the square roots of light from 0 to 1."""
        tone = np.linspace(0, 1, STEPS) ** (2 / self.gamma)
        return (1 - self.contrast) * tone + self.contrast * tone * tone * (3 - 2 * tone)

    def expose(self, photo: Pixels) -> Pixels:
        """The light, H x W x C, in the sensor's colors, whose photo this is."""
        roots = np.linspace(0, 1, STEPS)
        seen = _look_up(np.square(np.interp(roots, self._tones(), roots)), photo)
        if self.matrix is not None:
            seen = np.asarray(seen @ np.linalg.inv(self.matrix).T, np.float32)
        return np.asarray(seen.clip(0, 1) / self.gains, np.float32)

    def noise(self, light: Pixels, sigma: float, rng: Random) -> Pixels:
        """Shot and read noise; the variance of a linear signal x is shot * x + read."""
        shot, read = self._sensor(sigma)
        noise = _white(light.shape, rng)
        return np.asarray(noise * np.sqrt(np.float32(shot) * light + np.float32(read)), np.float32)

    def _sensor(self, sigma: float) -> tuple[float, float]:
        """Shot and read noise that make `sigma` of green at middle gray.

        Brooks et al. relate them up to a shot noise of 0.012; beyond it they grow alike, lest
        blacks drown.
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
        """The photo of some light, clipped to [0, 1]."""
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
            photo = brightness + _filter(photo - brightness, _gaussian(self.smoothing))
        amount, radius = self.sharpening
        if amount:
            brightness = photo.mean(axis=2, keepdims=True)
            photo = photo + np.float32(amount) * (
                brightness - _filter(brightness, _gaussian(radius))
            )
        return photo.clip(0, 1)


def _look_up(table: NDArray[np.float64], values: Pixels) -> Pixels:
    """A function given at even steps from 0 to 1, of values between them, to the nearest step."""
    return table.astype(np.float32).take(
        (values * np.float32(STEPS - 1) + np.float32(0.5)).astype(np.int32)
    )


_TENT = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4
# Of Malvar, He and Cutler, in sixteenths: green at red and blue; red (or blue) at green, with its
# neighbors in the row; red at blue and blue at red.
_GREEN = np.array(
    [[0, 0, -2, 0, 0], [0, 0, 4, 0, 0], [-2, 4, 8, 4, -2], [0, 0, 4, 0, 0], [0, 0, -2, 0, 0]]
)
_ROW = np.array(
    [[0, 0, 1, 0, 0], [0, -2, 0, -2, 0], [-2, 8, 10, 8, -2], [0, -2, 0, -2, 0], [0, 0, 1, 0, 0]]
)
_ACROSS = np.array(
    [[0, 0, -3, 0, 0], [0, 4, 0, 4, 0], [-3, 0, 12, 0, -3], [0, 4, 0, 4, 0], [0, 0, -3, 0, 0]]
)


def interpolate(light: Pixels, corner: tuple[int, int], interpolation: str) -> Pixels:
    """Keep the one sample of each pixel that a Bayer sensor has, and interpolate the others."""
    import cv2

    height, width = light.shape[:2]
    row, column = corner
    mosaic = np.empty((height, width), np.float32)
    sites = [(0, row, column), (1, row, 1 - column), (1, 1 - row, column), (2, 1 - row, 1 - column)]
    for channel, top, left in sites:
        mosaic[top::2, left::2] = light[top::2, left::2, channel]
    if interpolation == "edges":
        code = [
            [cv2.COLOR_BayerRGGB2RGB_EA, cv2.COLOR_BayerGRBG2RGB_EA],
            [cv2.COLOR_BayerGBRG2RGB_EA, cv2.COLOR_BayerBGGR2RGB_EA],
        ][row][column]
        scaled = (
            (mosaic * 40_000 + 12_000).clip(0, 65_535).astype(np.uint16)
        )  # room for noise below black
        return np.asarray(
            (cv2.demosaicing(scaled, code).astype(np.float32) - 12_000) / 40_000, np.float32
        )

    def spread(plane: Pixels, kernel: NDArray[np.float64]) -> Pixels:
        return np.asarray(
            cv2.filter2D(plane, -1, kernel, borderType=cv2.BORDER_REFLECT_101), np.float32
        )

    image = np.empty_like(light)
    if interpolation == "bilinear":
        for channel in range(3):
            plane = np.zeros_like(mosaic)
            for _, top, left in (site for site in sites if site[0] == channel):
                plane[top::2, left::2] = mosaic[top::2, left::2]
            cross = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
            image[..., channel] = spread(plane, cross if channel == 1 else _TENT)
        return image
    image[:] = mosaic[..., None]
    kernels = (_GREEN, _ROW, _ROW.T, _ACROSS)
    green, in_row, in_column, across = (spread(mosaic, kernel / 16) for kernel in kernels)
    for channel, top, left in sites:
        here = np.s_[top::2, left::2]
        if channel == 1:
            red_row = top == row
            image[..., 0][here] = (in_row if red_row else in_column)[here]
            image[..., 2][here] = (in_column if red_row else in_row)[here]
        else:
            image[..., 1][here] = green[here]
            image[..., 2 - channel][here] = across[here]
    return image
