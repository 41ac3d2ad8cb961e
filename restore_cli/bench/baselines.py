"""Baselines: methods of other libraries to compare models with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from restore_cli.bench.classical import (
    INPAINT_RADIUS,
    NLM_COLOR,
    NLM_GRAY,
    RL_ITERATIONS,
    TV,
    TV_JPEG,
    WIENER_BALANCE,
    bicubic,
    bm3d,
    deconvolve,
    inpaint,
    lanczos,
    nlm,
    tv,
    tv_jpeg,
)
from restore_cli.bench.libraries import find_ncnn, installed, load_bm3d
from restore_cli.bench.ncnn_networks import PACKAGES, REALESRGAN, SPAN, WAIFU2X, enlarge
from restore_cli.degradations import Degradation, find_degradation
from restore_cli.image import Pixels


@dataclass(frozen=True)
class Baseline:
    """A method to compare with.

    Attributes:
        name: the name on the command line, "bm3d".
        distribution: the package on PyPI that contains the method.
        settings: the parameters of the method, and its citation.
        restore: restores an observed image, H x W x C, nominally in [0, 1], given its degradation;
            returns float32 in [0, 1]. Raises UsageError if the library is not installed or the
            degradation lacks a level that the method needs.
        needs: what the method must know of a degradation and real pairs do not state, "kernel".
    """

    name: str
    distribution: str
    settings: str
    restore: Callable[[Pixels, Degradation], Pixels]
    needs: str = ""

    @property
    def description(self) -> str:
        """The library and its version, the settings and the citation."""
        by = f" by {installed('ncnn')}" if self.distribution in PACKAGES else ""
        return f"{installed(self.distribution)}{by}, {self.settings}"

    def check(self) -> None:
        """Raise UsageError if the library is not installed, before any work is done."""
        if self.distribution == "bm3d":
            load_bm3d()
        elif self.distribution in PACKAGES:  # the other libraries are dependencies of this package
            find_ncnn(self.distribution)


def baselines(task: str) -> Mapping[str, Baseline]:
    """The baselines of a task by name, whether or not their libraries are installed.

    Some tasks do not have any.

    Raises:
        UsageError: the task is unknown.
    """
    find_degradation(task)
    return {baseline.name: baseline for baseline in _BASELINES.get(task, ())}


_OPENCV, _SKIMAGE = "opencv-python-headless", "scikit-image"
_BASELINES: Mapping[str, tuple[Baseline, ...]] = {
    "denoise": (
        Baseline(
            "bm3d",
            "bm3d",
            "default profile, color in opponent space; for non-commercial use only;"
            " Dabov et al., IEEE TIP 2007, Makinen et al., IEEE TIP 2020",
            bm3d,
        ),
        Baseline(
            "nlm",
            _OPENCV,
            "non-local means on input that is clipped and rounded to 8 bits, 7 x 7 patches,"
            f" 21 x 21 windows, h {NLM_GRAY} sigma for gray, {NLM_COLOR} sigma for color (Lab);"
            " Buades et al., IPOL 2011",
            nlm,
        ),
        Baseline(
            "tv",
            _SKIMAGE,
            f"total variation, weight {TV} sigma; Chambolle, JMIV 2004",
            tv,
        ),
    ),
    "deblock": (
        Baseline(
            "tv",
            _SKIMAGE,
            f"total variation, weight {TV_JPEG} times the square root of the mean of the nine"
            " lowest-frequency steps of JPEG's quantization table; Chambolle, JMIV 2004",
            tv_jpeg,
        ),
    ),
    "sr": (
        Baseline(
            "bicubic",
            "restore-cli",
            "same as MATLAB's imresize; Keys, IEEE TASSP 1981",
            bicubic,
        ),
        Baseline(
            "lanczos",
            "pillow",
            "three lobes; Duchon, Journal of Applied Meteorology 1979",
            lanczos,
        ),
        Baseline(
            "realesrgan-ncnn",
            REALESRGAN,
            "realesrgan-x4plus, followed by bicubic downscaling if the scale is not 4; made for"
            " degraded photos, and invents detail; Wang et al., ICCVW 2021",
            partial(enlarge, REALESRGAN, {4: "realesrgan-x4plus"}),
        ),
        Baseline(
            "waifu2x",
            WAIFU2X,
            "upconv_7_photo without denoising, applied repeatedly, followed by bicubic downscaling"
            " if the scale is not a power of 2; nagadomi, 2015, after Dong et al., TPAMI 2016",
            partial(enlarge, WAIFU2X, {2: "models-upconv_7_photo/scale2.0x_model"}),
        ),
        Baseline(
            "span-ncnn",
            SPAN,
            "spanx2_ch48 and spanx4_ch48, followed by bicubic downscaling for scales in between;"
            " Wan et al., CVPRW 2024",
            partial(enlarge, SPAN, {2: "spanx2_ch48", 4: "spanx4_ch48"}),
        ),
    ),
    "inpaint": (
        Baseline(
            "navier-stokes",
            _OPENCV,
            f"on 8 bits, radius {INPAINT_RADIUS:g}; Bertalmio et al., CVPR 2001",
            inpaint("INPAINT_NS"),
        ),
        Baseline(
            "telea",
            _OPENCV,
            f"on 8 bits, radius {INPAINT_RADIUS:g}; Telea, Journal of Graphics Tools 2004",
            inpaint("INPAINT_TELEA"),
        ),
    ),
    "deblur": (
        Baseline(
            "richardson-lucy",
            _SKIMAGE,
            f"known kernel, {RL_ITERATIONS} iterations; Richardson, JOSA 1972,"
            " Lucy, Astronomical Journal 1974",
            deconvolve("richardson_lucy", RL_ITERATIONS),
            needs="kernel",
        ),
        Baseline(
            "wiener",
            _SKIMAGE,
            f"known kernel, balance {WIENER_BALANCE}; Orieux et al., JOSA A 2010",
            deconvolve("wiener", WIENER_BALANCE),
            needs="kernel",
        ),
    ),
}
