"""The catalog of public models: licenses, the cache, files from elsewhere, and what is said of
them.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hub import Hub, serving
from PIL import Image
from rich.filesize import decimal
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

from restore_cli import archs
from restore_cli.cli import app, models
from restore_cli.download import Url
from restore_cli.errors import UsageError, WeightsError
from restore_cli.models import catalog, checkpoint, store
from restore_cli.models.catalog import Bundled, Entry
from restore_cli.tasks import TASKS

TABLE = catalog.entries()
PUBLIC = [name for name, entry in TABLE.items() if entry.good]


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_entry_says_what_users_ask(name: str) -> None:
    entry = TABLE[name]
    assert not isinstance(entry.source, Bundled)
    assert entry.speed in ("fast", "medium", "slow")
    assert entry.choice in ("", "best", "fast")
    assert entry.paper and entry.license and entry.verified in ("bytes", "pointer", "catalog")


@pytest.mark.parametrize("name", [name for name in PUBLIC if TABLE[name].arch in archs.INFERRED])
def test_a_public_entrys_size_is_that_of_its_network(name: str) -> None:
    """As float32; SPAN's files hold the unmerged convolutions, too. Each tensor takes some 400
    bytes more.
    """
    entry = TABLE[name]
    with torch.device("meta"):
        state = archs.build(entry.arch, entry.params).state_dict()
    if entry.arch != "span:SPAN" and entry.size:
        size = 4 * sum(value.numel() for value in state.values())
        assert size <= entry.size < 1.2 * size + 400 * len(state)


@pytest.mark.parametrize(
    ("model", "task", "scale", "name"),
    [
        ("best", "sr", 3, "smfanet-plus-x3"),
        ("fast", "sr", 2, "span-ch48-x2"),
        ("photo", "sr", 4, "sr-photo-x4"),
        ("realesrgan", "sr", 2, "realesrgan-x2plus"),
        ("realesrgan", "sr", 4, "realesrgan-x4plus"),
        ("nafnet", "denoise", 1, "nafnet-sidd-32"),
        ("nafnet", "deblur", 1, "nafnet-gopro-32"),
        ("best", "deblur", 1, "nafnet-gopro-64"),
        ("ffdnet", "denoise", 1, "kair-ffdnet-color"),
        ("prenet", "derain", 1, "prenet-rain100h"),
        ("hat", "sr", 3, "hat-x3"),
        ("dat", "sr", 4, "dat-x4"),
        ("swinir", "sr", 2, "swinir-m-x2"),
        ("scunet", "denoise", 1, "scunet-real-psnr"),
        ("restormer", "denoise", 1, "restormer-denoise-real"),
        ("restormer", "derain", 1, "restormer-derain"),
        ("fbcnn", "deblock", 1, "fbcnn-color"),
        ("lama", "inpaint", 1, "lama"),
        ("aodnet", "dehaze", 1, "aodnet"),
        ("best", "denoise", 1, "drunet-color"),
        ("best", "deblock", 1, "fbcnn-color"),
        ("best", "derain", 1, "restormer-derain"),
        ("best", "inpaint", 1, "lama"),
        ("photo", "denoise", 1, "denoise-photo"),
        ("photo", "deblur", 1, "nafnet-reds-64"),
    ],
)
def test_well_known_names(model: str, task: str, scale: float, name: str) -> None:
    chosen = catalog.choose(model, task, 3, scale)
    assert isinstance(chosen, Entry)
    assert chosen.name == name


@pytest.mark.parametrize("choice", catalog.CHOICES)
@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_choice(choice: str, task: str) -> None:
    """A model of that kind, or the default, or where there is none what there is."""
    chosen = catalog.choose(choice, task, 3, 2)
    assert isinstance(chosen, Entry)
    if choice not in chosen.names:
        assert chosen.default or not any(
            entry.default for entry in TABLE.values() if entry.task == task
        )


# A table of three small networks on a server

LICENSES = (("free", "MIT", 2), ("bound", "CC-BY-NC-4.0", 4), ("bare", "none stated", 3))


def pickled(state: Mapping[str, Tensor]) -> bytes:
    file = io.BytesIO()
    torch.save({"params": dict(state)}, file)
    return file.getvalue()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    params = {"depth": 1, "width": 4}
    with serving() as server:
        table = {}
        for name, license, scale in (
            ("free", "MIT", 2),
            ("bound", "CC-BY-NC-4.0", 4),
            ("bare", "none stated", 3),
        ):
            torch.manual_seed(scale)
            content = pickled(
                archs.build("compact:Compact", {**params, "scale": scale}).state_dict()
            )
            server.files[f"/{name}.pth"] = content
            table[name] = replace(
                TABLE["realesr-general-x4v3"],
                name=name,
                short="small",
                params={**params, "scale": scale},
                conditions={"scale": scale},
                source=Url(f"{server.url}/{name}.pth"),
                sha256=hashlib.sha256(content).hexdigest(),
                size=len(content),
                license=license,
            )
        table["own"] = replace(TABLE["sr-color-x2"], name="own", short="")
        monkeypatch.setattr(catalog, "entries", lambda: table)
        yield server


def shell(*words: str) -> Any:
    outcome = CliRunner().invoke(models.app, words)
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    return outcome


@pytest.mark.parametrize(
    ("name", "terms"), [("bound", "not for commercial use"), ("bare", "no license is stated")]
)
def test_a_license_is_to_be_accepted_once(hub: Hub, name: str, terms: str) -> None:
    for call in (lambda: shell("fetch", name), lambda: checkpoint.load(catalog.find(name)[0])):
        with pytest.raises(WeightsError, match=f"{terms} .*fetch {name} --accept-license {name}"):
            call()
    assert hub.requests == []
    fetched = shell("fetch", name, "--accept-license", name)
    assert fetched.stdout.startswith(f"{name} ")
    assert f"{name}: {terms}" in fetched.stderr
    shell("remove", name)
    assert checkpoint.load(catalog.find(name)[0]).name == name  # fetched again


def test_a_license_is_accepted_where_a_model_is_used(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {**catalog.entries(), "noise-level": TABLE["noise-level"]}  # which measures every photo
    monkeypatch.setattr(catalog, "entries", lambda: table)
    Image.new("RGB", (20, 20), "gray").save(tmp_path / "x.png")

    def restore(*words: str) -> Any:
        model = ("--model", "bound", "--scale", "4", "--device", "cpu", "--overwrite")
        return CliRunner().invoke(app, ["sr", str(tmp_path / "x.png"), *model, *words])

    refused = restore()
    said = " ".join(refused.stderr.split())
    assert (refused.exit_code, hub.requests) == (3, [])
    assert "not for commercial use (CC-BY-NC-4.0, " in said and "add --accept-license bound" in said
    taken = restore("--accept-license", "bound")
    assert taken.exit_code == 0, taken.stderr
    assert restore().exit_code == 0  # the cache keeps it
    vague = restore("--accept-license", "best")
    assert vague.exit_code == 2 and "Give a full name" in " ".join(vague.stderr.split())


def test_compare_accepts_a_license_too(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = {**catalog.entries(), "noise-level": TABLE["noise-level"]}  # which measures every photo
    monkeypatch.setattr(catalog, "entries", lambda: table)
    Image.new("RGB", (20, 20), "gray").save(tmp_path / "x.png")
    words = [
        "compare",
        str(tmp_path / "x.png"),
        "--models",
        "bound",
        "--level",
        "scale=4",
        "--device",
        "cpu",
    ]
    words += ["-o", str(tmp_path / "page.html")]
    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 1 and "add --accept-license bound" in " ".join(
        refused.stderr.split()
    )
    taken = CliRunner().invoke(app, [*words, "--accept-license", "bound"])
    assert taken.exit_code == 0, taken.stderr


def test_fetching_many_leaves_out_what_is_not_accepted(hub: Hub) -> None:
    fetched = shell("fetch", "--task", "sr", "--accept-license", "bound")
    assert [line.split()[0] for line in fetched.stdout.splitlines()] == ["free", "bound", "own"]
    assert "bare was skipped. Cannot download bare without your consent" in " ".join(
        fetched.stderr.split()
    )


def test_a_download_is_announced_once(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in "a.png", "b.png":
        Image.linear_gradient("L").resize((24, 20)).save(name)
    size, place = catalog.entries()["free"].size, hub.url.removeprefix("http://")
    said = (
        f"Downloading free ({decimal(size or 0)}, license: MIT) from {place}."
        f" It is kept in {tmp_path / 'cache'}, so that this happens once."
    )
    words = ["sr", "a.png", "b.png", "--scale", "2", "--model", "free", "--device", "cpu"]
    first, *others = CliRunner().invoke(app, words).stderr.splitlines()
    assert first == said and said not in others and len(others) == 3
    assert "Downloading" not in CliRunner().invoke(app, [*words, "--overwrite"]).stderr
    shell("remove", "free")
    assert CliRunner().invoke(app, [*words, "--overwrite", "--quiet"]).stderr == ""
    shell("remove", "free")
    assert shell("fetch", "free").stderr.splitlines()[0] == said
    assert "Downloading" not in shell("fetch", "free").stderr


def test_the_list_is_filtered(hub: Hub) -> None:
    def names(*words: str) -> list[str]:
        return [record["name"] for record in json.loads(shell("list", "--json", *words).stdout)]

    assert names("--task", "sr") == ["free", "bound", "bare", "own"]
    assert names("--license", "mit") == ["free"]
    assert names("--license", "none") == ["bare"]
    assert names("--installed") == ["own"]
    shell("fetch", "free")
    assert names("--installed") == ["free", "own"]
    text = shell("list", "--license", "cc").stdout
    assert "small: degraded photos on a CPU; smooths noise (not for commercial use)" in text
    with pytest.raises(UsageError, match="No model matches"):
        shell("list", "--license", "GPL")
    with pytest.raises(UsageError, match="Unknown task 'derain'; expected one of sr"):
        shell("list", "--task", "derain")


def test_what_has_to_be_installed_is_said() -> None:
    assert "needs restore-cli[community]" in " ".join(shell("show", "scunet").stdout.split())
    assert (
        "best: large holes (needs restore-cli[community])"
        in shell("list", "--task", "inpaint").stdout
    )


def test_a_file_from_elsewhere_is_added(hub: Hub, tmp_path: Path) -> None:
    carried = tmp_path / "download.pth"
    carried.write_bytes(hub.files["/free.pth"])
    placed = shell("add", "small", str(carried)).stdout.strip()
    assert placed == str(store.path_of(catalog.find("free")[0]))
    assert shell("path", "free").stdout.strip() == placed
    assert checkpoint.load(catalog.find("free")[0], offline=True).name == "free"
    assert hub.requests == []

    carried.write_bytes(hub.files["/bare.pth"])
    with pytest.raises(WeightsError, match="no license is stated"):
        shell("add", "bare", str(carried))
    shell("add", "bare", str(carried), "--accept-license", "bare")
    carried.write_bytes(b"other")
    with pytest.raises(
        WeightsError, match=r"Cannot add .*download.pth as free: its sha256 is d9298a10d1b07"
    ):
        shell("add", "free", str(carried))
    with pytest.raises(WeightsError, match=r"Cannot add .*none.pth: No such file"):
        shell("add", "free", str(tmp_path / "none.pth"))


def test_what_is_removed_is_gone(hub: Hub) -> None:
    shell("fetch", "free")
    shell("remove", "free")
    assert list(store.cache_dir().iterdir()) == []
    for name, words in (("free", "it is not in the cache"), ("own", "it is part of restore-cli")):
        with pytest.raises(WeightsError, match=f"Cannot remove {name}: {words}"):
            shell("remove", name)
    with pytest.raises(UsageError, match="'small' is ambiguous"):
        shell("remove", "small")
    with pytest.raises(
        WeightsError,
        match=r"Cannot find free: it is not downloaded\. Run `restore models fetch",
    ):
        shell("path", "free")


def test_an_unknown_file_says_what_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = archs.build("compact:Compact", {"depth": 2, "width": 8, "scale": 2}).state_dict()
    file = tmp_path / "x.safetensors"
    save_file({key: value.half() for key, value in state.items()}, file, {"license": "CC0-1.0"})
    sheet = " ".join(shell("show", str(file)).stdout.split())
    for words in (
        "task sr",
        "architecture compact:Compact channels=3, scale=2, depth=2, width=8",
        "scale 2",
        f"parameters {sum(value.numel() for value in state.values()):,}",
        "stored as float16",
        "license CC0-1.0",
        "tiles exact, with a halo of 4 pixels",
    ):
        assert words in sheet
    (record,) = json.loads(shell("show", str(file), "--json").stdout)
    assert record["arch"] == "compact:Compact"


def test_a_file_that_keeps_the_size_serves_any_task(tmp_path: Path) -> None:
    network = archs.build("nafnet:NAFNet", {"width": 4, "encoder": [1, 1], "decoder": [1, 1]})
    torch.save(network.state_dict(), tmp_path / "x.pth")
    sheet = " ".join(shell("show", str(tmp_path / "x.pth")).stdout.split())
    assert "task any that keeps the image size" in sheet
    assert "tiles approximate, because the network looks at the entire photo" in sheet


class Net:
    """Of a checkpoint that pickles its class."""


def test_a_pickled_class_is_named_and_refused(tmp_path: Path) -> None:
    torch.save({"net": Net()}, tmp_path / "x.pth")
    with pytest.raises(
        WeightsError, match=r"Cannot load .*: it contains .*Net, which could run code"
    ):
        shell("show", str(tmp_path / "x.pth"))


@pytest.mark.parametrize("seed", range(20))
def test_foreign_state_dicts_are_refused_with_one_sentence(tmp_path: Path, seed: int) -> None:
    """Of known names and shapes that are not right: a key lost, a shape or a number changed."""
    arch = archs.INFERRED[seed % len(archs.INFERRED)]
    small: dict[str, dict[str, Any]] = {
        "rrdb:RRDBNet": {"blocks": 1, "width": 4, "growth": 2},
        "nafnet:NAFNet": {"width": 4, "encoder": [1], "decoder": [1]},
        "smfanet:SMFANet": {"width": 4, "blocks": 1},
    }
    state = dict(archs.build(arch, small.get(arch, {"width": 4})).state_dict())
    keys = sorted(state)
    key = keys[(7 * seed) % len(keys)]
    value = state.pop(key)
    if seed % 2:
        state[key] = torch.cat([value, value])
    torch.save(state, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"match no supported architecture \(.*projects\.$"):
        checkpoint.load(tmp_path / "x.pth")
