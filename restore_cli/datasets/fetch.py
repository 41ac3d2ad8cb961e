"""Downloads a known set to the cache."""

from __future__ import annotations

import difflib
import shutil
import tempfile
from pathlib import Path

from filelock import FileLock

from restore_cli.datasets.archive import unpack
from restore_cli.datasets.known import SetEntry, known_sets
from restore_cli.datasets.layout import read_folder
from restore_cli.download import download, is_offline
from restore_cli.errors import RestoreError, UsageError
from restore_cli.storage import sha256_of


def fetch(name: str, place: Path, offline: bool) -> None:
    """Download a set and unpack it to its place, where it appears only when it is complete.

    Raises:
        UsageError: the set is unknown or must be downloaded manually, or offline mode is on.
        RestoreError: the download fails, or does not match sets.toml.
    """
    if name not in known_sets():
        close = difflib.get_close_matches(name, known_sets())
        hint = f"available: {', '.join(known_sets())}."
        if close:
            hint = f"did you mean {' or '.join(close)}?"
        raise UsageError(f"Unknown set {name!r}; {hint}")
    entry = known_sets()[name]
    manual_hint = f"Put its images into {place}, or into a folder named {name} inside --data."
    if entry.source is None:
        raise UsageError(f"{entry.title} must be downloaded manually: {entry.note}. {manual_hint}")
    if is_offline(offline):
        raise UsageError(f"Cannot download {entry.title}: offline mode is on. {manual_hint}")
    store = place.with_name(f".{name}")
    archive = store / entry.source.file_name
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(place.parent.with_name(f".{name}.lock")):
        if place.exists():  # another process was faster
            return
        try:
            download(entry.source, archive)
        except ConnectionError as error:
            raise RestoreError(f"Cannot download {entry.title}: {error}. {manual_hint}") from error
        try:
            _install(entry, archive, place, manual_hint)
        finally:
            shutil.rmtree(store)


def _install(entry: SetEntry, archive: Path, place: Path, manual_hint: str) -> None:
    """Verify an archive, and unpack it to its place."""
    if entry.sha256 and (found := sha256_of(archive)) != entry.sha256:
        fault = f"its sha256 is {found}, not {entry.sha256}"
        raise RestoreError(f"Cannot use {entry.source}: {fault}. {manual_hint}")
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=f".{entry.name}.") as folder:
        images = unpack(entry, archive, Path(folder) / entry.name)
        count = len(read_folder(images, entry.name).examples)
        if count != entry.images:
            fault = f"it contains {count} images, not {entry.images}"
            raise RestoreError(f"Cannot use {entry.source}: {fault}. {manual_hint}")
        images.rename(place)
