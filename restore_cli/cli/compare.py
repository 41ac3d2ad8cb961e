"""`restore compare`: a page to look at versions of one picture, or of the pictures of a folder."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from restore_cli.cli.display import print_error, print_result, print_warning
from restore_cli.cli.options import FLAG, Debug
from restore_cli.cli.signals import call
from restore_cli.errors import PictureError


def compare(
    before: Annotated[Path, typer.Argument(metavar="BEFORE", help="The picture as it was, or a folder.")],
    after: Annotated[list[Path], typer.Argument(metavar="AFTER", help="What was made of it.")],
    out: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE.html", help="The page to write.", show_default=False),
    ],
    reference: Annotated[
        Path | None, typer.Option(metavar="FILE|DIR", help="The clean picture: gives PSNR and SSIM.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar=FLAG, help="Replace a page that exists.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Write a page that compares pictures: with a divider, side by side or blinking, down to the pixels.

    It is one file that needs no network. A BEFORE that is smaller by a whole factor is enlarged bicubically.

    Of folders it compares the pictures of one name, such as photo.jpg and photo.denoised.jpg: the first 50,
    or with --reference the 50 worst.
    """
    from restore_cli.jobs.compare import measure, pair, read_versions
    from restore_cli.metrics import psnr
    from restore_cli.report.html import Comparison, Gallery, check_page

    check_page(out, overwrite=overwrite)
    page, failed = Gallery(out, "compared"), False
    for name, paths in pair([before, *after, *([reference] if reference else [])]).items():
        found = [path for path in paths if path]
        if len(found) < len(paths):
            print_warning(f"{name} is left out: not every folder has a picture of its name")
            continue
        try:
            versions, rank = call(read_versions, found), math.inf
            if reference:
                rank = call(psnr, versions[1].pixels, versions[-1].pixels)
                versions = call(measure, versions)
        except PictureError as error:
            if debug:
                raise
            print_error(str(error))
            failed = True
            continue
        page.add(rank, partial(Comparison, name, tuple(versions)))
    call(page.write)
    if page.kept:
        print_result(str(out))
    if page.left_out:
        print_warning(f"{out} has room for {page.photos}: the first, or by --reference the worst")
    if failed:
        raise typer.Exit(1)
