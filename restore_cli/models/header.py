"""The header of a checkpoint, and its JSON form in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from restore_cli.errors import WeightsError
from restore_cli.levels import Choice, Levels, Range, parse_level, to_plain, to_plain_levels
from restore_cli.models.scores import Score, Series, group_scores, parse_score
from restore_cli.tables import brief, fill_in

KEY = "restore_cli"  # the metadata entry with the header
FORMAT = 2
MAX_CHARS = 2**20  # of JSON; the headers of our files have a few thousand
MAX_DEPTH = 8  # of nested tables and lists
SPANDREL = "spandrel:"  # prefix of networks that this optional package builds
_FIRST_PARAMS: Mapping[str, Mapping[str, Any]] = {  # values that format 1 leaves out
    "rednet:rednet": {"rectified": False},
}
_BOUNDS = {"sigma": (0, 255), "quality": (1, 100), "scale": (1, 16)}  # levels that are numbers


@dataclass(frozen=True, kw_only=True)
class Header:
    """The header of a checkpoint: everything that is needed to run it.

    Attributes:
        task: the task of the model, "denoise".
        arch, params: the network, as `archs.build` takes them.
        channels: image channels, 1 or 3.
        conditions: the degradation levels that it was trained for: a range if the level is an input
            of the network, one value if it is fixed: {"sigma": Range(0, 75)}, {"sigma": 25}.
        precisions: precisions that were measured to cost at most 0.02 dB.
        recipe: how it was trained, as `training.Recipe` reads it; for foreign checkpoints only what
            is known.
        scores: measured and published scores.
        data: a description of the training images.
        commit: the commit of this repository that trained it.
    """

    task: str
    arch: str
    params: Mapping[str, Any]
    channels: int
    conditions: Levels = field(default_factory=dict)
    precisions: tuple[str, ...] = ("fp32",)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    scores: tuple[Score, ...] = ()
    data: str = ""
    commit: str = ""

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise WeightsError(f"A checkpoint must have 1 or 3 channels, not {self.channels}.")
        for key, level in self.conditions.items():
            if not is_level(key, level):
                raise _bad_condition(key, to_plain(level))
        if not all(isinstance(name, str) for name in self.precisions):
            raise WeightsError(
                f"A checkpoint's precisions cannot be {brief(repr(self.precisions))}."
            )

    @property
    def by_spandrel(self) -> bool:
        """Whether its network needs the optional package spandrel."""
        return self.arch.startswith(SPANDREL)

    @property
    def is_built(self) -> bool:
        """Whether `archs.build` builds its network, rather than spandrel or onnxruntime."""
        return ":" in self.arch and not self.by_spandrel

    def series(self) -> tuple[Series, ...]:
        """The scores, grouped into series."""
        return group_scores(self.scores)

    def to_plain(self) -> dict[str, Any]:
        """The header's fields as JSON values."""
        return {
            **{item.name: getattr(self, item.name) for item in fields(Header)},
            "conditions": to_plain_levels(self.conditions),
            "scores": [score.to_plain() for score in self.scores],
        }


def is_level(key: str, plain: Any) -> bool:
    """Whether a value is a level, or its TOML or JSON form, within the bounds of its key, if any.

    "scale" may be a number written as text.
    """
    try:
        level = parse_level(plain)
    except (ValueError, OverflowError):
        return False
    low, high = _BOUNDS.get(key, (-(10**9), 10**9))
    if isinstance(level, Range):
        return low <= level.low and level.high <= high
    if not isinstance(level, (Choice, str)):
        return low <= level <= high
    words = level.words if isinstance(level, Choice) else (level,)
    scales = {str(scale) for scale in range(low, high + 1)} if key == "scale" else set()
    return key not in _BOUNDS or scales.issuperset(words)


def _bad_condition(key: str, plain: Any) -> WeightsError:
    return WeightsError(f"A checkpoint's condition {brief(key)} cannot be {brief(repr(plain))}.")


def parse_conditions(plain: Any) -> Any:
    """Parse the levels of a table; any other value is returned unchanged.

    Raises:
        WeightsError: a value is not a level.
    """
    if not isinstance(plain, Mapping):
        return plain
    levels = {}
    for key, value in plain.items():
        try:
            levels[key] = parse_level(value)
        except (ValueError, OverflowError) as error:
            raise _bad_condition(key, value) from error
    return levels


def parse_header(values: Mapping[str, Any], where: str) -> Header:
    """Parse a table as a header, strictly; `where` starts the message of a WeightsError."""
    values = dict(values)
    if "conditions" in values:
        values["conditions"] = parse_conditions(values["conditions"])
    if isinstance(scores := values.get("scores"), (list, tuple)):
        values["scores"] = tuple(map(parse_score, scores))
    return fill_in(Header, values, where, WeightsError)


def to_metadata(header: Header) -> dict[str, str]:
    """Return a header as the metadata of a checkpoint file."""
    own = Header.to_plain(header)  # without the fields of an entry
    return {KEY: json.dumps({"format": FORMAT, **own})}


def from_metadata(path: Path, metadata: Mapping[str, str]) -> Header | None:
    """Read the header from the metadata of a file; returns None if there is none.

    Raises:
        WeightsError: the header is damaged, or from a later version.
    """
    if KEY not in metadata:
        return None
    try:
        if len(metadata[KEY]) > MAX_CHARS:
            raise ValueError("it is too long")
        values = json.loads(metadata[KEY])
        if _is_deeper(values, MAX_DEPTH):
            raise ValueError("it is nested too deeply")
        version = values.pop("format")
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"The header of {path} is damaged.") from error
    if version not in (1, FORMAT):
        raise WeightsError(
            f"Cannot read {path}: it has format {brief(repr(version))}, which this version does not"
            " support. Upgrade restore-cli."
        )
    header = parse_header(values, f"The header of {path}")
    return _renew(header) if version == 1 else header


def _renew(header: Header) -> Header:
    """Convert the header of a format 1 file to the current format."""
    recipe = header.recipe
    if isinstance(params := recipe.get("params"), Mapping):
        recipe = {**recipe, "params": renew_params(header.arch, params)}
    return replace(header, params=renew_params(header.arch, header.params), recipe=recipe)


def renew_params(arch: str, params: Mapping[str, Any]) -> Mapping[str, Any]:
    """Add the network parameters that a format 1 file leaves out."""
    return {**_FIRST_PARAMS.get(arch.lower(), {}), **params}


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether tables and lists are nested more than `levels` deep."""
    if not isinstance(value, (dict, list)):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(one, levels - 1) for one in inner)
