"""Suites: predefined benchmarks of `restore bench suite`, read from suites.toml."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from restore_cli.bench.request import Request
from restore_cli.datasets.find import open_set
from restore_cli.errors import RestoreError, UsageError
from restore_cli.models import catalog
from restore_cli.tables import fill_in, read_toml


@dataclass(frozen=True)
class Part:
    """One table of a suite. The other fields are those of `Request`.

    Attributes:
        about: what is measured, or the paper and table that it corresponds to.
        sets: empty if nothing of a table can be measured.
        levels: values of the degradation levels, {"sigma": [15, 25]}, of which all combinations
            are measured; empty for real pairs.
        models: names or files, as for `--model`; "default" is the default model.
        ensemble: average each result over flips and rotations, as in `Settings`.
        missing: what is not measured of a paper's table, and why, as the end of a sentence.
    """

    about: str
    task: str
    sets: tuple[str, ...] = ()
    levels: Mapping[str, Any] = field(default_factory=dict)
    models: tuple[str, ...] = (catalog.DEFAULT,)
    baselines: tuple[str, ...] = ()
    gray: bool = False
    full_range: bool = False
    clip: bool = False
    ensemble: bool = False
    missing: str = ""


def suites() -> Mapping[str, tuple[Part, ...]]:
    """The suites by name.

    Raises:
        RestoreError: suites.toml is invalid.
    """
    return {
        name: tuple(
            fill_in(Part, part, f"{name}, part {number}", RestoreError)
            for number, part in enumerate(table["parts"], 1)
        )
        for name, table in read_toml(Path(__file__).with_name("suites.toml"), RestoreError).items()
    }


def plan(
    name: str, common: Request, tasks: Collection[str] = ()
) -> tuple[list[Request], list[str]]:
    """The requests of a suite, and sentences on what is missing from its tables.

    Args:
        name: name of the suite.
        common: what all requests have in common, such as data and settings.
        tasks: the tasks whose parts are run; by default all.

    Raises:
        UsageError: the suite is unknown, has no part for these tasks, or none of its sets is
            available.
    """
    known = suites()
    if name not in known:
        raise UsageError(f"Unknown suite {name!r}; available: {', '.join(known)}.")
    parts = [part for part in known[name] if not tasks or part.task in tasks]
    if not parts:
        raise UsageError(
            f"Cannot run suite {name!r} for {', '.join(tasks)}: it has no benchmark of such a task."
        )
    requests, lacking = [], []
    for part in parts:
        sets = tuple(item for item in part.sets if _is_available(item, common.data))
        if len(sets) < len(part.sets):
            missing = [item for item in part.sets if item not in sets]
            verb = "is" if len(missing) == 1 else "are"
            lacking.append(f"{part.about}: {', '.join(missing)} {verb} not available.")
        if part.missing:
            lacking.append(f"{part.about}: {part.missing}.")
        if sets:
            request = replace(
                common,
                task=part.task,
                sets=sets,
                levels=tuple(combine(part.levels)),
                models=tuple(None if model == catalog.DEFAULT else model for model in part.models),
                baselines=part.baselines,
                gray=part.gray,
                full_range=part.full_range,
                clip=part.clip,
                settings=replace(common.settings, ensemble=part.ensemble),
            )
            requests.append(request)
    if not requests:
        raise UsageError(
            f"None of the sets of suite {name!r} is available. Pass their folder with --data."
        )
    return requests, lacking


def combine(values: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All combinations of the values of each level, {"scale": [2, 3]}; empty without levels."""
    if not values:
        return []
    lists = (value if isinstance(value, list) else [value] for value in values.values())
    return [dict(zip(values, choice, strict=True)) for choice in itertools.product(*lists)]


def _is_available(name: str, data: Sequence[Path]) -> bool:
    try:
        open_set(name, data, offline=True)
    except (UsageError, RestoreError):
        return False
    return True
