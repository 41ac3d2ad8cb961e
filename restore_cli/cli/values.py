"""Parsers of command line values: a share, a tile size, a format, a list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from restore_cli.errors import PictureError, UsageError

if TYPE_CHECKING:
    from restore_cli.pipeline.files import Existing

_SMALLEST_TILE = 16  # pixels


def parse_strength(text: str | float) -> float:
    """Parse a share from 0 to 1, or a percentage."""
    number, percent = (
        (text, False) if isinstance(text, float) else (text.removesuffix("%"), text[-1:] == "%")
    )
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(
            f"{text!r} is not a valid strength; expected a number from 0 to 1, or 0% to 100%."
        )
    return share


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
    from restore_cli.image import format_of

    try:
        return format_of(Path(f"picture.{text.lower()}"))
    except PictureError as error:
        raise UsageError(
            f"Unknown format {text!r}; expected png, jpg, webp, tif, bmp, ppm or avif."
        ) from error


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


def split_commas(args: Sequence[str] | None) -> list[str]:
    """Split arguments at commas, without empty parts."""
    return [part for arg in args or () for part in arg.split(",") if part]
