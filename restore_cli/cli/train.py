"""`restore train`: makes a checkpoint from its recipe."""

from __future__ import annotations

import dataclasses
import inspect
import os
import shlex
import textwrap
from collections.abc import Mapping
from contextlib import closing, suppress
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore_cli import recipes
from restore_cli.cli.display import print_note, print_result
from restore_cli.cli.fields import parse_keys
from restore_cli.cli.options import FLAG, Debug, Device, model_names
from restore_cli.cli.progress import show_progress
from restore_cli.cli.signals import Worker
from restore_cli.errors import RestoreError, UsageError
from restore_cli.levels import to_plain_levels
from restore_cli.models import catalog
from restore_cli.tables import read_toml, to_toml
from restore_cli.tasks import TASKS

if TYPE_CHECKING:
    from restore_cli.training.loop import Beat, Progress, Request

_RECIPE = "Recipe"
_DATA = "Data"
_RUN = "Run"


def _word(text: str, metavar: str, panel: str = _RECIPE, **others: Any) -> Any:
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


def train(
    models: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME|RECIPE.toml",
            help="What to train: a model, a paper's recipe, a file; or several.",
            autocompletion=_recipe_names,
        ),
    ] = None,
    list_recipes: Annotated[
        bool,
        typer.Option(
            "--list",
            metavar=FLAG,
            help="List the recipes of papers, with their variants.",
            rich_help_panel=_RECIPE,
        ),
    ] = False,
    list_archs: Annotated[
        bool,
        typer.Option(
            "--list-archs",
            metavar=FLAG,
            help="List the networks for --arch, with their parameters for --param.",
            rich_help_panel=_RECIPE,
        ),
    ] = False,
    cpu: Annotated[
        bool,
        typer.Option(
            "--cpu",
            metavar=FLAG,
            help="Train a paper's recipe cheaply: half an hour on one core; same as NAME:cpu.",
            rich_help_panel=_RECIPE,
        ),
    ] = False,
    task: Annotated[
        str | None,
        _word(f"Damage to remove: {', '.join(TASKS)}.", "TASK", autocompletion=lambda: list(TASKS)),
    ] = None,
    arch: Annotated[
        str | None,
        _word(
            "Network, one of --list-archs; by default that of the task's own model.",
            "FILE:CLASS",
            autocompletion=_arch_names,
        ),
    ] = None,
    param: Annotated[
        list[str] | None, _word("Parameter of the network, such as channels=1.", "KEY=VALUE")
    ] = None,
    level: Annotated[
        list[str] | None, _word(r"Level of the damage: a value, or \[low,high].", "KEY=VALUE")
    ] = None,
    init: Annotated[
        str | None, _word("Checkpoint to start from.", "NAME|FILE", autocompletion=model_names)
    ] = None,
    steps: Annotated[int | None, _word("Training time in steps; by default 10000.", "N")] = None,
    minutes: Annotated[
        float | None, _word("Training time in minutes, in place of steps.", "N")
    ] = None,
    batch: Annotated[int | None, _word("Patches per step; by default 16.", "N")] = None,
    patch: Annotated[int | None, _word("Side of a patch in pixels; by default 64.", "N")] = None,
    precision: Annotated[
        str | None,
        _word(
            "Precision of the forward pass; by default bf16.",
            "bf16|fp32",
            autocompletion=lambda: ["bf16", "fp32"],
        ),
    ] = None,
    seed: Annotated[int | None, _word("Random seed; by default 0.", "N")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other key of a recipe, such as lr=0.001; --dry-run prints all.",
            rich_help_panel=_RECIPE,
        ),
    ] = None,
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Images, or the folder that holds the recipe's folders.",
            rich_help_panel=_DATA,
        ),
    ] = Path(),
    pairs: Annotated[
        list[str] | None, _word("Folders below --data with real pairs.", "CLEAN:DAMAGED", _DATA)
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(
            "--val",
            metavar="DIR",
            help="Images to score with; by default some are held out.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    workers: Annotated[
        int | None, _word("Processes that make batches ahead.", "N", _DATA, min=0)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The checkpoint; by default NAME.safetensors.",
            rich_help_panel=_RUN,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            metavar=FLAG,
            help="Resume an interrupted training, or prolong one by more --steps or --minutes.",
            rich_help_panel=_RUN,
        ),
    ] = False,
    jobs: Annotated[
        int | None,
        _word("Train several models, N at a time with one thread each.", "N", _RUN, min=1),
    ] = None,
    device: Device = "auto",
    compile: Annotated[
        bool,
        typer.Option("--compile", metavar=FLAG, help="Compile the network.", rich_help_panel=_RUN),
    ] = False,
    logdir: Annotated[
        Path | None, _word("Write TensorBoard logs to this folder.", "DIR", _RUN)
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            metavar=FLAG,
            help="Print what would run, as a recipe to save, and stop.",
            rich_help_panel=_RUN,
        ),
    ] = False,
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
    if cpu:
        if not models or not all(map(_is_of_paper, models)):
            raise UsageError(
                "Cannot use --cpu without a paper's recipe. `restore train --list` shows all."
            )
        models = [f"{model}:{recipes.CPU}" for model in models]
    given = {
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
    models = models or []
    if jobs or len(models) > 1:
        shared: dict[str, object] = {
            "--data": data,
            "--val": validation,
            "--device": device,
            "--workers": workers,
            **{
                f"--{key}": given[key]
                for key in ("steps", "minutes", "batch", "patch", "precision", "seed")
            },
        }
        others = {"task", "arch", "init", "pairs"} & {
            key for key, value in given.items() if value is not None
        }
        if others or param or level or settings or out or logdir or dry_run or compile:
            raise UsageError(
                "Cannot train a list with options that are of one training. Put them into the"
                " recipes;"
                " --data, --val, --steps, --minutes, --batch, --patch, --precision, --seed,"
                " --device and"
                " --workers stand for all."
            )
        train_list(models, jobs or os.cpu_count() or 1, shared)
        return
    model = models[0] if models else None
    values = read_recipe(model) if model else {}
    values |= {key: value for key, value in given.items() if value is not None}
    if steps is not None and minutes is None:
        values["minutes"] = 0  # of the recipe, which would take precedence
    values |= parse_keys("--set", settings)
    for key, option, words in (("params", "--param", param), ("levels", "--level", level)):
        if words:
            values[key] = {**values.get(key, {}), **parse_keys(option, words)}
    if not values:
        raise UsageError(
            "Cannot train: nothing says what. Give a model's name, a RECIPE.toml, or a task and"
            " images, as in"
            " `restore train --task denoise --data photos/`."
        )

    from restore_cli.training.loop import Request
    from restore_cli.training.loop import train as run
    from restore_cli.training.recipe import Recipe

    recipe = Recipe.parse(values)
    out = out or Path(f"{_name(model or recipe.task)}.safetensors")
    if out.suffix != ".safetensors":
        raise UsageError(f"A checkpoint is a safetensors file; name {out} with that suffix.")
    request = Request(recipe, data, out, device, resume, validation, workers, compile, logdir)
    if dry_run:
        show_plan(request)
        return
    for path in (out, request.state):
        if path.exists() and not resume:
            raise UsageError(f"{path} exists; give --resume to go on with it, or another --out.")
    moment = None
    stopped = begun = False
    with show_progress("training") as bar, Worker() as worker:

        def show(beat: Beat) -> None:
            nonlocal begun
            if stopped:
                raise KeyboardInterrupt
            begun = True
            bar.update(beat.done, 1, describe_beat(beat, moment, recipe.objective))

        moments = run(request, show)
        try:
            for moment in worker.each(moments):
                for note in moment.notes:
                    print_note(note)
                if moment.scores or (moment.images_per_s and not bar.visible):
                    print_note(describe(moment, recipe.objective))
        except KeyboardInterrupt:
            stopped = True
            if begun:
                print_note("finishing this step, to keep the state; interrupt again to end at once")
                with suppress(KeyboardInterrupt):  # of `show`, or another signal
                    worker.wait()
                    moments.close()
            if request.state.exists():
                print_note(f"{request.state} is kept; go on with --resume")
            raise
    if moment:  # of several processes only the first tells
        print_result(str(out))
        print_note(f"use it with: restore {recipe.task} photo.jpg --model {shlex.quote(str(out))}")


def train_list(models: list[str], slots: int, options: Mapping[str, object]) -> None:
    """Train each model in a process of its own, `slots` at a time, resuming what was begun.

    Raises:
        UsageError: no models, or two of one name.
        RestoreError: some failed, after all others are done.
    """
    from restore_cli.training.queue import run_queue

    names = list(map(_name, models))
    if not names or len(set(names)) < len(names):
        raise UsageError("Cannot train a list: it needs models or recipes of different names.")
    words = [
        word for key, value in options.items() if value is not None for word in (key, str(value))
    ]
    commands = {
        name: ["train", model, *words, "--resume", "--out", f"{name}.safetensors"]
        for name, model in zip(names, models, strict=True)
    }
    failed = []
    with closing(run_queue(commands, slots, Path("train.log"))) as events:
        for event in events:
            spent = f" after {format_time(event.seconds)}" if event.seconds else ""
            reason = ", an earlier list still trains it" if event.kind == "waiting" else ""
            print_note(f"{event.job}: {event.kind}{spent}{reason}")
            if event.kind == "finished":
                print_result(f"{event.job}.safetensors")
            elif event.kind == "failed":
                failed.append(event.job)
    if failed:
        raise RestoreError(
            f"Cannot train {', '.join(failed)}: {'it' if len(failed) == 1 else 'they'} failed. See"
            f" {' and '.join(f'{name}.log' for name in failed)}."
        )


def read_recipe(model: str) -> dict[str, Any]:
    """The keys of a recipe: of a TOML file, of a paper, or of an entry of weights.toml with its own
    keys.

    Raises:
        UsageError: the file cannot be read, there is no such recipe, or the name stands for several
            models.
        WeightsError: there is no model of that name.
    """
    if model.endswith(".toml"):
        return read_toml(Path(model), UsageError)
    if _is_of_paper(model):
        return recipes.read_keys(model)
    found = catalog.find(model)
    if len(found) > 1:
        raise UsageError(
            f"{model} is {' and '.join(entry.name for entry in found)}; name one of them."
        )
    entry = found[0]
    if not {"steps", "minutes"} & entry.recipe.keys():
        raise UsageError(f"{model} was not made here, and its recipe is not known; choose another.")
    own = {
        "task": entry.task,
        "arch": entry.arch,
        "params": entry.params,
        "levels": to_plain_levels(entry.conditions),
    }
    return {**own, **entry.recipe}


def _name(model: str) -> str:
    """What a checkpoint of a model, a recipe's file or a paper's recipe is called."""
    stem = Path(model).stem if model.endswith(".toml") else model
    return stem.replace("/", "-").replace(":", "-")


def _is_of_paper(model: str) -> bool:
    return "/" in model and not model.endswith(".toml")


def show_recipes() -> None:
    """Print the recipes of papers, a line each below their paper's title."""
    rows = recipes.rows().values()
    width = max(len(row.name) for row in rows)
    for title, group in groupby(rows, lambda row: row.paper):
        print_result(title)
        for row in group:
            print_result(
                f"  {row.name:{width}}  {row.about};"
                f" {' '.join(f':{name}' for name in row.variants)}"
            )


def show_archs() -> None:
    """Print the networks, below each what it is and its parameters."""
    from restore_cli import archs

    for name, network in archs.known().items():
        about = inspect.cleandoc(network.__doc__ or "").partition("\n\n")[0]
        params = " ".join(map(_default, inspect.signature(network).parameters.values()))
        print_result(name)
        for text in (" ".join(about.split()), params):
            print_result(textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    "))


def _default(parameter: inspect.Parameter) -> str:
    """As --param takes it: "widths=[64,96]", or the name alone where it must be given."""
    value = parameter.default
    if value is parameter.empty:
        return parameter.name
    value = list(value) if isinstance(value, tuple) else value
    return f"{parameter.name}={value}".replace(" ", "")


def show_plan(request: Request) -> None:
    """Print the whole recipe, as TOML that `restore train` takes, and in comments what it would
    take.
    """
    from restore_cli.training.loop import plan

    found = plan(request)
    for note in found.unreadable:
        print_note(f"left out: {note}")
    print_result(f"# parameters {found.parameters:,}")
    print_result(f"# one patch {found.flops / 1e9:.3g} GFLOP forward")
    print_result(f"# memory about {found.memory / 1e6:,.0f} MB")
    print_result(f"# images {found.images} to train on, {found.holdout} to score with")
    print_result(to_toml(dataclasses.asdict(request.recipe)).rstrip())


def describe(moment: Progress, objective: str = "objective") -> str:
    """One line: "step 200  l1 0.0213  66 patches/s  3 h left  sigma 25: 28.91 dB (input 20.17),
    best".
    """
    left = moment.seconds * (1 - moment.done) / max(moment.done, 1e-9)
    parts = [_pace(moment.step, moment, objective), f"{format_time(max(left, 0))} left"]
    if moment.scores:
        labels = [f"{words}: " if words else "" for words in moment.levels]
        scores = ", ".join(
            f"{label}{score:.2f} dB (input {before:.2f})"
            for label, score, before in zip(labels, moment.scores, moment.inputs, strict=True)
        )
        parts.append(f"{scores}{', best' if moment.saved else ''}")
    return "  ".join(parts)


def describe_beat(beat: Beat, moment: Progress | None, objective: str) -> str:
    """What the bar says, which tells the time left by itself; `moment` is the last one, if any."""
    validates = beat.doing != "training"
    return f"step {beat.step}  {beat.doing}" if validates else _pace(beat.step, moment, objective)


def _pace(step: int, moment: Progress | None, objective: str) -> str:
    if not moment or not moment.images_per_s:
        return f"step {step}"
    return f"step {step}  {objective} {moment.objective:.5f}  {moment.images_per_s:.3g} patches/s"


def format_time(seconds: float) -> str:
    """A duration for people: "45 s", "12 min", "3 h 05 min"."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
