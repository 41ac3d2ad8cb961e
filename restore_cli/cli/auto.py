"""`restore auto`: looks at each photo, and does what it needs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from restore_cli.cli.completion import complete_list
from restore_cli.cli.examples import examples
from restore_cli.cli.fields import compose, parameter
from restore_cli.cli.options import flag, option
from restore_cli.cli.restore import PhotoCommand, restore_photos
from restore_cli.pipeline.auto import CHOICES, Auto, parse_only

_PANEL = "Choice of steps"
_HELP = """Find out what damages each photo, and restore it.

Measure noise, JPEG artifacts, blur, rain and haze, and remove what is found, in the right order
and without rounding in between. JPEG artifacts are also found in PNGs that were JPEGs, and in JPEGs
that were saved twice. Clean photos are copied.
"""
_EPILOG = (
    f"{examples('auto')}\n\nExit codes: 0 all inputs restored or clean, 1 some failed, 2 invalid"
    " arguments, 3 model missing or damaged, 130 interrupted."
)
_Only = Annotated[
    str | None,
    option(
        _PANEL,
        "TASK,...",
        f"Use only these: {', '.join(CHOICES)}.",
        autocompletion=complete_list(lambda _: CHOICES),
    ),
]
_Explain = Annotated[
    bool,
    flag(_PANEL, "Show each measured value, and the limit from which it counts.", "--explain"),
]


def add_command(app: typer.Typer) -> None:
    """Add the command to the app."""
    own = {"plan": [parameter("only", _Only), parameter("explain", _Explain, False)]}
    command = compose(restore_photos, ["plan"], own, _make_plan)
    app.command("auto", cls=PhotoCommand, help=_HELP, epilog=_EPILOG)(command)


def _make_plan(values: dict[str, Any]) -> dict[str, Any]:
    """The plan of the options; raises UsageError."""
    only, explain = values["only"], values["explain"]
    return {"plan": Auto(CHOICES if only is None else parse_only(only), explain)}
