"""`restore train`: trains a checkpoint from a recipe."""

from __future__ import annotations

import os
from pathlib import Path

from restore_cli.cli.examples import examples
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

EPILOG = examples("train")


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
    debug: Debug = False,  # noqa: ARG001 (its callback stores it)
) -> None:
    """Train a model from a recipe.

    NAME is a model from `restore models list`, which is retrained from its recipe in
    weights.toml, or a paper's recipe from `restore train --list`, with variants after
    colons. RECIPE.toml is a file with the keys of a recipe. Options override these
    keys, or define a recipe of their own.

    NAME.safetensors is the checkpoint with the best validation score. Next to it are
    NAME.last.safetensors (the latest checkpoint), NAME.state.safetensors (for
    --resume) and NAME.csv (the log). Ctrl-C finishes the current step and saves the
    state.

    `torchrun -m restore_cli train ...` trains with several processes.

    Several names are trained as a list, --jobs at a time. Each training writes its
    output to NAME.log; train.log lists when each one started and ended. The same
    command resumes the list.
    """
    if list_recipes:
        show_recipes()
        return
    if list_archs:
        show_archs()
        return
    if minutes == 0:  # in a recipe it stands for "as many steps as it states"
        raise UsageError("Cannot train for 0 minutes. Give more, or use --steps.")
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
                "Cannot train a list with options that apply to a single training. Put them into"
                " the recipes. A list accepts --data, --val, --steps, --minutes, --batch, --patch,"
                " --precision, --seed, --device and --workers."
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
        raise UsageError(
            f"Cannot write a checkpoint to {out}: it must be a safetensors file. Use the suffix"
            " .safetensors."
        )
    request = Request(recipe, data, out, device, resume, validation, workers, compile, logdir)
    if dry_run:
        show_plan(request)
        return
    request.check_replaced()
    run_training(request)
