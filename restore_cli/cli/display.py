"""The two consoles: results go to stdout; notes, warnings and errors to stderr."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from restore_cli.report.escaping import visible
from restore_cli.report.record import Record

if TYPE_CHECKING:
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
    parts += _describe_options(record.options or {}, task)
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
    return "  ".join([*parts, *_describe_figures(record)])


def _describe_options(options: Mapping[str, float | str], task: Task) -> Iterator[str]:
    """Each option as it was used, and whence: "sigma 12.3 (estimated)"."""
    for name, value in options.items():
        if name.endswith("_from"):
            continue
        origin = ""
        if source := options.get(f"{name}_from"):
            origin = f" (of {source})"
        elif getattr(task, name, 0) is None:
            origin = " (estimated)"
        yield (
            f"{name} {value:.1f}{origin}" if isinstance(value, float) else f"{name} {value}{origin}"
        )


def _describe_figures(record: Record) -> Iterator[str]:
    """What was measured against a reference, and by --check-tiles."""
    if record.psnr is not None:
        yield f"PSNR {record.psnr:.2f} dB (input {record.input_psnr:.2f})"
    if record.ssim is not None:
        yield f"SSIM {record.ssim:.4f}"
    if record.psnr_y is not None:
        yield f"luma {record.psnr_y:.2f} dB"
    if record.tile_difference is not None:
        yield f"tiles differ by {record.tile_difference:.2g}"
