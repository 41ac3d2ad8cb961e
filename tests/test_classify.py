"""benchmarks/classify.py: quantizers compared on folders of classes, beside the figures of their
paper.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "benchmarks" / "classify.py"
SHORT = ["--steps", "2", "--batch", "4", "--width", "16", "--side", "8", "--quantizer", "none,bt"]


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Make dark and light images for training and testing."""
    for part in ("train", "test"):
        for name, level in (("dark", 60), ("light", 200)):
            (tmp_path / part / name).mkdir(parents=True)
            for number in range(4):
                pixels = np.random.default_rng(number).integers(
                    level - 40, level + 40, (8, 8, 3), np.uint8
                )
                Image.fromarray(pixels).save(tmp_path / part / name / f"{number}.png")
    return tmp_path


def classify(*words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, str(SCRIPT), *words], env=env, capture_output=True, text=True, check=False
    )


def test_quantizers_are_compared_on_a_folder_of_classes(classes: Path) -> None:
    answer = classify(str(classes), *SHORT, "--published", "cifar10")
    assert answer.returncode == 0, answer.stderr
    head, _, none, bt = answer.stdout.splitlines()
    assert head == "VGG-6(16), 8 training images; accuracy in % on 8 test images"
    assert none.split()[0] == "none" and none.endswith("(87.62)")
    assert bt.split()[0] == "bt" and "(84.61)" in bt and bt.endswith("(85.03)")


def test_other_folders_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for folder in (tmp_path, tmp_path / "none"):
        answer = classify(str(folder), *SHORT)
        assert answer.returncode == 2 and "Traceback" not in answer.stderr
        assert f"Cannot read {folder} as a folder of classes" in answer.stderr


def test_the_papers_figures() -> None:
    published = runpy.run_path(str(SCRIPT))["published"]
    assert published("svhn", 16)["bwn", 0.0] == 93.15
    assert published("imagenet64", 128)["bt", 0.1] == 43.22
    assert published("cifar10", 64)["none", 0.0] == 92.89 and ("ttq", 0.1) not in published(
        "cifar10", 64
    )
    assert published("cifar10", 20) == published("digits", 16) == {}
