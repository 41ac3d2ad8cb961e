"""The denoise task: what it adds, what it tells the network, what it warns of."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from restore_cli.degradations import camera
from restore_cli.errors import UsageError
from restore_cli.image import Picture
from restore_cli.network import Geometry
from restore_cli.noise import from_plane, split, split_white
from restore_cli.tasks.denoise import RAISE, Denoise

GRAY = np.full((40, 50, 1), 0.5, np.float32)


def test_noise_is_the_benchmarks_field_in_float_and_unclipped() -> None:
    observed = Denoise(sigma=51).degrade(GRAY, np.random.RandomState(0))
    expected = GRAY + np.random.RandomState(0).normal(0, 51 / 255, GRAY.shape)
    assert observed.dtype == np.float32
    np.testing.assert_allclose(observed, expected, atol=1e-6)
    assert observed.max() > 1


def test_white_noise_without_a_level_is_of_any() -> None:
    levels = [
        255 * (Denoise().degrade(GRAY, np.random.default_rng(i)) - GRAY).std() for i in range(60)
    ]
    assert min(levels) < 5 and 45 < max(levels) < 52


def test_a_level_chooses_the_model_that_takes_one() -> None:
    assert Denoise(sigma=25).model == "house"
    assert Denoise().model is None
    assert Denoise(sigma=25, noise="camera").model is None


def test_white_noise_that_is_found_has_its_model_and_any_other_the_default() -> None:
    flat = np.tile(GRAY, (6, 6, 3))
    white = camera.add_noise(flat, "gaussian", 20, np.random.RandomState(0))
    blotches = flat + 3 * cv2.GaussianBlur(white - flat, (0, 0), 1)
    assert Denoise().look(Picture(white)).model == "house"
    assert Denoise().look(Picture(blotches)).model is None
    assert Denoise(sigma=5).look(Picture(blotches)).found is None


PHOTO = {"noise": ["camera", "random"]}  # what a model for photos was trained for


def test_the_model_for_photos_is_given_the_level_that_is_measured() -> None:
    noisy = Denoise(sigma=15).degrade(np.tile(GRAY, (4, 4, 1)), np.random.RandomState(0))
    feed = Denoise().prepare(noisy, PHOTO, Geometry(1, conditions=3), Picture(noisy))
    assert feed.noise == pytest.approx(15, abs=1)
    assert from_plane(np.array(feed.conditions)) == pytest.approx(
        RAISE * split_white(feed.noise, 1)
    )
    assert feed.warnings == () and feed.strength == 1
    given = Denoise(sigma=25).prepare(noisy, PHOTO, Geometry(1, conditions=3), Picture(noisy))
    assert np.linalg.norm(from_plane(np.array(given.conditions))) == pytest.approx(25)
    assert given.noise is None


@pytest.mark.parametrize("noise", ["gaussian", "camera", "random"])
def test_networks_learn_to_be_given_about_the_level_that_there_is(noise: str) -> None:
    clean = np.tile(GRAY, (3, 2, 3))
    ratios = []
    for seed in range(40):
        task, observed, target = Denoise(noise=noise).pair(clean, np.random.default_rng(seed))
        assert target is clean and task.found
        level = 255 * float((observed - clean).std())
        ratios += [task.found.level / level] if level > 3 else []
    assert 0.85 < np.median(ratios) < 1.15 and 0.05 < np.std(np.log(ratios)) < 0.4
    task, observed, _ = Denoise(sigma=12, noise=noise).pair(clean, np.random.default_rng(0))
    assert task.found
    np.testing.assert_allclose(task.found.parts, split(observed - clean), rtol=0.2)


def test_a_photo_without_noise_is_left_as_it_is_and_said_to_be() -> None:
    feed = Denoise().prepare(GRAY, PHOTO, Geometry(1, conditions=3), Picture(GRAY))
    assert feed.strength == 0
    assert "level 0.0 is too little" in feed.warnings[0]


@pytest.mark.parametrize("sigma", [-1, 256])
def test_an_impossible_level_is_refused(sigma: float) -> None:
    with pytest.raises(UsageError, match="from 0 to 255"):
        Denoise(sigma=sigma)


def test_the_level_is_a_condition() -> None:
    feed = Denoise(sigma=51).prepare(GRAY, {"sigma": [0, 75]}, Geometry(1, conditions=1))
    assert feed.conditions == (pytest.approx(0.2),)
    assert feed.warnings == ()
    assert feed.options == {"sigma": 51}


def test_auto_estimates_the_level() -> None:
    observed = Denoise(sigma=20).degrade(np.tile(GRAY, (6, 6, 1)), np.random.RandomState(0))
    feed = Denoise().prepare(observed, {"sigma": [0, 75]}, Geometry(1, conditions=1))
    assert feed.options is not None
    assert feed.options["sigma"] == pytest.approx(20, abs=1)
    assert feed.conditions[0] == pytest.approx(20 / 255, abs=1 / 255)


def test_a_level_beyond_the_range_is_held_and_said() -> None:
    feed = Denoise(sigma=100).prepare(GRAY, {"sigma": [0, 75]}, Geometry(1, conditions=1))
    assert feed.conditions == (pytest.approx(75 / 255),)
    assert "up to sigma 75" in feed.warnings[0]


@pytest.mark.parametrize(("sigma", "warned"), [(25, False), (22, False), (50, True), (5, True)])
def test_a_model_for_one_level_warns_of_others(sigma: float, warned: bool) -> None:
    feed = Denoise(sigma=sigma).prepare(GRAY, {"sigma": 25}, Geometry(1))
    assert feed.conditions == ()
    assert bool(feed.warnings) == warned
    if warned:
        assert "trained for sigma 25" in feed.warnings[0]


def test_levels_are_drawn_from_their_range() -> None:
    drawn = [
        Denoise.draw({"sigma": [10, 20]}, np.random.default_rng(seed)).sigma for seed in range(50)
    ]
    assert all(sigma is not None and 10 <= sigma <= 20 for sigma in drawn)
    assert len(set(drawn)) == 50
    assert Denoise.draw({"sigma": 25}, np.random.default_rng(0)).sigma == 25


def test_results_are_brought_back_to_pictures() -> None:
    output = np.array([[[-0.1], [0.5], [1.2]]], np.float32)
    restored = Denoise().finish(output, output)
    np.testing.assert_array_equal(restored[0, :, 0], np.float32([0, 0.5, 1]))
