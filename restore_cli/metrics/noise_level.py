"""How good a picture is: PSNR, SSIM and PSNR-B as the field measures them; alone, its noise and JPEG."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]

SSIM_WINDOW = 11  # pixels; smaller images have no SSIM

# Of the noise estimate: side of a patch, patches at most, and brightness and colour difference of RGB, at
# right angles so that white noise is as strong in each.
PATCH = 8
SAMPLES = 40_000
OPPONENT = np.array([[1, 1, 1], [1, 0, -1]]) / np.sqrt([[3], [2]])

# Of the JPEG quality: pixels looked at, blocks at most, and the least deviation of brightness in a block, on
# the 0..255 scale, since what rounding does to a flat one is not random; the variance that rounding leaves in
# an orthonormal DCT, the share of coefficients that clipping and colour conversion bring off the lattice, and
# the log-likelihood by which a quality must beat "never compressed".
PIXELS = 2**20
BLOCKS = 1024
CONTRAST = 2.0
ROUNDING = 1 / 12
STRAYS = 0.02
EVIDENCE = 20.0

# Luminance steps at quality 50, ITU-T T.81, table K.1; by row, vertical frequency downwards.
JPEG_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


def psnr(image: Image, reference: Image, peak: float = 1.0) -> float:
    """Peak signal-to-noise ratio in dB, one mean squared error over all samples; infinite if equal.

    Args:
        image, reference: arrays of one shape, on a scale where `peak` is white.
    """
    if image.shape != reference.shape:
        raise ValueError(f"shapes differ: {image.shape} and {reference.shape}")
    error = np.mean(np.square(np.subtract(image, reference, dtype=np.float64)))
    return math.inf if error == 0 else float(10 * np.log10(peak**2 / error))


def ssim(image: Image, reference: Image) -> float:
    """Structural similarity of Wang et al. 2004, mean over channels, in [-1, 1].

    The field's settings: Gaussian window 11x11 of sigma 1.5, K 0.01 and 0.03, population covariance,
    no down-sampling first.

    Args:
        image, reference: H x W x C in [0, 1], at least SSIM_WINDOW pixels a side.
    """
    from skimage.metrics import structural_similarity  # half a second to import

    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            image,
            reference,
            data_range=1.0,
            channel_axis=2,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def psnr_b(image: Image, reference: Image) -> float:
    """PSNR in dB that counts blocks as error, too.

    Yim and Bovik, "Quality Assessment of Deblocked Images", IEEE Transactions on Image Processing 20(1),
    2011: to the mean squared error is added how much more neighbours differ across the edges of JPEG's blocks
    than elsewhere, in the image alone.

    Args:
        image, reference: H x W x 1 in [0, 1], luma; blocks of 8 x 8 pixels start at the corner.

    Raises:
        ValueError: the shapes differ, or there are several channels.
    """
    if image.shape != reference.shape or image.shape[2] != 1:
        raise ValueError(f"shapes must be H x W x 1 and equal: {image.shape} and {reference.shape}")
    plane = image[..., 0].astype(np.float64)
    steps = [np.square(np.diff(plane, axis=0)), np.square(np.diff(plane, axis=1).T)]
    edges = np.concatenate([step[7::8].ravel() for step in steps])
    others = np.concatenate([np.delete(step, np.s_[7::8], axis=0).ravel() for step in steps])
    error = np.mean(np.square(np.subtract(image, reference, dtype=np.float64)))
    if edges.size and edges.mean() > others.mean():
        error += math.log(8) / math.log(min(plane.shape)) * (edges.mean() - others.mean())
    return math.inf if error == 0 else float(-10 * np.log10(error))


def estimate_noise(image: Image, visible: Mask | None = None) -> float:
    """Standard deviation of white noise in an image, on the 0..255 scale, from the image alone.

    Chen, Zhu and Heng, "An Efficient Statistical Method for Image Noise Level Estimation", ICCV 2015:
    patches of a clean image lie near a low-dimensional subspace, so the smallest eigenvalues of their
    covariance are the noise variance. To it are added:

    - Texture looks like noise, but seldom everywhere: only the calmest parts of the image count.
    - Colour differences have less texture than brightness and are trusted first, unless they have been
      smoothed, as JPEG and cameras do: then they show less than an eighth of the noise in brightness.
    - Clipping at black and white hides noise: dark and bright patches are left out where others suffice,
      and the level is raised to the one that clipping reduces to what was found.

    Args:
        image: H x W x C in [0, 1]; fewer than 20 pixels a side give 0.
        visible: H x W; what it leaves out, such as what lies under transparency, does not count.
    """
    height, width, channels = image.shape
    if min(height, width) < 20:
        return 0.0
    stride = max(1, math.ceil(math.sqrt(height * width / SAMPLES)))
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), (0, 1))[::stride, ::stride]
    parts = max(1, min(4, int(math.sqrt(windows.shape[0] * windows.shape[1] / 1000))))
    # patches, channels, pixels
    blocks = [part.reshape(-1, channels, PATCH * PATCH) for part in _split(windows, parts)]
    if visible is not None:
        views = np.lib.stride_tricks.sliding_window_view(visible, (PATCH, PATCH))[::stride, ::stride]
        whole = [part.all(axis=(2, 3)).ravel() for part in _split(views, parts)]
        blocks = [block[seen] for block, seen in zip(blocks, whole, strict=True)]
    blocks = _large(blocks) or [np.concatenate(blocks)]
    if len(blocks[0]) <= PATCH**2:
        return 0.0
    clipped = bool(image.min() == 0 or image.max() == 1)
    if clipped:
        blocks = _away_from_clipping(blocks)
    axes = OPPONENT if channels == 3 else np.ones((1, 1))
    brightness, *colour = (_noise_along(axis, blocks, clipped) for axis in axes)
    return 255 * (colour[0] if colour and colour[0] > brightness / 8 else brightness)


def _split(windows: NDArray[Any], parts: int) -> list[NDArray[Any]]:
    """Cut rows and columns of windows into so many parts each."""
    return [part for rows in np.array_split(windows, parts) for part in np.array_split(rows, parts, axis=1)]


def _large(blocks: list[Image]) -> list[Image]:
    """Those with patches enough for a covariance."""
    return [block for block in blocks if len(block) > 4 * PATCH**2]


def _away_from_clipping(blocks: list[Image]) -> list[Image]:
    """The patches whose mean is farthest from black and white, a tenth of all at least."""
    distances = [0.5 - np.abs(block.mean(axis=(1, 2)) - 0.5) for block in blocks]
    for margin in (0.3, 0.2, 0.1, 0.05):
        kept = [block[far > margin] for block, far in zip(blocks, distances, strict=True)]
        kept = _large(kept)
        if sum(map(len, kept)) > sum(map(len, blocks)) / 10:
            return kept
    return blocks


def _noise_along(axis: NDArray[np.float64], blocks: list[Image], clipped: bool) -> float:
    """Standard deviation along an axis of colour space, in the calm blocks."""
    levels = np.array([_deviation(axis, block, clipped) for block in blocks])
    calm = np.flatnonzero(levels <= 1.15 * np.quantile(levels, 0.1))
    return _deviation(axis, np.concatenate([blocks[index] for index in calm]), clipped)


def _deviation(axis: NDArray[np.float64], block: Image, clipped: bool) -> float:
    found = sigma = _smallest_deviation(np.tensordot(block, np.float32(axis), (1, 0)))
    if sigma and clipped:
        some = block[:: len(block) // 300 + 1]
        means = some.reshape(len(some), -1, 4, PATCH // 4, 4, PATCH // 4).mean(axis=(3, 5))
        for _ in range(5):
            sigma *= found / math.sqrt(_clipped_variance(means, sigma).mean())
    return sigma


def _smallest_deviation(vectors: Image) -> float:
    eigenvalues = np.linalg.eigvalsh(np.cov(vectors, rowvar=False)).clip(0)
    for count in range(len(eigenvalues), 1, -1):
        if np.median(eigenvalues[:count]) >= eigenvalues[:count].mean():
            return float(np.sqrt(eigenvalues[:count].mean()))
    return float(np.sqrt(eigenvalues[0]))


def _clipped_variance(means: Image, sigma: float) -> NDArray[np.float64]:
    """Variance of normal variables about these means once they are clipped to [0, 1]."""
    from scipy.special import ndtr

    low, high = -means / sigma, (1 - means) / sigma
    density_low, density_high = (np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) for z in (low, high))
    below, above = ndtr(low), ndtr(-high)
    within = 1 - below - above
    mean = low * below + high * above + density_low - density_high
    square = low**2 * below + high**2 * above + within + low * density_low - high * density_high
    return np.asarray((square - mean**2) * sigma**2, np.float64)


def jpeg_steps() -> NDArray[np.int64]:
    """The steps by which libjpeg quantises luma, 100 x 8 x 8, at quality 1 to 100."""
    qualities = np.arange(1, 101)
    factors = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    return ((JPEG_LUMINANCE * factors[:, None, None] + 50) // 100).clip(1, 255)


def estimate_quality(image: Image, visible: Mask | None = None) -> tuple[int, tuple[int, int]]:
    """JPEG quality with which a picture was compressed, and where a block starts, from its pixels alone.

    The DCT coefficients of a decoded picture lie near multiples of the steps they were quantised with. The
    answer is the quality whose steps make the coefficients most likely: a Laplace density quantised with the
    step and spread by rounding, but for some strays. After Fan and de Queiroz, "Identification of bitmap
    compression history", IEEE Transactions on Image Processing 12(2), 2003.

    A picture never compressed gives 100, as does one that was scaled afterwards; one that was cropped or
    turned is understood. Tables other than libjpeg's give the nearest quality or 100.

    Args:
        image: H x W x C in [0, 1]; fewer than 16 pixels a side give 100.
        visible: H x W; what it leaves out, such as what lies under transparency, does not count.

    Returns:
        The quality, 1 to 100 on libjpeg's scale; row and column of a block's first pixel, 0 to 7.
    """
    if min(image.shape[:2]) < 16:
        return 100, (0, 0)
    strips = (np.arange(len(image)) // 64) % math.ceil(image.shape[0] * image.shape[1] / PIXELS) == 0
    samples = np.rint(image[strips] * 255)
    weights = np.array([0.299, 0.587, 0.114] if samples.shape[2] == 3 else [1], np.float32)
    bright = samples @ weights
    usable: Mask = np.asarray(((samples > 0) & (samples < 255)).all(axis=2))
    if visible is not None:
        usable &= visible[strips]
    best, quality, corner = EVIDENCE, 100, (0, 0)
    for top, left in dict.fromkeys([(0, 0), _block_corner(bright)]):
        cut, counts = np.rint(bright[top:, left:]) - 128, usable[top:, left:]
        for gains in (_quality_gains(cut, counts), _quality_gains(cut.T, counts.T)):
            if gains.max() > best:
                best, quality, corner = float(gains.max()), int(gains.argmax()) + 1, (top, left)
    return quality, corner


def _block_corner(bright: Image) -> tuple[int, int]:
    """Where a block starts: the row and the column of eight across which the picture jumps most."""

    def phase(image: Image) -> int:
        jumps = np.abs(image[1:] - image[:-1])
        excess = 2 * jumps[1:-1] - jumps[:-2] - jumps[2:]  # across the edge below row i + 1
        means = [excess[start::8].clip(-16, 16).mean() for start in range(8)]
        return (int(np.argmax(means)) + 2) % 8

    return phase(bright), phase(bright.T)


def _quality_gains(bright: Image, usable: Mask) -> NDArray[np.float64]:
    """For quality 1 to 100 the log-likelihood of the blocks' coefficients, less that of never compressed."""
    from scipy.fft import dctn

    height, width = (size // 8 * 8 for size in bright.shape)
    blocks = bright[:height, :width].reshape(height // 8, 8, -1, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    whole = usable[:height, :width].reshape(height // 8, 8, -1, 8).all(axis=(1, 3)).ravel()
    contrast = np.where(whole, blocks.std(axis=(1, 2)), 0)
    busiest = np.argsort(contrast)[::-1][:BLOCKS]
    blocks = blocks[busiest[contrast[busiest] > CONTRAST]]
    coefficients = dctn(blocks.astype(np.float64), axes=(1, 2), norm="ortho")
    steps = jpeg_steps().astype(np.float64)
    gains = np.zeros(100)
    for row, column in np.argwhere(np.add.outer(np.arange(8), np.arange(8)) < 6):
        distinct, index = np.unique(steps[:, row, column], return_inverse=True)
        gains += _step_gains(coefficients[:, row, column], distinct)[index]
    return gains


def _step_gains(values: NDArray[np.float64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """For each step the log-likelihood that these coefficients were quantised with it, less that of none.

    Coefficients near zero fit every step and do not count.
    """
    size = np.abs(values)
    size = size[size > 1]  # 3.5 deviations of rounding
    if not len(size):
        return np.zeros(len(steps))
    scale = float(size.mean())  # of the Laplace density
    level = np.maximum(np.rint(size / steps[:, None]), 1)
    error = size - level * steps[:, None]
    ratio = steps[:, None] / scale
    mass = np.log1p(-np.exp(-ratio)) - ratio * (level - 1)
    spread = -(error**2) / (2 * ROUNDING) - math.log(2 * math.pi * ROUNDING) / 2
    density = -size / scale - math.log(scale)
    lattice = mass + spread - density + math.log(1 - STRAYS)
    return np.asarray(np.logaddexp(lattice, math.log(STRAYS)).sum(axis=1))
