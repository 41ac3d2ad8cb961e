"""The files of the catalog's models: their paths, downloads, checksums and licenses.

A file is hashed whenever it is used. This takes 0.07 s for 130 MB and finds a truncated or tampered
file without a record of earlier checks.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import platformdirs

from restore_cli.download import Progress, download, is_offline
from restore_cli.errors import LicenseError, UsageError, WeightsError
from restore_cli.models.catalog import CHOICES, DEFAULT, Bundled, Entry, find
from restore_cli.storage import sha256_of

_ACCEPTED = "accepted-licenses.txt"  # in the cache
_PACKAGE = Path(__file__).parents[1]


def cache_dir() -> Path:
    """Return the folder for downloads: RESTORE_CACHE, or the platform's cache directory."""
    return Path(os.environ.get("RESTORE_CACHE") or platformdirs.user_cache_dir("restore-cli"))


def path_of(entry: Entry) -> Path:
    """Return the path of an entry's file, which exists only after a download."""
    if isinstance(entry.source, Bundled):
        return _PACKAGE / "checkpoints" / entry.source.file
    return cache_dir() / f"{entry.name}-{entry.sha256[:8]}" / entry.source.file_name


def ensure_local(entry: Entry, *, offline: bool = False, progress: Progress | None = None) -> Path:
    """Return the path of an entry's file, downloaded if needed, with its sha256 verified.

    Args:
        entry: the model.
        offline: do not download; HF_HUB_OFFLINE has the same effect.
        progress: called during a download.

    Raises:
        WeightsError: the file is missing and cannot be downloaded, or its sha256 is wrong; a
            damaged download is deleted.
    """
    path = path_of(entry)
    if not path.is_file():
        if isinstance(entry.source, Bundled):
            raise WeightsError(f"Cannot find {entry.name} at {path}. Reinstall restore-cli.")
        if is_offline(offline):
            raise WeightsError(
                f"Cannot find {entry.name}: it is not downloaded. {_manual_download_hint(entry)}."
            )
        check_license(entry)
        try:
            download(entry.source, path, progress, largest=entry.size)
        except ConnectionError as error:
            raise WeightsError(
                f"Cannot download {entry.name}: {error}. {_manual_download_hint(entry)}."
            ) from error
    found = sha256_of(path)
    if found == entry.sha256:
        return path
    problem = f"{path} is damaged: its sha256 is {found}, not {entry.sha256}"
    if isinstance(entry.source, Bundled):
        raise WeightsError(f"{problem}. Reinstall restore-cli.")
    path.unlink()
    raise WeightsError(
        f"{problem}. It was deleted; run `restore models fetch {entry.name}` to download it again."
    )


def check_license(entry: Entry) -> None:
    """Raise LicenseError if the license has terms that the user has not accepted."""
    if entry.terms and entry.name not in _accepted():
        raise LicenseError(
            f"Cannot download {entry.name} without your consent: {entry.terms} ({entry.license},"
            f" {entry.source}). If you accept that, add --accept-license {entry.name}, or run"
            f" `restore models fetch {entry.name} --accept-license {entry.name}`."
        )


def accept_license(name: str) -> None:
    """Record in the cache that the user accepts the licenses of all entries with this name.

    Raises:
        WeightsError: the name is unknown, or the cache is not writable.
        UsageError: the name is "default" or one of CHOICES, so the license is not clear.
    """
    if name in (DEFAULT, *CHOICES):
        raise UsageError(
            f"Cannot accept the license of {name!r}: it can mean any model. Give a full name."
        )
    new = [entry for entry in find(name) if entry.terms and entry.name not in _accepted()]
    if not new:
        return
    try:
        cache_dir().mkdir(parents=True, exist_ok=True)
        with (cache_dir() / _ACCEPTED).open("a", encoding="utf-8") as lines:
            lines.writelines(f"{entry.name} {entry.license}\n" for entry in new)
    except OSError as error:
        raise WeightsError(
            f"Cannot record the accepted license: {error.strerror}. Check that {cache_dir()} is"
            " writable."
        ) from error


def _accepted() -> set[str]:
    """Return the names of entries with an accepted license."""
    file = cache_dir() / _ACCEPTED
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {line.split()[0] for line in lines if line.strip()}


def add(name: str, file: Path) -> Path:
    """Copy a file that was downloaded elsewhere into the cache, after a check of its sha256.

    Args:
        name: the model's name; if several share it, the sha256 selects one.
        file: the downloaded file.

    Returns:
        The path in the cache.

    Raises:
        WeightsError: the sha256 differs, the file cannot be read or copied, or the license was not
            accepted.
    """
    found = [entry for entry in find(name) if not isinstance(entry.source, Bundled)]
    try:
        sha256 = sha256_of(file)
        fitting = next((entry for entry in found if entry.sha256 == sha256), None)
        if not fitting:
            wanted = " or ".join(
                f"{entry.sha256} ({entry.name} from {entry.source})" for entry in found
            )
            raise WeightsError(
                f"Cannot add {file} as {name}: its sha256 is {sha256}, not"
                f" {wanted or 'that of a download'}. Download the file again."
            )
        check_license(fitting)
        path = path_of(fitting)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            shutil.copyfile(file, Path(folder) / path.name).replace(path)
    except OSError as error:
        raise WeightsError(
            f"Cannot add {file}: {error.strerror}. Check its path, and that {cache_dir()} is"
            " writable."
        ) from error
    return path


def remove(entry: Entry) -> Path:
    """Delete an entry's file and any partial download from the cache; returns their folder.

    Raises:
        WeightsError: the file is not in the cache, or is part of the package.
    """
    path = path_of(entry)
    if isinstance(entry.source, Bundled):
        raise WeightsError(
            f"Cannot remove {entry.name}: it is part of restore-cli. Only downloads can be removed."
        )
    folder = cache_dir() / path.relative_to(cache_dir()).parts[0]
    if not folder.is_dir():
        raise WeightsError(
            f"Cannot remove {entry.name}: it is not in the cache. See `restore models list`."
        )
    shutil.rmtree(folder)
    return folder


def _manual_download_hint(entry: Entry) -> str:
    return (
        f"Run `restore models fetch {entry.name}`; without a connection, run it on another machine,"
        f" and copy the file that it prints to {path_of(entry)}, or give its path as --model"
    )
