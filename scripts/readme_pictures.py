"""Make the images of README.md: one photo per task before and after, side by side.

    python scripts/readme_pictures.py docs/pictures

The photos come with scikit-image: Chelsea the cat (Stéfan van der Walt, CC0), coffee (Rachel
Michetti, CC0), a rocket (SpaceX, public domain) and the astronaut Eileen Collins (NASA, public
domain). They are degraded as in the benchmarks.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
from skimage import data

import restore_cli
from restore_cli.degradations.blur import Blur
from restore_cli.degradations.downscale import Downscale
from restore_cli.degradations.haze import Haze
from restore_cli.degradations.missing import Missing
from restore_cli.degradations.noise import Noise
from restore_cli.degradations.rain import Rain
from restore_cli.image import Pixels, compress, resize, round_to_bytes, to_pillow
from restore_cli.tasks import Task

SIDE = 360, 240  # size of each half, in pixels
GAP = 4
QUALITY = 84
PLACES = {  # photo, left and top of the crop
    "denoise": ("chelsea", 60, 30),
    "deblock": ("coffee", 100, 20),
    "inpaint": ("astronaut", 60, 20),
    "derain": ("rocket", 230, 120),
    "dehaze": ("rocket", 60, 187),
    "deblur": ("coffee", 40, 110),
    "sr": ("coffee", 200, 140),
}


def main(folder: Path) -> None:
    """Write TASK.jpg for each task into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (photo, left, top) in PLACES.items():
        clean = np.divide(getattr(data, photo)(), 255, dtype=np.float32)
        pair = [image[top : top + SIDE[1], left : left + SIDE[0]] for image in restore(name, clean)]
        white = np.ones((SIDE[1], GAP, 3), np.float32)
        strip = np.concatenate([pair[0], white, pair[1]], axis=1)
        path = folder / f"{name}.jpg"
        to_pillow(strip).save(path, quality=QUALITY, optimize=True)
        print(f"{path}: {path.stat().st_size:,} bytes")


def restore(name: str, clean: Pixels) -> tuple[Pixels, Pixels]:
    """Degrade and restore a photo; returns the degraded photo as it is shown, and the result."""
    rng = np.random.default_rng(2)
    match name:
        case "denoise":
            task: Task = restore_cli.Denoise(sigma=25)
            damaged = round_to_bytes(Noise(sigma=25).apply(clean, rng))
        case "deblock":
            task, damaged = restore_cli.Deblock(), compress(clean, 12, "4:2:0")
        case "derain":
            task = restore_cli.Derain()
            damaged = round_to_bytes(Rain(heaviness=0.4).apply(clean, rng))
        case "dehaze":
            task = restore_cli.Dehaze()
            damaged = round_to_bytes(Haze(beta=1.2).apply(clean, rng))
        case "deblur":
            task = restore_cli.Deblur()
            damaged = round_to_bytes(Blur(kernel="disk", size=7).apply(clean, rng))
        case "inpaint":
            task = restore_cli.Inpaint()
            damaged = Missing(damage="scratches", share=0.08).apply(clean, rng)
        case _:
            task = restore_cli.Sr(scale=4)
            damaged = Downscale(scale=4).apply(clean, rng)
    result = restore_cli.restore(_picture(damaged), task, mask=_mask(damaged)).pixels
    if name == "sr":
        return np.asarray(resize(damaged, *clean.shape[:2]).clip(0, 1)), result
    return np.where(np.isnan(damaged), np.float32(1), damaged), result


def _mask(damaged: Pixels) -> Pixels | None:
    missing = np.isnan(damaged).any(axis=2)
    return np.asarray(missing, np.float32) if missing.any() else None


def _picture(pixels: Pixels) -> restore_cli.Picture:
    buffer = io.BytesIO()
    to_pillow(np.nan_to_num(pixels)).save(buffer, "PNG")
    return restore_cli.read_picture(buffer.getvalue())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
