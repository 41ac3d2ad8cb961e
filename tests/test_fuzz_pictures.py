"""Three hundred damaged and hostile photos; scripts/fuzz.py runs any number."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import fuzz_pictures
import numpy as np
import pytest

from restore_cli.errors import PictureError
from restore_cli.image import read_picture

ROOT = Path(__file__).parents[1]
REFUSED = {"tiff-float.tif", "tiff-double.tif", "tiff-signed.tif", "tiff-32.tif"}


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> fuzz_pictures.Seeds:
    return fuzz_pictures.plant(tmp_path_factory.mktemp("seeds"))


def test_seeds_have_the_pixels_of_another_reader(seeds: fuzz_pictures.Seeds) -> None:
    compared = 0
    for name, data in seeds.pictures.items():
        if name in REFUSED:
            with pytest.raises(PictureError, match="Save it with 8 or 16 unsigned bits"):
                read_picture(data)
            continue
        asked, faults = fuzz_pictures.compare(data, read_picture(data))
        assert not faults, name
        compared += asked == "compared"
    alone = [name for name in seeds.pictures if name.startswith(("heif", "jxl", "dng"))]
    assert compared > 0.8 * (len(seeds.pictures) - len(alone))  # which no other reader here reads


def test_hostile_photos(tmp_path: Path) -> None:
    words = ["--what", "pictures", "--cases", "300", "--seed", "13"]
    command = [sys.executable, str(ROOT / "scripts" / "fuzz.py"), *words]
    answer = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_command_gives_the_results_of_the_function(
    seeds: fuzz_pictures.Seeds, tmp_path: Path
) -> None:
    hostile, expected = tmp_path / "hostile", {}
    hostile.mkdir()
    for seed in range(40):
        case = fuzz_pictures.make(seeds, seed)
        file = hostile / f"{seed}{case.file.suffix}"
        shutil.copy(case.file, file)
        try:
            expected[str(seed)] = read_picture(file)
        except PictureError as error:
            expected[str(seed)] = str(error)
    words = [
        "denoise",
        str(hostile),
        "-o",
        str(tmp_path / "out"),
        "--format",
        "tif",
        "--suffix",
        "",
        "--strength",
        "0",
    ]
    command = [sys.executable, "-m", "restore_cli", *words, "--model", str(seeds.model)]
    answer = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    refused = {name: fault for name, fault in expected.items() if isinstance(fault, str)}
    assert answer.returncode == 1 and 10 < len(refused) < 39
    errors = [
        line.removeprefix("error: ")
        for line in answer.stderr.splitlines()
        if line.startswith("error: ")
    ]
    assert sorted(errors) == sorted(refused.values())
    assert not re.search(r"Traceback|unexpected [A-Z]", answer.stderr)
    assert {path.stem for path in (tmp_path / "out").iterdir()} == expected.keys() - refused.keys()
    for path in (tmp_path / "out").iterdir():
        picture = expected[path.stem]
        assert not isinstance(picture, str)
        np.testing.assert_array_equal(read_picture(path).pixels, picture.pixels)
