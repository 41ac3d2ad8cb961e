"""Measures batches of small photos: photos per second and peak memory by number and processes.

    python benchmarks/batch.py
    python benchmarks/batch.py --photos 500,1000,2000 --jobs 1   # the memory must not grow

Each batch is `restore denoise FOLDER --sigma 25` with all defaults in a process of its own, with
photos of noise. The bare rate is that of the network alone on the same photos, in memory.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from restore_cli import engine
from restore_cli.pipeline.networks import load

SIGMA = 25


def make(folder: Path, count: int, side: int) -> None:
    """Write noisy photos."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(30, 220, side)[:, None, None]
    for number in range(count):
        noisy = ramp + SIGMA * rng.standard_normal((side, side, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:05}.png")


def measure(folder: Path, out: Path, jobs: int) -> tuple[float, float]:
    """Restore a folder; returns the seconds and the peak memory of all processes in bytes."""
    words = ["denoise", str(folder), "-o", f"{out}/", "--sigma", str(SIGMA), "--jobs", str(jobs)]
    start, peak = time.perf_counter(), 0
    with subprocess.Popen([sys.executable, "-m", "restore_cli", *words, "--quiet"]) as process:
        main = psutil.Process(process.pid)
        while process.poll() is None:
            total = 0
            for one in (main, *main.children(recursive=True)):
                try:
                    total += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            peak = max(peak, total)
            time.sleep(0.2)
    if process.returncode:
        sys.exit("The batch failed.")
    return time.perf_counter() - start, peak


def measure_bare(side: int, seconds: float) -> float:
    """Run the network alone on one photo again and again; returns photos per second."""
    network = load("gaussian").network
    photo = np.random.default_rng(0).random((side, side, 3), np.float32)
    engine.run(network, photo, (SIGMA / 255,))
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        engine.run(network, photo, (SIGMA / 255,))
        count += 1
    return count / (time.perf_counter() - start)


def main() -> None:
    """Print a row for each number of photos and processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", default="20,500", help="numbers of photos")
    parser.add_argument("--jobs", default="1,2", help="numbers of processes")
    parser.add_argument("--megapixels", type=float, default=0.1)
    options = parser.parse_args()
    side = round((1e6 * options.megapixels) ** 0.5)
    print(f"network alone: {measure_bare(side, 10):.1f} photos/s")
    for jobs in map(int, options.jobs.split(",")):
        for count in map(int, options.photos.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder) / "in"
                source.mkdir()
                make(source, count, side)
                seconds, peak = measure(source, Path(folder) / "out", jobs)
            print(
                f"{count:6} photos  {jobs} processes  {seconds:6.1f} s  {count / seconds:5.1f}"
                f" photos/s  {peak / 1e6:5.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
