"""What `restore train` is to train: the keys of a recipe, and options in their place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restore_cli import recipes
from restore_cli.cli.fields import parse_keys
from restore_cli.errors import UsageError
from restore_cli.models import catalog
from restore_cli.tables import read_toml


def merge_options(
    model: str | None,
    given: Mapping[str, Any],
    settings: list[str] | None,
    params: list[str] | None,
    levels: list[str] | None,
) -> dict[str, Any]:
    """The keys of a recipe, and options in their place.

    Args:
        model: names the recipe, as for `read_recipe`; None for none.
        given: keys that have an option of their own.
        settings, params, levels: KEY=VALUE words of --set, --param and --level.

    Raises:
        UsageError, WeightsError: as `read_recipe`, or there is neither a recipe nor an option.
    """
    values = {**(read_recipe(model) if model else {}), **given}
    if "steps" in given and "minutes" not in given:
        values["minutes"] = 0  # of the recipe, which would take precedence
    values |= parse_keys("--set", settings)
    for key, option, words in (("params", "--param", params), ("levels", "--level", levels)):
        if words:
            values[key] = {**values.get(key, {}), **parse_keys(option, words)}
    if not values:
        raise UsageError(
            "Cannot train: nothing says what. Give a model's name, a RECIPE.toml, or a task and"
            " images, as in `restore train --task denoise --data photos/`."
        )
    return values


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
        "levels": entry.conditions,
    }
    return {**own, **entry.recipe}


def choose_cheap(models: list[str]) -> list[str]:
    """The cheap variants of papers' recipes; raises UsageError where one is of no paper."""
    if not models or not all(map(_is_of_paper, models)):
        raise UsageError(
            "Cannot use --cpu without a paper's recipe. `restore train --list` shows all."
        )
    return [f"{model}:{recipes.CPU}" for model in models]


def checkpoint_name(model: str) -> str:
    """What a checkpoint of a model, a recipe's file or a paper's recipe is called."""
    stem = Path(model).stem if model.endswith(".toml") else model
    return stem.replace("/", "-").replace(":", "-")


def _is_of_paper(model: str) -> bool:
    return "/" in model and not model.endswith(".toml")
