"""The bundled checkpoints themselves: what they do to a damaged photo, exactly tiled, in either
precision.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from restore_cli.degradations import find_degradation
from restore_cli.device import computes_bf16
from restore_cli.engine import Settings, run
from restore_cli.image import Picture, read_picture, to_gray, to_pillow
from restore_cli.levels import Choice, Range
from restore_cli.metrics import psnr
from restore_cli.models.catalog import Bundled, Entry, entries
from restore_cli.models.checkpoint import load
from restore_cli.pipeline import apply, batch
from restore_cli.pipeline.files import FileJob
from restore_cli.pipeline.plan import Step
from restore_cli.pipeline.request import Request
from restore_cli.tasks import TASKS, Task, find_task
from restore_cli.tasks.restoration import NetworkInput, Observed, Trained

pytestmark = pytest.mark.weights
BUNDLED = {
    entry.name: entry
    for entry in entries().values()
    if isinstance(entry.source, Bundled) and entry.task in TASKS
}
EACH = pytest.mark.parametrize("entry", BUNDLED.values(), ids=BUNDLED)
CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels

# Of each task: damage and the gain in dB that its defaults must bring, other models half of it;
# damage in all precisions; the least that must be done to an undamaged photo, and how much it may
# lose.
GAIN: dict[str, tuple[dict[str, Any], float]] = {
    "denoise": ({"sigma": 25}, 8),
    "deblock": ({"quality": 10}, 1),
    "derain": ({"rain": "streaks", "heaviness": 0.5}, 9),
    "dehaze": ({"beta": 1.2}, 8),
    "deblur": ({"kernel": "disk", "size": 7}, 4),
    "sr": ({}, 0.7),  # fur, from a JPEG: bicubic leaves little to gain
    "inpaint": ({"damage": "text", "size": 12, "share": 0.06}, 1),
}
PRECISE: dict[str, list[dict[str, Any]]] = {"denoise": [{"sigma": 5}, {"sigma": 15}, {"sigma": 50}]}
HARMLESS: dict[str, tuple[list[dict[str, Any]], float]] = {
    "denoise": ([{"sigma": 0}, {"sigma": 1}], 52),
    "derain": ([{"rain": "none"}], 45),
    "dehaze": ([{"style": "none"}], 35),
    "deblur": ([{"kernel": "none"}], 46),
}
NEVER_WORSE = [90, 95, 98, 100]  # JPEG qualities at which deblocking must not harm


def clean(entry: Entry) -> np.ndarray:
    image = CAT[:300, :444]  # whole when divided by 2, 3 and 4
    return to_gray(image) if entry.channels == 1 else image


def restore(entry: Entry, task: Task, image: np.ndarray, settings: Settings) -> np.ndarray:
    loaded = load(entry)
    trained = Trained(loaded.conditions, loaded.network.geometry)
    fed = task.prepare(Picture(image), trained) or NetworkInput(image)
    return task.finish(
        run(loaded.network, fed.pixels, fed.conditions, settings).pixels, Observed.of(image)
    )


def damage(entry: Entry, levels: dict[str, Any]) -> tuple[Task, np.ndarray]:
    """The task for a photo that is damaged by what the model was trained for where that is one
    level, and the photo.
    """
    fixed = {
        key: value
        for key, value in entry.conditions.items()
        if not isinstance(value, (Range, Choice))
    }
    degradation = find_degradation(entry.task)(**(levels | fixed))
    return degradation.task(), degradation.apply(clean(entry), np.random.RandomState(0))


@EACH
def test_the_damage_goes_and_the_photo_stays(entry: Entry) -> None:
    levels, gain = GAIN[entry.task]
    gain = gain if entry.default else gain / 2
    task, damaged = damage(entry, levels)
    restored = restore(entry, task, damaged, Settings("cpu"))
    assert psnr(restored, clean(entry)) > psnr(task.unrestored(damaged), clean(entry)) + gain
    if task.preserves_mean:
        shift = (restored - task.unrestored(damaged)).mean(axis=(0, 1)) * 255
        assert np.abs(shift).max() <= 0.2  # mean color, in levels


@EACH
def test_tiles_are_exact_with_the_real_weights(entry: Entry) -> None:
    task, damaged = damage(entry, GAIN[entry.task][0])
    width = 3 * load(entry).network.geometry.halo + 300  # the middle tiles see neither end
    middle = damaged[len(damaged) // 2 :][:48]
    image = np.tile(middle, (1, 1 + width // damaged.shape[1], 1))[:, :width]
    whole, tiled = (
        restore(entry, task, image, Settings("cpu", "fp32", tile=tile)) for tile in (0, 128)
    )
    assert np.abs(whole - tiled).max() <= 1e-5


@pytest.mark.skipif(
    not computes_bf16(torch.device("cpu")), reason="bf16 is not used here, and emulated slowly"
)
@pytest.mark.parametrize(
    "entry",
    [pytest.param(entry, id=name) for name, entry in BUNDLED.items() if "bf16" in entry.precisions],
)
def test_the_listed_precision_costs_little(entry: Entry) -> None:
    told = any(isinstance(level, (Range, Choice)) for level in entry.conditions.values())
    for levels in (
        PRECISE.get(entry.task, [GAIN[entry.task][0]]) if told else [dict(entry.conditions)]
    ):
        task, damaged = damage(entry, levels)
        exact, fast = (
            psnr(restore(entry, task, damaged, Settings("cpu", kind)), clean(entry))
            for kind in ("fp32", "bf16")
        )
        assert abs(exact - fast) <= 0.02


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(entry, id=name)
        for name, entry in BUNDLED.items()
        if entry.default and entry.task in HARMLESS
    ],
)
def test_an_undamaged_photo_is_not_harmed(entry: Entry) -> None:
    cases, least = HARMLESS[entry.task]
    for levels in cases:
        task = find_degradation(entry.task)(**levels).task()
        restored = restore(entry, task, clean(entry), Settings("cpu"))
        assert psnr(restored, clean(entry)) > least


@pytest.mark.parametrize("name", ["denoise", "deblock"])
def test_a_gray_photo_goes_through_the_one_model(name: str) -> None:
    levels, gain = GAIN[name]
    degradation, image = find_degradation(name)(**levels), to_gray(CAT[:300, :444])
    observed = degradation.apply(image, np.random.RandomState(0))
    restored = apply.restore(Picture(observed), degradation.task()).pixels
    assert restored.shape == image.shape and psnr(restored, image) > psnr(observed, image) + gain


@pytest.mark.parametrize("quality", NEVER_WORSE)
@pytest.mark.parametrize("name", ["color", "gray"])
def test_light_compression_is_never_made_worse(name: str, quality: int, tmp_path: Path) -> None:
    """Neither in memory nor, with what compressing anew costs, as the JPEG that is written."""
    image = CAT[:300, :444] if name == "color" else to_gray(CAT[:300, :444])
    degradation = find_degradation("deblock")(quality=quality)
    compressed = degradation.apply(image, np.random.RandomState(0))
    before = psnr(compressed, image)
    restored = apply.restore(Picture(compressed), degradation.task())
    assert psnr(restored.pixels, image) >= before
    source, target = tmp_path / "a.jpg", tmp_path / "b.jpg"
    to_pillow(image).save(source, quality=quality, subsampling="4:2:0")
    request = Request(Step(find_task("deblock")()), [FileJob(str(source), str(target), "a.jpg")])
    assert [record.status for record in batch.restore_files(request)] == ["done"]
    assert psnr(read_picture(target).pixels, image) >= psnr(read_picture(source).pixels, image)


@pytest.mark.parametrize("damage", ["text", "scratches"])
def test_painted_damage_is_found_and_mended(damage: str) -> None:
    painter = find_degradation("inpaint")(damage=damage, size=16, share=0.05, blind=True)
    photo = CAT[:300, :444]
    painted = painter.apply(photo, np.random.RandomState(0))
    mended = apply.restore(Picture(painted), find_task("inpaint")(detect=damage)).pixels
    assert psnr(mended, photo) > psnr(painted, photo) + 8
    strong = np.abs(painted - photo).max(axis=2) > 0.3
    changed = (mended != painted).any(axis=2)
    assert changed[strong].mean() > 0.98 and changed[painted[..., 0] == photo[..., 0]].mean() < 0.15
