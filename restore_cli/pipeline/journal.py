"""The journal of a batch, so that it can resume: which photos are done, and from what."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import platformdirs

from restore_cli import storage
from restore_cli.errors import RestoreError
from restore_cli.pipeline.files import FileJob
from restore_cli.pipeline.plan import Step
from restore_cli.pipeline.request import Request
from restore_cli.report.record import Record

_TABLE = """
CREATE TABLE IF NOT EXISTS photos (
    output BLOB PRIMARY KEY,  -- path, relative to the journal's folder
    settings TEXT,  -- see `digest_item`
    input TEXT,  -- size and times of the file, see `state_of`
    written TEXT,  -- the same of the output; empty until it is done
    record BLOB  -- as JSON; "planned" until it is done or has failed; empty for reports
)
"""

_REFERENCE = " reference "  # starts the part of `digest_item` that only figures depend on


class Journal:
    """The journal of a folder of outputs; it survives a kill at any moment.

    A row is added before a photo is restored and completed afterwards, so that every output of this
    program has a row; masks and reports have one, too. Files with unchanged size and times are not
    read; other files are the same if their sha256 is.

    Args:
        folder: path or URL of the folder of the outputs; a local one is created.
        shard: distinguishes the journals of several runs that share the folder.

    Raises:
        RestoreError: the journal cannot be opened, read or written, or another run uses it.
    """

    def __init__(self, folder: str, shard: str = "") -> None:
        self._folder = storage.absolute(folder)
        self.path = journal_path(folder, shard)
        self._lock = threading.Lock()  # closing crashes if another thread uses the connection
        with self._guard():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._rows = sqlite3.connect(
                self.path,
                timeout=2,
                isolation_level=None,  # commit each statement immediately
                check_same_thread=False,  # threads take turns
            )
            self._rows.execute("PRAGMA locking_mode = EXCLUSIVE")  # for one run
            self._rows.execute("PRAGMA journal_mode = WAL")  # a commit needs one write
            self._rows.execute(_TABLE)

    def owns(self, output: str, source: str = "") -> bool:
        """Whether an output or mask was written with the journal, and may be replaced.

        Args:
            output: its path or URL.
            source: its input; the result of another photo may not be replaced.
        """
        row = self._find(output)
        if not row or not source or not row[3]:
            return row is not None
        record = Record.from_json(row[3])
        if record.status == "failed" and not row[2]:  # nothing was written
            return False
        return (
            storage.absolute(record.input) == storage.absolute(source)
            or (record.status == "planned" and not storage.is_file(record.input))  # it was moved
            or bool(_unchanged(source, row[1], record.input_sha256))  # a copy
        )

    def note(self, report: Path) -> None:
        """Add a row for a report, so that a later run may replace it."""
        self._save(str(report), "", "", "", b"")

    def find(self, item: FileJob, settings: str) -> Record | None:
        """The record of a photo that is done, as "skipped", or has failed.

        Returns:
            None if the photo has to be restored: it is not listed, or its input, output or settings
            have changed.
        """
        row = self._find(item.output)
        if not row or not row[3]:
            return None
        (done, _, measured), (wanted, _, reference) = (
            text.partition(_REFERENCE) for text in (row[0], settings)
        )
        if done != wanted or (reference and reference != measured):
            return None
        record = replace(Record.from_json(row[3]), input=item.input, output=item.output)
        if record.status == "planned":
            return None
        if not reference:
            record = replace(
                record, psnr=None, ssim=None, psnr_y=None, ssim_y=None, input_psnr=None
            )
        read = _unchanged(item.input, row[1], record.input_sha256)
        if record.status == "failed":
            again = f"{record.error} It failed in an earlier run; --retry-failed tries it again."
            return replace(record, error=again) if read else None
        written = read and _unchanged(item.output, row[2], record.output_sha256)
        if not written or (item.mask and not storage.is_file(item.mask)):
            return None
        if (read, written) != row[1:3]:
            self._save(item.output, row[0], read, written, row[3])
        return replace(record, status="skipped")

    def begin(self, item: FileJob, settings: str) -> str:
        """Add the rows of a photo and its mask before it is restored.

        Returns:
            The state of its input.
        """
        read = storage.state_of(item.input)
        planned = Record(storage.absolute(item.input), "planned", item.output)
        self._save(item.output, settings, read, "", planned)
        if item.mask:
            self._save(item.mask, "", read, "", planned)
        return read

    def finish(self, item: FileJob, settings: str, read: str, record: Record) -> None:
        """Complete the row of a photo that is done or failed.

        Args:
            item: the photo.
            settings: see `digest_item`.
            read: what `begin` returned.
            record: its record, with checksums.
        """
        self._save(
            item.output,
            settings,
            read,
            storage.state_of(item.output),
            replace(record, input=storage.absolute(item.input)),
        )

    def close(self) -> None:
        """Let other runs use the journal; one without rows, as of a refused run, is deleted."""
        with self._lock, suppress(OSError, sqlite3.Error):
            with closing(self._rows):
                used = self._rows.execute("SELECT 1 FROM photos LIMIT 1").fetchone()
            if not used:
                self.path.unlink()

    def _key(self, output: str) -> bytes:
        return os.fsencode(storage.relative_to(output, self._folder))

    def _find(self, output: str) -> tuple[str, str, str, bytes] | None:
        with self._guard():
            found: tuple[str, str, str, bytes] | None = self._rows.execute(
                "SELECT settings, input, written, record FROM photos WHERE output = ?",
                (self._key(output),),
            ).fetchone()
            return found

    def _save(
        self, output: str, settings: str, read: str, written: str, record: Record | bytes
    ) -> None:
        if isinstance(record, Record):
            record = record.to_json().encode(errors="surrogatepass")
        with self._guard():
            self._rows.execute(
                "REPLACE INTO photos VALUES (?, ?, ?, ?, ?)",
                (self._key(output), settings, read, written, record),
            )

    @contextmanager
    def _guard(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except (OSError, sqlite3.Error) as error:
            reason = (isinstance(error, OSError) and error.strerror) or str(error)
            hint = "Free some space, or delete the file and use --skip-existing."
            folder = self.path.parent
            if folder.exists() and not all(
                os.access(path, os.W_OK) for path in (folder, self.path) if path.exists()
            ):
                reason = "permission denied"
                hint = "Make the file and its folder writable, or give another -o."
            if "locked" in reason:
                reason = "another run is writing to this folder"
                hint = "Wait until it ends, or give another -o."
            raise RestoreError(f"Cannot use the journal {self.path}: {reason}. {hint}") from error


def journal_path(folder: str, shard: str = "") -> Path:
    """The path of the journal of a folder, and of one of several runs that share it.

    SQLite needs a file system, so that the journal of a URL is in RESTORE_STATE, or in the
    platform's folder for states.
    """
    end = f"{shard and '-'}{shard}.sqlite"
    if not storage.is_url(folder):
        return Path(folder, f".restore-journal{end}")
    states = os.environ.get("RESTORE_STATE") or platformdirs.user_state_dir("restore-cli")
    name = hashlib.sha256(folder.rstrip("/").encode()).hexdigest()[:16]
    return Path(states, f"{name}{end}")


def digest(request: Request) -> str:
    """The digest of the settings that determine a result."""
    parts = [
        request.plan.name,
        *map(_identify, request.plan.steps),
        request.settings.precision,
        request.settings.ensemble,
        request.jpeg_quality,
        *(["provenance"] if request.provenance else []),
        *([request.pages] if request.pages != "first" else []),
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _identify(step: Step) -> Step:
    """The step with the checksum of its model instead of the path."""
    model = step.model or ""
    return replace(step, model=storage.sha256_of(model)) if os.path.isfile(model) else step


def digest_item(settings: str, item: FileJob) -> str:
    """The digest of the settings of one photo: its format, mask and reference, too."""
    mask = _sha256_of(item.mask_in) if os.path.isfile(item.mask_in) else ""
    reference = _REFERENCE + _sha256_of(item.reference) if item.reference else ""
    return f"{settings} {item.format} {mask}{reference}"


def _unchanged(path: str, state: str, sha256: str | None) -> str:
    """The new state of a file if its contents are still the same, else an empty string."""
    now = storage.state_of(path)
    if now == state:
        return now
    return now if now and sha256 and _sha256_of(path) == sha256 else ""


def _sha256_of(path: str) -> str:
    """The sha256 of a file; empty if it cannot be read, which reading it again will report."""
    try:
        return storage.sha256_of(path)
    except (OSError, storage.StorageError):
        return ""
