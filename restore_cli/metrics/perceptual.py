"""Perceptual metrics of the optional library pyiqa: LPIPS and NIQE; lower is better.

They run on the CPU. The network of a metric is loaded once and stays in memory, the only exception
to one model at a time.
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
    """A metric of pyiqa.

    Attributes:
        name: pyiqa's name of it.
        figure: the figure that it measures.
        side: smallest height and width in pixels.
        files: weights in torch's download folder, where pyiqa stores them on first use.
    """

    name: str
    figure: Figure
    side: int
    files: tuple[str, ...]

    def measure(self, image: Pixels, reference: Pixels, *, offline: bool = False) -> float | None:
        """Measure an image, with both images rounded to 8 bits and gray converted to RGB.

        Args:
            image: H x W x C with C = 1 or 3; values beyond [0, 1] are clipped.
            reference: the same; NIQE ignores it.
            offline: do not download anything; HF_HUB_OFFLINE does the same.

        Returns:
            The figure, or None if the image is too small, or too flat for the statistics of NIQE.

        Raises:
            UsageError: pyiqa is not installed, or cannot run.
            WeightsError: the weights are missing and cannot be downloaded, or are damaged.
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
        # Zhang et al., CVPR 2018, version 0.1; AlexNet's second pooling needs 31 pixels.
        Metric(
            "lpips",
            LPIPS,
            31,
            ("checkpoints/alexnet-owt-7be5be79.pth", "pyiqa/LPIPS_v0.1_alex-df73285e.pth"),
        ),
        # Mittal et al., IEEE Signal Processing Letters 2013, on luma, in blocks of 96 x 96 pixels.
        Metric("niqe", NIQE, 96, ("pyiqa/niqe_modelparameters.mat",)),
    )
}


def find_metric(name: str) -> Metric:
    """Find a metric by its name; raises UsageError if there is none."""
    if name not in METRICS:
        raise UsageError(f"Unknown metric {name!r}; choose {', '.join(METRICS)}.")
    return METRICS[name]


@cache
def _load(metric: Metric, offline: bool) -> Callable[..., Any]:
    title = metric.figure.name
    # Without this, pyiqa would run code in the files that it downloads.
    os.environ.setdefault("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
    from torch.hub import get_dir

    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # pyiqa prints to both
        try:
            pyiqa = importlib.import_module("pyiqa")
        except ImportError as error:
            raise UsageError(
                f"{title} needs pyiqa, which is licensed for non-commercial use only. Install it"
                " with `pip install 'restore-cli[perceptual]'`."
            ) from error
        except (RuntimeError, OSError, AttributeError) as error:
            raise UsageError(
                f"{title} needs a torchvision of the same build as torch ({_reason(error)})."
                " Reinstall both with one pip command from one index."
            ) from error
        folder = Path(get_dir())
        missing = [name for name in metric.files if not (folder / name).is_file()]
        if offline and missing:  # pyiqa and torch have no offline mode
            raise WeightsError(
                f"{title} needs {' and '.join(missing)} in {folder} and cannot download it in"
                " offline mode. Run it online once, or copy the files."
            )
        try:
            return pyiqa.create_metric(metric.name, device="cpu")  # type: ignore[no-any-return]
        except Exception as error:  # from urllib, torch or pickle
            raise WeightsError(
                f"Cannot set up {title}: {_reason(error)}. Its weights are downloaded on first use:"
                f" {' and '.join(metric.files)} in {folder}."
            ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".partition("\n")[0].partition(". ")[0].rstrip(".")
