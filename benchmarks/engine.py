"""Measures the engine on the CPU: speed against another version, rate, memory, sizes and tiles.

    python benchmarks/engine.py against TREE    # `restore denoise`, here and in another checkout
    python benchmarks/engine.py rate            # the engine's rate, and that of its network
    python benchmarks/engine.py memory          # peak memory of the command, and its estimate
    python benchmarks/engine.py sizes           # speed against the size of the photo
    python benchmarks/engine.py tiles           # speed and memory against the side of tiles

What is compared takes turns, and the lowest of all rounds counts, which other load disturbs least.
Wall-clock and processor time are printed; on a busy machine, only processor time is meaningful.
`sizes` and `tiles` also write an SVG to docs/pictures. Photos are smooth colors with noise.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from startup import photo

from restore_cli import engine, memory
from restore_cli.image import Pixels
from restore_cli.models.catalog import find
from restore_cli.models.checkpoint import load
from restore_cli.network import Restorer

HERE = Path(__file__).parent
PICTURES = HERE.parent / "docs" / "pictures"
ENGINE = """
import sys, numpy as np
from restore_cli import engine
from restore_cli.models.catalog import find
from restore_cli.models.checkpoint import load
network = load(find("denoise-photo")[0]).network
pixels = np.full((int(sys.argv[1]), int(sys.argv[2]), 3), 0.5, np.float32)
engine.run(network, pixels, (0.05,) * 3, engine.Settings("cpu", tile=int(sys.argv[3])))
"""


@dataclass(frozen=True)
class Cost:
    """Wall-clock and processor seconds, and the peak memory of a process in GB."""

    wall: float
    processor: float
    peak: float = 0.0

    def least(self, other: Cost) -> Cost:
        """The lower time of both, and the higher peak."""
        return Cost(
            min(self.wall, other.wall),
            min(self.processor, other.processor),
            max(self.peak, other.peak),
        )


def command(words: list[str], tree: Path = HERE.parent) -> Cost:
    """Run Python with these arguments and with the package of a checkout."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(words)} failed in {tree}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(
        time.perf_counter() - started,
        usage.ru_utime + usage.ru_stime,
        usage.ru_maxrss * unit / 1e9,
    )


def denoise(source: Path, tree: Path = HERE.parent) -> Cost:
    """Run `restore denoise` on a photo."""
    output = str(source.with_suffix(".out.jpg"))
    return command(["-m", "restore_cli", "denoise", str(source), "-o", output, "--overwrite"], tree)


def sides(megapixels: float) -> tuple[int, int]:
    """Height and width of a 4:3 photo."""
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    return height, height * 4 // 3


def against(tree: Path, megapixels: float, rounds: int, folder: Path) -> None:
    """Compare the command with that of another checkout."""
    height, width = sides(megapixels)
    photo(folder / "photo.jpg", width, height)
    costs: dict[Path, Cost] = {}
    for _ in range(rounds):
        for version in (HERE.parent, tree.resolve()):
            cost = denoise(folder / "photo.jpg", version)
            costs[version] = cost.least(costs.get(version, cost))
            print(f"{version}: {cost.wall:.1f} s, processor {cost.processor:.1f} s", flush=True)
    ours, theirs = costs.values()
    print(
        f"{megapixels:g} MP: {theirs.wall / ours.wall:.2f} times as fast; processor time"
        f" {theirs.processor / ours.processor:.2f} times lower; {ours.peak:.2f} and"
        f" {theirs.peak:.2f} GB"
    )


def timed(network: Restorer, pixels: Pixels, settings: engine.Settings) -> Cost:
    """Run the engine in this process."""
    started, processor = time.perf_counter(), time.process_time()
    engine.run(network, pixels, (0.05,) * network.geometry.conditions, settings)
    return Cost(time.perf_counter() - started, time.process_time() - processor)


def bare(network: Restorer, side: int, precision: str) -> Cost:
    """Run only the network on one square window."""
    planes = network.geometry.channels + network.geometry.conditions
    x = torch.rand(1, planes, side, side).to(memory_format=torch.channels_last)
    started, processor = time.perf_counter(), time.process_time()
    with torch.inference_mode(), engine.autocast(torch.device("cpu"), precision):
        network(x)
    return Cost(time.perf_counter() - started, time.process_time() - processor)


def rate(megapixels: float, rounds: int, side: int = 1280) -> None:
    """Compare megapixels per second of the engine with those of its network on one window."""
    network = load(find("denoise-photo")[0]).network
    height, width = sides(megapixels)
    pixels = np.random.default_rng(0).random((height, width, 3), np.float32)
    whole = alone = Cost(float("inf"), float("inf"))
    for _ in range(rounds):
        result = engine.run(network, pixels[:64, :64].copy(), (0.05,) * 3)
        whole = timed(network, pixels, engine.Settings("cpu")).least(whole)
        with memory.reuse():
            for _ in range(2):  # the first one allocates memory
                alone = bare(network, side, result.precision).least(alone)
    photo_size, window = height * width / 1e6, side**2 / 1e6
    for name, ours, network_alone in (
        ("wall-clock", whole.wall, alone.wall),
        ("processor", whole.processor, alone.processor),
    ):
        engine_rate, network_rate = photo_size / ours, window / network_alone
        print(
            f"{name}: engine {engine_rate:.2f} MP/s, network {network_rate:.2f} MP/s,"
            f" {engine_rate / network_rate:.0%}"
        )


def peaks(sizes: list[float], folder: Path) -> None:
    """Print the peak memory of the command and its estimate."""
    network = load(find("denoise-photo")[0]).network
    for megapixels in sizes:
        height, width = sides(megapixels)
        photo(folder / "photo.jpg", width, height)
        peak, estimate = (
            denoise(folder / "photo.jpg").peak,
            engine.estimate_memory(network, height, width, overwrite=True) / 1e9,
        )
        print(
            f"{megapixels:g} MP: {peak:.2f} GB, estimate {estimate:.2f} GB"
            f" ({estimate / peak - 1:+.0%})",
            flush=True,
        )


def speed_by_size(sizes: list[float], rounds: int) -> None:
    """Print and plot megapixels per processor second against the photo's size."""
    network = load(find("denoise-photo")[0]).network
    timed(network, np.zeros((256, 256, 3), np.float32), engine.Settings("cpu"))  # warms up
    points = []
    for megapixels in sizes:
        pixels = np.random.default_rng(0).random((*sides(megapixels), 3), np.float32)
        cost = timed(network, pixels, engine.Settings("cpu"))
        for _ in range(rounds - 1):
            cost = cost.least(timed(network, pixels, engine.Settings("cpu")))
        points.append((megapixels, megapixels / cost.processor))
        print(
            f"{megapixels:g} MP: {megapixels / cost.wall:.2f} MP/s,"
            f" {points[-1][1]:.2f} per processor second",
            flush=True,
        )
    plot(
        PICTURES / "speed-by-size.svg", points, "megapixels of the photo", "MP per processor second"
    )


def speed_by_tile(tiles: list[int], megapixels: float, rounds: int) -> None:
    """Print and plot megapixels per processor second against the side of tiles."""
    height, width = sides(megapixels)
    points = []
    for tile in tiles:
        words = ["-c", ENGINE, str(height), str(width), str(tile)]
        cost = command(words)
        for _ in range(rounds - 1):
            cost = cost.least(command(words))
        points.append((float(tile), megapixels / cost.processor))
        print(
            f"tile {tile}: {cost.wall:.1f} s, processor {cost.processor:.1f} s,"
            f" {cost.peak:.2f} GB with start-up",
            flush=True,
        )
    plot(PICTURES / "speed-by-tile.svg", points, "side of a tile", "MP per processor second")


def plot(path: Path, points: list[tuple[float, float]], x: str, y: str) -> None:
    """Write a line through points as SVG, with a logarithmic x axis from the first to the last.

    A single point makes no line, and no file.
    """
    if len(points) < 2:
        return
    left, right, top, bottom = 60, 560, 20, 300
    ends = np.log(points[0][0]), np.log(points[-1][0])
    highest = max(value for _, value in points) * 1.1

    def place(at: float, value: float) -> tuple[float, float]:
        across = (np.log(at) - ends[0]) / (ends[1] - ends[0])
        return left + across * (right - left), bottom - value / highest * (bottom - top)

    dots = [place(*point) for point in points]
    line = " ".join(f"{across:.1f},{down:.1f}" for across, down in dots)
    marks = "".join(
        f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="#06c"/>'
        f'<text x="{across:.1f}" y="{down - 8:.1f}" text-anchor="middle">{value:.2f}</text>'
        f'<text x="{across:.1f}" y="{bottom + 18}" text-anchor="middle">{at:g}</text>'
        for (across, down), (at, value) in zip(dots, points, strict=True)
    )
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 350" font-family="sans-serif"'
        ' font-size="12"><rect width="600" height="350" fill="#fff"/>'
        f'<path d="M{left} {top}V{bottom}H{right}" fill="none" stroke="#888"/>'
        f'<polyline points="{line}" fill="none" stroke="#06c" stroke-width="2"/>{marks}'
        f'<text x="{(left + right) / 2}" y="340" text-anchor="middle">{x}</text>'
        f'<text transform="translate(20 {(top + bottom) / 2}) rotate(-90)"'
        f' text-anchor="middle">{y}</text></svg>\n'
    )


def main() -> None:
    """Run one measurement."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    kinds: Any = parser.add_subparsers(dest="kind", required=True)
    for kind in ("against", "rate", "memory", "sizes", "tiles"):
        command_parser = kinds.add_parser(kind)
        command_parser.add_argument("--rounds", type=int, default=3)
        many = kind in ("memory", "sizes")
        command_parser.add_argument(
            "--megapixels", type=float, nargs="+" if many else None, default=None
        )
        if kind == "against":
            command_parser.add_argument("tree", type=Path)
        if kind == "tiles":
            command_parser.add_argument("--sides", type=int, nargs="+")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, size = Path(name), options.megapixels
        if options.kind == "against":
            against(options.tree, size or 12, options.rounds, folder)
        elif options.kind == "rate":
            rate(size or 12, options.rounds)
        elif options.kind == "memory":
            peaks(size or [12, 48, 200], folder)
        elif options.kind == "sizes":
            speed_by_size(size or [0.1, 0.5, 1, 3, 12, 24, 48], options.rounds)
        else:
            tiles = options.sides or [256, 512, 768, 1024, 1280, 1536]
            speed_by_tile(tiles, size or 12, options.rounds)


if __name__ == "__main__":
    main()
