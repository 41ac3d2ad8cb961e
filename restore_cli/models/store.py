"""The files of the catalog's models: where they lie, how they come there, and their licenses.

A file is hashed whenever it is used: sha256 takes 0.07 s for the largest (130 MB), and so a copied,
truncated or tampered file is found without any record of what was verified when.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import platformdirs

from restore_cli.download import Progress, download, is_offline, sha256_of
from restore_cli.errors import UsageError, WeightsError
from restore_cli.models.catalog import CHOICES, DEFAULT, Bundled, Entry, find

_ACCEPTED = "accepted-licenses.txt"  # of the cache
_PACKAGE = Path(__file__).parents[1]


def cache_dir() -> Path:
    """Where downloads lie: RESTORE_CACHE, or the platform's cache directory."""
    return Path(os.environ.get("RESTORE_CACHE") or platformdirs.user_cache_dir("restore-cli"))


def path_of(entry: Entry) -> Path:
    """Where an entry's file lies, or will lie once it is fetched."""
    if isinstance(entry.source, Bundled):
        return _PACKAGE / "checkpoints" / entry.source.file
    return cache_dir() / f"{entry.name}-{entry.sha256[:8]}" / entry.source.file_name


def ensure_local(entry: Entry, *, offline: bool = False, progress: Progress | None = None) -> Path:
    """The entry's file, downloaded if it is not here, its sha256 verified.

    Args:
        offline: do not download; HF_HUB_OFFLINE does the same.
        progress: called while downloading.

    Raises:
        WeightsError: the file is not here and cannot be fetched, or not what the table says; a
            damaged download is deleted.
    """
    path = path_of(entry)
    if not path.is_file():
        if isinstance(entry.source, Bundled):
            raise WeightsError(f"{entry.name} is missing at {path}; reinstall restore-cli.")
        if is_offline(offline):
            raise WeightsError(
                f"{entry.name} is not in the cache, and this is offline;"
                f" {_manual_download_hint(entry)}."
            )
        check_license(entry)
        try:
            download(entry.source, path, progress, largest=entry.size)
        except ConnectionError as error:
            raise WeightsError(
                f"{entry.name} cannot be fetched ({error}); {_manual_download_hint(entry)}."
            ) from error
    found = sha256_of(path)
    if found == entry.sha256:
        return path
    problem = f"{path} is damaged: its sha256 is {found}, not {entry.sha256}"
    if isinstance(entry.source, Bundled):
        raise WeightsError(f"{problem}; reinstall restore-cli.")
    path.unlink()
    raise WeightsError(
        f"{problem}; it was deleted, fetch it again with `restore models fetch {entry.name}`."
    )


def check_license(entry: Entry) -> None:
    """Raise WeightsError for a license that withholds something, unless `accept_license` was
    called.
    """
    if entry.terms and entry.name not in _accepted():
        raise WeightsError(
            f"Cannot take {entry.name} without your consent: {entry.terms} ({entry.license},"
            f" {entry.source})."
            f" If you accept that, add --accept-license {entry.name}, or run"
            f" `restore models fetch {entry.name} --accept-license {entry.name}`."
        )


def accept_license(name: str) -> None:
    """Keep in the cache that the user accepts the licenses of the entries of a name.

    Raises:
        WeightsError: there is no such entry, or the cache cannot be written.
        UsageError: it is "default" or one of CHOICES, which does not say which license is meant.
    """
    if name in (DEFAULT, *CHOICES):
        raise UsageError(
            f"Cannot accept the license of {name!r}: it may be any model. Give its full name."
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
            f"Cannot keep that a license is accepted: {error.strerror}. Check that {cache_dir()}"
            " can be"
            " written."
        ) from error


def _accepted() -> set[str]:
    """Names of entries whose licenses the user accepted."""
    file = cache_dir() / _ACCEPTED
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {line.split()[0] for line in lines if line.strip()}


def add(name: str, file: Path) -> Path:
    """Put a file that was fetched elsewhere to its place in the cache, if its sha256 is an entry's.

    Args:
        name: the entry's; of those that share a short name, the one that has this sha256.

    Raises:
        WeightsError: it is another file, or cannot be read or written; or its license was not
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
                f" {wanted or 'that of a download'}."
                " Fetch the file again."
            )
        check_license(fitting)
        path = path_of(fitting)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            shutil.copyfile(file, Path(folder) / path.name).replace(path)
    except OSError as error:
        raise WeightsError(
            f"Cannot add {file}: {error.strerror}. Check its path, and that {cache_dir()} can be"
            " written."
        ) from error
    return path


def remove(entry: Entry) -> Path:
    """Delete an entry's file from the cache, and what was left of fetching it.

    Raises:
        WeightsError: it is not there, or is a part of the package.
    """
    path = path_of(entry)
    if isinstance(entry.source, Bundled):
        raise WeightsError(
            f"Cannot remove {entry.name}: it is a part of restore-cli. Name a download."
        )
    if not path.is_file():
        raise WeightsError(
            f"Cannot remove {entry.name}: it is not in the cache. See `restore models list`."
        )
    shutil.rmtree(cache_dir() / path.relative_to(cache_dir()).parts[0])
    return path


def _manual_download_hint(entry: Entry) -> str:
    return (
        f"run `restore models fetch {entry.name}` on a connected machine, and copy the file that"
        " it names to"
        f" {path_of(entry)} or pass its path as --model"
    )
