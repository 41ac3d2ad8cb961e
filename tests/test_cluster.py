"""Photos that are restored by the actors of a Ray cluster, on this computer."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest
from batches import ROOT, contents, photo, process
from PIL import Image
from typer.testing import CliRunner

from restore_cli.cli import app
from restore_cli.cli.values import fill_in_ray
from restore_cli.errors import WeightsError
from restore_cli.image import Picture
from restore_cli.pipeline import cluster
from restore_cli.pipeline.batch import restore_files
from restore_cli.pipeline.files import FileJob
from restore_cli.pipeline.plan import Step
from restore_cli.pipeline.request import Request
from restore_cli.tasks.denoise import Denoise

PHOTOS = 200


# The command line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("in --ray", "in --ray=local"),
        ("--ray in -o out", "--ray=local in -o out"),
        ("--ray auto in", "--ray=auto in"),
        ("--ray ray://head:10001 in", "--ray=ray://head:10001 in"),
        ("--ray 10.0.0.1:6379 in", "--ray=10.0.0.1:6379 in"),
        ("--ray=head:6379 in", "--ray=head:6379 in"),
        ("--ray s3://bucket/in", "--ray=local s3://bucket/in"),
        ("in -- --ray auto", "in -- --ray auto"),
    ],
)
def test_the_address_may_be_left_out(words: str, expected: str) -> None:
    assert fill_in_ray(words.split()) == expected.split()


def invoke(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["denoise", *words])
    return result.exit_code, " ".join(result.stderr.split())


def test_what_ray_cannot_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = str(photo(tmp_path / "in/0.png", 0)), f"{tmp_path}/out/"
    for words, reason in (
        (("--ray", "--compare", str(tmp_path / "page.html")), "--compare with --ray"),
        (("--ray=nowhere",), "'nowhere' is not a valid Ray address"),
        (("--ray", "--device", "cuda:1"), "--device cuda:1 with --ray"),
    ):
        code, text = invoke(source, "-o", out, *words)
        assert code == 2 and reason in text
    code, text = invoke("-", "-o", str(tmp_path / "0.png"), "--ray")
    assert code == 2 and "standard input" in text
    if find_spec("ray"):
        code, text = invoke(source, "-o", out, "--ray", "127.0.0.1:1")
        assert code == 2 and "Cannot connect to Ray at 127.0.0.1:1: " in text
    monkeypatch.setitem(sys.modules, "ray", None)
    code, text = invoke(source, "-o", out, "--ray")
    assert code == 2
    assert text == (
        'error: Cannot use Ray: it is not installed. Run `pip install "restore-cli[ray]"`.'
    )


# A local Ray


@pytest.fixture(scope="module")
def words(checkpoints: dict[int, Path], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command for many photos; the last word is their folder's parent."""
    folder = tmp_path_factory.mktemp("cluster")
    for seed in range(PHOTOS):
        photo(folder / f"in/{seed:03}.png", seed)
    model = str(checkpoints[3])
    command = ["denoise", "in", "--suffix", "", "--sigma", "9", "--model", model]
    os.chdir(folder)
    assert CliRunner().invoke(app, [*command, "-o", "expected/"]).exit_code == 0
    return [*command, str(folder)]


def actors(main: int) -> list[psutil.Process]:
    """The processes of Ray's actors that restore photos."""
    children = psutil.Process(main).children(recursive=True)
    return [child for child in children if child.name().startswith("ray::_Actor")]


def test_a_batch_survives_a_killed_worker(words: list[str]) -> None:
    pytest.importorskip("ray")
    *command, parent = words
    folder = Path(parent)
    with process([*command, "-o", "out/", "--ray", "--jobs", "2", "--json"], folder) as started:
        assert started.stdout
        lines = iter(started.stdout.readline, "")
        records = [json.loads(next(lines)) for _ in range(20)]
        first, second = actors(started.pid)
        os.kill(first.pid, signal.SIGKILL)
        records += map(json.loads, lines)
        _, stderr = started.communicate(timeout=300)
    assert started.returncode == 0, stderr
    assert len(records) == PHOTOS == len({record["input"] for record in records})
    assert {record["status"] for record in records} == {"done"}
    assert contents(folder / "out") == contents(folder / "expected")
    assert psutil.wait_procs([second], timeout=20)[1] == []


def test_ray_ends_with_the_command_and_a_new_run_does_the_rest(words: list[str]) -> None:
    pytest.importorskip("ray")
    *command, parent = words
    folder = Path(parent)
    command[command.index("in")] = "in/0[0-5]*.png"  # 60 photos
    command += ["-o", "resumed/", "--resume", "--json"]
    with process([*command, "--ray", "--jobs", "2"], folder) as started:
        assert started.stdout
        for _ in range(10):
            started.stdout.readline()
        assert len(actors(started.pid)) == 2
        children = [
            child
            for child in psutil.Process(started.pid).children(recursive=True)
            if not child.name().endswith("Agent")  # idle, and wait a minute for the cluster
        ]
        started.kill()
        started.wait()
    assert psutil.wait_procs(children, timeout=30)[1] == []
    before = len(contents(folder / "resumed"))
    assert 10 <= before < 60
    with process(command, folder) as started:
        stdout, stderr = started.communicate(timeout=300)
    assert started.returncode == 0, stderr
    found = [json.loads(line)["status"] for line in stdout.splitlines()]
    assert len(found) == 60
    # A killed run may have written photos that its journal does not list yet.
    assert 10 <= found.count("skipped") <= before
    expected = contents(folder / "expected")
    assert contents(folder / "resumed") == {
        name: data for name, data in expected.items() if name < "060"
    }


class DeadlyDenoise(Denoise):
    """Ends the process that restores a photo of 31 pixels, as running out of memory does."""

    def look(self, picture: Picture) -> Denoise:
        if picture.width == 31:
            os._exit(1)
        return super().look(picture)


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """A Ray with two CPUs that is already running."""
    found = pytest.importorskip("ray")
    paths = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", paths)  # so that actors know DeadlyDenoise
        cluster._connect(cluster._import_ray(), "local", 2)
    yield
    found.shutdown()


def test_inputs_are_taken_as_they_are_needed(ray: None, words: list[str], tmp_path: Path) -> None:
    *_, model, parent = words
    taken = itertools.count()
    items = (
        FileJob(f"{parent}/in/{next(taken) % PHOTOS:03}.png", str(tmp_path / f"{number}.png"), "")
        for number in itertools.count()
    )
    records = restore_files(Request(Step(Denoise(sigma=9), model), items, ray="local"))
    assert [next(records).status for _ in range(10)] == ["done"] * 10
    records.close()
    assert next(taken) <= 10 + 2 * 2 + 2


def test_only_the_photo_that_kills_its_workers_fails(
    ray: None, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, model, parent = words
    deadly = tmp_path / "deadly.png"
    Image.new("RGB", (31, 24)).save(deadly)
    monkeypatch.setattr(cluster, "_RETRIES", 0)
    inputs = [f"{parent}/in/000.png", str(deadly), *(f"{parent}/in/{n:03}.png" for n in (1, 2, 3))]
    items = [FileJob(path, str(tmp_path / f"out/{n}.png"), "") for n, path in enumerate(inputs)]
    request = Request(Step(DeadlyDenoise(sigma=9), model), items, devices=("cpu",), ray="local")
    records = {record.input: record for record in restore_files(request)}
    assert {path for path, record in records.items() if record.status == "done"} == {
        path for path in inputs if path != str(deadly)
    }
    assert "ended unexpectedly" in str(records[str(deadly)].error)


def test_errors_of_workers_are_those_of_this_process(
    ray: None, words: list[str], tmp_path: Path
) -> None:
    *_, parent = words
    item = FileJob(f"{parent}/in/000.png", str(tmp_path / "0.png"), "")
    with pytest.raises(WeightsError, match="no-such-model"):
        list(restore_files(Request(Step(Denoise(sigma=9), "no-such-model"), [item], ray="local")))
