"""Parsers of command line values: a share, a tile size, a format, a list; hints for typos."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from restore_cli.errors import PictureError, UsageError
from restore_cli.tasks import parse_strength as parse_strength

if TYPE_CHECKING:
    from restore_cli.pipeline.files import Existing

_SMALLEST_TILE = 16  # pixels
_RAY = re.compile(r"auto|local|ray://\S+|([\w.-]+|\[[0-9a-fA-F:]+\]):\d+")


def suggest(word: str, known: Iterable[str]) -> str:
    """The hint for an unknown word: the most similar known one, or all of them."""
    close = get_close_matches(word, known, 1)
    return f"Did you mean {close[0]}?" if close else f"Use {', '.join(known)}."


def parse_tile(text: str) -> int | None:
    """Parse a tile size in pixels: 0 is the entire image, None is "auto"."""
    if text == "auto":
        return None
    if not text.isdecimal():
        raise UsageError(
            f"{text!r} is not a valid tile size; expected pixels, 0 for the entire image, or auto."
        )
    if 0 < int(text) < _SMALLEST_TILE:
        raise UsageError(
            f"Cannot use tiles of {text} pixels: a photo would take hours. Give"
            f" {_SMALLEST_TILE} or more, 0 for the entire image, or auto."
        )
    return int(text)


def parse_format(text: str) -> str:
    """Pillow's name of a format, given by a file extension such as jpg."""
    from restore_cli.image import FORMATS, format_of, suffix_of

    try:
        return format_of(Path(f"picture.{text.lower()}"))
    except PictureError as error:
        raise UsageError(
            f"Unknown format {text!r}; expected {', '.join(suffix_of(one)[1:] for one in FORMATS)}."
        ) from error


def parse_suffix(text: str) -> str:
    """Check the suffix of output names, which cannot lead to another folder."""
    if "/" in text or os.sep in text:
        raise UsageError(f"{text!r} is not a valid suffix; it has a {os.sep}. Give a folder as -o.")
    return text


def parse_pages(text: str) -> Literal["first", "all"]:
    """Which frames or pages of a file to restore."""
    if text == "first":
        return "first"
    if text == "all":
        return "all"
    raise UsageError(f"{text!r} is not a valid choice of pages; expected first or all.")


def parse_existing(skip: bool, overwrite: bool) -> Existing:
    """What to do with existing outputs, from --skip-existing and --overwrite."""
    if skip and overwrite:
        raise UsageError("Cannot use --skip-existing and --overwrite together. Choose one.")
    return "skip" if skip else "overwrite" if overwrite else "refuse"


def parse_shard(text: str) -> tuple[int, int]:
    """Parse "I/N": part I of N, from 1."""
    number, _, count = text.partition("/")
    if number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count):
        return int(number), int(count)
    raise UsageError(f"{text!r} is not a valid shard; expected a part and their number, as in 1/4.")


def fill_in_ray(args: Sequence[str]) -> list[str]:
    """Write "--ray ADDRESS" as "--ray=ADDRESS", and "--ray" without an address as "--ray=local".

    Whatever follows and does not look like an address is another argument, such as an input.
    """
    filled: list[str] = []
    rest = list(args)
    while rest and rest[0] != "--":
        arg = rest.pop(0)
        if arg == "--ray":
            arg += f"={rest.pop(0) if rest and _RAY.fullmatch(rest[0]) else 'local'}"
        filled.append(arg)
    return filled + rest


def check_ray(address: str) -> str:
    """Return the address of a Ray cluster; raises UsageError if it is not one."""
    if not _RAY.fullmatch(address):
        raise UsageError(
            f"{address!r} is not a valid Ray address; expected auto, local, HOST:6379 or"
            " ray://HOST:10001."
        )
    return address


def date_of_environment() -> str:
    """Return the date of SOURCE_DATE_EPOCH, as 2026-01-31T12:00:00Z; empty if it is not set.

    Reproducible builds set it, see https://reproducible-builds.org/specs/source-date-epoch/.
    """
    seconds = os.environ.get("SOURCE_DATE_EPOCH")
    if not seconds:
        return ""
    try:
        return f"{datetime.fromtimestamp(int(seconds), UTC):%Y-%m-%dT%H:%M:%SZ}"
    except (ValueError, OverflowError, OSError) as error:
        raise UsageError(
            f"{seconds!r} is not a valid SOURCE_DATE_EPOCH; expected seconds since 1970."
        ) from error


def split_commas(args: Sequence[str] | None) -> list[str]:
    """Split arguments at commas, without empty parts."""
    return [part for arg in args or () for part in arg.split(",") if part]
