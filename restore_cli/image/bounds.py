"""How large a picture may be: limits of pixels, bytes and free memory."""

from __future__ import annotations

from dataclasses import dataclass

from restore_cli.errors import PictureError

# Largest picture read, in pixels, unless another limit is given; of a small file, which holds no
# such photo, it is the larger of the other two. Blank pages of scanners come to some hundred pixels
# a byte.
MAX_PIXELS = 2**29
_SMALL_PIXELS, _PIXELS_PER_BYTE = 64 * 10**6, 1000
_SAMPLE = 10  # bytes of memory: up to 2 as stored, and float32 of the photo and of its result


@dataclass(frozen=True)
class Bounds:
    """How many pixels a file may have: `given`, or what is usual for a file of `size` bytes."""

    size: int
    given: int | None = None

    def check(self, width: int, height: int, channels: int) -> None:
        """Raise PictureError for a picture that is too large, before it is decoded."""
        limit = self.given or min(MAX_PIXELS, max(_SMALL_PIXELS, _PIXELS_PER_BYTE * self.size))
        if width * height > limit:
            of = "" if self.given or limit == MAX_PIXELS else f" for a file of {self.size} bytes"
            raise PictureError(
                f"it has {width * height / 1e6:.0f} megapixels, above the limit of"
                f" {limit / 1e6:.3g}{of}: "
                "split it, or give a larger --max-pixels"
            )
        needed, free = width * height * channels * _SAMPLE, _free_memory()
        if needed > free:
            raise PictureError(
                f"it needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are"
                " free: "
                "close other programs, or split it"
            )


def largest_file(max_pixels: int | None) -> int:
    """Return how many bytes a file of at most `max_pixels` may have, by default of MAX_PIXELS."""
    pixels = max_pixels or MAX_PIXELS
    return min(8 * pixels + 2**28, _free_memory() // 2)  # 16 bits of RGB and alpha, and metadata


def _free_memory() -> int:
    import psutil

    return int(psutil.virtual_memory().available)
