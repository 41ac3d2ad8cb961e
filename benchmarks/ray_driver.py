"""Measures how many photos per second the main process of `--ray` can hand out.

    python benchmarks/ray_driver.py --photos 1000 --resume

Tiny photos are restored on a local Ray. The CPU time of the main process per photo, after the
first 100, is what remains however many actors work, and so limits the rate of a cluster.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import psutil

_WARM_UP = 100  # photos, while Ray starts and models are loaded


def main() -> None:
    """Print the rate."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=1000)
    parser.add_argument("--resume", action="store_true", help="also write a journal")
    args = parser.parse_args()
    if args.photos <= _WARM_UP:
        parser.error(f"--photos must be above {_WARM_UP}")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        source.mkdir()
        random = np.random.default_rng(0)
        for number in range(args.photos):
            pixels = random.integers(0, 256, (24, 30, 3), np.uint8)
            cv2.imwrite(str(source / f"{number:06}.png"), pixels)
        words = ["denoise", str(source), "-o", f"{folder}/out/", "--sigma", "25"]
        words += ["--ray", "--json", "--quiet"]
        words += ["--resume"] * args.resume
        cpu, wall = measure(words, args.photos)
    print(f"{1000 * cpu:.2f} ms of CPU time per photo: at most {1 / cpu:.0f} photos/s")
    print(f"{1 / wall:.1f} photos/s with the CPUs of this machine")


def measure(words: list[str], photos: int) -> tuple[float, float]:
    """Seconds per photo, after the first ones: CPU time of the main process, and wall time."""
    command = [sys.executable, "-m", "restore_cli", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as run:
        assert run.stdout
        process, marks = psutil.Process(run.pid), []
        for number, _ in enumerate(run.stdout, 1):
            if number in (_WARM_UP, photos):
                times = process.cpu_times()
                marks.append((times.user + times.system, time.perf_counter()))
    (cpu, wall), (cpu_end, wall_end) = marks
    count = photos - _WARM_UP
    return (cpu_end - cpu) / count, (wall_end - wall) / count


if __name__ == "__main__":
    main()
