"""Reading and writing all frames of an animation, or all pages of a TIFF, one after the other."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import ExifTags, Image

from restore_cli.errors import EncodingError
from restore_cli.image.animation import Timing, join_png, join_webp
from restore_cli.image.arrays import Samples
from restore_cli.image.bounds import Bounds
from restore_cli.image.exif import TIFF_HEADERS
from restore_cli.image.fit import fit
from restore_cli.image.picture import Metadata, Picture
from restore_cli.image.pillow import open_image
from restore_cli.image.pillow_read import first_frame_notes, metadata_of
from restore_cli.image.png_chunks import PNG_SIGNATURE
from restore_cli.image.png_write import encode_png
from restore_cli.image.raster import array_raster, assemble
from restore_cli.image.raw import is_raw
from restore_cli.image.read import decode, named_errors
from restore_cli.image.tiff_read import decode_tiff, note_of_smaller
from restore_cli.image.tiff_tags import beginning_at, directories, is_reduced, tag_values
from restore_cli.image.tiff_write import encode_tiff_pages
from restore_cli.image.webp import encode_webp


@dataclass(frozen=True, eq=False)
class Pages:
    """The frames of an animation or the pages of a TIFF.

    Attributes:
        count: how many there are.
        timing: of an animation, whose frames have one size and the metadata of the file; None for
            pages of a TIFF, each of which has its own.
        pictures: decodes them one by one; frames are composed, as a viewer shows them.
    """

    count: int
    timing: Timing | None
    pictures: Callable[[], Iterator[Picture]]


def open_pages(data: bytes, name: str, *, max_pixels: int | None = None) -> Pages | None:
    """Open all frames or pages of a file; None if it has only one, or can have only one.

    Args:
        data: the bytes of the file.
        name: of the file, for error messages.
        max_pixels: the limit of pixels of all frames; see `read_picture`.

    Raises:
        PictureError: see `read_picture`; decoding the pictures raises it, too.
    """
    bounds = Bounds(len(data), max_pixels)
    with named_errors(name):
        if data[:4] in TIFF_HEADERS and not is_raw(data):
            return _tiff_pages(data, name, bounds)
        if data.startswith((b"GIF8", b"RIFF")) or (
            data.startswith(PNG_SIGNATURE) and b"acTL" in data
        ):
            return _frames(data, name, bounds)
        return None


def encode_pages(
    pictures: Iterable[Picture], pages: Pages, format: str, *, jpeg_quality: int = 95
) -> tuple[bytes, tuple[str, ...]]:
    """Encode frames or pages; return the bytes of the file, and a warning for each loss.

    Args:
        pictures: one for each of the pages; they are encoded one by one.
        pages: what the pictures were made from.
        format: "TIFF", or for an animation also "PNG" or "WEBP".
        jpeg_quality: of WebP, 1 to 100.

    Raises:
        PictureError: the format cannot store the pages; no picture was used then.
    """
    if format != "TIFF" and (pages.timing is None or format not in ("PNG", "WEBP")):
        kind, choice = ("pages", "TIFF") if pages.timing is None else ("frames", "PNG or WebP")
        raise EncodingError(
            f"Cannot encode {pages.count} {kind} as {format}. Choose {choice}, or leave out"
            " --pages all."
        )
    losses: dict[str, None] = {}
    if format == "TIFF" and pages.timing:
        losses["TIFF cannot store how long each frame is shown."] = None

    def fitted() -> Iterator[Picture]:
        for picture in pictures:
            page, lost = fit(picture, format)
            losses.update(dict.fromkeys(lost))
            yield page

    if pages.timing is None or format == "TIFF":
        return encode_tiff_pages(fitted()), tuple(losses)
    # The first frame carries the metadata of the file.
    frames = (
        replace(picture, metadata=Metadata()) if index else picture
        for index, picture in enumerate(fitted())
    )
    if format == "PNG":
        return join_png(map(encode_png, frames), pages.timing), tuple(losses)
    encoded = ((frame, encode_webp(frame, jpeg_quality)) for frame in frames)
    return join_webp(encoded, pages.timing), tuple(losses)


def _tiff_pages(data: bytes, name: str, bounds: Bounds) -> Pages | None:
    """Open the pages of a TIFF, without smaller versions of others."""
    found, ends = directories(data)
    if found and not ends:
        raise ValueError(f"only {len(found)} of its pages can be found")
    starts = [start for start in found if not is_reduced(data, start)]
    if len(starts) < 2:
        return None
    sizes = [
        tag_values(data, start, tag) or (0,)
        for start in starts
        for tag in (ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength)
    ]
    pixels = sum(
        width[0] * height[0] for width, height in zip(sizes[::2], sizes[1::2], strict=True)
    )
    bounds.check_pages(len(starts), pixels)
    left = len(found) - len(starts)

    def pictures() -> Iterator[Picture]:
        for start in starts:
            with named_errors(name):
                behind = data if start == starts[0] != found[0] else None
                page = decode_tiff(_single_page(data, start), bounds, behind)
            if left and start == starts[0]:
                page = replace(page, notes=(*page.notes, note_of_smaller(left)))
            yield page

    return Pages(len(starts), None, pictures)


def _single_page(data: bytes, start: int) -> bytes:
    """Return a TIFF that begins with the directory at an offset, and has no other."""
    order = "<" if data[:2] == b"II" else ">"
    page = bytearray(beginning_at(data, start))
    (entries,) = struct.unpack_from(order + "H", page, start)
    struct.pack_into(order + "I", page, start + 2 + 12 * entries, 0)
    return bytes(page)


def _frames(data: bytes, name: str, bounds: Bounds) -> Pages | None:
    """Open the frames of an animation."""
    image = open_image(data, bounds)
    start = int(getattr(image, "default_image", False))  # a still image that is none of the frames
    indices = range(start, getattr(image, "n_frames", 1))
    if len(indices) < 2:
        return None
    bounds.check_pages(len(indices), len(indices) * image.width * image.height)
    first = decode(data, bounds)
    of_first = first_frame_notes(len(indices), first.format)
    notes = [note for note in first.notes if note not in of_first]
    if start:
        notes.append("The still image for programs without animation was left out.")
    if first.depth == 16:
        notes.append("The 16-bit frames were read with 8 bits per sample.")
    _, orientation = metadata_of(image, [])
    timing, alpha = _timing(image, indices)
    mode = ("L" if first.channels == 1 and first.format != "GIF" else "RGB") + "A" * alpha

    def pictures() -> Iterator[Picture]:
        image = open_image(data, bounds)  # Pillow loses the palette of a PNG when it goes back
        for index in indices:
            with named_errors(name):
                image.seek(index)
                raster = array_raster(_frame_samples(image, mode, data), 255)
                page = assemble(raster, orientation, first.metadata, first.format, notes)
                if page.pixels.shape[:2] != first.pixels.shape[:2]:
                    raise ValueError("its frames have different sizes")
            yield replace(page, metadata=first.metadata, lossless=first.lossless)

    return Pages(len(indices), timing, pictures)


def _frame_samples(image: Image.Image, mode: str, data: bytes) -> Samples:
    """The samples of the current frame: H x W x bands, 8 bits, in the mode L, LA, RGB or RGBA.

    Pillow converts neither 16-bit gray, nor a transparent level of gray with other than 8 bits.
    """
    depth = data[24] if image.format == "PNG" else 8  # in IHDR
    if not mode.startswith("L") or depth == 8 or image.mode not in ("L", "I;16"):
        return np.asarray(image.convert(mode)).reshape(image.height, image.width, -1)
    peak = 65535 if depth == 16 else 255
    stored = np.asarray(image)
    bands = [np.rint(stored / np.float32(peak / 255)).astype(np.uint8)]
    if mode == "LA":
        level = image.info.get("transparency", -1) * (peak // (2**depth - 1))
        bands.append(np.where(stored == level, 0, 255).astype(np.uint8))
    return np.stack(bands, axis=-1)


def _timing(image: Image.Image, indices: range) -> tuple[Timing, bool]:
    """Return how an animation is played, and whether any frame has transparent pixels."""
    loops = image.info.get("loop", 1)
    if image.format == "GIF" and image.info.get("loop"):
        loops += 1  # it counts the repetitions, as browsers read it
    durations, alpha = [], False
    for index in indices:
        image.seek(index)
        image.load()  # composes the frame
        durations.append(image.info.get("duration", 0))
        alpha = alpha or image.has_transparency_data
    return Timing(tuple(durations), loops), alpha
