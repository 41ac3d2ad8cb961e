"""Measures how `restore inpaint --detect` restores photos with overlaid text or scratches.

    python benchmarks/detect.py DATA/{bsds_train,bsds_test,t91,photos,photos_more} --every 24

These are the images that the recipe of inpaint-blind-color holds out. Damage is drawn on their
center crops of 256 pixels, with other seeds than in training, and the results are saved as PNG and
JPEG. PSNR and SSIM are measured against the same file without the damage, for three versions: the
damaged file, the output of the first detection model itself, and the output of the command. The
script also prints which share of the damage is detected, which share of other pixels is detected by
mistake, and in how many undamaged files anything is detected. `--dense` draws opaque letters and
lines over much of a photo, as `restore bench inpaint` does, in PNGs only. `--weak` and `--strong`
replace the thresholds of the command, on the 0..255 scale.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import cv2
import numpy as np

from restore_cli import Inpaint, Picture, load, restore
from restore_cli.degradations.missing import PAINTED, Missing, Style
from restore_cli.engine import Settings, run
from restore_cli.image import Pixels, compress, is_image_name, read_picture, round_to_bytes, to_rgb
from restore_cli.metrics import psnr, ssim
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.tasks import detection
from restore_cli.tasks.detection import locate
from restore_cli.tasks.inpaint import Paint

SIDE = 256
SEED = 30_000
SIZES = (10, 48)  # of text, in pixels
SEEN = 16 / 255  # smallest change of a pixel that should be detected
QUALITIES = (None, 95, 85, 75)
DENSE = {"text": 0.1, "scratches": 0.03}  # damaged share of the pixels


def middle(image: Pixels) -> Pixels:
    """The center crop of an image, in color."""
    top, left = ((size - SIDE) // 2 if size > SIDE else 0 for size in image.shape[:2])
    image = image[top : top + SIDE, left : left + SIDE]
    return round_to_bytes(to_rgb(image))


def save(image: Pixels, quality: int | None) -> Pixels:
    """Save an image as PNG or JPEG, and read it back."""
    return round_to_bytes(image) if quality is None else compress(image, quality, "4:2:0")


def damage(clean: Pixels, kind: Paint, seed: int, dense: bool) -> Pixels:
    """Draw text or scratches on a photo."""
    rng = np.random.default_rng(seed)
    share, size = DENSE[kind] if dense else 0.01, rng.uniform(*SIZES)
    style: Style = "plain" if dense else "photo"
    painter = Missing(damage=kind, size=size, share=share, blind=True, style=style)
    return painter.apply(clean, rng).clip(0, 1)


def look(finders: list[Checkpoint], image: Pixels, kind: str) -> list[Pixels]:
    """The outputs of the detection models for an image."""
    planes = (float(kind == "scratches"),)
    return [run(finder.network, image, planes, Settings()).pixels.clip(0, 1) for finder in finders]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--model", nargs="+", default=["finder", "blind"], help="detection models")
    parser.add_argument(
        "--dense", action="store_true", help="draw opaque letters and lines over much of each photo"
    )
    parser.add_argument("--every", type=int, default=1, help="use only every n-th image")
    parser.add_argument("--weak", type=float, nargs="+", default=[255 * detection.WEAK])
    parser.add_argument("--strong", type=float, nargs="+", default=[255 * detection.STRONG])
    options = parser.parse_args()
    finders, filler = [load(name, "inpaint") for name in options.model], load(None, "inpaint")
    paths = [
        path
        for folder in options.folder
        for path in sorted(folder.rglob("*"))
        if is_image_name(path)
    ]
    clean = [middle(read_picture(path).opaque_pixels()) for path in paths[:: options.every]]
    for kind, quality in itertools.product(PAINTED, QUALITIES[: 1 if options.dense else None]):
        files = []
        for seed, image in enumerate(clean, SEED):
            damaged = save(damage(image, kind, seed, options.dense), quality)
            plain = save(image, quality)
            files.append((damaged, plain, look(finders, damaged, kind), look(finders, plain, kind)))
        for weak, strong in itertools.product(options.weak, options.strong):
            detection.WEAK, detection.STRONG = weak / 255, strong / 255
            rows = [measure(*file, kind, filler) for file in files]
            before, own, filled, found, wrong, clear = np.mean(rows, axis=0)
            print(
                f"{kind}, {f'JPEG {quality}' if quality else 'PNG'},"
                f" thresholds {weak:g} and {strong:g}:"
                f" damaged {before[0]:.2f} dB {before[1]:.4f},"
                f" detection model {own[0]:.2f} {own[1]:.4f},"
                f" command {filled[0]:.2f} {filled[1]:.4f};"
                f" detected {found[0]:.1%}, by mistake {wrong[0]:.2%},"
                f" anything in {clear[0]:.0%} of undamaged files",
                flush=True,
            )


def measure(
    damaged: Pixels,
    plain: Pixels,
    restored: list[Pixels],
    idle: list[Pixels],
    kind: str,
    filler: Checkpoint,
) -> list[tuple[float, float]]:
    """PSNR and SSIM of the damaged file, the first model and the command; then detection rates."""
    known = locate(kind, restored, damaged, keep_edges=True)[0]
    found = np.asarray((known != damaged).any(axis=2))
    own = np.where(found[..., None], restored[0], damaged)
    filled = restore(Picture(known), Inpaint(), filler).pixels if found.any() else damaged
    change = np.abs(damaged - plain).max(axis=2)
    near = cv2.dilate(np.asarray(change > 0, np.uint8), np.ones((9, 9), np.uint8)) > 0
    hidden = change > SEEN
    wrong = found[~near].mean() if not near.all() else 0.0
    anything = (locate(kind, idle, plain, keep_edges=True)[0] != plain).any()
    scores = [(psnr(x, plain), ssim(x, plain)) for x in map(round_to_bytes, (damaged, own, filled))]
    rest = (found[hidden].mean() if hidden.any() else 1.0, wrong, anything)
    return [*scores, *((float(value), 0.0) for value in rest)]


if __name__ == "__main__":
    main()
