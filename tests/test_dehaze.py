"""Dehazing: what a network does to a small photo is done to the large one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from restore_cli.engine import Settings
from restore_cli.image import Picture, Pixels, read_picture
from restore_cli.metrics import psnr
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.models.header import Header
from restore_cli.network import Geometry, Restorer
from restore_cli.pipeline import apply
from restore_cli.pipeline.networks import Models
from restore_cli.tasks.dehaze import SIDE, UNCERTAIN, Dehaze
from restore_cli.tasks.restoration import Trained

CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels
LARGE = np.tile(CAT[:256, :256], (3, 4, 1))


class Clear(Restorer):
    """Removes even haze of transmission 0.5 and light 0.8, with errors in a grid of 16 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.geometry = Geometry(channels=3)
        self.gain = torch.nn.Parameter(torch.tensor(2.0))
        self.seen: tuple[int, ...] = ()

    def forward(self, x: Tensor) -> Tensor:
        self.seen = tuple(x.shape)
        errors = torch.zeros_like(x)
        errors[..., ::16, :] = 0.1
        return (x - 0.4) * self.gain + errors


def model(**conditions: Any) -> Checkpoint:
    header = Header(task="dehaze", arch="unet:UNet", params={}, channels=3, conditions=conditions)
    return Checkpoint("clear", Clear().eval(), header)


@pytest.mark.parametrize("clean", [LARGE, LARGE[:300, :400]], ids=["large", "small"])
def test_haze_leaves_all_of_a_photo_evenly(clean: Pixels) -> None:
    hazy = Picture(np.asarray(0.5 * clean + 0.4, np.float32))
    own = model(style="photo")
    restored = apply.restore(hazy, Dehaze(), own).pixels
    assert restored.shape == clean.shape
    assert psnr(restored, clean) > 38  # 25.6 dB of errors of 0.1 in every 16th row are evened out
    assert max(own.network.seen[2:]) <= SIDE


@pytest.mark.parametrize("side", [300, 700])
@pytest.mark.parametrize("conditions", [{}, {"style": "photo"}])
def test_the_result_is_the_same_in_the_memory_of_the_photo(
    side: int, conditions: dict[str, Any]
) -> None:
    hazy = Picture(np.asarray(0.5 * LARGE[:side, :side] + 0.4, np.float32))
    own, settings = model(**conditions), Settings("cpu")
    expected = apply.restore(hazy, Dehaze(), own, settings).pixels
    made = apply.apply(hazy, Dehaze(), own, Models(), settings, overwrite=True)
    np.testing.assert_array_equal(made.pixels, expected)


def test_other_networks_see_the_photo_itself() -> None:
    picture = Picture(np.asarray(0.5 * LARGE + 0.4, np.float32))
    assert Dehaze().prepare(picture, Trained({}, Geometry(3))).pixels is picture.pixels
    restored = apply.restore(picture, Dehaze(), model()).pixels
    np.testing.assert_allclose(restored[1:16], LARGE[1:16], atol=1e-5)


def test_a_gray_photo_stays_gray() -> None:
    gray = Picture(np.asarray(0.5 * LARGE[..., :1] + 0.4, np.float32))
    restored = apply.restore(gray, Dehaze(), model(style="photo")).pixels
    assert restored.shape == gray.pixels.shape and psnr(restored, LARGE[..., :1]) > 38


@pytest.mark.parametrize(("gain", "warnings"), [(2.0, ()), (1.0, (UNCERTAIN,))])
def test_a_photo_that_gets_darker_but_not_clearer_gets_a_warning(
    gain: float, warnings: tuple[str, ...]
) -> None:
    own = model()
    own.network.gain.data.fill_(gain)
    hazy = Picture(np.asarray(0.5 * LARGE + 0.4, np.float32))
    assert apply.apply(hazy, Dehaze(), own, Models(), Settings()).report.warnings == warnings
