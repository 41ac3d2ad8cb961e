"""Files on this computer, and in storage with URLs such as s3://bucket/photo.jpg.

URLs are read and written by fsspec. Local paths never use it.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restore_cli.errors import RestoreError

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")  # unlike C:\, at least two letters
_MARKS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")
_WITH_FOLDERS = {"sftp", "ssh", "smb", "ftp", "hdfs"}
_FEW = 10  # files that are looked up one by one; then their folder is listed
_WRITTEN = "written"  # the state of a file that was written after its folder was listed


class StorageError(RestoreError):
    """A file or folder with a URL cannot be accessed; `str(error)` is a sentence for the user."""


@dataclass
class _Folder:
    """The contents of a folder when it was listed.

    Attributes:
        states: the state of each file, by name; see `state_of`.
        folders: the names of the subfolders.
    """

    states: dict[str, str] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)


_listed: dict[str, _Folder] = {}  # by URL, without a final slash
_lookups: Counter[str] = Counter()  # of files, by the URL of their folder


def is_url(path: str | Path) -> bool:
    """Whether a path is a URL; a `Path` never is."""
    return isinstance(path, str) and bool(_URL.match(path))


def local_path(path: str | Path) -> Path | None:
    """The path of a file on this computer, also of file:///photo.jpg; None for other URLs."""
    if isinstance(path, Path) or not is_url(path):
        return Path(path)
    scheme, _, rest = path.partition("://")
    if os.name == "nt":
        rest = re.sub(r"^/(?=[A-Za-z]:)", "", rest)  # of file:///C:/photo.jpg
    return Path(rest).expanduser() if scheme in ("file", "local") else None


def canonical(url: str) -> str:
    """The URL with the usual name of its scheme: s3a://bucket is s3://bucket; raises StorageError.

    The two name the same files.
    """
    with _explained("access", url):
        system, path = _open(url)
        host = url.split("/")[2] if url.partition("://")[0] in _WITH_FOLDERS else ""
        return host + str(system.unstrip_protocol(path))


def join(folder: str, name: str) -> str:
    """The path of a file in a folder; `name` may be the relative path of a local file."""
    if is_url(folder):
        return f"{folder.rstrip('/')}/{name.replace(os.sep, '/')}"
    return os.path.join(folder, name)


def parent_of(path: str) -> str:
    """The folder of a file."""
    return path.rpartition("/")[0] if is_url(path) else os.path.dirname(path)


def relative_to(path: str, folder: str) -> str:
    """The path of a file, relative to a folder; absolute if it is not on the same drive."""
    if is_url(path):
        return path.removeprefix(folder.rstrip("/") + "/")
    try:
        return os.path.abspath(path) if is_url(folder) else os.path.relpath(path, folder)
    except ValueError:
        return os.path.abspath(path)


def absolute(path: str) -> str:
    """The absolute path, on Windows in lower case, to compare it; a URL stays as it is."""
    return path if is_url(path) else os.path.normcase(os.path.abspath(path))


def same_name(path: str) -> str:
    """A text that is equal for paths of one file, also where letters are compared without case.

    macOS ignores case and how accents are composed, like exFAT and SMB elsewhere, which are not
    recognized.
    """
    path = absolute(path)
    if sys.platform == "darwin" and not is_url(path):
        return unicodedata.normalize("NFC", path).casefold()
    return path


def read(url: str, largest: int | None = None) -> bytes:
    """Read a file.

    Args:
        url: its URL.
        largest: the largest allowed size in bytes.

    Raises:
        StorageError: the file cannot be read, or is larger.
    """
    with _explained("read", url):
        system, path = _open(url)
        info = system.info(path)
        if info["type"] == "directory":
            raise StorageError(f"Cannot read {url}: it is a folder. Append / to read its files.")
        size = info.get("size") or 0
        if largest is not None and size > largest:
            raise StorageError(
                f"Cannot read {url}: it has {size / 1e9:.1f} GB, and only {largest / 1e9:.1f} are"
                " allowed. Check its contents."
            )
        data: bytes = system.cat_file(path)
        return data


def write(url: str, data: bytes) -> None:
    """Write a file; object storage such as S3 stores it completely or not at all.

    Raises:
        StorageError: the file cannot be written.
    """
    with _explained("write", url):
        system, path = _open(url)
        try:
            system.pipe_file(path, data)
        except FileNotFoundError:
            if url.partition("://")[0] not in _WITH_FOLDERS:  # a bucket is missing
                raise
            system.makedirs(parent_of(path), exist_ok=True)
            system.pipe_file(path, data)


def walk(url: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield a folder and its subfolders, as `os.walk` does; each is listed once.

    Raises:
        StorageError: a folder cannot be listed, such as in a bucket that does not exist.
    """
    folder = _list(url.rstrip("/"))
    folders = list(folder.folders)
    yield url, folders, list(folder.states)
    for name in folders:
        yield from walk(join(url, name))


def find_matches(url: str) -> list[str]:
    """Return the URLs of the files that a glob matches; raises StorageError."""
    with _explained("read", url):
        system, path = _open(url)
        found = system.glob(path, detail=True)
        return [
            str(system.unstrip_protocol(name))
            for name, info in found.items()
            if info["type"] == "file"
        ]


def is_file(path: str) -> bool:
    """Whether a path is a file; raises StorageError if that cannot be found out.

    After a few files of a folder with a URL, the folder is listed.
    """
    return bool(_look_up(path)) if is_url(path) else os.path.isfile(path)


def state_of(path: str) -> str:
    """The size of a file, with its times or checksum; empty if it does not exist.

    The state of a file in storage may be that of its folder's last listing.
    """
    if is_url(path):
        try:
            return _look_up(path)
        except StorageError:  # reading it will report the error
            return ""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"


def sha256_of(path: str | Path) -> str:
    """Return a file's sha256 as 64 hexadecimal digits; raises OSError or StorageError."""
    if isinstance(path, str) and is_url(path):
        return hashlib.sha256(read(path)).hexdigest()
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def note_written(path: str) -> None:
    """Note that a file was written, perhaps by another process; its old state is out of date."""
    folder, _, name = path.rpartition("/")
    if folder in _listed:
        _listed[folder].states[name] = _WRITTEN


def refresh() -> None:
    """Forget all listings, so that changes of other programs are seen."""
    _listed.clear()
    _lookups.clear()


def _look_up(url: str) -> str:
    """The state of a file, or an empty string."""
    folder, _, name = url.rpartition("/")
    if folder not in _listed:
        _lookups[folder] += 1
        if _lookups[folder] <= _FEW:
            return _ask(url)
        _list(folder)
    states = _listed[folder].states
    if states.get(name) == _WRITTEN:
        states[name] = _ask(url)
    return states.get(name, "")


def _ask(url: str) -> str:
    with _explained("read", url):
        system, path = _open(url)
        try:
            info = system.info(path)
        except FileNotFoundError:
            return ""
        return _describe(info) if info["type"] == "file" else ""


def _list(url: str) -> _Folder:
    """List a folder; one that does not exist is empty, unless its bucket is missing."""
    if url in _listed:
        return _listed[url]
    folder = _Folder()
    with _explained("read", url):
        system, path = _open(url)
        try:
            entries = system.ls(path, detail=True)
        except FileNotFoundError as error:
            if "bucket" in str(error):
                raise
            entries = []
        for info in entries:
            name = info["name"].rstrip("/").rpartition("/")[2]
            if info["name"].strip("/") == path.strip("/"):  # a marker of the folder itself
                continue
            if info["type"] == "directory":
                folder.folders.append(name)
            else:
                folder.states[name] = _describe(info)
    _listed[url] = folder
    return folder


def _describe(info: dict[str, Any]) -> str:
    """The state of a file; listings and single requests of S3 have the same ETag."""
    mark = next((info[key] for key in _MARKS if info.get(key)), "")
    return f"{info.get('size')} {mark}"


def _open(url: str) -> tuple[Any, str]:
    """The file system of a URL, which is kept, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise StorageError(
            f"Cannot access {url}: fsspec is not installed. Run `pip install"
            ' "restore-cli[remote]"`.'
        ) from error
    system, path = url_to_fs(url, use_listings_cache=False)
    return system, path


@contextmanager
def _explained(verb: str, url: str) -> Iterator[None]:
    """Convert every error to a StorageError with its reason and a hint."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(f"Cannot {verb} {url}: {_explain(url, error)}") from error


def _explain(url: str, error: Exception) -> str:
    scheme = url.partition("://")[0]
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    match error:
        case ImportError():  # such as "Install s3fs to access S3"
            return f"a package for {scheme}:// is not installed. {reason}."
        case ValueError() if "Protocol not known" in reason:
            return f"{scheme}:// is not a known kind of storage. Use one such as s3:// or gs://."
        case FileNotFoundError() if "bucket" in reason:
            return "the bucket does not exist. Check its name."
        case FileNotFoundError() if isinstance(error.__cause__, OSError):  # as fsspec wraps it
            return "the server cannot be reached. Check the URL and the connection."
        case FileNotFoundError():
            return "the file does not exist. Check the URL."
        case PermissionError():
            return "access is denied. Check your credentials and their rights."
    if "credentials" in reason.lower():
        return (
            f"no credentials were found ({reason}). Set them up as for other programs, such as in"
            " AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    return f"{reason}. Check the URL and the connection."
