"""The default denoiser against DnCNN as the field's scripts run it, on one photo, in one run.

    python benchmarks/speed.py [--megapixels 12] [--rounds 3]

DnCNN (17 layers, 64 features) runs eagerly in fp32 with contiguous tensors over the whole picture; ours runs
as `restore denoise` does, through the engine with all its defaults. Weights do not matter for the time:
DnCNN's are random. Both take a picture in memory and give one back. Printed: seconds of each round, in turn,
and the ratio of the medians.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
import torch

from restore_cli.archs.baselines import DnCNN
from restore_cli.engine import run
from restore_cli.tasks.denoise import Denoise
from restore_cli.weights import choose, load


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Measure both, in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megapixels", type=float, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    height = int((options.megapixels * 1e6 * 3 / 4) ** 0.5)
    photo = np.random.default_rng(0).random((height, height * 4 // 3, 3), np.float32)

    loaded = load(choose(None, "denoise", 3))
    feed = Denoise(sigma=25).prepare(photo, loaded.conditions, loaded.network.geometry)
    dncnn = DnCNN(channels=3, norm=False).eval()
    batch = torch.from_numpy(photo.transpose(2, 0, 1).copy())[None]

    def plain() -> None:
        with torch.inference_mode():
            dncnn(batch).clamp(0, 1)

    result = run(loaded.network, feed.pixels[:512, :512], feed.conditions)  # one run to warm up
    ours, theirs = [], []
    for _ in range(options.rounds):
        ours.append(seconds(lambda: run(loaded.network, feed.pixels, feed.conditions)))
        theirs.append(seconds(plain))
        print(
            f"{loaded.name} ({result.precision}) {ours[-1]:.2f} s   DnCNN (fp32) {theirs[-1]:.2f} s",
            flush=True,
        )
    ratio = median(theirs) / median(ours)
    print(f"{photo.size / 3e6:.1f} MP, {torch.get_num_threads()} threads: {ratio:.1f} times faster")


if __name__ == "__main__":
    main()
