"""Measures `restore serve` with many clients: photos per second, latencies and peak memory.

The processor time of the server is the least disturbed by other programs.

    python benchmarks/serve.py
    python benchmarks/serve.py --clients 1,4,16,64 --photos 128 --side 512

Each client sends `restore denoise` a photo of noise, waits for the result and sends the next one.
The command itself restores the same photos as a folder, for comparison.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median, quantiles
from typing import Any
from urllib.parse import urljoin

import numpy as np
import psutil
from PIL import Image

RESTORE = [sys.executable, "-m", "restore_cli"]
SIGMA = "25"
_BOUNDARY = "photo-boundary"


def make(folder: Path, count: int, side: int) -> list[Path]:
    """Write noisy photos."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(30, 220, side)[:, None, None]
    paths = [folder / f"{number:05}.png" for number in range(count)]
    for path in paths:
        noisy = ramp + int(SIGMA) * rng.standard_normal((side, side, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    return paths


def send(address: str, photo: Path) -> float:
    """Restore a photo; returns the seconds that it took."""
    head = 'Content-Disposition: form-data; name="{}"'
    parts = [
        head.format("sigma").encode() + b"\r\n\r\n" + SIGMA.encode(),
        head.format("photo").encode() + b'; filename="a.png"\r\n\r\n' + photo.read_bytes(),
    ]
    limit = f"--{_BOUNDARY}".encode()
    body = b"".join(limit + b"\r\n" + part + b"\r\n" for part in parts) + limit + b"--\r\n"
    kind = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    start = time.perf_counter()
    with urllib.request.urlopen(urllib.request.Request(address, body, kind)) as answer:
        place = answer.headers["Location"]  # of the job, if it takes longer than 30 seconds
        answer.read()
    while place and not fetch(f"{urljoin(address, place)}/result"):
        time.sleep(0.1)
    return time.perf_counter() - start


def fetch(address: str) -> bool:
    """Fetch a result; returns whether it is there."""
    try:
        urllib.request.urlopen(address).read()
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise
        return False
    return True


def watch(process: psutil.Process, peak: list[int], stop: threading.Event) -> None:
    """Note the peak memory of a process until the event is set."""
    while not stop.wait(0.05):
        peak[0] = max(peak[0], process.memory_info().rss)


def measure(process: subprocess.Popen[Any], address: str, photos: list[Path], clients: int) -> str:
    """Send all photos with a number of clients; returns a row of the table."""
    peak, stop, server = [0], threading.Event(), psutil.Process(process.pid)
    watcher = threading.Thread(target=watch, args=(server, peak, stop), daemon=True)
    watcher.start()
    start, before = time.perf_counter(), sum(server.cpu_times()[:2])
    with ThreadPoolExecutor(clients) as pool:
        times = list(pool.map(lambda photo: send(address, photo), photos))
    seconds, used = time.perf_counter() - start, sum(server.cpu_times()[:2]) - before
    stop.set()
    watcher.join()
    late = quantiles(times, n=20, method="inclusive")[-1]
    return (
        f"| {clients} at a time | {len(photos) / seconds:.2f} | {median(times):.2f} | {late:.2f}"
        f" | {max(times):.2f} | {used / len(photos):.3f} | {peak[0] / 1e6:.0f} |"
    )


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description="Measure restore serve.")
    parser.add_argument("--clients", default="1,4,16")
    parser.add_argument("--photos", type=int, default=64)
    parser.add_argument("--side", type=int, default=256)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "photos")
        folder.mkdir()
        photos = make(folder, args.photos, args.side)
        print("| | photos/s | median s | 95 % s | longest s | CPU s each | peak MB |")
        print("|---|---|---|---|---|---|---|")
        words = [*RESTORE, "serve", "--port", "0", "--offline"]
        follows = os.environ | {"RESTORE_FOLLOWS": "1"}  # it ends with this process
        with subprocess.Popen(
            words, stdin=-1, stdout=-1, stderr=-3, env=follows, text=True
        ) as server:
            assert server.stdout
            address = f"{server.stdout.readline().strip()}v1/denoise"
            send(address, photos[0])  # loads the model
            for clients in map(int, args.clients.split(",")):
                print(measure(server, address, photos, clients), flush=True)
            server.terminate()
        start, before = time.perf_counter(), sum(os.times()[2:4])
        batch = [*RESTORE, "denoise", str(folder), "-o", f"{name}/out/", "--sigma", SIGMA, "-q"]
        subprocess.run(batch, check=True)
        rate = len(photos) / (time.perf_counter() - start)
        used = (sum(os.times()[2:4]) - before) / len(photos)
        print(f"| restore denoise FOLDER, with its start | {rate:.2f} | | | | {used:.3f} | |")


if __name__ == "__main__":
    main()
