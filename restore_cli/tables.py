"""Reads TOML and JSON tables strictly: unknown, missing and mistyped keys are errors."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from restore_cli.errors import RestoreError

_T = TypeVar("_T")


def read_toml(path: Path, error: type[RestoreError]) -> dict[str, Any]:
    """Read a TOML file; raises `error` if it cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as reason:
        words = reason.strerror if isinstance(reason, OSError) else reason
        raise error(f"Cannot read the table {path}: {words}.") from reason


def read_value(text: str) -> Any:
    """Parse a text as a TOML value, or return the text itself if it is not one."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text


def to_toml(values: Mapping[str, Any]) -> str:
    """Write a line of TOML for each key; values are text, numbers, lists and tables."""
    return "".join(f"{_key(key)} = {_literal(value)}\n" for key, value in values.items())


def _literal(value: Any) -> str:
    if isinstance(value, Mapping):
        items = ", ".join(f"{_key(key)} = {_literal(item)}" for key, item in value.items())
        return f"{{ {items} }}" if items else "{}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_literal, value))}]"
    # Strings, integers and booleans of JSON are valid TOML, except for one control character.
    return repr(value) if isinstance(value, float) else _quote(value)


def _key(key: str) -> str:
    return key if re.fullmatch("[A-Za-z0-9_-]+", key) else _quote(key)


def _quote(value: str | int) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def fill_in(kind: type[_T], values: Mapping[str, Any], where: str, error: type[RestoreError]) -> _T:
    """Make a dataclass from a table with exactly its fields.

    Args:
        kind: the dataclass.
        values: the values by field name; lists become tuples.
        where: the start of an error message.
        error: raised for an unknown, missing or mistyped key.
    """
    hints = get_type_hints(kind)
    values = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    unknown = values.keys() - hints.keys()
    if unknown:
        raise error(f"{where} has unknown keys: {brief(', '.join(sorted(unknown)))}.")
    for key, value in values.items():
        hint = hints[key]
        options = get_args(hint) if get_origin(hint) is UnionType else (hint,)
        if not isinstance(value, tuple(get_origin(option) or option for option in options)):
            raise error(f"{where}: {key} cannot be {brief(repr(value))}.")
    required = [
        item.name
        for item in fields(kind)  # type: ignore[arg-type]
        if item.default is MISSING and item.default_factory is MISSING
    ]
    missing = [key for key in required if key not in values]
    if missing:
        raise error(f"{where} lacks {', '.join(missing)}.")
    return kind(**values)


def brief(text: str) -> str:
    """Shorten untrusted text for an error message to about 200 characters."""
    return text if len(text) <= 200 else f"{text[:150]} ... {text[-40:]}"
