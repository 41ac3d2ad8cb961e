"""Measures what `restore auto` does with damaged and with clean photos.

    python benchmarks/auto.py --data SETS live1 set14 cc15
    python benchmarks/auto.py DATA/photos DATA/bsds_train --every 5

Each photo is cut to its center, and restored as it is, as a JPEG of quality 95, and with --cases
kinds of damage, in turn. The script compares the command with each of its tasks alone, and prints
which share of the first steps is right, and the mean PSNR. A first step is right if it removes the
damage that is removed first, or if its command alone is within 0.1 dB of the best one. Real pairs,
such as cc15, are used as they are; only the set's own task counts as right.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from restore_cli import Picture, restore
from restore_cli.blur import KERNELS
from restore_cli.datasets.find import open_set
from restore_cli.degradations.blur import Blur
from restore_cli.degradations.haze import Haze
from restore_cli.degradations.photo_noise import NoiseKind, add_noise
from restore_cli.degradations.rain import Rain, RainKind
from restore_cli.image import Pixels, compress, read_picture, round_to_bytes, to_rgb
from restore_cli.metrics import psnr
from restore_cli.pipeline.auto import CHOICES, Auto
from restore_cli.tasks import find_task

SIDE = 320
SEED = 40_000
CLOSE = 0.1  # dB
CLEAN = "clean"
PAIRS = {"cc15": "denoise"}  # others have rain
RAINS: tuple[RainKind, ...] = ("streaks", "density")

Random = np.random.Generator
Damage = Callable[[Pixels, Random], Picture]


def png(image: Pixels) -> Picture:
    """A PNG of an image."""
    return Picture(round_to_bytes(image.clip(0, 1)))


def jpeg(image: Pixels, quality: float) -> Picture:
    """A JPEG file of an image."""
    quality = round(quality)
    pixels = compress(image.clip(0, 1), quality, "4:2:0")
    return Picture(pixels, format="JPEG", jpeg_quality=quality)


def cropped(image: Pixels, quality: float, rng: Random) -> Pixels:
    """The pixels of a JPEG from which some rows and columns were cut off."""
    top, left = rng.integers(1, 8, 2)
    padded = np.pad(image, [(top, 0), (left, 0), (0, 0)], "symmetric")
    return compress(padded, round(quality))[top:, left:]


def noise(kind: NoiseKind, clean: Pixels, rng: Random) -> Pixels:
    """Add noise of a level from 6 to 30."""
    return add_noise(clean, kind, float(np.exp(rng.uniform(np.log(6), np.log(30)))), rng)


def blur(clean: Pixels, rng: Random) -> Pixels:
    """Blur by a kernel of 3 to 9 pixels."""
    kernel = KERNELS[rng.integers(len(KERNELS))]
    return Blur(kernel=kernel, size=float(rng.uniform(3, 9))).apply(clean, rng)


def rain(clean: Pixels, rng: Random) -> Pixels:
    """Add light to heavy rain."""
    kind = RAINS[rng.integers(len(RAINS))]
    return Rain(rain=kind, heaviness=float(rng.uniform(0.2, 0.8))).apply(clean, rng)


def haze(clean: Pixels, rng: Random) -> Pixels:
    """Add light to dense haze."""
    return Haze(beta=float(rng.uniform(0.6, 1.8)), light=0.85).apply(clean, rng)


CASES: dict[str, tuple[str, Damage]] = {  # name -> the task of the first step, and the damage
    "white noise": ("denoise", lambda x, r: png(noise("gaussian", x, r))),
    "camera noise": ("denoise", lambda x, r: png(noise("camera", x, r))),
    "JPEG 10 to 85": ("deblock", lambda x, r: jpeg(x, r.uniform(10, 85))),
    "PNG of a cropped JPEG": ("deblock", lambda x, r: png(cropped(x, r.uniform(10, 85), r))),
    "blur": ("deblur", lambda x, r: png(blur(x, r))),
    "rain": ("derain", lambda x, r: png(rain(x, r))),
    "haze": ("dehaze", lambda x, r: png(haze(x, r))),
    "JPEG 30 to 75, then 95": (
        "deblock",
        lambda x, r: jpeg(compress(x, int(r.integers(30, 76)), "4:2:0"), 95),
    ),
    "cropped JPEG 30 to 75, then 95": (
        "deblock",
        lambda x, r: jpeg(cropped(x, r.uniform(30, 75), r), 95),
    ),
    "camera noise, JPEG 50 to 90": (
        "denoise",
        lambda x, r: jpeg(noise("camera", x, r), r.uniform(50, 90)),
    ),
    "blur, JPEG 60 to 90": ("deblock", lambda x, r: jpeg(blur(x, r), r.uniform(60, 90))),
    "rain, JPEG 60 to 90": ("deblock", lambda x, r: jpeg(rain(x, r), r.uniform(60, 90))),
    "haze, camera noise": ("denoise", lambda x, r: png(noise("camera", haze(x, r), r))),
}


@dataclass(frozen=True)
class Row:
    """A photo's result: the tasks that were done, and PSNR in dB."""

    done: tuple[str, ...]
    before: float
    after: float
    alone: dict[str, float]  # by task

    def is_right(self, expected: str) -> bool:
        """Whether the first step is right."""
        first = self.done[0] if self.done else ""
        close = first in self.alone and self.alone[first] > max(self.alone.values()) - CLOSE
        return first == expected or close

    @property
    def best(self) -> float:
        """The PSNR of the best task alone, or of the input if all do harm."""
        return max(self.before, *self.alone.values())


def middle(path: Path) -> Pixels:
    """The center of a photo, in color."""
    image = to_rgb(read_picture(path).opaque_pixels())
    top, left = (max(0, size - SIDE) // 2 for size in image.shape[:2])
    return np.ascontiguousarray(image[top : top + SIDE, left : left + SIDE])


def measure(picture: Picture, clean: Pixels, alone: Sequence[str]) -> Row:
    """Restore a photo with the command, and with some tasks alone."""

    def score(result: Picture) -> float:
        return min(99.0, psnr(round_to_bytes(result.pixels), clean))

    steps, result = Auto().choose(picture).steps, picture
    for step in steps:
        result = restore(result, step.task, step.model)
    single = {name: score(restore(picture, find_task(name)())) for name in alone}
    return Row(tuple(step.task.name for step in steps), score(picture), score(result), single)


def draw(options: argparse.Namespace) -> Iterator[tuple[str, str, Picture, Pixels]]:
    """Yield photos of all sets: kind of damage, expected first task, photo and clean image."""
    turn = options.start
    for folder in options.folder:
        images = open_set(folder, [options.data] if options.data else [])
        for number in range(options.start, len(images.examples), options.every):
            example = images.examples[number]
            clean = middle(example.clean)
            if example.damaged:
                yield (
                    folder,
                    PAIRS.get(Path(folder).name, "derain"),
                    png(middle(example.damaged)),
                    clean,
                )
                continue
            yield CLEAN, "", png(clean), clean
            yield f"{CLEAN}, JPEG 95", "", jpeg(clean, 95), clean
            for _ in range(options.cases):
                name = list(CASES)[turn % len(CASES)]
                expected, damage = CASES[name]
                yield name, expected, damage(clean, np.random.default_rng(SEED + turn)), clean
                turn += 1


def report(name: str, rows: Sequence[tuple[str, Row]]) -> None:
    """Print the figures of some photos."""
    right = sum(row.is_right(expected) for expected, row in rows)
    strict = sum(row.done[:1] == (expected,) for expected, row in rows)
    means = np.mean([(row.before, row.after, row.best) for _, row in rows], axis=0)
    best = max(CHOICES, key=lambda task: np.mean([row.alone.get(task, 0) for _, row in rows]))
    print(
        f"{name:32} first step {right} of {len(rows)} (as expected {strict});"
        f" PSNR input {means[0]:.2f}, auto {means[1]:.2f}, best command of each {means[2]:.2f}"
        f", {best} {np.mean([row.alone.get(best, 0) for _, row in rows]):.2f}",
        flush=True,
    )


def main(words: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="+", help="sets, by name or path")
    parser.add_argument("--data", type=Path, help="folder of the sets")
    parser.add_argument("--every", type=int, default=1, help="use only every n-th photo")
    parser.add_argument("--start", type=int, default=0, help="the first photo to use")
    parser.add_argument("--cases", type=int, default=3, help="kinds of damage for each photo")
    parser.add_argument("--verbose", action="store_true", help="print a line per photo, too")
    options = parser.parse_args(words)
    results: defaultdict[str, list[tuple[str, Row]]] = defaultdict(list)
    for name, expected, picture, clean in draw(options):
        row = measure(picture, clean, () if name.startswith(CLEAN) else CHOICES)
        results[name].append((expected, row))
        if options.verbose:
            print(name, row, flush=True)
    kept = [not row.done for name, rows in results.items() for _, row in rows if CLEAN in name]
    print(f"clean photos left alone: {sum(kept)} of {len(kept)}")
    damaged = {name: rows for name, rows in results.items() if CLEAN not in name}
    for name, rows in damaged.items():
        report(name, rows)
    if damaged:
        report("all damaged photos", [row for rows in damaged.values() for row in rows])


if __name__ == "__main__":
    main()
