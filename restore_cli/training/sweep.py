"""Studies as data: which recipes to train for the points of a paper's figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from restore_cli import recipes
from restore_cli.archs import build
from restore_cli.archs.xunit import XUnit
from restore_cli.errors import RestoreError, UsageError
from restore_cli.tables import fill_in, read_toml
from restore_cli.training.recipe import Recipe, with_levels


@dataclass(frozen=True)
class Study:
    """A sweep of trainings.

    Attributes:
        title: what is compared.
        figure: the paper and its figure.
        shows: what the paper's figure shows.
        recipe: the name of the recipe, with variants, from which all points are derived.
        axis: label of the axis.
        varied: name of what varies, if it differs from the axis.
        vary: values of recipe keys, such as "params.depth" or "patch", one per point.
        keys: recipe keys of all points.
        curves: recipe keys of each curve, by its name.
        x: position of a point on the axis: its number of "parameters", the percentage of them in
            "activations", or by default its value of the first key of `vary`.
        labels: labels of the points, for values that are not numbers.
    """

    title: str
    figure: str
    shows: str
    recipe: str
    axis: str
    vary: Mapping[str, Sequence[Any]]
    varied: str = ""
    keys: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"": {}})
    x: str = ""
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Point:
    """A recipe, the position of its score in the chart, and its network's number of parameters."""

    curve: str
    label: str
    x: float
    parameters: int
    recipe: Recipe


def studies() -> Mapping[str, Study]:
    """Return the studies by name.

    Raises:
        RestoreError: the table is invalid.
    """
    table = read_toml(Path(__file__).with_name("studies.toml"), RestoreError)
    return {name: fill_in(Study, values, name, RestoreError) for name, values in table.items()}


def find(name: str) -> Study:
    """Find a study by its name; raises UsageError if there is none."""
    known = studies()
    if name not in known:
        raise UsageError(f"Unknown study {name!r}; `restore study --list` shows all.")
    return known[name]


def points(found: Study, keys: Mapping[str, Any]) -> Iterator[Point]:
    """Yield the points of a study, curve by curve.

    Args:
        keys: recipe keys that override those of the study.

    Raises:
        UsageError: a recipe is invalid, or `keys` contain what the study varies.
    """
    base = recipes.merge(recipes.read_keys(found.recipe), found.keys)
    levels = keys.get("levels")
    if isinstance(levels, Mapping) and "validation" in base and "validation" not in keys:
        keys = {**keys, "validation": with_levels(base["validation"], levels)}
    for curve, own in found.curves.items():
        for number, values in enumerate(zip(*found.vary.values(), strict=True)):
            varied = recipes.merge(own, _nest(dict(zip(found.vary, values, strict=True))))
            recipe = Recipe.parse(recipes.merge(base, varied, keys))
            _check_varied(varied, recipe)
            with torch.device("meta"):
                network = build(recipe.arch, recipe.params)
            parameters = _count_parameters(network)
            places = {"parameters": parameters, "activations": 100 * _spent(network) / parameters}
            x = number if found.labels else places.get(found.x, values[0])
            label = found.labels[number] if found.labels else str(values[0])
            yield Point(curve, label, x, parameters, recipe)


def _nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert {"params.depth": 3, "patch": 50} to the keys of a recipe."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        table, _, key = name.rpartition(".")
        if table:
            nested.setdefault(table, {})[key] = value
        else:
            nested[key] = value
    return nested


def _check_varied(varied: Mapping[str, Any], recipe: Recipe) -> None:
    """Raise UsageError if a recipe lacks a value of its point."""
    plain = recipe.to_plain()
    tables = ((varied, plain), (varied.get("params", {}), plain["params"]))
    for table, values in tables:
        for key, value in table.items():
            if key != "params" and values[key] != value:
                raise UsageError(f"Cannot set {key}: the study varies it. Set other keys.")


def _spent(network: nn.Module) -> int:
    """Count the parameters of the activations."""
    return sum(
        _count_parameters(module) for module in network.modules() if isinstance(module, XUnit)
    )


def _count_parameters(network: nn.Module) -> int:
    """Count the trained parameters."""
    return sum(value.numel() for value in network.parameters() if value.requires_grad)
