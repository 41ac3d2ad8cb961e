"""Parsers of command line values: a share, a tile size, a format, a list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from restore_cli.errors import PictureError, UsageError

_SMALLEST_TILE = 16  # pixels


def parse_strength(word: str | float) -> float:
    """Parse a share from 0 to 1, or a percentage."""
    number, percent = (
        (word, False) if isinstance(word, float) else (word.removesuffix("%"), word[-1:] == "%")
    )
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(
            f"{word!r} is not a valid strength; expected a number from 0 to 1, or 0% to 100%."
        )
    return share


def parse_tile(word: str) -> int | None:
    """Parse a tile size in pixels: 0 is the entire image, None is "auto"."""
    if word == "auto":
        return None
    if not word.isdecimal():
        raise UsageError(
            f"{word!r} is not a valid tile size; expected pixels, 0 for the entire image, or auto."
        )
    if 0 < int(word) < _SMALLEST_TILE:
        raise UsageError(
            f"Cannot use tiles of {word} pixels: a photo would take hours. Give"
            f" {_SMALLEST_TILE} or more, 0 for the entire image, or auto."
        )
    return int(word)


def parse_format(word: str) -> str:
    """Pillow's name of a format, given by a file extension such as jpg."""
    from restore_cli.image import format_of

    try:
        return format_of(Path(f"picture.{word.lower()}"))
    except PictureError as error:
        raise UsageError(
            f"Unknown format {word!r}; expected png, jpg, webp, tif, bmp, ppm or avif."
        ) from error


def split_commas(words: Sequence[str] | None) -> list[str]:
    """Split words at commas, without empty parts."""
    return [part for word in words or () for part in word.split(",") if part]
