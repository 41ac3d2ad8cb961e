"""Compares the speed of models with an unoptimized DnCNN script, in megapixels per second.

    python benchmarks/speed.py  # all defaults for color
    python benchmarks/speed.py denoise-color --megapixels 12 --contiguous

DnCNN (17 layers, 64 features) runs eagerly in fp32 on the entire image, in channels_last or in
contiguous layout, the default of PyTorch. Our models run as their commands do, with all defaults,
in memory. DnCNN has random weights, which do not affect the time. The two are measured in turn, and
the median of each is reported. For super-resolution, the pixels of the output count.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from restore_cli.archs.baselines import DnCNN
from restore_cli.image import Picture, Pixels
from restore_cli.levels import span
from restore_cli.models.catalog import Entry, entries, find
from restore_cli.models.checkpoint import load
from restore_cli.pipeline.apply import restore
from restore_cli.tasks import TASKS, Task, find_task

OPTIONS = {"denoise": {"sigma": 25}, "deblock": {"quality": 50}}


def seconds(work: Callable[[], object]) -> float:
    """Measure the wall time of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def make(entry: Entry, megapixels: float) -> tuple[Task, Pixels, Pixels | None]:
    """The task, photo and mask for a model, so that the output has this many megapixels."""
    scale = span(entry.conditions["scale"]).high if entry.task == "sr" else 1
    options = {"scale": scale} if entry.task == "sr" else OPTIONS.get(entry.task, {})
    height = int((megapixels * 1e6 * 3 / 4) ** 0.5 / scale)
    photo = np.random.default_rng(0).random((height, height * 4 // 3, entry.channels), np.float32)
    mask = None
    if entry.task == "inpaint":
        mask = np.zeros(photo.shape[:2], np.float32)
        mask[::16] = 1
    return find_task(entry.task)(**options), photo, mask


def compare(entry: Entry, megapixels: float, rounds: int, layout: torch.memory_format) -> None:
    """Measure a model and DnCNN in turn, and print the result."""
    task, photo, mask = make(entry, megapixels)
    loaded = load(entry)
    dncnn = DnCNN(channels=3, norm=False).eval().to(memory_format=layout)  # type: ignore[call-overload]

    def ours() -> Picture:
        return restore(Picture(photo), task, loaded, mask=mask)

    result = ours()  # also warms up
    batch = torch.rand(1, 3, *result.pixels.shape[:2]).to(memory_format=layout)

    def plain() -> None:
        with torch.inference_mode():
            dncnn(batch).clamp(0, 1)

    times = [(seconds(ours), seconds(plain)) for _ in range(rounds)]
    mine, theirs = (result.megapixels / median(column) for column in zip(*times, strict=True))
    print(
        f"{entry.name:20} {mine:6.3f} MP/s   DnCNN {theirs:6.3f} MP/s   {mine / theirs:5.1f}x",
        flush=True,
    )


def main() -> None:
    """Measure the named models, or all default models for color."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--megapixels", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contiguous", action="store_true")
    options = parser.parse_args()
    layout = torch.contiguous_format if options.contiguous else torch.channels_last
    chosen = [entry for name in options.models for entry in find(name)]
    for entry in chosen or [
        entry
        for entry in entries().values()
        if entry.default and entry.channels == 3 and entry.task in TASKS
    ]:
        compare(entry, options.megapixels, options.rounds, layout)
    print(f"{options.megapixels:g} MP, {torch.get_num_threads()} threads, {layout}")


if __name__ == "__main__":
    main()
