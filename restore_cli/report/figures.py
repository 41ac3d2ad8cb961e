"""The figures of benchmarks: their names, formats and meaning."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A figure of a benchmark.

    Attributes:
        name: heading of the column, and key in JSON.
        unit: unit of a value in a sentence, "dB".
        higher_is_better: whether higher values are better.
        digits: number of decimals to show; None shows three significant digits.
        luma: whether it is measured on luma instead of all channels.
        hidden: whether a page shows the column only on request.
    """

    name: str
    unit: str = ""
    higher_is_better: bool = False
    digits: int | None = None
    luma: bool = False
    hidden: bool = False

    def format(self, value: float | None) -> str:
        """Format a value for people; "" if it is missing."""
        if value is None or math.isnan(value):
            return ""
        if self.digits == 0:
            return f"{value:,.0f}"
        if self.digits is not None:
            return f"{value:.{self.digits}f}"
        return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


PSNR = Figure("PSNR", "dB", higher_is_better=True, digits=2)
SSIM = Figure("SSIM", higher_is_better=True, digits=4)
PSNR_Y = Figure("PSNR Y", "dB", higher_is_better=True, digits=2, luma=True)
SSIM_Y = Figure("SSIM Y", higher_is_better=True, digits=4, luma=True)
PSNR_B_Y = Figure("PSNR-B Y", "dB", higher_is_better=True, digits=2, luma=True)
LPIPS = Figure("LPIPS", digits=4)
NIQE = Figure("NIQE", digits=2)
IMAGES = Figure("images", digits=0, hidden=True)
MEDIAN = Figure("median", "dB", higher_is_better=True, digits=2, hidden=True)
WORST = Figure("worst", "dB", higher_is_better=True, digits=2, hidden=True)
SECONDS = Figure("seconds", hidden=True)
SPEED = Figure("MP/s", higher_is_better=True)
PEAK_MEMORY = Figure("peak MB", hidden=True)
PARAMETERS = Figure("parameters", digits=0, hidden=True)
WORK = Figure("kFLOP/pixel")

IMAGE_FIGURES = {  # the figures of a single image, by name
    figure.name: figure for figure in (PSNR, SSIM, PSNR_Y, SSIM_Y, PSNR_B_Y, LPIPS, NIQE)
}
OVER_ALL_CHANNELS = {PSNR_Y: PSNR, SSIM_Y: SSIM}  # figure on luma -> the same over all channels
