"""What every degradation keeps to, and the physics of each."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore_cli.blur import KERNELS, blur_kernel
from restore_cli.degradations import (
    DEGRADATIONS,
    MEASURES,
    Random,
    camera,
    find_degradation,
    photo_noise,
)
from restore_cli.degradations.blur import Blur
from restore_cli.degradations.downscale import Downscale
from restore_cli.degradations.grain import mottle
from restore_cli.degradations.haze import Haze
from restore_cli.degradations.jpeg import QUALITIES, Jpeg
from restore_cli.degradations.masks import draw_mask
from restore_cli.degradations.missing import Missing
from restore_cli.degradations.mosaic import interpolate
from restore_cli.degradations.noise import Noise
from restore_cli.degradations.rain import Rain
from restore_cli.degradations.weather import Layer, draw_depth, noise_streaks, scatter, streaks
from restore_cli.errors import UsageError
from restore_cli.image import (
    Picture,
    compress,
    luma,
    read_picture,
    resize,
    round_to_bytes,
    to_gray,
    to_pillow,
)
from restore_cli.levels import Choice, Range
from restore_cli.metrics import estimate_quality, psnr
from restore_cli.network import Geometry
from restore_cli.tasks import TASKS, find_task
from restore_cli.tasks.deblock import Deblock
from restore_cli.tasks.denoise import Denoise
from restore_cli.tasks.inpaint import Inpaint
from restore_cli.tasks.missing import fill
from restore_cli.tasks.restoration import Observed, Trained
from restore_cli.tasks.sr import Sr, parse_scale

ROOT = Path(__file__).parents[1]
DATA = ROOT / "../shared/data/eval"
CAT = read_picture(ROOT / "examples/cat.png").pixels
RANDOM = (np.random.default_rng, np.random.RandomState)


def picture(height: int, width: int, channels: int = 3) -> np.ndarray:
    cut = np.ascontiguousarray(CAT[40 : 40 + height, 60 : 60 + width])
    return to_gray(cut) if channels == 1 else cut


# All degradations


def test_the_stronger_of_two_compressions_is_removed() -> None:
    """The quality of the file is that of the last one."""
    trained = Trained({"quality": Range(5, 95)}, Geometry(3, conditions=1))
    twice = compress(CAT, 30)[5:, 3:]
    for saved, last, quality, source in (
        (twice, 90, 30, None),
        (twice, 100, 30, None),
        (CAT, 90, 90, "the file"),
    ):
        photo = Picture(compress(saved, last), jpeg_quality=last)
        fed = Deblock().prepare(photo, trained)
        assert fed.conditions == (quality / 100,)
        assert fed.report.options.get("quality_from") == source
    assert fed.pixels.shape == CAT.shape
    assert Deblock(60).prepare(photo, trained).conditions == (0.6,)


@pytest.mark.parametrize("make", RANDOM)
@pytest.mark.parametrize("size", [(16, 16), (48, 37), (64, 64)])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", DEGRADATIONS)
def test_every_degradation_fulfills_its_contract(
    name: str, channels: int, size: tuple[int, int], make: Callable[[int], Random]
) -> None:
    cls = find_degradation(name)
    clean = picture(*size, channels)
    for seed, levels in enumerate([cls.levels] * 6 + list(cls.validation)):
        damage = cls.draw(levels, make(seed))
        target = damage.crop_to_scale(clean).copy()
        before = target.copy()
        target.setflags(write=False)
        observed, again = (damage.apply(target, make(seed)) for _ in range(2))
        np.testing.assert_array_equal(target, before)
        np.testing.assert_array_equal(observed, again)
        assert observed.dtype == np.float32
        scale = damage.scale if isinstance(damage, Downscale) else 1
        assert observed.shape == (target.shape[0] // scale, target.shape[1] // scale, channels)
        known = observed[~np.isnan(observed)]
        assert len(known)
        if not isinstance(damage, Noise):
            assert known.min() >= 0 and known.max() <= 1
        geometry = Geometry(channels, conditions=name in ("denoise", "inpaint"))
        fed = damage.task().prepare(Picture(observed), Trained(levels, geometry))
        pixels = fed.pixels if fed else observed
        assert np.isfinite(pixels).all()
        assert pixels.dtype == np.float32
        assert np.isfinite(damage.score(np.full_like(target, 0.3), target))


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_the_random_state_decides(name: str) -> None:
    cls = find_degradation(name)
    drawn = [cls.draw(cls.levels, np.random.default_rng(seed)) for seed in range(4)]
    results = [
        damage.apply(damage.crop_to_scale(picture(32, 32)), np.random.default_rng(seed))
        for seed, damage in enumerate(drawn)
    ]
    same = all(np.array_equal(results[0], other, equal_nan=True) for other in results[1:])
    assert same == (name == "sr")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Jpeg(quality=0), "from 1 to 100"),
        (lambda: Jpeg(quality=50, subsampling="4:1:1"), "4:2:0"),
        (lambda: Noise(noise="pink"), "camera"),
        (lambda: Rain(rain="cats"), "depth"),
        (lambda: Rain(heaviness=2), "from 0 to 1"),
        (lambda: Rain(style="wet"), "bold"),
        (lambda: Haze(beta=0), "above 0"),
        (lambda: Blur(kernel="box"), "disk"),
        (lambda: Blur(size=0), "from 1 to 31"),
        (lambda: Blur(window=8), "odd side from 1 to 63"),
        (lambda: Blur(border="black"), "mirror, replicate"),
        (lambda: Missing(damage="mud"), "hole"),
        (lambda: Missing(share=1), "from 0 to 0.9"),
        (lambda: Downscale(scale=0.5), "from 1 to 8"),
        (
            lambda: Downscale(2.5).apply(picture(16, 16), np.random.default_rng(0)),
            "expected an integer",
        ),
    ],
)
def test_impossible_levels_are_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make()


@pytest.mark.parametrize("name", [*DEGRADATIONS, *MEASURES])
def test_a_degradation_is_listed_by_the_name_of_its_task(name: str) -> None:
    cls = find_degradation(name)
    for seed, levels in enumerate([{}, cls.levels, *cls.validation]):
        damage = cls.draw(levels, np.random.default_rng(seed))
        task, _, _ = damage.pair(damage.crop_to_scale(picture(48, 48)), np.random.default_rng(0))
        for one in (damage.task(), task):
            assert one.name == name
            assert name in MEASURES or type(one) is find_task(name)


@pytest.mark.parametrize(
    ("damaged", "asked"),
    [
        (lambda: Noise(sigma=-1), lambda: Denoise(sigma=-1)),
        (lambda: Noise(sigma=256, noise="camera"), lambda: Denoise(sigma=256)),
        (lambda: Jpeg(quality=101), lambda: Deblock(quality=101)),
        (lambda: Missing(detect="rain"), lambda: Inpaint(detect="rain")),
        (lambda: Downscale(scale=9), lambda: Sr(scale=9)),
        (lambda: Downscale.draw({"scale": "much"}, None), lambda: parse_scale("much")),
    ],
)
def test_a_degradation_refuses_what_its_task_refuses(
    damaged: Callable[[], object], asked: Callable[[], object]
) -> None:
    sentences = []
    for make in (damaged, asked):
        with pytest.raises(UsageError) as error:
            make()
        sentences.append(str(error.value))
    assert sentences[0] == sentences[1]


# JPEG


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_blocks_are_those_of_pillow_itself(subsampling: str) -> None:
    clean = picture(50, 70)
    data = io.BytesIO()
    samples = (clean * 255).round().astype(np.uint8)
    Image.fromarray(samples).save(data, "JPEG", quality=20, subsampling=subsampling)
    observed = Jpeg(quality=20.4, subsampling=subsampling).apply(clean, np.random.default_rng(0))
    np.testing.assert_array_equal(np.rint(observed * 255), np.asarray(Image.open(data)))


def test_gray_is_compressed_as_gray() -> None:
    clean = picture(48, 48, 1)
    data = io.BytesIO()
    Image.fromarray((clean[..., 0] * 255).round().astype(np.uint8), "L").save(
        data, "JPEG", quality=10
    )
    observed = Jpeg(quality=10).apply(clean, np.random.default_rng(0))
    np.testing.assert_array_equal(np.rint(observed[..., 0] * 255), np.asarray(Image.open(data)))


def test_a_missing_quality_is_drawn() -> None:
    clean = picture(64, 64)
    saved = [Jpeg().apply(clean, np.random.default_rng(seed)) for seed in range(20)]
    levels = {round(np.random.default_rng(seed).uniform(*QUALITIES)) for seed in range(20)}
    assert {estimate_quality(image)[0] for image in saved} == levels
    assert len(levels) > 10 and Jpeg().task() == Deblock()


def test_the_quality_is_a_condition_held_to_the_range_known() -> None:
    image, known = (
        Picture(picture(32, 32)),
        Trained({"quality": Range(5, 95)}, Geometry(3, conditions=1)),
    )
    for quality, seen in ((20, 0.2), (1, 0.05), (100, 0.95)):
        fed = Deblock(quality=quality).prepare(image, known)
        assert fed.conditions == (pytest.approx(seen),)
        assert bool(fed.report.warnings) == (quality != 20)
        assert fed.report.strength == (quality < 95)  # nothing to improve above
    blind = Trained({"quality": 10}, Geometry(3))
    fed = Deblock(quality=20).prepare(image, blind)
    assert (
        fed.conditions == ()
        and "trained for quality 10" in fed.report.warnings[0]
        and fed.report.strength == 1
    )
    fed = Deblock(quality=21).prepare(image, blind)
    assert "the photo was not changed" in fed.report.warnings[0] and fed.report.strength == 0


def test_the_start_of_blocks_is_found_unless_it_is_given() -> None:
    cut, trained = compress(CAT, 20)[3:, 5:], Trained({}, Geometry(3))
    for task in (Deblock(), Deblock(quality=20)):
        assert estimate_quality(task.prepare(Picture(cut), trained).pixels) == (20, (0, 0))
        said = replace(task, corner=(0, 0)).prepare(Picture(cut), trained)
        assert said.pixels is cut and said.report.options == {"quality": 20}
    task, observed, clean = Jpeg(quality=20).pair(CAT, np.random.default_rng(0))
    assert task == Deblock(quality=20, corner=(0, 0))
    assert task.prepare(Picture(observed), trained).pixels is observed
    assert clean is CAT


@pytest.mark.parametrize("name", TASKS)
def test_gray_images_stay_gray(name: str) -> None:
    task = find_task(name)()
    observed = np.random.default_rng(0).random((12, 10, 1), np.float32).repeat(3, axis=2)
    if name == "inpaint":
        observed[3:5] = np.nan
    size = (24, 20, 3) if isinstance(task, Sr) else (12, 10, 3)
    tinted = np.random.default_rng(1).random(size, np.float32)
    restored = task.finish(tinted, Observed.of(observed))
    assert (restored == restored[..., :1]).all() and np.ptp(restored) > 0.5


@pytest.mark.parametrize("name", TASKS)
def test_restoring_keeps_the_mean_color_unless_the_damage_changed_it(name: str) -> None:
    task = find_task(name)()
    observed = np.random.default_rng(0).uniform(0.3, 0.6, (32, 24, 3)).astype(np.float32)
    tinted = observed[::-1] + np.float32([0.02, 0, -0.01])
    if isinstance(task, Sr):
        tinted = tinted.repeat(2, axis=0).repeat(2, axis=1)
    shift = (
        task.finish(tinted, Observed.of(observed)).mean(axis=(0, 1)) - observed.mean(axis=(0, 1))
    ) * 255
    weather = name in ("derain", "dehaze", "inpaint")  # of these the last is held by its mask
    left = [5.1, 0, -2.55] if weather else [4.1, 0, -1.55] if name == "denoise" else [0, 0, 0]
    np.testing.assert_allclose(shift, left, atol=0.01)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("quality", [5, 10, 20, 37, 60, 80, 90, 95])
def test_the_quality_is_found_in_the_pixels(quality: int, subsampling: str) -> None:
    assert estimate_quality(compress(CAT, quality, subsampling)) == (quality, (0, 0))
    assert estimate_quality(compress(to_gray(CAT), quality)) == (quality, (0, 0))


def test_the_quality_of_cropped_hidden_or_uncompressed_images() -> None:
    observed = compress(CAT, 40)
    assert estimate_quality(observed[3:, 5:]) == (40, (5, 3))
    hidden = np.zeros(CAT.shape[:2], bool)
    hidden[:, :120] = True
    beside = np.where(hidden[..., None], compress(CAT, 15), observed)
    assert estimate_quality(beside, ~hidden) == (40, (0, 0))
    smaller = round_to_bytes(resize(CAT, 150, 170))
    assert estimate_quality(smaller) == (100, (0, 0))
    for blank in (0, 0.5, 1):
        assert estimate_quality(np.full((40, 40, 3), blank, np.float32)) == (100, (0, 0))
    assert estimate_quality(CAT[:10]) == (100, (0, 0))
    fed = Deblock().prepare(Picture(observed), Trained({}, Geometry(3)))
    assert fed.report.options == {"quality": 40}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_blocks_start_in_the_corner_of_a_photo_turned_upright(
    orientation: int, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    to_pillow(CAT[:187, :203]).save(tmp_path / "turned.jpg", quality=30, exif=exif)
    photo = read_picture(tmp_path / "turned.jpg")
    # The start of blocks comes from the file, or is estimated from the pixels.
    for known in (photo, replace(photo, jpeg_quality=None, corner=(0, 0))):
        fed = Deblock().prepare(known, Trained({}, Geometry(3)))
        assert estimate_quality(fed.pixels) == (30, (0, 0))
        assert np.array_equal(Deblock().finish(fed.pixels, Observed.of(photo.pixels)), photo.pixels)


# Super-resolution


def imresize_row(row: np.ndarray, length: int) -> np.ndarray:
    """Resize one row sample by sample, as MATLAB's documentation describes it."""
    scale = length / len(row)
    shrink = min(scale, 1)
    result = []
    for x in range(1, length + 1):
        u = x / scale + 0.5 * (1 - 1 / scale)
        total = weights = 0.0
        for tap in range(int(u - 2 / shrink) - 2, int(u + 2 / shrink) + 4):
            d = abs(u - tap) * shrink
            weight = (
                1.5 * d**3 - 2.5 * d**2 + 1
                if d <= 1
                else (-0.5 * d**3 + 2.5 * d**2 - 4 * d + 2)
                if d <= 2
                else 0
            )
            mirror = (tap - 1) % (2 * len(row))
            total += weight * row[mirror if mirror < len(row) else 2 * len(row) - 1 - mirror]
            weights += weight
        result.append(total / weights)
    return np.array(result)


@pytest.mark.parametrize("length", [7, 10, 13, 26, 60])
def test_resizing_is_matlabs(length: int) -> None:
    row = np.random.default_rng(0).random(26)
    expected = imresize_row(row, length)
    wide = resize(np.tile(row[None, :, None], (5, 1, 2)), 5, length)
    np.testing.assert_allclose(wide, np.tile(expected[None, :, None], (5, 1, 2)), atol=1e-6)
    tall = resize(np.tile(row[:, None, None], (1, 4, 1)).astype(np.float32), length, 4)
    assert tall.dtype == np.float32
    np.testing.assert_allclose(tall[:, 2, 0], expected, atol=1e-6)


def test_a_reduction_loses_the_rest_of_a_division() -> None:
    damage = Downscale(scale=3)
    assert damage.crop_to_scale(picture(50, 49)).shape == (48, 48, 3)
    assert damage.apply(picture(50, 49), np.random.default_rng(0)).shape == (16, 16, 3)
    assert Downscale.draw({"scale": ["4", "4"]}, np.random.default_rng(0)).scale == 4


def test_a_network_that_keeps_the_size_gets_the_bicubic_image() -> None:
    low = Picture(picture(20, 30))
    fed = Sr(scale=2).prepare(low, Trained({}, Geometry(3, scale=2)))
    assert fed.pixels is low.pixels
    fed = Sr(scale=2).prepare(low, Trained({"scale": Choice(("3", "4"))}, Geometry(3)))
    np.testing.assert_array_equal(fed.pixels, resize(low.pixels, 60, 90))


def test_super_resolution_is_scored_on_shaved_luma() -> None:
    clean = picture(40, 40)
    restored = np.clip(clean + 0.1, 0, 1)
    restored[:4] = restored[:, -4:] = 0
    inner = (slice(4, -4), slice(4, -4))
    expected = psnr(luma(round_to_bytes(restored)[inner]), luma(clean[inner]))
    assert Downscale(scale=4).score(restored, clean) == pytest.approx(expected)


@pytest.mark.skipif(not DATA.is_dir(), reason="the evaluation sets are not here")
@pytest.mark.parametrize(("scale", "bicubic"), [(2, 33.68), (3, 30.41), (4, 28.43)])
def test_set5_is_reduced_as_by_its_authors(scale: int, bicubic: float) -> None:
    damage, scores = Downscale(scale=scale), []
    for path in sorted((DATA / f"set5/x{scale}/hr").glob("*.png")):
        clean = damage.crop_to_scale(read_picture(path).pixels)
        given = read_picture(path.parents[1] / "lr" / path.name).pixels
        assert psnr(damage.apply(clean, np.random.default_rng(0)), given) > 50
        scores.append(damage.score(damage.task().unrestored(given), clean))
    assert np.mean(scores) == pytest.approx(bicubic, abs=0.01)


# Rain and haze


def test_a_streak_is_as_long_wide_and_slanted_as_asked() -> None:
    layer = Layer(angle=0, length=20, thickness=2, coverage=0.005, strength=0.6)
    rain = streaks(200, 300, layer, np.random.default_rng(1))
    assert 0.15 < rain.max() < 1.3 and 0.4 < (rain > 0.05).mean() / 0.005 < 2.5
    rows, columns = np.abs(np.diff(rain, axis=0)).sum(), np.abs(np.diff(rain, axis=1)).sum()
    assert 4 < columns / rows < 16  # 20 long, 2 wide
    slanted = streaks(200, 300, Layer(90, 20, 2, 0.005, 0.6), np.random.default_rng(1))
    assert 4 < np.abs(np.diff(slanted, axis=0)).sum() / np.abs(np.diff(slanted, axis=1)).sum() < 16
    leaning = streaks(128, 128, Layer(30, 60, 1.5, 0.2, 1), np.random.default_rng(2))
    moved = [
        np.corrcoef(leaning[:-10].ravel(), np.roll(leaning, s, 1)[10:].ravel())[0, 1]
        for s in (-6, 0, 6)
    ]
    assert np.argmax(moved) in (0, 2) and max(moved) > 0.6 > moved[1]


@pytest.mark.parametrize("rain", ["streaks", "density", "screen", "heavy", "depth"])
def test_heavier_rain_does_more_harm(rain: str) -> None:
    clean = picture(96, 96)

    def harm(heaviness: float) -> float:
        damage = Rain(rain=rain, heaviness=heaviness, mist=0.3)
        return float(
            np.mean([psnr(damage.apply(clean, np.random.default_rng(i)), clean) for i in range(24)])
        )

    assert harm(0.1) > harm(0.5) + 0.3 > harm(1) + 0.6


def test_a_veil_is_bright_and_its_streaks_are_faint() -> None:
    clear, veiled = (
        noise_streaks(128, 128, 0.3, 10, 30, 1, np.random.default_rng(3), veil) for veil in (0, 1)
    )
    assert veiled.min() > 0 and (clear == 0).mean() > 0.2
    assert (
        veiled.std() < clear.std() and veiled.std() / veiled.mean() < clear.std() / clear.mean() / 2
    )


def test_streaks_and_noise_add_light_and_are_gray() -> None:
    clean = np.full((64, 64, 3), 0.25, np.float32)
    for damage in (
        Rain(),
        Rain(rain="density"),
        *(Rain(style=s) for s in ("fine", "bold", "dense")),
    ):
        added = damage.apply(clean, np.random.default_rng(3)) - clean
        assert added.min() >= 0 and added.max() > 0.02
        np.testing.assert_array_equal(added, added[..., :1].repeat(3, axis=2))
    light, heavy = (
        noise_streaks(64, 64, a, 10, 20, 1.2, np.random.default_rng(0)) for a in (0.2, 0.8)
    )
    np.testing.assert_allclose(heavy, 4 * light, rtol=1e-3, atol=1e-5)


def test_screened_rain_is_dense_rain_weighted_by_darkness() -> None:
    clean = np.full((64, 64, 3), [0.1, 0.4, 0.7], np.float32)
    added, screened = (
        Rain(rain=rain, heaviness=0.3, veil=0.5).apply(clean, np.random.default_rng(3)) - clean
        for rain in ("density", "screen")
    )
    assert added[..., 0].std() > 0.01
    np.testing.assert_allclose(screened, added[..., :1] * (1 - clean), atol=1e-6)


def test_haze_is_koschmieders_law_over_the_drawn_depth() -> None:
    clean = picture(40, 56)
    observed = Haze(beta=1.1, light=0.9).apply(clean, np.random.default_rng(7))
    depth = draw_depth(40, 56, np.random.default_rng(7))
    assert depth.min() >= 0 and depth.max() <= 1 and np.ptp(depth) > 0
    t = np.exp(-1.1 * depth)[..., None]
    np.testing.assert_allclose(observed, clean * t + 0.9 * (1 - t), atol=1e-6)
    np.testing.assert_allclose(scatter(clean, np.ones((40, 56), np.float32), 0.9), clean)
    np.testing.assert_allclose(scatter(clean, np.zeros((40, 56), np.float32), 0.9), 0.9)


def test_haze_of_photos_has_a_color_and_the_edges_of_objects() -> None:
    clean = np.full((64, 64, 3), 0.2, np.float32)
    clean[:, 32:] = 0.7
    tints, edges = [], []
    for seed in range(12):
        photo, plain = (
            Haze(beta=1.5, light=0.9, style=style).apply(clean, np.random.default_rng(seed))
            for style in ("photo", "plain")
        )
        assert np.array_equal(np.rint(photo * 255) / np.float32(255), photo)
        tints.append(np.ptp(photo[:, :24].mean(axis=(0, 1))))
        steps = [(hazy[:, 38] - hazy[:, 25]).mean() for hazy in (photo, plain)]
        edges.append(abs(steps[0] - steps[1]))
    assert max(tints) > 3 / 255 and max(edges) > 0.1
    gray = Haze(style="photo").apply(picture(48, 48)[..., :1], np.random.default_rng(0))
    assert gray.shape == (48, 48, 1)


def test_clear_photos_have_no_haze() -> None:
    clean = picture(40, 56)
    assert np.array_equal(Haze(style="none").apply(clean, np.random.default_rng(0)), clean)


def test_depth_rain_fades_into_fog() -> None:
    clean = np.full((64, 64, 3), 0.2, np.float32)
    damage = Rain(rain="depth", mist=3, heaviness=1, style="bold")
    observed = [damage.apply(clean, np.random.default_rng(seed)) for seed in range(12)]
    contrast, brightness = np.array([(image.std(), image.mean()) for image in observed]).T
    assert brightness.max() > 0.6 and np.corrcoef(contrast, brightness)[0, 1] < 0


# Blur


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("size", [1, 2.5, 7, 15, 31])
def test_kernels_sum_to_one_and_spread_as_asked(kind: str, size: float) -> None:
    kernel = blur_kernel(kind, size, 30).astype(np.float64)
    reach = len(kernel) // 2
    assert kernel.shape == (2 * reach + 1, 2 * reach + 1) and kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=1e-7)
    x, y = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    variance = (kernel * (x**2 + y**2)).sum()
    expected = {"disk": size**2 / 8, "gaussian": size**2 / 8, "motion": size**2 / 12}[kind]
    if size > 2:
        assert variance == pytest.approx(expected, rel=0.15, abs=0.3)  # pixels have a width
    if kind == "motion" and size == 15:
        assert (kernel * x * y).sum() / (kernel * x**2).sum() == pytest.approx(
            -np.tan(np.pi / 6), abs=0.03
        )


RED_NET = {"border": "replicate", "rounded": True}  # as in the authors' code, by MATLAB's imfilter


def test_red_nets_disk_covers_what_a_circle_of_radius_7_covers() -> None:
    """fspecial("disk", 7): 15x15, each pixel by its share of the circle."""
    points = (np.arange(15 * 64) + 0.5) / 64 - 7.5
    inside = points[:, None] ** 2 + points[None, :] ** 2 <= 49
    exact = inside.reshape(15, 64, 15, 64).mean(axis=(1, 3))
    np.testing.assert_allclose(
        blur_kernel("disk", 14), exact / exact.sum(), atol=0.02 * exact.max() / exact.sum()
    )


def test_red_nets_gaussian_has_25_pixels_a_side() -> None:
    """fspecial("gaussian", 25, 1.6)."""
    line = np.exp(-(np.arange(-12, 13) ** 2) / (2 * 1.6**2))
    kernel = blur_kernel("gaussian", 6.4, window=25)
    assert kernel.shape == (25, 25)
    np.testing.assert_allclose(kernel, np.outer(line, line) / line.sum() ** 2, atol=1e-8)


@pytest.mark.parametrize("kernel", [{"kernel": "disk", "size": 14}, {"size": 6.4, "window": 25}])
def test_red_nets_blur_repeats_the_border_and_is_rounded(kernel: dict[str, float]) -> None:
    clean = picture(48, 40)
    damage = Blur(**kernel, **RED_NET)
    blurred = damage.apply(clean, np.random.default_rng(0))
    weights = blur_kernel(damage.kernel, damage.size, window=damage.window).astype(np.float64)
    reach = len(weights) // 2
    wide = np.pad(clean, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(wide, weights.shape, axis=(0, 1))
    expected = np.einsum("ywcij,ij->ywc", windows, weights)
    assert np.abs(blurred - expected).max() <= 0.5 / 255 + 1e-5
    assert np.array_equal(blurred * 255, np.rint(blurred * 255))
    mirrored = Blur(**kernel).apply(clean, np.random.default_rng(0))
    assert np.abs(mirrored - blurred)[0].max() > 2 / 255


def test_the_smallest_kernel_changes_nothing_and_borders_are_mirrored() -> None:
    clean = picture(40, 40)
    rng = np.random.default_rng(0)
    np.testing.assert_allclose(Blur(kernel="disk", size=1).apply(clean, rng), clean, atol=1e-6)
    even = np.full((20, 20, 1), 0.7, np.float32)
    np.testing.assert_allclose(Blur(size=15).apply(even, rng), even, atol=1e-6)
    noisy = Blur(size=9, noise=5).apply(np.full((90, 90, 1), 0.5, np.float32), rng)
    assert noisy.std() == pytest.approx(5 / 255, rel=0.1)


# Missing pixels


@pytest.mark.parametrize("make", RANDOM)
@pytest.mark.parametrize("damage", ["scratches", "boxes", "hole"])
@pytest.mark.parametrize("share", [0, 0.05, 0.25])
def test_masks_cover_the_share_asked_for(
    damage: str, share: float, make: Callable[[int], Random]
) -> None:
    shares = [(draw_mask(damage, 128, 160, make(i), share=share) > 0).mean() for i in range(8)]
    slack = {"scratches": 0.03, "boxes": 0.11, "hole": 0.005}[damage]
    assert min(shares) >= share - 0.005 and max(shares) <= share + slack


@pytest.mark.parametrize("size", [10, 20])
def test_text_covers_its_share_until_its_lines_are_full(size: int) -> None:
    for seed in range(12):
        rng = np.random.default_rng
        assert (
            draw_mask("text", 160, 160, rng(seed), size=size, share=0.05) > 0
        ).mean() == pytest.approx(0.05, abs=0.003)
        full = draw_mask("text", 160, 160, rng(seed), size=size, share=0.9)
        assert 0.1 < (full > 0).mean() < 0.6
        assert full.max() > 0.9 and len(np.unique(full)) > 10  # letters are soft


@pytest.mark.parametrize("make", RANDOM)
def test_a_shifted_hole_is_what_a_square_at_random_covers_of_the_middle(
    make: Callable[[int], Random],
) -> None:
    """IRAE's paper: 128-pixel squares at random places of 256, cropped to the central region."""
    masks = [draw_mask("shifted", 256, 256, make(seed), share=0.25) for seed in range(60)]
    corners, sides = [], []
    for mask in masks:
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert mask.sum() == len(rows) * len(columns)  # one rectangle
        corners += [(rows[0], rows[-1]), (columns[0], columns[-1])]
        sides += [len(rows), len(columns)]
    assert all(
        first >= 64 and last < 192 and (first == 64 or last == 191) for first, last in corners
    )
    assert min(sides) >= 64 and max(sides) <= 128
    assert min(sides) < 80 and max(sides) > 115 and len({mask.tobytes() for mask in masks}) > 50
    lost = Missing(damage="shifted", share=0.25).apply(picture(64, 64), np.random.default_rng(1))
    assert 0.0625 <= np.isnan(lost).all(axis=2).mean() <= 0.25


def test_the_hole_of_a_quarter_is_half_of_each_side() -> None:
    mask = draw_mask("hole", 256, 256, np.random.default_rng(0), share=0.25)
    assert mask.sum() == 128**2 and mask[64:192, 64:192].all()


def test_known_pixels_stay_and_the_mask_is_a_plane() -> None:
    clean = picture(64, 64)
    observed = Missing(damage="scratches").apply(clean, np.random.default_rng(0))
    missing = np.isnan(observed).all(axis=2)
    assert 0 < missing.mean() < 0.3
    np.testing.assert_array_equal(observed[~missing], clean[~missing])
    fed = Inpaint().prepare(Picture(observed), Trained({}, Geometry(3, conditions=1)))
    np.testing.assert_array_equal(fed.conditions[0], missing)
    np.testing.assert_array_equal(fed.pixels, fill(observed, missing))
    np.testing.assert_array_equal(fed.pixels[~missing], clean[~missing])
    assert Inpaint().prepare(Picture(observed), Trained({}, Geometry(3))).conditions == ()


@pytest.mark.parametrize("damage", ["text", "scratches"])
def test_blind_damage_is_painted_in_one_color(damage: str) -> None:
    clean = picture(64, 64)
    painter = Missing(damage=damage, share=0.1, blind=True)
    for seed in range(6):
        observed = painter.apply(clean, np.random.default_rng(seed))
        mask = draw_mask(damage, 64, 64, np.random.default_rng(seed), share=0.1)
        assert not np.isnan(observed).any()
        np.testing.assert_array_equal(observed[mask == 0], clean[mask == 0])
        painted = observed[mask == 1]
        np.testing.assert_allclose(painted, painted[:1].repeat(len(painted), axis=0), atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("damage", ["text", "scratches"])
def test_lifelike_damage_varies_and_leaves_the_rest_unchanged(damage: str, channels: int) -> None:
    clean = np.full((80, 80, channels), 0.4, np.float32)
    painter = Missing(damage=damage, size=20, share=0.02, blind=True, style="photo")
    changes = []
    for seed in range(12):
        painted = painter.apply(clean, np.random.default_rng(seed))
        np.testing.assert_array_equal(painted, painter.apply(clean, np.random.default_rng(seed)))
        assert painted.shape == clean.shape and painted.dtype == np.float32
        change = np.abs(painted - clean).max(axis=2)
        assert 0.02 < (change > 1e-6).mean() < 0.7
        changes.append(painted - clean)
    assert np.min(changes) < -0.2 and np.max(changes) > 0.3  # darker and brighter than the photo


def test_pairs_for_detectors_are_files_with_and_without_damage() -> None:
    clean = picture(64, 64)
    painter = Missing(damage="text", size=12, share=0.02, blind=True, style="photo")
    pairs = [painter.pair(clean, np.random.default_rng(seed)) for seed in range(60)]
    for _, observed, target in pairs:
        far = np.abs(observed - target).max(axis=2) == 0  # other blocks of the JPEG are the same
        assert observed.dtype == target.dtype == np.float32 and far.mean() > 0.2
        np.testing.assert_allclose(observed * 255, np.rint(observed * 255), atol=1e-3)
    assert 1 <= sum(np.array_equal(observed, target) for _, observed, target in pairs) <= 15
    kept = sum(bool(np.abs(target - clean).max() < 1 / 255) for _, _, target in pairs)
    assert 10 <= kept <= 50  # neither compressed nor furnished with signs


# What cameras make of a photo


@pytest.mark.parametrize("corner", list(itertools.product((0, 1), repeat=2)))
@pytest.mark.parametrize("interpolation", camera.INTERPOLATIONS)
def test_every_interpolation_of_a_mosaic_reproduces_gradients(
    interpolation: str, corner: tuple[int, int]
) -> None:
    rows, columns = np.mgrid[:24, :30].astype(np.float32) / 100
    light = np.stack([rows, 0.5 - columns, rows + columns], axis=2)
    image = interpolate(light, corner, interpolation)
    np.testing.assert_allclose(image[4:-4, 4:-4], light[4:-4, 4:-4], atol=1e-4)


@pytest.mark.parametrize("channels", [1, 3])
def test_developing_inverts_exposing(channels: int) -> None:
    gray = np.tile(np.linspace(0.05, 0.95, 64, dtype=np.float32)[:, None, None], (1, 64, channels))
    for seed in range(12):
        drawn = camera.Camera.draw(channels, 10, np.random.default_rng(seed))
        plain = replace(drawn, smoothing=0, cleaning=0, sharpening=(0, 1))
        np.testing.assert_allclose(plain.develop(plain.expose(gray))[3:-3], gray[3:-3], atol=4e-3)


def test_a_cameras_noise_is_shot_and_read_noise() -> None:
    drawn = replace(camera.Camera.draw(1, 10, np.random.default_rng(0)), gamma=2.2, contrast=0)
    variances = [
        drawn.noise(np.full((256, 256, 1), light, np.float32), 10, np.random.default_rng(1)).var()
        for light in (0.0, 0.2, 0.4, 0.8)
    ]
    shot = np.diff(variances) / [0.2, 0.2, 0.4]
    assert variances[0] > 0 and shot.min() > 0 and shot == pytest.approx(shot.mean(), rel=0.05)


@pytest.mark.parametrize("sigma", [2, 10, 30])
def test_a_cameras_noise_has_about_its_level_at_middle_gray(sigma: float) -> None:
    clean = np.full((96, 96, 1), 0.5, np.float32)
    levels = [
        255 * (plain.develop(light + plain.noise(light, sigma, rng)) - 0.5).std()
        for seed in range(8)
        for rng in [np.random.default_rng(seed)]
        for plain in [replace(camera.Camera.draw(1, sigma, rng), cleaning=0, sharpening=(0, 1))]
        for light in [plain.expose(clean)]
    ]
    assert levels == pytest.approx([sigma] * 8, rel=0.2)


def test_processing_keeps_a_photo_without_noise() -> None:
    clean = picture(64, 80)
    for seed in range(20):
        np.testing.assert_allclose(
            camera.add_camera_noise(clean, 0, np.random.default_rng(seed)), clean, atol=1e-6
        )


def test_rounded_noise_is_that_of_a_file() -> None:
    clean = np.full((32, 32, 3), 0.9, np.float32)
    noisy = Noise(51, rounded=True).apply(clean, np.random.RandomState(0))
    assert noisy.max() == 1 and np.array_equal(noisy, round_to_bytes(noisy))
    assert Noise(51).apply(clean, np.random.RandomState(0)).max() > 1


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_of_a_random_kind_has_its_level_and_many_spectra(channels: int) -> None:
    clean = picture(64, 80, channels)
    likeness = []
    for seed in range(40):
        noise = 255 * (mottle(clean, 8, np.random.default_rng(seed)) - clean)
        assert noise.std() == pytest.approx(8, rel=0.02)
        likeness.append(np.corrcoef(noise[:, 1:, 0].ravel(), noise[:, :-1, 0].ravel())[0, 1])
    assert min(likeness) < 0.25 and max(likeness) > 0.6


def test_saving_makes_files_of_8_bits_most_of_them_jpegs_at_any_place() -> None:
    clean = picture(64, 80)
    saved = [photo_noise.save(clean, np.random.default_rng(seed)) for seed in range(200)]
    assert all(np.abs(image * 255 - np.rint(image * 255)).max() < 1e-3 for image in saved)
    jpegs = sum(not np.array_equal(image, round_to_bytes(clean)) for image in saved)
    assert 0.5 < jpegs / 200 < 0.7
    corners = {
        estimate_quality(image)[1] for image in saved[:60] if estimate_quality(image)[0] < 95
    }
    assert (0, 0) in corners and len(corners) > 3


def test_levels_of_noise_are_drawn_from_none_to_heavy() -> None:
    rng = np.random.default_rng(0)
    levels = np.array([photo_noise.draw_level(rng) for _ in range(2000)])
    assert (levels == 0).mean() == pytest.approx(photo_noise.CLEAN, abs=0.02)
    noisy = levels[levels > 0]
    assert photo_noise.LEVELS[0] <= noisy.min() < 1.1 and 35 < noisy.max() <= photo_noise.LEVELS[1]
    assert np.median(noisy) == pytest.approx(np.sqrt(np.prod(photo_noise.LEVELS)), rel=0.1)


@pytest.mark.parametrize("noise", ["camera", "random"])
def test_a_level_of_none_is_drawn(noise: str) -> None:
    clean = picture(48, 48)
    errors = [
        np.std(Noise(noise=noise).apply(clean, np.random.default_rng(i)) - clean) for i in range(40)
    ]
    assert min(errors) < 2 / 255 and max(errors) > 15 / 255


@pytest.mark.parametrize("scale", [2, 4])
def test_a_reduced_photo_is_degraded_and_keeps_its_content(scale: int) -> None:
    clean = picture(128, 128)
    exact = resize(clean, 128 // scale, 128 // scale).clip(0, 1)
    damage = Downscale(scale=scale, damage="photo")
    levels = [psnr(damage.apply(clean, np.random.default_rng(seed)), exact) for seed in range(60)]
    assert min(levels) > 15 and np.median(levels) > 22
    assert max(levels) > 50  # some are only reduced


def test_photos_are_blurred_in_linear_light_and_saved_as_files() -> None:
    clean = np.zeros((32, 32, 3), np.float32)
    clean[:, 16:] = 1
    plain, photo = (
        Blur(kernel="motion", size=9, angle=0, style=style).apply(clean, np.random.default_rng(1))
        for style in ("plain", "photo")
    )
    middle = np.rint(plain[16, 15:17].mean() * 255), np.rint(photo[16, 15:17].mean() * 255)
    assert middle[0] == pytest.approx(127.5, abs=1) and middle[1] == pytest.approx(186, abs=6)
    assert np.array_equal(np.rint(photo * 255) / np.float32(255), photo)


def test_a_sharp_photo_is_its_own_target() -> None:
    clean = picture(32, 32)
    damage = Blur(kernel="none", size=9)
    assert np.array_equal(damage.apply(clean, np.random.default_rng(0)), clean)
    noisy = Blur(kernel="none", noise=2, style="photo")
    _, observed, target = noisy.pair(clean, np.random.default_rng(0))
    assert observed is target and 35 < psnr(observed, clean) < 50
    _, observed, target = Blur(kernel="disk").pair(clean, np.random.default_rng(0))
    assert target is clean and psnr(observed, clean) < 35
