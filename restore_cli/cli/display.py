"""The two consoles: results go to stdout, and notes, warnings and errors to stderr."""

from __future__ import annotations

import codecs
import json
import textwrap
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from rich.console import Console

from restore_cli.report.escaping import visible
from restore_cli.report.record import Record, StepRecord

if TYPE_CHECKING:
    from rich.text import Text

stdout = Console()
stderr = Console(stderr=True)
_JSON_ESCAPES = "restore-json"  # name of the error handler


def print_result(line: str) -> None:
    """Print a result on stdout unchanged; on a terminal, control characters are escaped."""
    stdout.out(
        _encodable(visible(line, "\n") if stdout.is_terminal else line, stdout), highlight=False
    )


def literal(*lines: str, console: Console = stdout) -> Text:
    """Lines for a table, without markup and with control characters escaped."""
    from rich.text import Text

    return Text(_encodable("\n".join(map(visible, lines)), console), overflow="fold")


def print_note(line: str, style: str | None = None) -> None:
    """Print a line on stderr, above any progress bar; a terminal wraps it between words."""
    _print_words(stderr, visible(line), style)


def print_table(rows: Iterable[tuple[str, str]]) -> None:
    """Print names and values on stderr in two columns, above any progress bar."""
    from rich.table import Table

    grid = Table.grid(padding=(0, 2))
    for name, value in rows:
        grid.add_row(literal(name, console=stderr), literal(value, console=stderr))
    stderr.print(grid)


def print_text(line: str) -> None:
    """Print a line for people on stdout; a terminal wraps it between words."""
    _print_words(stdout, visible(line) if stdout.is_terminal else line)


def _print_words(console: Console, line: str, style: str | None = None) -> None:
    if console.is_terminal:  # paths are not broken, so they can be copied
        line = textwrap.fill(line, console.width, break_long_words=False, break_on_hyphens=False)
    text = _encodable(line, console)
    console.print(text, style=style, soft_wrap=True, markup=False, highlight=False, emoji=False)


def _encodable(line: str, console: Console) -> str:
    """Escape what the stream cannot encode, such as invalid names; JSON stays valid."""
    return line.encode(console.encoding, _JSON_ESCAPES).decode(console.encoding)


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Replace characters by the escapes of JSON, which people can read, too."""
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_JSON_ESCAPES, _escape)


def print_error(sentence: str) -> None:
    """Print an error; of a very long sentence, only its beginning and end."""
    if len(sentence) > 2000:
        sentence = f"{sentence[:1500]} ... {sentence[-300:]}"
    print_note(f"error: {sentence}", "red")


def print_warning(sentence: str) -> None:
    """Print a warning."""
    print_note(f"warning: {sentence}", "yellow")


def name_input(record: Record) -> str:
    """The name of an input for messages."""
    return "standard input" if record.input == "-" else record.input


def list_found(record: Record) -> list[str]:
    """What was found in a photo: "a.jpg  found: noise 9 -> denoise (photo)", and its figures."""
    return [f"{name_input(record)}  {line}" for line in record.found[:1]] + [*record.found[1:]]


def describe(record: Record) -> str:
    """One line: "a.jpg -> a.denoised.jpg  sigma 12.3 (estimated)  1.2 MP in 0.8 s, 1.5 MP/s".

    Several steps are "deblock: quality 72 (from the file)  denoise: sigma 12.3 (estimated)". If no
    network ran, because nothing could change, it says "left unchanged".
    """
    if record.status == "skipped":
        return f"{name_input(record)}: skipped, {record.output} exists"
    parts = [
        f"{name_input(record)} -> {'standard output' if record.output == '-' else record.output}"
    ]
    parts += describe_options(record.options, record.estimated)
    parts += map(_describe_step, record.steps)
    if record.status == "done" and record.model is None and not record.steps:
        same = (record.width, record.height) == (record.output_width, record.output_height)
        parts.append("left unchanged" if same else "only resized")
    if record.output_width and record.output_height and record.seconds is not None:
        megapixels = record.output_width * record.output_height / 1e6
        if record.pages and record.megapixels_per_s:
            parts.append(f"{record.pages} pages")
            megapixels = record.megapixels_per_s * record.seconds
        parts.append(
            f"{megapixels:.2g} MP in {record.seconds:.1f} s, {record.megapixels_per_s:.2g} MP/s"
        )
    visible = (record.noise_before or 0) >= 1  # below 1 the estimate is unreliable
    if visible and _removes_noise(record) and record.noise_after is not None:
        parts.append(f"noise left {record.noise_after:.1f}")
    return "  ".join([*parts, *_describe_figures(record)])


def _describe_step(step: StepRecord) -> str:
    """What a step has done: "denoise: sigma 12.3 (estimated)", or only its name."""
    done = [
        *describe_options(step.options, step.estimated),
        *(() if step.model else ("no network ran" if step.task == "sr" else "left unchanged",)),
    ]
    return f"{step.task}: {', '.join(done)}" if done else step.task


def describe_options(
    options: Mapping[str, object] | None, estimated: Collection[str] = ()
) -> Iterator[str]:
    """Each option as it was used, with its origin: "sigma 12.3 (estimated)"."""
    options = options or {}
    for name, value in options.items():
        if name.endswith("_from"):
            continue
        origin = " (estimated)" * (name in estimated)
        if source := options.get(f"{name}_from"):
            origin = f" (from {source})"
        if isinstance(value, float):
            yield f"{name} {value:{'.1f' if name in estimated else '.4g'}}{origin}"
        else:
            yield f"{name} {value}{origin}"


def _removes_noise(record: Record) -> bool:
    """Whether a network has run whose task is to remove noise."""
    from restore_cli.tasks import find_task

    ran = [part for part in record.steps or (record,) if part.model]
    return any(find_task(str(part.task)).noisy for part in ran)


def _describe_figures(record: Record) -> Iterator[str]:
    """The results of --reference and --check-tiles."""
    if record.psnr is not None:
        yield f"PSNR {record.psnr:.2f} dB (input {record.input_psnr:.2f})"
    if record.ssim is not None:
        yield f"SSIM {record.ssim:.4f}"
    if record.psnr_y is not None:
        yield f"luma {record.psnr_y:.2f} dB"
    if record.tile_difference is not None:
        yield f"tiles differ by {record.tile_difference:.2g}"
