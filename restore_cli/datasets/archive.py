"""Unpacks the images of an archive, zip or tar, that a stranger made."""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Self

from restore_cli.datasets.known import SetEntry
from restore_cli.datasets.pairing import is_image_path
from restore_cli.errors import RestoreError

_EXPANSION = 20  # times the size of an archive of images that it may unpack to; they are compressed


def unpack(entry: SetEntry, archive: Path, folder: Path) -> Path:
    """Write the images below the archive's `members`; returns the innermost folder that holds them
    all.

    Raises:
        RestoreError: the archive cannot be read, is not safe, or has no such images.
    """
    folder.mkdir()
    room = _EXPANSION * archive.stat().st_size
    try:
        for name, content in _files(archive):
            below = not entry.members or name.is_relative_to(entry.members)
            if not below or not is_image_path(name):
                continue
            _check_safe(entry, name)
            room = _write(entry, content, folder / name, room)
    except (OSError, EOFError, tarfile.TarError, zipfile.BadZipFile, zlib.error) as error:
        reason = " ".join(str(error).split())  # tarfile's has lines
        raise RestoreError(f"{entry.source} cannot be unpacked ({reason}); try again.") from error
    if not any(folder.iterdir()):
        raise RestoreError(
            f"{entry.source} has no image below {entry.members or 'its root'}; try again."
        )
    while len(inner := list(folder.iterdir())) == 1 and inner[0].is_dir():
        folder = inner[0]
    return folder


def _check_safe(entry: SetEntry, name: PurePosixPath) -> None:
    """Raise RestoreError where a name leads out of its folder, on any system."""
    drive = PureWindowsPath(name).drive
    if ".." in name.parts or "\\" in str(name) or name.is_absolute() or drive:
        raise RestoreError(f"{entry.source} is not safe to unpack: it holds {name}.")


def _write(entry: SetEntry, content: IO[bytes], target: Path, room: int) -> int:
    """Write a file, and return how many more bytes there is room for; raises RestoreError where
    that is too little.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as image:
        while chunk := content.read(1 << 18):
            room -= len(chunk)
            if room < 0:
                fault = f"it holds more than {_EXPANSION} times its own size"
                raise RestoreError(f"Cannot unpack {entry.source}: {fault}.")
            image.write(chunk)
    return room


class _Member(tarfile.TarInfo):
    """An entry of a tar whose names and attributes, which tarfile reads into memory, are no
    bomb.
    """

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if not (member.isreg() or member.issparse()) and member.size > 2**20:
            raise tarfile.ReadError(f"an entry that is no file has {member.size:,} bytes")
        return member


def _files(archive: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """The regular files of a zip or tar, each open until the next is asked for."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as zipped:
            for info in zipped.infolist():
                if not info.is_dir():
                    with zipped.open(info) as content:
                        yield PurePosixPath(info.filename), content
    else:
        with tarfile.open(archive, tarinfo=_Member) as tar:
            for member in tar:
                if member.isfile() and (inner := tar.extractfile(member)):
                    yield PurePosixPath(member.name), inner
