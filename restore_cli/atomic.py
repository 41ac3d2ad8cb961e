"""Atomic writes: a file is written completely or not at all."""

from __future__ import annotations

import os
import re
import secrets
import stat
import tempfile
import threading
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
    """Raise UsageError if a file cannot be written here, before any work is done."""
    if path.suffix.lower() not in suffixes:
        *most, last = suffixes
        known = f"{', '.join(most)} or {last}" if most else last
        raise UsageError(f"Cannot write {path}: its name must end with {known}. Change it.")
    if not path.absolute().parent.is_dir():
        hint = "Give a local file, not a URL." if ":/" in str(path) else "Create it first."
        raise UsageError(f"Cannot write {path}: its folder does not exist. {hint}")
    if path.is_dir():
        raise UsageError(f"Cannot write {path}: it is a folder. Give another name.")
    if path.is_file() and not overwrite:
        raise UsageError(
            f"Cannot write {path}: it already exists. Give another name, or --overwrite."
        )
    if path.exists() and not path.is_file():  # a pipe or a device
        return
    try:  # permissions are not enough: root has them all, even on read-only disks
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.realpath(path))):
            pass
    except OSError as error:
        raise UsageError(
            f"Cannot write {path}: its folder is not writable. Choose another one."
        ) from error


def check_folder(folder: Path, option: str = "-o") -> None:
    """Raise UsageError if files cannot be written into a folder, which may not exist yet.

    Args:
        folder: its path.
        option: the option that chooses it.
    """
    absolute = folder.absolute()
    present = next(place for place in (absolute, *absolute.parents) if place.exists())
    try:
        with tempfile.TemporaryFile(dir=present):
            pass
    except NotADirectoryError as error:
        raise UsageError(
            f"Cannot write into {folder}: {present} is a file. Choose another one with {option}."
        ) from error
    except OSError as error:
        raise UsageError(
            f"Cannot write into {folder}: {error.strerror}. Choose another one with {option}."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write text; raises RestoreError, and then an existing file is unchanged.

    Invalid Unicode, such as in undecodable file names, is escaped.
    """
    try:
        write_whole(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise RestoreError(f"Cannot write {path}: {error.strerror}.") from error


def write_whole(target: Path, data: bytes) -> None:
    """Replace the target by a new file with the same permissions; raises OSError.

    The bytes go to a temporary file in the same folder first, `.restore-*.part`, so that the target
    is unchanged if that fails. Temporary files of killed processes are removed.
    """
    target = Path(os.path.realpath(target))  # write to the file that a link points to
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and not stat.S_ISREG(mode):  # never replace pipes and /dev/null
        target.write_bytes(data)
        return
    sweep(target.parent)
    temporary, stream = _create(target.parent)
    try:
        with stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())  # else a power cut may leave an empty file
            if mode is not None and fcntl:  # Windows only knows "read-only", which blocks `replace`
                temporary.chmod(stat.S_IMODE(mode))
            if fcntl:  # while the file is locked
                temporary.replace(target)
        if not fcntl:  # Windows cannot rename an open file
            temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
        _unfinished.discard(temporary)


def abandon() -> None:
    """Remove the temporary files of all threads, just before the process ends.

    Afterwards, threads that create another one wait forever.
    """
    _creating.acquire()
    for temporary in tuple(_unfinished):
        with suppress(OSError):  # Windows cannot remove an open file
            temporary.unlink()


_unfinished: set[Path] = set()  # temporary files of this process
_creating = threading.Lock()
_TEMPORARY = re.compile(r"\.restore-[0-9a-f]{16}\.part")


def _create(folder: Path) -> tuple[Path, BinaryIO]:
    """Create a locked temporary file; the lock keeps other processes from removing it."""
    while True:
        path = folder / f".restore-{secrets.token_hex(8)}.part"
        with _creating:
            stream = path.open("xb")  # unlike mkstemp, open lets the umask decide on permissions
            _unfinished.add(path)
        if lock(stream.fileno()) is not False and os.fstat(stream.fileno()).st_nlink:
            return path, stream
        stream.close()  # another process locked it first and removes it
        _unfinished.discard(path)


@cache
def sweep(folder: Path) -> None:
    """Remove temporary files that dead processes left in a folder; once per process."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _TEMPORARY.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with suppress(OSError), open(entry.path, "r+b") as stream:
                    if lock(stream.fileno()):
                        os.unlink(entry.path)


def lock(descriptor: int, *, inherited: bool = True) -> bool | None:
    """Lock an open file; returns whether that worked, or None if locks are not supported.

    Args:
        descriptor: of the file, which is open for writing.
        inherited: whether the lock is held until all processes that inherited the descriptor have
            ended, not only this one. Otherwise this process can lock the file twice.
    """
    if not fcntl:
        return None
    try:
        (fcntl.flock if inherited else fcntl.lockf)(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
