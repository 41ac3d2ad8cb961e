"""`restore train`: makes a checkpoint from its recipe."""

from __future__ import annotations

import os
from pathlib import Path

from restore_cli.cli.options import Debug, Device
from restore_cli.cli.train_list import train_list
from restore_cli.cli.train_options import (
    Arch,
    Batch,
    Cheap,
    Compile,
    Data,
    DryRun,
    Init,
    Jobs,
    Levels,
    ListArchs,
    ListRecipes,
    LogFolder,
    Minutes,
    Models,
    Out,
    Pairs,
    Params,
    Patch,
    PrecisionName,
    Resume,
    Seed,
    Settings,
    Steps,
    TaskName,
    ValidationFolder,
    Workers,
)
from restore_cli.cli.train_progress import run_training
from restore_cli.cli.train_recipe import checkpoint_name, choose_cheap, merge_options
from restore_cli.cli.train_show import show_archs, show_plan, show_recipes
from restore_cli.errors import UsageError


def train(
    models: Models = None,
    list_recipes: ListRecipes = False,
    list_archs: ListArchs = False,
    cpu: Cheap = False,
    task: TaskName = None,
    arch: Arch = None,
    param: Params = None,
    level: Levels = None,
    init: Init = None,
    steps: Steps = None,
    minutes: Minutes = None,
    batch: Batch = None,
    patch: Patch = None,
    precision: PrecisionName = None,
    seed: Seed = None,
    settings: Settings = None,
    data: Data = Path(),
    pairs: Pairs = None,
    validation: ValidationFolder = None,
    workers: Workers = None,
    out: Out = None,
    resume: Resume = False,
    jobs: Jobs = None,
    device: Device = "auto",
    compile: Compile = False,
    logdir: LogFolder = None,
    dry_run: DryRun = False,
    debug: Debug = False,  # noqa: ARG001 (its callback keeps it)
) -> None:
    """Train a model.

    NAME is a full name from `restore models list`, which is made again from its
    recipe in weights.toml, or one from `restore train --list`, a row of a paper's
    table, with variants after colons; RECIPE.toml is a file with a recipe's keys.
    Options take their place, or make a recipe by themselves:

    restore train --task denoise --data photos/ --minutes 60 --out my.safetensors

    Also written: NAME.last.safetensors, the latest (NAME.safetensors is the best
    of all validations); NAME.state.safetensors, for --resume; and NAME.csv, the
    log. Ctrl-C ends the step that is under way and keeps the state.

    `torchrun -m restore_cli train ...` trains with several processes.

    `restore train --jobs 2 A.toml B.toml C.toml --data photos/` trains a list, two
    at a time. What each prints goes to A.log, ..., and what ran when to train.log.
    The same command resumes the list.
    """
    if list_recipes:
        show_recipes()
        return
    if list_archs:
        show_archs()
        return
    names = choose_cheap(models or []) if cpu else models or []
    named = {
        "task": task,
        "arch": arch,
        "init": init,
        "steps": steps,
        "minutes": minutes,
        "batch": batch,
        "patch": patch,
        "precision": precision,
        "seed": seed,
        "pairs": pairs or None,
    }
    given = {key: value for key, value in named.items() if value is not None}
    if jobs or len(names) > 1:
        others = param or level or settings or out or logdir or dry_run or compile
        if others or given.keys() & {"task", "arch", "init", "pairs"}:
            raise UsageError(
                "Cannot train a list with options that are of one training. Put them into the"
                " recipes; --data, --val, --steps, --minutes, --batch, --patch, --precision,"
                " --seed, --device and --workers stand for all."
            )
        shared: dict[str, object] = {"data": data, "val": validation, "device": device}
        shared |= {"workers": workers, **given}
        train_list(names, jobs or os.cpu_count() or 1, shared)
        return
    model = names[0] if names else None
    values = merge_options(model, given, settings, param, level)

    from restore_cli.training.recipe import Recipe
    from restore_cli.training.request import Request

    recipe = Recipe.parse(values)
    out = out or Path(f"{checkpoint_name(model or recipe.task)}.safetensors")
    if out.suffix != ".safetensors":
        raise UsageError(f"A checkpoint is a safetensors file; name {out} with that suffix.")
    request = Request(recipe, data, out, device, resume, validation, workers, compile, logdir)
    if dry_run:
        show_plan(request)
        return
    for path in (out, request.state):
        if path.exists() and not resume:
            raise UsageError(f"{path} exists; give --resume to go on with it, or another --out.")
    run_training(request)
