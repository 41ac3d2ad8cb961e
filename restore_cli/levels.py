"""Levels of degradation: a value, a range or a choice, and their form in TOML and JSON.

25           a value             sigma = 25
[0, 75]      Range(0, 75)        any number from 0 to 75
["a", "b"]   Choice(("a", "b"))  one of these words
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # numpy is slow to import, and help texts do not need it
    from numpy.random import Generator, RandomState

Value = bool | int | float | str


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`; raises ValueError if `low` is above `high`."""

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"{self.low:g} is above {self.high:g}")

    def __str__(self) -> str:
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Choice:
    """One of several words; a word that is listed twice is drawn twice as often."""

    words: tuple[str, ...]

    def __str__(self) -> str:
        return " or ".join(dict.fromkeys(self.words))


Level = Value | Range | Choice
Levels = Mapping[str, Level]


def parse_level(plain: Any) -> Level:
    """Convert a value of TOML or JSON to a level; a level is returned unchanged.

    Raises:
        ValueError: the value is not a level.
    """
    if isinstance(plain, (bool, int, float, str, Range, Choice)):
        return plain
    if isinstance(plain, (list, tuple)) and plain:
        if all(isinstance(word, str) for word in plain):
            return Choice(tuple(plain))
        if len(plain) == 2 and all(type(end) in (int, float) for end in plain):
            return Range(*plain)
    raise ValueError("a level must be a value, [low, high] or a list of words")


def parse_levels(plain: Mapping[str, Any]) -> dict[str, Level]:
    """Convert each value of a table to a level; raises ValueError."""
    return {key: parse_level(value) for key, value in plain.items()}


def to_plain(level: Level) -> Any:
    """Convert a level to its form in TOML and JSON."""
    if isinstance(level, Range):
        return [level.low, level.high]
    return list(level.words) if isinstance(level, Choice) else level


def to_plain_levels(levels: Levels) -> dict[str, Any]:
    """Convert each level to its form in TOML and JSON."""
    return {key: to_plain(level) for key, level in levels.items()}


def draw(level: Level, rng: Generator | RandomState) -> Value:
    """Draw a value of the level, uniformly."""
    if isinstance(level, Range):
        return float(rng.uniform(level.low, level.high))
    return level.words[rng.choice(len(level.words))] if isinstance(level, Choice) else level


def span(level: Level) -> Range:
    """The range of a numeric level; that of a choice is from its lowest to its highest number.

    Raises:
        ValueError: the level is not numeric.
    """
    if isinstance(level, Range):
        return level
    numbers = [float(word) for word in (level.words if isinstance(level, Choice) else (level,))]
    return Range(min(numbers), max(numbers))


def describe_level(level: Level | None) -> str:
    """The level as text, such as "8 to 32"; empty for True, and "auto" for None."""
    if level is True:
        return ""
    if level is None:
        return "auto"
    return f"{level:g}" if isinstance(level, float) else str(level)


def describe(levels: Levels) -> str:
    """Keys and levels as text, such as "damage text size 8 to 32 blind"; for True only the key."""
    return " ".join(f"{key} {describe_level(level)}".rstrip() for key, level in levels.items())
