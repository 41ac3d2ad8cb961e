"""Measures how well a method restores one image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from restore_cli.bench.cases import Case
from restore_cli.bench.costs import Cost, measure_block
from restore_cli.bench.methods import Method
from restore_cli.datasets.layout import Example
from restore_cli.degradations import Degradation
from restore_cli.image import Pixels, luma, round_to_bytes
from restore_cli.metrics import SSIM_WINDOW, psnr, psnr_b, ssim
from restore_cli.report.figures import IMAGE_FIGURES, PSNR, PSNR_B_Y, PSNR_Y, SSIM, SSIM_Y, Figure


@dataclass(frozen=True)
class RestoredImage:
    """An image before and after restoration, H x W x C in [0, 1], and its cost and network."""

    clean: Pixels
    observed: Pixels
    restored: Pixels
    cost: Cost
    network: str


@dataclass(frozen=True)
class Measurement:
    """The figures of one image.

    Attributes:
        seconds, peak_mb: the cost of the restoration; the peak is None if the system does not
            report it.
        megapixels, channels: of the result.
        network: the name of the network that restored the image; empty for other methods.
    """

    figures: Mapping[Figure, float]
    seconds: float
    megapixels: float
    channels: int
    peak_mb: float | None = None
    network: str = ""

    def to_plain(self) -> dict[str, Any]:
        """The measurement as a dictionary for JSON."""
        return {
            **{figure.name: value for figure, value in self.figures.items()},
            "seconds": self.seconds,
            "MP": self.megapixels,
            "channels": self.channels,
            **({} if self.peak_mb is None else {"peak MB": self.peak_mb}),
            **({"network": self.network} if self.network else {}),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Rebuild a measurement from the output of `to_plain`."""
        values = dict(plain)
        costs = values.pop("seconds"), values.pop("MP"), int(values.pop("channels"))
        others = values.pop("peak MB", None), values.pop("network", "")
        return cls({IMAGE_FIGURES[name]: value for name, value in values.items()}, *costs, *others)


def restore_example(method: Method, case: Case, example: Example) -> RestoredImage:
    """Read, degrade and restore an image, after warming up the method; round the result to 8 bits.

    Raises:
        UsageError: see `Case.open`, or the method cannot be run.
    """
    clean, observed = case.open(example)
    method.warm_up(observed, case.damage)
    with measure_block() as cost:
        restored = method.restore(observed, case.damage)
    if method.restores:  # the input is scored as is
        restored = round_to_bytes(restored)
    return RestoredImage(clean, observed, restored, cost, method.used)


def measure(image: RestoredImage, case: Case) -> Measurement:
    """The figures of an image, without metrics that cannot be computed for it."""
    figures = score(image.restored, image.clean, case.damage)
    inside = case.damage.crop_border(image.restored), case.damage.crop_border(image.clean)
    for metric in case.request.metrics:
        value = metric.measure(*inside, offline=case.request.offline)
        if value is not None:
            figures[metric.figure] = value
    height, width, channels = image.clean.shape
    cost = image.cost
    megapixels = height * width / 1e6
    return Measurement(figures, cost.seconds, megapixels, channels, cost.peak_mb, image.network)


def score(restored: Pixels, clean: Pixels, damage: Degradation) -> dict[Figure, float]:
    """PSNR and PSNR-B in dB and SSIM, over all channels and on BT.601 luma of studio range.

    Args:
        restored, clean: H x W x C in [0, 1]; nothing is rounded here. Gray counts as luma as is.
        damage: defines the border that is not scored.
    """
    pair = damage.crop_border(restored), damage.crop_border(clean)
    on_luma = tuple(luma(image)[..., None] if image.shape[2] == 3 else image for image in pair)
    figures = {}
    for (image, reference), (psnr_figure, ssim_figure) in (
        (pair, (PSNR, SSIM)),
        (on_luma, (PSNR_Y, SSIM_Y)),
    ):
        figures[psnr_figure] = psnr(image, reference)
        if min(image.shape[:2]) >= SSIM_WINDOW:
            figures[ssim_figure] = ssim(image, reference)
    if damage.task().has_blocking:
        figures[PSNR_B_Y] = psnr_b(*on_luma)
    return figures
