"""A cache of measurements, so that an interrupted benchmark can resume."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import PIL
import torch

from restore_cli.bench.cases import Case
from restore_cli.bench.measurement import Measurement
from restore_cli.bench.methods import Method
from restore_cli.datasets.layout import Example
from restore_cli.device import find_device
from restore_cli.errors import RestoreError
from restore_cli.models import catalog
from restore_cli.models.store import cache_dir

_MAX_AGE_DAYS = 30  # of the measurements of a run that was never resumed


def cache_key(method: Method, case: Case, example: Example) -> str:
    """The key of a measurement; it depends on everything that can change the result."""
    request = case.request
    paths = filter(None, (example.clean, example.damaged))
    files = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime) for path in paths]
    metrics = [metric.name for metric in request.metrics]
    damage = [repr(case.damage), files, request.colors, request.clip]
    device = str(find_device(request.settings.device))
    parts = [_hash_code(), _versions(), device, method.cache_key, *damage, metrics]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@cache
def _hash_code() -> str:
    """The hash of the source code and of the catalog of models."""
    code = hashlib.sha256(repr(catalog.entries()).encode())
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        code.update(path.read_bytes())
    return code.hexdigest()


def _versions() -> list[str]:
    """The versions of the libraries that damage, restore and measure images."""
    return [library.__version__ for library in (torch, np, cv2, PIL)]


class ResultCache:
    """Measurements by key, in a file that survives an interruption; they expire after 30 days.

    Raises:
        RestoreError: the file cannot be opened, read or written.
    """

    def __init__(self) -> None:
        self.path = cache_dir() / "bench.sqlite"
        with self._guard():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(
                self.path,
                timeout=60,
                isolation_level=None,  # commit each statement immediately
                check_same_thread=False,  # threads take turns
            )
            self._file.execute(
                "CREATE TABLE IF NOT EXISTS measured (key TEXT PRIMARY KEY, figures TEXT, day REAL)"
            )
            self._file.execute("DELETE FROM measured WHERE day < julianday() - ?", (_MAX_AGE_DAYS,))

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = (isinstance(error, OSError) and error.strerror) or error
            raise RestoreError(
                f"Cannot save measurements in {self.path}: {reason}. Free some space, remove the"
                " file, or set RESTORE_CACHE to a writable folder."
            ) from error

    def find(self, key: str) -> Measurement | None:
        """The measurement with this key, or None."""
        with self._guard():
            found = self._file.execute(
                "SELECT figures FROM measured WHERE key = ?", (key,)
            ).fetchone()
        return Measurement.from_plain(json.loads(found[0])) if found else None

    def add(self, key: str, measurement: Measurement) -> None:
        """Save a measurement."""
        with self._guard():
            self._file.execute(
                "INSERT OR REPLACE INTO measured VALUES (?, ?, julianday())",
                (key, json.dumps(measurement.to_plain())),
            )

    def discard(self, keys: Iterable[str]) -> None:
        """Remove the measurements with these keys."""
        with self._guard():
            self._file.executemany("DELETE FROM measured WHERE key = ?", ((key,) for key in keys))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
