"""`--preview`: photos before and after as pictures in the terminal, if it can show them.

Pictures are sent to stderr, so that pipes stay clean: as kitty graphics
(https://sw.kovidgoyal.net/kitty/graphics-protocol/) or as sixels (DEC STD 070, chapter 9).
"""

from __future__ import annotations

import io
import os
import re
import select
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.segment import Segment

from restore_cli.cli.display import stderr
from restore_cli.image import Pixels
from restore_cli.report.comparison import Comparison

# Asks for a test of kitty graphics, for the size of a character in pixels, and last for the
# attributes of the terminal (DA1), which every terminal answers. Attribute 4 means sixels.
_QUERY = b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"
_KITTY = b"_Gi=31;OK"
_CELL_SIZE = re.compile(rb"\x1b\[6;([1-9]\d*);([1-9]\d*)t")
_ATTRIBUTES = re.compile(rb"\x1b\[\?([\d;]*)c")
_TEXT_ONLY = (None, "dumb", "linux")  # types of terminals that would show the question
_SECONDS = 1.0  # to wait for an answer, also through ssh
_CHUNK = 4096  # the longest payload of one kitty command
_CELL = 20, 10  # height and width of a character in pixels, if the terminal does not say
_GAP = 8  # pixels between before and after

Encoder = Callable[[Image.Image], str]


@dataclass(frozen=True)
class Preview:
    """Shows comparisons in the terminal: the middle of the photo, pixel by pixel.

    Args:
        encode: makes the text that shows a picture.
        cell: height and width of a character in pixels.
    """

    encode: Encoder
    cell: tuple[int, int] = _CELL

    def show(self, _: float, compare: Callable[[], Comparison]) -> None:
        """Show the first two versions next to each other; see `Callbacks.on_comparison`."""
        columns, rows = stderr.size
        tall, wide = self.cell
        before, after, *_others = compare().versions
        picture = join(before.pixels, after.pixels, rows * tall // 2, columns * wide)
        stderr.print(_Raw(self.encode(picture)), soft_wrap=True)  # above any progress bar


@dataclass(frozen=True)
class _Raw:
    """Text that Rich neither measures nor changes."""

    text: str

    def __rich_console__(self, *_: object) -> Iterator[Segment]:
        yield Segment(self.text, None, [])
        yield Segment.line()


def find_preview() -> Preview | None:
    """Ask the terminal how it shows pictures; None if it cannot, or there is no terminal."""
    if not stderr.is_terminal or os.name == "nt" or os.environ.get("TERM") in _TEXT_ONLY:
        return None
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
        try:
            # In the background, a question would stop this process.
            return ask(terminal) if os.tcgetpgrp(terminal) == os.getpgrp() else None
        finally:
            os.close(terminal)
    except OSError:
        return None


def ask(terminal: int) -> Preview | None:
    """Ask the terminal with this file descriptor how it shows pictures."""
    answer = b""
    with _unbuffered(terminal):
        os.write(terminal, _QUERY)
        end = time.monotonic() + _SECONDS
        while not _ATTRIBUTES.search(answer):
            if not select.select([terminal], [], [], max(0, end - time.monotonic()))[0]:
                break
            if not (part := os.read(terminal, 1024)):  # the terminal is gone
                break
            answer += part
    size, attributes = _CELL_SIZE.search(answer), _ATTRIBUTES.search(answer)
    cell = (int(size[1]), int(size[2])) if size else _CELL
    if _KITTY in answer:
        return Preview(to_kitty, cell)
    sixels = attributes and b"4" in attributes[1].split(b";")
    return Preview(to_sixel, cell) if sixels else None


@contextmanager
def _unbuffered(terminal: int) -> Iterator[None]:
    """Read answers at once and without showing them."""
    import termios
    import tty

    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def join(before: Pixels, after: Pixels, height: int, width: int) -> Image.Image:
    """The middles of two images, H x W x C in [0, 1], side by side within these pixels."""
    rows, columns = after.shape[:2]
    tall, wide = min(rows, height), min(columns, (width - _GAP) // 2)
    top, left = (rows - tall) // 2, (columns - wide) // 2
    joined = np.zeros((tall, 2 * wide + _GAP, 3), np.float32)
    for image, start in ((before, 0), (after, wide + _GAP)):  # gray has one channel, for all three
        joined[:, start : start + wide] = image[top : top + tall, left : left + wide]
    return Image.fromarray(np.rint(np.nan_to_num(joined).clip(0, 1) * 255).astype(np.uint8))


def to_kitty(image: Image.Image) -> str:
    """Encode a picture as kitty graphics: a PNG in base64, in chunks."""
    file = io.BytesIO()
    image.save(file, "PNG")
    data = b64encode(file.getvalue()).decode()
    chunks = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
    commands = []
    for number, chunk in enumerate(chunks, 1):
        first = "a=T,f=100,q=2," if number == 1 else ""
        commands.append(f"\x1b_G{first}m={int(number < len(chunks))};{chunk}\x1b\\")
    return "".join(commands)


def to_sixel(image: Image.Image) -> str:
    """Encode a picture as sixels: 256 colors, and for each six rows the pixels of each color."""
    reduced = image.convert("RGB").quantize(256)
    pixels = np.asarray(reduced)
    palette = np.array(reduced.getpalette()).reshape(-1, 3) * 100 // 255  # in percent
    parts = [f'\x1bPq"1;1;{image.width};{image.height}']
    parts += [f"#{color};2;{r};{g};{b}" for color, (r, g, b) in enumerate(palette)]
    for top in range(0, image.height, 6):
        band = pixels[top : top + 6]
        rows = 1 << np.arange(len(band))[:, None]
        lines = [
            f"#{color}{_shorten(((band == color) * rows).sum(axis=0))}" for color in np.unique(band)
        ]
        parts.append("$".join(lines) + "-")
    return "".join(parts) + "\x1b\\"


def _shorten(columns: npt.NDArray[np.int64]) -> str:
    """The characters of columns of six pixels, with runs as "!COUNT CHARACTER"."""
    text = (columns + 63).astype(np.uint8).tobytes().decode()
    return re.sub(r"(.)\1{3,}", lambda run: f"!{len(run[0])}{run[1]}", text)
