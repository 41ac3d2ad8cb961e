"""Measures the start-up time and the memory of the command.

    python benchmarks/startup.py [--rounds 5] [--megapixels 48]

Prints the time of `restore --help`, the time for a 256 x 256 photo compared with
`python -c "import torch"`, and the peak memory for a large photo.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image

RESTORE = [sys.executable, "-m", "restore_cli"]


def seconds(command: list[str], rounds: int) -> float:
    """The median wall time of a command, in seconds."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return median(times)


def peak_gigabytes(command: list[str]) -> float:
    """The peak resident memory of a command in GB, as reported by Linux or macOS."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def photo(path: Path, width: int, height: int) -> None:
    """Save a JPEG of smooth colors with noise."""
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
    pixels = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    pixels = pixels + rng.integers(-25, 26, pixels.shape, np.int16)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(path, quality=92)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--megapixels", type=float, default=48)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small.jpg", Path(folder) / "large.jpg"
        photo(small, 256, 256)
        height = int((options.megapixels * 1e6 * 3 / 4) ** 0.5)
        photo(large, height * 4 // 3, height)
        restore = [*RESTORE, "denoise", "--overwrite"]
        print(f"restore --help: {seconds([*RESTORE, '--help'], options.rounds):.2f} s", flush=True)
        bare = seconds([sys.executable, "-c", "import torch"], options.rounds)
        total = seconds([*restore, str(small)], options.rounds)
        print(
            f"256 x 256: {total:.2f} s, import torch: {bare:.2f} s, limit {1.5 * bare + 1:.2f} s",
            flush=True,
        )
        peak = peak_gigabytes([*restore, str(large)])
        print(f"{options.megapixels:g} MP: peak memory {peak:.2f} GB")


if __name__ == "__main__":
    main()
