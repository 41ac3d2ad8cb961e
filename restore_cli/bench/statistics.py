"""What figures of images say together: their mean, its interval, and which method is best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_BOOTSTRAP_SAMPLES = 10_000
_MIN_IMAGES = 5  # of a verdict, as the smallest sets have; fewer make an interval too narrow


def mean(values: Iterable[float]) -> float:
    """The mean of what is finite; infinite only if nothing is."""
    finite = [value for value in values if math.isfinite(value)]
    return float(np.mean(finite)) if finite else math.inf


def interval(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Where the mean lies with 95 %, by the percentiles of 10,000 resamples, drawn with seed 0.

    Differences may be infinite, and so the bounds; of those to both sides nothing is known.
    """
    drawn = np.random.default_rng(0).choice(differences, (_BOOTSTRAP_SAMPLES, len(differences)))
    with np.errstate(invalid="ignore"):
        means = np.sort(drawn.mean(axis=1))  # NaN comes last
    if np.isnan(means[-1]):
        return -math.inf, math.inf
    low, high = round(0.025 * _BOOTSTRAP_SAMPLES), round(0.975 * _BOOTSTRAP_SAMPLES) - 1
    return float(means[low]), float(means[high])


def compare_methods(methods: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Say which of two methods or more is best, where that is more than chance.

    Each is compared with the one of the highest mean: the mean difference over the images, and its
    interval of 95 % by a paired bootstrap. The best is named only if no other's interval holds
    zero, and there are 5 images or more. What two restore exactly makes no difference.

    Args:
        methods: PSNR in dB of each image by its name, by method.

    Returns:
        A note by method.
    """
    best = max(methods, key=lambda name: mean(methods[name].values()))
    few = len(methods[best]) < _MIN_IMAGES
    notes, ties = {}, []
    for name, images in methods.items():
        if name == best:
            continue
        differences = _differences(images, methods[best])
        low, high = interval(np.array(differences))
        words = [_signed(value) for value in (sum(differences) / len(differences), low, high)]
        within = "" if few else f" [{words[1]}, {words[2]}]"
        notes[name] = f"{words[0]}{within} dB to {best}"
        if low <= 0 <= high:
            ties.append(name)
    notes[best] = f"not told apart from {', '.join(ties)}" if ties else "best"
    if few:
        count = len(methods[best])
        notes[best] = f"too few images to name a best, {count} of at least {_MIN_IMAGES}"
    return notes


def _differences(images: Mapping[str, float], best: Mapping[str, float]) -> Sequence[float]:
    pairs = [(images[name], value) for name, value in best.items()]
    return [0.0 if own == value else own - value for own, value in pairs]


def _signed(value: float) -> str:
    return "±∞" if math.isnan(value) else f"{value:+.2f}".replace("inf", "∞")
