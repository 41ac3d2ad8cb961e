"""Options of the commands, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore_cli.errors import UsageError

DEBUG = "restore_cli.debug"  # key of the context's meta, which nested commands share


def _remember(ctx: typer.Context, debug: bool) -> bool:
    ctx.meta[DEBUG] = debug or ctx.meta.get(DEBUG, False)
    return debug


Inputs = Annotated[
    list[str] | None,
    typer.Argument(metavar="INPUT...", help="Files, folders, globs in quotes, or - for standard input."),
]

_FILES = "Input and output"
FilesFrom = Annotated[
    str | None,
    typer.Option(metavar="FILE|-", help="Read names, one a line, from a file or -.", rich_help_panel=_FILES),
]
Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive", "-r", help="Search folders in folders; -o keeps their tree.", rich_help_panel=_FILES
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|DIR|-",
        help="Where to write; by default beside the input, and - for input -.",
        rich_help_panel=_FILES,
    ),
]
Suffix = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="What follows the stem of an output's name.",
        show_default=False,
        rich_help_panel=_FILES,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="png|jpg|webp|tif|bmp|ppm|avif",
        help="Format to write; by default the input's.",
        rich_help_panel=_FILES,
    ),
]
JpegQuality = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        help="Quality of JPEG, WebP and AVIF; by default 95, or a better JPEG's own; 99 to deblock those.",
        rich_help_panel=_FILES,
        show_default=False,
    ),
]
SkipExisting = Annotated[
    bool,
    typer.Option("--skip-existing", help="Leave inputs alone whose output exists.", rich_help_panel=_FILES),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace outputs that exist.", rich_help_panel=_FILES)
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print what would be written, and stop.", rich_help_panel=_FILES)
]

_NETWORK = "Network"
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="One of `restore models list`, or a checkpoint; by default the task's own.",
        rich_help_panel=_NETWORK,
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never download a model.", rich_help_panel=_NETWORK)]
Device = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda[:N]|mps", help="Where to compute.", rich_help_panel=_NETWORK),
]
Precision = Annotated[
    str,
    typer.Option(metavar="auto|fp32|bf16|fp16", help="How exactly to compute.", rich_help_panel=_NETWORK),
]
Tile = Annotated[
    str,
    typer.Option(
        metavar="auto|N|0",
        help="Side of a tile in pixels; 0 is the whole picture, auto what memory allows.",
        rich_help_panel=_NETWORK,
    ),
]
CheckTiles = Annotated[
    bool,
    typer.Option(
        "--check-tiles",
        help="Measure what tiles change, on a crop of each picture.",
        rich_help_panel=_NETWORK,
    ),
]
Ensemble = Annotated[
    bool,
    typer.Option(
        "--ensemble",
        help="Average over eight flips and rotations: slightly better, eight times slower.",
        rich_help_panel=_NETWORK,
    ),
]

_CHANGE = "What is changed"
Strength = Annotated[
    float,
    typer.Option(min=0, max=1, help="How much of the change is made.", rich_help_panel=_CHANGE),
]
Mask = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|DIR",
        help="A picture, or a folder of them: white where the photo is changed, black where it is not.",
        rich_help_panel=_CHANGE,
    ),
]

SaveMask = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|DIR",
        help="Write the mask that was used there; as DIR/NAME.png into a folder, DIR/.",
        rich_help_panel=_CHANGE,
    ),
]

_SAID = "What is said"
Reference = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|DIR",
        help="The clean picture, or a folder of them: gives PSNR and SSIM.",
        rich_help_panel=_SAID,
    ),
]
Report = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="FILE.jsonl|csv|md|json",
        help="Write a report with one row per input; may be repeated.",
        rich_help_panel=_SAID,
    ),
]
Compare = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.html",
        help="Write a page to look at photos before and after: the first 50, or by --reference the worst.",
        rich_help_panel=_SAID,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON record a line as inputs finish.", rich_help_panel=_SAID),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.", rich_help_panel=_SAID)]
Debug = Annotated[
    bool,
    typer.Option("--debug", callback=_remember, help="Stop at the first error, and show its traceback."),
]


def parse_tile(word: str) -> int | None:
    """A side in pixels, 0 for the whole picture, None for "auto"."""
    if word == "auto":
        return None
    if not word.isdecimal():
        raise UsageError(f"The tile is {word!r}; give a side in pixels, 0 for the whole picture, or auto.")
    return int(word)
