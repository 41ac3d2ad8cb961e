"""The catalog: the checkpoints of weights.toml, and how a name selects one of them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from restore_cli.download import Hub, Url
from restore_cli.errors import UsageError, WeightsError
from restore_cli.levels import span
from restore_cli.models.header import Header, parse_conditions
from restore_cli.models.scores import Protocol, parse_rows
from restore_cli.tables import fill_in, read_toml

DEFAULT = "default"  # the name of every model that its task uses when --model is not given
CHOICES = ("best", "fast", "photo")  # mean the default if no model of a task has that name
_UNSTATED = "none stated"  # instead of a license
_PROTOCOLS = "protocols"  # the table of weights.toml that is not an entry
_PACKAGE = Path(__file__).parents[1]


@dataclass(frozen=True)
class Bundled:
    """A file of restore_cli/checkpoints."""

    file: str

    def __str__(self) -> str:
        return f"bundled as {self.file}"

    @property
    def site(self) -> str:
        """Where it is, in a few words."""
        return "the package itself"


@dataclass(frozen=True, kw_only=True)
class Entry(Header):
    """A checkpoint of weights.toml: its header, its source and its license.

    Attributes:
        name: unique, "denoise-color".
        short: a second name; the gray and the color model of a kind share it, and so do the models
            for several scales.
        default: whether its task uses it for images with its channels when no model is named.
        source, sha256, size: the file; size in bytes, None if it is not known.
        license: SPDX identifier, or the license's name if it has none.
        paper: the publication, for models from other authors.
        verified: where the sha256 comes from: "bytes" of the file, a Git LFS "pointer", or a
            third-party "catalog".
        choice: "best", "fast" or "photo", another name within its task.
        good: a few words on what it is good for.
        speed: "fast", "medium" or "slow".
    """

    name: str
    source: Bundled | Hub | Url
    sha256: str
    license: str
    size: int | None = None
    short: str = ""
    default: bool = False
    paper: str = ""
    verified: str = ""
    choice: str = ""
    good: str = ""
    speed: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise WeightsError(f"{self.name}: sha256 must be 64 hexadecimal digits.")
        if not isinstance(self.source, Bundled) and (problem := self.source.problem()):
            raise WeightsError(f"{self.name}: {problem}.")

    @property
    def terms(self) -> str:
        """The license terms that a user must accept before a download; empty for most models."""
        if self.license == _UNSTATED:
            return "no license is stated"
        limited = "-NC" in self.license or "Academic" in self.license
        return "not for commercial use" if limited else ""

    def to_plain(self) -> dict[str, Any]:
        """All fields as JSON values."""
        own = {item.name: getattr(self, item.name) for item in fields(self)}
        return {**own, **super().to_plain(), "source": asdict(self.source)}

    @property
    def names(self) -> tuple[str, ...]:
        """The full name, and the short names that it has."""
        return tuple(filter(None, (self.name, self.short, self.choice)))


@cache
def entries() -> Mapping[str, Entry]:
    """The entries of weights.toml by name.

    Raises:
        WeightsError: the table has a mistake.
    """
    installed = _PACKAGE / "weights.toml"  # in a wheel; in a checkout it is next to the package
    return read_table(installed if installed.exists() else _PACKAGE.parent / "weights.toml")


def read_table(path: Path) -> Mapping[str, Entry]:
    """Read a table of checkpoints, strictly.

    Raises:
        WeightsError: a key is unknown, missing or wrong, or two entries share a name; the message
            names them.
    """
    tables = read_toml(path, WeightsError)
    protocols = {
        key: fill_in(Protocol, values, f"protocol {key}", WeightsError)
        for key, values in tables.pop(_PROTOCOLS, {}).items()
    }
    table = {name: _read_entry(name, values, protocols) for name, values in tables.items()}
    claimed: dict[tuple[str, str, int, float], str] = {}
    for entry in table.values():
        for role in (*entry.names[1:], *([DEFAULT] if entry.default else [])):
            key = role, entry.task, entry.channels, _scale(entry)
            other = claimed.setdefault(key, entry.name)
            if other != entry.name:
                raise WeightsError(f"{other} and {entry.name} are both {role!r} for {entry.task}.")
    return table


def _read_entry(name: str, values: Mapping[str, Any], protocols: Mapping[str, Protocol]) -> Entry:
    kinds: dict[str, type[Bundled | Hub | Url]] = {"bundled": Bundled, "hub": Hub, "url": Url}
    stated = [key for key in kinds if key in values]
    if len(stated) != 1:
        raise WeightsError(f"{name} must have one of {', '.join(kinds)}.")
    kind, source = kinds[stated[0]], values[stated[0]]
    if not isinstance(source, Mapping):
        source = {fields(kind)[0].name: source}
    typed = {
        "name": name,
        "source": fill_in(kind, source, name, WeightsError),
        "conditions": parse_conditions(values.get("conditions", {})),
        "scores": parse_rows(values.get("scores", ()), protocols, name),
    }
    others = {key: value for key, value in values.items() if key not in kinds}
    return fill_in(Entry, {**others, **typed}, name, WeightsError)


def in_order(chosen: Iterable[Entry]) -> list[Entry]:
    """Sort entries by task; within a task its defaults come first and downloads last."""

    def place(entry: Entry) -> tuple[str, bool, bool]:
        return entry.task, not entry.default, not isinstance(entry.source, Bundled)

    return sorted(chosen, key=place)


def downloads() -> list[Entry]:
    """Return the entries that are not part of the package."""
    return [entry for entry in entries().values() if not isinstance(entry.source, Bundled)]


def find(name: str) -> tuple[Entry, ...]:
    """Return the entry with this full name, or all entries with this short name.

    Raises:
        WeightsError: the name is unknown; the message suggests similar names.
    """
    found = _answering(name)
    if not found:
        shorts = sorted({name for entry in entries().values() for name in entry.names[1:]})
        names = [*entries(), *shorts, DEFAULT]
        close = difflib.get_close_matches(name, names)
        hint = f"did you mean {' or '.join(close)}?" if close else "see `restore models list`."
        raise WeightsError(f"Unknown model or file {name!r}; {hint}")
    return found


def _answering(name: str) -> tuple[Entry, ...]:
    table = entries()
    if name in table:
        return (table[name],)
    return tuple(
        entry
        for entry in table.values()
        if name in entry.names or (entry.default and name == DEFAULT)
    )


def choose(model: str | None, task: str, channels: int, scale: float = 1) -> Entry | Path:
    """Resolve `--model` for an image.

    Args:
        model: a full or short name, or the path of a checkpoint; names take precedence. None and
            "default" mean the task's default. A name of CHOICES that no model of the task has means
            the default, too, or any model if the task has no default.
        task: the task, "denoise".
        channels: image channels, 1 or 3.
        scale: the factor by which the image will be enlarged.

    Returns:
        An entry of the task, or the path of an existing file. If several entries match, one with
        these channels is preferred, then the smallest scale that is large enough, or else the
        largest.

    Raises:
        WeightsError: no entry and no file has that name.
        UsageError: the named entry is for another task, or the task has no model.
    """
    everything = entries().values()
    if model and not _answering(model) and Path(model).is_file():
        return Path(model)
    named = [entry for entry in everything if entry.default] if model is None else find(model)
    fitting = [entry for entry in named if entry.task == task]
    if not fitting and model in CHOICES:
        known = [entry for entry in everything if entry.task == task]
        fitting = [entry for entry in known if entry.default] or known
    if not fitting:
        names = ", ".join(entry.name for entry in everything if entry.task == task)
        if not names:
            raise UsageError(
                f"Cannot choose a model for {task}: none is bundled. Train one with `restore"
                " train`, and give its file as --model."
            )
        if model is None:
            raise UsageError(
                f"The task {task} has no default model; choose one with --model: {names}."
            )
        of = ", ".join(sorted({entry.task for entry in named}))
        raise UsageError(
            f"Cannot use {model} for {task}: it is for {of}. `restore models list --task {task}`"
            " shows those for it."
        )

    def misfit(entry: Entry) -> tuple[bool, bool, float]:
        away = _scale(entry) - scale
        return entry.channels != channels, away < 0, abs(away)

    return min(fitting, key=misfit)


def _scale(entry: Entry) -> float:
    """Return the largest scale that it supports."""
    return span(entry.conditions.get("scale", 1)).high
