"""Statistics over images: mean, confidence interval, and which method is best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_BOOTSTRAP_SAMPLES = 10_000
_MIN_IMAGES = (
    5  # for a verdict, the size of the smallest sets; with fewer, intervals are too narrow
)


def mean(values: Iterable[float]) -> float:
    """The mean of the finite values; infinite if there are none."""
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.inf


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """The 95 % confidence interval of the mean: percentiles of 10,000 bootstrap samples, seed 0.

    Differences may be infinite, and then the bounds may be, too. If there are infinite differences
    of both signs, the interval is unbounded.
    """
    drawn = np.random.default_rng(0).choice(differences, (_BOOTSTRAP_SAMPLES, len(differences)))
    with np.errstate(invalid="ignore"):
        means = np.sort(drawn.mean(axis=1))  # NaN comes last
    if np.isnan(means[-1]):
        return -math.inf, math.inf
    low, high = round(0.025 * _BOOTSTRAP_SAMPLES), round(0.975 * _BOOTSTRAP_SAMPLES) - 1
    return float(means[low]), float(means[high])


BEST = "best"  # the note of a method that is declared the best


def compare_methods(methods: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Determine which of at least two methods is best, if the difference is significant.

    Each method is compared with the one of the highest mean, by the mean difference over the images
    and its 95 % interval from a paired bootstrap. A best method is declared only if no interval
    contains zero, and there are at least 5 images. Images that both methods restore exactly count
    as a difference of zero.

    Args:
        methods: for each method, the PSNR in dB by the name of the image.

    Returns:
        A note for each method.
    """
    best = max(methods, key=lambda name: mean(methods[name].values()))
    few = len(methods[best]) < _MIN_IMAGES
    notes, ties = {}, []
    for name, images in methods.items():
        if name == best:
            continue
        differences = _differences(images, methods[best])
        low, high = interval(np.array(differences))
        mean_text, *bounds = map(_signed, (sum(differences) / len(differences), low, high))
        within = "" if few else f" [{', '.join(bounds)}]"
        notes[name] = f"{mean_text}{within} dB to {best}"
        if high >= 0:  # the mean leaves infinite values out, so that a difference can be positive
            ties.append(name)
    notes[best] = f"not significantly better than {', '.join(ties)}" if ties else BEST
    if few:
        count = len(methods[best])
        notes[best] = f"too few images for a verdict, {count} of at least {_MIN_IMAGES}"
    return notes


def _differences(images: Mapping[str, float], best: Mapping[str, float]) -> Sequence[float]:
    pairs = [(images[name], value) for name, value in best.items()]
    return [0.0 if own == value else own - value for own, value in pairs]


def _signed(value: float) -> str:
    return "±∞" if math.isnan(value) else f"{value:+.2f}".replace("inf", "∞")
