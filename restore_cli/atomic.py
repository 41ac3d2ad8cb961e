"""Writing files whole or not at all."""

from __future__ import annotations

import secrets
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from restore_cli.errors import RestoreError, UsageError


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
    """Write a text, which may hold file names that are none; raises RestoreError, and an older file stays."""
    try:
        write_whole(path, text.encode("utf-8", "backslashreplace"))
    except OSError as error:
        raise RestoreError(f"Cannot write {path}: {error.strerror}; choose another place.") from error


def write_whole(target: Path, data: bytes) -> None:
    """Put a file in the place of the target, which keeps its permissions; an older one stays if that fails.

    The bytes go to a temporary file beside it first. Raises OSError.
    """
    target = target.resolve()  # a link keeps pointing at the file it names
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and not stat.S_ISREG(mode):  # /dev/null and pipes are written to, never replaced
        target.write_bytes(data)
        return
    temporary = target.with_name(f".restore-{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as stream:  # unlike mkstemp, open lets the umask decide on permissions
            stream.write(data)
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
