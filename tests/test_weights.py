"""Checkpoints: the table, downloads by the real clients from a server on loopback, files good and
bad.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import random
import re
import resource
import subprocess
import sys
import threading
import time
import urllib.request
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hub import Hub, serving
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d
from typer.testing import CliRunner

from restore_cli import archs, download
from restore_cli.cli import models
from restore_cli.cli.train_recipe import read_recipe
from restore_cli.degradations import find_degradation
from restore_cli.download import Url
from restore_cli.errors import UsageError, WeightsError
from restore_cli.image import Picture
from restore_cli.levels import Choice, Range
from restore_cli.models import catalog, checkpoint, store
from restore_cli.models.catalog import Bundled, Entry
from restore_cli.models.header import KEY, MAX_CHARS, MAX_DEPTH, Header
from restore_cli.models.scores import Protocol, Score
from restore_cli.tasks.restoration import Trained
from restore_cli.training.recipe import Recipe

REVISION = "7e079a6800958ae777b48e41fc1202a2ee21ecbe"
SMALL = Header(
    task="denoise",
    arch="baselines:DnCNN",
    params={"channels": 1, "depth": 3, "width": 4, "norm": True},
    channels=1,
    conditions={"sigma": Range(0, 75)},
    precisions=("fp32", "bf16"),
    recipe={"steps": 7, "levels": {"sigma": [0, 75]}},
    scores=(Score("BSD68", Protocol("float"), 29.1, levels={"sigma": 25}),),
    commit="abc",
)
CONTENT = random.Random(0).randbytes(300_000)


def entry(name: str = "net", content: bytes = CONTENT, source: Any = None, **values: Any) -> Entry:
    defaults = {
        "task": "denoise",
        "arch": "unet:UNet",
        "params": {},
        "channels": 3,
        "license": "MIT",
    }
    digest = hashlib.sha256(content).hexdigest()
    return Entry(name=name, source=source or Bundled("x"), sha256=digest, **{**defaults, **values})


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace the table."""

    def use(*table: Entry) -> None:
        monkeypatch.setattr(catalog, "entries", lambda: {entry.name: entry for entry in table})

    return use


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


# The table


@pytest.mark.parametrize(
    "name", [entry.name for entry in catalog.entries().values() if not entry.by_spandrel]
)
def test_entry_builds_and_takes_what_it_is_told(name: str) -> None:
    known = catalog.entries()[name]
    with torch.device("meta"):
        geometry = archs.build(known.arch, known.params).geometry
    assert geometry.channels == known.channels
    damage = find_degradation(known.task).draw(known.conditions, np.random.default_rng(0))
    black = np.zeros((48, 48, known.channels), np.float32)
    damaged = damage.apply(black, np.random.default_rng(0))
    trained = Trained(known.conditions, geometry)
    fed = damage.task().prepare(Picture(damaged), trained)
    assert len(fed.conditions) == geometry.conditions


@pytest.mark.parametrize(
    "name", [e.name for e in catalog.entries().values() if isinstance(e.source, Bundled)]
)
def test_bundled_file_says_what_the_table_says(name: str) -> None:
    known = catalog.entries()[name]
    assert checkpoint.load(known).name == name
    header = checkpoint.load(store.path_of(known)).header
    for key in ("task", "arch", "params", "channels", "conditions", "precisions"):
        assert getattr(header, key) == getattr(known, key)
    recipe = replace(Recipe.parse(header.recipe), precision="auto")  # the header states which
    assert Recipe.parse(read_recipe(name)) == recipe


TABLE = {
    "task": '"denoise"',
    "arch": '"unet:UNet"',
    "params": "{}",
    "channels": "3",
    "license": '"MIT"',
    "sha256": f'"{"0" * 64}"',
    "bundled": '"net.safetensors"',
}


PROTOCOL = Protocol("as printed", luma=True)


def write_table(path: Path, *tables: Mapping[str, str | None]) -> Path:
    lines = ["[protocols]", 'p = { text = "as printed", luma = true }']
    for number, table in enumerate(tables):
        lines.append(f"[net{number}]")
        lines += [
            f"{key} = {value}" for key, value in {**TABLE, **table}.items() if value is not None
        ]
    path.write_text("\n".join(lines))
    return path


def test_table_is_read(tmp_path: Path) -> None:
    extra = {
        "conditions": "{ sigma = [0, 75] }",
        "size": "9",
        "precisions": '["fp32", "bf16"]',
        "scores": '[{ set = "s", psnr = 1.5, protocol = "p" }]',
    }
    table = catalog.read_table(write_table(tmp_path / "t.toml", extra))
    known = table["net0"]
    assert (known.name, known.source, known.size) == ("net0", Bundled("net.safetensors"), 9)
    assert (known.precisions, known.scores) == (
        ("fp32", "bf16"),
        (Score("s", PROTOCOL, 1.5),),
    )
    assert known.conditions == {"sigma": Range(0, 75)}


def test_a_row_of_the_table_holds_several_scores(tmp_path: Path) -> None:
    scores = """[
        { set = "a", protocol = "p", sigma = [15, 25], share = 0.1, psnr = [31, 29.5] },
        { set = "b", protocol = { text = "of papers", published = true }, psnr = 30, ssim = 0.9 },
    ]"""
    [entry] = catalog.read_table(write_table(tmp_path / "t.toml", {"scores": scores})).values()
    assert entry.scores == (
        Score("a", PROTOCOL, 31, levels={"sigma": 15, "share": 0.1}),
        Score("a", PROTOCOL, 29.5, levels={"sigma": 25, "share": 0.1}),
        Score("b", Protocol("of papers", published=True), 30, 0.9),
    )
    assert [score.to_plain() for score in entry.scores[1:]] == [
        {"set": "a luma", "sigma": 25, "share": 0.1, "psnr": 29.5, "protocol": "as printed"},
        {"set": "b", "psnr": 30, "ssim": 0.9, "protocol": "of papers"},
    ]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ({"scores": '"good"'}, "net0: scores cannot be 'good'"),
        ({"scores": "[1]"}, "net0: a score cannot be 1"),
        ({"scores": '[{ set = "s", psnr = 1 }]'}, "net0: a score cannot be"),
        (
            {"scores": '[{ set = "s", psnr = 1, protocol = "q" }]'},
            "net0: unknown protocol 'q'; expected one of p",
        ),
        (
            {"scores": '[{ set = "s", psnr = 1, protocol = { words = "q" } }]'},
            "net0: a protocol has unknown keys: words",
        ),
        (
            {"scores": '[{ set = "s", psnr = [1, 2], sigma = [15], protocol = "p" }]'},
            "net0: lists of different lengths",
        ),
        ({"shade": '"red"'}, "net0 has unknown keys: shade"),
        ({"task": None}, "net0 lacks task"),
        ({"size": '"big"'}, "net0: size cannot be 'big'"),
        ({"channels": "2"}, "1 or 3 channels, not 2"),
        ({"sha256": '"00"'}, "net0: sha256 must be 64"),
        ({"bundled": None}, "net0 must have one of bundled, hub, url"),
        ({"url": '"https://example.org/x.pth"'}, "net0 must have one of"),
        ({"bundled": None, "url": '"http://example.org/x.pth"'}, "net0: the URL must be https"),
        ({"bundled": None, "hub": '"a/b"'}, "net0 lacks revision, file"),
        (
            {"bundled": None, "hub": '{ repo = "a/b", revision = "main", file = "c" }'},
            "must be a full commit",
        ),
    ],
)
def test_mistake_in_the_table_is_named(
    tmp_path: Path, mistake: dict[str, str | None], words: str
) -> None:
    with pytest.raises(WeightsError, match=words):
        catalog.read_table(write_table(tmp_path / "t.toml", mistake))


@pytest.mark.parametrize("twice", [{"short": '"usual"'}, {"default": "true"}])
def test_two_entries_of_one_role_are_a_mistake(
    tmp_path: Path, twice: dict[str, str | None]
) -> None:
    path = write_table(tmp_path / "t.toml", twice, {**twice, "channels": "1"})
    assert len(catalog.read_table(path)) == 2
    with pytest.raises(WeightsError, match="net0 and net1 are both"):
        catalog.read_table(write_table(tmp_path / "t.toml", twice, twice))


@pytest.fixture
def table(use: Callable[..., None]) -> None:
    use(
        entry("denoise-color", short="usual", default=True),
        entry("denoise-gray", short="usual", channels=1, default=True),
        entry("deblock-gray", short="usual", channels=1, default=True, task="deblock"),
        entry("dncnn-25", short="dncnn", channels=1),
    )


@pytest.mark.parametrize(
    ("model", "task", "channels", "name"),
    [
        (None, "denoise", 3, "denoise-color"),
        (None, "denoise", 1, "denoise-gray"),
        (None, "deblock", 3, "deblock-gray"),  # the only one
        ("default", "denoise", 3, "denoise-color"),
        ("default", "denoise", 1, "denoise-gray"),
        ("default", "deblock", 3, "deblock-gray"),
        ("usual", "denoise", 1, "denoise-gray"),
        ("usual", "deblock", 1, "deblock-gray"),
        ("dncnn", "denoise", 3, "dncnn-25"),
        ("denoise-color", "denoise", 1, "denoise-color"),  # as named
    ],
)
def test_choose(table: None, model: str | None, task: str, channels: int, name: str) -> None:
    chosen = catalog.choose(model, task, channels)
    assert isinstance(chosen, Entry)
    assert chosen.name == name


@pytest.mark.parametrize(
    ("channels", "scale", "name"),
    [
        (3, 1, "sr-color-x2"),
        (3, 2, "sr-color-x2"),
        (3, 2.5, "sr-color-x4"),
        (3, 7, "sr-color-x4"),
        (1, 3, "sr-gray"),  # which was trained for more than one scale
        (1, 2, "sr-gray"),
    ],
)
def test_choose_by_the_scale(
    use: Callable[..., None], channels: int, scale: float, name: str
) -> None:
    use(
        entry("sr-color-x2", default=True, task="sr", conditions={"scale": 2}),
        entry("sr-color-x4", default=True, task="sr", conditions={"scale": 4}),
        entry(
            "sr-gray", default=True, task="sr", channels=1, conditions={"scale": Choice(("2", "3"))}
        ),
    )
    chosen = catalog.choose(None, "sr", channels, scale)
    assert isinstance(chosen, Entry)
    assert chosen.name == name


def test_choose_takes_a_path_unless_it_is_a_name(
    table: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("usual", "mine"):
        Path(name).touch()
    assert isinstance(catalog.choose("usual", "denoise", 3), Entry)
    assert catalog.choose("mine", "denoise", 3) == Path("mine")


@pytest.mark.parametrize(
    ("model", "task", "error", "words"),
    [
        ("denoise-colour", "denoise", WeightsError, "did you mean denoise-color"),
        ("zzz", "denoise", WeightsError, "file 'zzz'; see `restore models list`"),
        ("", "denoise", WeightsError, "Unknown model or file ''"),
        (
            "dncnn-25",
            "deblock",
            UsageError,
            "Cannot use dncnn-25 for deblock: it is for denoise",
        ),
        (None, "sr", UsageError, "Cannot choose a model for sr"),
    ],
)
def test_choose_names_what_would_have_worked(
    table: None, model: str | None, task: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        catalog.choose(model, task, 3)


# Downloads


def on_hub(hub: Hub, content: bytes = CONTENT, file: str = "net.pth") -> tuple[Entry, str]:
    path = f"/deepinv/drunet/resolve/{REVISION}/{file}"
    hub.files[path] = content
    return entry(source=download.Hub(repo="deepinv/drunet", revision=REVISION, file=file)), path


def on_web(hub: Hub, content: bytes = CONTENT) -> tuple[Entry, str]:
    hub.files["/zoo/net.pth"] = content
    return entry(source=Url(f"{hub.url}/zoo/net.pth")), "/zoo/net.pth"


both = pytest.mark.parametrize("publish", [on_hub, on_web])
Publish = Callable[..., tuple[Entry, str]]


@both
def test_fetched_once_whole_and_silently(
    hub: Hub, publish: Publish, capfd: pytest.CaptureFixture[str]
) -> None:
    wanted, _ = publish(hub)
    steps: list[tuple[int, int]] = []
    path = store.ensure_local(wanted, progress=lambda *step: steps.append(step))
    assert path == store.path_of(wanted)
    assert path.read_bytes() == CONTENT
    assert steps[-1] == (len(CONTENT), len(CONTENT))
    assert steps == sorted(steps)
    count = len(hub.requests)
    assert store.ensure_local(wanted, offline=True) == path
    assert len(hub.requests) == count
    assert capfd.readouterr() == ("", "")


@both
def test_two_downloads_at_once_are_one(hub: Hub, publish: Publish, tmp_path: Path) -> None:
    wanted, _ = publish(hub, content=bytes(3_000_000))
    path = tmp_path / wanted.source.file_name  # type: ignore[union-attr]
    started, others = [], []

    def progress(done: int, total: int) -> None:
        started.append(done)
        if not others:  # while this download is running
            others.append(threading.Thread(target=download.download, args=(wanted.source, path)))
            others[0].start()
            others[0].join(0.5)

    download.download(wanted.source, path, progress)  # type: ignore[arg-type]
    others[0].join()
    assert path.read_bytes() == bytes(3_000_000)
    assert sum(request.startswith("GET") for request in hub.requests) == 1


def test_file_in_a_folder_of_the_repository(hub: Hub) -> None:
    wanted, _ = on_hub(hub, file="color/net.pth")
    assert store.ensure_local(wanted).read_bytes() == CONTENT


@both
def test_corrupt_download_is_deleted_and_named(hub: Hub, publish: Publish) -> None:
    wanted, path = publish(hub, content=CONTENT[:-1] + b"?")
    with pytest.raises(WeightsError, match=r"damaged: its sha256 is .*`restore models fetch net`"):
        store.ensure_local(wanted)
    assert not store.path_of(wanted).exists()
    hub.files[path] = CONTENT
    assert store.ensure_local(wanted).read_bytes() == CONTENT


@both
def test_file_that_rots_in_the_cache_is_found(hub: Hub, publish: Publish) -> None:
    wanted, _ = publish(hub)
    path = store.ensure_local(wanted)
    path.write_bytes(CONTENT[:1000])
    with pytest.raises(WeightsError, match="damaged"):
        store.ensure_local(wanted)
    assert store.ensure_local(wanted).read_bytes() == CONTENT


@both
def test_cut_connection_is_resumed(
    hub: Hub, publish: Publish, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 50_000)  # 10 MB, else
    wanted, path = publish(hub)
    hub.cuts[path] = [200_000]
    assert store.ensure_local(wanted).read_bytes() == CONTENT
    assert hub.requests[-1] == f"GET {path} bytes=200000-"
    assert capfd.readouterr().err == ""


def test_broken_download_is_resumed_by_the_next_call(hub: Hub) -> None:
    wanted, path = on_web(hub)
    hub.cuts[path] = [100_000, 0]
    with pytest.raises(
        WeightsError, match=r"lost after 100000 of 300000 bytes.*`restore models fetch net`"
    ):
        store.ensure_local(wanted)
    assert not store.path_of(wanted).exists()
    assert store.ensure_local(wanted).read_bytes() == CONTENT
    assert hub.requests[-1] == f"GET {path} bytes=100000-"


def test_download_that_was_killed_before_its_last_step(hub: Hub) -> None:
    wanted, _ = on_web(hub)
    part = store.path_of(wanted).with_name("net.pth.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert store.ensure_local(wanted).read_bytes() == CONTENT
    assert not part.exists()


@both
@pytest.mark.parametrize("endless", [True, False])
def test_file_that_is_larger_than_the_table_says(hub: Hub, publish: Publish, endless: bool) -> None:
    wanted, path = publish(hub)
    if endless:
        hub.endless.add(path)
    larger = replace(wanted, size=len(CONTENT) - 1)
    with pytest.raises(
        WeightsError, match=r"Cannot download net: the server sends more than the allowed 299,999 b"
    ):
        store.ensure_local(larger)
    folder = store.cache_dir() / store.path_of(larger).relative_to(store.cache_dir()).parts[0]
    assert [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    assert store.ensure_local(replace(wanted, size=len(CONTENT))).read_bytes() == CONTENT


@pytest.mark.parametrize("url", ["http://example.org/net.pth", "ftp://example.org/net.pth"])
@both
def test_redirect_that_is_not_https(hub: Hub, publish: Publish, url: str) -> None:
    wanted, path = publish(hub)
    hub.redirects[path] = url
    with pytest.raises(
        WeightsError,
        match=f"Cannot download net: the server redirects to {url}, which is not https",
    ):
        store.ensure_local(wanted)


def test_redirect_from_https_to_this_machine() -> None:
    request = urllib.request.Request("https://example.org/net.pth")
    to = download._Redirects().redirect_request
    assert to(request, io.BytesIO(), 302, "", HTTPMessage(), "https://example.com/net.pth")
    with pytest.raises(download.RefusedError):
        to(request, io.BytesIO(), 302, "", HTTPMessage(), "http://127.0.0.1:80/net.pth")


@both
def test_redirect_on_this_machine_is_followed(hub: Hub, publish: Publish) -> None:
    wanted, path = publish(hub)
    hub.redirects[path] = f"{hub.url}{path}.other"
    hub.files[f"{path}.other"] = CONTENT
    assert store.ensure_local(wanted).read_bytes() == CONTENT


def test_missing_revision(hub: Hub) -> None:
    wanted, _ = on_hub(hub)
    hub.files = {"/deepinv/drunet/resolve/0/net.pth": CONTENT}
    with pytest.raises(
        WeightsError, match=r"RevisionNotFound.*`restore models fetch net`.*copy the file.*--model"
    ):
        store.ensure_local(wanted)


@both
def test_missing_file(hub: Hub, publish: Publish) -> None:
    wanted, path = publish(hub)
    hub.files[f"{path}.other"] = hub.files.pop(path)
    with pytest.raises(WeightsError, match=r"Cannot download net: .*404"):
        store.ensure_local(wanted)


def test_unreachable_server() -> None:
    with serving() as server:
        wanted, _ = on_web(server)
    with pytest.raises(WeightsError, match=r"refused.*on another machine"):
        store.ensure_local(wanted)


@both
@pytest.mark.parametrize("variable", [True, False])
def test_offline(
    hub: Hub, publish: Publish, variable: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    wanted, _ = publish(hub)
    with pytest.raises(
        WeightsError, match="`restore models fetch net`; without a connection"
    ) as caught:
        store.ensure_local(wanted, offline=not variable)
    assert hub.requests == []
    path = store.path_of(wanted)
    assert str(path) in str(caught.value)
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)  # as the sentence says
    assert store.ensure_local(wanted, offline=True) == path


def test_bundled_file_that_is_damaged_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_PACKAGE", tmp_path)
    with pytest.raises(WeightsError, match=r"Cannot find net at .*\. Reinstall"):
        store.ensure_local(entry())
    path = store.path_of(entry())
    path.parent.mkdir()
    path.write_bytes(b"rotten")
    with pytest.raises(WeightsError, match=r"damaged.*\. Reinstall"):
        store.ensure_local(entry())
    assert path.exists()


def test_cache_lies_where_the_platform_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESTORE_CACHE")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: f"/caches/{name}")
    assert store.cache_dir() == Path("/caches/restore-cli")


# Checkpoints of ours


@pytest.fixture
def small() -> Any:
    torch.manual_seed(0)
    network = archs.build(SMALL.arch, SMALL.params)
    network(torch.rand(2, 1, 8, 8))  # moves the statistics of its normalization
    return network.eval()


def test_checkpoint_needs_nothing_else(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    path.write_bytes(b"old")
    checkpoint.save(small, path, SMALL)
    assert list(tmp_path.iterdir()) == [path]
    loaded = checkpoint.load(path)
    assert loaded.header == SMALL
    assert (loaded.name, loaded.task, loaded.channels) == (str(path), "denoise", 1)
    assert loaded.conditions == {"sigma": Range(0, 75)}
    assert loaded.network.precisions == ("fp32", "bf16")
    x = torch.rand(1, 1, 9, 7)
    assert not loaded.network.training
    torch.testing.assert_close(loaded.network(x), small(x), atol=1e-3, rtol=0)


def test_kernels_are_kept_as_float16_and_vectors_exactly(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    checkpoint.save(small, path, SMALL)
    state = checkpoint.load(path).network.state_dict()
    for key, value in small.state_dict().items():
        kept = value.half().float() if value.ndim > 1 else value
        assert state[key].dtype == value.dtype
        assert torch.equal(state[key], kept)


def test_entry_is_saved_as_a_header(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "small.safetensors"
    checkpoint.save(small, path, entry(arch=SMALL.arch, params=SMALL.params, channels=1))
    assert type(checkpoint.load(path).header) is Header


def test_folder_that_cannot_be_written(small: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"Cannot write the checkpoint .*: No such file"):
        checkpoint.save(small, tmp_path / "none" / "small.safetensors", SMALL)


def test_entry_is_loaded_from_its_file(small: Any, hub: Hub, tmp_path: Path) -> None:
    checkpoint.save(small, tmp_path / "small.safetensors", SMALL)
    content = (tmp_path / "small.safetensors").read_bytes()
    hub.files["/net.safetensors"] = content
    known = entry(
        content=content,
        source=Url(f"{hub.url}/net.safetensors"),
        arch=SMALL.arch,
        params=SMALL.params,
    )
    loaded = checkpoint.load(known)
    assert (loaded.name, loaded.header) == ("net", known)
    for own, read in zip(small.parameters(), loaded.network.parameters(), strict=True):
        torch.testing.assert_close(read, own, atol=1e-7, rtol=1e-3)


def test_the_state_of_a_training_is_no_checkpoint(tmp_path: Path) -> None:
    save_file({"average.body.weight": torch.ones(1)}, tmp_path / "a.state.safetensors")
    with pytest.raises(WeightsError, match="it is the state of a training"):
        checkpoint.load(tmp_path / "a.state.safetensors")


def header(**values: Any) -> dict[str, str]:
    own = {"task": "denoise", "arch": SMALL.arch, "params": dict(SMALL.params), "channels": 1}
    return {KEY: json.dumps({"format": 1, **own, **values})}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "not written by restore.*model.0.bias.*supported architecture .UNet"),
        ({KEY: "{"}, "header of .* is damaged"),
        ({KEY: "[]"}, "header of .* is damaged"),
        (header(format=3), "format 3, .*Upgrade"),
        (header(mood="good"), "header of .* has unknown keys: mood"),
        (header(channels="1"), "channels cannot be '1'"),
        (header(arch="unet:Nothing"), "unet:Nothing"),
        (header(params={"wings": 2}), "wings"),
        (
            header(params={"channels": 1, "depth": 4, "width": 4}),
            "does not fit .*: 6 missing, such as model.6.bias; 1 with a different shape, such as",
        ),
        (
            header(params={"channels": 1, "depth": 3, "width": 4, "norm": False}),
            "[0-9] unexpected, such as model.3",
        ),
        (
            header(params={"channels": 1, "depth": 3, "width": 5}),
            r"with a different shape, such as model.0.bias \[4\] for \[5\]",
        ),
    ],
)
def test_header_that_is_wrong(
    small: Any, tmp_path: Path, metadata: dict[str, str], words: str
) -> None:
    path = tmp_path / "x.safetensors"
    save_file(small.state_dict(), path, metadata)
    with pytest.raises(WeightsError, match=words):
        checkpoint.load(path)


def test_a_red_net_of_format_1_is_what_it_was_when_it_was_written(tmp_path: Path) -> None:
    params = {"depth": 10, "width": 4}
    torch.manual_seed(0)
    first = archs.build("rednet:REDNet", {**params, "rectified": False}).eval()
    x = torch.rand(1, 1, 16, 16)
    for version, arch, rectified in (
        (1, "rednet:REDNet", False),
        (1, "rednet:rednet", False),
        (2, "rednet:REDNet", True),
    ):
        save_file(
            first.state_dict(),
            tmp_path / "x.safetensors",
            header(format=version, arch=arch, params=params),
        )
        loaded = checkpoint.load(tmp_path / "x.safetensors")
        assert loaded.header.params.get("rectified", True) == rectified
        assert torch.equal(loaded.network(x), first(x)) != rectified


NESTED = MAX_DEPTH + 1


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (header(arch="rednet:REDNet", params={"depth": 10**9}), "depth.* is not within 4096"),
        (header(arch="rednet:REDNet", params={"depth": 4000}), "it has more than 118 tensors"),
        (header(arch="rednet:REDNet", params={"width": 4000}), "or 1,049,050 numbers"),
        (header(arch="unet:UNet", params={"blocks": 10**5}), "blocks.* is not within"),
        (header(arch="unet:UNet", params={"blocks": [10**9] * 4}), "blocks.* is not within"),
        (header(arch="unet:UNet", params={"blocks": 4000}), "more than 118 tensors"),
        (header(arch="unet:UNet", params={"widths": [1] * 5000}), "widths.* has 5000 entries"),
        (header(arch="unet:UNet", params={"widths": []}), "list index out of range"),
        (
            header(arch="unet:UNet", params={"widths": [1] * 12, "blocks": 0}),
            "grid of 4096 .* is coarser than 256",
        ),
        (header(arch="unet:UNet", params={"scale": 0, "widths": [4]}), "zero-element"),
        (
            header(arch="unet:UNet", params={"scale": 20, "widths": [4]}),
            "scale must be from 1 to 16, not 20",
        ),
        (header(arch="unet:UNet", params={"unshuffle": 4000}), "or 1,049,050 numbers"),
        (header(arch="xunit:XDnCNN", params={"depth": 10**8}), "depth.* is not within"),
        (header(arch="xunit:XDnCNN", params={"kernel": 4}), "kernel must be odd, not 4"),
        (header(arch="xunit:XSRCNN", params={"kernels": [9, 2, 5]}), "kernels must be odd"),
        (header(arch="baselines:DnCNN", params={"depth": float("nan")}), "depth.* is not within"),
        (header(arch="baselines:DnCNN", params={"depth": "deep"}), "Cannot build"),
        (header(arch="baselines:DnCNN", params={"depth": None}), "Cannot build"),
        (header(arch="baselines:PlainUNet", params={"levels": 4000}), "Cannot build"),
        (header(arch="invertible:IRAE", params={"levels": 4000}), "Cannot build"),
        (header(arch="engine:Restorer"), "Unknown architecture"),
        (header(arch="unet:Restorer"), "not a restoration network"),
        (header(arch="a" * 10**6), "Unknown architecture 'aaaa.{0,200}aaa'"),
        (header(channels=3), "Cannot run the network of .*contradicts its header"),
        (header(conditions={"sigma": "x"}), "condition sigma cannot be 'x'"),
        (header(conditions={"sigma": []}), r"condition sigma cannot be \[\]"),
        (header(conditions={"sigma": None}), "condition sigma cannot be None"),
        (header(conditions={"sigma": [1, 2, 3]}), "condition sigma cannot be"),
        (header(conditions={"sigma": {"low": 1}}), "condition sigma cannot be"),
        (header(conditions={"sigma": [75, 0]}), "condition sigma cannot be"),
        (header(conditions={"sigma": [float("nan"), 1]}), "condition sigma cannot be"),
        (header(conditions={"sigma": 10**400}), "condition sigma cannot be"),
        (header(conditions={"scale": ["2", "x"]}), "condition scale cannot be"),
        (header(conditions={"mood": None}), "condition mood cannot be"),
        (header(scores=[{"psnr": 30}]), "score cannot be"),
        (header(scores=[{"set": "s", "protocol": "p", "psnr": "high"}]), "score cannot be"),
        (header(scores=["good"]), "score cannot be"),
        (header(precisions=[1]), r"precisions cannot be \(1,\)"),
        (
            header(recipe=json.loads('{"a": ' * NESTED + "1" + "}" * NESTED)),
            "header of .* is damaged",
        ),
        ({KEY: "[" * 10**5}, "header of .* is damaged"),
        (
            {KEY: '{"format": 1, "x": ' + "[" * 10**5 + "]" * 10**5 + "}"},
            "header of .* is damaged",
        ),
        (header(data="x" * MAX_CHARS), "header of .* is damaged"),
        (header(task=["x"] * 10**5), "header of .*: task cannot be .{0,300}$"),
        (header(**{"x" * 10**5: 1}), "header of .* has unknown keys: .{0,300}$"),
    ],
)
def test_header_of_a_stranger_costs_nothing(
    small: Any, tmp_path: Path, metadata: dict[str, str], words: str
) -> None:
    path = tmp_path / "x.safetensors"
    save_file(small.state_dict(), path, metadata)
    started, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(WeightsError, match=words) as refused:
        checkpoint.load(path)
    assert len(str(refused.value)) < 1000
    assert time.process_time() - started < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000


def test_parameters_that_contradict_each_other(tmp_path: Path) -> None:
    params = {"width": 4, "quantizer": "twn", "threshold": "high"}
    network = archs.build("binarized:BTNet", params)
    save_file(
        network.state_dict(),
        tmp_path / "x.safetensors",
        header(arch="binarized:BTNet", params=params),
    )
    with pytest.raises(WeightsError, match="its parameters contradict each other"):
        checkpoint.load(tmp_path / "x.safetensors")


def test_networks_of_other_threads_are_not_counted() -> None:
    room = archs.Room(tensors=4, numbers=10**6)
    with archs._bounded(room), ThreadPoolExecutor(1) as other:
        other.submit(archs.build, "rednet:REDNet", {}).result()
        torch.nn.Conv2d(1, 1, 1)


def test_file_that_is_damaged(small: Any, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    checkpoint.save(small, path, SMALL)
    content = path.read_bytes()
    cases = {
        b"": "not a safetensors or PyTorch checkpoint",
        b"nonsense": "not a safetensors or PyTorch checkpoint",
        content[:-9]: "damaged",
        content[:99]: "damaged",
    }
    for damaged, words in cases.items():
        path.write_bytes(damaged)
        with pytest.raises(WeightsError, match=words):
            checkpoint.load(path)
    with pytest.raises(WeightsError, match=r"Cannot read the checkpoint .*: No such file"):
        checkpoint.load(tmp_path / "none.safetensors")


# Checkpoints of others


def pickled(value: object, **options: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("bombed",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickled({"x": Bomb()}), "contains .*, which could run code"),
        (pickled({"x": Bomb()}, _use_new_zipfile_serialization=False), "contains .*could run code"),
        (pickle.dumps({"x": Bomb()}), "damaged, or not a PyTorch checkpoint"),
        (pickled({"x": torch.ones(99)})[:-200], "damaged"),
        (pickled([torch.ones(1)]), "not contain a state dict"),
        (pickled({"epoch": 3}), "not contain a state dict"),
        (
            pickled({"conv.weight": torch.ones(2, 1, 3, 3)}),
            r"1 tensors, such as conv.weight \[2, 1, 3, 3\], match no",
        ),
        (
            pickled({"m_head.weight": torch.ones(64, 4, 3, 3)}),
            "match no supported architecture .*DnCNN",
        ),
    ],
)
def test_pickle_that_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.pth").write_bytes(content)
    with pytest.raises(WeightsError, match=words):
        checkpoint.load(Path("x.pth"))
    assert list(tmp_path.iterdir()) == [tmp_path / "x.pth"]


def test_archive_that_unpacks_to_more_than_it_is(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(io.BytesIO(pickled({"x": torch.ones(1)}))) as archive,
        zipfile.ZipFile(tmp_path / "x.pth", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for info in archive.infolist():
            content = archive.read(info)
            bomb.writestr(
                info.filename, bytes(10**7) if info.filename.endswith("data/0") else content
            )
    with pytest.raises(WeightsError, match=r"it unpacks to 10,0.* bytes, more than its own size"):
        checkpoint.load(tmp_path / "x.pth")


@pytest.mark.parametrize(
    "state",
    [
        {1: torch.ones(1)},
        {("m_head", 1): torch.ones(1)},
        {"x": torch.ones(1, dtype=torch.complex64)},
        {"x": torch.ones(1, 1).to_sparse()},
        {"x": torch.ones(1, device="meta")},
    ],
)
def test_pickle_of_other_tensors(tmp_path: Path, state: object) -> None:
    (tmp_path / "x.pth").write_bytes(pickled(state))
    with pytest.raises(
        WeightsError, match=r"not contain a state dict, which maps names to tensors"
    ):
        checkpoint.load(tmp_path / "x.pth")


def test_tensors_with_more_numbers_than_the_file(tmp_path: Path) -> None:
    large = torch.ones(1).expand(2000, 2000, 2, 2)
    (tmp_path / "x.pth").write_bytes(
        pickled({"m_head.weight": torch.ones(1), "m_up1.0.weight": large})
    )
    with pytest.raises(WeightsError, match="its tensors have more numbers than the file holds"):
        checkpoint.load(tmp_path / "x.pth")


def dncnn_layout() -> dict[str, Tensor]:
    """17 convolutions with biases, BatchNorm merged: keys model.0, model.2, ... model.32; gray."""
    state = {}
    for number in range(17):
        inputs, outputs = 1 if number == 0 else 64, 1 if number == 16 else 64
        state[f"model.{2 * number}.weight"] = torch.randn(outputs, inputs, 3, 3) / (3 * inputs**0.5)
        state[f"model.{2 * number}.bias"] = torch.randn(outputs) / 10
    return state


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state}])
def test_dncnn_of_kair(tmp_path: Path, wrap: Callable[[object], object]) -> None:
    state = dncnn_layout()
    (tmp_path / "dncnn_50.pth").write_bytes(pickled(wrap(state)))
    loaded = checkpoint.load(tmp_path / "dncnn_50.pth")
    assert (loaded.task, loaded.channels, loaded.name) == (
        "denoise",
        1,
        str(tmp_path / "dncnn_50.pth"),
    )
    assert loaded.conditions == {}  # the layout does not tell the level

    x = noise = torch.rand(1, 1, 12, 10)
    for number in range(0, 34, 2):
        noise = conv2d(
            noise, state[f"model.{number}.weight"], state[f"model.{number}.bias"], padding=1
        )
        noise = noise.relu() if number < 32 else noise
    with torch.inference_mode():
        torch.testing.assert_close(loaded.network(x), x - noise)


def test_foreign_file_of_an_entry_is_that_entry(tmp_path: Path, use: Callable[..., None]) -> None:
    content = pickled(dncnn_layout())
    known = catalog.entries()["kair-dncnn-25"]
    other = replace(known, name="other", conditions={"sigma": 15})
    use(other, replace(known, sha256=hashlib.sha256(content).hexdigest()))
    (tmp_path / "x.pth").write_bytes(content)
    loaded = checkpoint.load(tmp_path / "x.pth")
    assert (loaded.name, loaded.conditions) == ("kair-dncnn-25", {"sigma": 25})


def drunet_layout(
    channels: int, widths: tuple[int, ...] = (64, 128, 256, 512)
) -> dict[str, Tensor]:
    """No biases; 4 residual blocks a level, before each strided and after each transposed
    convolution.
    """
    shapes = {
        "m_head.weight": (widths[0], channels + 1, 3, 3),
        "m_tail.weight": (channels, widths[0], 3, 3),
    }

    def blocks(prefix: str, first: int, width: int) -> None:
        for number in range(first, first + 4):
            for layer in (0, 2):
                shapes[f"{prefix}.{number}.res.{layer}.weight"] = (width, width, 3, 3)

    for level in (1, 2, 3):
        fine, coarse = widths[level - 1], widths[level]
        blocks(f"m_down{level}", 0, fine)
        shapes[f"m_down{level}.4.weight"] = (coarse, fine, 2, 2)
        shapes[f"m_up{level}.0.weight"] = (coarse, fine, 2, 2)  # transposed: inputs first
        blocks(f"m_up{level}", 1, fine)
    blocks("m_body", 0, widths[3])
    return {
        key: torch.randn(shape) / (shape[1] * shape[2] * shape[3]) ** 0.5
        for key, shape in shapes.items()
    }


def drunet(state: Mapping[str, Tensor], x: Tensor) -> Tensor:
    def blocks(x: Tensor, prefix: str, first: int = 0) -> Tensor:
        for number in range(first, first + 4):
            inner = conv2d(x, state[f"{prefix}.{number}.res.0.weight"], padding=1).relu()
            x = x + conv2d(inner, state[f"{prefix}.{number}.res.2.weight"], padding=1)
        return x

    skips = [conv2d(x, state["m_head.weight"], padding=1)]
    for level in (1, 2, 3):
        down = f"m_down{level}"
        skips.append(conv2d(blocks(skips[-1], down), state[f"{down}.4.weight"], stride=2))
    x = blocks(skips[3], "m_body")
    for level in (3, 2, 1):
        up = f"m_up{level}"
        x = blocks(
            conv_transpose2d(x + skips[level], state[f"{up}.0.weight"], stride=2), up, first=1
        )
    return conv2d(x + skips[0], state["m_tail.weight"], padding=1)


def narrow(known: Entry) -> Entry:
    return replace(known, params={**known.params, "widths": [4, 6, 8, 10]})


@pytest.mark.parametrize("name", ["drunet-color", "drunet-gray"])
def test_drunet_computes_what_its_authors_do(
    tmp_path: Path, use: Callable[..., None], name: str
) -> None:
    channels = catalog.entries()[name].channels
    use(*(narrow(catalog.entries()[other]) for other in ("drunet-gray", "drunet-color")))
    torch.manual_seed(0)
    state = drunet_layout(channels, (4, 6, 8, 10))
    (tmp_path / "x.pth").write_bytes(pickled(state))
    loaded = checkpoint.load(tmp_path / "x.pth")
    assert (loaded.channels, loaded.conditions) == (channels, {"sigma": Range(0, 50)})
    x = torch.rand(2, channels + 1, 24, 16).double()
    state = {key: value.double() for key, value in state.items()}
    with torch.inference_mode():
        torch.testing.assert_close(loaded.network.double()(x), drunet(state, x))


@pytest.mark.parametrize("name", ["drunet-color", "drunet-gray", "drunet-color-ft"])
def test_layout_of_drunet_in_full(name: str) -> None:
    known = catalog.entries()[name]
    with torch.device("meta"):
        wanted = archs.build(known.arch, known.params)
        given = wanted.convert_state(drunet_layout(known.channels))
    assert {key: value.shape for key, value in given.items()} == {
        key: value.shape for key, value in wanted.state_dict().items()
    }


# restore models


@pytest.fixture
def shell(hub: Hub, use: Callable[..., None]) -> Callable[..., Any]:
    known = catalog.entries()["kair-dncnn-25"]
    content = pickled(dncnn_layout())
    hub.files["/dncnn.pth"] = content
    source = Url(f"{hub.url}/dncnn.pth")
    use(
        replace(
            known, source=source, size=len(content), sha256=hashlib.sha256(content).hexdigest()
        ),
        entry("other", short="usual", default=True, source=Url(f"{hub.url}/none.pth")),
    )
    return lambda *words: CliRunner().invoke(models.app, words)


def test_models_fetch_list_and_verify(shell: Callable[..., Any]) -> None:
    assert [record["where"] for record in json.loads(shell("list", "--json").stdout)] == [
        "download"
    ] * 2
    fetched = shell("fetch", "dncnn")
    name, path = fetched.stdout.rstrip("\n").split(" ", 1)
    assert name == "kair-dncnn-25" and fetched.stderr.startswith(f"Downloading {name} (2.2 MB, ")
    assert Path(path).is_file()
    assert [record["where"] for record in json.loads(shell("list", "--json").stdout)] == [
        "cached",
        "download",
    ]
    assert shell("verify", "kair-dncnn-25", "dncnn").stdout == "kair-dncnn-25: OK\n"
    assert shell("verify", "--all").stdout == "kair-dncnn-25: OK\n"
    Path(path).write_bytes(b"rotten")
    assert "damaged" in str(shell("verify", "--all").exception)


def test_models_fetch_shows_progress_on_a_terminal(
    shell: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = io.StringIO()
    monkeypatch.setattr(models, "stderr", Console(file=terminal, force_terminal=True, width=100))
    shell("fetch", "dncnn")
    assert "2.2/2.2 MB" in terminal.getvalue()


def test_models_list_reads_well_at_80_columns() -> None:
    lines = CliRunner().invoke(models.app, ["list"]).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    tasks = [line.removesuffix(":") for line in lines if line.endswith(":")]
    assert tasks == sorted({entry.task for entry in catalog.entries().values()})
    heads = [line.split()[0] for line in lines if line[0] != " " and not line.endswith(":")]
    assert sorted(heads) == sorted(["model", *catalog.entries()])
    below = Counter(line.strip() for line in lines[3:] if line[0] == " ")
    scores = Counter(
        str(series) for entry in catalog.entries().values() for series in entry.series()
    )
    assert below >= scores
    purposes = below - scores
    assert purposes.total() == len(catalog.entries())
    assert all(any(entry.good in line for line in purposes) for entry in catalog.entries().values())
    defaults = {line.split()[0] for line in lines[3:] if line.split()[1:2] == ["*"]}
    assert defaults == {entry.name for entry in catalog.entries().values() if entry.default}


def test_models_list_and_show(shell: Callable[..., Any]) -> None:
    table = shell("list").stdout
    assert all(
        word in table for word in ("kair-dncnn-25", "gray", " 2.2", "MIT", "download", "29.23")
    )
    sheet = shell("show", "dncnn").stdout
    assert all(
        word in sheet
        for word in ("baselines:DnCNN", "depth=17", "sigma 25", "BSD68 sigma 25: 29.23")
    )
    assert re.search(r"^parameters +555,\d{3} *$", sheet, re.MULTILINE)
    assert re.search(
        r"^work +1,10\d kFLOP per output pixel", sheet, re.MULTILINE
    )  # two for each parameter
    (record,) = json.loads(shell("show", "dncnn", "--json").stdout)
    assert record["conditions"] == {"sigma": 25}
    assert record["path"] == str(store.path_of(catalog.find("dncnn")[0]))


def test_models_show_tells_what_a_checkpoint_says_of_itself(
    shell: Callable[..., Any], tmp_path: Path, checkpoints: dict[int, Path]
) -> None:
    network = checkpoint.load(checkpoints[1]).network
    levels = {"rain": Choice(("streaks", "streaks", "depth")), "heaviness": Range(0, 1)}
    scores = [
        Score(
            "held out",
            Protocol("validation"),
            psnr,
            levels={"rain": rain, "heaviness": heaviness},
        )
        for rain, heaviness, psnr in (
            ("streaks", 0.2, 30),
            ("streaks", 0.8, 25),
            ("depth", 0.5, 20),
        )
    ]
    header = Header(
        task="derain",
        arch="unet:UNet",
        params={"channels": 1, "widths": [8, 8]},
        channels=1,
        conditions=levels,
        scores=tuple(scores),
        data="2 images of photos",
    )
    checkpoint.save(network, tmp_path / "mine.safetensors", header)
    sheet = shell("show", str(tmp_path / "mine.safetensors")).stdout
    for words in (
        "trained for   rain streaks or depth, heaviness 0 to 1",
        "held out rain streaks heaviness 0.2 0.8: 30.00 25.00",
        "held out rain depth heaviness 0.5: 20.00",
        "2 images of photos",
    ):
        assert words in sheet
    assert sheet.count(" [1]") == 3 and re.search(
        r"^protocols +\[1\] validation *$", sheet, re.MULTILINE
    )
    (record,) = json.loads(shell("show", str(tmp_path / "mine.safetensors"), "--json").stdout)
    assert record["task"] == "derain"


def test_scores_are_told_by_set_protocol_and_kind_of_damage() -> None:
    def score(set: str, psnr: float, protocol: str = "8-bit", **levels: Any) -> Score:
        return Score(
            set, Protocol(protocol, published=protocol == "published"), psnr, levels=levels
        )

    scores = (
        score("set5", 37.126, scale=2),
        score("set14", 32, scale=2),
        score("set5", 33, scale=3),
        score("set5", 31, scale=4.0),
        score("Set5", 31.5, "published", scale=4),
        score("live1", 30, damage="text", size=20, share=0.05, blind=True),
        score("live1", 29, damage="text", size=20, share=0.1, blind=True),
        score("live1", 28, damage="scratches", size=20, share=0.1, blind=True),
        score("rain", 27),
    )
    series = Header(task="sr", arch="", params={}, channels=3, scores=scores).series()
    assert [str(one) for one in series] == [
        "set5 scale 2 3 4: 37.13 33.00 31.00",
        "set14 scale 2: 32.00",
        "Set5 scale 4: 31.50 (published)",
        "live1 damage text size 20 share 0.05 0.1 blind: 30.00 29.00",
        "live1 damage scratches size 20 share 0.1 blind: 28.00",
        "rain: 27.00",
    ]
    assert str(series[0].middle) == "set5 scale 3: 33.00"


@pytest.mark.parametrize(
    ("words", "error", "sentence"),
    [
        (["fetch"], UsageError, "Give their names, or --all"),
        (["verify", "dncnn", "--all"], UsageError, "Give their names, or --all"),
        (["show", "dncn"], WeightsError, "did you mean dncnn"),
        (["fetch", "--all"], WeightsError, "Cannot download other: .*404"),
        (
            ["verify", "other", "dncnn"],
            WeightsError,
            "Cannot find other: it is not downloaded.*Cannot find kair-dncnn-25: it is not",
        ),
    ],
)
def test_models_that_fail(
    shell: Callable[..., Any], words: list[str], error: type[Exception], sentence: str
) -> None:
    outcome = shell(*words)
    with pytest.raises(error, match=sentence):
        raise outcome.exception


def test_models_list_imports_no_torch() -> None:
    code = (
        "import sys; from restore_cli.cli.models import app; app(['list'], standalone_mode=False);"
        "sys.exit(bool({'torch', 'huggingface_hub', 'safetensors'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
