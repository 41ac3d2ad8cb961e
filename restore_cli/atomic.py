"""Writing files whole or not at all."""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import BinaryIO

from restore_cli.errors import RestoreError, UsageError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def check_place(path: Path, suffixes: Iterable[str], *, overwrite: bool = False) -> None:
    """Raise UsageError where a file cannot be written under this name, before any work is done."""
    if path.suffix.lower() not in suffixes:
        raise UsageError(f"Cannot write {path}; use a name ending in {', '.join(suffixes)}.")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"There is no folder for {path}; create it first.")
    if path.is_dir():
        raise UsageError(f"{path} is a folder; give another name.")
    if path.is_file() and not overwrite:  # a pipe is written to
        raise UsageError(f"{path} exists already; give another name, or --overwrite.")
    if path.exists() and not path.is_file():  # a pipe
        return
    try:  # rights alone do not tell: root has them all, even where nothing can be written
        with tempfile.TemporaryFile(dir=path.resolve().parent):
            pass
    except OSError as error:
        raise UsageError(f"{path} cannot be written there; choose another place.") from error


def write_text(path: Path, text: str) -> None:
    """Write a text, which may hold file names that are none; raises RestoreError, and an older file
    stays.
    """
    try:
        write_whole(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise RestoreError(
            f"Cannot write {path}: {error.strerror}; choose another place."
        ) from error


def write_whole(target: Path, data: bytes) -> None:
    """Put a file in the place of the target, which keeps its permissions; an older one stays if
    that fails.

    The bytes go to a temporary file in its folder first, `.restore-*.part`; those that killed
    processes left there are removed. Raises OSError.
    """
    target = target.resolve()  # a link keeps pointing at the file it names
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and not stat.S_ISREG(
        mode
    ):  # /dev/null and pipes are written to, never replaced
        target.write_bytes(data)
        return
    sweep(target.parent)
    temporary, stream = _create(target.parent)
    try:
        with stream:
            stream.write(data)
            stream.flush()
            if mode is not None:
                temporary.chmod(stat.S_IMODE(mode))
            if fcntl:  # under the lock
                temporary.replace(target)
        if not fcntl:  # Windows renames no open file
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def abandon() -> None:
    """Remove what is half written, by whatever thread, for the process ends now."""
    for temporary in tuple(_unfinished):
        temporary.unlink(missing_ok=True)


_unfinished: set[Path] = set()  # temporary files of this process
_TEMPORARY = re.compile(r"\.restore-[0-9a-f]{16}\.part")


def _create(folder: Path) -> tuple[Path, BinaryIO]:
    """A new temporary file, locked, so that no other process takes it for one that was left
    behind.
    """
    while True:
        path = folder / f".restore-{secrets.token_hex(8)}.part"
        stream = path.open("xb")  # unlike mkstemp, open lets the umask decide on permissions
        _unfinished.add(path)
        if lock(stream.fileno()) is not False and os.fstat(stream.fileno()).st_nlink:
            return path, stream
        stream.close()  # another process was quicker, and removes it
        _unfinished.discard(path)


@cache
def sweep(folder: Path) -> None:
    """Remove a folder's temporary files of processes that no longer run, once in a process's
    life.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError), open(entry.path, "r+b") as stream:
                    if lock(stream.fileno()):
                        os.unlink(entry.path)


def lock(descriptor: int) -> bool | None:
    """Whether an open file's lock could be taken; None where there are no locks.

    It is held until all processes that inherited the open file have ended.
    """
    if not fcntl:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
