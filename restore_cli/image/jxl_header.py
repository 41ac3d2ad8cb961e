"""The header of a JPEG XL codestream (ISO/IEC 18181-1, annex D), which its library does not show.

Its library decodes a file at once, so the size has to be known before.
"""

from __future__ import annotations

from dataclasses import dataclass

from restore_cli.image.isobmff import boxes

CODESTREAM, CONTAINER = b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_HEADER = 64  # bytes; more than the fields that are read here can take


@dataclass(frozen=True)
class JxlHeader:
    """What the header says.

    Attributes:
        height, width: the size as stored.
        animated: whether the file is an animation; the fields below are defaults then.
        bits: per sample.
        is_float: whether samples are floating-point numbers.
        lossless: whether the samples are not in the color space of lossy compression (XYB).
    """

    height: int
    width: int
    animated: bool = False
    bits: int = 8
    is_float: bool = False
    lossless: bool = False


def read_header(data: bytes) -> JxlHeader:
    """Read the header of a codestream, bare or in a container.

    Raises:
        ValueError: there is none.
    """
    bits = _Bits(_codestream(data))
    height, width = _size(bits)
    if bits.take(1):  # all other fields have their default values
        return JxlHeader(height, width)
    if bits.take(1):  # extra fields
        bits.take(3)  # the orientation, which the library applies
        if bits.take(1):
            _size(bits)  # at which it should be shown
        if bits.take(1):  # a preview, which no encoder writes
            return JxlHeader(height, width)
        if bits.take(1):
            return JxlHeader(height, width, animated=True)
    is_float = bool(bits.take(1))
    depth = bits.choose((0, 32), (0, 16), (0, 24), (6, 1)) if is_float else None
    depth = depth or bits.choose((0, 8), (0, 10), (0, 12), (6, 1))
    if is_float:
        bits.take(4)  # the size of the exponent
    bits.take(1)  # whether 16-bit buffers suffice
    extra = bits.choose((0, 0), (0, 1), (4, 2), (12, 1))
    # Only 8-bit alpha has its default values; the fields of others are not read.
    plain = all(bits.take(1) for _ in range(extra))
    lossless = plain and not bits.take(1)
    return JxlHeader(height, width, False, depth, is_float, lossless)


class _Bits:
    """Numbers in bits, the lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._rest, self._left = int.from_bytes(data, "little"), 8 * len(data)

    def take(self, count: int) -> int:
        """Return the next number of so many bits."""
        self._left -= count
        if self._left < 0:
            raise ValueError("its header is cut short")
        number = self._rest & ((1 << count) - 1)
        self._rest >>= count
        return number

    def choose(self, *ways: tuple[int, int]) -> int:
        """Return a number that two bits describe: of how many bits, and what is added."""
        count, offset = ways[self.take(2)]
        return self.take(count) + offset


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if small else bits.choose((9, 1), (13, 1), (18, 1), (30, 1))

    height = side()
    ratio = bits.take(3)
    if not ratio:
        return height, side()
    across, down = _RATIOS[ratio]
    return height, height * across // down


def _codestream(data: bytes) -> bytes:
    """Return the beginning of the codestream after its signature."""
    parts = data[:_HEADER]
    if data.startswith(CONTAINER):
        payloads = [
            payload[4 if kind == b"jxlp" else 0 :][:_HEADER]
            for kind, payload in boxes(data)
            if kind in (b"jxlc", b"jxlp")  # whole, or in numbered parts
        ]
        parts = b"".join(payloads)[:_HEADER]
    if not parts.startswith(CODESTREAM):
        raise ValueError("it has no codestream")
    return parts[len(CODESTREAM) :]
