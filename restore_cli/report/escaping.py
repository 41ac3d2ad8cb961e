"""Escapes untrusted text, so that it cannot control a terminal, a spreadsheet or Markdown."""

from __future__ import annotations

import re

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_MARKDOWN = re.compile(r"[\\`*\[\]<|]")
_FORMULA = tuple("=+-@\t\n＝＋－＠")


def visible(text: str, keep: str = "") -> str:
    """Replace control and text-direction characters by \\u escapes, except those in `keep`."""
    return _STEERING.sub(lambda it: it[0] if it[0] in keep else f"\\u{ord(it[0]):04x}", text)


def csv_cell(value: object) -> object:
    """Escape a text so that a spreadsheet does not read it as a formula, with a leading apostrophe.

    Other values are returned unchanged.
    """
    if not isinstance(value, str):
        return value
    text = visible(value, "\n\t")  # the csv module does not quote a carriage return
    return f"'{text}" if text.startswith(_FORMULA) and text != "-" else text


def markdown_cell(text: str) -> str:
    """Escape a text so that it stays in its cell, without links, images or HTML."""
    return _MARKDOWN.sub(r"\\\g<0>", visible(text))
