"""Pipes, closed streams and signals, as the processes of a shell meet them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli.atomic import write_whole
from restore_cli.cli import app
from restore_cli.jobs.files import Naming, plan

ROOT = Path(__file__).parents[1]
MODULE = [sys.executable, "-m", "restore_cli"]
Feed = Callable[[Path], Path]


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    """Make a named pipe that gives a file's bytes once, as `<(cat FILE)` does."""

    def feed(source: Path) -> Path:
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        threading.Thread(target=lambda: pipe.write_bytes(source.read_bytes()), daemon=True).start()
        return pipe

    return feed


def denoise(model: Path, *words: object) -> Result:
    return CliRunner().invoke(app, ["denoise", *map(str, words), "--model", str(model)])


@pytest.mark.parametrize("strength", [0, 1])
def test_a_pipe_is_read_once(checkpoints: dict[int, Path], tmp_path: Path, feed: Feed, strength: int) -> None:
    source = tmp_path / "a.png"
    Image.linear_gradient("L").save(source)
    output = tmp_path / "b.png"
    result = denoise(checkpoints[1], feed(source), "-o", output, "--strength", strength, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["width"] == 256
    with Image.open(source) as before, Image.open(output) as after:
        assert before.tobytes() == after.tobytes()
    assert strength or output.read_bytes() == source.read_bytes()


def test_what_is_copied_is_what_was_read(
    checkpoints: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.png"
    Image.linear_gradient("L").save(source)
    before = source.read_bytes()

    def cut_short(*words: object) -> float:  # by another program
        source.write_bytes(b"")
        return 0.0

    monkeypatch.setattr("restore_cli.jobs.restore.estimate_noise", cut_short)
    result = denoise(checkpoints[1], source, "--strength", 0)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.denoised.png").read_bytes() == before


def test_pipes_in_a_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("nowhere")  # named as missing, later
    for word in (str(tmp_path), str(tmp_path / "*.png")):
        found = [Path(item.input).name for item in plan([word], Naming(suffix=".denoised"))]
        assert found == (["a.png", "c.png"] if word == str(tmp_path) else ["a.png"])
    assert [item.input for item in plan([str(tmp_path / "b.png")], Naming(suffix=".denoised"))]


def test_photos_of_other_formats_are_counted(
    checkpoints: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.HEIC", "in/b.heic", "in/deep/c.CR2", "in/.d.heic", "in/e.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    refused = denoise(checkpoints[1], "in", "-r")
    assert refused.exit_code == 2
    assert refused.stderr == "error: No image in in can be read (2 .heic, 1 .cr2); convert them first.\n"
    Image.linear_gradient("L").save("in/f.png")
    result = denoise(checkpoints[1], "in", "-r", "--json")
    assert result.exit_code == 0, result.output
    assert "skipped 3 files that cannot be read: 2 .heic, 1 .cr2; convert them first" in result.stderr
    assert denoise(checkpoints[1], "in", "--overwrite", "-q").stderr == ""


WRITE = """
import os, signal, sys
from pathlib import Path
from restore_cli import atomic
replace = Path.replace
def wait(self, target):
    print(self.name, flush=True)
    sys.stdin.readline()
    return replace(self, target)
Path.replace = wait
atomic.write_whole(Path(sys.argv[1]), b"whole")
"""


def test_leftovers_of_killed_runs_are_removed(tmp_path: Path) -> None:
    """And never what a run that is still alive, or another program, has there."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "cwd": ROOT, "text": True}
    command = [sys.executable, "-c", WRITE]
    with (
        subprocess.Popen([*command, tmp_path / "a"], **pipes) as alive,  # type: ignore[call-overload]
        subprocess.Popen([*command, tmp_path / "b"], **pipes) as killed,  # type: ignore[call-overload]
    ):
        kept, left = (process.stdout.readline().strip() for process in (alive, killed))
        killed.kill()
        killed.wait()
        (tmp_path / ".restore-notes.part").touch()
        assert {kept, left} <= set(os.listdir(tmp_path))
        write_whole(tmp_path / "c", b"new")
        assert set(os.listdir(tmp_path)) == {kept, ".restore-notes.part", "c"}
        alive.communicate("\n")
    assert alive.returncode == 0
    assert set(os.listdir(tmp_path)) == {"a", ".restore-notes.part", "c"}
    assert (tmp_path / "a").read_text() == "whole"
