"""`restore compare`: a page to look at versions of one picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restore_cli.cli.display import print_result
from restore_cli.cli.options import Debug
from restore_cli.errors import PictureError

if TYPE_CHECKING:
    from restore_cli.image import Pixels
    from restore_cli.report.html import Version


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The picture as it was.")],
    after: Annotated[list[Path], typer.Argument(metavar="AFTER", help="What was made of it.")],
    out: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE.html", help="The page to write.", show_default=False),
    ],
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The clean picture: gives PSNR and SSIM.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a page that exists.")] = False,
    debug: Debug = False,  # noqa: ARG001 (its callback keeps it)
) -> None:
    """Write a page that compares pictures: with a divider, side by side or blinking, down to the pixels.

    It is one file that needs no network. A BEFORE that is smaller by a whole factor is enlarged bicubically.
    """
    from restore_cli.report.html import Comparison, check_page, render_comparisons, write_page

    check_page(out, overwrite=overwrite)
    versions = read_versions([before, *after, *([reference] if reference else [])])
    if reference:
        versions = [*(_measure(version, versions[-1].pixels) for version in versions[:-1]), versions[-1]]
    title = f"{before.name}, compared"
    write_page(render_comparisons(title, [Comparison(before.name, tuple(versions))]), out)
    print_result(str(out))


def read_versions(paths: list[Path]) -> list[Version]:
    """The pictures, of one size and as many channels: the first enlarged, gray made RGB, where need be.

    Raises:
        PictureError: one cannot be read, or their sizes differ.
    """
    from restore_cli.image import read_picture, resize, to_rgb
    from restore_cli.report.html import Version

    named = [path.name for path in paths]
    names = named if len(set(named)) == len(named) else [str(path) for path in paths]
    first, *others = (
        Version(name, read_picture(path).pixels) for name, path in zip(names, paths, strict=True)
    )
    height, width = others[0].pixels.shape[:2]
    factor = height // len(first.pixels)
    if factor > 1 and (height, width) == tuple(factor * side for side in first.pixels.shape[:2]):
        enlarged = resize(first.pixels, height, width).clip(0, 1)
        first = replace(first, pixels=enlarged, note=f"enlarged {factor} times")
    versions = [first, *others]
    if len({version.pixels.shape[:2] for version in versions}) > 1:
        sizes = ", ".join(f"{version.name} is {_size(version.pixels)}" for version in versions)
        raise PictureError(f"The sizes differ: {sizes}; compare pictures of one size.")
    if len({version.pixels.shape[2] for version in versions}) > 1:
        versions = [
            replace(version, pixels=to_rgb(version.pixels)) if version.pixels.shape[2] == 1 else version
            for version in versions
        ]
    return versions


def _measure(version: Version, reference: Pixels) -> Version:
    """The version with its PSNR and SSIM in its note."""
    import numpy as np

    from restore_cli.metrics import psnr, ssim

    if np.array_equal(version.pixels, reference):
        return replace(version, note="equal to the reference")
    notes = [version.note] if version.note else []
    notes.append(f"{psnr(version.pixels, reference):.2f} dB")
    if min(reference.shape[:2]) >= 11:
        notes.append(f"SSIM {ssim(version.pixels, reference):.4f}")
    return replace(version, note=", ".join(notes))


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]} x {pixels.shape[0]}"
