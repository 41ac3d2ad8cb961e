"""Writes docs/cli.md, what each command says of itself with --help.

    python scripts/cli_page.py

A test fails when the page is stale.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import typer
from typer.testing import CliRunner

from restore_cli.cli import app
from restore_cli.errors import ExitCode

PAGE = Path(__file__).parents[1] / "docs" / "cli.md"
WIDTH = 100
HEAD = """# Commands

What each command prints with `--help`. Made by scripts/cli_page.py.

## Exit codes

| code | meaning |
|---|---|
"""
MEANINGS = {
    ExitCode.OK: "Everything that was asked for is done.",
    ExitCode.FAILED: "An input failed, or a result could not be written; the rest of a batch is"
    " done.",
    ExitCode.USAGE: "Invalid arguments; nothing is done.",
    ExitCode.WEIGHTS: "A model is missing, damaged or unknown, or cannot be downloaded.",
    ExitCode.INTERRUPTED: "Interrupted by Ctrl-C or a signal; finished outputs are kept.",
}


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """The words of every command that is not hidden, and the command; groups come first."""
    root = typer.main.get_command(app)
    yield from _walk(root.make_context("restore", [], resilient_parsing=True))


def _walk(context: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    group = context.command
    yield words, group
    for name in getattr(group, "commands", ()):
        command = group.get_command(context, name)
        if not command.hidden:
            inner = command.make_context(name, [], parent=context, resilient_parsing=True)
            yield from _walk(inner, *words, name)


def read_help(*words: str) -> str:
    """What a command prints with --help, as plain text of 100 columns on any machine."""
    env = {"COLUMNS": str(WIDTH), "NO_COLOR": "1", "TERM": "dumb"}
    with (  # typer reads these of the environment when it is imported
        mock.patch("typer.rich_utils.MAX_WIDTH", WIDTH),
        mock.patch("typer.rich_utils.FORCE_TERMINAL", False),
    ):
        result = CliRunner().invoke(app, [*words, "--help"], env=env, prog_name="restore")
    assert result.exit_code == ExitCode.OK, result.output
    return re.sub(r" +$", "", result.stdout, flags=re.MULTILINE).strip("\n")


def write() -> str:
    """The page."""
    codes = "".join(f"| {code} | {MEANINGS[code]} |\n" for code in ExitCode)
    sections = [
        f"\n## {' '.join(('restore', *words))}\n\n```text\n{read_help(*words)}\n```\n"
        for words, _ in commands()
    ]
    return HEAD + codes + "".join(sections)


if __name__ == "__main__":
    PAGE.write_text(write(), encoding="utf-8")
