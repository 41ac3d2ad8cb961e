"""What the Tab key offers as values; nothing here imports torch, which takes seconds, or
at the top the models, which every start would wait for.

Typer passes the context to functions that take one. It also drops what does not match.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from restore_cli import bench, recipes, training
from restore_cli.errors import RestoreError
from restore_cli.tables import read_toml

if TYPE_CHECKING:
    from restore_cli.models.catalog import Entry


def _task(ctx: typer.Context) -> str:
    """The value of --task, or the command, which is the task's for most commands."""
    return ctx.params.get("task") or ctx.info_name or ""


def _entries(ctx: typer.Context) -> list[Entry]:
    """The models of the task at hand, or all models if there is none."""
    from restore_cli.models import catalog

    everything = list(catalog.entries().values())
    return [entry for entry in everything if entry.task == _task(ctx)] or everything


def model_names(ctx: typer.Context) -> list[str]:
    """Full and short names of models, and `default` for those of a task."""
    from restore_cli.models.catalog import DEFAULT

    found = _entries(ctx)
    names = {name for entry in found for name in entry.names}
    of_task = all(entry.task == _task(ctx) for entry in found)
    return sorted({*names, *([DEFAULT] if of_task else [])})


def licensed_names(ctx: typer.Context) -> list[str]:
    """Full names of models whose license must be accepted."""
    return sorted(entry.name for entry in _entries(ctx) if entry.terms)


def download_names() -> list[str]:
    """Full names of models that are not part of the package."""
    from restore_cli.models import catalog

    return sorted(entry.name for entry in catalog.downloads())


def removable_names() -> list[str]:
    """Full names of downloaded models."""
    from restore_cli.models import catalog, store

    return sorted(entry.name for entry in catalog.downloads() if store.path_of(entry).is_file())


def set_names(ctx: typer.Context) -> list[str]:
    """Names of the image sets for the task at hand."""
    from restore_cli.datasets.known import known_sets

    return [name for name, entry in known_sets().items() if _task(ctx) in entry.tasks]


def suite_names() -> list[str]:
    """Names of the suites of benchmarks."""
    return _table_names(bench.__file__, "suites.toml")


def study_names() -> list[str]:
    """Names of the studies."""
    return _table_names(training.__file__, "studies.toml")


def _table_names(package: str, table: str) -> list[str]:
    """The names in a table, whose own module imports torch."""
    return list(read_toml(Path(package).with_name(table), RestoreError))


def recipe_names() -> list[str]:
    """Names of the papers' recipes, and of the models that have a recipe."""
    from restore_cli.models import catalog

    return [*recipes.rows(), *(name for name, entry in catalog.entries().items() if entry.recipe)]


def arch_names() -> list[str]:
    """The networks that recipes and models use."""
    from restore_cli.models import catalog

    used = [row.keys["arch"] for row in recipes.rows().values()]
    ours = (entry.arch for entry in catalog.entries().values() if not entry.by_spandrel)
    return sorted({*used, *ours})


def complete_list(
    names: Callable[[typer.Context], Iterable[str]],
) -> Callable[[typer.Context, str], list[str]]:
    """Complete the last name of a comma-separated list."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        head, comma, _ = incomplete.rpartition(",")
        return [head + comma + name for name in names(ctx)]

    return complete
