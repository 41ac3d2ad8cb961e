"""The options that commands share, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from restore_cli.cli import values
from restore_cli.cli.completion import complete_list, licensed_names, model_names

# Keys of the context's meta, which nested commands share.
DEBUG = "restore_cli.debug"
ORIGINS = "restore_cli.origins"  # the files and variables with defaults that hold
FLAG = ""  # metavar of switches, where Typer would show <bool>


def option(panel: str, metavar: str, help: str, *names: str, **settings: Any) -> Any:
    """An option in a panel of the help; `settings` are those of typer.Option."""
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=panel, **settings)


def flag(panel: str, help: str, *names: str, **settings: Any) -> Any:
    """A switch, which takes no value, in a panel of the help."""
    return option(panel, FLAG, help, *names, **settings)


def _remember(ctx: typer.Context, debug: bool) -> bool:
    ctx.meta[DEBUG] = debug or ctx.meta.get(DEBUG, False)
    return debug


Inputs = Annotated[
    list[str] | None,
    typer.Argument(metavar="INPUT", help="Files, folders or quoted globs; - reads standard input."),
]

_FILES = "Input and output"
FilesFrom = Annotated[
    str | None,
    option(_FILES, "FILE|-", "Read input paths from a file, one per line; - reads standard input."),
]
Recursive = Annotated[
    bool,
    flag(
        _FILES,
        "Include subfolders, except linked ones; with -o, recreate the folder structure.",
        "--recursive",
        "-r",
    ),
]
Output = Annotated[
    str | None,
    option(
        _FILES,
        "FILE|DIR|-",
        "Output file or folder, or - for standard output."
        " By default next to each input, or - if the input is -.",
        "--output",
        "-o",
    ),
]
Suffix = Annotated[
    str | None,
    option(
        _FILES,
        "TEXT",
        "Suffix added to output names, before the extension; by default .denoised and the like.",
        parser=values.parse_suffix,
    ),
]
Format = Annotated[
    str | None,
    option(
        _FILES,
        "FORMAT",
        "Output format: png, jpg, webp, tif, bmp, ppm, avif, heic or jxl; by default the same as"
        " the input, or png for GIF and RAW.",
        parser=values.parse_format,
        autocompletion=lambda: ["png", "jpg", "webp", "tif", "bmp", "ppm", "avif", "heic", "jxl"],
    ),
]
Pages = Annotated[
    Literal["first", "all"],
    option(
        _FILES,
        "first|all",
        "Restore only the first frame or page of a file, or all: of animated GIF, WebP and PNG, and"
        " of TIFF.",
        parser=values.parse_pages,
        autocompletion=lambda: ["first", "all"],
    ),
]
JpegQuality = Annotated[
    int | None,
    option(
        _FILES,
        "N",
        "Quality for JPEG, WebP, AVIF, HEIC and JPEG XL, 1 to 100; by default 95, or the input's"
        " own quality if higher. Deblock uses 99 for inputs above 85.",
        min=1,
        max=100,
    ),
]
MaxPixels = Annotated[
    int | None,
    option(
        _FILES,
        "N",
        "Refuse images with more pixels, in all pages together; by default 536 million, and fewer"
        " for very small files.",
        min=1,
    ),
]
Provenance = Annotated[
    bool,
    flag(
        _FILES,
        "Write into the output's metadata how it was made: options, models, date and checksums;"
        " see `restore info` and `restore rerun`.",
        "--provenance",
    ),
]
SkipExisting = Annotated[
    bool, flag(_FILES, "Skip inputs whose output already exists.", "--skip-existing")
]
Overwrite = Annotated[bool, flag(_FILES, "Overwrite existing outputs.", "--overwrite")]
DryRun = Annotated[
    bool,
    flag(
        _FILES,
        "Show which files would be written, and the memory needed, without writing them.",
        "--dry-run",
    ),
]

_BATCH = "Large batches"
Resume = Annotated[
    bool,
    flag(
        _BATCH,
        "Continue an earlier run: restore only photos that are new, changed, damaged or unfinished,"
        " by a journal in the output folder.",
        "--resume",
    ),
]
RetryFailed = Annotated[
    bool, flag(_BATCH, "Like --resume, but also try failed photos again.", "--retry-failed")
]
Watch = Annotated[
    bool,
    flag(_BATCH, "Like --resume, and wait for new photos in the folders until Ctrl-C.", "--watch"),
]
Jobs = Annotated[
    int | None,
    option(
        _BATCH,
        "N",
        "Number of processes; by default 1, or one for each device.",
        "--jobs",
        "-j",
        min=1,
    ),
]
Ray = Annotated[
    str | None,
    option(
        _BATCH,
        "ADDRESS",
        "Restore with Ray: on this computer, or with auto, HOST:6379 or ray://HOST:10001 on a"
        " cluster; --jobs is then the number of workers, by default one for each GPU or CPU core.",
        parser=values.check_ray,
        autocompletion=lambda: ["auto", "local"],
    ),
]
Shard = Annotated[
    str | None,
    option(
        _BATCH,
        "I/N",
        "Restore only part I of N; run all parts, such as on several machines, for the entire"
        " batch.",
    ),
]

_NETWORK = "Model and device"


Model = Annotated[
    str | None,
    option(
        _NETWORK,
        "NAME|FILE",
        "Model name, see `restore models list`, or checkpoint file; by default this command's own"
        " model.",
        autocompletion=model_names,
    ),
]
ACCEPT = "Accept this model's license, if it forbids commercial use or is not stated; repeatable."
Accept = Annotated[
    list[str] | None,
    option(_NETWORK, "NAME", ACCEPT, "--accept-license", autocompletion=licensed_names),
]
Offline = Annotated[bool, flag(_NETWORK, "Never download a model.", "--offline")]
Device = Annotated[
    str,
    option(
        _NETWORK,
        "DEVICE",
        "Device to run on: auto, cpu, cuda, cuda:N or mps.",
        autocompletion=lambda: ["auto", "cpu", "cuda", "mps"],
    ),
]
Devices = Annotated[
    str,
    option(
        _NETWORK,
        "DEVICE[,...]",
        "Device to run on: auto, cpu, cuda, cuda:N or mps; several, such as cuda:0,cuda:1, or all,"
        " have one process each.",
        "--device",
        autocompletion=complete_list(lambda _: ["auto", "all", "cpu", "cuda", "mps"]),
    ),
]
Precision = Annotated[
    str,
    option(
        _NETWORK,
        "PRECISION",
        "Floating-point precision: auto, fp32, bf16 or fp16.",
        autocompletion=lambda: ["auto", "fp32", "bf16", "fp16"],
    ),
]
Tile = Annotated[
    int | None,
    option(
        _NETWORK,
        "auto|N|0",
        "Tile size in pixels, 16 or more, for most networks 128 or more; 0 processes the entire"
        r" image at once, auto picks a size that fits in memory. \[default: auto]",
        parser=values.parse_tile,
    ),
]
CheckTiles = Annotated[
    bool,
    flag(
        _NETWORK,
        "Check on a crop of each photo that tiling does not change the result.",
        "--check-tiles",
    ),
]
Ensemble = Annotated[
    bool,
    flag(
        _NETWORK,
        "Average over flips and rotations: slightly better, but up to eight times slower.",
        "--ensemble",
    ),
]
Compile = Annotated[
    bool,
    flag(
        _NETWORK,
        "Compile the network first, which pays off for many photos on a GPU.",
        "--compile",
    ),
]

_EFFECT = "Strength and mask"
Strength = Annotated[
    float,
    option(
        _EFFECT,
        "SHARE",
        "Blend between the input (0) and the restored photo (1); also a percentage.",
        parser=values.parse_strength,
    ),
]
Mask = Annotated[
    Path | None,
    option(
        _EFFECT,
        "FILE|DIR",
        "Mask, or a folder with one mask per input, such as photo.png for photo.jpg: white"
        " areas are restored, black ones kept.",
    ),
]
Missing = Annotated[
    Path | None,
    option(
        _EFFECT,
        "FILE|DIR",
        "Mask, or a folder with one mask per input, such as photo.png for photo.jpg: white"
        " areas are filled in, black ones kept.",
    ),
]
SaveMask = Annotated[
    str | None,
    option(
        _EFFECT,
        "FILE|DIR",
        "Save the mask that was used, as FILE or as DIR/NAME.png; end a new folder's name with /.",
    ),
]

_REPORTS = "Reports and logging"
Reference = Annotated[
    Path | None,
    option(_REPORTS, "FILE|DIR", "Reference photo, or a folder of them; reports PSNR and SSIM."),
]
Report = Annotated[
    list[Path] | None,
    option(
        _REPORTS,
        "FILE",
        "Write a table with one row per input, as .jsonl, .csv, .md or .json; repeatable.",
    ),
]
Compare = Annotated[
    Path | None,
    option(
        _REPORTS,
        "FILE.html",
        "Write an HTML page that compares before and after: the first 50 photos, or with"
        " --reference the 50 with the lowest PSNR.",
    ),
]
Preview = Annotated[
    bool,
    flag(
        _REPORTS,
        "Show the middle of each photo before and after in the terminal, if it has kitty or sixel"
        " graphics.",
    ),
]
Json = Annotated[
    bool, flag(_REPORTS, "Print one JSON object per line as each input finishes.", "--json")
]
Quiet = Annotated[bool, flag(_REPORTS, "Print errors only.", "--quiet", "-q")]
Debug = Annotated[
    bool,
    flag(
        _REPORTS,
        "Stop at the first error and show the traceback.",
        "--debug",
        callback=_remember,
    ),
]
