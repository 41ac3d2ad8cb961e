"""Options of the commands, as annotated types."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from restore_cli.cli.values import parse_strength

DEBUG = "restore_cli.debug"  # key of the context's meta, which nested commands share
FLAG = ""  # metavar of switches, where typer would say <bool>


def _option(panel: str, metavar: str, help: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=panel, **settings)


def _flag(panel: str, help: str, *names: str, **settings: Any) -> Any:
    return _option(panel, FLAG, help, *names, **settings)


def _remember(ctx: typer.Context, debug: bool) -> bool:
    ctx.meta[DEBUG] = debug or ctx.meta.get(DEBUG, False)
    return debug


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT", help="Files, folders, globs in quotes, or - for standard input."
    ),
]

_FILES = "Input and output"
FilesFrom = Annotated[
    str | None, _option(_FILES, "FILE|-", "Read input names from a file or -, one per line.")
]
Recursive = Annotated[
    bool, _flag(_FILES, "Search sub-folders; -o keeps the folder structure.", "--recursive", "-r")
]
Output = Annotated[
    str | None,
    _option(
        _FILES,
        "FILE|DIR|-",
        "Where to write; by default next to the input, and - for input -.",
        "--output",
        "-o",
    ),
]
Suffix = Annotated[
    str | None,
    _option(
        _FILES,
        "TEXT",
        "Suffix added to output names; by default what was done, such as .denoised.",
        show_default=False,
    ),
]
Format = Annotated[
    str | None,
    _option(
        _FILES,
        "FORMAT",
        "Format to write: png, jpg, webp, tif, bmp, ppm or avif; by default the input's.",
        autocompletion=lambda: ["png", "jpg", "webp", "tif", "bmp", "ppm", "avif"],
    ),
]
JpegQuality = Annotated[
    int | None,
    _option(
        _FILES,
        "N",
        "Quality of JPEG, WebP and AVIF; by default 95, or the input's if that is higher; "
        "deblock: 99 for inputs above 85.",
        min=1,
        max=100,
        show_default=False,
    ),
]
MaxPixels = Annotated[
    int | None,
    _option(
        _FILES,
        "N",
        "Refuse pictures of more pixels; by default 536 million, and fewer of files that are tiny.",
        min=1,
        show_default=False,
    ),
]
SkipExisting = Annotated[
    bool, _flag(_FILES, "Skip inputs whose output already exists.", "--skip-existing")
]
Overwrite = Annotated[bool, _flag(_FILES, "Replace outputs that exist.", "--overwrite")]
DryRun = Annotated[bool, _flag(_FILES, "Print what would be written, and stop.", "--dry-run")]

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
    _option(
        _NETWORK,
        "NAME|FILE",
        "One of `restore models list`, or a checkpoint; by default the task's own.",
        autocompletion=model_names,
    ),
]
ACCEPT = (
    "Accept the license of this model, which allows no commercial use or is not stated;"
    " may be repeated."
)
Accept = Annotated[
    list[str] | None,
    _option(_NETWORK, "NAME", ACCEPT, "--accept-license", autocompletion=model_names),
]
Offline = Annotated[bool, _flag(_NETWORK, "Never download a model.", "--offline")]
Device = Annotated[
    str,
    _option(
        _NETWORK,
        "DEVICE",
        "Device to run on: auto, cpu, cuda, cuda:N or mps.",
        autocompletion=lambda: ["auto", "cpu", "cuda", "mps"],
    ),
]
Precision = Annotated[
    str,
    _option(
        _NETWORK,
        "PRECISION",
        "Floating-point precision: auto, fp32, bf16 or fp16.",
        autocompletion=lambda: ["auto", "fp32", "bf16", "fp16"],
    ),
]
Tile = Annotated[
    str,
    _option(
        _NETWORK,
        "auto|N|0",
        "Side of a tile in pixels, 16 or more; 0 is the whole picture, auto what memory allows.",
    ),
]
CheckTiles = Annotated[
    bool,
    _flag(
        _NETWORK,
        "Check that tiling does not change the result, on a crop of each picture.",
        "--check-tiles",
    ),
]
Ensemble = Annotated[
    bool,
    _flag(
        _NETWORK,
        "Average over eight flips and rotations: slightly better, eight times slower.",
        "--ensemble",
    ),
]

_CHANGE = "Effect"
Strength = Annotated[
    float,
    _option(
        _CHANGE, "SHARE", "Strength of the effect: 0 to 1, or a percentage.", parser=parse_strength
    ),
]
Mask = Annotated[
    Path | None,
    _option(
        _CHANGE,
        "FILE|DIR",
        "A picture, or a folder of them: white where the photo is changed, black where it is not.",
    ),
]
Missing = Annotated[
    Path | None,
    _option(
        _CHANGE,
        "FILE|DIR",
        "A picture, or a folder of them: white what is missing, black what stays.",
    ),
]
SaveMask = Annotated[
    str | None,
    _option(
        _CHANGE,
        "FILE|DIR",
        "Save the mask that was used: to a file, or as NAME.png in a folder, whose name ends"
        " with /.",
    ),
]

_SAID = "Reporting"
Reference = Annotated[
    Path | None,
    _option(_SAID, "FILE|DIR", "The clean picture, or a folder of them: gives PSNR and SSIM."),
]
Report = Annotated[
    list[Path] | None,
    _option(
        _SAID,
        "FILE",
        "Write a report with one row per input, as .jsonl, .csv, .md or .json; may be repeated.",
    ),
]
Compare = Annotated[
    Path | None,
    _option(
        _SAID,
        "FILE.html",
        "Write a page with photos before and after: the first 50, or with --reference the 50"
        " worst.",
    ),
]
Json = Annotated[bool, _flag(_SAID, "Print one JSON record per line as inputs finish.", "--json")]
Quiet = Annotated[bool, _flag(_SAID, "Print only errors.", "--quiet", "-q")]
Debug = Annotated[
    bool,
    _flag(_SAID, "Stop at the first error, and show its traceback.", "--debug", callback=_remember),
]
