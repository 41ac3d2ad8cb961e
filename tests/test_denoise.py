"""Noise and the denoise task: what is added, what a network is given, what is warned of."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from restore_cli.degradations import photo_noise
from restore_cli.degradations.noise import Noise
from restore_cli.errors import UsageError
from restore_cli.image import Picture
from restore_cli.levels import Choice, Range
from restore_cli.network import Geometry
from restore_cli.noise import Noise as Measured
from restore_cli.noise import from_plane, split, split_white
from restore_cli.tasks.denoise import RAISE, Denoise
from restore_cli.tasks.restoration import Observed, Trained

GRAY = np.full((40, 50, 1), 0.5, np.float32)


def test_noise_is_the_benchmarks_field_in_float_and_unclipped() -> None:
    observed = Noise(sigma=51).apply(GRAY, np.random.RandomState(0))
    expected = GRAY + np.random.RandomState(0).normal(0, 51 / 255, GRAY.shape)
    assert observed.dtype == np.float32
    np.testing.assert_allclose(observed, expected, atol=1e-6)
    assert observed.max() > 1


def test_white_noise_without_a_level_is_of_any() -> None:
    levels = [255 * (Noise().apply(GRAY, np.random.default_rng(i)) - GRAY).std() for i in range(60)]
    assert min(levels) < 5 and 45 < max(levels) < 52


def test_a_level_chooses_the_model_that_takes_one() -> None:
    assert Denoise(sigma=25).model == "gaussian"
    assert Denoise().model is None
    assert Noise(sigma=25).task().model == "gaussian"
    assert Noise(sigma=25, noise="camera").task().model is None


def test_white_noise_that_is_found_has_its_model_and_any_other_the_default() -> None:
    flat = np.tile(GRAY, (6, 6, 3))
    white = photo_noise.add_noise(flat, "gaussian", 20, np.random.RandomState(0))
    blotches = flat + 3 * cv2.GaussianBlur(white - flat, (0, 0), 1)
    assert Denoise().look(Picture(white)).model == "gaussian"
    assert Denoise().look(Picture(blotches)).model is None
    assert Denoise(sigma=5).look(Picture(blotches)).found is None


PHOTO = Trained({"noise": Choice(("camera", "random"))}, Geometry(1, conditions=3))
KNOWN = Trained({"sigma": Range(0, 75)}, Geometry(1, conditions=1))


def test_the_model_for_photos_is_given_the_level_that_is_measured() -> None:
    noisy = Picture(Noise(sigma=15).apply(np.tile(GRAY, (4, 4, 1)), np.random.RandomState(0)))
    task = Denoise().look(noisy)
    assert task.noise == pytest.approx(15, abs=1)
    fed = task.prepare(noisy, PHOTO)
    assert from_plane(np.array(fed.conditions)) == pytest.approx(RAISE * split_white(task.noise, 1))
    assert fed.report.warnings == () and fed.report.strength == 1
    given = Denoise(sigma=25).prepare(noisy, PHOTO)
    assert np.linalg.norm(from_plane(np.array(given.conditions))) == pytest.approx(25)
    assert Denoise(sigma=25).look(noisy).noise is None


@pytest.mark.parametrize("noise", ["gaussian", "camera", "random"])
def test_networks_learn_to_be_given_about_the_level_that_there_is(noise: str) -> None:
    clean = np.tile(GRAY, (3, 2, 3))
    ratios = []
    for seed in range(40):
        task, observed, target = Noise(noise=noise).pair(clean, np.random.default_rng(seed))
        assert target is clean and task.found
        level = 255 * float((observed - clean).std())
        ratios += [task.found.level / level] if level > 3 else []
    assert 0.85 < np.median(ratios) < 1.15 and 0.05 < np.std(np.log(ratios)) < 0.4
    task, observed, _ = Noise(sigma=12, noise=noise).pair(clean, np.random.default_rng(0))
    assert task.found
    np.testing.assert_allclose(task.found.parts, split(observed - clean), rtol=0.2)


@pytest.mark.parametrize("trained", [PHOTO, KNOWN])
def test_a_photo_without_noise_is_left_as_it_is_and_said_to_be(trained: Trained) -> None:
    report = Denoise().prepare(Picture(GRAY), trained).report
    assert report.strength == 0
    assert "level 0.0 is not visible" in report.warnings[0]


def test_a_strength_that_changes_nothing_is_none() -> None:
    barely, slightly = (
        Denoise(found=Measured(level, white=False, parts=(level,) * 3))
        .prepare(Picture(GRAY), PHOTO)
        .report
        for level in (0.5, 0.6)
    )
    assert barely.strength == 0 and "level 0.5 is not visible" in barely.warnings[0]
    assert slightly.strength > 0 and not slightly.warnings


def test_a_photo_too_small_to_be_measured_is_said_to_be() -> None:
    report = Denoise().prepare(Picture(GRAY[:19]), KNOWN).report
    assert report.strength == 0
    assert "below 20 pixels cannot be measured" in report.warnings[0]


@pytest.mark.parametrize("sigma", [-1, 256])
def test_an_impossible_level_is_refused(sigma: float) -> None:
    for made in (Denoise, Noise):
        with pytest.raises(UsageError, match="from 0 to 255"):
            made(sigma=sigma)


def test_the_level_is_a_condition() -> None:
    fed = Denoise(sigma=51).prepare(Picture(GRAY), KNOWN)
    assert fed.conditions == (pytest.approx(0.2),)
    assert fed.report.warnings == ()
    assert fed.report.options == {"sigma": 51}


def test_auto_estimates_the_level() -> None:
    observed = Noise(sigma=20).apply(np.tile(GRAY, (6, 6, 1)), np.random.RandomState(0))
    fed = Denoise().prepare(Picture(observed), KNOWN)
    assert fed.report.options["sigma"] == pytest.approx(20, abs=1)
    assert fed.conditions[0] == pytest.approx(20 / 255, abs=1 / 255)


def test_a_level_beyond_the_range_is_held_and_said() -> None:
    fed = Denoise(sigma=100).prepare(Picture(GRAY), KNOWN)
    assert fed.conditions == (pytest.approx(75 / 255),)
    assert "above this model's maximum of 75" in fed.report.warnings[0]


@pytest.mark.parametrize(("sigma", "warned"), [(25, False), (22, False), (50, True), (5, True)])
def test_a_model_for_one_level_warns_of_others(sigma: float, warned: bool) -> None:
    fed = Denoise(sigma=sigma).prepare(Picture(GRAY), Trained({"sigma": 25}, Geometry(1)))
    assert fed.conditions == ()
    assert bool(fed.report.warnings) == warned
    if warned:
        assert "trained for sigma 25" in fed.report.warnings[0]


def test_levels_are_drawn_from_their_range() -> None:
    drawn = [
        Noise.draw({"sigma": [10, 20]}, np.random.default_rng(seed)).sigma for seed in range(50)
    ]
    assert all(sigma is not None and 10 <= sigma <= 20 for sigma in drawn)
    assert len(set(drawn)) == 50
    assert Noise.draw({"sigma": 25}, np.random.default_rng(0)).sigma == 25


def test_results_are_brought_back_to_pictures() -> None:
    output = np.array([[[-0.1], [0.5], [1.2]]], np.float32)
    restored = Denoise().finish(output, Observed.of(output))
    np.testing.assert_array_equal(restored[0, :, 0], np.float32([0, 0.5, 1]))
