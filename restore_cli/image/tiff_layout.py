"""How a TIFF lays out its samples, in strips or tiles, and finding these in the file."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ExifTags, Image

from restore_cli.errors import PictureError
from restore_cli.image.tiff_tags import numbers

_COLORS = {2: 3, 5: 4, 6: 3, 8: 3}  # RGB, CMYK, YCbCr, LAB; other photometrics have one


@dataclass(frozen=True)
class TiffLayout:
    """How a TIFF stores its samples.

    Its segments, strips or tiles, are `across` x `down` in each of `planes`, and have `rows` x
    `columns` pixels of `bands` samples. `extra` is the meaning of the first channel beyond the
    colors, 1 or 2 for alpha.
    """

    width: int
    height: int
    bits: int
    bands: int
    planes: int
    rows: int
    columns: int
    photometric: int
    compression: int
    predictor: int
    fill_order: int
    extra: int

    @property
    def across(self) -> int:
        """Segments side by side."""
        return -(-self.width // self.columns)

    @property
    def down(self) -> int:
        """Segments one below the other."""
        return -(-self.height // self.rows)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row of a segment."""
        return -(-self.columns * self.bands * self.bits // 8)


def layout_of(tags: Image.Exif) -> TiffLayout:
    """Read the layout of the first page; raises PictureError or ValueError unless its tags
    agree.
    """

    def number(tag: int, default: int | None = None) -> int:
        (value,) = numbers(tags, tag, None if default is None else (default,))
        return value

    width, height = number(ExifTags.Base.ImageWidth), number(ExifTags.Base.ImageLength)
    bits = numbers(tags, ExifTags.Base.BitsPerSample, (1,))
    kinds = set(numbers(tags, ExifTags.Base.SampleFormat, (1,)))
    if not all(0 < count <= 64 for count in bits):
        raise ValueError(f"{bits[0]} bits a sample")
    if (
        len(set(bits)) > 1 or bits[0] not in (1, 2, 4, 8, 16) or not kinds <= {1, 4}
    ):  # unsigned, undefined
        kind = "signed" if 2 in kinds else "float" if 3 in kinds else "integer"
        each = "-".join(str(count) for count in dict.fromkeys(bits))
        raise PictureError(
            f"its samples are {each}-bit {kind}, save it with 8 or 16 unsigned bits a sample"
        )
    stored = number(ExifTags.Base.SamplesPerPixel, 1)
    photometric = number(ExifTags.Base.PhotometricInterpretation)
    beyond = stored - _COLORS.get(photometric, 1)
    if beyond < 0 or len(bits) > stored:
        raise ValueError(f"{len(bits)} kinds of samples, but {stored} samples a pixel")
    planar = number(ExifTags.Base.PlanarConfiguration, 1)
    if planar not in (1, 2):
        raise ValueError(f"planar configuration {planar}")
    compression = number(ExifTags.Base.Compression, 1)
    columns = number(ExifTags.Base.TileWidth, width)
    tiled = ExifTags.Base.TileWidth in tags
    rows = number(ExifTags.Base.TileLength) if tiled else number(ExifTags.Base.RowsPerStrip, height)
    if min(width, height, rows, columns) < 1:
        raise ValueError("it has no pixels")
    # A fourth channel without a tag that says what it is was meant for alpha, as Pillow and others
    # have it.
    extra = (
        numbers(tags, ExifTags.Base.ExtraSamples, (2 if beyond == 1 else 0,))[0]
        if beyond > 0
        else 0
    )
    return TiffLayout(
        width=width,
        height=height,
        bits=bits[0],
        bands=1 if planar == 2 else stored,
        planes=stored if planar == 2 else 1,
        rows=rows if tiled else min(rows, height),
        columns=columns,
        photometric=photometric,
        compression=compression,
        predictor=number(ExifTags.Base.Predictor, 1) if compression not in (1, 32773) else 1,
        fill_order=number(ExifTags.Base.FillOrder, 1),
        extra=extra,
    )


def segments_of(data: bytes, tags: Image.Exif, layout: TiffLayout) -> list[bytes | memoryview]:
    """Return the strips or tiles, plane by plane; raises ValueError unless the file holds all of
    them.
    """
    tiled = ExifTags.Base.TileWidth in tags
    offsets = numbers(tags, ExifTags.Base.TileOffsets if tiled else ExifTags.Base.StripOffsets)
    sizes_tag = ExifTags.Base.TileByteCounts if tiled else ExifTags.Base.StripByteCounts
    sizes = numbers(tags, sizes_tag, (len(data),) if len(offsets) == 1 else None)
    wanted = layout.across * layout.down * layout.planes
    if min(len(offsets), len(sizes)) < wanted:
        raise ValueError(f"{min(len(offsets), len(sizes))} of {wanted} strips or tiles are there")
    view = memoryview(data)
    segments: list[bytes | memoryview] = []
    for index in range(wanted):
        start, size = offsets[index], sizes[index]
        rows = layout.rows
        if not tiled:
            rows = min(rows, layout.height - index % layout.down * rows)
        full = rows * layout.row_bytes
        size = min(
            size, 2 * full + 256
        )  # the worst that packing makes of it, though a tag may say more
        segment = view[start : start + size] if start >= 8 else view[:0]  # the header has 8 bytes
        if len(segment) < (full if layout.compression == 1 else 1):
            raise ValueError(f"{'tile' if tiled else 'strip'} {index + 1} of {wanted} is cut short")
        segments.append(segment)
    return segments
