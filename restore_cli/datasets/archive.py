"""Unpacks the images of an untrusted zip or tar archive."""

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

_EXPANSION = (
    20  # limit on the unpacked size, relative to the archive; images are already compressed
)


def unpack(entry: SetEntry, archive: Path, folder: Path) -> Path:
    """Unpack the images below `members`, and return the innermost folder that contains them all.

    Raises:
        RestoreError: the archive cannot be read, is unsafe, or does not contain such images.
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
        reason = " ".join(str(error).split())  # the message of tarfile spans lines
        raise RestoreError(f"Cannot unpack {entry.source}: {reason}. Try again.") from error
    if not any(folder.iterdir()):
        place = entry.members or "its root"
        raise RestoreError(f"Cannot unpack {entry.source}: it has no images in {place}. Try again.")
    while len(inner := list(folder.iterdir())) == 1 and inner[0].is_dir():
        folder = inner[0]
    return folder


def _check_safe(entry: SetEntry, name: PurePosixPath) -> None:
    """Raise RestoreError if a name points outside of its folder on any system."""
    drive = PureWindowsPath(name).drive
    if ".." in name.parts or "\\" in str(name) or name.is_absolute() or drive:
        raise RestoreError(f"Cannot unpack {entry.source}: it contains the unsafe path {name}.")


def _write(entry: SetEntry, content: IO[bytes], target: Path, room: int) -> int:
    """Write a file, and return how many bytes are left of `room`.

    Raises:
        RestoreError: the file is larger than `room`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as image:
        while chunk := content.read(1 << 18):
            room -= len(chunk)
            if room < 0:
                fault = f"its content is more than {_EXPANSION} times its own size"
                raise RestoreError(f"Cannot unpack {entry.source}: {fault}.")
            image.write(chunk)
    return room


class _Member(tarfile.TarInfo):
    """An entry of a tar whose metadata is limited in size, because tarfile reads it into memory."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        member = super().frombuf(buf, encoding, errors)
        if not (member.isreg() or member.issparse()) and member.size > 2**20:
            raise tarfile.ReadError(f"an entry that is not a file has {member.size:,} bytes")
        return member


def _files(archive: Path) -> Iterator[tuple[PurePosixPath, IO[bytes]]]:
    """The regular files of a zip or tar, each open until the next is requested."""
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
