"""Compares the speed of RED30 with that of its strided variants (RED-Net, section 4.5).

    python benchmarks/strides.py [--side 384] [--rounds 3]

Weights are random, since they do not affect the speed. The networks take turns on one gray image,
in fp32, in one tile. The script prints the median seconds of each variant, and the speedup by its
strides.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import numpy as np
import torch

from restore_cli.archs.rednet import REDNet
from restore_cli.engine import Settings, run

VARIANTS: tuple[tuple[int, ...], ...] = ((), (1,), (5,), (9,), (5, 9))


def main() -> None:
    """Measure all variants."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--side", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    picture = np.random.default_rng(0).random((options.side, options.side, 1), np.float32)
    networks = {strides: REDNet(strides=strides).eval() for strides in VARIANTS}
    seconds: dict[tuple[int, ...], list[float]] = {strides: [] for strides in VARIANTS}
    for _ in range(1 + options.rounds):
        for strides, network in networks.items():
            started = time.perf_counter()
            run(network, picture, settings=Settings(precision="fp32", tile=0))
            seconds[strides].append(time.perf_counter() - started)
    # The first round is a warm-up.
    medians = {strides: median(times[1:]) for strides, times in seconds.items()}
    for strides, value in medians.items():
        name = f"stride 2 in {' and '.join(map(str, strides))}" if strides else "RED30"
        print(f"{name:20} {value:.2f} s   {medians[()] / value:.1f} times as fast")
    print(f"{options.side} x {options.side} pixels, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
