"""PSNR, SSIM, PSNR-B and the noise level, on the picture in examples/."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restore_cli.image import compress, read_picture, to_gray
from restore_cli.metrics import estimate_noise, psnr, psnr_b, ssim

CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels


def noisy(clean: np.ndarray, sigma: float, clip: bool) -> np.ndarray:
    image = clean + sigma / 255 * np.random.RandomState(1).standard_normal(clean.shape)
    return ((image.clip(0, 1) * 255).round() / 255 if clip else image).astype(np.float32)


def test_psnr_is_ten_log_ten_of_one_over_the_error() -> None:
    black = np.zeros((4, 5, 3), np.float32)
    assert psnr(black + np.float32(0.1), black) == pytest.approx(20, abs=1e-4)
    assert psnr(black, black) == math.inf
    with pytest.raises(ValueError, match="shapes differ"):
        psnr(black, black[:3])


def test_psnr_does_not_lose_precision_in_float32() -> None:
    bright = np.full((512, 512, 3), 0.5, np.float32)
    assert psnr(bright + np.float32(2**-12), bright) == pytest.approx(
        20 * math.log10(2**12), abs=1e-6
    )


def test_ssim_falls_with_noise_and_is_one_for_equal_images() -> None:
    assert ssim(CAT, CAT) == pytest.approx(1)
    scores = [ssim(noisy(CAT, sigma, clip=True), CAT) for sigma in (5, 25, 50)]
    assert 0.95 > scores[0] > 0.85
    assert scores[0] > scores[1] > scores[2] > 0


def slow_ssim(image: np.ndarray, reference: np.ndarray) -> float:
    """Compute SSIM window by window, as Wang et al. 2004 define it, on the 0..255 scale."""
    distance = np.arange(11) - 5
    weights = np.exp(-(distance[:, None] ** 2 + distance**2) / (2 * 1.5**2))
    weights /= weights.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    height, width, channels = image.shape
    values = []
    for row, column, channel in np.ndindex(height - 10, width - 10, channels):
        window = slice(row, row + 11), slice(column, column + 11), channel
        x, y = (255 * part[window].astype(float) for part in (image, reference))
        x_mean, y_mean = (weights * x).sum(), (weights * y).sum()
        x_var, y_var = (weights * (x - x_mean) ** 2).sum(), (weights * (y - y_mean) ** 2).sum()
        both = (weights * (x - x_mean) * (y - y_mean)).sum()
        values.append(
            (2 * x_mean * y_mean + c1)
            * (2 * both + c2)
            / ((x_mean**2 + y_mean**2 + c1) * (x_var + y_var + c2))
        )
    return float(np.mean(values))


def test_ssim_is_that_of_its_paper() -> None:
    clean = CAT[100:130, 200:224]
    image = noisy(clean, 15, clip=True)
    assert ssim(image, clean) == pytest.approx(slow_ssim(image, clean), abs=1e-6)


def slow_psnr_b(image: np.ndarray, reference: np.ndarray, block: int = 8) -> float:
    """Compute PSNR-B pixel by pixel by the paper's equations, on the 0..255 scale."""
    y, x = 255.0 * image[..., 0].astype(float), 255.0 * reference[..., 0].astype(float)
    height, width = y.shape
    sums, counts = {True: 0.0, False: 0.0}, {True: 0, False: 0}
    for row in range(height):
        for column in range(width):
            if column + 1 < width:
                edge = (column + 1) % block == 0
                sums[edge] += (y[row, column] - y[row, column + 1]) ** 2
                counts[edge] += 1
            if row + 1 < height:
                edge = (row + 1) % block == 0
                sums[edge] += (y[row, column] - y[row + 1, column]) ** 2
                counts[edge] += 1
    at_edges, elsewhere = sums[True] / counts[True], sums[False] / counts[False]
    weight = math.log2(block) / math.log2(min(height, width)) if at_edges > elsewhere else 0.0
    effect = weight * (at_edges - elsewhere)
    return 10 * math.log10(255**2 / (((x - y) ** 2).mean() + effect))


@pytest.mark.parametrize("size", [(64, 96), (61, 75), (9, 40)])
@pytest.mark.parametrize("quality", [10, 40])
def test_psnr_b_follows_the_paper(size: tuple[int, int], quality: int) -> None:
    clean = to_gray(CAT)[80 : 80 + size[0], 200 : 200 + size[1]]
    blocky = compress(clean, quality)
    assert psnr_b(blocky, clean) == pytest.approx(slow_psnr_b(blocky, clean), abs=1e-6)


def test_psnr_b_of_a_line_is_its_psnr() -> None:
    clean = to_gray(CAT)[80:81, 200:264]
    blocky = compress(clean, 10)
    assert psnr_b(blocky, clean) == pytest.approx(psnr(blocky, clean), abs=1e-6)


def test_psnr_b_counts_only_blocks_of_the_image() -> None:
    clean = to_gray(CAT)
    blocky = compress(clean, 10)
    assert psnr_b(blocky, clean) < psnr(blocky, clean) - 0.5
    assert psnr_b(clean, blocky) == pytest.approx(psnr(clean, blocky), abs=0.1)
    assert psnr_b(clean[3:, 5:], blocky[3:, 5:]) == pytest.approx(
        psnr(clean[3:, 5:], blocky[3:, 5:]), abs=0.1
    )
    flat = np.zeros((8, 8, 1), np.float32)
    assert psnr_b(flat, flat) == math.inf
    for other in (flat[:7], np.zeros((8, 8, 3), np.float32)):
        with pytest.raises(ValueError, match="H x W x 1"):
            psnr_b(other, flat)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("sigma", [2, 5, 15, 25, 50])
def test_the_noise_level_is_found_in_color(sigma: float, clip: bool) -> None:
    assert estimate_noise(noisy(CAT, sigma, clip)) == pytest.approx(sigma, abs=1.5)


@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_the_noise_level_is_found_in_gray(sigma: float) -> None:
    assert estimate_noise(noisy(to_gray(CAT), sigma, clip=True)) == pytest.approx(sigma, abs=2)


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_noise_is_measured_in_jpegs_with_smoothed_colors(subsampling: str) -> None:
    data = io.BytesIO()
    pixels = (noisy(CAT, 15, clip=True) * 255).round().astype(np.uint8)
    Image.fromarray(pixels).save(data, "JPEG", quality=95, subsampling=subsampling)
    assert 13 < estimate_noise(read_picture(data.getvalue()).pixels) < 22


def test_a_clean_photo_has_little_noise() -> None:
    assert estimate_noise(CAT) < 2


@pytest.mark.parametrize("value", [0.0, 0.4, 1.0])
def test_a_flat_picture_has_no_noise(value: float) -> None:
    assert estimate_noise(np.full((64, 64, 3), value, np.float32)) == pytest.approx(0, abs=1e-3)


def test_a_very_small_picture_counts_as_clean() -> None:
    assert estimate_noise(noisy(CAT[:19], 25, clip=False)) == 0


def test_invisible_pixels_are_ignored() -> None:
    image = noisy(CAT, 15, clip=True)
    visible = np.zeros(image.shape[:2], bool)
    visible[60:240, 100:350] = True
    image[~visible] = 0.5
    assert estimate_noise(image) < 5
    assert estimate_noise(image, visible) == pytest.approx(15, abs=1)
    assert estimate_noise(image, np.zeros_like(visible)) == 0


def test_half_a_picture_blown_out_does_not_hide_the_noise() -> None:
    bright = noisy(np.concatenate([CAT, np.ones_like(CAT)]), 25, clip=True)
    assert estimate_noise(bright) == pytest.approx(25, abs=2)


@pytest.mark.parametrize("shape", [(22, 30_000), (30_000, 20)])
def test_noise_of_a_thin_image(shape: tuple[int, int]) -> None:
    noisy = 0.5 + np.random.default_rng(0).normal(0, 10 / 255, (*shape, 1)).astype(np.float32)
    assert estimate_noise(noisy) == pytest.approx(10, rel=0.1)
