"""Measures how well the noise level of photos is estimated, on clean images and on real pairs.

    python benchmarks/noise_level.py DATA/cbsd68
    python benchmarks/noise_level.py DATA/live1 --noise camera random --sigma 0 3 10 25
    python benchmarks/noise_level.py DATA/cc15

Noise of each level is added to clean images: white noise once in float without clipping, and once
rounded to 8 bits; camera noise and random kinds of noise in files, most of them JPEGs. The true
level is the root mean square of the difference to the same photo without the noise. An estimate is
right if it is within a quarter of the true level, or within 1.5.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from restore_cli.datasets.find import open_set
from restore_cli.datasets.layout import ImageSet
from restore_cli.degradations import photo_noise
from restore_cli.image import Pixels, read_picture, round_to_bytes
from restore_cli.noise import measure_noise

Photo = tuple[Pixels, float]  # pixels and true noise level


def real(images: ImageSet) -> Iterator[Photo]:
    """The noisy photos of real pairs."""
    for example in images.examples:
        assert example.damaged
        noisy, clean = (
            read_picture(path).opaque_pixels() for path in (example.damaged, example.clean)
        )
        yield noisy, 255 * float(np.sqrt(np.square(noisy - clean).mean()))


def drawn(
    images: ImageSet, noise: photo_noise.NoiseKind, sigma: float, clip: bool
) -> Iterator[Photo]:
    """Photos with added noise."""
    for seed, example in enumerate(images.examples):
        clean = read_picture(example.clean).opaque_pixels()
        rng = np.random.default_rng(30_000 + seed)
        if noise == "gaussian":
            noisy = photo_noise.add_noise(clean, noise, sigma, rng)
            yield (round_to_bytes(noisy) if clip else noisy), sigma
        else:
            noisy, added = photo_noise.noisy_file(clean, noise, sigma, rng)
            yield noisy, 255 * float(np.sqrt(np.square(added).mean()))


def report(title: str, photos: Iterator[Photo]) -> None:
    """Print the errors of the estimates for some photos."""
    found, true = np.array([(measure_noise(noisy).level, level) for noisy, level in photos]).T
    errors = np.abs(found - true)
    right = (errors <= np.maximum(1.5, true / 4)).mean()
    means = (
        f"level {true.mean():.2f}, estimate {found.mean():.2f},"
        f" mean absolute error {errors.mean():.2f}"
    )
    print(f"{title}: {means}, worst {errors.max():.2f}, right {right:.0%}", flush=True)


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--noise", nargs="+", choices=photo_noise.NOISES, default=["gaussian"])
    parser.add_argument("--sigma", type=float, nargs="+", default=[5, 15, 25, 50])
    options = parser.parse_args(words)
    images = open_set(str(options.folder))
    if images.examples[0].damaged:
        report("real pairs", real(images))
        return
    for noise in options.noise:
        for sigma in options.sigma:
            if noise == "gaussian":
                report(f"gaussian {sigma:g}, float", drawn(images, noise, sigma, clip=False))
            report(f"{noise} {sigma:g}, 8 bits", drawn(images, noise, sigma, clip=True))


if __name__ == "__main__":
    main()
