"""Photos for batches, a model that changes them, and commands in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from restore_cli.archs.unet import UNet
from restore_cli.levels import parse_levels
from restore_cli.models import checkpoint
from restore_cli.models.header import Header

ROOT = Path(__file__).parents[1]


def photo(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (24, 30, 3), np.uint8)).save(path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}


def save_brighter(task: str, conditions: int, **levels: object) -> None:
    """A model, "brighter.safetensors", that makes every pixel brighter by a tenth."""
    params = {"channels": 3, "widths": [8, 8], "conditions": conditions}
    network = UNet(**params)  # type: ignore[arg-type]
    network.init_weights()
    nn.init.constant_(network.tail.bias, 0.1)
    header = Header(
        task=task, arch="unet:UNet", params=params, channels=3, conditions=parse_levels(levels)
    )
    checkpoint.save(network, Path("brighter.safetensors"), header)


@contextmanager
def process(words: list[str], folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "restore_cli", *words]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as started:
        try:
            yield started
        finally:
            started.kill()


def wait_for(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 100
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)
