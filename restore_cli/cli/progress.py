"""Progress on stderr: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from restore_cli.cli import display
from restore_cli.cli.model_facts import describe_download
from restore_cli.models.catalog import Entry
from restore_cli.report import escaping
from restore_cli.report.record import Record

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress:
    """Where a command reports its progress; `visible` says whether it is shown."""

    visible: ClassVar[bool] = False

    def update(self, done: float, total: float, note: str = "") -> None:
        """Report that `done` of `total` units are done."""


@dataclass(frozen=True)
class ProgressBar(Progress):
    """Progress on a terminal."""

    visible: ClassVar[bool] = True
    progress: RichProgress
    task: TaskID

    def update(self, done: float, total: float, note: str = "") -> None:
        """Move the bar and show the note next to it."""
        self.progress.update(self.task, completed=done, total=total, note=escaping.visible(note))


@contextmanager
def show_progress(title: str, quiet: bool = False) -> Iterator[Progress]:
    """Show a line at the bottom of the terminal: title, bar, note, time left."""
    if quiet or not display.stderr.is_terminal:
        yield Progress()
        return
    from rich import progress as rich
    from rich.table import Column

    columns = (
        rich.TextColumn("{task.description}", markup=False),
        rich.BarColumn(20),
        rich.TextColumn("{task.fields[note]}", markup=False),
        rich.TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
    )
    bar = rich.Progress(
        *columns,
        console=display.stderr,
        transient=True,
        redirect_stdout=False,  # stdout may be a file; it must not go to this console
        redirect_stderr=False,
    )
    with bar as progress:
        yield ProgressBar(progress, progress.add_task(title, total=1, note=""))


@dataclass
class Downloads:
    """Says which models are downloaded, once for each, unless it is `quiet`."""

    quiet: bool
    named: set[str] = field(default_factory=set)

    def announce(self, entry: Entry) -> None:
        """Print a sentence about a model when its download starts."""
        if not self.quiet and entry.name not in self.named:
            display.print_note(describe_download(entry))
        self.named.add(entry.name)


@dataclass
class BatchProgress:
    """The progress of a batch on a `bar`; `photos` is None if their number is not known."""

    bar: Progress
    photos: int | None
    downloads: Downloads
    done: int = 0  # with skipped and failed photos
    failed: int = 0
    share: float = 0.0  # of photos that are not done
    megapixels: float = 0.0  # of photos that are done
    current: float = 0.0  # megapixels of photos that are not done
    started: float = field(default_factory=time.perf_counter)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def restore(self, share: float, megapixels: float) -> None:
        """Report that a further share of the current photo is restored."""
        self.share += share
        self.current += megapixels
        self._show_speed()

    def finish(self, record: Record) -> None:
        """Report that a photo is done, skipped or failed."""
        megapixels = 0.0
        if record.status == "done":
            megapixels = (record.output_width or 0) * (record.output_height or 0) / 1e6
        self.done += 1
        self.failed += record.status == "failed"
        self.megapixels += megapixels
        self.share, self.current = max(0.0, self.share - 1), max(0.0, self.current - megapixels)
        self._show_speed(f", {record.input}")

    def download(self, entry: Entry, done: int, total: int) -> None:
        """Report how many bytes of a model are downloaded, of `total` (0 if unknown)."""
        self.downloads.announce(entry)
        share = f" of {total / 1e6:.0f}" if total else ""
        self._show(f"downloading the model, {done / 1e6:.0f}{share} MB")

    def _show_speed(self, note: str = "") -> None:
        speed = (self.megapixels + self.current) / max(self.seconds, 1e-9)
        self._show(f"{speed:.2f} MP/s{note}")

    def _show(self, note: str) -> None:
        total = "" if self.photos is None else f"/{self.photos}"
        done = self.done + self.share
        self.bar.update(done, self.photos or done + 1, f"{self.done}{total} photos, {note}")
