"""`restore train`: makes a checkpoint from its recipe."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restore_cli.cli.display import print_note, print_result, show_progress
from restore_cli.cli.options import Debug, Device
from restore_cli.errors import UsageError

if TYPE_CHECKING:
    from restore_cli.jobs.train import Progress
    from restore_cli.training.recipe import Recipe


def train(
    model: Annotated[
        str, typer.Argument(metavar="NAME|RECIPE.toml", help="What to train: a model or a recipe.")
    ],
    data: Annotated[Path, typer.Option(metavar="DIR", help="The folder that holds the recipe's folders.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The checkpoint; by default NAME.safetensors.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a training was stopped.")] = False,
    device: Device = "auto",
    debug: Debug = False,  # noqa: ARG001 (its callback keeps it)
) -> None:
    """Train a model by its recipe.

    NAME is a full name from `restore models list`, which is made again from its recipe in weights.toml;
    RECIPE.toml is a file with a recipe's keys. The state to resume from is kept beside the checkpoint.
    """
    recipe = read_recipe(model)
    out = out or Path(f"{Path(model).stem if model.endswith('.toml') else model}.safetensors")

    from restore_cli.jobs.train import Request
    from restore_cli.jobs.train import train as run

    request = Request(recipe, data, out, device, resume)
    if out.suffix != ".safetensors":
        raise UsageError(f"A checkpoint is a safetensors file; name {out} with that suffix.")
    for path in (out, request.state):
        if path.exists() and not resume:
            raise UsageError(f"{path} exists; give --resume to go on with it, or another --out.")
    with show_progress("training") as bar:
        for moment in run(request):
            bar.update(moment.step, moment.steps, f"{moment.step}/{moment.steps} steps")
            for note in moment.notes:
                print_note(note)
            print_note(describe(moment))
    print_result(str(out))


def read_recipe(model: str) -> Recipe:
    """The recipe in a TOML file, or of an entry of weights.toml, whose other keys it need not repeat.

    Raises:
        UsageError: the file cannot be read, the name stands for several models, or the recipe has mistakes.
        WeightsError: there is no model of that name.
    """
    from restore_cli.training.recipe import Recipe

    if model.endswith(".toml"):
        try:
            return Recipe.parse(tomllib.loads(Path(model).read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise UsageError(f"The recipe {model} cannot be read: {error}.") from error
    from restore_cli import weights

    found = weights.find(model)
    if len(found) > 1:
        raise UsageError(f"{model} is {' and '.join(entry.name for entry in found)}; name one of them.")
    entry = found[0]
    own = {"task": entry.task, "arch": entry.arch, "params": entry.params, "levels": entry.conditions}
    return Recipe.parse({**own, **entry.recipe})


def describe(moment: Progress) -> str:
    """One line: "step 2000/60000  l1 0.0213  4.1 steps/s  3 h 55 min left  31.20 28.91 25.80 dB, saved"."""
    left = (moment.steps - moment.step) / max(moment.steps_per_s, 1e-9)
    parts = [
        f"step {moment.step}/{moment.steps}",
        f"objective {moment.objective:.5f}",
        f"{moment.steps_per_s:.2f} steps/s",
        f"{format_time(left)} left",
    ]
    if moment.scores:
        scores = " ".join(f"{score:.2f}" for score in moment.scores)
        parts.append(f"{scores} dB{', saved' if moment.saved else ''}")
    return "  ".join(parts)


def format_time(seconds: float) -> str:
    """A duration for people: "45 s", "12 min", "3 h 05 min"."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
