"""The two consoles: results go to stdout; progress, warnings and errors to stderr."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console

from restore_cli.report.escaping import visible
from restore_cli.report.record import Record

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID
    from rich.text import Text

    from restore_cli.tasks import Task

stdout = Console()
stderr = Console(stderr=True)


def print_result(line: str) -> None:
    """Results on stdout, exactly as they are; on a terminal without what would steer it."""
    stdout.out(
        _encodable(visible(line, "\n") if stdout.is_terminal else line, stdout), highlight=False
    )


def literal(*lines: str) -> Text:
    """Lines for a table on stdout, of which nothing is taken for markup and nothing steers the
    terminal.
    """
    from rich.text import Text

    return Text(_encodable("\n".join(map(visible, lines)), stdout), overflow="fold")


def print_note(line: str, style: str | None = None) -> None:
    """One line on stderr, above a progress bar if there is one; a terminal's lines end between
    words.
    """
    _print_words(stderr, visible(line), style)


def print_text(line: str) -> None:
    """A line for people on stdout; a terminal's lines end between words."""
    _print_words(stdout, visible(line) if stdout.is_terminal else line)


def _print_words(console: Console, line: str, style: str | None = None) -> None:
    if console.is_terminal:  # paths stay whole, to be copied
        line = textwrap.fill(line, console.width, break_long_words=False, break_on_hyphens=False)
    text = _encodable(line, console)
    console.print(text, style=style, soft_wrap=True, markup=False, highlight=False, emoji=False)


def _encodable(line: str, console: Console) -> str:
    """The line with what the stream cannot hold, such as a file name that is no text, as \\
    escapes.
    """
    return line.encode(console.encoding, "backslashreplace").decode(console.encoding)


def print_error(sentence: str) -> None:
    """What went wrong; of a sentence that quotes a whole file, beginning and end."""
    if len(sentence) > 2000:
        sentence = f"{sentence[:1500]} ... {sentence[-300:]}"
    print_note(f"error: {sentence}", "red")


def print_warning(sentence: str) -> None:
    """What the user should know."""
    print_note(f"warning: {sentence}", "yellow")


class Silence:
    """Progress that nobody sees: the twin of Bar where stderr is no terminal."""

    seen = False

    def update(self, done: float, total: float, note: str = "") -> None:
        """Say that so much of so much is done."""


@dataclass(frozen=True)
class Bar(Silence):
    """Progress on a terminal."""

    seen = True
    shown: Progress
    task: TaskID

    def update(self, done: float, total: float, note: str = "") -> None:
        """Say that so much of so much is done."""
        self.shown.update(self.task, completed=done, total=total, note=visible(note))


@contextmanager
def show_progress(title: str, quiet: bool = False) -> Iterator[Silence]:
    """A line at the bottom of the terminal: title, bar, note, time left."""
    if quiet or not stderr.is_terminal:
        yield Silence()
        return
    from rich import progress
    from rich.table import Column

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(20),
        progress.TextColumn("{task.fields[note]}", markup=False),
        progress.TimeRemainingColumn(table_column=Column(no_wrap=True, min_width=7)),
    )
    bar = progress.Progress(
        *columns,
        console=stderr,
        transient=True,
        redirect_stdout=False,  # it would lead stdout to this console, and may be a file
        redirect_stderr=False,
    )
    with bar as shown:
        yield Bar(shown, shown.add_task(title, total=1, note=""))


@dataclass
class Pace:
    """How far a batch of photos is, for the bar."""

    bar: Silence
    names: Sequence[str]
    done: int = 0
    share: float = 0.0  # of the current photo
    megapixels: float = 0.0
    started: float = field(default_factory=time.perf_counter)

    @property
    def photos(self) -> int:
        """How many there are."""
        return len(self.names)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.started

    def restore(self, share: float, megapixels: float) -> None:
        """Some more of the current photo is restored."""
        self.share += share
        self.megapixels += megapixels
        self._show(f"{self.megapixels / max(self.seconds, 1e-9):.2f} MP/s")

    def finish(self) -> None:
        """The current photo is finished, in whatever way."""
        self.done, self.share = self.done + 1, 0.0
        self._show(f"{self.megapixels / max(self.seconds, 1e-9):.2f} MP/s")

    def download(self, done: int, total: int) -> None:
        """Some more of a model is fetched."""
        share = f" of {total / 1e6:.0f}" if total else ""
        self._show(f"fetching the model, {done / 1e6:.0f}{share} MB")

    def _show(self, note: str) -> None:
        current = "".join(f", {name}" for name in self.names[self.done : self.done + 1])
        note = f"{self.done}/{self.photos} photos, {note}{current}"
        self.bar.update(self.done + self.share, self.photos, note)


def name_input(record: Record) -> str:
    """What an input is called."""
    return "standard input" if record.input == "-" else record.input


def describe(record: Record, task: Task) -> str:
    """One line: "a.jpg -> a.denoised.jpg  sigma 12.3 (estimated)  1.2 MP in 0.8 s, 1.5 MP/s".

    Where no network ran, for nothing could change, it is "left unchanged".
    """
    if record.status == "skipped":
        return f"{record.input}: skipped, {record.output} exists"
    parts = [
        f"{name_input(record)} -> {'standard output' if record.output == '-' else record.output}"
    ]
    options = record.options or {}
    for name, value in options.items():
        if name.endswith("_from"):
            continue
        source = options.get(f"{name}_from")
        origin = (
            f" (of {source})"
            if source
            else " (estimated)"
            if getattr(task, name, 0) is None
            else ""
        )
        parts.append(
            f"{name} {value:.1f}{origin}" if isinstance(value, float) else f"{name} {value}{origin}"
        )
    if record.status == "done" and record.model is None:
        parts.append("left unchanged")
    if record.output_width and record.output_height and record.seconds is not None:
        megapixels = record.output_width * record.output_height / 1e6
        parts.append(
            f"{megapixels:.2g} MP in {record.seconds:.1f} s, {record.megapixels_per_s:.2g} MP/s"
        )
    noisy = task.noisy and (record.noise_before or 0) >= 1  # less cannot be told from none
    if noisy and record.model is not None and record.noise_after is not None:
        parts.append(f"noise left {record.noise_after:.1f}")
    if record.psnr is not None:
        parts.append(f"PSNR {record.psnr:.2f} dB (input {record.input_psnr:.2f})")
    if record.ssim is not None:
        parts.append(f"SSIM {record.ssim:.4f}")
    if record.psnr_y is not None:
        parts.append(f"luma {record.psnr_y:.2f} dB")
    if record.tile_difference is not None:
        parts.append(f"tiles differ by {record.tile_difference:.2g}")
    return "  ".join(parts)
