"""Baselines: other methods to compare models with, and what each is."""

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
    inpaint,
    lanczos,
    nlm,
    richardson_lucy,
    tv,
    tv_jpeg,
    wiener,
)
from restore_cli.bench.libraries import find_ncnn, installed, load_bm3d
from restore_cli.bench.ncnn_networks import PACKAGES, REALESRGAN, SPAN, WAIFU2X, enlarge
from restore_cli.degradations import Degradation, find_degradation
from restore_cli.image import Pixels


@dataclass(frozen=True)
class Baseline:
    """A method to compare with.

    Attributes:
        name: "bm3d".
        distribution: what it is from, by its name on PyPI.
        settings: with the citation.
        restore: makes of an observed image, H x W x C in [0, 1] or beyond, and its task a restored
            one, float32 in [0, 1]; raises UsageError where its library is missing, or the task's
            damage unknown.
    """

    name: str
    distribution: str
    settings: str
    restore: Callable[[Pixels, Degradation], Pixels]

    @property
    def description(self) -> str:
        """Library and version, settings, citation."""
        by = f" by {installed('ncnn')}" if self.distribution in PACKAGES else ""
        return f"{installed(self.distribution)}{by}, {self.settings}"

    def check(self) -> None:
        """Raise UsageError where its library is missing, before any work is done."""
        if self.distribution == "bm3d":
            load_bm3d()
        elif self.distribution in PACKAGES:  # the others are required
            find_ncnn(self.distribution)


def baselines(task: str) -> Mapping[str, Baseline]:
    """The baselines of a task by name, whether or not their libraries are installed; for some tasks
    none.

    Raises:
        UsageError: there is no such task.
    """
    find_degradation(task)
    return {baseline.name: baseline for baseline in _BASELINES.get(task, ())}


_OPENCV, _SKIMAGE = "opencv-python-headless", "scikit-image"
_BASELINES: Mapping[str, tuple[Baseline, ...]] = {
    "denoise": (
        Baseline(
            "bm3d",
            "bm3d",
            "default profile, color in its opponent space; for non-commercial use only; Dabov et"
            " al., IEEE TIP 2007, Makinen et al., IEEE TIP 2020",
            bm3d,
        ),
        Baseline(
            "nlm",
            _OPENCV,
            "non-local means on 8 bits, to which it clips and rounds the noise, patches of 7,"
            f" windows of 21, h {NLM_GRAY} sigma for gray, {NLM_COLOR} sigma"
            " for color, which is Lab; Buades et al., IPOL 2011",
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
            f"total variation, weight {TV_JPEG} times the root of the mean of JPEG's nine"
            " steps of lowest frequency; Chambolle, JMIV 2004",
            tv_jpeg,
        ),
    ),
    "sr": (
        Baseline(
            "bicubic",
            "restore-cli",
            "as MATLAB's imresize; Keys, IEEE TASSP 1981",
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
            "realesrgan-x4plus, reduced bicubically where the scale is not 4; for worn photos, to"
            " which it adds detail; Wang et al., ICCVW 2021",
            partial(enlarge, REALESRGAN, {4: "realesrgan-x4plus"}),
        ),
        Baseline(
            "waifu2x",
            WAIFU2X,
            "upconv_7_photo without denoising, which doubles the size as often as it takes, reduced"
            " bicubically where the scale is no power of 2; nagadomi, 2015, after Dong et al.,"
            " TPAMI 2016",
            partial(enlarge, WAIFU2X, {2: "models-upconv_7_photo/scale2.0x_model"}),
        ),
        Baseline(
            "span-ncnn",
            SPAN,
            "spanx2_ch48 and spanx4_ch48, the latter reduced bicubically to scales in between; Wan"
            " et al., CVPRW 2024",
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
            f"kernel known, {RL_ITERATIONS} iterations; Richardson, JOSA 1972, Lucy,"
            " Astronomical Journal 1974",
            richardson_lucy,
        ),
        Baseline(
            "wiener",
            _SKIMAGE,
            f"kernel known, balance {WIENER_BALANCE}; Orieux et al., JOSA A 2010",
            wiener,
        ),
    ),
}
