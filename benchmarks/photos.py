"""Measures `restore denoise photo.jpg` without a given level, on noisy and on clean photos.

    python benchmarks/photos.py DATA/live1 DATA/set14/x2/hr
    python benchmarks/photos.py DATA/cbsd68 --noise gaussian --level 15 25 50

Noise of a random camera, noise of a random kind, or white noise is added to the center crop of 256
pixels of every image, at levels from light to heavy, with other seeds than in training. All but
white noise is saved in files, most of them JPEGs. The output of the command is compared with that
of the model that is given a level, at the level that works best for all images of a row. The script
also prints how much the command changes clean images, and clean JPEGs of quality 95: the PSNR
between input and output, at most 60 dB each.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from restore_cli import Denoise, Picture, load, restore
from restore_cli.degradations import photo_noise
from restore_cli.degradations.noise import Noise
from restore_cli.image import Pixels, compress, is_image_name, read_picture, round_to_bytes
from restore_cli.metrics import psnr
from restore_cli.models.checkpoint import Checkpoint

SIDE = 256
SEED = 20_000
LEVELS = (2.0, 5.0, 10.0, 20.0, 40.0)
UNCHANGED = 60.0  # upper limit in dB, for photos that hardly change or do not change
GIVEN = (0.5, 1.0, 1.5, 2.0, 3.0)  # levels to try, relative to the true level


def middle(image: Pixels) -> Pixels:
    """The center crop of an image."""
    top, left = ((size - SIDE) // 2 if size > SIDE else 0 for size in image.shape[:2])
    return np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE])


def score(
    observed: Sequence[Pixels],
    clean: Sequence[Pixels],
    model: Checkpoint | str | None,
    sigma: float | None,
) -> list[float]:
    """The PSNR in dB of each image, restored by a model."""
    results = (restore(Picture(image), Denoise(sigma=sigma), model).pixels for image in observed)
    return [
        psnr(round_to_bytes(result), image) for result, image in zip(results, clean, strict=True)
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument(
        "--model", help="model to use; by default the choice of the command for each photo"
    )
    parser.add_argument(
        "--noise", nargs="+", choices=photo_noise.NOISES, default=["camera", "random"]
    )
    parser.add_argument("--level", type=float, nargs="+", default=LEVELS)
    options = parser.parse_args()
    given = load("denoise-color")
    paths = [
        path
        for folder in options.folder
        for path in sorted(folder.iterdir())
        if is_image_name(path)
    ]
    if not paths:
        parser.error("these folders contain no images")
    clean = [middle(read_picture(path).opaque_pixels()) for path in paths]
    for noise in options.noise:
        for level in options.level:
            damage = Noise(sigma=level, noise=noise)
            seeds = range(SEED, SEED + len(clean))
            observed = [
                round_to_bytes(damage.apply(image, np.random.default_rng(seed)))
                for seed, image in zip(seeds, clean, strict=True)
            ]
            before = np.mean([psnr(*pair) for pair in zip(observed, clean, strict=True)])
            own = np.mean(score(observed, clean, options.model, None))
            known = {
                share * level: np.mean(score(observed, clean, given, share * level))
                for share in GIVEN
            }
            best = max(known, key=lambda sigma: known[sigma])
            print(
                f"{noise} {level:g}: input {before:.2f}, estimated level {own:.2f}, "
                f"given sigma {best:g} {known[best]:.2f} dB",
                flush=True,
            )
    for name, images in (
        ("clean", clean),
        ("clean, JPEG 95", [compress(image, 95, "4:2:0") for image in clean]),
    ):
        back = np.minimum(score(images, images, options.model, None), UNCHANGED)
        print(f"{name}: {np.mean(back):.2f} dB to the input, at least {min(back):.2f}", flush=True)


if __name__ == "__main__":
    main()
