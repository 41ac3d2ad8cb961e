"""How large a photo may be: limits of pixels, file size and memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restore_cli.errors import PictureError, TooLargeError

# The default limit of pixels. A small file cannot hold such a large photo, so its limit is the
# larger of the other two values. Scans of blank pages reach a few hundred pixels per byte.
MAX_PIXELS = 2**29
_SMALL_PIXELS, _PIXELS_PER_BYTE = 64 * 10**6, 1000
_SAMPLE = 10  # bytes of memory: up to 2 as stored, and float32 for the photo and the result


@dataclass(frozen=True)
class Bounds:
    """The limit of pixels of a file: `given`, or one that depends on its `size` in bytes."""

    size: int
    given: int | None = None

    def check(self, width: int, height: int, channels: int) -> None:
        """Raise PictureError if a photo is too large to be decoded."""
        self._check_pixels(width * height, "it has", "Split it")
        needed, free = width * height * channels * _SAMPLE, _free_memory()
        if needed > free:
            raise PictureError(
                f"it needs about {needed / 1e9:.1f} GB of memory, but {free / 1e9:.1f} GB are free."
                " Close other programs, or split it."
            )

    def check_pages(self, count: int, pixels: int) -> None:
        """Raise PictureError if pages have too many pixels in all."""
        self._check_pixels(pixels, f"its {count} pages have", "Restore only the first")

    def _check_pixels(self, pixels: int, subject: str, hint: str) -> None:
        limit = self.given or min(MAX_PIXELS, max(_SMALL_PIXELS, _PIXELS_PER_BYTE * self.size))
        if pixels > limit:
            of = "" if self.given or limit == MAX_PIXELS else f" for a file of {self.size} bytes"
            raise TooLargeError(
                f"{subject} {megapixels(pixels)} megapixels, above the limit of"
                f" {megapixels(limit)}{of}. {hint}, or raise --max-pixels."
            )


def megapixels(pixels: int) -> str:
    """Format a number of pixels in megapixels, with four digits: "268.4"."""
    return np.format_float_positional(pixels / 1e6, 4, fractional=False, trim="-")


def largest_file(max_pixels: int | None) -> int:
    """Return the largest size in bytes of a file with `max_pixels`, by default MAX_PIXELS."""
    pixels = max_pixels or MAX_PIXELS
    return min(8 * pixels + 2**28, _free_memory() // 2)  # 16 bits of RGB and alpha, and metadata


def _free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)
