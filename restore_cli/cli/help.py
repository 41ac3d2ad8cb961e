"""`restore help`: the help of a command, or a topic."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer

from restore_cli.cli.display import print_result
from restore_cli.cli.examples import examples
from restore_cli.cli.options import Debug
from restore_cli.errors import UsageError

_FOLDER = Path(__file__).with_name("topics")
EPILOG = examples("help")


def topics() -> list[str]:
    """The names of the topics; each is a text file whose first line is the title."""
    return sorted(path.stem for path in _FOLDER.glob("*.txt"))


def _names(ctx: typer.Context) -> list[str]:
    commands: list[str] = ctx.find_root().command.list_commands(ctx)  # type: ignore[attr-defined]
    return [*commands, *topics()]


def help(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND|TOPIC",
            help=f"A command, such as `bench sr`, or a topic: {', '.join(topics())}.",
            autocompletion=_names,
        ),
    ] = None,
    debug: Debug = False,  # noqa: ARG001 (read by the error boundary)
) -> None:
    """Show the help of a command, as COMMAND --help does, or a topic."""
    if words and len(words) == 1 and words[0] in topics():
        print_result((_FOLDER / f"{words[0]}.txt").read_text(encoding="utf-8").rstrip())
        return
    root = ctx.find_root()
    names = _names(ctx)
    if words and words[0] not in names:
        close = get_close_matches(words[0], names, 1)
        hint = f"Did you mean {close[0]}?" if close else f"Topics are {', '.join(topics())}."
        raise UsageError(f"Cannot show help for {words[0]!r}: there is no such command. {hint}")
    arguments = [*(words or []), "--help"]
    code = root.command.main(arguments, prog_name=root.info_name, standalone_mode=False)
    if code:
        raise typer.Exit(code)
