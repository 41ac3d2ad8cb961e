"""What a photo's file says about it: size, depth, metadata, and how it was made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from restore_cli.errors import PictureError
from restore_cli.image import Metadata, find_damage, read_picture, sha256_of_pixels
from restore_cli.pipeline.measure import name_profile
from restore_cli.pipeline.provenance import read_runs
from restore_cli.report.provenance import Provenance


@dataclass(frozen=True)
class Facts:
    """What is known about a photo without restoring it.

    Attributes:
        file: its path; "-" is standard input.
        format: Pillow's name of the format.
        bytes: the size of the file.
        width, height: in pixels, upright.
        channels: 1 for gray, 3 for color.
        alpha: whether it has transparency.
        depth: bits per sample with which it is restored, 8 or 16.
        jpeg_quality: of a JPEG, 1 to 100.
        profile: the name of the ICC profile.
        dpi: horizontal and vertical resolution in dots per inch.
        metadata: the kinds of other metadata.
        runs: how it was made, the oldest run first.
        unchanged: whether the pixels are those that the last run wrote.
        warnings: sentences for the user.
    """

    file: str
    format: str
    bytes: int
    width: int
    height: int
    channels: int
    alpha: bool
    depth: int
    jpeg_quality: int | None = None
    profile: str | None = None
    dpi: tuple[float, float] | None = None
    metadata: tuple[str, ...] = ()
    runs: tuple[Provenance, ...] = ()
    unchanged: bool | None = None
    warnings: Sequence[str] = ()

    def to_plain(self) -> dict[str, object]:
        """All facts as JSON values, without those that are missing."""
        return {key: value for key, value in asdict(self).items() if value not in (None, ())}


def read_facts(data: bytes, file: str, max_pixels: int | None = None) -> Facts:
    """Read the facts of a photo.

    Args:
        data: the contents of the file.
        file: its path, or "-".
        max_pixels: see `read_picture`.

    Raises:
        PictureError: the file is not a photo that can be read.
    """
    picture = read_picture(data, None if file == "-" else file, max_pixels=max_pixels)
    warnings = [*find_damage(data), *picture.notes]
    try:
        runs = read_runs(picture)
    except PictureError as error:
        runs = ()
        warnings.append(str(error))
    return Facts(
        file=file,
        format=picture.format,
        bytes=len(data),
        width=picture.width,
        height=picture.height,
        channels=picture.channels,
        alpha=picture.alpha is not None,
        depth=picture.depth,
        jpeg_quality=picture.jpeg_quality,
        profile=name_profile(picture.metadata.icc),
        dpi=picture.metadata.dpi,
        metadata=_kinds(picture.metadata),
        runs=runs,
        unchanged=sha256_of_pixels(picture) == runs[-1].pixels_sha256 if runs else None,
        warnings=warnings,
    )


def _kinds(metadata: Metadata) -> tuple[str, ...]:
    present = {
        "EXIF": metadata.exif,
        "XMP": metadata.xmp,
        "IPTC": metadata.iptc,
        "Photoshop resources": metadata.photoshop,
        "comments": metadata.comments,
        "PNG chunks": metadata.chunks,
    }
    return tuple(name for name, value in present.items() if value)
