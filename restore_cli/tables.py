"""Tables of data, TOML or JSON, read strictly: what is unknown, missing or of another type is a mistake."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from restore_cli.errors import RestoreError

_T = TypeVar("_T")


def read_toml(path: Path, error: type[RestoreError]) -> dict[str, Any]:
    """The tables of a TOML file; raises `error` if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as reason:
        raise error(f"The table {path} cannot be read: {reason}.") from reason


def fill_in(kind: type[_T], values: Mapping[str, Any], where: str, error: type[RestoreError]) -> _T:
    """Make a dataclass from a table that has its fields and no others.

    Args:
        kind: the dataclass.
        values: by field; a list is taken as a tuple.
        where: what the sentence of an error begins with.
        error: raised for a key that is unknown, missing or of another type.
    """
    hints = get_type_hints(kind)
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    unknown = values.keys() - hints.keys()
    if unknown:
        raise error(f"{where} has unknown keys: {brief(', '.join(sorted(unknown)))}.")
    for key, value in values.items():
        hint = hints[key]
        options = get_args(hint) if get_origin(hint) is UnionType else (hint,)
        if not isinstance(value, tuple(get_origin(option) or option for option in options)):
            raise error(f"{where}: {key} cannot be {brief(repr(value))}.")
    required = [item.name for item in fields(kind) if item.default is item.default_factory is MISSING]  # type: ignore[arg-type]
    missing = [key for key in required if key not in values]
    if missing:
        raise error(f"{where} lacks {', '.join(missing)}.")
    return kind(**values)


def brief(text: str) -> str:
    """A stranger's words in an error's sentence: all of them, or both ends of more than 200 characters."""
    return text if len(text) <= 200 else f"{text[:150]} ... {text[-40:]}"
