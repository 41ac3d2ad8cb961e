"""Scores a model on folders of clean images, or of real pairs: mean PSNR and SSIM for each folder and level.

    python benchmarks/score.py denoise --level sigma=15,25,50 DATA/set12 DATA/bsd68
    python benchmarks/score.py deblock --level quality=10,20 --luma DATA/live1
    python benchmarks/score.py derain --pairs clean:rainy DATA/rain100h_10
    python benchmarks/score.py sr --level scale=3 --pairs hr:lr DATA/set5/x3
    python benchmarks/score.py denoise --level sigma=25 --toml DATA/cbsd68   # a table for weights.toml

The damage is the task's own, drawn from numpy's legacy generator with seed 0 anew for each image (for noise
the protocol of KAIR: of sigma/255, added in float and not clipped). Results are clipped and rounded to 8
bits. PSNR is over all samples, or the task's own protocol for sr, mean over images; luma is that of BT.601
in studio range. `input` is the damaged image's own PSNR, which tells whether a protocol is the one that is
meant: on Set12 noise of sigma 15, 25 and 50 must read 24.64, 20.20 and 14.18. Gray images are scored with
the gray model, others with the colour model. --luma makes each image its luma first.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from restore_cli.engine import Settings
from restore_cli.image import Picture, is_image_name, luma, read_picture
from restore_cli.jobs.restore import restore
from restore_cli.metrics import psnr, ssim
from restore_cli.tasks import Image, Task, find_task, round_to_bytes
from restore_cli.weights import Loaded, choose, load

PROTOCOLS = {"denoise": "float noise, 8-bit result", "sr": "luma, borders shaved"}


def to_luma(image: Image) -> Image:
    """H x W x 1; gray stays as it is."""
    return image if image.shape[2] == 1 else luma(image)[..., None]


def read(path: Path, as_luma: bool) -> Image:
    """An image, or its luma rounded to 8 bits."""
    pixels = read_picture(path).pixels
    return round_to_bytes(to_luma(pixels)) if as_luma else pixels


def score(
    folder: Path, task: Task, pairs: str, as_luma: bool, model: str | None, settings: Settings
) -> dict[str, Any]:
    """Mean scores of a model on a folder at one level."""
    clean_folder, _, damaged_folder = pairs.partition(":")
    paths = sorted(path for path in (folder / clean_folder).iterdir() if is_image_name(path))
    loaded: Loaded | None = None
    rows = []
    for path in paths:
        clean = task.fit(read(path, as_luma))
        if damaged_folder:
            observed = read(folder / damaged_folder / path.name, as_luma)
        else:
            observed = task.degrade(clean, np.random.RandomState(0))
        if loaded is None:
            scale = clean.shape[0] / observed.shape[0]
            loaded = load(choose(model, task.name, clean.shape[2], scale))
        restored = round_to_bytes(restore(Picture(observed), task, loaded, settings).pixels)
        plain = task.plain(observed)
        before = psnr(plain, clean) if task.name == "denoise" else task.score(plain, clean)
        lumas = [psnr(to_luma(image), to_luma(clean)) for image in (restored, plain)]
        rows.append((task.score(restored, clean), ssim(restored, clean), before, *lumas))
    assert loaded
    names = ["psnr", "ssim", "input", "luma", "input luma"]
    values = dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))
    return {"model": loaded.name, "images": len(rows), "precision": settings.precision, **values}


def levels(words: str) -> list[dict[str, Any]]:
    """The levels in "quality=10,20"; several keys make pairs, "damage=text size=10,20"."""
    made: list[dict[str, Any]] = [{}]
    for word in words.split():
        key, _, values = word.partition("=")
        made = [level | {key: _value(value)} for level in made for value in values.split(",")]
    return made


def _value(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def _pair(key: str, value: float | str) -> str:
    return f"{key} = {value:g}" if isinstance(value, float) else f'{key} = "{value}"'


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--level", default="", help="KEY=VALUE,VALUE..., several in quotes")
    parser.add_argument("--pairs", default="", metavar="CLEAN:DAMAGED", help="real pairs below each folder")
    parser.add_argument("--luma", action="store_true")
    parser.add_argument("--model")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--ensemble", action="store_true")
    parser.add_argument("--toml", action="store_true")
    options = parser.parse_args()
    settings = Settings(precision=options.precision, ensemble=options.ensemble)
    for folder in options.folders:
        for level in levels(options.level):
            task = find_task(options.task)(**level)
            row = score(folder, task, options.pairs, options.luma, options.model, settings)
            name = next(part for part in reversed(folder.parts) if part not in ("x2", "x3", "x4", "hr"))
            head = {"set": name + (" luma" if options.luma else ""), **level}
            if options.toml:
                protocol = PROTOCOLS.get(task.name, "8-bit result")
                values = [_pair(key, value) for key, value in head.items()]
                values += [
                    f"psnr = {row['psnr']:.3f}",
                    f"ssim = {row['ssim']:.4f}",
                    f'protocol = "{protocol}"',
                ]
                print(f"    {{ {', '.join(values)} }},")
            else:
                figures = (head | row).items()
                print("  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures))


if __name__ == "__main__":
    main()
