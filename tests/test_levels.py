"""Levels of damage: what TOML holds becomes values, and the other way round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from restore_cli.levels import Choice, Range, describe, draw, parse_level, span, to_plain


@pytest.mark.parametrize(
    ("plain", "level"),
    [
        (25, 25),
        (True, True),
        ("text", "text"),
        ([0, 75], Range(0, 75)),
        (["2", "3"], Choice(("2", "3"))),
        (["text", "text", "hole"], Choice(("text", "text", "hole"))),
    ],
)
def test_plain_values_and_levels(plain: Any, level: Any) -> None:
    assert parse_level(plain) == level and parse_level(level) == level
    assert to_plain(level) == plain


@pytest.mark.parametrize("plain", [[], [1], [1, 2, 3], [2, 1], [1, "a"], [True, 3], {}, None])
def test_what_is_no_level_is_refused(plain: Any) -> None:
    with pytest.raises(ValueError):
        parse_level(plain)


def test_levels_are_drawn_within_their_bounds() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw(Range(3, 5), rng) for _ in range(50)]
    assert 3 <= min(drawn) < 3.5 and 4.5 < max(drawn) <= 5
    words = [draw(Choice(("a", "a", "a", "b")), rng) for _ in range(200)]
    assert 100 < words.count("a") < 190
    assert draw(7, rng) == 7


def test_a_range_of_numbers() -> None:
    assert span(25) == Range(25, 25) and span(Choice(("2", "4", "3"))) == Range(2, 4)
    with pytest.raises(ValueError):
        span(Choice(("text",)))


def test_levels_in_words() -> None:
    levels = {"damage": Choice(("text", "hole", "text")), "share": Range(0.1, 0.5), "size": 10.0}
    assert (
        describe({**levels, "blind": True}) == "damage text or hole share 0.1 to 0.5 size 10 blind"
    )
