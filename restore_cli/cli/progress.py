"""Progress on stderr: a bar on a terminal, nothing elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from restore_cli.cli import display
from restore_cli.report import escaping

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID


class Progress(Protocol):
    """Where a command reports its progress; `visible` says whether it is shown."""

    visible: ClassVar[bool]

    def update(self, done: float, total: float, note: str = "") -> None:
        """Report that `done` of `total` units are done."""


class NullProgress:
    """Progress that is not shown."""

    visible: ClassVar[bool] = False

    def update(self, done: float, total: float, note: str = "") -> None:
        """Do nothing."""


@dataclass(frozen=True)
class ProgressBar:
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
        yield NullProgress()
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
class BatchProgress:
    """The progress of a batch of photos on a `bar`; `names` are the photos in order."""

    bar: Progress
    names: Sequence[str]
    done: int = 0
    share: float = 0.0  # of the current photo
    megapixels: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    @property
    def photos(self) -> int:
        """The number of photos."""
        return len(self.names)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return time.perf_counter() - self.started

    def restore(self, share: float, megapixels: float) -> None:
        """Report that a further share of the current photo is restored."""
        self.share += share
        self.megapixels += megapixels
        self._show_speed()

    def finish(self) -> None:
        """Report that the current photo is done, skipped or failed."""
        self.done, self.share = self.done + 1, 0.0
        self._show_speed()

    def download(self, done: int, total: int) -> None:
        """Report how many bytes of a model are downloaded, of `total` (0 if unknown)."""
        share = f" of {total / 1e6:.0f}" if total else ""
        self._show(f"downloading the model, {done / 1e6:.0f}{share} MB")

    def _show_speed(self) -> None:
        self._show(f"{self.megapixels / max(self.seconds, 1e-9):.2f} MP/s")

    def _show(self, note: str) -> None:
        current = "".join(f", {name}" for name in self.names[self.done : self.done + 1])
        note = f"{self.done}/{self.photos} photos, {note}{current}"
        self.bar.update(self.done + self.share, self.photos, note)
