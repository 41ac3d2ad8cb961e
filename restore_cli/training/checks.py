"""Checks the keys of a recipe against their type hints and bounds, and finds all problems."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from types import UnionType
from typing import Any, Literal, get_args, get_origin

from restore_cli.degradations import MEASURES
from restore_cli.tasks import TASKS

_LARGEST = 2**53  # upper bound of all integers
_BOUNDS: dict[str, tuple[float, float]] = {  # lowest and highest; all others are at least 0
    "steps": (1, _LARGEST),
    "batch": (1, _LARGEST),
    "patch": (1, _LARGEST),
    "detail": (1, _LARGEST),
    "gray": (0, 1),
    "enlarged": (0, 1),
    "coarse": (0, 1),
    "accumulate": (1, _LARGEST),
    "holdout": (2, _LARGEST),
    "drop": (0, 1),
    "patience": (1, _LARGEST),
    "discriminator": (3, 7),
    "betas": (0, 0.99999),
    "ema": (0, 0.99999),
}
_MAY_BE_INFINITE = {"clip"}
_FOLDERS = {"folders", "halved", "pairs"}


def find_problems(values: Mapping[str, Any], hints: Mapping[str, Any]) -> dict[str, list[str]]:
    """Find the problems of each known key of a TOML table; a valid key has an empty list.

    Args:
        values: the table.
        hints: the types of the known keys: numbers, strings, tables, literals, lists of them, or
            unions of a type and a list of it.
    """
    return {
        key: list(_problems(key, value, hints[key]))
        for key, value in values.items()
        if key in hints
    }


def _problems(key: str, value: Any, hint: Any) -> Iterator[str]:
    listed = isinstance(value, (list, tuple))
    if isinstance(hint, UnionType):  # "int | tuple[int, ...]" accepts one value or a list
        one, several = get_args(hint)
        hint = several if listed else one
        if listed and not value:
            yield f"{key} must not be empty"
    if get_origin(hint) is not tuple:
        yield from _problems_of_one(key, value, hint)
    elif not listed:
        yield f"{key} must be a list, not {value!r}"
    else:
        for item in value:
            yield from _problems_of_one(key, item, get_args(hint)[0])
        if key == "betas" and len(value) != 2:
            yield f"betas must be two numbers, not {len(value)}"


def _problems_of_one(key: str, value: Any, hint: Any) -> Iterator[str]:
    choices: tuple[str, ...] = get_args(hint) if get_origin(hint) is Literal else ()
    if key == "task":
        choices = (*TASKS, *MEASURES)
    kind = str if choices else get_origin(hint) or hint
    accepted = (int, float) if kind is float else kind
    if not isinstance(value, accepted) or isinstance(value, bool):
        name = "a table" if kind is Mapping else kind.__name__
        yield f"{key} must be {name}, not {value!r}"
    elif choices and value not in choices:
        yield f"{key} must be one of {', '.join(choices)}, not {value!r}"
    elif isinstance(value, (int, float)):
        yield from _out_of_bounds(key, value)
    elif key in _FOLDERS:
        yield from _strange_folder(key, value)


def _out_of_bounds(key: str, value: float) -> Iterator[str]:
    low, high = _BOUNDS.get(key, (0, _LARGEST if isinstance(value, int) else math.inf))
    if value in (math.inf, -math.inf) or value != value:
        if value != math.inf or key not in _MAY_BE_INFINITE:
            yield f"{key} must be a finite number, not {value}"
    elif value < low:
        yield f"{key} must be at least {low:g}, not {value}"
    elif value > high:
        yield f"{key} must be at most {high:g}"


def _strange_folder(key: str, value: str) -> Iterator[str]:
    if any(PurePath(part).is_absolute() for part in value.split(":")):
        yield f"{key} must be below --data, unlike {value!r}"
    if key == "pairs" and not all(value.partition(":")):
        yield f"pairs must be CLEAN:DAMAGED, not {value!r}"
