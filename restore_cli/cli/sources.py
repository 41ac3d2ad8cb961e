"""The inputs of a batch: named, listed, arriving in a list or in watched folders."""

from __future__ import annotations

import codecs
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from restore_cli import storage
from restore_cli.atomic import check_folder
from restore_cli.cli.display import print_warning
from restore_cli.errors import UsageError

if TYPE_CHECKING:
    from restore_cli.pipeline.files import Existing, FileJob, OutputNaming
    from restore_cli.pipeline.journal import Journal

# Between two searches of watched folders; each request to a storage service costs money.
_LOCAL_SECONDS, _REMOTE_SECONDS = 1.0, 10.0
_Found = Iterator[tuple[str, str] | None]  # as for `follow`


@dataclass(frozen=True)
class Sources:
    """The inputs and outputs that a command line describes.

    Attributes:
        inputs: the named inputs.
        files_from: a list of further inputs, "-" for standard input, or None.
        recursive: whether to search subfolders.
        watch: whether to wait for new photos in the folders.
        shard: the part to restore and the number of parts, or None.
        naming: how outputs are named.
        existing: what to do with existing outputs.
        masks, references: see `plan`.
        reports: files that are written about all inputs.
    """

    inputs: Sequence[str]
    files_from: str | None
    recursive: bool
    watch: bool
    shard: tuple[int, int] | None
    naming: OutputNaming
    existing: Existing
    masks: Path | None
    references: Path | None
    reports: Sequence[Path]

    @contextmanager
    def open_journal(self, create: bool) -> Iterator[Journal | None]:
        """Open the journal in the output folder, or in the only input if it is a folder.

        Args:
            create: whether to create it if it does not exist; otherwise the result is None then.

        Raises:
            UsageError: there is no such folder, or it cannot be written.
            RestoreError: see `Journal`.
        """
        from restore_cli.pipeline.journal import Journal, journal_path

        folder, shard = self._journal_place()
        if not create and not journal_path(folder, shard).exists():
            yield None
            return
        if create and not storage.is_url(folder):
            check_folder(Path(folder))
        with closing(Journal(folder, shard)) as journal:
            yield journal

    def _journal_place(self) -> tuple[str, str]:
        """The folder of the journal, and the name of the part of a batch."""
        from restore_cli.image import has_image_suffix
        from restore_cli.pipeline.inputs import is_folder, is_input_folder

        folder = self.naming.output
        if folder is None and not self.files_from and len(self.inputs) == 1:
            folder = self.inputs[0] if is_input_folder(self.inputs[0]) else None
        is_file = folder and not is_folder(folder) and has_image_suffix(folder)
        if folder in (None, "-") or is_file or os.path.isfile(folder):
            raise UsageError(
                "Cannot keep a journal without an output folder. Give one as -o FOLDER/."
            )
        return folder, "-of-".join(map(str, self.shard or ()))

    def find(
        self, journal: Journal | None, quiet: bool
    ) -> list[FileJob] | Iterator[FileJob | None]:
        """Find all inputs; those of watched folders and of a list from a pipe come one by one.

        Raises:
            UsageError: see `plan` and `follow`.
        """
        from restore_cli.pipeline import files

        owns = journal.owns if journal else files.owns_nothing
        found = self._arriving()
        if found:
            return files.follow(
                found,
                self.naming,
                existing=self.existing,
                masks=self.masks,
                references=self.references,
                shard=self.shard,
                owns=owns,
            )
        unread: Counter[str] = Counter()
        planned = files.plan(
            self._read_list(),
            self.naming,
            recursive=self.recursive,
            existing=self.existing,
            masks=self.masks,
            references=self.references,
            shard=self.shard,
            owns=owns,
            reports=self.reports,
            unread=unread,
        )
        if unread and not quiet:
            _warn_of_unread(unread)
        return planned

    def _arriving(self) -> _Found | None:
        """The inputs that come one by one; None if all are known."""
        from restore_cli.pipeline.files import own_folders
        from restore_cli.pipeline.inputs import find_inputs, is_folder, is_input_folder
        from restore_cli.pipeline.watch import arrive, watch

        def search(arg: str) -> Iterator[tuple[str, str]]:
            excluded = own_folders(self.naming, self.masks, self.references)
            return find_inputs(arg, excluded, self.naming.suffix, self.recursive, Counter())

        if self.watch:
            for arg in self.inputs:
                if not is_input_folder(arg):
                    raise UsageError(f"Cannot watch {arg}: it is not a folder. Name folders only.")
            if self.files_from or not self.inputs or self.existing == "overwrite":
                raise UsageError(
                    "Cannot use --watch without folders, or with --files-from or --overwrite."
                    " Name the folders to watch."
                )
            seconds = _REMOTE_SECONDS if any(map(storage.is_url, self.inputs)) else _LOCAL_SECONDS
            return watch(
                lambda: (pair for arg in self.inputs for pair in search(arg)), seconds, self.masks
            )
        output = self.naming.output
        into_folder = output is None or is_folder(output)
        if self.files_from != "-" or self.inputs or self.existing == "overwrite" or not into_folder:
            return None

        def search_line(line: str) -> Iterator[tuple[str, str]]:
            try:
                yield from search(line)
            except (
                UsageError,
                storage.StorageError,
            ):  # one line must not stop the others: it fails like a missing file
                yield line, os.path.basename(line)

        return (
            pair
            for line in arrive(_read_lines(sys.stdin.buffer))
            for pair in ([None] if line is None else search_line(line))
        )

    def _read_list(self) -> list[str]:
        """The named inputs and those of the list."""
        if self.files_from is None:
            if not self.inputs:
                raise UsageError("No input given. Name files or folders, or - for standard input.")
            return list(self.inputs)
        if self.files_from != "-":
            try:
                with open(self.files_from, "rb") as file:
                    return [*self.inputs, *_read_lines(file)]
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is not in UTF-8 or UTF-16"
                raise UsageError(f"Cannot read the list {self.files_from}: {reason}.") from error
        if "-" in self.inputs:
            raise UsageError(
                "Cannot read both an image and the list from standard input. Give the list as a"
                " file."
            )
        return [*self.inputs, *_read_lines(sys.stdin.buffer)]


def _read_lines(file: BinaryIO) -> Iterator[str]:
    """The paths of a list as they arrive: one per line, or ended by NUL (`find -print0`).

    Windows puts a mark first, and its PowerShell writes UTF-16.
    """
    rest, end, mark, decoder = b"", b"", codecs.BOM_UTF8, None
    while block := file.read1(2**16):  # type: ignore[attr-defined]
        if mark and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            decoder = codecs.getincrementaldecoder("utf-16")()
        if decoder:
            block = os.fsencode(decoder.decode(block))
        block, mark = block.removeprefix(mark), b""
        end = end or (b"\0" if b"\0" in block else b"\n" if b"\n" in block else b"")
        *lines, rest = (rest + block).split(end) if end else [rest + block]
        yield from _names(lines, end)
    yield from _names([rest], end)


def _names(lines: Iterable[bytes], end: bytes) -> Iterator[str]:
    """The paths in lines; Windows ends them with a carriage return, too."""
    for line in lines:
        if name := line if end == b"\0" else line.rstrip(b"\r"):
            yield os.fsdecode(name)


def _warn_of_unread(unread: Counter[str]) -> None:
    """Warn about files in folders that are skipped because of their format."""
    from restore_cli.pipeline.files import advise_unread, count_unread

    skipped = f"{unread.total()} file{'s' * (unread.total() > 1)}"
    print_warning(
        f"Skipped {skipped} in unsupported formats: {count_unread(unread)}. {advise_unread(unread)}"
    )
