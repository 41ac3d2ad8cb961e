"""The models that the arguments of `restore models` mean."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from restore_cli.errors import UsageError, WeightsError
from restore_cli.models import catalog
from restore_cli.models.catalog import Entry


def find(name: str) -> tuple[Entry, ...] | Path:
    """Return the entries with this full or short name, or else the file at this path."""
    try:
        return catalog.find(name)
    except WeightsError:
        if Path(name).is_file():
            return Path(name)
        raise


def find_one(name: str) -> Entry | Path:
    """Return the only entry with this name, or else the file at this path."""
    found = find(name)
    if isinstance(found, Path):
        return found
    if len(found) > 1:
        names = ", ".join(entry.name for entry in found)
        raise UsageError(f"{name!r} is ambiguous; expected one of {names}.")
    return found[0]


def find_entry(name: str) -> Entry:
    """Return the only entry with this name."""
    found = find_one(name)
    if isinstance(found, Path):
        raise UsageError(
            f"Cannot use {name}: it is a file. Give a name from `restore models list`."
        )
    return found


def find_of_task(task: str | None) -> list[Entry]:
    """Return the entries of a task, or all entries."""
    entries = [entry for entry in catalog.entries().values() if task in (None, entry.task)]
    if not entries:
        tasks = sorted({entry.task for entry in catalog.entries().values()})
        raise UsageError(f"Unknown task {task!r}; expected one of {', '.join(tasks)}.")
    return entries


def select(names: Sequence[str] | None, everything: bool, task: str | None = None) -> list[Entry]:
    """Return the entries with these names, of the task, or all; only one of the three is given."""
    if bool(names) + everything + bool(task) != 1:
        raise UsageError("Cannot choose models. Give their names, or --all for all models.")
    if not names:
        return find_of_task(task)
    return list({entry.name: entry for name in names for entry in catalog.find(name)}.values())
