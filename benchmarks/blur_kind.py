"""Measures how well the blur of photos is found.

    python benchmarks/blur_kind.py DATA/live1 [--style photo] [--noise 1]

Each photo is blurred by every kernel; motions have random angles. The script prints how often the
shape is right, the mean of the sizes that were measured, and their mean absolute error; of motions
also that of the angle. For sharp photos it prints how often no blur is found.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from restore_cli.blur import SHARP, Kernel, measure_blur
from restore_cli.datasets.find import open_set
from restore_cli.degradations.blur import Blur
from restore_cli.image import Pixels, read_picture

SIZES: dict[Kernel | Literal["none"], tuple[int, ...]] = {
    "disk": (3, 5, 7, 11),
    "gaussian": (3, 5, 7, 11),
    "motion": (5, 7, 11, 15),
    SHARP: (1,),
}


def report(damage: Blur, photos: Sequence[Pixels]) -> None:
    """Print how the blur of some photos is measured."""
    found, turns = [], []
    for seed, photo in enumerate(photos):
        rng = np.random.default_rng(50_000 + seed)
        angle = float(rng.uniform(0, 180))
        found.append(measure_blur(replace(damage, angle=angle).apply(photo, rng)))
        turns.append(abs((found[-1].angle - angle + 90) % 180 - 90))
    title = f"{damage.kernel} {damage.size:g}:"
    if damage.kernel == SHARP:
        print(title, f"no blur in {1 - np.mean([one.visible for one in found]):.0%}", flush=True)
        return
    right = [one.visible and one.kernel == damage.kernel for one in found]
    sizes = np.array([one.size for one in found])
    words = f"right shape {np.mean(right):.0%}, size {sizes.mean():.1f}"
    words += f", mean absolute error {np.abs(sizes - damage.size).mean():.1f}"
    if damage.kernel == "motion":
        words += f", of the angle {np.mean(turns):.0f} degrees"
    print(title, words, flush=True)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--style", choices=("plain", "photo"), default="plain")
    parser.add_argument("--noise", type=float, default=0)
    options = parser.parse_args(words)
    images = open_set(str(options.folder)).examples
    photos = [read_picture(example.clean).opaque_pixels() for example in images]
    for kernel, sizes in SIZES.items():
        for size in sizes:
            report(Blur(kernel, size, noise=options.noise, style=options.style), photos)


if __name__ == "__main__":
    main()
