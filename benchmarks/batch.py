"""Measures batches of small photos: speed and peak memory by number and processes.

    python benchmarks/batch.py
    python benchmarks/batch.py --photos 500,1000,2000 --jobs 1   # the memory must not grow

Each batch is `restore denoise FOLDER --sigma 25` with all defaults in a process of its own, with
photos of noise. The engine alone restores the same photos in memory before and after each batch.
The share is the engine's time of the batch's, in wall-clock and in processor time, which other load
disturbs less; both include start-up. `--auto` lets the batch measure the noise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
from serve import make

from restore_cli import engine
from restore_cli.pipeline.networks import load

SIGMA = 25


def measure(folder: Path, out: Path, jobs: int, sigma: str) -> tuple[float, float, float]:
    """Restore a folder.

    Returns:
        Seconds, processor seconds, and the peak memory of all processes in bytes.
    """
    words = ["denoise", str(folder), "-o", f"{out}/", "--sigma", sigma, "--jobs", str(jobs)]
    start, before, peak = time.perf_counter(), os.times(), 0
    with subprocess.Popen(
        [sys.executable, "-m", "restore_cli", *words], stderr=subprocess.DEVNULL
    ) as process:
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
    after = os.times()
    processor = after.children_user + after.children_system
    processor -= before.children_user + before.children_system
    return time.perf_counter() - start, processor, peak


def measure_bare(side: int, count: int = 100) -> tuple[float, float]:
    """Run the engine alone; returns seconds and processor seconds for one photo."""
    network = load("gaussian").network
    photo = np.random.default_rng(0).random((side, side, 3), np.float32)
    engine.run(network, photo, (SIGMA / 255,))
    start, processor = time.perf_counter(), time.process_time()
    for _ in range(count):
        engine.run(network, photo, (SIGMA / 255,))
    return (time.perf_counter() - start) / count, (time.process_time() - processor) / count


def main() -> None:
    """Print a row for each number of photos and processes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", default="20,500", help="numbers of photos")
    parser.add_argument("--jobs", default="1,2", help="numbers of processes")
    parser.add_argument("--megapixels", type=float, default=0.1)
    parser.add_argument("--auto", action="store_true", help="measure the noise of each photo")
    options = parser.parse_args()
    side = round((1e6 * options.megapixels) ** 0.5)
    sigma = "auto" if options.auto else str(SIGMA)
    for jobs in map(int, options.jobs.split(",")):
        for count in map(int, options.photos.split(",")):
            bare = [measure_bare(side)]
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder) / "in"
                source.mkdir()
                make(source, count, side)
                seconds, processor, peak = measure(source, Path(folder) / "out", jobs, sigma)
            bare.append(measure_bare(side))
            alone, alone_processor = np.mean(bare, axis=0) * count
            print(
                f"{count:6} photos  {jobs} processes  {seconds:6.1f} s  {count / seconds:5.1f}"
                f" photos/s  {alone / seconds:4.0%} of the engine alone, processor time"
                f" {1000 * processor / count:.0f} ms, {alone_processor / processor:4.0%}"
                f"  {peak / 1e6:5.0f} MB",
                flush=True,
            )


if __name__ == "__main__":
    main()
