"""Peers: each improves on what it is given, and none is asked to guess what the task does not know."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restore_cli.errors import UsageError
from restore_cli.image import read_picture, to_gray
from restore_cli.metrics import psnr
from restore_cli.peers import peers
from restore_cli.tasks import TASKS, find_task

CAT = read_picture(Path(__file__).parents[1] / "examples" / "cat.png").pixels[60:204, 150:294]
LEVELS: dict[str, list[dict[str, Any]]] = {
    "denoise": [{"sigma": 15}, {"sigma": 50}],
    "deblock": [{"quality": 10}, {"quality": 40}],
    "sr": [{"scale": 2}, {"scale": 3}],
    "inpaint": [{"damage": "text", "size": 10}, {"damage": "hole", "share": 0.02}],
    "deblur": [{"kernel": "disk"}, {"kernel": "motion", "size": 11, "angle": 45, "noise": 2}],
}
CASES = [(task, level, name) for task, levels in LEVELS.items() for level in levels for name in peers(task)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("task", "level", "name"), CASES)
def test_a_peer_improves_on_its_input(task: str, level: dict[str, Any], name: str, channels: int) -> None:
    photo = CAT
    if name == "bm3d":
        pytest.importorskip("bm3d")
        photo = CAT[40:104, 40:104]  # a busy processor takes its time
    damage = find_task(task)(**level)
    clean = damage.fit(photo if channels == 3 else to_gray(photo))
    observed = damage.degrade(clean, np.random.RandomState(0))
    given = observed.copy()
    restored = peers(task)[name].restore(observed, damage)
    np.testing.assert_array_equal(observed, given)
    assert (restored.shape, restored.dtype) == (clean.shape, np.float32)
    assert restored.min() >= 0
    assert restored.max() <= 1
    rough = np.nan_to_num(observed, nan=0.5)
    if task == "sr":
        rough = rough.repeat(damage.scale, axis=0).repeat(damage.scale, axis=1)
    assert psnr(restored, clean) > psnr(rough.clip(0, 1), clean) + 0.2


@pytest.mark.parametrize("task", TASKS)
def test_peers_say_what_they_are(task: str) -> None:
    for name, peer in peers(task).items():
        assert peer.name == name
        assert all(part in peer.about for part in (" ", ";"))
    assert (task in ("derain", "dehaze")) == (not peers(task))


def test_a_level_that_is_not_told_is_estimated() -> None:
    task = find_task("denoise")
    observed = task(sigma=25).degrade(CAT, np.random.RandomState(0))
    told, found = (peers("denoise")["tv"].restore(observed, task(sigma=sigma)) for sigma in (25, None))
    assert psnr(found, told) > 45
    jpeg = find_task("deblock")
    observed = jpeg(quality=20).degrade(CAT, np.random.RandomState(0))
    told, found = (peers("deblock")["tv"].restore(observed, jpeg(quality=q)) for q in (20, None))
    assert psnr(found, told) > 45


def test_known_pixels_stay_when_others_are_filled() -> None:
    task = find_task("inpaint")(damage="text", size=10)
    observed = task.degrade(CAT, np.random.RandomState(0))
    known = ~np.isnan(observed)
    for peer in peers("inpaint").values():
        np.testing.assert_array_equal(peer.restore(observed, task)[known], observed[known])


def test_an_unknown_motion_cannot_be_undone() -> None:
    with pytest.raises(UsageError, match="angle"):
        peers("deblur")["wiener"].restore(CAT, find_task("deblur")(kernel="motion"))


def test_a_missing_library_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bm3d", None)
    with pytest.raises(UsageError, match=r"restore-cli\[peers\].*non-commercial"):
        peers("denoise")["bm3d"].restore(CAT, find_task("denoise")(sigma=25))


def test_an_unknown_task() -> None:
    with pytest.raises(UsageError, match="no task 'sharpen'"):
        peers("sharpen")
