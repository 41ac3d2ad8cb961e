"""Words of the command line as values: a share, a tile, a format, a list."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from restore_cli.errors import PictureError, UsageError

_SMALLEST_TILE = 16  # pixels


def parse_strength(word: str | float) -> float:
    """A share from 0 to 1, or in percent."""
    number, percent = (
        (word, False) if isinstance(word, float) else (word.removesuffix("%"), word[-1:] == "%")
    )
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(
            f"Cannot use the strength {word}: it is not from 0 to 1. Give 0.5, or 50%, for half."
        )
    return share


def parse_tile(word: str) -> int | None:
    """A side in pixels, 0 for the whole picture, None for "auto"."""
    if word == "auto":
        return None
    if not word.isdecimal():
        raise UsageError(
            f"The tile is {word!r}; give a side in pixels, 0 for the whole picture, or auto."
        )
    if 0 < int(word) < _SMALLEST_TILE:
        raise UsageError(
            f"Cannot cut tiles of {word} pixels: a photo would take hours. "
            f"Give {_SMALLEST_TILE} or more, 0 for the whole picture, or auto."
        )
    return int(word)


def parse_format(word: str) -> str:
    """Pillow's name of a format, from a file's extension."""
    from restore_cli.image import format_of

    try:
        return format_of(Path(f"picture.{word.lower()}"))
    except PictureError as error:
        raise UsageError(
            f"Unknown format {word!r}; choose png, jpg, webp, tif, bmp, ppm or avif."
        ) from error


def split_commas(words: Sequence[str] | None) -> list[str]:
    """The words between commas."""
    return [part for word in words or () for part in word.split(",") if part]
