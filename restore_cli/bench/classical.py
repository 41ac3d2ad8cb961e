"""Classical methods of maintained libraries, for each task.

Each takes the observed image, H x W x C, nominally in [0, 1], and its degradation, and returns the
restored image, float32 in [0, 1]. Free parameters were set to the values that worked best on a few
photos.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from restore_cli.bench.libraries import load_bm3d
from restore_cli.blur import SHARP, blur_kernel
from restore_cli.degradations import Degradation
from restore_cli.degradations.blur import Blur
from restore_cli.degradations.jpeg import Jpeg
from restore_cli.degradations.noise import Noise
from restore_cli.errors import UsageError
from restore_cli.image import Pixels
from restore_cli.metrics import estimate_noise, estimate_quality

# Strength relative to the standard deviation of the noise: non-local means for gray and for color,
# and total variation.
NLM_GRAY, NLM_COLOR, TV = 0.9, 0.6, 0.8
TV_JPEG = 0.0028  # strength of total variation relative to the square root of the JPEG step
RL_ITERATIONS, WIENER_BALANCE = 30, 0.03  # of Richardson-Lucy and Wiener deconvolution
INPAINT_RADIUS = 3.0  # in pixels
_Bytes = NDArray[np.uint8]


def bm3d(observed: Pixels, damage: Degradation) -> Pixels:
    """Denoise by block-matching and 3D filtering, with the package bm3d."""
    library = load_bm3d()
    method = library.bm3d if observed.shape[2] == 1 else library.bm3d_rgb
    return _image(
        method(observed.astype(np.float64), _sigma(observed, damage) / 255), observed.shape
    )


def nlm(observed: Pixels, damage: Degradation) -> Pixels:
    """Denoise by non-local means, with OpenCV."""
    import cv2

    sigma = _sigma(observed, damage)
    if observed.shape[2] == 1:
        found = cv2.fastNlMeansDenoising(_bytes(observed), None, NLM_GRAY * sigma, 7, 21)
    else:
        strength = NLM_COLOR * sigma
        found = cv2.fastNlMeansDenoisingColored(_bytes(observed), None, strength, strength, 7, 21)
    return _image(np.asarray(found), observed.shape)


def tv(observed: Pixels, damage: Degradation) -> Pixels:
    """Denoise by total variation, with scikit-image."""
    return _flatten(observed, TV * _sigma(observed, damage) / 255)


def _flatten(observed: Pixels, weight: float) -> Pixels:
    from skimage.restoration import denoise_tv_chambolle

    flat = denoise_tv_chambolle(observed, weight=max(weight, 1e-6), channel_axis=2)  # type: ignore[no-untyped-call]
    return _image(flat, observed.shape)


def tv_jpeg(observed: Pixels, damage: Degradation) -> Pixels:
    """Remove JPEG artifacts by total variation, with scikit-image."""
    from restore_cli.image import jpeg_steps

    assert isinstance(damage, Jpeg)
    quality = estimate_quality(observed)[0] if damage.quality is None else round(damage.quality)
    return _flatten(observed, TV_JPEG * float(jpeg_steps()[quality - 1, :3, :3].mean()) ** 0.5)


def bicubic(observed: Pixels, damage: Degradation) -> Pixels:
    """Upscale bicubically, as MATLAB does."""
    return damage.task().unrestored(observed)


def lanczos(observed: Pixels, damage: Degradation) -> Pixels:
    """Upscale with a Lanczos filter, with Pillow."""
    from PIL import Image as Pillow

    height, width, channels = damage.task().unrestored(observed).shape
    planes = [
        Pillow.fromarray(np.ascontiguousarray(observed[..., channel]))
        for channel in range(channels)
    ]
    large = [
        np.asarray(plane.resize((width, height), Pillow.Resampling.LANCZOS)) for plane in planes
    ]
    return _image(np.stack(large, axis=2), (height, width, channels))


def inpaint(flag: str) -> Callable[[Pixels, Degradation], Pixels]:
    """A function that fills missing pixels (NaN) by this method of OpenCV."""

    def restore(observed: Pixels, _damage: Degradation) -> Pixels:
        import cv2

        missing = np.asarray(np.isnan(observed).any(axis=2))
        known = _bytes(np.where(missing[..., None], np.float32(0), observed))
        filled = cv2.inpaint(
            known, np.asarray(missing, np.uint8), INPAINT_RADIUS, getattr(cv2, flag)
        )
        return np.where(missing[..., None], _image(np.asarray(filled), observed.shape), observed)

    return restore


def deconvolve(name: str, strength: float) -> Callable[[Pixels, Degradation], Pixels]:
    """A function that deblurs with a known kernel, by this method of scikit-image."""

    def restore(observed: Pixels, damage: Degradation) -> Pixels:
        from skimage import restoration

        assert isinstance(damage, Blur)
        if damage.kernel == SHARP:
            return observed
        if damage.kernel == "motion" and damage.angle is None:
            raise UsageError("Cannot deblur without a known kernel. Set the angle of the motion.")
        kernel = blur_kernel(damage.kernel, damage.size, damage.angle or 0.0, damage.window)
        reach = 2 * len(kernel)  # of the padding, so that the borders do not ring
        mode: Literal["edge", "symmetric"] = "edge" if damage.border == "replicate" else "symmetric"
        padded = np.pad(observed, ((reach, reach), (reach, reach), (0, 0)), mode=mode)
        sharpen, channels = getattr(restoration, name), range(observed.shape[2])
        sharp = [sharpen(padded[..., channel], kernel, strength) for channel in channels]
        return _image(np.stack(sharp, axis=2)[reach:-reach, reach:-reach], observed.shape)

    return restore


def _sigma(observed: Pixels, damage: Degradation) -> float:
    """The standard deviation of the noise on the 0..255 scale, known or estimated."""
    assert isinstance(damage, Noise)
    return estimate_noise(observed) if damage.sigma is None else damage.sigma


def _bytes(image: Pixels) -> _Bytes:
    return np.asarray(np.rint(image.clip(0, 1) * 255), np.uint8)


def _image(result: NDArray[Any], shape: tuple[int, ...]) -> Pixels:
    """Convert a result of bytes or floats to [0, 1], and restore its channel axis."""
    scale = 255 if result.dtype == np.uint8 else 1
    return np.asarray(result.reshape(shape) / scale, np.float32).clip(0, 1)
