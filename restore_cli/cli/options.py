"""Options of the commands, as annotated types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from restore_cli.errors import UsageError
from restore_cli.tables import read_value

DEBUG = "restore_cli.debug"  # key of the context's meta, which nested commands share
SMALLEST_TILE = 16  # pixels


def _remember(ctx: typer.Context, debug: bool) -> bool:
    ctx.meta[DEBUG] = debug or ctx.meta.get(DEBUG, False)
    return debug


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT", help="Files, folders, globs in quotes, or - for standard input."
    ),
]
FLAG = ""  # metavar of switches, where typer would say <bool>

_FILES = "Input and output"
FilesFrom = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|-",
        help="Read input names from a file or -, one per line.",
        rich_help_panel=_FILES,
    ),
]
Recursive = Annotated[
    bool,
    typer.Option(
        "--recursive",
        "-r",
        metavar=FLAG,
        help="Search sub-folders; -o keeps the folder structure.",
        rich_help_panel=_FILES,
    ),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|DIR|-",
        help="Where to write; by default next to the input, and - for input -.",
        rich_help_panel=_FILES,
    ),
]
Suffix = Annotated[
    str | None,
    typer.Option(
        metavar="TEXT",
        help="Suffix added to output names; by default what was done, such as .denoised.",
        show_default=False,
        rich_help_panel=_FILES,
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        help="Format to write: png, jpg, webp, tif, bmp, ppm or avif; by default the input's.",
        rich_help_panel=_FILES,
        autocompletion=lambda: ["png", "jpg", "webp", "tif", "bmp", "ppm", "avif"],
    ),
]
JpegQuality = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        metavar="N",
        help="Quality of JPEG, WebP and AVIF; by default 95, or the input's if that is higher; "
        "deblock: 99 for inputs above 85.",
        rich_help_panel=_FILES,
        show_default=False,
    ),
]
MaxPixels = Annotated[
    int | None,
    typer.Option(
        min=1,
        metavar="N",
        help="Refuse pictures of more pixels; by default 536 million, and fewer of files that are"
        " tiny.",
        show_default=False,
        rich_help_panel=_FILES,
    ),
]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing",
        metavar=FLAG,
        help="Skip inputs whose output already exists.",
        rich_help_panel=_FILES,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", metavar=FLAG, help="Replace outputs that exist.", rich_help_panel=_FILES
    ),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        metavar=FLAG,
        help="Print what would be written, and stop.",
        rich_help_panel=_FILES,
    ),
]

_NETWORK = "Network"


def model_names() -> list[str]:
    """Full and short names of all models, to complete a word."""
    from restore_cli.models import catalog

    entries = catalog.entries().values()
    return sorted({name for entry in entries for name in entry.names})


def complete_list(names: Callable[[], Iterable[str]]) -> Callable[[str], list[str]]:
    """Completes the last name of a list, "a,b,c"."""

    def complete(incomplete: str) -> list[str]:
        head, comma, _ = incomplete.rpartition(",")
        return [head + comma + name for name in names()]

    return complete


Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="One of `restore models list`, or a checkpoint; by default the task's own.",
        rich_help_panel=_NETWORK,
        autocompletion=model_names,
    ),
]
ACCEPT = (
    "Accept the license of this model, which allows no commercial use or is not stated;"
    " may be repeated."
)
Accept = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-license",
        metavar="NAME",
        help=ACCEPT,
        rich_help_panel=_NETWORK,
        autocompletion=model_names,
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline", metavar=FLAG, help="Never download a model.", rich_help_panel=_NETWORK
    ),
]
Device = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="Device to run on: auto, cpu, cuda, cuda:N or mps.",
        rich_help_panel=_NETWORK,
        autocompletion=lambda: ["auto", "cpu", "cuda", "mps"],
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        metavar="PRECISION",
        help="Floating-point precision: auto, fp32, bf16 or fp16.",
        rich_help_panel=_NETWORK,
        autocompletion=lambda: ["auto", "fp32", "bf16", "fp16"],
    ),
]
Tile = Annotated[
    str,
    typer.Option(
        metavar="auto|N|0",
        help="Side of a tile in pixels, 16 or more; 0 is the whole picture, auto what memory"
        " allows.",
        rich_help_panel=_NETWORK,
    ),
]
CheckTiles = Annotated[
    bool,
    typer.Option(
        "--check-tiles",
        metavar=FLAG,
        help="Check that tiling does not change the result, on a crop of each picture.",
        rich_help_panel=_NETWORK,
    ),
]
Ensemble = Annotated[
    bool,
    typer.Option(
        "--ensemble",
        metavar=FLAG,
        help="Average over eight flips and rotations: slightly better, eight times slower.",
        rich_help_panel=_NETWORK,
    ),
]

_CHANGE = "Effect"


def parse_strength(word: str | float) -> float:
    """A share from 0 to 1, or in percent."""
    number, percent = (
        (word, False) if isinstance(word, float) else (word.removesuffix("%"), word[-1:] == "%")
    )
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(
            f"Cannot use the strength {word}: it is not from 0 to 1. Give 0.5, or 50%, for half."
        )
    return share


Strength = Annotated[
    float,
    typer.Option(
        metavar="SHARE",
        parser=parse_strength,
        help="Strength of the effect: 0 to 1, or a percentage.",
        rich_help_panel=_CHANGE,
    ),
]
Mask = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|DIR",
        help="A picture, or a folder of them: white where the photo is changed, black where it is"
        " not.",
        rich_help_panel=_CHANGE,
    ),
]
Missing = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE|DIR",
        help="A picture, or a folder of them: white what is missing, black what stays.",
        rich_help_panel=_CHANGE,
    ),
]

SaveMask = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|DIR",
        help="Save the mask that was used: to a file, or as NAME.png in a folder, whose name ends"
        " with /.",
        rich_help_panel=_CHANGE,
    ),
]

_SAID = "Reporting"
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
        metavar="FILE",
        help="Write a report with one row per input, as .jsonl, .csv, .md or .json; may be"
        " repeated.",
        rich_help_panel=_SAID,
    ),
]
Compare = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.html",
        help="Write a page with photos before and after: the first 50, or with --reference the 50"
        " worst.",
        rich_help_panel=_SAID,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar=FLAG,
        help="Print one JSON record per line as inputs finish.",
        rich_help_panel=_SAID,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", metavar=FLAG, help="Print only errors.", rich_help_panel=_SAID),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        metavar=FLAG,
        callback=_remember,
        help="Stop at the first error, and show its traceback.",
        rich_help_panel=_SAID,
    ),
]


def split(words: Sequence[str] | None) -> list[str]:
    """The words between commas."""
    return [part for word in words or () for part in word.split(",") if part]


def parse_tile(word: str) -> int | None:
    """A side in pixels, 0 for the whole picture, None for "auto"."""
    if word == "auto":
        return None
    if not word.isdecimal():
        raise UsageError(
            f"The tile is {word!r}; give a side in pixels, 0 for the whole picture, or auto."
        )
    if 0 < int(word) < SMALLEST_TILE:
        raise UsageError(
            f"Cannot cut tiles of {word} pixels: a photo would take hours. "
            f"Give {SMALLEST_TILE} or more, 0 for the whole picture, or auto."
        )
    return int(word)


def parse_keys(option: str, words: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE words; a value is TOML's, and where it is none, the word itself."""
    values: dict[str, Any] = {}
    for word in words or ():
        key, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"{option} takes KEY=VALUE, not {word!r}.")
        values[key] = read_value(text)
    return values
