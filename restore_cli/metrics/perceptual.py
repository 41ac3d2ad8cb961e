"""How a picture looks: LPIPS and NIQE as the optional library pyiqa measures them; lower is better.

They run on the CPU. What a metric needs is loaded once and stays in memory, the exception to one
model at a time.
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore_cli.download import is_offline
from restore_cli.errors import UsageError, WeightsError
from restore_cli.report.figures import LPIPS, NIQE, Figure

if TYPE_CHECKING:
    from restore_cli.image import Pixels


@dataclass(frozen=True)
class Metric:
    """What pyiqa measures.

    Attributes:
        name: pyiqa's.
        figure: what its results are.
        side: height and width at least, in pixels.
        files: weights in torch's folder of downloads, where pyiqa puts them at first use.
    """

    name: str
    figure: Figure
    side: int
    files: tuple[str, ...]

    def measure(self, image: Pixels, reference: Pixels, *, offline: bool = False) -> float | None:
        """The figure of an image, both rounded to 8 bits and gray repeated to RGB; NIQE sees no
        reference.

        Args:
            image, reference: H x W x C in [0, 1] or beyond, C = 1 or 3.
            offline: do not download; HF_HUB_OFFLINE does the same.

        Returns:
            None if the image is too small, or so flat that NIQE has no statistics of it.

        Raises:
            UsageError: pyiqa is not installed, or cannot run.
            WeightsError: the weights are not here and cannot be fetched, or are damaged.
        """
        if min(image.shape[:2]) < self.side:
            return None
        network = _load(self, is_offline(offline))

        from torch.linalg import LinAlgError  # type: ignore[attr-defined]

        from restore_cli.image import to_pillow

        try:
            return float(
                network(*(to_pillow(pixels).convert("RGB") for pixels in (image, reference)))
            )
        except LinAlgError:
            return None


METRICS = {
    metric.name: metric
    for metric in (
        # Zhang et al., CVPR 2018, version 0.1; below 31 pixels AlexNet's second pooling has no
        # output.
        Metric(
            "lpips",
            LPIPS,
            31,
            ("checkpoints/alexnet-owt-7be5be79.pth", "pyiqa/LPIPS_v0.1_alex-df73285e.pth"),
        ),
        # Mittal et al., IEEE Signal Processing Letters 2013, of the luma; whole blocks of 96 pixels
        # count.
        Metric("niqe", NIQE, 96, ("pyiqa/niqe_modelparameters.mat",)),
    )
}


def find_metric(name: str) -> Metric:
    """The metric of that name; raises UsageError if there is none."""
    if name not in METRICS:
        raise UsageError(f"There is no metric {name!r}; there are: {', '.join(METRICS)}.")
    return METRICS[name]


@cache
def _load(metric: Metric, offline: bool) -> Callable[..., Any]:
    title = metric.figure.name
    os.environ.setdefault(
        "TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1"
    )  # pyiqa would run code in what it downloads
    from torch.hub import get_dir

    with (
        redirect_stdout(io.StringIO()),
        redirect_stderr(io.StringIO()),
    ):  # it prints, even to standard output
        try:
            pyiqa = importlib.import_module("pyiqa")
        except ImportError as error:
            raise UsageError(
                f"{title} needs pyiqa; run `pip install 'restore-cli[perceptual]'` if its"
                " license, for"
                " non-commercial use only, allows it."
            ) from error
        except (RuntimeError, OSError, AttributeError) as error:
            raise UsageError(
                f"{title} needs a torchvision of the same build as torch"
                f" ({_reason(error)}); install"
                " both again, by one pip command from one index."
            ) from error
        folder = Path(get_dir())
        missing = [name for name in metric.files if not (folder / name).is_file()]
        if offline and missing:  # of which neither pyiqa nor torch's downloads know
            raise WeightsError(
                f"{title} lacks {' and '.join(missing)} in {folder}, and this is offline;"
                " run it once"
                " with a network, or copy them."
            )
        try:
            return pyiqa.create_metric(metric.name, device="cpu")  # type: ignore[no-any-return]
        except Exception as error:  # of urllib, torch and pickle
            raise WeightsError(
                f"{title} cannot be set up ({_reason(error)}); its weights, downloaded at"
                " first use,"
                f" are {' and '.join(metric.files)} in {folder}."
            ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0].partition(". ")[0].rstrip(".")
