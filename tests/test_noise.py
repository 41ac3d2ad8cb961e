"""How noisy a photo is, whatever kind its noise is of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from restore_cli.degradations import find_degradation, photo_noise
from restore_cli.degradations.grain import mottle
from restore_cli.image import read_picture, round_to_bytes, to_gray, to_rgb
from restore_cli.noise import from_plane, measure_noise, split, split_white, to_plane

pytestmark = pytest.mark.weights
CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels


def level(noisy: np.ndarray, clean: np.ndarray) -> float:
    return 255 * float(np.sqrt(np.square(noisy - clean).mean()))


@pytest.mark.parametrize("sigma", [5, 15, 40])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_noise_is_measured_exactly(sigma: float, channels: int) -> None:
    clean = CAT if channels == 3 else to_gray(CAT)
    noisy = photo_noise.add_noise(clean, "gaussian", sigma, np.random.RandomState(0))
    assert measure_noise(round_to_bytes(noisy)).level == pytest.approx(sigma, abs=1.5)


def test_gray_photos_in_rgb_have_the_noise_of_one_channel() -> None:
    noisy = photo_noise.add_noise(to_gray(CAT), "gaussian", 25, np.random.RandomState(0))
    gray, rgb = (measure_noise(round_to_bytes(image)) for image in (noisy, to_rgb(noisy)))
    assert rgb.white and (rgb.level, *rgb.parts) == (gray.level, *gray.parts)


@pytest.mark.parametrize("sigma", [60, 75])
def test_noise_above_the_levels_of_the_network_is_measured(sigma: float) -> None:
    noisy = photo_noise.add_noise(CAT, "gaussian", sigma, np.random.RandomState(0))
    found = measure_noise(round_to_bytes(noisy))
    assert found.white and found.level == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize("noise", ["camera", "random"])
def test_noise_of_every_kind_is_measured_in_files(noise: str) -> None:
    right = []
    for seed, sigma in enumerate([4, 8, 16, 30] * 4):
        noisy, added = photo_noise.noisy_file(CAT, noise, sigma, np.random.default_rng(seed))
        true = 255 * float(np.sqrt(np.square(added).mean()))
        right.append(abs(measure_noise(noisy).level - true) <= max(1.5, true / 4))
    assert np.mean(right) >= 0.6


def test_photos_without_noise_have_little_of_it() -> None:
    assert measure_noise(CAT).level < 2
    assert measure_noise(np.full((64, 64, 3), 0.5, np.float32)).level < 0.5


def test_hidden_pixels_are_ignored() -> None:
    noisy = mottle(CAT, 30, np.random.default_rng(0)).clip(0, 1)
    half = CAT.copy()
    half[:, : CAT.shape[1] // 2] = noisy[:, : CAT.shape[1] // 2]
    visible = np.zeros(CAT.shape[:2], bool)
    visible[:, CAT.shape[1] // 2 + 16 :] = True
    assert measure_noise(half).level > 10
    assert measure_noise(half, visible).level < 3
    assert measure_noise(half, np.zeros_like(visible)).level == 0


def test_plain_areas_that_are_invisible_do_not_count() -> None:
    rng = np.random.default_rng(0)
    side = 200
    image = (CAT[:side, :side] + rng.normal(0, 25 / 255, (side, side, 3))).astype(np.float32)
    visible = np.zeros((side, side), bool)
    visible[:, 90:] = True
    seen = measure_noise(image[:, 90:]).level
    image[~visible] = 1
    assert measure_noise(image, visible).level == pytest.approx(seen, rel=0.15)


@pytest.mark.parametrize("size", [(1, 1), (19, 300), (20, 20), (97, 33)])
def test_photos_of_any_size_are_measured(size: tuple[int, int]) -> None:
    assert 0 <= measure_noise(CAT[: size[0], : size[1]]).level < 10


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_has_parts_that_add_up(channels: int) -> None:
    white = (
        np.random.default_rng(0).standard_normal((256, 256, channels)).astype(np.float32) * 20 / 255
    )
    assert split(white) == pytest.approx(split_white(20, channels), rel=0.02)
    fine, coarse, color = split(np.repeat(np.repeat(white, 8, axis=0), 8, axis=1))
    assert fine == pytest.approx(0, abs=0.1) and np.hypot(coarse, color) == pytest.approx(
        20, rel=0.02
    )


def test_planes_hold_levels() -> None:
    levels = np.array([0, 0.5, 5, 50, 255])
    np.testing.assert_allclose(from_plane(to_plane(levels)), levels, atol=1e-9)
    assert to_plane(0) == 0 and to_plane(255) == 1


def test_targets_are_constant_and_zero_for_clean_photos() -> None:
    damage = find_degradation("noise")()
    targets = []
    for seed in range(40):
        _, observed, target = damage.pair(CAT[:96, :96], np.random.default_rng(seed))
        assert target.shape == observed.shape and (target == target[:1, :1]).all()
        targets.append(float(target[0, 0, 1]))
        assert damage.score(target, target) == pytest.approx(0)
    assert 0.05 < np.mean(np.array(targets) == 0) < 0.5 and max(targets) > to_plane(8)
