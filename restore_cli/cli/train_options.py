"""The options of `restore train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from restore_cli import recipes
from restore_cli.cli.options import FLAG, model_names
from restore_cli.models import catalog
from restore_cli.tasks import TASKS

_RECIPE = "Recipe"
_DATA = "Data"
_RUN = "Run"


def _option(text: str, metavar: str, panel: str = _RECIPE, **others: Any) -> Any:
    return typer.Option(
        metavar=metavar, help=text, rich_help_panel=panel, show_default=False, **others
    )


def _recipe_names() -> list[str]:
    return [*recipes.rows(), *(name for name, entry in catalog.entries().items() if entry.recipe)]


def _arch_names() -> list[str]:
    """Those that recipes and models use, which are known without torch."""
    used = [row.keys["arch"] for row in recipes.rows().values()]
    ours = (entry.arch for entry in catalog.entries().values() if not entry.by_spandrel)
    return sorted({*used, *ours})


Models = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME|RECIPE.toml",
        help="What to train: a model, a paper's recipe, a file; or several.",
        autocompletion=_recipe_names,
    ),
]
ListRecipes = Annotated[
    bool,
    typer.Option(
        "--list",
        metavar=FLAG,
        help="List the recipes of papers, with their variants.",
        rich_help_panel=_RECIPE,
    ),
]
ListArchs = Annotated[
    bool,
    typer.Option(
        "--list-archs",
        metavar=FLAG,
        help="List the networks for --arch, with their parameters for --param.",
        rich_help_panel=_RECIPE,
    ),
]
Cheap = Annotated[
    bool,
    typer.Option(
        "--cpu",
        metavar=FLAG,
        help="Train a paper's recipe cheaply: half an hour on one core; same as NAME:cpu.",
        rich_help_panel=_RECIPE,
    ),
]
TaskName = Annotated[
    str | None,
    _option(f"Damage to remove: {', '.join(TASKS)}.", "TASK", autocompletion=lambda: list(TASKS)),
]
Arch = Annotated[
    str | None,
    _option(
        "Network, one of --list-archs; by default that of the task's own model.",
        "FILE:CLASS",
        autocompletion=_arch_names,
    ),
]
Params = Annotated[
    list[str] | None, _option("Parameter of the network, such as channels=1.", "KEY=VALUE")
]
Levels = Annotated[
    list[str] | None, _option(r"Level of the damage: a value, or \[low,high].", "KEY=VALUE")
]
Init = Annotated[
    str | None, _option("Checkpoint to start from.", "NAME|FILE", autocompletion=model_names)
]
Steps = Annotated[int | None, _option("Training time in steps; by default 10000.", "N")]
Minutes = Annotated[float | None, _option("Training time in minutes, in place of steps.", "N")]
Batch = Annotated[int | None, _option("Patches per step; by default 16.", "N")]
Patch = Annotated[int | None, _option("Side of a patch in pixels; by default 64.", "N")]
PrecisionName = Annotated[
    str | None,
    _option(
        "Precision of the forward pass; by default bf16.",
        "bf16|fp32",
        autocompletion=lambda: ["bf16", "fp32"],
    ),
]
Seed = Annotated[int | None, _option("Random seed; by default 0.", "N")]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Any other key of a recipe, such as lr=0.001; --dry-run prints all.",
        rich_help_panel=_RECIPE,
    ),
]
Data = Annotated[
    Path,
    typer.Option(
        metavar="DIR",
        help="Images, or the folder that holds the recipe's folders.",
        rich_help_panel=_DATA,
    ),
]
Pairs = Annotated[
    list[str] | None, _option("Folders below --data with real pairs.", "CLEAN:DAMAGED", _DATA)
]
ValidationFolder = Annotated[
    Path | None,
    typer.Option(
        "--val",
        metavar="DIR",
        help="Images to score with; by default some are held out.",
        rich_help_panel=_DATA,
    ),
]
Workers = Annotated[int | None, _option("Processes that make batches ahead.", "N", _DATA, min=0)]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="The checkpoint; by default NAME.safetensors.",
        rich_help_panel=_RUN,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        metavar=FLAG,
        help="Resume an interrupted training, or prolong one by more --steps or --minutes.",
        rich_help_panel=_RUN,
    ),
]
Jobs = Annotated[
    int | None,
    _option("Train several models, N at a time with one thread each.", "N", _RUN, min=1),
]
Compile = Annotated[
    bool,
    typer.Option("--compile", metavar=FLAG, help="Compile the network.", rich_help_panel=_RUN),
]
LogFolder = Annotated[Path | None, _option("Write TensorBoard logs to this folder.", "DIR", _RUN)]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        metavar=FLAG,
        help="Print what would run, as a recipe to save, and stop.",
        rich_help_panel=_RUN,
    ),
]
