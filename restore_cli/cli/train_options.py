"""The options of `restore train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore_cli.cli.completion import arch_names, model_names, recipe_names
from restore_cli.cli.options import flag, option
from restore_cli.tasks import TASKS

_RECIPE = "Recipe"
_DATA = "Data"
_RUN = "Run"


Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME|RECIPE.toml",
        help="Models to retrain, papers' recipes, or recipe files.",
        autocompletion=recipe_names,
    ),
]
ListRecipes = Annotated[
    bool,
    flag(_RECIPE, "List the papers' recipes and their variants.", "--list"),
]
ListArchs = Annotated[
    bool,
    flag(_RECIPE, "List the networks for --arch and their parameters for --param.", "--list-archs"),
]
Cheap = Annotated[
    bool,
    flag(
        _RECIPE,
        "Use the half-hour, single-core variant of a paper's recipe (same as NAME:cpu).",
        "--cpu",
    ),
]
TaskName = Annotated[
    str | None,
    option(
        _RECIPE,
        "TASK",
        f"Restoration task: {', '.join(TASKS)}.",
        autocompletion=lambda: list(TASKS),
    ),
]
Arch = Annotated[
    str | None,
    option(
        _RECIPE,
        "FILE:CLASS",
        r"Network to train (see --list-archs). \[default: that of the task's default model]",
        autocompletion=arch_names,
    ),
]
Params = Annotated[
    list[str] | None,
    option(
        _RECIPE,
        "KEY=VALUE",
        "Network parameter, such as channels=1; repeatable.",
    ),
]
Levels = Annotated[
    list[str] | None,
    option(
        _RECIPE,
        "KEY=VALUE",
        r"Degradation level: a value or \[low,high]; repeatable.",
    ),
]
Init = Annotated[
    str | None,
    option(
        _RECIPE,
        "NAME|FILE",
        "Checkpoint to start from.",
        autocompletion=model_names,
    ),
]
Steps = Annotated[
    int | None,
    option(_RECIPE, "N", r"Training length in steps. \[default: 10000]"),
]
Minutes = Annotated[
    float | None,
    option(_RECIPE, "N", "Training time in minutes, instead of --steps."),
]
Batch = Annotated[int | None, option(_RECIPE, "N", r"Patches per step. \[default: 16]")]
Patch = Annotated[
    int | None,
    option(_RECIPE, "N", r"Side of a patch in pixels. \[default: 64]"),
]
PrecisionName = Annotated[
    str | None,
    option(
        _RECIPE,
        "auto|bf16|fp32",
        r"Precision of the forward pass; auto is bf16 if the device computes it natively."
        r" \[default: auto]",
        autocompletion=lambda: ["auto", "bf16", "fp32"],
    ),
]
Seed = Annotated[int | None, option(_RECIPE, "N", r"Random seed. \[default: 0]")]
Settings = Annotated[
    list[str] | None,
    option(
        _RECIPE,
        "KEY=VALUE",
        "Any other recipe key, such as lr=0.001; repeatable. See --dry-run for all keys.",
        "--set",
    ),
]
Data = Annotated[
    Path,
    option(_DATA, "DIR", "Training images, or the folder that contains the recipe's folders."),
]
Pairs = Annotated[
    list[str] | None,
    option(
        _DATA,
        "CLEAN:DAMAGED",
        "Subfolders of --data with paired images; repeatable.",
    ),
]
ValidationFolder = Annotated[
    Path | None,
    option(_DATA, "DIR", r"Validation images. \[default: a held-out split]", "--val"),
]
Workers = Annotated[int | None, option(_DATA, "N", "Data-loading worker processes.", min=0)]
Out = Annotated[
    Path | None,
    option(_RUN, "FILE", r"Checkpoint to write. \[default: NAME.safetensors]"),
]
Resume = Annotated[
    bool,
    flag(
        _RUN,
        "Resume an interrupted training, or extend one with more --steps or --minutes.",
        "--resume",
    ),
]
Jobs = Annotated[
    int | None,
    option(
        _RUN,
        "N",
        "Train several models, N at a time, with one thread each.",
        min=1,
    ),
]
Compile = Annotated[
    bool,
    flag(_RUN, "Compile the network with torch.compile.", "--compile"),
]
LogFolder = Annotated[Path | None, option(_RUN, "DIR", "Write TensorBoard logs to this folder.")]
DryRun = Annotated[
    bool,
    flag(_RUN, "Print the complete recipe and its cost without training.", "--dry-run"),
]
