"""Large batches: the journal, photos that arrive, several processes, and parts of a batch."""

from __future__ import annotations

import codecs
import itertools
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
from batches import contents, photo, process, wait_for
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli import storage
from restore_cli.cli import app
from restore_cli.errors import WeightsError
from restore_cli.pipeline import batch
from restore_cli.pipeline import workers as pools
from restore_cli.pipeline.batch import restore_files
from restore_cli.pipeline.files import FileJob, OutputNaming, plan
from restore_cli.pipeline.journal import Journal
from restore_cli.pipeline.plan import Step
from restore_cli.pipeline.request import Request
from restore_cli.pipeline.watch import watch
from restore_cli.report.record import Record
from restore_cli.storage import StorageError
from restore_cli.tasks.denoise import Denoise

NAMES = [f"{number}.png" for number in range(6)]
Run = Callable[..., Result]


@pytest.fixture
def words(checkpoints: dict[int, Path], tmp_path: Path) -> list[str]:
    """The command for six photos, whose outputs go to "out"."""
    for seed, name in enumerate(NAMES):
        photo(tmp_path / "in" / name, seed)
    model = str(checkpoints[3])
    return ["denoise", "in", "-o", "out/", "--suffix", "", "--sigma", "9", "--model", model]


@pytest.fixture
def run(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command with further options."""
    monkeypatch.chdir(tmp_path)

    def run(*more: object, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(app, [*words, *map(str, more)], input=stdin)

    return run


def statuses(result: Result) -> dict[str, str]:
    """The status of each photo, of a result with --json."""
    records = [json.loads(line) for line in result.stdout.splitlines()]
    found = {os.path.basename(record["input"]): record["status"] for record in records}
    assert len(found) == len(records)
    return found


# The journal


def test_a_second_run_does_exactly_the_rest(run: Run, tmp_path: Path) -> None:
    first = run("--json", "--resume")
    assert set(statuses(first).values()) == {"done"}
    made = contents(tmp_path / "out")
    times = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in NAMES}

    photo(tmp_path / "in/1.png", 100)  # changed
    (tmp_path / "out/2.png").write_bytes(made["2.png"][:-20])  # damaged
    (tmp_path / "out/3.png").unlink()
    photo(tmp_path / "in/6.png", 101)
    os.utime(tmp_path / "in/4.png")  # touched, but equal
    os.utime(tmp_path / "out/4.png", (0, 0))
    assert {
        name
        for name, status in statuses(run("--json", "--resume", "--dry-run")).items()
        if status == "planned"
    } == {"1.png", "2.png", "3.png", "6.png"}
    found = statuses(run("--json", "--resume"))
    assert {name for name, status in found.items() if status == "done"} == {
        "1.png",
        "2.png",
        "3.png",
        "6.png",
    }
    assert {name for name, status in found.items() if status == "skipped"} == {
        "0.png",
        "4.png",
        "5.png",
    }
    again = contents(tmp_path / "out")
    assert again["2.png"] == made["2.png"] and again["3.png"] == made["3.png"]
    assert again["1.png"] != made["1.png"]
    assert (tmp_path / "out/0.png").stat().st_mtime_ns == times["0.png"]
    assert set(statuses(run("--json", "--resume")).values()) == {"skipped"}


def test_damage_with_the_old_time_is_found(run: Run, tmp_path: Path) -> None:
    assert run("--resume").exit_code == 0
    path = tmp_path / "out/2.png"
    before, data = path.stat(), bytearray(path.read_bytes())
    data[-30] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = statuses(run("--json", "--resume"))
    assert [name for name, status in found.items() if status == "done"] == ["2.png"]


def test_other_settings_restore_all_again(run: Run, checkpoints: dict[int, Path]) -> None:
    assert set(statuses(run("--json", "--resume")).values()) == {"done"}
    other = run("--json", "--resume", "--strength", "0.5")
    assert set(statuses(other).values()) == {"done"}
    same = run("--json", "--resume", "--strength", "50%", "--tile", "64", "--device", "cpu")
    assert set(statuses(same).values()) == {"skipped"}


def test_results_of_another_command_are_photos(run: Run, words: list[str], tmp_path: Path) -> None:
    assert run("--resume").exit_code == 0
    more = ["denoise", "out", "--sigma", "9", "--resume", *words[-2:]]
    assert CliRunner().invoke(app, more).exit_code == 0
    assert len(contents(tmp_path / "out")) == 2 * len(NAMES)
    for name in NAMES:
        (tmp_path / "out" / name).unlink()
    result = CliRunner().invoke(app, more)
    assert result.exit_code == 2 and "results of earlier runs" in result.stderr


def test_a_glob_of_a_shell_can_be_resumed(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path / "in")
    for _ in range(2):
        found = sorted(path.name for path in Path().glob("*.png"))
        result = CliRunner().invoke(
            app, ["denoise", *found, "-o", ".", *words[6:], "--resume", "--json"]
        )
        assert result.exit_code == 0, result.stderr
        assert len(statuses(result)) == len(NAMES)


@pytest.mark.parametrize("pattern", ["**/*.png", "*/*.png"])
def test_a_glob_leaves_the_output_folder_out(run: Run, words: list[str], pattern: str) -> None:
    words[1] = pattern
    for _ in range(2):
        assert len(statuses(run("--json", "--overwrite"))) == len(NAMES)


def test_a_mask_from_a_pipe_is_for_one_photo(run: Run) -> None:
    os.mkfifo("mask")
    result = run("--mask", "mask")
    assert result.exit_code == 2 and "Cannot read the mask mask for several" in result.stderr


@pytest.mark.parametrize("more", [[], ["--skip-existing"], ["--resume"]])
def test_a_folder_that_cannot_be_written_is_named_first(run: Run, more: list[str]) -> None:
    result = run("-o", "/proc/none/", *more)
    assert result.exit_code == 2 and "Cannot write into /proc/none" in result.stderr
    result = run("--mask", "in/0.png", "--save-mask", "/proc/none/", *more)
    assert result.exit_code == 2 and "Cannot write into /proc/none" in result.stderr


def test_masks_of_others_are_kept_by_later_runs(run: Run, words: list[str], tmp_path: Path) -> None:
    assert run("--resume").exit_code == 0
    Image.new("L", (30, 24), 255).save("mask.png")
    mine = photo(tmp_path / "masks/2.png", 1).read_bytes()
    masked = ("--resume", "--mask", "mask.png", "--save-mask", "masks/")
    result = run(*masked)
    assert result.exit_code == 2 and "masks/2.png: it already exists" in result.stderr
    assert (tmp_path / "masks/2.png").read_bytes() == mine
    (tmp_path / "masks/2.png").unlink()
    assert run(*masked).exit_code == 0
    assert run(*masked, "--strength", "0.5").exit_code == 0  # replaces its own masks

    photo(tmp_path / "in/0.bmp", 1)
    more = ("--files-from", "-", "-o", "new/", "--mask", "mask.png", "--save-mask", "m/")
    words[1:4] = []
    result = run(*more, stdin=b"in/0.png\nin/0.bmp\n")
    assert result.exit_code == 1 and "the same output or mask" in result.stderr


def test_failed_photos_are_named_again_and_retried_on_request(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in/7.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run("--resume").exit_code == 1
    again = run("--resume")
    assert again.exit_code == 1
    assert "in/7.png" in again.stderr and "--retry-failed" in again.stderr
    retried = run("--retry-failed")
    assert retried.exit_code == 1 and "earlier run" not in retried.stderr
    photo(tmp_path / "in/7.png", 7)
    assert statuses(run("--json", "--resume"))["7.png"] == "done"


def test_a_result_of_another_photo_is_not_replaced(
    run: Run, words: list[str], tmp_path: Path
) -> None:
    assert run("--resume").exit_code == 0
    made = contents(tmp_path / "out")
    photo(tmp_path / "other/0.png", 200)
    words[1] = "other"
    refused = run("--resume")
    assert refused.exit_code == 2 and "out/0.png: it already exists" in refused.stderr
    assert contents(tmp_path / "out") == made
    shutil.copy(tmp_path / "in/0.png", tmp_path / "other/0.png")
    assert set(statuses(run("--resume", "--json")).values()) == {"skipped"}  # a copy
    shutil.rmtree(tmp_path / "in")  # such as a memory card that was taken out
    photo(tmp_path / "other/0.png", 200)
    assert run("--resume").exit_code == 2 and contents(tmp_path / "out") == made
    assert run("--resume", "--overwrite").exit_code == 0


def test_a_photo_that_was_saved_by_hand_is_kept(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in/7.png").write_bytes(b"no photo")
    assert run("--resume").exit_code == 1
    mine = photo(tmp_path / "out/7.png", 7).read_bytes()
    photo(tmp_path / "in/7.png", 8)
    refused = run("--retry-failed")
    assert refused.exit_code == 2 and "out/7.png: it already exists" in refused.stderr
    assert (tmp_path / "out/7.png").read_bytes() == mine


@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_what_others_write_during_a_run_is_kept(
    run: Run, words: list[str], tmp_path: Path, more: list[str]
) -> None:
    def arrive() -> Iterator[FileJob]:
        yield FileJob("in/0.png", "out/0.png", "0.png")
        photo(tmp_path / "out/5.png", 1)
        yield FileJob("in/5.png", "out/5.png", "5.png")

    request = Request(Step(Denoise(sigma=9), words[-1]), arrive(), existing="refuse")
    with closing(Journal("out")) if more else nullcontext() as journal:
        refused, done = restore_files(request, journal=journal)  # in the order they end
    assert done.status == "done" and "created during this run" in str(refused.error)
    mine = photo(tmp_path / "mine.png", 1).read_bytes()
    assert (tmp_path / "out/5.png").read_bytes() == mine


def test_a_fatal_error_with_two_large_photos_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failing:
        def read(self, item: FileJob) -> bytes:
            return b""

        def __call__(self, item: FileJob, data: bytes) -> Record:
            raise WeightsError("no such model")

    monkeypatch.setattr(pools, "is_large", lambda data: True)  # above 16 megapixels
    pool = pools.ThisProcess(Failing())  # type: ignore[arg-type]
    for name in NAMES[:2]:
        pool.submit(FileJob(f"in/{name}", f"out/{name}", name))
    second = pool._running[1][1]
    with pytest.raises(WeightsError):
        second.result(timeout=60)


def test_what_the_photo_did_not_cause_is_tried_again(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/2.png").mkdir()
    (tmp_path / "in/3.png").write_bytes(b"no photo")
    found = statuses(run("--resume", "--json"))
    assert [name for name, status in found.items() if status == "failed"] == ["2.png", "3.png"]
    (tmp_path / "out/2.png").rmdir()
    found = statuses(run("--resume", "--json"))
    assert [name for name, status in found.items() if status == "done"] == ["2.png"]
    assert found["3.png"] == "failed"


def test_figures_belong_to_the_reference(run: Run, tmp_path: Path) -> None:
    def psnrs(*more: str) -> list[float | None]:
        result = run("--resume", "--json", *more)
        assert result.exit_code == 0, result.stderr
        return [json.loads(line).get("psnr") for line in result.stdout.splitlines()]

    for name, folder in itertools.product(NAMES, ("one", "two")):
        photo(tmp_path / folder / name, ord(folder[0]))
    one = psnrs("--reference", "one")
    assert None not in one and psnrs("--reference", "one") == one
    assert psnrs() == [None] * len(NAMES)
    two = psnrs("--reference", "two")
    assert None not in two and two != one


@pytest.mark.parametrize("option", ["--mask", "--reference"])
def test_masks_and_references_below_the_photos_are_not_restored(
    run: Run, tmp_path: Path, option: str
) -> None:
    folder = tmp_path / "in/used"
    shutil.copytree(tmp_path / "in", folder)
    result = run("--json", "-r", option, "in/used")
    assert result.exit_code == 0, result.stderr
    assert set(statuses(result)) == set(NAMES)


def test_what_is_done_before_a_kill_is_not_done_again(
    run: Run, words: list[str], tmp_path: Path
) -> None:
    for number in range(6, 40):
        photo(tmp_path / "in" / f"{number}.png", number)
    with process([*words, "--resume", "--json"], tmp_path) as started:
        assert started.stdout
        for _ in range(10):
            started.stdout.readline()
        started.kill()
        started.wait()
    before = len(contents(tmp_path / "out"))
    skipped = [*statuses(run("--json", "--resume")).values()].count("skipped")
    assert 10 <= skipped <= before


def test_large_photos_give_the_same(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 3):
        pixels = np.random.default_rng(number).integers(0, 256, (30, 44, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"in/{number}.png")
    assert run().exit_code == 0
    made = contents(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    monkeypatch.setattr("restore_cli.pipeline.workers._LARGE_PIXELS", 1000)
    assert run().exit_code == 0
    assert contents(tmp_path / "out") == made


def test_a_journal_without_permission_is_not_a_full_disk(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out/.restore-journal.sqlite").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    refused = run("--resume")
    assert refused.exit_code == 1 and "permission denied. Make the file" in refused.stderr


def test_a_folder_that_cannot_be_read_does_not_stop_a_batch(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in/closed").mkdir()
    shutil.copy(tmp_path / "in/0.png", tmp_path / "in/closed.png")
    scan = os.scandir

    def refuse(path: str = ".") -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    made = run("-r")
    assert (
        made.exit_code == 1 and "error: Cannot search in/closed: permission denied." in made.stderr
    )
    assert len(list((tmp_path / "out").iterdir())) == len(NAMES) + 1
    alone = run("--overwrite")
    assert alone.exit_code == 0


def test_only_outputs_of_the_journal_are_replaced(run: Run, tmp_path: Path) -> None:
    photo(tmp_path / "out/2.png", 55)
    own = (tmp_path / "out/2.png").read_bytes()
    refused = run("--resume")
    assert refused.exit_code == 2 and "already exists" in refused.stderr
    assert (tmp_path / "out/2.png").read_bytes() == own
    assert len(list((tmp_path / "out").iterdir())) == 1  # no journal
    assert run("--resume", "--overwrite").exit_code == 0
    assert (tmp_path / "out/2.png").read_bytes() != own


def test_a_journal_needs_a_folder_and_one_run(run: Run, words: list[str], tmp_path: Path) -> None:
    at = words.index("in")
    single = CliRunner().invoke(
        app, [*words[:at], "in/0.png", *words[at + 1 :], "--resume", "-o", "a.png"]
    )
    assert single.exit_code == 2 and "-o FOLDER/" in single.stderr
    assert run("--resume", "--skip-existing").exit_code == 2
    assert run("--resume").exit_code == 0
    journal = tmp_path / "out/.restore-journal.sqlite"
    with sqlite3.connect(journal, isolation_level="EXCLUSIVE") as other:
        other.execute("DELETE FROM photos WHERE output = x''")
        busy = run("--resume")
    assert busy.exit_code == 1 and "another run" in busy.stderr
    journal.write_bytes(b"not a journal" * 100)
    broken = run("--resume")
    assert broken.exit_code == 1 and str(journal.relative_to(tmp_path)) in broken.stderr


def test_records_of_skipped_photos_are_complete(run: Run) -> None:
    assert run("--resume").exit_code == 0
    record = json.loads(run("--json", "--resume").stdout.splitlines()[0])
    assert record["status"] == "skipped" and record["width"] == 30
    assert len(record["input_sha256"]) == len(record["output_sha256"]) == 64


def test_only_reports_of_earlier_runs_are_replaced(run: Run, tmp_path: Path) -> None:
    assert run("--resume").exit_code == 0
    (tmp_path / "notes.md").write_text("mine")
    refused = run("--resume", "--report", "notes.md")
    assert refused.exit_code == 2 and "notes.md: it already exists" in refused.stderr
    assert (tmp_path / "notes.md").read_text() == "mine"
    for _ in range(2):
        assert run("--resume", "--report", "report.csv").exit_code == 0
    assert run("--resume", "--report", "notes.md", "--overwrite").exit_code == 0
    assert "0.png" in (tmp_path / "notes.md").read_text()


# Photos that arrive


def test_a_list_is_restored_while_it_arrives(words: list[str], tmp_path: Path) -> None:
    streamed = [word for word in words if word != "in"]
    with process([*streamed, "--files-from", "-"], tmp_path) as started:
        assert started.stdin
        for name in NAMES[:2]:
            started.stdin.write(f"in/{name}\n")
            started.stdin.flush()
            wait_for((tmp_path / "out" / name).exists)
        started.stdin.write("in/0.png\nin/nothing.png\n")
        _, stderr = started.communicate(timeout=100)
    assert started.returncode == 1
    again = ("out/0.png: it already exists", "Cannot write out/0.png twice")  # if not finished
    assert any(reason in stderr for reason in again) and "in/nothing.png" in stderr
    assert "2 done, 2 failed" in stderr


def test_a_line_that_names_no_photo_stops_no_other(words: list[str], tmp_path: Path) -> None:
    words.remove("in")
    with process([*words, "--files-from", "-", "--json"], tmp_path) as started:
        stdout, stderr = started.communicate("in/0.png\nfoo://nowhere/\n-\nin/1.png\n", timeout=100)
    assert started.returncode == 1, stderr
    found = [json.loads(line)["status"] for line in stdout.splitlines()]
    assert sorted(found) == ["done", "done", "failed", "failed"]
    assert set(contents(tmp_path / "out")) == {"0.png", "1.png"}


def test_two_photos_of_a_list_never_share_an_output(words: list[str], tmp_path: Path) -> None:
    photo(tmp_path / "other/0.png", 9)
    words.remove("in")
    with process([*words, "--files-from", "-", "--resume", "--json"], tmp_path) as started:
        assert started.stdin and started.stdout
        records = []
        for name in ("in/0.png", "other/0.png"):
            started.stdin.write(f"{name}\n")
            started.stdin.flush()
            records.append(json.loads(started.stdout.readline()))
        first = (tmp_path / "out/0.png").read_bytes()
        _, stderr = started.communicate(timeout=100)
    assert [record["status"] for record in records] == ["done", "failed"]
    assert "Cannot write out/0.png twice" in stderr
    assert contents(tmp_path / "out") == {"0.png": first}


def test_a_photo_that_cannot_be_read_again_fails_alone(run: Run, tmp_path: Path) -> None:
    assert run("--resume").exit_code == 0
    (tmp_path / "in/2.png").unlink()
    (tmp_path / "in/2.png").symlink_to("/proc/self/mem")
    photo(tmp_path / "in/7.png", 7)
    result = run("--resume", "--json")
    assert statuses(result)["2.png"] == "failed" and statuses(result)["7.png"] == "done"


def test_a_result_without_its_photo_is_not_restored_again(words: list[str], tmp_path: Path) -> None:
    model = words[words.index("--model") + 1]
    own = ["denoise", "in", "--sigma", "9", "--model", model, "--watch"]
    with process(own, tmp_path) as started:
        wait_for(lambda: len(contents(tmp_path / "in")) == 12)
        (tmp_path / "in/0.png").unlink()
        photo(tmp_path / "in/late.png", 8)
        wait_for((tmp_path / "in/late.denoised.png").exists)
        started.send_signal(signal.SIGINT)
        started.communicate(timeout=100)
    assert len(contents(tmp_path / "in")) == 13


def test_a_folder_is_watched(words: list[str], tmp_path: Path) -> None:
    source = (tmp_path / "in/0.png").read_bytes()
    for name in NAMES[1:]:
        (tmp_path / "in" / name).unlink()
    with process([*words, "--watch"], tmp_path) as started:
        wait_for((tmp_path / "out/0.png").exists)
        with (tmp_path / "in/late.png").open("wb") as late:  # written slowly
            for start in range(0, len(source), 500):
                late.write(source[start : start + 500])
                late.flush()
                time.sleep(0.5)
                assert not (tmp_path / "out/late.png").exists()
        wait_for((tmp_path / "out/late.png").exists)
        assert (tmp_path / "out/late.png").read_bytes() == (tmp_path / "out/0.png").read_bytes()
        started.send_signal(signal.SIGINT)
        _, stderr = started.communicate(timeout=100)
    assert started.returncode == 130
    assert " done. Run the command again for the rest." in stderr and "Traceback" not in stderr


def test_files_are_complete_when_they_no_longer_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr("restore_cli.pipeline.watch.time.monotonic", lambda: float(next(clock)))
    monkeypatch.setattr("restore_cli.pipeline.watch.time.sleep", lambda _: None)
    path = tmp_path / "a.png"
    found = watch(lambda: [(str(path), "a.png")], 1)
    for size in range(1, 4):
        path.write_bytes(bytes(size))
        assert next(found) is None
    assert next(found) is None
    assert next(found) == (str(path), "a.png")
    assert [next(found) for _ in range(5)] == [None] * 5
    path.write_bytes(bytes(9))
    assert (str(path), "a.png") in [next(found) for _ in range(4)]


def test_a_photo_waits_for_its_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=3)
    monkeypatch.setattr("restore_cli.pipeline.watch.time.monotonic", lambda: float(next(clock)))
    masks, path = tmp_path / "masks", tmp_path / "a.png"
    masks.mkdir()
    path.write_bytes(b"photo")
    found = watch(lambda: [(str(path), "a.png")], 0, masks)
    assert [next(found) for _ in range(4)] == [None] * 4
    (masks / "a.png").write_bytes(b"mask")
    assert next(found) is None
    assert next(found) == (str(path), "a.png")


def test_what_the_photo_did_not_cause_is_tried_again_while_watching(
    run: Run, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_LATER", 0.0)
    (tmp_path / "out/0.png").mkdir(parents=True)
    item = FileJob("in/0.png", "out/0.png", "0.png")

    def found() -> Iterator[FileJob | None]:
        yield item
        yield None
        (tmp_path / "out/0.png").rmdir()
        yield from [None] * 3

    request = Request(Step(Denoise(sigma=9), words[-1]), found(), existing="refuse")
    with closing(Journal("out")) as journal:
        records = list(restore_files(request, journal=journal))
    assert [record.status for record in records] == ["failed", "done"]


def test_a_photo_that_is_gone_is_not_tried_again(
    run: Run, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_LATER", 0.0)
    (tmp_path / "out/0.png").mkdir(parents=True)

    def found() -> Iterator[FileJob | None]:
        yield FileJob("in/0.png", "out/0.png", "0.png")
        (tmp_path / "in/0.png").unlink()
        yield from [None] * 3

    request = Request(Step(Denoise(sigma=9), words[-1]), found(), existing="refuse")
    with closing(Journal("out")) as journal:
        assert len(list(restore_files(request, journal=journal))) == 1


def test_a_mac_compares_names_without_case(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other = storage.same_name("out/Müller.jpg"), storage.same_name("out/mu\u0308LLER.jpg")
    assert one != other
    monkeypatch.setattr(sys, "platform", "darwin")
    assert storage.same_name("out/Müller.jpg") == storage.same_name("out/mu\u0308LLER.jpg")


def test_a_mac_leaves_results_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    names = [str(photo(tmp_path / "Mac" / name, 0)) for name in ("a.png", "a.denoised.png")]
    monkeypatch.setattr(storage, "sys", SimpleNamespace(platform="darwin"))
    [item] = plan(names, OutputNaming(suffix=".denoised"), existing="skip")
    assert item.input == names[0]


def test_a_mask_without_its_photo_is_kept(run: Run, tmp_path: Path) -> None:
    """It is written first, so that a kill may leave it."""
    Image.new("L", (30, 24), 255).save("mask.png")
    words = ("--mask", "mask.png", "--save-mask", "masks/", "--skip-existing")
    assert run(*words).exit_code == 0
    (tmp_path / "out/2.png").unlink()
    (tmp_path / "masks/2.png").write_bytes(b"mine")
    again = run(*words, "--json")
    assert again.exit_code == 0
    assert [name for name, status in statuses(again).items() if status == "done"] == ["2.png"]
    assert (tmp_path / "masks/2.png").read_bytes() == b"mine"
    assert "masks/2.png exists and was kept" in again.stdout


def test_a_link_to_itself_is_replaced(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/0.png").symlink_to("0.png")
    assert set(statuses(run("--json", "--overwrite")).values()) == {"done"}
    assert not (tmp_path / "out/0.png").is_symlink()


def test_watching_survives_a_search_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("restore_cli.pipeline.watch.time.sleep", lambda _: None)
    monkeypatch.setattr("restore_cli.pipeline.watch._SETTLED_SECONDS", 0)
    path = tmp_path / "a.png"
    path.write_bytes(b"1")
    errors = itertools.chain([None, StorageError("away")], itertools.repeat(None))

    def search() -> Iterator[tuple[str, str]]:
        yield str(path), "a.png"
        if error := next(errors):
            raise error

    found = watch(search, 1)
    assert [next(found) for _ in range(5)] == [None, None, (str(path), "a.png"), None, None]

    def refused() -> Iterator[tuple[str, str]]:
        raise StorageError("no such folder")
        yield

    with pytest.raises(StorageError, match="no such folder"):
        next(watch(refused, 1))


def test_a_photo_that_changes_while_it_is_restored_is_restored_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow workers: the second version arrives before the first one is restored."""
    (tmp_path / "out").mkdir()
    source, result = photo(tmp_path / "a.png", 0), tmp_path / "out/a.png"
    seen: list[bytes] = []

    class Slow:
        is_busy, has_room = False, True

        def submit(self, item: FileJob) -> None:
            self.is_busy, self.started = True, source.read_bytes()

        def collect(self) -> list[Record]:
            seen.append(self.started)
            result.write_bytes(self.started)
            self.is_busy = False
            return [Record(str(source), "done", str(result))]

        def close(self) -> None:
            pass

    monkeypatch.setattr("restore_cli.pipeline.batch._hire", lambda *_: Slow())

    def arriving() -> Iterator[FileJob]:
        yield FileJob(str(source), str(result), "a.png")
        photo(source, 1)
        yield FileJob(str(source), str(result), "a.png")

    request = Request(Step(Denoise(sigma=9)), arriving())
    with closing(Journal(str(tmp_path / "out"))) as journal:
        records = list(restore_files(request, journal=journal))
    assert [record.status for record in records] == ["done", "done"] and not records[1].error
    assert len(seen) == 2 and seen[1] == source.read_bytes() != seen[0]


def test_a_list_that_cannot_be_read_ends_the_batch(words: list[str], tmp_path: Path) -> None:
    words.remove("in")
    broken = codecs.BOM_UTF16_LE + b"\0\xd8a\0"
    result = CliRunner().invoke(app, [*words, "--files-from", "-"], input=broken)
    assert result.exit_code == 2
    assert "Cannot read the list from standard input: it is not a text file." in result.stderr


def test_results_in_a_list_are_not_restored_again(words: list[str], tmp_path: Path) -> None:
    model = words[words.index("--model") + 1]
    own = ["denoise", "--sigma", "9", "--model", model, "--files-from", "-", "--skip-existing"]
    for _ in range(2):
        names = sorted(str(path) for path in (tmp_path / "in").glob("*.png"))
        result = CliRunner().invoke(app, own, input="\n".join(names).encode())
        assert result.exit_code == 0
        assert len(contents(tmp_path / "in")) == 12


def test_watching_needs_folders(run: Run, words: list[str], tmp_path: Path) -> None:
    assert run("--watch", "--overwrite").exit_code == 2
    at = words.index("in")
    result = CliRunner().invoke(app, [*words[:at], "in/0.png", *words[at + 1 :], "--watch"])
    assert result.exit_code == 2 and "not a folder" in result.stderr


def test_inputs_are_taken_as_they_are_needed(words: list[str], tmp_path: Path) -> None:
    taken = itertools.count()
    items = (
        FileJob(str(tmp_path / f"in/{next(taken) % 6}.png"), str(tmp_path / f"{number}.png"), "")
        for number in itertools.count()
    )
    request = Request(Step(Denoise(sigma=9), words[-1]), items)
    records = restore_files(request)
    assert [next(records).status for _ in range(4)] == ["done"] * 4
    assert next(taken) < 10


# Several processes


def test_processes_give_the_same_results(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in/7.png").write_bytes(b"not a photo")
    assert run().exit_code == 1
    made = contents(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")
    result = run("--jobs", 2, "--json")
    assert result.exit_code == 1
    assert contents(tmp_path / "out") == made
    assert statuses(result) == dict.fromkeys(NAMES, "done") | {"7.png": "failed"}


def test_a_process_that_dies_loses_one_photo(words: list[str], tmp_path: Path) -> None:
    for seed in range(40):
        photo(tmp_path / f"in/more{seed:02}.png", seed)
    with process([*words, "--jobs", "2", "--json"], tmp_path) as started:
        assert started.stdout
        lines = iter(started.stdout.readline, "")
        records = [json.loads(next(lines))]
        workers(started)[0].kill()
        records += map(json.loads, lines)
        _, stderr = started.communicate(timeout=200)
    failed = [record for record in records if record["status"] == "failed"]
    assert len({record["input"] for record in records}) == len(records) == 46
    assert len(failed) == 1 and "ended unexpectedly" in failed[0]["error"]
    assert started.returncode == 1 and failed[0]["input"] in stderr
    assert len(contents(tmp_path / "out")) in (45, 46)  # it may have been written


def test_a_process_that_dies_without_a_photo_is_replaced(words: list[str], tmp_path: Path) -> None:
    with process([*words, "--jobs", "2", "--watch"], tmp_path) as started:
        wait_for(lambda: (tmp_path / "out").is_dir() and len(contents(tmp_path / "out")) == 6)
        dying = workers(started)
        for child in dying:
            child.kill()
        psutil.wait_procs(dying, timeout=20)
        photo(tmp_path / "in/late.png", 6)
        wait_for((tmp_path / "out/late.png").exists)
        started.send_signal(signal.SIGINT)
        _, stderr = started.communicate(timeout=100)
    assert started.returncode == 130 and "ended unexpectedly" not in stderr


def workers(started: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that restore photos for a command."""
    children = psutil.Process(started.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_processes_end_with_the_main_one(words: list[str], tmp_path: Path) -> None:
    with process([*words, "--jobs", "2", "--json"], tmp_path) as started:
        assert started.stdout and started.stdout.readline()
        children = psutil.Process(started.pid).children()
        assert len(children) >= 2
        started.kill()
        started.wait()
    assert psutil.wait_procs(children, timeout=20)[1] == []


def test_several_processes_make_no_page(run: Run) -> None:
    result = run("--jobs", 2, "--compare", "page.html")
    assert result.exit_code == 2 and "--compare" in result.stderr


# Parts


def test_shards_are_parts_of_the_batch(run: Run, tmp_path: Path) -> None:
    found = [statuses(run("--shard", f"{part}/3", "--resume", "--json")) for part in (1, 2, 3)]
    assert sorted(itertools.chain(*found)) == NAMES
    assert contents(tmp_path / "out").keys() == {*NAMES}
    again = statuses(run("--shard", "2/3", "--resume", "--json"))
    assert again == dict.fromkeys(found[1], "skipped")
    for wrong in ("0/3", "4/3", "1", "a/b"):
        assert run("--shard", wrong).exit_code == 2
