"""Estimates how blurred a photo is, and inverts the blur."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from restore_cli.image import Mask, Pixels
from restore_cli.noise import run_windows, visible_windows

Kernel = Literal["disk", "motion", "gaussian"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)
SHARP: Literal["none"] = "none"  # instead of a kernel

SIDE, ACROSS, CHOSEN = 256, 5, 9  # pixels of a window, windows along each side, those with detail
FLAT = 0.001  # deviation of the Laplacian below which a window has no detail
SHORTEST = 128  # side in pixels of the smallest photo that is judged; in smaller ones it is wrong
LARGEST = 16.0  # size in pixels that `to_numbers` maps to 1
SMALLEST = 1.3  # size in pixels of the smallest blur that is inverted
GRID, REACH = 256, 32  # side of the Fourier transform and reach of the inverse filters, in pixels
NOISES = (0.01, 0.06)  # power of noise relative to that of the photo, of each inverse filter
WHITE = 0.2  # share of the noise that does not rise with frequency


@dataclass(frozen=True)
class Blurring:
    """The blur of a photo.

    Attributes:
        kernel: its shape; "none" for a sharp photo.
        size: in pixels, see `blur_kernel`.
        angle: of a motion, in degrees counterclockwise from the horizontal.
    """

    kernel: Kernel | Literal["none"] = SHARP
    size: float = 0.0
    angle: float = 0.0

    @property
    def visible(self) -> bool:
        """Whether the blur is large enough to be inverted."""
        return self.kernel != SHARP and self.size >= SMALLEST

    def __str__(self) -> str:
        if not self.visible:
            return "none"
        if self.kernel == "gaussian":
            return f"gaussian of sigma {self.size / 4:.1f}"
        angle = f" at {self.angle:.0f} degrees" if self.kernel == "motion" else ""
        return f"{self.kernel} of {self.size:.1f} pixels{angle}"


@functools.lru_cache(maxsize=64)
def blur_kernel(
    kind: Kernel, size: float, angle: float = 0.0, window: int = 0
) -> NDArray[np.float32]:
    """Make a point-symmetric kernel, k x k with odd k and sum 1.

    Args:
        kind: "disk" for a lens out of focus, "motion" for a straight line one pixel thick, or
            "gaussian".
        size: diameter of the disk, length of the line, or four standard deviations of the Gaussian,
            which then has the same variance as the disk.
        angle: angle of the line in degrees, counterclockwise from the horizontal.
        window: odd k; 0 fits it to the disk or line, or to three standard deviations of a Gaussian.
    """
    reach = window // 2 if window else math.ceil(0.75 * size if kind == "gaussian" else size / 2)
    if kind == "gaussian":
        line = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * (size / 4) ** 2))
        kernel = np.outer(line, line)
    else:
        # Each pixel is a grid of 8 x 8 points, and counts those inside the shape.
        points = (np.arange((2 * reach + 1) * 8) + 0.5) / 8 - (reach + 0.5)
        x, y = points[None, :], -points[:, None]
        if kind == "disk":
            inside = x**2 + y**2 <= (size / 2) ** 2
        else:
            cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            inside = (np.abs(cos * x + sin * y) <= size / 2) & (np.abs(cos * y - sin * x) <= 0.5)
        kernel = inside.reshape(2 * reach + 1, 8, 2 * reach + 1, 8).sum(
            axis=(1, 3), dtype=np.float64
        )
    return np.asarray(kernel / kernel.sum(), np.float32)


def to_numbers(blurring: Blurring) -> NDArray[np.float32]:
    """Describe a blur by three numbers from -1 to 1, all zero without blur.

    The first is the size of a disk or Gaussian, whose second is half of it, positive for a disk:
    a network that cannot tell them apart still estimates the size. For a motion, the second and the
    third are a vector of its length and twice its angle.
    """
    share, turn = blurring.size / LARGEST, math.radians(2 * blurring.angle)
    if blurring.kernel == SHARP:
        return np.zeros(3, np.float32)
    if blurring.kernel == "motion":
        return np.array([0, share * math.cos(turn), share * math.sin(turn)], np.float32)
    half = share / 2 if blurring.kernel == "disk" else -share / 2
    return np.array([share, half, 0], np.float32)


def from_numbers(numbers: NDArray[np.floating]) -> Blurring:
    """Return the blur of a network's three numbers: the larger of a round blur and a motion."""
    size, cosine, sine = (LARGEST * float(number) for number in numbers)
    length = math.hypot(cosine, sine)
    if length > size:
        angle = math.degrees(math.atan2(sine, cosine)) / 2 % 180
        return Blurring("motion", min(length, LARGEST), angle)
    return Blurring("disk" if cosine > 0 else "gaussian", min(size, LARGEST))


def deconvolve(image: Pixels, blurring: Blurring) -> tuple[Pixels, ...]:
    """Invert a blur by filters for little and for more noise.

    Args:
        image: H x W x C in [0, 1].

    Returns:
        For each filter and each of three channels, or of the gray one repeated, H x W; the channels
        themselves without a visible blur.
    """
    import cv2

    planes: list[NDArray[np.float32]] = []
    repeated = 3 // image.shape[2]
    for taps in _inverse_filters(blurring) if blurring.visible else (None,) * len(NOISES):
        for channel in range(image.shape[2]):
            plane = image[..., channel].copy()  # because a network may overwrite the photo
            if taps is not None:
                plane = np.asarray(cv2.filter2D(plane, -1, taps, borderType=cv2.BORDER_REFLECT))
            planes += [plane, *(plane.copy() for _ in range(repeated - 1))]
    return tuple(planes)


@functools.lru_cache(maxsize=64)
def _inverse_filters(blurring: Blurring) -> tuple[NDArray[np.float32], ...]:
    """Wiener filters of finite reach: noise that rises with frequency, relative to the photo."""
    assert blurring.kernel != SHARP
    kernel = blur_kernel(blurring.kernel, blurring.size, blurring.angle)
    reach, middle = len(kernel) // 2, slice(None, 2 * REACH + 1)
    spread = np.zeros((GRID, GRID))
    spread[: len(kernel), : len(kernel)] = kernel
    transfer = np.fft.rfft2(np.roll(spread, (-reach, -reach), axis=(0, 1)))
    rise = 2 - 2 * np.cos(2 * np.pi * np.fft.fftfreq(GRID))
    laplacian = (rise[:, None] + rise[: GRID // 2 + 1]) / 8
    line = np.sqrt(np.cos(np.linspace(-np.pi / 2, np.pi / 2, 2 * REACH + 3)[1:-1]))
    filters = []
    for noise in NOISES:
        inverse = np.conj(transfer) / (np.abs(transfer) ** 2 + noise * (WHITE + laplacian))
        taps = np.roll(np.fft.irfft2(inverse, s=(GRID, GRID)), (REACH, REACH), axis=(0, 1))
        taps = taps[middle, middle] * line[:, None] * line
        filters.append(np.asarray(taps / taps.sum(), np.float32))
    return tuple(filters)


def measure_blur(image: Pixels, visible: Mask | None = None) -> Blurring:
    """Estimate the blur of a photo from the photo alone.

    A small network judges the windows with the most detail, which are the sharpest ones.

    Args:
        image: H x W x C in [0, 1]; with a side below 128 pixels no blur is found.
        visible: H x W; windows that are mostly invisible are ignored.

    Returns:
        The median of all windows.

    Raises:
        WeightsError: the network's file is missing or damaged.
    """
    from restore_cli.models.checkpoint import load_default

    if min(image.shape[:2]) < SHORTEST:
        return Blurring()
    windows = _choose_windows(image, visible)
    if not windows:
        return Blurring()
    numbers = run_windows(load_default("blur"), np.stack(windows).transpose(0, 3, 1, 2))
    return from_numbers(np.median(numbers[:, :, 0, 0], axis=0))


def _choose_windows(image: Pixels, visible: Mask | None) -> list[Pixels]:
    """Cut the windows with the most detail, at most `CHOSEN`, of those that are spread evenly."""
    import cv2

    windows = [
        image[top : top + SIDE, left : left + SIDE]
        for top, left in visible_windows(image, visible, SIDE, ACROSS)
    ]
    detail = [float(cv2.Laplacian(window.mean(axis=2), cv2.CV_32F).std()) for window in windows]
    best = np.argsort(detail, kind="stable")[::-1][:CHOSEN]
    return [windows[index] for index in best if detail[index] > FLAT]
