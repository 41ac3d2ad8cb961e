"""`restore compare`: a page to look at versions of one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore_cli.cli.display import print_result
from restore_cli.cli.options import FLAG, Debug
from restore_cli.cli.signals import call


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
    overwrite: Annotated[
        bool, typer.Option("--overwrite", metavar=FLAG, help="Replace a page that exists.")
    ] = False,
    debug: Debug = False,  # noqa: ARG001 (its callback keeps it)
) -> None:
    """Write a page that compares pictures: with a divider, side by side or blinking, down to the pixels.

    It is one file that needs no network. A BEFORE that is smaller by a whole factor is enlarged bicubically.
    """
    from restore_cli.atomic import write_text
    from restore_cli.jobs.compare import measure, read_versions
    from restore_cli.report.html import Comparison, check_page, render_comparisons

    check_page(out, overwrite=overwrite)
    versions = call(read_versions, [before, *after, *([reference] if reference else [])])
    if reference:
        versions = call(measure, versions)
    title = f"{before.name}, compared"
    page = call(render_comparisons, title, [Comparison(before.name, tuple(versions))])
    call(write_text, out, page)
    print_result(str(out))
