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
from restore_cli.noise import Noise
from restore_cli.pipeline.files import OutputNaming, plan

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
def test_a_pipe_is_read_once(
    checkpoints: dict[int, Path], tmp_path: Path, feed: Feed, strength: int
) -> None:
    source = tmp_path / "a.png"
    Image.linear_gradient("L").save(source)
    output = tmp_path / "b.png"
    result = denoise(checkpoints[1], feed(source), "-o", output, "--strength", strength, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["width"] == 256
    with Image.open(source) as before, Image.open(output) as after:
        assert before.tobytes() == after.tobytes()
    assert strength or output.read_bytes() == source.read_bytes()


def test_a_file_on_standard_input_is_not_replaced(
    checkpoints: dict[int, Path], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    Image.linear_gradient("L").resize((24, 20)).save(path)
    before = path.read_bytes()
    words = ["denoise", "-", "-o", path, "--overwrite", "--model", checkpoints[1]]
    with path.open("rb") as file:
        refused = subprocess.run(
            [sys.executable, "-m", "restore_cli", *map(str, words)],
            stdin=file,
            capture_output=True,
            text=True,
        )
    assert refused.returncode == 2 and "it is an input" in refused.stderr
    assert path.read_bytes() == before


def test_what_is_copied_is_what_was_read(
    checkpoints: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "a.png"
    Image.linear_gradient("L").save(source)
    before = source.read_bytes()

    def cut_short(*words: object) -> Noise:  # by another program
        source.write_bytes(b"")
        return Noise(0, white=True)

    monkeypatch.setattr("restore_cli.tasks.denoise.measure_noise", cut_short)
    result = denoise(checkpoints[1], source, "--strength", 0)
    assert result.exit_code == 0, result.output
    assert (tmp_path / "a.denoised.png").read_bytes() == before


def test_pipes_in_a_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("nowhere")  # named as missing, later
    for word in (str(tmp_path), str(tmp_path / "*.png")):
        found = [Path(item.input).name for item in plan([word], OutputNaming(suffix=".denoised"))]
        assert found == (["a.png", "c.png"] if word == str(tmp_path) else ["a.png"])
    assert [
        item.input for item in plan([str(tmp_path / "b.png")], OutputNaming(suffix=".denoised"))
    ]


def test_photos_of_other_formats_are_counted(
    checkpoints: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("in/a.PSD", "in/b.psd", "in/deep/c.insv", "in/.d.psd", "in/e.txt"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()
    refused = denoise(checkpoints[1], "in", "-r")
    assert refused.exit_code == 2
    assert (
        refused.stderr == "error: Cannot find photos in in: 2 .psd, 1 .insv. Convert them first.\n"
    )
    Image.linear_gradient("L").save("in/f.png")
    result = denoise(checkpoints[1], "in", "-r", "--json")
    assert result.exit_code == 0, result.output
    assert (
        "Skipped 3 files in unsupported formats: 2 .psd, 1 .insv. Convert them first."
        in result.stderr
    )
    assert denoise(checkpoints[1], "in", "--overwrite", "-q").stderr == ""


def test_leftovers_are_removed_where_all_is_skipped(
    checkpoints: dict[int, Path], tmp_path: Path
) -> None:
    for name in ("a.png", "a.denoised.png"):
        Image.linear_gradient("L").save(tmp_path / name)
    (tmp_path / ".restore-0123456789abcdef.part").touch()
    assert denoise(checkpoints[1], tmp_path / "a.png", "--skip-existing").exit_code == 0
    assert sorted(os.listdir(tmp_path)) == ["a.denoised.png", "a.png"]


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


def test_a_file_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []

    def sync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        assert not (tmp_path / "a").exists()

    monkeypatch.setattr(os, "fsync", sync)
    write_whole(tmp_path / "a", b"whole")
    assert synced == [5]


# Closed, full and broken streams


def shell(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of bash in a folder, where `restore` is this package."""
    python = f"restore() {{ '{sys.executable}' -m restore_cli \"$@\"; }}; "
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["bash", "-c", python + command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_on_a_console_of_unknown_width(tmp_path: Path) -> None:
    assert "Remove noise from photos." in shell("COLUMNS=0 restore denoise -h", tmp_path).stdout


@pytest.mark.parametrize("closed", ["<&- >&-", "<&- >&- 2>&-"])
def test_closed_streams_that_are_not_needed(
    checkpoints: dict[int, Path], tmp_path: Path, closed: str
) -> None:
    Image.linear_gradient("L").save(tmp_path / "a.png")
    result = shell(
        f"restore denoise a.png -o b.png --sigma 5 --model {checkpoints[1]} {closed}", tmp_path
    )
    assert (result.returncode, result.stdout) == (0, "")
    assert result.stderr.startswith("a.png -> b.png") or "2>&-" in closed
    with Image.open(tmp_path / "b.png") as image:  # and nothing else got its way into the file
        image.load()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("denoise a.png -o - >&-", "Cannot write to standard output: Bad file descriptor"),
        (
            "denoise a.png -o b.png --json >/dev/full",
            "Cannot write to standard output: No space left on device",
        ),
        ("denoise - -o b.png <&-", "Cannot read standard input: Bad file descriptor"),
        ("--help >/dev/full", "Cannot write to standard output: No space left on device"),
        ("denoise --help >&-", "Cannot write to standard output: Bad file descriptor"),
    ],
)
def test_results_that_cannot_be_printed_are_an_error(
    checkpoints: dict[int, Path], tmp_path: Path, words: str, said: str
) -> None:
    Image.linear_gradient("L").save(tmp_path / "a.png")
    model = f"--model {checkpoints[1]}" if " a.png" in words else ""
    result = shell(f"restore {words.replace(' -o', f' {model} -o')}", tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {said}") and result.stderr.count("\n") == 1


def test_notes_that_cannot_be_printed_stop_nothing(
    checkpoints: dict[int, Path], tmp_path: Path
) -> None:
    for name in "abc":
        Image.linear_gradient("L").save(tmp_path / f"{name}.png")
    (tmp_path / "d.png").touch()
    result = shell(f"restore denoise ?.png -o out/ --model {checkpoints[1]} 2> >(true)", tmp_path)
    assert result.returncode == 1  # for d
    assert sorted(os.listdir(tmp_path / "out")) == [f"{name}.denoised.png" for name in "abc"]
    for stderr in "2>/dev/full", "2>&-", "2> >(true)":
        assert shell(f"restore denoise --nonsense {stderr}", tmp_path).returncode == 2


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    result = shell("cd gone; rmdir ../gone; restore denoise a.png --dry-run", tmp_path)
    assert result.returncode == 1
    assert result.stderr == "error: The current folder no longer exists. Change to another one.\n"


NOISY = """
import os, sys, warnings
from restore_cli import engine
run = engine.run
def noisy(*words):
    import logging
    logging.getLogger("tifffile").error("corrupted tag list")
    warnings.warn("RuntimeWarning: overflow")
    os.write(2, b"TIFFReadDirectory: Warning, unknown field")
    return run(*words)
engine.run = noisy
from restore_cli.__main__ import main
main()
"""


def test_what_libraries_log_is_not_heard(checkpoints: dict[int, Path], tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "a.png")
    words = ["denoise", tmp_path / "a.png", "--sigma", "5", "--model", checkpoints[1]]
    result = subprocess.run(
        [sys.executable, "-c", NOISY, *words], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert result.stderr.startswith(f"{tmp_path}/a.png -> ") and result.stderr.count("\n") == 1


# Signals

BUSY = """
import hashlib, sys
from restore_cli import engine
run, photos = engine.run, []
def busy(*words):
    photos.extend([1] * (len(words) > 4))  # what measures noise does not say how far it is
    if len(photos) == 2 and len(words) > 4:
        print("busy", flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 3 * 10**7)  # many seconds, deaf to signals
    return run(*words)
engine.run = busy
from restore_cli.__main__ import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_signals_are_answered_at_once(
    checkpoints: dict[int, Path], tmp_path: Path, number: signal.Signals
) -> None:
    for name in "abc":
        Image.linear_gradient("L").save(tmp_path / f"{name}.png")
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("the signal is ignored here, as under nohup")
    words = [
        "denoise",
        tmp_path,
        "-o",
        tmp_path / "out",
        "--report",
        tmp_path / "r.jsonl",
        "--sigma",
        "5",
    ]
    with subprocess.Popen(
        [sys.executable, "-c", BUSY, *words, "--model", checkpoints[1]],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        process.stdout.readline()
        assert process.stderr
        assert "a.png -> " in process.stderr.readline()
        started = time.monotonic()
        process.send_signal(number)
        process.send_signal(signal.SIGTERM)  # as a terminal that closes and a supervisor may
        said = next(line for line in process.stderr if line.startswith("error: "))
        seconds = time.monotonic() - started
    assert process.returncode == 130
    assert said.rstrip() == (
        "error: Interrupted. 1 of 3 photos are done. Run the command again with --skip-existing"
        f" and another name for {tmp_path / 'r.jsonl'} for the rest."
    )
    assert seconds < 3  # about 0.1, but machines are busy
    assert os.listdir(tmp_path / "out") == ["a.denoised.png"]
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 1


def test_a_reader_that_stands_still_holds_up_no_signal(
    checkpoints: dict[int, Path], tmp_path: Path
) -> None:
    Image.effect_noise((700, 500), 80).save(tmp_path / "a.png")  # more than a pipe holds
    argv = [
        *MODULE,
        "denoise",
        tmp_path / "a.png",
        "-o",
        "-",
        "--sigma",
        "5",
        "--model",
        checkpoints[1],
    ]
    with subprocess.Popen(
        argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.read(1)
        process.terminate()
        assert process.stderr.read() == b"error: Interrupted. Finished outputs were kept.\n"
    assert process.returncode == 130


def test_nohup_is_obeyed(checkpoints: dict[int, Path], tmp_path: Path) -> None:
    Image.linear_gradient("L").save(tmp_path / "a.png")
    command = f"restore denoise a.png --model {checkpoints[1]} & sleep 0.5; kill -HUP $!; wait $!"
    assert shell(f"trap '' HUP; {command}", tmp_path).returncode == 0
    assert (tmp_path / "a.denoised.png").exists()


EARLY = """
import os, signal, sys, threading
from restore_cli.__main__ import main
stop = threading.Timer(float(sys.argv.pop(1)), os.kill, (os.getpid(), signal.SIGINT))
stop.daemon = True
stop.start()
main()
"""


@pytest.mark.parametrize("seconds", [0.01, 0.1, 0.3])
def test_an_early_interrupt_is_one_sentence(
    checkpoints: dict[int, Path], tmp_path: Path, seconds: float
) -> None:
    pipe = tmp_path / "never.png"
    os.mkfifo(pipe)
    words = [str(seconds), "denoise", pipe, "--model", checkpoints[1]]
    result = subprocess.run(
        [sys.executable, "-c", EARLY, *words], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 130
    assert result.stderr.startswith("error: Interrupted.") and result.stderr.count("\n") == 1


STUCK = """
import hashlib, importlib, sys
module, name = sys.argv.pop(1).rsplit(".", 1)
module = importlib.import_module(module)
done = getattr(module, name)
def stuck(*words, **others):
    print("busy", flush=True)
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**7)  # many seconds, deaf to signals
    return done(*words, **others)
setattr(module, name, stuck)
from restore_cli.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("place", "words", "said"),
    [
        (
            "restore_cli.pipeline.compare.read_picture",
            "compare a.png a.png -o page.html",
            "Finished outputs",
        ),
        ("restore_cli.models.checkpoint.load", "models show MODEL", "Finished outputs"),
        ("restore_cli.models.checkpoint.load", "models verify denoise-color", "Finished outputs"),
        ("restore_cli.models.export._samples", "models export MODEL a.onnx", "Finished outputs"),
        (
            "restore_cli.bench.run.restore_example",
            "bench denoise --data . --model MODEL",
            "Measurements are kept",
        ),
    ],
)
def test_every_command_answers_a_signal_at_once(
    checkpoints: dict[int, Path], tmp_path: Path, place: str, words: str, said: str
) -> None:
    if "export" in words:
        pytest.importorskip("onnxscript")
    for name in "ab":
        Image.linear_gradient("L").save(tmp_path / f"{name}.png")
    argv = words.replace("MODEL", str(checkpoints[1])).split()
    with subprocess.Popen(
        [sys.executable, "-c", STUCK, place, *argv],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "RESTORE_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "busy\n"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        answer = process.stderr.readline()
        seconds = time.monotonic() - started
    assert process.returncode == 130
    assert answer.startswith(f"error: Interrupted. {said}") and seconds < 3
    assert {path.name for path in tmp_path.iterdir()} <= {"a.png", "b.png", "cache"}
