"""Peers: methods of kept libraries, to stand beside the networks in a benchmark.

Each sees what a network sees, the observed image and the task, and never the clean one. Where a strength must
be chosen, it is the one that did best on a few photos; `about` says which.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from restore_cli.errors import UsageError
from restore_cli.metrics import estimate_noise, estimate_quality
from restore_cli.tasks import Image, Mask, Task, find_task
from restore_cli.tasks.deblock import Deblock
from restore_cli.tasks.deblur import Deblur, blur_kernel
from restore_cli.tasks.denoise import Denoise

# Strength over the noise's standard deviation: of non-local means in gray and colour, and of total variation.
NLM_GRAY, NLM_COLOUR, TV = 0.9, 0.6, 0.8
TV_JPEG = 0.0028  # total variation's strength over the root of JPEG's step
ITERATIONS, BALANCE = 30, 0.03  # of deblurring by Richardson and Lucy, and by Wiener
RADIUS = 3.0  # of inpainting, in pixels
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Peer:
    """A method to compare with.

    Attributes:
        name: "bm3d".
        distribution: what it is from, by its name on PyPI.
        about: library and version, settings, citation.
        restore: makes of an observed image, H x W x C in [0, 1] or beyond, and its task a restored one,
            float32 in [0, 1]; raises UsageError where its library is missing, or the task's damage unknown.
    """

    name: str
    distribution: str
    about: str
    restore: Callable[[Image, Task], Image]

    def check(self) -> None:
        """Raise UsageError where its library is missing, before any work is done."""
        if self.distribution == "bm3d":  # the others are required
            _load_bm3d()


def peers(task: str) -> Mapping[str, Peer]:
    """The peers of a task by name, whether or not their libraries are installed; for some tasks none.

    Raises:
        UsageError: there is no such task.
    """
    find_task(task)
    return {
        name: Peer(name, library, f"{_version(library)}, {about}", restore)
        for which, name, library, about, restore in _PEERS
        if which == task
    }


def peer_names(task: str) -> list[str]:
    """What the peers of a task are called."""
    return [name for which, name, *_ in _PEERS if which == task]


def _version(distribution: str) -> str:
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return f"{distribution} (not installed)"


def _sigma(observed: Image, task: Task) -> float:
    """The noise's standard deviation on the 0..255 scale, told or estimated."""
    assert isinstance(task, Denoise)
    return estimate_noise(observed) if task.sigma is None else task.sigma


def _bytes(image: Image) -> Bytes:
    return np.asarray(np.rint(image.clip(0, 1) * 255), np.uint8)


def _image(result: NDArray[Any], shape: tuple[int, ...]) -> Image:
    """The image in [0, 1] of bytes or floats, with its channel axis again."""
    scale = 255 if result.dtype == np.uint8 else 1
    return np.asarray(result.reshape(shape) / scale, np.float32).clip(0, 1)


# Noise


def _load_bm3d() -> Any:
    try:
        return importlib.import_module("bm3d")
    except ImportError as error:
        raise UsageError(
            "BM3D is not installed; run `pip install 'restore-cli[peers]'` if its licence, for non-commercial"
            " use only, allows it."
        ) from error


def _bm3d(observed: Image, task: Task) -> Image:
    bm3d = _load_bm3d()
    method = bm3d.bm3d if observed.shape[2] == 1 else bm3d.bm3d_rgb
    return _image(method(observed.astype(np.float64), _sigma(observed, task) / 255), observed.shape)


def _nlm(observed: Image, task: Task) -> Image:
    import cv2

    sigma = _sigma(observed, task)
    if observed.shape[2] == 1:
        found = cv2.fastNlMeansDenoising(_bytes(observed), None, NLM_GRAY * sigma, 7, 21)
    else:
        strength = NLM_COLOUR * sigma
        found = cv2.fastNlMeansDenoisingColored(_bytes(observed), None, strength, strength, 7, 21)
    return _image(np.asarray(found), observed.shape)


def _tv(observed: Image, task: Task) -> Image:
    return _flatten(observed, TV * _sigma(observed, task) / 255)


def _flatten(observed: Image, weight: float) -> Image:
    from skimage.restoration import denoise_tv_chambolle

    flat = denoise_tv_chambolle(observed, weight=max(weight, 1e-6), channel_axis=2)  # type: ignore[no-untyped-call]
    return _image(flat, observed.shape)


# JPEG


def _tv_jpeg(observed: Image, task: Task) -> Image:
    from restore_cli.image import jpeg_steps

    assert isinstance(task, Deblock)
    quality = estimate_quality(observed)[0] if task.quality is None else round(task.quality)
    return _flatten(observed, TV_JPEG * float(jpeg_steps()[quality - 1, :3, :3].mean()) ** 0.5)


# Low resolution


def _bicubic(observed: Image, task: Task) -> Image:
    return task.plain(observed)


def _lanczos(observed: Image, task: Task) -> Image:
    from PIL import Image as Pillow

    height, width, channels = task.plain(observed).shape
    planes = [Pillow.fromarray(np.ascontiguousarray(observed[..., channel])) for channel in range(channels)]
    large = [np.asarray(plane.resize((width, height), Pillow.Resampling.LANCZOS)) for plane in planes]
    return _image(np.stack(large, axis=2), (height, width, channels))


# Missing pixels


def _inpaint(flag: str) -> Callable[[Image, Task], Image]:
    def restore(observed: Image, task: Task) -> Image:  # noqa: ARG001
        import cv2

        missing: Mask = np.asarray(np.isnan(observed).any(axis=2))
        known = _bytes(np.where(missing[..., None], np.float32(0), observed))
        filled = cv2.inpaint(known, np.asarray(missing, np.uint8), RADIUS, getattr(cv2, flag))
        return np.where(missing[..., None], _image(np.asarray(filled), observed.shape), observed)

    return restore


# Blur


def _deblur(observed: Image, task: Task, sharpen: Callable[[Image, Image], Any]) -> Image:
    """Plane by plane, continued far enough that the borders do not ring."""
    assert isinstance(task, Deblur)
    if task.kernel == "motion" and task.angle is None:
        raise UsageError("Deblurring needs the kernel; give the angle of the motion.")
    kernel = blur_kernel(task.kernel, task.size, task.angle or 0.0, task.window)
    reach = 2 * len(kernel)
    mode: Literal["edge", "symmetric"] = "edge" if task.border == "replicate" else "symmetric"
    padded = np.pad(observed, ((reach, reach), (reach, reach), (0, 0)), mode=mode)
    sharp = [sharpen(padded[..., channel], kernel) for channel in range(observed.shape[2])]
    return _image(np.stack(sharp, axis=2)[reach:-reach, reach:-reach], observed.shape)


def _richardson_lucy(observed: Image, task: Task) -> Image:
    from skimage.restoration import richardson_lucy

    def sharpen(plane: Image, kernel: Image) -> Any:
        return richardson_lucy(plane, kernel, ITERATIONS)  # type: ignore[no-untyped-call]

    return _deblur(observed, task, sharpen)


def _wiener(observed: Image, task: Task) -> Image:
    from skimage.restoration import wiener

    def sharpen(plane: Image, kernel: Image) -> Any:
        return wiener(plane, kernel, BALANCE)  # type: ignore[no-untyped-call]

    return _deblur(observed, task, sharpen)


_OPENCV, _SKIMAGE = "opencv-python-headless", "scikit-image"
_PEERS: tuple[tuple[str, str, str, str, Callable[[Image, Task], Image]], ...] = (
    (
        "denoise",
        "bm3d",
        "bm3d",
        "default profile, colour in its opponent space; for non-commercial use only; Dabov et al., IEEE TIP"
        " 2007, Makinen et al., IEEE TIP 2020",
        _bm3d,
    ),
    (
        "denoise",
        "nlm",
        _OPENCV,
        "non-local means on 8 bits, to which it clips and rounds the noise, patches of 7, windows of 21,"
        f" h {NLM_GRAY} sigma for gray, {NLM_COLOUR} sigma for colour, which is Lab; Buades et al., IPOL"
        " 2011",
        _nlm,
    ),
    ("denoise", "tv", _SKIMAGE, f"total variation, weight {TV} sigma; Chambolle, JMIV 2004", _tv),
    (
        "deblock",
        "tv",
        _SKIMAGE,
        f"total variation, weight {TV_JPEG} times the root of the mean of JPEG's nine steps of lowest"
        " frequency; Chambolle, JMIV 2004",
        _tv_jpeg,
    ),
    ("sr", "bicubic", "restore-cli", "as MATLAB's imresize; Keys, IEEE TASSP 1981", _bicubic),
    ("sr", "lanczos", "pillow", "three lobes; Duchon, Journal of Applied Meteorology 1979", _lanczos),
    (
        "inpaint",
        "navier-stokes",
        _OPENCV,
        f"on 8 bits, radius {RADIUS:g}; Bertalmio et al., CVPR 2001",
        _inpaint("INPAINT_NS"),
    ),
    (
        "inpaint",
        "telea",
        _OPENCV,
        f"on 8 bits, radius {RADIUS:g}; Telea, Journal of Graphics Tools 2004",
        _inpaint("INPAINT_TELEA"),
    ),
    (
        "deblur",
        "richardson-lucy",
        _SKIMAGE,
        f"kernel known, {ITERATIONS} iterations; Richardson, JOSA 1972, Lucy, Astronomical Journal 1974",
        _richardson_lucy,
    ),
    (
        "deblur",
        "wiener",
        _SKIMAGE,
        f"kernel known, balance {BALANCE}; Orieux et al., JOSA A 2010",
        _wiener,
    ),
)
