"""Suites: the tables that `restore bench suite` measures, read from suites.toml."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from restore_cli.bench.request import Request
from restore_cli.datasets.find import open_set
from restore_cli.errors import RestoreError, UsageError
from restore_cli.tables import fill_in, read_toml


@dataclass(frozen=True)
class Part:
    """One table of a suite; the fields are those of `Request`, but that levels are all
    combinations.

    Attributes:
        about: what is measured, or whose table it is.
        sets: none where nothing of a table can be measured.
        levels: values of the task's fields, {"sigma": [15, 25]}; none for real pairs.
        models: as `--model` takes them, "default" for the task's.
        ensemble: average each result over eight views, as `Settings`.
        missing: what of a paper's table is not measured, and why, as the end of a sentence.
    """

    about: str
    task: str
    sets: tuple[str, ...] = ()
    levels: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = ("default",)
    peers: tuple[str, ...] = ()
    gray: bool = False
    full_range: bool = False
    clip: bool = False
    ensemble: bool = False
    missing: str = ""


def suites() -> Mapping[str, tuple[Part, ...]]:
    """The suites by name.

    Raises:
        RestoreError: the table has a mistake.
    """
    return {
        name: tuple(
            fill_in(Part, part, f"{name}, part {number}", RestoreError) for number, part in parts
        )
        for name, table in read_toml(Path(__file__).with_name("suites.toml"), RestoreError).items()
        for parts in [enumerate(table["parts"], 1)]
    }


def plan(name: str, common: Request) -> tuple[list[Request], list[str]]:
    """What to measure for a suite, and sentences on what its tables lack.

    Args:
        common: data, settings and so on of all requests.

    Raises:
        UsageError: there is no such suite, or nothing of it is at hand.
    """
    if name not in suites():
        raise UsageError(f"There is no suite {name!r}; there are: {', '.join(suites())}.")
    requests, lacking = [], []
    for part in suites()[name]:
        sets = tuple(word for word in part.sets if _is_here(word, common.data))
        if len(sets) < len(part.sets):
            missing = ", ".join(word for word in part.sets if word not in sets)
            lacking.append(f"{part.about}: not at hand is {missing}.")
        if part.missing:
            lacking.append(f"{part.about}: {part.missing}.")
        if sets:
            request = replace(
                common,
                task=part.task,
                sets=sets,
                levels=tuple(combine(part.levels)),
                models=tuple(None if model == "default" else model for model in part.models),
                peers=part.peers,
                gray=part.gray,
                full_range=part.full_range,
                clip=part.clip,
                settings=replace(common.settings, ensemble=part.ensemble),
            )
            requests.append(request)
    if not requests:
        raise UsageError(
            f"No set of the suite {name} is at hand; give folders that hold them with --data."
        )
    return requests, lacking


def combine(values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All combinations of the values of each level, {"scale": [2, 3]}; none where none is named."""
    if not values:
        return []
    lists = (value if isinstance(value, list) else [value] for value in values.values())
    return [dict(zip(values, choice, strict=True)) for choice in itertools.product(*lists)]


def _is_here(word: str, data: Sequence[Path]) -> bool:
    try:
        open_set(word, data, offline=True)
    except (UsageError, RestoreError):
        return False
    return True
