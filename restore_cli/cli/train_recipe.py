"""Builds the recipe of `restore train` from a name or file and the options that override it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restore_cli import recipes
from restore_cli.cli.choose_models import find_entry
from restore_cli.cli.fields import parse_keys
from restore_cli.errors import UsageError
from restore_cli.tables import read_toml


def merge_options(
    model: str | None,
    given: Mapping[str, Any],
    settings: list[str] | None,
    params: list[str] | None,
    levels: list[str] | None,
) -> dict[str, Any]:
    """Return the keys of a recipe, overridden by options.

    Args:
        model: the recipe's name, as for `read_recipe`; None for an empty recipe.
        given: values of options that are named like their key.
        settings, params, levels: KEY=VALUE arguments of --set, --param and --level.

    Raises:
        UsageError, WeightsError: as `read_recipe`, or there is neither a recipe nor an option.
    """
    from restore_cli.training.recipe import with_levels  # imports torch

    given = {**given, **parse_keys("--set", settings)}
    values = read_recipe(model) if model else {}
    if given.get("arch", values.get("arch")) != values.get("arch"):
        values.pop("params", None)  # those of another network
    values = {**values, **given}
    if "steps" in given and "minutes" not in given:
        values["minutes"] = 0  # the recipe's minutes would take precedence
    table = given.get("levels")
    drawn = {**(table if isinstance(table, Mapping) else {}), **parse_keys("--level", levels)}
    for key, own in (("params", parse_keys("--param", params)), ("levels", drawn)):
        if own:
            values[key] = {**values.get(key, {}), **own}
    found = values.get("validation") if drawn and "validation" not in given else None
    if isinstance(found, list | tuple) and all(isinstance(one, Mapping) for one in found):
        values["validation"] = with_levels(found, drawn)
    if not values:
        raise UsageError(
            "Cannot train: there is no model, recipe or task. Give a model's name, a RECIPE.toml,"
            " or a task and images, as in `restore train --task denoise --data photos/`."
        )
    return values


def read_recipe(model: str) -> dict[str, Any]:
    """Return the keys of a recipe from a TOML file, a paper's name, or a model's name.

    Raises:
        UsageError: the file cannot be read, the recipe is unknown, or the name is ambiguous.
        WeightsError: there is no model of that name.
    """
    if model.endswith(".toml"):
        return read_toml(Path(model), UsageError)
    if _is_of_paper(model):
        return recipes.read_keys(model)
    entry = find_entry(model)
    if not {"steps", "minutes"} & entry.recipe.keys():
        raise UsageError(
            f"Cannot retrain {model}: it is a third-party model without a training recipe."
        )
    own = {
        "task": entry.task,
        "arch": entry.arch,
        "params": entry.params,
        "levels": entry.conditions,
    }
    return {**own, **entry.recipe}


def choose_cheap(models: list[str]) -> list[str]:
    """Return the cheap variants of papers' recipes; raises UsageError for any other recipe."""
    if not models or not all(map(_is_of_paper, models)):
        raise UsageError(
            "Cannot use --cpu without a paper's recipe. `restore train --list` shows them."
        )
    return [f"{model}:{recipes.CPU}" for model in models]


def checkpoint_name(model: str) -> str:
    """Return the default checkpoint name for a model, a recipe file or a paper's recipe."""
    stem = Path(model).stem if model.endswith(".toml") else model
    return stem.replace("/", "-").replace(":", "-")


def _is_of_paper(model: str) -> bool:
    return "/" in model and not model.endswith(".toml")
