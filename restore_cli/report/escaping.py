"""Strangers' texts in tables: nothing in them steers a terminal, a spreadsheet or Markdown."""

from __future__ import annotations

import re

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_MARKDOWN = re.compile(r"[\\`*\[\]<|]")
_FORMULA = tuple("=+-@\t\n＝＋－＠")


def visible(text: str, keep: str = "") -> str:
    """A stranger's text with what steers terminals, or the direction of writing, as \\u escapes."""
    return _STEERING.sub(lambda it: it[0] if it[0] in keep else f"\\u{ord(it[0]):04x}", text)


def csv_cell(value: object) -> object:
    """A text that no spreadsheet takes for a formula: one that begins like that gets an apostrophe
    before it.

    What is no text is as it was.
    """
    if not isinstance(value, str):
        return value
    text = visible(value, "\n\t")  # the csv module leaves a carriage return without quotes
    return f"'{text}" if text.startswith(_FORMULA) and text != "-" else text


def markdown_cell(text: str) -> str:
    """A text that stays in its cell, and of which Markdown makes no link, no picture and no
    HTML.
    """
    return _MARKDOWN.sub(r"\\\g<0>", visible(text))
