"""Inpainting: what is missing, how it is filled before a network sees it, and that all else
stays.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from typer.testing import CliRunner, Result

from restore_cli import engine
from restore_cli.archs.baselines import ConvChain
from restore_cli.archs.unet import UNet
from restore_cli.cli import app
from restore_cli.degradations.missing import Missing
from restore_cli.engine import Settings
from restore_cli.errors import UsageError
from restore_cli.image import Picture, read_picture
from restore_cli.metrics import psnr
from restore_cli.models import catalog, checkpoint
from restore_cli.models.header import Header
from restore_cli.network import Geometry
from restore_cli.noise import Noise
from restore_cli.pipeline.apply import apply, restore
from restore_cli.pipeline.networks import Models, load
from restore_cli.tasks import detection
from restore_cli.tasks.inpaint import Inpaint
from restore_cli.tasks.missing import coarsen, fill, refine
from restore_cli.tasks.restoration import Restoration, Trained


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network that makes everything brighter by a tenth."""
    params = {"channels": 3, "widths": [8, 8], "conditions": 1}
    network = UNet(**params)  # type: ignore[arg-type]
    network.init_weights()
    nn.init.constant_(network.tail.bias, 0.1)
    header = Header(task="inpaint", arch="unet:UNet", params=params, channels=3)
    checkpoint.save(network, tmp_path / "model.safetensors", header)
    return tmp_path / "model.safetensors"


@pytest.fixture
def photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    across, down = np.meshgrid(np.arange(60), np.arange(40))
    pixels = np.stack([across * 3, down * 4, across + down], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save("photo.png")
    return Path("photo.png")


def inpaint(model: Path, *words: str) -> Result:
    return CliRunner().invoke(
        app, ["inpaint", "photo.png", "--model", str(model), "--overwrite", *words]
    )


def runs(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The networks that are run from here on, but for the one that measures noise."""
    ran: list[object] = []
    run = engine.run
    monkeypatch.setattr(engine, "run", lambda *words: (ran.append(words[0]), run(*words))[1])
    monkeypatch.setattr("restore_cli.pipeline.photo.measure_noise", lambda *_: Noise(0, white=True))
    return ran


def changed(photo: Path) -> np.ndarray:
    after = read_picture(Path("photo.inpainted.png")).pixels
    return (after != read_picture(photo).pixels).any(axis=2)


def test_only_what_is_missing_changes(model: Path, photo: Path) -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:14, 20:30] = 255
    mask[9, 20:30] = 6  # a soft edge
    mask[30:, :5] = 4  # nearly black
    Image.fromarray(mask).save("mask.png")
    expected = mask >= 6
    result = inpaint(model, "--mask", "mask.png", "--save-mask", "used.png")
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(changed(photo), expected)
    np.testing.assert_array_equal(read_picture(Path("used.png")).pixels[..., 0] == 1, expected)

    expected[0:3, 50:60] = expected[38:40, 0:2] = True
    boxes = ["--box", "50,0,20,3", "--box", "0,38,2,9"]
    assert inpaint(model, "--mask", "mask.png", *boxes).exit_code == 0
    np.testing.assert_array_equal(changed(photo), expected)

    assert inpaint(model, "--box", "20,10,10,4", "--grow", "2").exit_code == 0
    grown = np.zeros_like(expected)
    grown[8:16, 18:32] = True
    np.testing.assert_array_equal(changed(photo), grown)


def save_finder(path: Path, threshold: float) -> None:
    """A network that darkens what is brighter, by five times the difference."""
    params = {"channels": 3, "widths": [3], "kernels": [1, 1], "residual": True}
    network = ConvChain(**params)  # type: ignore[arg-type]
    for name, parameter in network.named_parameters():
        factor = {"model.1": (1, -threshold), "model.4": (-5, 0)}[name.rpartition(".")[0]]
        weight = torch.eye(3)[:, :, None, None] * factor[0]
        parameter.data = weight if name.endswith("weight") else torch.full((3,), float(factor[1]))
    header = Header(task="inpaint", arch="baselines:ConvChain", params=params, channels=3)
    checkpoint.save(network, path, header)


@pytest.fixture
def finder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of models that find damage one that takes brightness above 0.9 for it; another sees
    none.
    """
    save_finder(tmp_path / "finder", 0.9)
    save_finder(tmp_path / "blind", 2)
    monkeypatch.setattr(catalog, "entries", dict)
    monkeypatch.setattr("restore_cli.pipeline.photo.measure_noise", lambda *_: Noise(0, white=True))


def paint(photo: Path, *places: tuple[slice, slice], value: float = 1) -> np.ndarray:
    """Paint over the photo, with a soft edge of 3 pixels around white, and give what it is then."""
    pixels = read_picture(photo).pixels.copy()
    for rows, columns in places:
        if value == 1:
            edge = pixels[
                max(0, rows.start - 3) : rows.stop + 3, max(0, columns.start - 3) : columns.stop + 3
            ]
            np.maximum(edge, 0.91, out=edge)
        pixels[rows, columns] = value
    Image.fromarray((pixels * 255).round().astype(np.uint8)).save(photo)
    return pixels


def grown(*places: tuple[slice, slice]) -> np.ndarray:
    """Where these are in the photo, and two pixels around."""
    expected = np.zeros((40, 60), bool)
    for rows, columns in places:
        expected[rows.start - 2 : rows.stop + 2, columns.start - 2 : columns.stop + 2] = True
    return expected


LINE = (slice(10, 16), slice(20, 46))


@pytest.mark.parametrize("words", [(), ("--box", "50,0,5,3")])
def test_what_is_painted_is_found_and_filled(
    finder: None, model: Path, photo: Path, words: tuple[str, ...]
) -> None:
    faint = (slice(16, 17), slice(20, 21))
    paint(photo, LINE)
    paint(photo, faint, value=0.93)  # a faint edge goes with what it touches
    paint(photo, (slice(30, 33), slice(40, 43)), value=0.93)  # by itself it is no damage
    paint(photo, (slice(20, 22), slice(5, 7)))  # a speck is none
    paint(photo, (slice(36, 40), slice(2, 9)))  # too little for text, and far from it
    expected = grown(LINE, faint)
    if words:
        expected[:3, 50:55] = True
    result = inpaint(model, "--detect", "text", "--save-mask", "found.png", *words)
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(read_picture(Path("found.png")).pixels[..., 0] == 1, expected)
    np.testing.assert_array_equal(changed(photo), expected)
    by_detect = Path("photo.inpainted.png").read_bytes()
    assert inpaint(model, "--mask", "found.png").exit_code == 0
    assert Path("photo.inpainted.png").read_bytes() == by_detect  # filled as any other gap


def test_outlines_are_filled_but_for_scratches(finder: None, model: Path, photo: Path) -> None:
    outside, inside = (slice(8, 20), slice(10, 22)), (slice(10, 18), slice(12, 20))
    paint(photo, outside)
    paint(photo, inside, value=0.4)
    frame = (
        (slice(27, 28), slice(30, 55)),
        (slice(38, 39), slice(30, 55)),
        (slice(27, 39), slice(30, 31)),
    )
    frame = (*frame, (slice(27, 39), slice(54, 55)))  # far from full
    paint(photo, *frame)
    for kind, hole in (("text", 0), ("scratches", 64)):
        assert inpaint(model, "--detect", kind, "--save-mask", "found.png").exit_code == 0
        found = read_picture(Path("found.png")).pixels[..., 0] == 1
        assert (~found[outside]).sum() == hole
        assert (~found[27:39, 30:55]).any()


def test_hard_paint_is_filled_and_its_edge_restored(
    finder: None, model: Path, photo: Path, tmp_path: Path
) -> None:
    paint(photo, LINE)
    before, inside = read_picture(photo).pixels, np.zeros((40, 60), bool)
    inside[LINE] = True
    edge = grown(LINE) & ~inside
    for threshold in (0.9, 2):  # what the model for it alone finds counts, too
        save_finder(tmp_path / "blind", 0.9)
        save_finder(tmp_path / "finder", threshold)
        assert inpaint(model, "--detect", "text", "--save-mask", "found.png").exit_code == 0
        after = read_picture(Path("photo.inpainted.png")).pixels
        np.testing.assert_array_equal(
            read_picture(Path("found.png")).pixels[..., 0] == 1, grown(LINE)
        )
        np.testing.assert_array_equal(changed(photo), grown(LINE))
        own = before[edge] - 5 * (before[edge] - 0.9)  # of the network that sees hard paint
        np.testing.assert_allclose(after[edge], own + 0.1, atol=1 / 255)  # by the model that fills
        assert after[inside].min() > 0.7  # from around, for its own are 0.5
    assert inpaint(model, "--detect", "text", "--grow", "1").exit_code == 0
    assert (read_picture(Path("photo.inpainted.png")).pixels[edge] != after[edge]).all()

    save_finder(tmp_path / "blind", 0.945)
    save_finder(tmp_path / "finder", 0.9)
    far, near = (slice(30, 40), slice(20, 40)), (slice(19, 29), slice(20, 40))
    paint(
        photo, far, value=0.97
    )  # for that model too soft: what is elsewhere is taken for a mistake,
    assert inpaint(model, "--detect", "text").exit_code == 0
    assert not changed(photo)[far].any()
    paint(photo, near, value=0.97)  # but here that model misses something
    assert inpaint(model, "--detect", "text").exit_code == 0
    assert changed(photo)[near].all() and changed(photo)[far].all()


def test_finds_that_are_little_are_doubtful(
    finder: None, model: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paint(photo, LINE)
    monkeypatch.setitem(detection.LITTLE, "text", 0.2)
    result = inpaint(model, "--detect", "text")
    assert "Detection of text is uncertain: 300 pixels were found (12.50%)." in result.stderr


def test_doubt_is_said(finder: None, model: Path, photo: Path) -> None:
    faint = (slice(25, 30), slice(30, 50))
    paint(photo, LINE)
    assert "uncertain" not in inpaint(model, "--detect", "text").stderr
    paint(photo, faint, value=0.93)
    for kind in ("text", "scratches"):
        result = inpaint(model, "--detect", kind)
        assert result.exit_code == 0
        assert f"Detection of {kind} is uncertain" in result.stderr
        assert "--save-mask" in result.stderr and "--mask" in result.stderr
    np.testing.assert_array_equal(changed(photo), grown(LINE))
    paint(photo, (slice(4, 36), slice(4, 56)))  # most of it
    assert "Detection of text is uncertain" in inpaint(model, "--detect", "text").stderr


def test_python_finds_it_too(finder: None, model: Path, photo: Path) -> None:
    pixels = np.full((20, 20, 3), 0.5, np.float32)
    pixels[3:16, 3:16] = 1
    found = restore(Picture(pixels), Inpaint(detect="text"), load(str(model), "inpaint")).pixels
    np.testing.assert_array_equal(
        (found != pixels).any(axis=2), pixels[..., 0] == 1
    )  # it has no soft edge


def test_where_nothing_is_found_nothing_changes(
    finder: None, model: Path, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = runs(monkeypatch)
    result = inpaint(model, "--detect", "scratches", "--json")
    assert (
        result.exit_code == 0
        and "No scratches detected; the photo was not changed." in result.stderr
    )
    assert Path("photo.inpainted.png").read_bytes() == photo.read_bytes()
    assert len(ran) == 2 and json.loads(result.stdout)["model"] == "finder + blind"


def test_a_page_shows_what_is_missing_as_black(model: Path, photo: Path) -> None:
    words = ["--box", "20,10,10,4", "--compare", "page.html", "--reference", str(photo)]
    assert inpaint(model, *words).exit_code == 0
    page = Path("page.html").read_text()
    (note, before), *_ = re.findall(
        r'"note": "(.*?)", "source": "data:image/png;base64,(.*?)"', page
    )
    expected = np.array(Image.open(photo))
    expected[10:14, 20:30] = 0
    with Image.open(io.BytesIO(base64.b64decode(before))) as shown:
        assert np.array_equal(np.asarray(shown), expected)
    assert "nan" not in note


def test_half_the_strength_is_half_of_the_way_from_the_photo(model: Path, photo: Path) -> None:
    pixels = np.array(Image.open(photo))
    clean = Image.fromarray(pixels)
    clean.save("clean.png")
    pixels[10:14, 20:24] = 250
    Image.fromarray(pixels).save(photo)
    results = []
    for strength in ("0", "0.5", "1"):
        words = ["--box", "20,10,4,4", "--strength", strength, "--reference", "clean.png", "--json"]
        result = inpaint(model, *words)
        results.append(read_picture(Path("photo.inpainted.png")).pixels)
        painted, whole = read_picture(photo).pixels, read_picture(Path("clean.png")).pixels
        assert json.loads(result.stdout)["input_psnr"] == pytest.approx(
            psnr(painted, whole), abs=1e-4
        )
    np.testing.assert_array_equal(results[0], painted)
    np.testing.assert_allclose(results[1], (results[0] + results[2]) / 2, atol=1 / 255)
    assert np.abs(results[2] - painted)[10:14, 20:24].min() > 0.3


def test_where_a_mask_is_transparent_nothing_is_missing(model: Path, photo: Path) -> None:
    drawn = np.full((40, 60, 4), 255, np.uint8)
    drawn[..., 3] = 0
    drawn[5:9, 5:9, 3] = 255
    Image.fromarray(drawn).save("drawn.png")
    assert inpaint(model, "--mask", "drawn.png").exit_code == 0
    expected = np.zeros((40, 60), bool)
    expected[5:9, 5:9] = True
    np.testing.assert_array_equal(changed(photo), expected)


def test_what_is_left_out_of_a_mask_is_reported(model: Path, photo: Path) -> None:
    mask = Image.new("L", (60, 40))
    mask.paste(255, (5, 5, 9, 9))
    mask.save("mask.tif", save_all=True, append_images=[mask])
    result = inpaint(model, "--mask", "mask.tif", "--json")
    warnings = json.loads(result.stdout)["warnings"]
    assert warnings == ["mask: Only the first of 2 frames was read."]


def test_only_transparent_pixels_cannot_be_filled(model: Path, photo: Path) -> None:
    picture = Image.open(photo).convert("RGBA")
    picture.paste((0, 0, 0, 0), (0, 0, 20, 20))
    picture.save(photo)
    result = inpaint(model, "--box", "5,5,4,4")
    assert result.exit_code == 1
    assert "only transparent pixels are marked, and these stay transparent." in result.stderr
    assert inpaint(model, "--box", "5,5,16,4").exit_code == 0


def test_a_mask_of_most_of_the_photo_may_be_inverted(model: Path, photo: Path) -> None:
    mask = Image.new("L", (60, 40))
    mask.paste(255, (0, 0, 60, 35))
    mask.save("mask.png")
    for area, warned in (("--mask", "mask.png"), True), (("--box", "0,0,60,35"), False):
        result = inpaint(model, *area, "--overwrite")
        assert result.exit_code == 0
        assert ("invert the mask if that is wrong" in result.stderr) == warned


def test_an_object_at_a_transparent_edge_leaves_no_color(model: Path) -> None:
    pixels, mask = np.full((40, 60, 3), 0.4, np.float32), np.zeros((40, 60), np.float32)
    mask[12:20, 22:30] = 1
    pixels[mask > 0] = 1, 0, 0
    alpha = np.full((40, 60), 255, np.uint8)
    alpha[:, 30:] = 0
    filled = restore(Picture(pixels, alpha), Inpaint(), str(model), mask=mask).pixels
    colors = filled[mask > 0]
    np.testing.assert_allclose(colors, np.broadcast_to(colors.mean(), colors.shape), atol=0.05)


def test_a_mask_through_a_pipe(model: Path, photo: Path) -> None:
    mask = Image.new("L", (60, 40))
    mask.paste(255, (5, 5, 9, 9))
    data = io.BytesIO()
    mask.save(data, "PNG")
    os.mkfifo("pipe")
    writer = threading.Thread(target=Path("pipe").write_bytes, args=(data.getvalue(),))
    writer.start()
    assert inpaint(model, "--mask", "pipe").exit_code == 0
    writer.join()
    assert changed(photo).sum() == 16


def test_a_jpeg_keeps_what_is_not_missing_as_png(model: Path, photo: Path) -> None:
    Image.open(photo).save("photo.jpg", quality=80)
    words = ["inpaint", "photo.jpg", "--model", str(model), "--box", "20,10,4,4"]
    assert CliRunner().invoke(app, words).exit_code == 0
    before, after = (
        read_picture(Path(name)).pixels for name in ("photo.jpg", "photo.inpainted.png")
    )
    expected = np.zeros((40, 60), bool)
    expected[10:14, 20:24] = True
    np.testing.assert_array_equal((before != after).any(axis=2), expected)
    result = CliRunner().invoke(app, [*words, "-o", "out.jpg"])
    assert (
        result.exit_code == 0 and "JPEG is lossy: pixels outside the mask change" in result.stderr
    )
    assert CliRunner().invoke(app, [*words, "--format", "webp"]).exit_code == 0
    assert Path("photo.inpainted.webp").exists()
    named = Path("photo.inpainted.png").read_bytes()
    for name, more in ("-", []), ("photo.jpg", ["-o", "-"]), ("-", ["--format", "jpg"]):
        piped = CliRunner().invoke(
            app, [words[0], name, *words[2:], *more], input=Path("photo.jpg").read_bytes()
        )
        assert piped.exit_code == 0
        assert piped.stdout_bytes == (Path("out.jpg").read_bytes() if "jpg" in more else named)


def test_masks_are_kept_and_nothing_is_lost_by_it(model: Path, photo: Path) -> None:
    before = photo.read_bytes()
    Image.new("L", (60, 40), 255).crop((0, 0, 60, 40)).save("used.png")

    def run(*words: str) -> Result:
        return CliRunner().invoke(
            app, ["inpaint", "--model", str(model), "--box", "1,1,4,4", *words]
        )

    for words, said in (
        (["photo.png", "--save-mask", "photo.png"], "photo.png: it is an input"),
        (["photo.png", "--save-mask", "photo.png", "--overwrite"], "photo.png: it is an input"),
        (["photo.png", "--save-mask", "."], "photo.png: it is an input"),
        (["photo.png", "--save-mask", "used.png"], "used.png: it already exists"),
        (
            ["photo.png", "--mask", "used.png", "--save-mask", "used.png", "--overwrite"],
            "used.png: it is an input",
        ),
        (["photo.png", "-o", "a.png", "--save-mask", "a.png"], "Cannot write a.png"),
        (["photo.png", "used.png", "--save-mask", "m.png"], "several masks"),
        (["photo.png", "--save-mask", "mask"], "no image extension"),
    ):
        result = run(*words)
        assert result.exit_code == 2 and said in result.stderr, (words, result.stderr)
    assert photo.read_bytes() == before
    assert {path.name for path in Path().iterdir()} == {
        "photo.png",
        "used.png",
        "model.safetensors",
    }

    for name in ("tree/x/a.png", "tree/y/a.png"):
        Path(name).parent.mkdir(parents=True)
        photo.rename(name) if name[5] == "y" else Path(name).write_bytes(before)
    result = run("tree", "-r", "-o", "out/", "--save-mask", "masks/")
    assert result.exit_code == 0, result.stderr
    assert {str(path) for path in Path("masks").rglob("*.png")} == {
        "masks/x/a.png",
        "masks/y/a.png",
    }
    assert read_picture(Path("masks/x/a.png")).pixels.sum() == 16
    Path("tree/x/a.png").write_bytes(b"junk")
    assert run("tree/x/a.png", "-o", "b.png", "--save-mask", "c.png").exit_code == 1
    assert not Path("c.png").exists()


def test_a_mask_that_cannot_be_kept_stops_its_photo(model: Path, photo: Path) -> None:
    Path("file").touch()
    Path("folder/photo.png").mkdir(parents=True)
    for place, code, said in ("file/used.png", 2, "--save-mask"), ("folder/", 1, "it is a folder"):
        result = inpaint(model, "--box", "1,1,4,4", "--save-mask", place)
        assert result.exit_code == code and result.stderr.count("\n") == 1
        assert Path(place).parts[0] in result.stderr and said in result.stderr
        assert not Path("photo.inpainted.png").exists()


def test_what_a_model_finds_the_default_fills(
    finder: None, model: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = checkpoint.load(tmp_path / "finder")
    blind = tmp_path / "finds.safetensors"
    checkpoint.save(loaded.network, blind, replace(loaded.header, conditions={"blind": True}))
    result = inpaint(blind, "--box", "1,1,4,4")
    assert result.exit_code == 2 and "without --detect" in result.stderr
    monkeypatch.setattr(catalog, "choose", lambda name, *about: Path(name or model))
    ran = runs(monkeypatch)
    assert inpaint(blind, "--detect", "text").exit_code == 0
    assert len(ran) == 1  # nothing is found, so there is nothing to fill
    paint(photo, LINE)
    result = inpaint(blind, "--detect", "text", "--save-mask", "found.png", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["model"] == f"{blind} + {model}" and len(ran) == 3
    found = Path("photo.inpainted.png").read_bytes()
    np.testing.assert_array_equal(changed(photo), grown(LINE))
    assert inpaint(model, "--mask", "found.png").exit_code == 0
    assert Path("photo.inpainted.png").read_bytes() == found


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "Use --mask, --box or --detect"),
        (["--box", "1,2,3"], 2, "x,y,width,height"),
        (["--detect", "rain"], 2, "expected text or scratches"),
        (["--box", "0,0,9,9", "--grow", "-1"], 2, "-1 is not valid for --grow"),
        (["--mask", "black.png"], 1, "photo.png: Cannot inpaint: the mask has no white pixels"),
        (
            ["--mask", "white.png"],
            1,
            "photo.png: Cannot inpaint: nothing of the photo would be kept",
        ),
        (
            ["--box", "0,0,5,5", "--grow", "100000"],
            1,
            "photo.png: Cannot inpaint: nothing of the photo would be kept",
        ),
        (
            ["--box", "0,0,5,5", "--box", "90,9,5,5"],
            1,
            "photo.png: Cannot fill the box 90,9,5,5: it lies outside the photo (60 x 40 pixels)",
        ),
        (
            ["--mask", "small.png"],
            1,
            "the mask small.png: it has 6 x 4 pixels, but the photo has 60 x 40. Resize",
        ),
        (
            ["--mask", "turned.png"],
            1,
            "it has 40 x 60 pixels, but the photo has 60 x 40. Rotate the mask; the photo is",
        ),
        (["--mask", "none.png"], 2, "Cannot read the mask none.png: it does not exist"),
    ],
)
def test_a_mask_that_does_not_do_is_refused(
    model: Path, photo: Path, words: list[str], code: int, said: str
) -> None:
    Image.new("L", (60, 40)).save("black.png")
    Image.new("L", (60, 40), 255).save("white.png")
    Image.new("L", (6, 4), 255).save("small.png")
    Image.new("L", (40, 60), 255).save("turned.png")
    result = inpaint(model, *words)
    assert result.exit_code == code
    assert said in result.stderr and result.stderr.count("\n") == 1
    assert not Path("photo.inpainted.png").exists()


def test_other_commands_have_no_mask_of_their_own(photo: Path) -> None:
    result = CliRunner().invoke(
        app, ["denoise", "photo.png", "--sigma", "5", "--save-mask", "used.png"]
    )
    assert result.exit_code == 2 and "Cannot save a mask" in result.stderr


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(1, 9), (33, 47), (64, 64)])
def test_a_hole_is_filled_smoothly_however_large(channels: int, size: tuple[int, int]) -> None:
    height, width = size
    ramp = np.linspace(0.2, 0.8, width, dtype=np.float32)
    image = np.broadcast_to(ramp[None, :, None], (height, width, channels)).copy()
    missing = np.zeros(size, bool)
    missing[:, width // 5 : -(width // 5) or None] = True
    if height > 9:
        missing[:3] = False
    holed = np.where(missing[..., None], np.float32(np.nan), image)
    filled = fill(holed, missing)
    assert filled.dtype == np.float32
    np.testing.assert_array_equal(filled[~missing], image[~missing])
    assert np.abs(filled - image).max() < 0.35
    assert np.abs(np.diff(filled, axis=1)).max() < 0.3


def test_a_wide_gap_is_restored_at_half_the_size_first() -> None:
    image = np.random.default_rng(0).random((41, 60, 3), np.float32)
    missing = np.zeros((41, 60), bool)
    missing[10:27, 10:50] = True  # 17 rows: 8 and a middle
    observed = np.where(missing[..., None], np.float32(np.nan), image)
    smaller = coarsen(observed)
    assert smaller is not None and smaller.shape == (21, 30, 3)
    assert (
        np.isnan(smaller).any(axis=2).sum() == 8 * 20
    )  # of 17 rows 8 pairs are missing as a whole
    restored = np.full_like(smaller, 0.7)
    refined = refine(Inpaint().unrestored(observed), observed, restored)
    np.testing.assert_array_equal(refined[~missing], image[~missing])
    np.testing.assert_allclose(refined[missing], 0.7, atol=1e-6)
    missing[26] = False
    observed = np.where(missing[..., None], np.float32(np.nan), image)
    assert coarsen(observed) is None


def test_what_is_missing_everywhere_is_gray() -> None:
    assert (fill(np.full((4, 5, 1), np.nan, np.float32), np.ones((4, 5), bool)) == 0.5).all()


def make(observed: np.ndarray, task: Inpaint, model: Path) -> Restoration:
    loaded = load(str(model), "inpaint")
    return apply(Picture(observed), task, loaded, Models(), Settings("cpu"))


def test_the_network_is_told_where(model: Path) -> None:
    observed = Missing(damage="hole", share=0.25).apply(
        np.full((16, 16, 3), 0.3, np.float32), np.random.default_rng(0)
    )
    fed = Inpaint().prepare(Picture(observed), Trained({}, Geometry(3, conditions=1)))
    np.testing.assert_allclose(fed.pixels, 0.3, atol=1e-6)
    (plane,) = fed.conditions
    np.testing.assert_array_equal(np.asarray(plane) == 1, np.isnan(observed[..., 0]))
    with pytest.raises(UsageError, match="Use --mask, --box or --detect"):
        make(fed.pixels, Inpaint(), model)
    made = make(observed, Inpaint(), model)  # what is lost already needs no other mask
    np.testing.assert_array_equal(made.observed, observed)
    assert made.mask is not None
    np.testing.assert_array_equal(made.mask == 1, np.isnan(observed[..., 0]))


@pytest.mark.parametrize(("damage", "told"), [("text", 0.0), ("scratches", 1.0)])
def test_a_network_that_finds_damage_is_told_which(damage: str, told: float, model: Path) -> None:
    painter = Missing(damage=damage, blind=True, share=0.1)
    observed = painter.apply(np.full((40, 40, 3), 0.3, np.float32), np.random.default_rng(0))
    assert np.isfinite(observed).all()
    made = make(observed, painter.task(), model)
    assert made.mask is None
    [run] = made.runs
    assert run.input.pixels is observed and run.input.conditions == (told,)
