"""Photos in storage with URLs: memory://, and s3:// on a server of this computer."""

from __future__ import annotations

import io
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from restore_cli import storage
from restore_cli.cli import app
from restore_cli.image import read_picture, write_picture
from restore_cli.pipeline.watch import watch
from restore_cli.storage import StorageError

fsspec = pytest.importorskip("fsspec")
Run = Callable[..., Result]
NAMES = ["0.png", "1.png", "deep/2.png"]


def photo(seed: int) -> bytes:
    data = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 30, 3), np.uint8)
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


@pytest.fixture(autouse=True)
def states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of journals."""
    monkeypatch.setenv("RESTORE_STATE", str(tmp_path / "states"))
    monkeypatch.chdir(tmp_path)
    storage.refresh()
    yield tmp_path / "states"
    storage.refresh()


@pytest.fixture
def memory() -> Iterator[Any]:
    """Storage with three photos."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for seed, name in enumerate(NAMES):
        system.pipe_file(f"/in/{name}", photo(seed))
    yield system
    system.store.clear()


@pytest.fixture
def run(checkpoints: dict[int, Path]) -> Run:
    """Run `restore denoise` with a network that changes nothing."""
    words = ["denoise", "--suffix", "", "--sigma", "9", "--model", str(checkpoints[3])]

    def run(*more: object, stdin: bytes = b"") -> Result:
        return CliRunner().invoke(app, [*words, *map(str, more)], input=stdin)

    return run


def statuses(result: Result) -> dict[str, str]:
    records = [json.loads(line) for line in result.stdout.splitlines()]
    return {record["output"]: record["status"] for record in records}


def local(run: Run, names: list[str] = NAMES) -> dict[str, bytes]:
    """What the same photos give in folders."""
    for seed, name in enumerate(names):
        path = Path("local/in", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(photo(seed))
    assert run("local/in", "-r", "-o", "local/out/").exit_code == 0
    return {name: Path("local/out", name).read_bytes() for name in names}


# Paths


def test_urls_are_told_from_paths() -> None:
    for url in ("s3://bucket/a.png", "memory://a", "GS://b/c", "https://host/a.png"):
        assert storage.is_url(url)
    for path in ("a.png", "/s3://a", "C:\\a.png", "c://a", "-", "", Path("s3://bucket/a.png")):
        assert not storage.is_url(path)
    assert storage.join("s3://b/out/", f"deep{os.sep}a.png") == "s3://b/out/deep/a.png"
    assert storage.relative_to("s3://b/out/deep/a.png", "s3://b/out") == "deep/a.png"
    assert storage.parent_of("s3://b/out/a.png") == "s3://b/out"


def test_files_on_another_drive_of_windows_are_named_by_their_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def relpath(path: str, start: str) -> str:
        raise ValueError(f"path is on mount 'C:', start on mount 'D:': {path}, {start}")

    monkeypatch.setattr("os.path.relpath", relpath)
    assert storage.relative_to("in/a.png", "out") == os.path.abspath("in/a.png")


def test_local_paths_never_use_fsspec(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_open", lambda url: pytest.fail(url))
    local(run)
    assert run("local/in", "-r", "-o", "local/new/", "--resume").exit_code == 0
    assert run("local/in", "-r", "-o", "local/new/", "--resume").exit_code == 0


# Photos


def test_photos_of_a_url_are_restored_like_files(run: Run, memory: Any) -> None:
    expected = local(run)
    result = run("memory://in/", "-r", "-o", "memory://out/", "--json")
    assert result.exit_code == 0, result.stderr
    assert statuses(result) == {f"memory://out/{name}": "done" for name in NAMES}
    assert {name: memory.cat_file(f"/out/{name}") for name in NAMES} == expected
    assert run("memory://in/", "-o", "flat/").exit_code == 0  # to a folder, without subfolders
    assert {path.name for path in Path("flat").iterdir()} == {"0.png", "1.png"}
    assert run("local/in/0.png", "-o", "memory://out/new.png").exit_code == 0
    assert memory.cat_file("/out/new.png") == expected["0.png"]
    assert run("memory://in/*.png", "-o", "memory://glob").exit_code == 0
    assert sorted(memory.glob("/glob/*")) == ["/glob/0.png", "/glob/1.png"]
    assert run("memory://in/1.png", "--suffix", ".new").exit_code == 0
    assert memory.cat_file("/in/1.new.png") == expected["1.png"]
    listed = run("--files-from", "-", "-o", "memory://list/", stdin=b"memory://in/0.png\n")
    assert listed.exit_code == 0 and memory.exists("/list/0.png")


def test_outputs_and_inputs_are_protected(run: Run, memory: Any) -> None:
    memory.pipe_file("/out/1.png", b"mine")
    refused = run("memory://in", "-o", "memory://out")
    assert refused.exit_code == 2 and "memory://out/1.png: it already exists" in refused.stderr
    skipped = run("memory://in", "-o", "memory://out", "--skip-existing", "--json")
    assert statuses(skipped) == {"memory://out/0.png": "done", "memory://out/1.png": "skipped"}
    assert memory.cat_file("/out/1.png") == b"mine"
    itself = run("memory://in", "-o", "memory://in", "--overwrite")
    assert itself.exit_code == 2 and "it is an input" in itself.stderr
    alias = run("memory://in/0.png", "-o", "memory:///in/0.png", "--overwrite")
    assert alias.exit_code == 2 and "it is an input" in alias.stderr
    twice = b"memory://in/0.png\nmemory://in/0.png\n"
    again = run("--files-from", "-", "-o", "memory://twice/", "--json", stdin=twice)
    assert again.exit_code == 1
    assert sorted(json.loads(line)["status"] for line in again.stdout.splitlines()) == [
        "done",
        "failed",
    ]


def test_folders_of_file_systems_are_created(run: Run, memory: Any, tmp_path: Path) -> None:
    result = run("memory://in/", "-r", "-o", f"file://{tmp_path}/out")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "out/deep/2.png").is_file()


def test_reports_of_others_are_kept_if_results_have_urls(
    run: Run, memory: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("memory://in/", "-o", "memory://out/", "--resume", "--report", "r.csv")
    assert run(*words).exit_code == 0
    assert run(*words).exit_code == 0
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    Path("r.csv").write_text("of somebody else")
    refused = run(*words)
    assert refused.exit_code == 2 and "r.csv: it already exists" in refused.stderr
    assert Path("r.csv").read_text() == "of somebody else"


def test_a_photo_with_a_url_is_not_replaced_by_its_result(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(before := photo(1))
    refused = run(f"file://{path}", "-o", str(path), "--overwrite")
    assert refused.exit_code == 2 and "it is an input" in refused.stderr
    assert path.read_bytes() == before


def test_a_second_run_does_the_rest(run: Run, memory: Any, states: Path) -> None:
    words = ("memory://in", "-r", "-o", "memory://out", "--resume", "--json")
    assert set(statuses(run(*words)).values()) == {"done"}
    made = {name: memory.cat_file(f"/out/{name}") for name in NAMES}
    assert len(list(states.glob("*.sqlite"))) == 1 and set(memory.find("/out")) == {
        f"/out/{name}" for name in NAMES
    }
    assert set(statuses(run(*words)).values()) == {"skipped"}
    memory.pipe_file("/in/0.png", photo(9))
    memory.pipe_file("/out/1.png", made["1.png"][:-9])
    memory.pipe_file("/out/deep/2.png", made["deep/2.png"])  # written again, but equal
    memory.pipe_file("/in/3.png", photo(3))
    assert statuses(run(*words)) == {
        "memory://out/0.png": "done",
        "memory://out/1.png": "done",
        "memory://out/3.png": "done",
        "memory://out/deep/2.png": "skipped",
    }
    assert memory.cat_file("/out/1.png") == made["1.png"]


def test_large_folders_are_listed_once(
    run: Run, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(60):
        memory.pipe_file(f"/many/{number}.png", photo(0))
        memory.pipe_file(f"/made/{number}.png", photo(0))
    requests: Counter[str] = Counter()
    for name in ("info", "ls"):
        call = getattr(type(memory), name)

        def counted(self: Any, *args: Any, name: str = name, call: Any = call, **more: Any) -> Any:
            requests[name] += 1
            return call(self, *args, **more)

        monkeypatch.setattr(type(memory), name, counted)
    result = run("memory://many", "-o", "memory://made", "--skip-existing", "--json")
    assert list(statuses(result).values()) == ["skipped"] * 60
    assert requests["info"] <= 12 and requests["ls"] == 2


def test_masks_are_written_to_urls_and_not_read(run: Run, memory: Any, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    Image.new("L", (30, 24), 255).save(mask)
    words = ("memory://in/0.png", "-o", "memory://out/0.png", "--mask")
    assert run(*words, mask, "--save-mask", "memory://masks/").exit_code == 0
    assert memory.exists("/masks/0.png")
    refused = run(*words, "memory://masks/0.png")
    assert refused.exit_code == 2 and "Give a local file" in refused.stderr


def test_urls_in_python(memory: Any) -> None:
    picture = read_picture("memory://in/0.png")
    write_picture(picture, "memory://out/0.png")
    assert np.array_equal(read_picture("memory://out/0.png").pixels, picture.pixels)


def test_a_glob_leaves_hidden_files_and_the_output_folder_out(run: Run, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/0.png").write_bytes(photo(0))
    (tmp_path / "in/._0.png").write_bytes(b"of a Mac")
    folder = f"file://{tmp_path}/in"
    for _ in range(2):
        result = run(f"{folder}/**/*.png", "-o", f"{folder}/out/", "--overwrite")
        assert result.exit_code == 0, result.stderr
    assert os.listdir(tmp_path / "in/out") == ["0.png"]


def test_a_url_is_watched(memory: Any) -> None:
    found = watch(lambda: [(f"memory://in/{name}", name) for name in ("0.png",)], 0.01)
    while (pair := next(found)) is None:
        pass
    assert pair == ("memory://in/0.png", "0.png")


# Errors


def test_failures_are_one_sentence(run: Run, memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.pipe_file("/in/text.png", b"not a photo")
    memory.pipe_file("/in/bomb.png", bytes(3 * 10**8))
    for url, words in (
        ("memory://in/none.png", "Cannot read memory://in/none.png: the file does not exist."),
        ("memory://in/text.png", "Cannot read memory://in/text.png: it is not a PNG"),
        ("unknown://in/1.png", "unknown:// is not a known kind of storage."),
        ("memory://empty/", "Cannot find photos in memory://empty/: it contains none."),
        ("memory://in/*.jpg", "no file matches memory://in/*.jpg."),
    ):
        result = run(url, "-o", "out/")
        assert result.exit_code in (1, 2) and words in " ".join(result.stderr.split())
    small = run("memory://in/bomb.png", "-o", "out/", "--max-pixels", "1000")
    assert small.exit_code == 1 and "it has 0.3 GB" in small.stderr
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert "restore-cli[remote]" in run("memory://in/0.png", "-o", "out/").stderr


def unreachable() -> FileNotFoundError:
    """What fsspec raises for a file of an unknown host."""
    error = FileNotFoundError("https://nowhere.invalid/0.png")
    error.__cause__ = ConnectionError("Name or service not known")
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ImportError("Install s3fs to access S3"), "s3:// is not installed. Install s3fs"),
        (FileNotFoundError("The specified bucket does not exist"), "the bucket does not exist."),
        (unreachable(), "the server cannot be reached. Check the URL and the connection."),
        (PermissionError("Forbidden"), "access is denied. Check your credentials"),
        (RuntimeError("Unable to locate credentials"), "no credentials were found"),
        (OSError("Could not connect."), "Could not connect. Check the URL and the connection."),
    ],
)
def test_reasons_come_with_a_hint(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(url: str) -> None:
        raise error

    monkeypatch.setattr(storage, "_open", fail)
    with pytest.raises(StorageError, match=words):
        storage.read("s3://bucket/0.png")
    with pytest.raises(StorageError, match="Cannot write s3://bucket"):
        storage.write("s3://bucket/0.png", b"")
    assert storage.state_of("s3://bucket/0.png") == ""


# S3


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket on an S3 server, with three photos."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    system = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)
    system.mkdir("bucket")
    for seed, name in enumerate(NAMES):
        system.pipe_file(f"bucket/in/{name}", photo(seed))
    yield system
    fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


def test_photos_in_s3(run: Run, bucket: Any) -> None:
    expected = local(run)
    words = ("s3://bucket/in", "-r", "-o", "s3://bucket/out/", "--resume", "--json")
    first = run(*words)
    assert first.exit_code == 0, first.stderr
    assert statuses(first) == {f"s3://bucket/out/{name}": "done" for name in NAMES}
    assert {name: bucket.cat_file(f"bucket/out/{name}") for name in NAMES} == expected
    assert set(statuses(run(*words)).values()) == {"skipped"}
    bucket.pipe_file("bucket/in/1.png", photo(9))
    assert Counter(statuses(run(*words)).values()) == {"done": 1, "skipped": 2}
    missing = run("s3://nothing/in/", "-o", "out/")
    assert missing.exit_code == 1 and "the bucket does not exist" in missing.stderr
    unwritten = run("s3://bucket/in", "-o", "s3://nothing/out/")
    assert unwritten.exit_code == 1
    assert "Cannot write s3://nothing/out/0.png: the bucket does not exist" in unwritten.stderr
