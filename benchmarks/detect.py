"""What `restore inpaint --detect` makes of photos with stamps, captions, watermarks or scratches on
them.

    cd DATA; python detect.py bsds_train bsds_test t91 photos photos_more --every 24

These are the images that the recipe of inpaint-blind-color holds out. Their middle 256 pixels get
damage, by other seeds than in trainings, and become PNGs and JPEGs. PSNR and SSIM are measured
against the same file without the damage: as it is, with the pixels that the first model which finds
damage would put there itself, and as the command fills it. Then which share of the damage is found,
which share of the rest is taken for it, and in how many of the undamaged files anything is found.
`--dense` takes hard letters and lines over much of a photo, as `restore bench inpaint` does, in
PNGs. `--weak` and `--strong` try other thresholds, on the 0..255 scale, than those of the command.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import cv2
import numpy as np

from restore_cli import Inpaint, Picture, load, restore
from restore_cli.degradations.missing import PAINTED, Missing
from restore_cli.engine import Settings, run
from restore_cli.image import (
    Pixels,
    compress,
    is_image_name,
    read_picture,
    round_to_bytes,
    to_rgb,
)
from restore_cli.metrics import psnr, ssim
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.tasks import detection
from restore_cli.tasks.detection import locate

SIDE = 256
SEED = 30_000
SIZES = (10, 48)  # of text, in pixels
SEEN = 16 / 255  # changes of a photo that are to be found
QUALITIES = (None, 95, 85, 75)
DENSE = {"text": 0.1, "scratches": 0.03}  # shares of a photo


def middle(image: Pixels) -> Pixels:
    """The middle of an image, in color."""
    top, left = ((size - SIDE) // 2 if size > SIDE else 0 for size in image.shape[:2])
    image = image[top : top + SIDE, left : left + SIDE]
    return round_to_bytes(image if image.shape[2] == 3 else to_rgb(image))


def save(image: Pixels, quality: int | None) -> Pixels:
    """As a PNG or a JPEG gives it back."""
    return round_to_bytes(image) if quality is None else compress(image, quality, "4:2:0")


def damage(clean: Pixels, kind: str, seed: int, dense: bool) -> Pixels:
    """Text or scratches on a photo."""
    rng = np.random.default_rng(seed)
    share, style = (DENSE[kind], "plain") if dense else (0.01, "photo")
    painter = Missing(damage=kind, size=rng.uniform(*SIZES), share=share, blind=True, style=style)
    return painter.apply(clean, rng).clip(0, 1)


def look(finders: list[Checkpoint], image: Pixels, kind: str) -> list[Pixels]:
    """What the models that find damage make of an image."""
    planes = (float(kind == "scratches"),)
    return [run(finder.network, image, planes, Settings()).pixels.clip(0, 1) for finder in finders]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="+")
    parser.add_argument("--model", nargs="+", default=["finder", "blind"], help="that find damage")
    parser.add_argument(
        "--dense", action="store_true", help="hard letters and lines over much of each photo"
    )
    parser.add_argument("--every", type=int, default=1, help="take each n-th image only")
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
                f"{kind}, {f'JPEG {quality}' if quality else 'PNG'}, thresholds {weak:g} and"
                f" {strong:g}:"
                f" {before[0]:.2f} dB {before[1]:.4f}, own pixels {own[0]:.2f} {own[1]:.4f},"
                f" filled {filled[0]:.2f} {filled[1]:.4f}; found {found[0]:.1%}, wrongly"
                f" {wrong[0]:.2%};"
                f" something in {clear[0]:.0%} of undamaged files",
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
    """PSNR and SSIM before, by the first model itself, and filled; what is found, rightly and
    wrongly.
    """
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
