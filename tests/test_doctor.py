"""`restore doctor`: what it finds, and that it notices what is wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from typer.testing import CliRunner

import restore_cli
from restore_cli import diagnostics
from restore_cli.cli import app
from restore_cli.models import catalog, store
from restore_cli.models.catalog import Bundled


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Without the self-test; returns the folder for downloads."""
    monkeypatch.setattr(diagnostics, "_self_test", lambda: iter(()))
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def run(*words: str) -> Any:
    return CliRunner().invoke(app, ["doctor", *words])


@pytest.mark.weights
def test_a_sound_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "_SIDE", 128)
    result = run("--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["ok"] and found["problems"] == []
    assert found["versions"]["restore"] == restore_cli.__version__
    assert found["versions"]["PyTorch"] == torch.__version__
    assert found["devices"]["cores"]["threads"] == psutil.cpu_count()
    assert found["memory"]["memory"] == psutil.virtual_memory().total
    bundled = [
        entry.name
        for entry in catalog.entries().values()
        if isinstance(entry.source, catalog.Bundled)
    ]
    assert found["models"]["bundled"] == {"verified": bundled, "damaged": []}
    test = found["self-test"]["cpu_fp32"]
    assert test["gain_db"] > 12 and test["megapixels_per_s"] > 0 and test["agreement_db"] is None
    if torch.cpu.get_capabilities().get("amx_bf16"):
        assert 50 < found["self-test"]["cpu_bf16"]["agreement_db"] < 100


def test_people_get_a_line_for_each_finding(quick: Path) -> None:
    lines = run().stdout.splitlines()
    assert lines[0] == "versions" and lines[-1] == "Everything works."
    assert f"  restore       {restore_cli.__version__}" in lines
    assert f"  folder        {quick}" in lines and not quick.exists()


@pytest.mark.weights
def test_a_device_that_computes_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    from restore_cli.pipeline import apply

    monkeypatch.setattr(apply, "restore", lambda noisy, *others: noisy)
    result = run()
    assert result.exit_code == 1
    assert "error: Wrong result on cpu in fp32: gain 0.0 dB; expected at least 10" in result.stderr
    assert "--device cpu --precision fp32." in result.stderr


def test_a_damaged_download(quick: Path) -> None:
    path = store.path_of(catalog.find("drunet-color")[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a file")
    result = run()
    assert result.exit_code == 1 and path.exists()
    assert "  downloaded    0 of 1 verified" in result.stdout
    assert "models remove drunet-color` and `restore models fetch drunet-color`." in result.stderr


def test_a_library_that_cannot_be_loaded(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    result = run("--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["problems"] == [result.stderr.strip()[len("error: ") :]]
    assert result.stderr.startswith("error: Cannot load OpenCV: ") and "pip in" in result.stderr


def test_a_section_that_fails_hides_no_other(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Iterator[diagnostics.Finding]:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(diagnostics, "_devices", fail)
    result = run()
    bundled = sum(isinstance(each.source, Bundled) for each in catalog.entries().values())
    assert result.exit_code == 1 and f" of {bundled} verified" in result.stdout
    assert result.stderr.startswith("error: Cannot examine the devices: no such thing. Run `pip")


def test_little_memory_and_disk(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnostics, "_LEAST_MEMORY", 1e18)
    monkeypatch.setattr(diagnostics, "_LEAST_DISK", 1e18)
    result = run()
    assert result.exit_code == 1
    assert "of memory is free. Close other programs." in result.stderr
    assert "set RESTORE_CACHE to another folder." in result.stderr


def test_a_file_instead_of_the_folder_of_models(
    quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RESTORE_CACHE", str(tmp_path / "file"))
    assert f"Cannot write to {tmp_path / 'file'}" in run().stderr


def test_a_gpu_without_its_pytorch(quick: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(diagnostics, "_has_nvidia", lambda: True)
    result = run()
    assert result.exit_code == 1 and "Install its build for CUDA" in result.stderr
