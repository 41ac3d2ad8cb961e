"""Measures the stages of denoising a photo: decoding, noise, network, colors, encoding, writing.

    python benchmarks/stages.py photo.jpg                # one photo, the median of three rounds
    python benchmarks/stages.py photo.jpg --format PNG
    python benchmarks/stages.py folder --few 100         # 100 of many small photos

Each stage is a function of the package, as `restore denoise` calls it, one after the other and in
one thread. The share is that of the network's time.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import TypeVar

from restore_cli import engine
from restore_cli.image import (
    encode_picture,
    find_damage,
    is_image_name,
    read_file,
    read_picture,
    write_encoded,
)
from restore_cli.metrics import estimate_noise
from restore_cli.noise import measure_noise
from restore_cli.pipeline.networks import Models
from restore_cli.tasks.denoise import Denoise
from restore_cli.tasks.restoration import Observed

NETWORK = "network"
T = TypeVar("T")


class Stages:
    """Adds up the seconds of each stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def __call__(self, name: str, work: Callable[[], T]) -> T:
        """Do the work of a stage."""
        started = time.perf_counter()
        result = work()
        self.seconds[name] += time.perf_counter() - started
        return result


def denoise(photo: Path, format: str | None, models: Models, stage: Stages) -> None:
    """Denoise a photo stage by stage."""
    data = stage("read", lambda: read_file(photo))
    picture = stage("decode", lambda: read_picture(data))
    stage("find damage", lambda: find_damage(data))
    task = stage("measure noise, before", lambda: Denoise().look(picture))
    stage("- of which white noise", lambda: estimate_noise(picture.pixels))
    model = models.find(task.model, task.name, picture.channels)
    fed = task.feed(picture, model)
    observed = stage("colors, before", lambda: Observed.of(picture.pixels))
    result = stage(
        NETWORK,
        lambda: engine.run(model.network, fed.pixels, fed.conditions, overwrite=True),
    )
    pixels = stage("colors, after", lambda: task.finish(result.pixels, observed))
    restored = picture.with_pixels(pixels)
    file = stage("encode", lambda: encode_picture(restored, format or picture.format)[0])
    stage("measure noise, after", lambda: measure_noise(pixels))
    with tempfile.TemporaryDirectory() as folder:
        stage("write", lambda: write_encoded(file, Path(folder) / "photo"))


def main() -> None:
    """Print a table of the stages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, help="a photo, or a folder")
    parser.add_argument("--format", help="of the result, such as PNG; by default the photo's")
    parser.add_argument("--few", type=int, default=20, help="how many photos of a folder to use")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    photos = [options.photos]
    if options.photos.is_dir():
        photos = sorted(filter(is_image_name, options.photos.iterdir()))[: options.few]
    models = Models()
    denoise(photos[0], options.format, models, Stages())  # loads the models
    rounds = [Stages() for _ in range(options.rounds)]
    for stages in rounds:
        for photo in photos:
            denoise(photo, options.format, models, stages)
    network = median(stages.seconds[NETWORK] for stages in rounds)
    for name in rounds[0].seconds:
        seconds = median(stages.seconds[name] for stages in rounds)
        print(f"{name:24} {1000 * seconds / len(photos):9.1f} ms  {seconds / network:6.1%}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{len(photos)} photos, {options.rounds} rounds, {peak:.2f} GB at most")


if __name__ == "__main__":
    main()
