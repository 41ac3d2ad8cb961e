"""The bundled checkpoints themselves: what they do to a noisy photo, exactly tiled, in either precision."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from restore_cli.engine import Settings, run
from restore_cli.image import read_picture, to_gray
from restore_cli.metrics import psnr
from restore_cli.tasks.denoise import Denoise
from restore_cli.weights import Bundled, entries, load

pytestmark = pytest.mark.weights
BUNDLED = [entry.name for entry in entries().values() if isinstance(entry.source, Bundled)]
CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels


def clean(name: str) -> np.ndarray:
    return to_gray(CAT) if entries()[name].channels == 1 else CAT


def restore(name: str, image: np.ndarray, sigma: float, settings: Settings) -> np.ndarray:
    loaded = load(entries()[name])
    task = Denoise(sigma=sigma)
    feed = task.prepare(image, loaded.conditions, loaded.network.geometry)
    return task.finish(run(loaded.network, feed.pixels, feed.conditions, settings).pixels, image)


@pytest.mark.parametrize("name", BUNDLED)
def test_noise_goes_and_the_photo_stays(name: str) -> None:
    image = clean(name)
    noisy = Denoise(sigma=25).degrade(image, np.random.RandomState(0))
    restored = restore(name, noisy, 25, Settings("cpu"))
    assert psnr(restored, image) > psnr(noisy, image) + 8
    shift = (restored - image).mean(axis=(0, 1)) * 255
    assert np.abs(shift).max() < 0.5  # mean colour, in levels


@pytest.mark.parametrize("name", BUNDLED)
def test_tiles_are_exact_with_the_real_weights(name: str) -> None:
    image = clean(name)[:211, :307]
    whole, tiled = (restore(name, image, 25, Settings("cpu", "fp32", tile=tile)) for tile in (0, 64))
    assert np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.parametrize("name", [name for name in BUNDLED if "bf16" in entries()[name].precisions])
def test_the_listed_precision_costs_little(name: str) -> None:
    image = clean(name)
    fixed = entries()[name].conditions["sigma"]
    for sigma in (5, 15, 50) if isinstance(fixed, list) else (fixed,):
        noisy = Denoise(sigma=sigma).degrade(image, np.random.RandomState(0))
        exact, fast = (
            psnr(restore(name, noisy, sigma, Settings("cpu", kind)), image) for kind in ("fp32", "bf16")
        )
        assert abs(exact - fast) <= 0.02


@pytest.mark.parametrize("name", [name for name in BUNDLED if entries()[name].default])
@pytest.mark.parametrize("sigma", [0, 1])
def test_a_clean_photo_is_not_harmed(name: str, sigma: float) -> None:
    assert psnr(restore(name, clean(name), sigma, Settings("cpu")), clean(name)) > 45
