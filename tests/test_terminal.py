"""What a terminal shows and a pipe does not, in a pseudoterminal."""

from __future__ import annotations

import os
import re
import select
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from restore_cli.cli import app
from restore_cli.cli.summary import Summary
from restore_cli.report.record import Record

pty = pytest.importorskip("pty")
ROOT = Path(__file__).parents[1]


def in_terminal(
    words: Sequence[object], cwd: Path, answers: Mapping[bytes, bytes] | None = None
) -> tuple[int, bytes]:
    """Run `restore` in a terminal that answers queries; returns the exit code and its output."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "restore_cli", *map(str, words)]
    env = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "COLUMNS": "100"}
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # make it controlling
    ) as process:
        os.close(theirs)
        shown, waiting = b"", dict(answers or {})
        while select.select([ours], [], [], 120)[0]:
            try:
                shown += os.read(ours, 2**16)
            except OSError:  # the end on Linux
                break
            for query in [query for query in waiting if query in shown]:
                os.write(ours, waiting.pop(query))
        os.close(ours)
    return process.returncode, shown.replace(b"\r\n", b"\n")


def photos(folder: Path, count: int) -> None:
    """Write photos with noise to in/ and without to clean/."""
    for name in ("in", "clean"):
        (folder / name).mkdir()
    for number in range(count):
        clean = np.full((32, 40, 3), 60 + 40 * number, np.uint8)
        noise = np.random.default_rng(number).normal(0, 12, clean.shape)
        Image.fromarray(clean).save(folder / f"clean/{number}.png")
        Image.fromarray((clean + noise).clip(0, 255).astype(np.uint8)).save(
            folder / f"in/{number}.png"
        )


def test_folders_end_with_a_table(checkpoints: dict[int, Path], tmp_path: Path) -> None:
    photos(tmp_path, 3)
    (tmp_path / "in/broken.png").touch()
    words = ["denoise", "in", "-o", "out/", "--reference", "clean", "--model", checkpoints[3]]
    code, shown = in_terminal(words, tmp_path)
    assert code == 1
    text = re.sub(r"\x1b\[[?\d;]*[A-Za-z]|\r", "\n", shown.decode())
    for line in (
        r"photos +3 done, 1 failed",
        r"time +\d+\.\d s, \S+ MP/s",
        r"noise +1\d\.\d -> 1\d\.\d, mean of 3 photos",
        r"PSNR in dB +26\.\d -> 26\.\d, mean of 3 photos",
        r"outputs +out",
    ):
        assert re.search(rf"^{line} *$", text, re.MULTILINE), text


@pytest.mark.parametrize(("more", "said"), [([], "2 done in "), (["--json"], "2 done in ")])
def test_pipes_keep_their_line(
    more: list[str],
    said: str,
    checkpoints: dict[int, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    photos(tmp_path, 2)
    words = ["denoise", "in", "-o", "out/", "--model", str(checkpoints[3]), *more]
    result = CliRunner().invoke(app, words)
    assert result.stderr.splitlines()[-1].startswith(said) and "outputs" not in result.stderr


def test_means_leave_out_what_is_unknown_or_infinite() -> None:
    summary = Summary()
    for input_psnr, psnr in (20.0, 30.0), (22.0, 33.0), (None, None), (25.0, float("inf")):
        summary.add(Record("a", "done", "x/a", input_psnr=input_psnr, psnr=psnr))
    for folder in "xyzuv":
        summary.add(Record("b", "done", f"{folder}/b"))
    summary.add(Record("c", "skipped", "other/c"))
    rows = dict(summary.rows(2.0, 5.0))
    assert rows == {
        "photos": "9 done, 1 skipped",
        "time": "2.0 s, 2.5 MP/s",
        "PSNR in dB": "21.0 -> 31.5, mean of 2 photos",
        "outputs": "x, y, z and 2 other folders",
    }
