"""Joins encoded frames to an animated PNG or WebP, in which each replaces the entire last one."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from restore_cli.image.picture import Picture
from restore_cli.image.png_chunks import PNG_SIGNATURE, join_chunk, split_chunks

# Flags of the chunk VP8X.
_METADATA = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
_ALPHA, _ANIMATED = 0x10, 0x02


@dataclass(frozen=True)
class Timing:
    """How an animation is played.

    Attributes:
        durations: of each frame, in milliseconds; not always whole numbers, such as 1000 / 60.
        loops: how often it is played; 0 is without end.
    """

    durations: tuple[float, ...]
    loops: int = 0


def join_png(frames: Iterable[bytes], timing: Timing) -> bytes:
    """Join PNGs of one size and color type (PNG, third edition, 11.3.6).

    Args:
        frames: one PNG for each duration; the chunks of the first one are kept.
        timing: how the animation is played.
    """
    parts, header, number = [PNG_SIGNATURE], b"", 0  # fcTL and fdAT are numbered
    for index, (frame, duration) in enumerate(zip(frames, timing.durations, strict=True)):
        pixels = [payload for kind, payload, _ in split_chunks(frame) if kind == b"IDAT"]
        others = [(kind, payload) for kind, payload, _ in split_chunks(frame) if kind != b"IDAT"]
        if index == 0:
            header = others[0][1]
            parts += [join_chunk(*chunk) for chunk in others[:-1]]
            parts.append(
                join_chunk(b"acTL", struct.pack(">II", len(timing.durations), timing.loops))
            )
        elif others[0][1] != header:
            raise ValueError("its frames have different sizes or colors")
        width, height = struct.unpack_from(">II", header)
        control = struct.pack(">IIIIIHHBB", number, width, height, 0, 0, *_delay(duration), 0, 0)
        parts.append(join_chunk(b"fcTL", control))
        number += 1
        for payload in pixels:
            if index == 0:
                parts.append(join_chunk(b"IDAT", payload))
            else:
                parts.append(join_chunk(b"fdAT", struct.pack(">I", number) + payload))
                number += 1
    return b"".join([*parts, join_chunk(b"IEND", b"")])


def _delay(duration: float) -> tuple[int, int]:
    """Return milliseconds as a fraction of seconds of two 16-bit numbers, such as 1/60."""
    seconds = min(duration / 1000, 65535)
    return Fraction(seconds).limit_denominator(int(65535 / max(seconds, 1))).as_integer_ratio()


def join_webp(frames: Iterable[tuple[Picture, bytes]], timing: Timing) -> bytes:
    """Join WebPs of one size (WebP Container Specification).

    Args:
        frames: a picture and its WebP for each duration; the metadata of the first one is kept.
        timing: how the animation is played.
    """
    parts: list[bytes] = []
    metadata: dict[bytes, bytes] = {}
    canvas, alpha = b"", False
    for (picture, data), duration in zip(frames, timing.durations, strict=True):
        chunks = list(_chunks(data))
        size = _number(picture.width - 1) + _number(picture.height - 1)
        if not parts:
            canvas = size
            metadata = {kind: body for kind, body in chunks if kind in _METADATA}
        elif size != canvas:
            raise ValueError("its frames have different sizes")
        alpha = alpha or picture.alpha is not None
        pixels = [_chunk(*chunk) for chunk in chunks if chunk[0] in (b"ALPH", b"VP8 ", b"VP8L")]
        shown = _number(min(round(duration), 2**24 - 1)) + b"\2"  # not blended with the last one
        parts.append(_chunk(b"ANMF", bytes(6) + size + shown + b"".join(pixels)))
    flags = _ANIMATED | _ALPHA * alpha | sum(_METADATA[kind] for kind in metadata)
    extended = _chunk(b"VP8X", struct.pack("<I", flags) + canvas)
    profile = [_chunk(b"ICCP", metadata.pop(b"ICCP"))] if b"ICCP" in metadata else []
    played = _chunk(b"ANIM", struct.pack("<IH", 0, min(timing.loops, 65535)))
    rest = (_chunk(kind, body) for kind, body in metadata.items())
    body = b"".join([b"WEBP", extended, *profile, played, *parts, *rest])
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 12  # after RIFF and WEBP
    while position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        yield kind, data[position + 8 : position + 8 + size]
        position += 8 + size + size % 2


def _chunk(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)


def _number(value: int) -> bytes:
    return value.to_bytes(3, "little")
