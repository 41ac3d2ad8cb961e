"""`restore run`: a chain of tasks, with the options that all commands for photos share."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Annotated, Any

import typer

from restore_cli.cli import options
from restore_cli.cli.chain import is_chain, parse_chain
from restore_cli.cli.display import print_result
from restore_cli.cli.examples import examples
from restore_cli.cli.fields import compose, parameter
from restore_cli.cli.presets import find_preset, read_presets
from restore_cli.cli.restore import PhotoCommand, restore_photos
from restore_cli.errors import UsageError

_HELP = (
    "Restore photos with a chain of these commands, or with a preset.\n\n"
    'A chain is the last argument, in quotation marks: commands such as denoise, joined by "|",'
    " each with its own options, --model and --strength. All other options are those of one"
    " command.\n\n"
    "Each photo is read and written once. Between the steps nothing is rounded.\n\n"
    "With --mask, inpaint fills in the white areas, and other steps restore the entire photo; in a"
    " chain without inpaint, all steps restore the white areas only."
)
_EPILOG = (
    f"{examples('run')}\n\nExit codes: 0 all inputs restored, 1 some failed, 2 invalid arguments,"
    " 3 model missing or damaged, 130 interrupted."
)
_NEEDED = 'End the command with a chain, such as "deblock | denoise", or give --preset.'


def add_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    own = {"inputs": [parameter("inputs", options.Inputs), _CHAIN, _PRESET, _LIST]}
    command = compose(restore_photos, ["inputs", "plan"], own, _read_chain)
    app.command("run", cls=PhotoCommand, help=_HELP, epilog=_EPILOG)(command)


def _read_chain(values: dict[str, Any]) -> dict[str, Any]:
    """The inputs, and the plan: the chain, or that of a preset; raises UsageError."""
    inputs, text, preset = values["inputs"] or [], values["chain"], values["preset"]
    if preset:
        if text and is_chain(text) and not os.path.exists(text):
            raise UsageError("Cannot use both a chain and --preset. Choose one.")
        return {"inputs": [*inputs, *([text] if text else [])], "plan": find_preset(preset)}
    if not text:
        raise UsageError(f"No chain given. {_NEEDED}")
    if not is_chain(text) and (_is_photo(text) or any(map(is_chain, inputs))):
        raise UsageError(f"Cannot run {text}: it is not a chain. {_NEEDED}")
    return {"inputs": inputs, "plan": parse_chain(text)}


def _is_photo(text: str) -> bool:
    from restore_cli.image import is_image_name

    return is_image_name(text) or os.path.exists(text)


def _list_presets(wanted: bool) -> None:
    if wanted:
        for name, preset in read_presets().items():
            print_result(f"{name}: {preset.description}\n    {preset.chain}")
        raise typer.Exit


def _complete_presets() -> list[str]:
    with suppress(UsageError):
        return list(read_presets())
    return []


_CHAIN = parameter(
    "chain",
    Annotated[
        str | None,
        typer.Argument(metavar="CHAIN", help='The chain, such as "deblock | sr --scale 2".'),
    ],
)
_PRESET = parameter(
    "preset",
    Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Use the chain of a preset, see --list-presets.",
            autocompletion=_complete_presets,
        ),
    ],
)
_LIST = parameter(
    "list_presets",
    Annotated[
        bool,
        typer.Option(
            "--list-presets",
            metavar=options.FLAG,
            help="List the presets: those of the program, and your own in presets.toml.",
            callback=_list_presets,
            is_eager=True,
        ),
    ],
    False,
)
