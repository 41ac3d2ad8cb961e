"""A batch under faults: kills at any moment, full and read-only disks, two runs at once.

Whatever happens, an output is whole or not there, no input changes, a later run makes what is
missing, and nothing else is left. Closed streams and signals are in test_streams.py.

For more than the suite has time for, by kill -9 alone:

    RESTORE_PHOTOS=200 RESTORE_KILLS=200 python -m pytest -s tests/test_faults.py -k kills
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli.cli import app

ROOT = Path(__file__).parents[1]
PHOTOS = int(os.environ.get("RESTORE_PHOTOS", 20))
KILLS = int(os.environ.get("RESTORE_KILLS", 0))  # or as many as fit into
SECONDS = 20.0  # which are hundreds where nothing else runs
SIZE = (64, 96) if PHOTOS <= 20 else (16, 24)

# Starts runs as forks of a process that has made one, for what they import takes seconds: on each
# line the words of runs that start together; answers their process ids, and when all have ended
# their exit codes.
SERVER = """
import functools, json, os, signal, sys
import typer.main
from restore_cli.__main__ import main
from restore_cli.cli import app

typer.main.get_command = functools.cache(typer.main.get_command)
app([*json.loads(sys.argv.pop()), "--quiet"], standalone_mode=False)

def start(words):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # which what runs at a fork ignores
    pid = os.fork()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        if pid:
            return pid
        sys.argv = ["restore", *words]
        main()
    except KeyboardInterrupt:
        os._exit(130)
    except SystemExit as end:
        os._exit(end.code or 0)
    except BaseException:
        os._exit(99)

for line in sys.stdin:
    pids = [start(words) for words in json.loads(line)]
    print(*pids, flush=True)
    print(*(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids), flush=True)
"""


@dataclass(frozen=True)
class Batch:
    """Photos to restore, and what should come of them."""

    folder: Path
    words: tuple[str, ...]
    inputs: dict[str, bytes]
    expected: dict[str, bytes]

    def check(self, out: Path, *, killed: bool = False, complete: bool = False) -> None:
        """Outputs are whole, inputs as they were; a kill alone may leave its temporary file."""
        assert contents(self.folder) == self.inputs
        found = contents(out) if out.exists() else {}
        torn = {
            name
            for name, data in found.items()
            if name in self.expected and data != self.expected[name]
        }
        left = set(found) - set(self.expected)
        assert not torn
        assert len(left) <= killed and all(name.startswith(".restore-") for name in left)
        assert not complete or found == self.expected


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if not path.name.startswith(".restore-journal")
    }


def denoise(words: Sequence[str], *more: object) -> Result:
    return CliRunner().invoke(app, [*words, *map(str, more)])


@pytest.fixture(scope="module")
def batch(checkpoints: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> Batch:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    for index in range(PHOTOS):
        samples = rng.integers(0, 256, SIZE, np.uint8)
        Image.fromarray(samples).save(folder / f"{index:02}.png")
    words = (
        "denoise",
        str(folder),
        "--sigma",
        "5",
        "--format",
        "bmp",
        "--model",
        str(checkpoints[1]),
    )
    out = tmp_path_factory.mktemp("expected")
    result = denoise(words, "-o", out)
    assert result.exit_code == 0, result.output
    expected = contents(out)
    assert len(expected) == PHOTOS
    return Batch(folder, words, contents(folder), expected)


@pytest.fixture(scope="module")
def server(
    batch: Batch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[subprocess.Popen[str]]:
    said = tmp_path_factory.mktemp("said") / "stderr"
    words = json.dumps([*batch.words, "-o", str(tmp_path_factory.mktemp("first"))])
    with (
        said.open("w") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", SERVER, words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        yield process
        assert process.stdin
        process.stdin.close()
    assert "Traceback" not in said.read_text()


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream
    return stream


def run(
    server: subprocess.Popen[str],
    *runs: Sequence[object],
    wait: Callable[[], None] | None = None,
    number: int = signal.SIGKILL,
) -> list[int]:
    """Run them together; after a wait the first gets a signal. Returns exit codes, or -signal."""
    print(json.dumps([[*map(str, words)] for words in runs]), file=pipe(server.stdin), flush=True)
    first = int(pipe(server.stdout).readline().split()[0])
    if wait:
        wait()
        with suppress(ProcessLookupError):
            os.kill(first, number)
    return [int(code) for code in pipe(server.stdout).readline().split()]


@pytest.mark.parametrize("continuing", ["--skip-existing", "--resume"])
def test_kills_at_random_moments(
    batch: Batch, server: subprocess.Popen[str], tmp_path: Path, continuing: str
) -> None:
    rng = random.Random(13)
    started = time.monotonic()
    assert run(server, [*batch.words, "-o", tmp_path / "whole"]) == [0]
    length = time.monotonic() - started
    batch.check(tmp_path / "whole", complete=True)
    signals = [signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP]
    if KILLS:
        signals = [signal.SIGKILL]
    kills = rounds = 0
    while kills < KILLS if KILLS else not kills or time.monotonic() - started < SECONDS:
        out = tmp_path / f"out{rounds}"
        words = [*batch.words, "-o", f"{out}/", continuing]
        done, killed = 0, False  # what a kill leaves stays until a later run has got to removing it
        while done < PHOTOS - 1:
            done = rng.randint(done, min(done + max(4, PHOTOS // 10), PHOTOS - 1))

            def wait(done: int = done, out: Path = out) -> None:
                """Until there are so many outputs, and then for as long as a photo takes, or
                less.
                """
                end = time.monotonic() + 2 * length
                while time.monotonic() < end and len(list(out.glob("*.bmp"))) < done:
                    time.sleep(0.001)
                time.sleep(rng.uniform(0, length / PHOTOS))

            number = rng.choice(signals)
            (code,) = run(server, words, wait=wait, number=number)
            assert code in (0, 130, -number, 99)  # 99 and -TERM: before `main` has begun
            killed = killed or code == -signal.SIGKILL
            batch.check(out, killed=killed)
            kills += code != 0
        assert run(server, words) == [0]
        batch.check(out, complete=True)
        rounds += 1
        print(f"{kills} kills in {rounds} rounds", flush=True)


@pytest.mark.parametrize("existing", ["--overwrite", "--skip-existing"])
def test_two_runs_into_one_folder(
    batch: Batch, server: subprocess.Popen[str], tmp_path: Path, existing: str
) -> None:
    words = [*batch.words, "-o", tmp_path / "out", existing]
    assert run(server, words, words) == [0, 0]
    batch.check(tmp_path / "out", complete=True)


def test_a_run_is_not_disturbed_by_one_that_is_killed(
    batch: Batch, server: subprocess.Popen[str], tmp_path: Path
) -> None:
    words = [*batch.words, "-o", tmp_path / "out", "--overwrite"]
    for seconds in 0.05, 0.2:
        assert run(server, words, words, wait=lambda seconds=seconds: time.sleep(seconds))[1] == 0
        batch.check(tmp_path / "out", killed=True)
        assert set(contents(tmp_path / "out")) >= set(batch.expected)


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    """A file system in memory; the test is skipped where it cannot be mounted."""
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "restore-test", folder],
        capture_output=True,
        check=False,
    )
    if mount.returncode:
        pytest.skip("mounting needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def check_failures(result: Result, batch: Batch, out: Path, reason: str) -> None:
    """Every photo that was not written is named with the reason; the others are whole."""
    failed = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.exit_code == 1 and failed
    assert all(reason in line and str(out) in line for line in failed), result.stderr
    batch.check(out)
    assert len(contents(out)) == PHOTOS - len(failed)


def test_a_full_disk(batch: Batch, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        check_failures(
            denoise(batch.words, "-o", disk / "out"), batch, disk / "out", "No space left on device"
        )
        assert contents(disk / "out")
        again = denoise(batch.words, "-o", disk / "out", "--skip-existing")
        check_failures(again, batch, disk / "out", "No space left on device")


def test_a_limit_of_size(batch: Batch, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        result = denoise(batch.words, "-o", tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check_failures(result, batch, tmp_path / "out", "File too large")


def check_refusal(result: Result, folder: Path, reason: str) -> None:
    """Nothing was restored, for a reason that is stated once."""
    assert result.exit_code == 2 and not result.stdout
    assert result.stderr == f"error: Cannot write into {folder}: {reason}\n"


@pytest.mark.parametrize("inner", ["", "new/"])
def test_a_read_only_disk(batch: Batch, tmp_path: Path, inner: str) -> None:
    with mounted(tmp_path / "disk", "ro,size=64k") as disk:
        result = denoise(batch.words, "-o", f"{disk}/{inner}")
        check_refusal(result, disk / inner, "Read-only file system. Choose another one with -o.")
        assert not any(disk.iterdir())


def test_a_folder_that_cannot_be_written(batch: Batch, tmp_path: Path) -> None:
    if not os.geteuid():
        pytest.skip("root may write everywhere")
    (tmp_path / "out").mkdir(mode=0o500)
    result = denoise(batch.words, "-o", tmp_path / "out")
    check_refusal(result, tmp_path / "out", "Permission denied. Choose another one with -o.")


def test_a_file_instead_of_a_folder(batch: Batch, tmp_path: Path) -> None:
    file = tmp_path / "out.png"
    file.write_bytes(b"mine")
    result = denoise(batch.words, "-o", f"{file}/")
    check_refusal(result, file, f"{file} is a file. Choose another one with -o.")
    assert file.read_bytes() == b"mine"
