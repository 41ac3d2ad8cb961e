"""Defaults of options: from the environment, a project's restore.toml and a user's config.toml."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import platformdirs
import typer
from typer.core import TyperOption

from restore_cli.cli import PHOTO_COMMANDS, load_command
from restore_cli.cli.fields import option_fields
from restore_cli.cli.restore import task_command
from restore_cli.cli.values import suggest
from restore_cli.errors import UsageError
from restore_cli.image import has_image_suffix
from restore_cli.models import catalog
from restore_cli.tables import read_toml
from restore_cli.tasks import TASKS, Task, find_task

_PROJECT = "restore.toml"
_NEVER = {"help", "preset", "list-presets"}  # options that are chosen for each run
# A project may come from somebody else. Besides the options of tasks, its file may only choose what
# cannot overwrite or read other files, reach other computers, start processes or accept licenses.
_HARMLESS = {
    *("suffix", "format", "jpeg-quality", "recursive", "model", "offline", "device", "precision"),
    *("tile", "check-tiles", "ensemble", "strength"),
}
_Value = str | list[str]


_RIVALS = {  # options that exclude each other
    "scale": ("size",),
    "size": ("scale",),
    "overwrite": ("skip-existing", "watch"),
    "skip-existing": ("overwrite", "resume", "retry-failed", "watch"),
    **dict.fromkeys(("provenance", "reference", "compare", "preview", "save-mask"), ("pages",)),
    "pages": ("provenance", "reference", "compare", "preview", "save-mask"),
    "resume": ("skip-existing",),
    "retry-failed": ("skip-existing",),
    "jobs": ("compare", "preview"),
}


@dataclass(frozen=True)
class Default:
    """The default of an option.

    Attributes:
        value: text as on the command line, "true" for a switch; several for a repeatable option.
        origin: the environment variable, or the path of the file.
    """

    value: _Value
    origin: str


def find_defaults(name: str) -> dict[str, Default]:
    """The defaults of a command for photos, by option.

    Raises:
        UsageError: a file cannot be read, or a key or value is not valid.
    """
    command, shared = load_command(name), _shared_options()
    options = _options(command)
    levels: list[dict[str, Default]] = [
        {
            key: Default(_to_text(value, options[key]), str(path))
            for key, value in _read(path, name).items()
            if key in options
        }
        for path in (user_file(), find_project_file())
        if path
    ]
    common = shared.keys() & options.keys()
    for start, keys in (("RESTORE", common), (f"RESTORE_{name.upper()}", options.keys())):
        named = {f"{start}_{key.replace('-', '_').upper()}": key for key in keys}
        levels.append(
            {
                key: Default(text.split() if options[key].multiple else text, variable)
                for variable, key in named.items()
                if (text := os.environ.get(variable))
            }
        )
    found: dict[str, Default] = {}
    for level in levels:
        excluded = _excluded(level)
        found = {key: value for key, value in found.items() if key not in excluded} | level
    _check_values(command, found)
    return found


def without_rivals(found: Mapping[str, Default], args: Sequence[str]) -> dict[str, Default]:
    """Leave out defaults that exclude an option of the command line, which comes first."""
    excluded = _excluded({word.partition("=")[0].removeprefix("--") for word in args})
    outputs = [value for word, value in pairwise(args) if re.fullmatch(r"--output|-[qr]*o", word)]
    outputs += [
        match[1] for word in args if (match := re.match(r"(?:--output=|-[qr]*o)(.+)", word))
    ]
    inputs = [word for before, word in pairwise(["", *args]) if before != "--files-from"]
    if any(map(has_image_suffix, outputs)):
        excluded.add("format")
    if "-" in (outputs or inputs):  # the image is written to standard output
        excluded.add("json")
    return {key: default for key, default in found.items() if key not in excluded}


def _excluded(options: Container[str]) -> set[str]:
    """The options that some options exclude."""
    return {key for key, rivals in _RIVALS.items() if any(rival in options for rival in rivals)}


def default_map(name: str, found: Mapping[str, Default]) -> dict[str, _Value]:
    """The defaults of a command by the names of its parameters, as Typer takes them."""
    options = _options(load_command(name))
    return {options[key].name: default.value for key, default in found.items()}


def config_folder() -> Path:
    """The folder of the user's files: RESTORE_CONFIG, or the platform's own."""
    return Path(os.environ.get("RESTORE_CONFIG") or platformdirs.user_config_dir("restore"))


def user_file() -> Path:
    """The user's file of defaults; it may not exist."""
    return config_folder() / "config.toml"


def find_project_file() -> Path | None:
    """The project's file of defaults, in the current folder or one above it.

    Only folders up to the home folder or one with .git are searched: anybody may write to a folder
    above others, such as /tmp.
    """
    here, home = Path.cwd(), Path(os.path.expanduser("~"))
    above = [here, *here.parents]
    ends = [place for place, one in enumerate(above) if one == home or (one / ".git").exists()]
    files = [one / _PROJECT for one in above[: min(ends, default=0) + 1]]
    return next((path for path in files if path.is_file()), None)


def _options(command: Any) -> dict[str, TyperOption]:
    """The options of a command that may have defaults, by their long names."""
    return {
        word[2:]: item
        for item in command.params
        if isinstance(item, TyperOption)
        for word in item.opts
        if word.startswith("--") and word[2:] not in _NEVER
    }


def _shared_options() -> dict[str, TyperOption]:
    """The options that all tasks have."""
    app = typer.Typer(add_completion=False)
    app.command()(task_command(Task))
    return _options(typer.main.get_command(app))


def _read(path: Path, name: str) -> dict[str, Any]:
    """The values in a file that hold for a command; its own table precedes keys at the top."""
    if not path.is_file():
        return {}
    table = read_toml(path, UsageError)
    top = {key: value for key, value in table.items() if not isinstance(value, dict)}
    _check_keys(path, "", top, _shared_options())
    for key in table.keys() - top.keys():
        if key not in PHOTO_COMMANDS:
            reason = f"there is no such command. {suggest(key, PHOTO_COMMANDS)}"
            raise UsageError(f"Cannot use [{key}] in {path}: {reason}")
        _check_keys(path, f"{key}.", table[key], _options(load_command(key)))
    return {**top, **table.get(name, {})}


def _check_keys(path: Path, where: str, table: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raise UsageError if a table of a file has a key that is unknown or not allowed there."""
    for key, value in table.items():
        refused = f"Cannot use {where}{key} in {path}"
        if not where and key in _task_options() - set(known):
            task = next(name for name in TASKS if key in option_fields(find_task(name)))
            raise UsageError(f"{refused}: it is for one task. Put it in a table like [{task}].")
        if key not in known:
            raise UsageError(f"{refused}: there is no such option. {suggest(key, sorted(known))}")
        if path.name != _PROJECT:
            continue
        elsewhere = f"Set it in {user_file()}, or give it on the command line."
        if key not in _HARMLESS and key not in _task_options():
            raise UsageError(f"{refused}: a project must not choose it. {elsewhere}")
        known_models = {name for entry in catalog.entries().values() for name in entry.names}
        if key == "model" and value not in [*known_models, catalog.DEFAULT]:
            raise UsageError(f"{refused}: {value!r} is not in `restore models list`. {elsewhere}")


def _task_options() -> set[str]:
    return {name for task in TASKS for name in option_fields(find_task(task))}


def _to_text(value: Any, option: TyperOption) -> _Value:
    """A value of TOML as on the command line."""
    if option.multiple:
        return [str(item) for item in (value if isinstance(value, list) else [value])]
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _check_values(command: Any, found: Mapping[str, Default]) -> None:
    """Raise UsageError if a default is not a valid value of its option."""
    options = _options(command)
    context = command.make_context(command.name, [], resilient_parsing=True)
    for key, default in found.items():
        try:
            options[key].process_value(context, default.value)
        except (UsageError, typer.TyperException) as error:
            reason = error.message if isinstance(error, typer.TyperException) else str(error)
            reason = f"{reason.rstrip('.')}."
            raise UsageError(f"Cannot use {key} of {default.origin}: {reason}") from error
