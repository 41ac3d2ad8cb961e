"""What the tests share: one thread, and checkpoints that need no training because they do
nothing.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Read when torch is imported: the tests' networks are too small for threads, which on a busy
# machine make them ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["RESTORE_CONFIG"] = os.devnull  # without the presets and defaults of whoever tests


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Tiny denoisers that return their input, by image channels."""
    from restore_cli.archs.unet import UNet
    from restore_cli.levels import Range
    from restore_cli.models import checkpoint
    from restore_cli.models.header import Header

    folder = tmp_path_factory.mktemp("checkpoints")
    paths = {}
    for channels in (1, 3):
        network = UNet(channels=channels, widths=[8, 8])
        network.init_weights()
        header = Header(
            task="denoise",
            arch="unet:UNet",
            params={"channels": channels, "widths": [8, 8]},
            channels=channels,
            conditions={"sigma": Range(0, 50)},
        )
        paths[channels] = folder / f"identity-{channels}.safetensors"
        checkpoint.save(network, paths[channels], header)
    return paths


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A headless Chromium; without one, its tests are skipped."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if not found:
        pytest.skip("no chromium is installed (apt install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found)
        yield chromium
        chromium.close()
