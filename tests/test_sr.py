"""Super-resolution: any factor and size, by networks that keep the size or enlarge, gray or
color.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner, Result

from restore_cli.archs import build
from restore_cli.archs.unet import UNet
from restore_cli.cli import app
from restore_cli.degradations.downscale import Downscale
from restore_cli.errors import RestoreError, UsageError
from restore_cli.image import Picture, read_picture, resize
from restore_cli.levels import Choice, parse_levels
from restore_cli.models import checkpoint
from restore_cli.models.header import Header
from restore_cli.network import Geometry
from restore_cli.tasks.restoration import Finding, Trained
from restore_cli.tasks.sr import Sr, parse_size

NETWORKS = {  # none does anything beyond bicubic
    "any": (
        "unet:UNet",
        {"channels": 3, "widths": [8], "conditions": 1},
        {"scale": ["2", "3", "4"]},
    ),
    "gray": ("unet:UNet", {"channels": 1, "widths": [8], "conditions": 0}, {"scale": 2}),
    "thrice": ("binarized:BTNet", {"channels": 1, "width": 4, "scale": 3}, {"scale": 3}),
}


@pytest.fixture
def models(tmp_path: Path) -> dict[str, Path]:
    paths = {}
    for name, (arch, params, levels) in NETWORKS.items():
        network = build(arch, params)
        network.init_weights()
        header = Header(
            task="sr",
            arch=arch,
            params=params,
            channels=network.geometry.channels,
            conditions=parse_levels(levels),
        )
        paths[name] = tmp_path / f"{name}.safetensors"
        checkpoint.save(network, paths[name], header)
    return paths


def enlarge(photo: Path, model: Path, *words: str) -> Result:
    argv = [
        "sr",
        str(photo),
        "--model",
        str(model),
        "-o",
        str(photo.with_name("out.png")),
        "--overwrite",
    ]
    return CliRunner().invoke(app, [*argv, "--json", *words])


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (14, 21, 3), np.uint8)
    Image.fromarray(pixels).resize((42, 28), Image.Resampling.BICUBIC).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(
    ("words", "size"),
    [
        ((), (84, 56)),
        (("--scale", "3"), (126, 84)),
        (("--scale", "2.5"), (105, 70)),
        (("--scale", "1"), (42, 28)),
        (("--scale", "8"), (336, 224)),
        (("--size", "100x50"), (100, 50)),
        (("--size", "30X20"), (30, 20)),
        (("--size", "100x"), (100, 67)),
        (("--size", "x50"), (75, 50)),
    ],
)
def test_any_factor_and_size(
    models: dict[str, Path], photo: Path, name: str, words: tuple[str, ...], size: tuple[int, int]
) -> None:
    result = enlarge(photo, models[name], *words)
    assert result.exit_code == 0, result.stderr
    restored = read_picture(photo.with_name("out.png")).pixels
    assert restored.shape == (size[1], size[0], 3)
    record = json.loads(result.stdout)
    assert (record["width"], record["height"]) == (42, 28)
    assert (record["output_width"], record["output_height"]) == size
    assert "estimated" not in record
    speed = size[0] * size[1] / 1e6 / record["seconds"]
    assert record["megapixels_per_s"] == pytest.approx(speed, rel=0.01)
    plain = resize(read_picture(photo).pixels, size[1], size[0]).clip(0, 1)
    assert (
        np.abs(restored - plain).mean() < 0.03
    )  # by way of another scale bicubic is not quite the same


@pytest.mark.parametrize("name", ["any", "gray"])
def test_at_a_scale_that_is_known_nothing_is_resampled_twice(
    models: dict[str, Path], photo: Path, name: str
) -> None:
    assert enlarge(photo, models[name], "--tile", "16").exit_code == 0
    restored = read_picture(photo.with_name("out.png")).pixels
    plain = resize(read_picture(photo).pixels, 56, 84).clip(0, 1)
    np.testing.assert_allclose(restored, plain, atol=0.6 / 255)


def test_the_scale_is_told_to_the_network_and_what_it_cannot_is_said() -> None:
    photo = Picture(np.random.default_rng(0).random((10, 12, 3), np.float32))
    trained = Trained({"scale": Choice(("2", "3", "4"))}, Geometry(3, conditions=1))
    for scale, told, size in (
        (1.5, 0.5, 20),
        (2, 0.5, 20),
        (2.5, 0.75, 30),
        (4, 1, 40),
        (6, 1, 40),
    ):
        fed = Sr(scale=scale).prepare(photo, trained)
        assert (fed.conditions, fed.pixels.shape[0]) == ((told,), size)
        assert bool(fed.report.warnings) == (scale > 4)
    assert "upscales 4x; the remaining 1.5x is bicubic" in fed.report.warnings[0]
    fed = Sr(size=(60, 50)).prepare(photo, trained)
    assert fed.report.options == {"size": "60x50"}


def test_alpha_and_reference_go_with_it(models: dict[str, Path], photo: Path) -> None:
    clean = Image.open(photo)
    small = clean.resize((21, 14), Image.Resampling.BICUBIC)
    alpha = Image.fromarray((np.indices((14, 21))[1] * 12 + 5).astype(np.uint8))
    small.putalpha(alpha)
    small.save(photo.with_name("small.png"))
    page = photo.with_name("page.html")
    words = "--reference", str(photo), "--compare", str(page)
    result = enlarge(photo.with_name("small.png"), models["any"], *words)
    assert result.exit_code == 0, result.stderr
    record = json.loads(result.stdout)
    assert record["psnr"] == pytest.approx(record["input_psnr"], abs=0.1) and record["psnr"] > 20
    notes = re.findall(r'"note": "(.*?)"', page.read_text())
    assert re.fullmatch(
        rf"upscaled 2 times, {record['input_psnr']:.2f} dB, SSIM 0\.\d{{4}}", notes[0]
    )
    assert notes[1:] == [f"{record['psnr']:.2f} dB, SSIM {record['ssim']:.4f}", ""]
    out = read_picture(photo.with_name("out.png"))
    assert out.alpha is not None and out.alpha.shape == (28, 42)
    expected = np.asarray(alpha.resize((42, 28), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(out.alpha.astype(int) - expected).max() <= 2


def test_strength_and_mask_hold_at_the_new_size(models: dict[str, Path], photo: Path) -> None:
    model = checkpoint.load(models["any"])
    network = model.network
    assert isinstance(network, UNet)
    nn.init.normal_(network.tail.weight, std=0.1, generator=torch.Generator().manual_seed(0))
    checkpoint.save(network, models["any"], model.header)
    mask = photo.with_name("mask.png")
    Image.fromarray(np.where(np.arange(42) < 21, 0, 255).astype(np.uint8)[None].repeat(28, 0)).save(
        mask
    )

    def enlarged(*words: str) -> np.ndarray:
        assert enlarge(photo, models["any"], *words).exit_code == 0
        return read_picture(photo.with_name("out.png")).pixels

    plain, full, half, masked = (
        enlarged(*words)
        for words in (("--strength", "0"), (), ("--strength", "0.5"), ("--mask", str(mask)))
    )
    assert full.shape == (56, 84, 3) and np.abs(full - plain).mean() > 0.02
    np.testing.assert_allclose(half - plain, (full - plain) / 2, atol=1.01 / 255)
    np.testing.assert_array_equal(masked[:, :36], plain[:, :36])
    np.testing.assert_array_equal(masked[:, 48:], full[:, 48:])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scale", "9"), "expected a number from 1 to 8"),
        (("--scale", "big"), "'big'"),
        (("--size", "100"), "such as 1920x1080"),
        (("--size", "0x5"), "such as 1920x1080"),
        (("--size", "x"), "such as 1920x"),
        (("--size", "90x60", "--scale", "3"), "Choose one"),
    ],
)
def test_impossible_sizes_are_refused(
    models: dict[str, Path], photo: Path, words: tuple[str, ...], said: str
) -> None:
    result = enlarge(photo, models["any"], *words)
    assert result.exit_code == 2
    assert said in result.stderr and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--size", "84x57"), ""),
        (("--size", "85x"), ""),
        (("--size", "84x60"), "stretched"),
        (("--size", "30x20"), "downscaled"),
    ],
)
def test_a_size_that_is_no_plain_enlargement_is_warned_of(
    models: dict[str, Path], photo: Path, words: tuple[str, ...], said: str
) -> None:
    told = json.loads(enlarge(photo, models["any"], *words).stdout).get("warnings", [])
    warnings = [warning for warning in told if "--model photo" not in warning]  # the photo is noise
    assert said in " ".join(warnings) and bool(warnings) == bool(said)


@pytest.mark.parametrize(
    ("words", "said"), [(("--scale", "1"), "left unchanged"), (("--size", "30x20"), "only resized")]
)
def test_no_network_runs_if_nothing_becomes_larger(
    models: dict[str, Path], photo: Path, words: tuple[str, ...], said: str
) -> None:
    record = json.loads(enlarge(photo, models["any"], *words).stdout)
    assert "model" not in record
    same = photo.read_bytes() == photo.with_name("out.png").read_bytes()
    assert same == (said == "left unchanged")
    own = ["sr", str(photo), "--model", str(models["any"]), "-o", str(photo.with_name("2.png"))]
    assert said in CliRunner().invoke(app, [*own, *words]).stderr


def test_one_photo_too_small_for_a_size_does_not_stop_the_others(
    models: dict[str, Path], photo: Path
) -> None:
    photo.with_name("tiny.png").write_bytes(photo.read_bytes())
    Image.open(photo).resize((5, 4)).save(photo.with_name("tiny.png"))
    words = [
        "sr",
        str(photo.with_name("tiny.png")),
        str(photo),
        "--size",
        "60x40",
        "--model",
        models["any"],
    ]
    result = CliRunner().invoke(app, [*map(str, words), "-o", str(photo.with_name("out")) + "/"])
    assert result.exit_code == 1
    assert "tiny.png: Cannot upscale 12 times: the limit is 8 times" in result.stderr
    with pytest.raises(RestoreError, match="the limit is 8 times"):  # before it takes any memory
        Sr(size=(10**8, None)).unrestored(np.zeros((4, 5, 3), np.float32))
    assert [path.name for path in photo.with_name("out").iterdir()] == [
        f"{photo.stem}.enlarged.png"
    ]


def test_words_of_a_recipe_are_scales() -> None:
    levels = {"scale": ["2", "3"]}
    drawn = {Downscale.draw(levels, np.random.default_rng(seed)).scale for seed in range(9)}
    assert drawn == {2, 3}
    with pytest.raises(UsageError, match=r"2\.5 is not a valid scale"):
        Downscale(scale=2.5).apply(np.zeros((10, 10, 1), np.float32), np.random.default_rng(0))
    assert parse_size("1920X1080") == (1920, 1080)


def test_a_photo_with_noise_or_traces_of_jpeg_is_shown_the_model_for_it() -> None:
    clean = Picture(np.full((64, 64, 3), 0.5, np.float32))
    jpeg = replace(clean, jpeg_quality=80)
    reduced = {"scale": 2}
    assert Sr().advise(Finding(clean, reduced, 2.9)) is None
    assert "noise of level 8" in Sr().advise(Finding(clean, reduced, 8))
    assert "JPEG artifacts of quality 80" in Sr().advise(Finding(jpeg, reduced, 1))
    assert "--model photo" in Sr().advise(Finding(jpeg, reduced, 8))
    assert Sr().advise(Finding(jpeg, reduced | {"damage": "photo"}, 8)) is None
    assert Sr(size=(8, 0)).advise(Finding(jpeg, reduced, 8)) is None  # smaller than before
