"""How the blur of photos is described, measured and inverted."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from restore_cli import restore
from restore_cli.blur import (
    LARGEST,
    Blurring,
    Kernel,
    deconvolve,
    from_numbers,
    measure_blur,
    to_numbers,
)
from restore_cli.degradations.blur import Blur
from restore_cli.degradations.blur_kind import AnyBlur
from restore_cli.errors import UsageError
from restore_cli.image import Picture, read_picture, to_gray
from restore_cli.metrics import psnr
from restore_cli.network import Geometry
from restore_cli.tasks.deblur import Deblur, parse_blur
from restore_cli.tasks.restoration import Finding, Trained

CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels
KINDS: list[tuple[Kernel, float, float]] = [
    ("disk", 7, 0),
    ("gaussian", 6, 0),
    ("motion", 11, 30),
    ("motion", 9, 150),
]


def test_a_blur_is_given_to_python_as_to_the_command() -> None:
    assert Deblur("disk:4") == Deblur(Blurring("disk", 4))
    with pytest.raises(UsageError, match="'disc:4' is not a valid blur"):
        Deblur("disc:4")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("blurring", [Blurring(), Blurring("disk", 5)])
def test_inverted_planes_are_copies(channels: int, blurring: Blurring) -> None:
    image = np.ascontiguousarray(CAT[:64, :64, :channels])
    planes = deconvolve(image, blurring)
    assert len(planes) == 6
    owners = [image, *planes]
    assert not any(np.shares_memory(*pair) for pair in itertools.combinations(owners, 2))


@pytest.mark.parametrize(("kernel", "size", "angle"), [*KINDS, ("motion", LARGEST, 0)])
def test_three_numbers_describe_a_blur(kernel: Kernel, size: float, angle: float) -> None:
    found = from_numbers(to_numbers(Blurring(kernel, size, angle)))
    assert found.kernel == kernel
    assert found.size == pytest.approx(size, rel=1e-5)
    assert found.angle == pytest.approx(angle, abs=1e-3)
    assert not to_numbers(Blurring()).any()


def test_what_is_not_blurred_is_not_visible() -> None:
    assert not Blurring().visible and not Blurring("disk", 1.0).visible
    assert str(Blurring("disk", 1.0)) == "none"
    assert str(Blurring("disk", 7.04)) == "disk of 7.0 pixels"
    assert str(Blurring("gaussian", 6)) == "gaussian of sigma 1.5"
    assert str(Blurring("motion", 9, 44.7)) == "motion of 9.0 pixels at 45 degrees"


@pytest.mark.parametrize(("kernel", "size", "angle"), KINDS)
def test_a_known_blur_is_inverted(kernel: Kernel, size: float, angle: float) -> None:
    blurred = Blur(kernel, size, angle).apply(CAT, np.random.RandomState(0))
    light = np.stack(deconvolve(blurred, Blurring(kernel, size, angle))[:3], axis=2)
    assert psnr(light.clip(0, 1), CAT) > psnr(blurred, CAT) + 2
    other = np.stack(deconvolve(blurred, Blurring(kernel, size, angle + 90))[:3], axis=2)
    if kernel == "motion":
        assert psnr(other.clip(0, 1), CAT) < psnr(blurred, CAT)
    else:
        np.testing.assert_array_equal(other, light)


def test_an_inverse_keeps_flat_areas_and_sharp_photos() -> None:
    flat = np.full((80, 90, 3), 0.3, np.float32)
    for plane in deconvolve(flat, Blurring("disk", 9)):
        np.testing.assert_allclose(plane, 0.3, atol=1e-5)
    gray = to_gray(CAT)
    assert all((plane == gray[..., 0]).all() for plane in deconvolve(gray, Blurring()))
    assert len(deconvolve(gray, Blurring("disk", 9))) == 6


def test_only_networks_that_know_what_to_do_with_it_get_an_inverse() -> None:
    task = Deblur(Blurring("disk", 7))
    plain = task.prepare(Picture(CAT), Trained({}, Geometry(3)))
    assert not plain.conditions and "--blur had no effect" in plain.report.warnings[0]
    assert not Deblur().prepare(Picture(CAT), Trained({}, Geometry(3))).report.warnings
    fed = task.prepare(Picture(CAT), Trained({}, Geometry(3, conditions=6)))
    assert len(fed.conditions) == Deblur.maps
    assert fed.report.options == {"blur": "disk of 7.0 pixels"}
    np.testing.assert_array_equal(fed.pixels, CAT)


@pytest.mark.parametrize(
    ("text", "blurring"),
    [
        ("disk:6", Blurring("disk", 6)),
        ("gaussian:1.5", Blurring("gaussian", 6)),
        ("motion:9.5:30", Blurring("motion", 9.5, 30)),
    ],
)
def test_a_blur_can_be_given(text: str, blurring: Blurring) -> None:
    assert parse_blur(text) == blurring
    assert Deblur(blurring).given() == (f"blur={text}",)


def test_angles_may_be_negative_and_auto_measures() -> None:
    assert parse_blur("motion:9:-45") == parse_blur("motion:9:135")
    assert parse_blur("auto") is None


@pytest.mark.parametrize(
    "text",
    ["disk", "disk:", "disk:0.5", "disk:17", "disk:4:5", "disk:nan", "gaussian:5", "motion:9:inf"],
)
def test_an_invalid_blur_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a valid blur; expected disk:DIAMETER"):
        parse_blur(text)


def test_noise_that_hides_the_blur_is_advised_against() -> None:
    noise = Finding(Picture(CAT), {}, measured=8)
    advice = Deblur().advise(noise)
    assert advice and "level 8 hides the blur" in advice
    assert Deblur(Blurring("disk", 7)).advise(noise) is None
    assert Deblur().advise(replace(noise, trained={"kernel": "disk"})) is None
    assert Deblur().advise(Finding(Picture(CAT), {}, measured=4)) is None


@pytest.mark.weights
def test_the_given_blur_is_removed() -> None:
    blurred = Blur("motion", 9, 150).apply(CAT, np.random.RandomState(0))
    given = restore(Picture(blurred), Deblur(Blurring("motion", 9, 150))).pixels
    wrong = restore(Picture(blurred), Deblur(Blurring("motion", 9, 60))).pixels
    assert psnr(given, CAT) > psnr(blurred, CAT) + 3 > psnr(wrong, CAT) + 3


def test_training_shows_networks_estimates_as_rough_as_real_ones() -> None:
    clean, rng = np.full((16, 16, 3), 0.5, np.float32), np.random.default_rng(0)
    found = []
    for _ in range(300):
        task, _, target = Blur("disk", 8).pair(clean, rng)
        assert isinstance(task, Deblur) and task.blur
        np.testing.assert_array_equal(target, clean)
        found.append(task.blur)
    disks = [one.size for one in found if one.kernel == "disk"]
    assert 240 < len(disks) < 300
    assert abs(np.mean(disks) - 8) < 0.15 and 0.2 < np.std(disks) < 0.5


def test_the_meter_learns_from_constant_planes() -> None:
    rng = np.random.default_rng(0)
    _, observed, target = AnyBlur("motion", 8, 45).pair(to_gray(CAT), rng)
    assert observed.shape == target.shape == (*CAT.shape[:2], 3)
    np.testing.assert_allclose(target[0, 0], [0, 0, 8 / LARGEST], atol=1e-6)
    assert AnyBlur().score(target, target) == 0
    assert AnyBlur().score(np.zeros_like(target), target) == pytest.approx(-8, rel=1e-5)


@pytest.mark.weights
@pytest.mark.parametrize(("kernel", "size", "angle"), KINDS)
def test_the_blur_of_a_photo_is_measured(kernel: Kernel, size: float, angle: float) -> None:
    blurred = Blur(kernel, size, angle).apply(CAT, np.random.RandomState(0))
    found = measure_blur(blurred)
    assert found.kernel == kernel
    assert abs(found.size - size) < 0.25 * size
    if kernel == "motion":
        assert abs(found.angle - angle) < 5


@pytest.mark.weights
@pytest.mark.weights
def test_the_blur_of_a_photo_without_red_is_measured() -> None:
    image = Blur("disk", 7).apply(CAT, np.random.RandomState(0))
    image[..., 0] = 0
    assert measure_blur(image).kernel == "disk"


def test_no_blur_is_measured_where_there_is_none() -> None:
    assert not measure_blur(CAT).visible
    assert not measure_blur(to_gray(CAT)).visible
    assert not measure_blur(np.zeros((300, 300, 3), np.float32)).visible
    assert measure_blur(CAT[:40]) == Blurring()
    hidden = np.zeros(CAT.shape[:2], bool)
    assert measure_blur(CAT, hidden) == Blurring()
