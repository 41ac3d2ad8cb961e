"""What `restore denoise photo.jpg`, with no level given, makes of noisy photos, and of clean ones.

    python benchmarks/photos.py DATA/live1 DATA/set14/x2/hr
    python benchmarks/photos.py DATA/cbsd68 --noise gaussian --level 15 25 50

The middle 256 pixels of every image get the noise of a random camera, of a random kind, or white
noise, at levels from light to heavy, and become files, most of them JPEGs but for white noise, with
other seeds than in trainings. What the command makes of them is compared with the model that is
given a level, at the level that suits all images of a row best. Then the PSNR of clean images to
themselves, as they are and as JPEGs of quality 95, at most 60 dB each.
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
UNCHANGED = 60.0  # dB that a photo counts which stays nearly or wholly as it is
GIVEN = (0.5, 1.0, 1.5, 2.0, 3.0)  # levels that are tried, by the noise's own


def middle(image: Pixels) -> Pixels:
    """The middle of an image."""
    top, left = ((size - SIDE) // 2 if size > SIDE else 0 for size in image.shape[:2])
    return np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE])


def score(
    observed: Sequence[Pixels],
    clean: Sequence[Pixels],
    model: Checkpoint | str | None,
    sigma: float | None,
) -> list[float]:
    """PSNR in dB of what a model makes of each image."""
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
        "--model", help="as of the command; by default its own choice for each photo"
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
            told = {
                share * level: np.mean(score(observed, clean, given, share * level))
                for share in GIVEN
            }
            best = max(told, key=lambda sigma: told[sigma])
            print(
                f"{noise} {level:g}: input {before:.2f}, found {own:.2f}, "
                f"given sigma {best:g} {told[best]:.2f} dB",
                flush=True,
            )
    for name, images in (
        ("clean", clean),
        ("clean, JPEG 95", [compress(image, 95, "4:2:0") for image in clean]),
    ):
        back = np.minimum(score(images, images, options.model, None), UNCHANGED)
        print(f"{name}: {np.mean(back):.2f} dB to themselves, at least {min(back):.2f}", flush=True)


if __name__ == "__main__":
    main()
