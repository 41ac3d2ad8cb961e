"""The architecture: which module may import which, and that formatter, linter and type checker are
content.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "restore_cli"
ORDER = [
    "cli",
    "serve",
    "diagnostics",
    "bench",
    "training",
    "pipeline",
    "degradations",
    "tasks",
    "findings",
    "blur",
    "noise",
    "haze",
    "recipes",
    "datasets",
    "models",
    "archs",
    "engine",
    "forward",
    "device",
    "tiles",
    "network",
    "memory",
    "metrics",
    "image",
    "download",
    "report",
    "tables",
    "levels",
    "storage",
    "atomic",
    "errors",
]
SHARED = {  # what brothers may import
    "cli": {
        "bench_display",
        "bench_options",
        "choose_models",
        "completion",
        "display",
        "examples",
        "fields",
        "model_facts",
        "options",
        "outcomes",
        "preview",
        "progress",
        "signals",
        "chain",
        "defaults",
        "presets",
        "restore",
        "sources",
        "summary",
        "train_list",
        "train_options",
        "train_progress",
        "train_recipe",
        "train_show",
        "values",
    },
    "archs": {"layers", "rivals"},
}
LINES = {  # packages whose files form a line, too: left may import right, __init__ is the package
    "pipeline": "rerun facts lineup auto batch cluster workers photo records steps provenance apply"
    " networks compare masks measure watch journal request plan files inputs",
    "serve": "app upload jobs work pages options guard config",
    "degradations": "blur_kind blur downscale haze jpeg missing noise noise_level rain masks paint"
    " look lettering wear photo_noise weather camera grain mosaic filters __init__",
    "tasks": "deblock deblur dehaze denoise derain inpaint measuring sr detection missing"
    " __init__ restoration",
    "image": "pages read damage write fit raw png_read png_write tiff_read tiff_samples tiff_write"
    " tiff_layout avif bmp gif heif jxl jxl_header jpeg pnm webp photoshop compression"
    " pillow_read pillow_write resolution opencv raster exif tiff_tags pillow stderr bounds formats"
    " isobmff animation png_chunks color picture resampling frame arrays deflate xmp",
    "models": "export checkpoint recognize build eight_bits read_file store catalog header scores",
    "bench": "suites verify run pictures cache rows protocol measurement methods cases request"
    " baselines classical ncnn_networks libraries published statistics costs origin",
    "datasets": "find fetch archive layout pairing known",
    "report": "bench_report bench_page gallery study html scores batch_report record row provenance"
    " comparison figures escaping",
    "metrics": "perceptual jpeg_quality noise_level fidelity",
    "training": "study sweep queue estimate loop setup header validation start step loader"
    " patches gaps data store samples clock state objectives optimizer distributed request log"
    " progress recipe default_network network_input checks",
}


def imports(path: Path) -> Iterator[tuple[str, ...]]:
    """The package's own modules that a file imports, as ("archs", "unet")."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            folder = ROOT.joinpath(*module.split("."))
            files = {path.stem for path in folder.iterdir()} if folder.is_dir() else set()
            names = [
                f"{module}.{alias.name}" if alias.name in files else module for alias in node.names
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name.startswith("restore_cli."):
                yield tuple(name.split(".")[1:])


@pytest.mark.parametrize(
    "path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_imports_go_one_way(path: Path) -> None:
    here = path.relative_to(PACKAGE).with_suffix("").parts
    for there in imports(path):
        if here[0] in ("__init__", "__main__") or there[0] not in ORDER:
            continue
        assert ORDER.index(here[0]) <= ORDER.index(there[0]), (
            f"{'.'.join(here)} imports {'.'.join(there)}"
        )
        line = LINES.get(here[0], "").split()
        if here[0] == there[0] and here[1] in line:
            file = there[1] if len(there) > 1 else "__init__"
            assert file in line, f"{here} imports its package, not a file of it"
            assert line.index(here[1]) < line.index(file), f"{here} imports {there}"
            continue
        brothers = here[0] == there[0] and len(there) > 1 and here[1] != "__init__"
        allowed = SHARED.get(here[0], set())
        assert not brothers or there[1] in allowed, f"{here} imports its brother {there}"


def test_the_order_names_every_module() -> None:
    modules = {
        path.stem
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert modules - {"__init__", "__main__"} == set(ORDER)


@pytest.mark.parametrize("package", LINES)
def test_the_line_names_every_file(package: str) -> None:
    files = {path.stem for path in (PACKAGE / package).glob("*.py")}
    assert files - {"__init__"} == set(LINES[package].split()) - {"__init__"}


@pytest.mark.parametrize(
    "command",
    [["ruff", "format", "--check", "."], ["ruff", "check", "."], ["mypy"]],
    ids=["format", "lint", "types"],
)
def test_tools_are_content(command: list[str]) -> None:
    answer = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_no_code_that_bandit_finds_unsafe() -> None:
    pytest.importorskip("bandit")
    command = [sys.executable, "-m", "bandit", "-q", "-c", "pyproject.toml", "-r", "restore_cli"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
