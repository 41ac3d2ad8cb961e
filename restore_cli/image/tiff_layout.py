"""The layout of the samples of a TIFF in strips or tiles, and where these are in the file."""

from __future__ import annotations

from dataclasses import dataclass

from PIL import ExifTags, Image

from restore_cli.errors import PictureError
from restore_cli.image.tiff_tags import numbers

_YCBCR, _SUBSAMPLING = 6, 530
_COLORS = {2: 3, 5: 4, _YCBCR: 3, 8: 3}  # RGB, CMYK, YCbCr, LAB; all others have one channel


@dataclass(frozen=True)
class TiffLayout:
    """The layout of the samples of a TIFF.

    Each of `planes` has `across` x `down` segments (strips or tiles) of `rows` x `columns` pixels
    with `bands` samples. `extra` is the meaning of the first channel after the colors: 1 and 2 are
    alpha, with and without premultiplied colors. The other fields are the TIFF tags of the same
    names.
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
        """The number of segments side by side."""
        return -(-self.width // self.columns)

    @property
    def down(self) -> int:
        """The number of segments one below the other."""
        return -(-self.height // self.rows)

    @property
    def beyond(self) -> int:
        """The number of channels that are neither colors nor alpha."""
        colors = _COLORS.get(self.photometric, 1)
        return self.bands * self.planes - colors - (self.extra in (1, 2))

    @property
    def row_bytes(self) -> int:
        """The number of bytes in a row of a segment."""
        return -(-self.columns * self.bands * self.bits // 8)


def layout_of(tags: Image.Exif) -> TiffLayout:
    """Read the layout of the first page.

    Raises:
        PictureError: the samples are not unsigned integers of up to 16 bits.
        ValueError: the tags are missing or contradict each other.
    """

    def number(tag: int, default: int | None = None) -> int:
        (value,) = numbers(tags, tag, None if default is None else (default,))
        return value

    width, height = number(ExifTags.Base.ImageWidth), number(ExifTags.Base.ImageLength)
    bits = numbers(tags, ExifTags.Base.BitsPerSample, (1,))
    kinds = set(numbers(tags, ExifTags.Base.SampleFormat, (1,)))
    if not all(0 < count <= 64 for count in bits):
        raise ValueError(f"{bits[0]} bits per sample")
    unsigned = kinds <= {1, 4}  # 4 is undefined
    if len(set(bits)) > 1 or bits[0] not in (1, 2, 4, 8, 16) or not unsigned:
        kind = "signed" if 2 in kinds else "float" if 3 in kinds else "integer"
        each = "-".join(str(count) for count in dict.fromkeys(bits))
        raise PictureError(
            f"{each}-bit {kind} samples are not supported. Save it with 8 or 16 unsigned bits per"
            " sample."
        )
    stored = number(ExifTags.Base.SamplesPerPixel, 1)
    photometric = number(ExifTags.Base.PhotometricInterpretation)
    beyond = stored - _COLORS.get(photometric, 1)
    if beyond < 0 or len(bits) > stored:
        raise ValueError(f"{len(bits)} bit depths, but {stored} samples per pixel")
    planar = number(ExifTags.Base.PlanarConfiguration, 1)
    if planar not in (1, 2):
        raise ValueError(f"planar configuration {planar}")
    compression = number(ExifTags.Base.Compression, 1)
    columns = number(ExifTags.Base.TileWidth, width)
    tiled = ExifTags.Base.TileWidth in tags
    rows = number(ExifTags.Base.TileLength) if tiled else number(ExifTags.Base.RowsPerStrip, height)
    if min(width, height, rows, columns) < 1:
        raise ValueError("there are no pixels")
    extra = 0
    if beyond:  # a single extra channel without a stated meaning is alpha, as in Pillow and others
        extra = numbers(tags, ExifTags.Base.ExtraSamples, (2 if beyond == 1 else 0,))[0]
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
    """Return the strips or tiles, plane by plane.

    Raises:
        ValueError: one of them is missing or cut short.
        PictureError: colors are subsampled.
    """
    tiled = ExifTags.Base.TileWidth in tags
    offsets = numbers(tags, ExifTags.Base.TileOffsets if tiled else ExifTags.Base.StripOffsets)
    sizes_tag = ExifTags.Base.TileByteCounts if tiled else ExifTags.Base.StripByteCounts
    sizes = numbers(tags, sizes_tag, (len(data),) if len(offsets) == 1 else None)
    wanted = layout.across * layout.down * layout.planes
    if min(len(offsets), len(sizes)) < wanted:
        raise ValueError(f"only {min(len(offsets), len(sizes))} of {wanted} strips or tiles exist")
    view = memoryview(data)
    segments: list[bytes | memoryview] = []
    for index in range(wanted):
        start, size = offsets[index], sizes[index]
        rows = layout.rows
        if not tiled:
            rows = min(rows, layout.height - index % layout.down * rows)
        full = rows * layout.row_bytes
        size = min(size, 2 * full + 256)  # the most that packing can need, whatever the tag says
        segment = view[start : start + size] if start >= 8 else view[:0]  # the header has 8 bytes
        if len(segment) < (full if layout.compression == 1 else 1):
            plain = layout.compression == 1 and layout.photometric == _YCBCR
            if plain and numbers(tags, _SUBSAMPLING, (2, 2)) != (1, 1):
                raise PictureError(
                    "uncompressed YCbCr with subsampled colors is not supported. Save it as RGB."
                )
            raise ValueError(f"{'tile' if tiled else 'strip'} {index + 1} of {wanted} is cut short")
        segments.append(segment)
    return segments
