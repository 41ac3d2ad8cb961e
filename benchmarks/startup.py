"""Start-up time and memory of the command itself, each measured beside its yardstick in one run.

    python benchmarks/startup.py [--rounds 5] [--megapixels 48]

Printed: `restore --help`; a 256 x 256 photo end to end against `python -c "import torch"`; and the
peak memory of a large photo.
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
    """Median wall time of a command."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return median(times)


def peak_gigabytes(command: list[str]) -> float:
    """Largest resident memory of a command, as the kernel counts it (Linux and macOS)."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def photo(path: Path, width: int, height: int) -> None:
    """Smooth colors with noise, as a JPEG."""
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
        whole = seconds([*restore, str(small)], options.rounds)
        print(
            f"256 x 256: {whole:.2f} s, import torch: {bare:.2f} s, bound {1.5 * bare + 1:.2f} s",
            flush=True,
        )
        print(
            f"{options.megapixels:g} MP: peak memory {peak_gigabytes([*restore, str(large)]):.2f}"
            " GB"
        )


if __name__ == "__main__":
    main()
