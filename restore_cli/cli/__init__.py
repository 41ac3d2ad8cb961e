"""The command line: the only package that uses Typer and Rich.

`COMMANDS` is all that `restore --help` needs; a command is imported when it runs.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from restore_cli import __version__
from restore_cli.cli.boundary import ErrorHandlingGroup
from restore_cli.cli.hints import add_hint
from restore_cli.cli.options import Debug

_TASKS = {
    "denoise": "Remove noise from photos.",
    "deblock": "Remove JPEG compression artifacts from photos.",
    "derain": "Remove rain from photos.",
    "inpaint": "Fill in missing areas, given by a mask or boxes, or detected (text, scratches).",
    "sr": "Upscale photos.",
    "dehaze": "Remove haze and fog from photos.",
    "deblur": "Sharpen blurred photos.",
}
PHOTO_COMMANDS = _TASKS | {  # those with defaults from files
    "auto": "Find out what damages each photo, and restore it.",
    "run": "Restore photos with a chain of these commands, or with a preset.",
}
COMMANDS = PHOTO_COMMANDS | {  # the first line of each command's help
    "config": "Show the defaults of options, and the file or variable that each comes from.",
    "serve": "Restore photos in a web browser, or by HTTP.",
    "compare": "Write an HTML page that compares photos: slider, side by side, or flickering.",
    "train": "Train a model from a recipe.",
    "study": "Train a series of small networks and plot a figure from a paper.",
    "bench": "Benchmark models on image sets.",
    "models": "List, show, fetch, add, remove, verify and export models.",
}


class LazyCommand(TyperCommand):
    """A command or group that knows only its name and summary until it runs."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments with the real command, and the user's defaults of its options."""
        command = self.load()
        if self.name in PHOTO_COMMANDS and not kwargs.get("resilient_parsing"):
            from restore_cli.cli.defaults import default_map

            kwargs["default_map"] = default_map(str(self.name))
        return command.make_context(*args, **kwargs)

    def load(self) -> Any:
        """Import the real command."""
        return load_command(str(self.name))


def load_command(name: str) -> Any:
    """Import a command or group."""
    holder = typer.Typer()
    _add_command(holder, name)
    return typer.main.get_group(holder).commands[name]


def _add_command(app: typer.Typer, name: str) -> None:
    """Import a command and add it to the app."""
    if name in _TASKS:
        from restore_cli.cli import restore

        restore.add_command(app, name)
    elif name == "auto":
        from restore_cli.cli import auto

        auto.add_command(app)
    elif name == "run":
        from restore_cli.cli import run

        run.add_command(app)
    elif name == "config":
        from restore_cli.cli import config

        app.command(name)(config.config)
    elif name == "serve":
        from restore_cli.cli import serve

        app.command(name, epilog=serve.EPILOG)(serve.serve)
    elif name == "compare":
        from restore_cli.cli import compare

        app.command(name, epilog=compare.EPILOG)(compare.compare)
    elif name == "train":
        from restore_cli.cli import train

        app.command(name)(train.train)
    elif name == "study":
        from restore_cli.cli import study

        app.command(name)(study.study)
    elif name == "bench":
        from restore_cli.cli import bench

        app.add_typer(bench.app, name=name)
    else:
        from restore_cli.cli import models

        app.add_typer(models.app, name=name)


app = typer.Typer(
    cls=ErrorHandlingGroup,
    help="Restore damaged photos: noise, JPEG artifacts, rain, missing areas, low resolution.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _name, _summary in COMMANDS.items():
    _text = add_hint(_summary, _name) if _name in _TASKS else _summary
    app.command(_name, cls=LazyCommand, help=_text)(lambda: None)


def _complete_commands(ctx: typer.Context) -> list[str]:
    return ctx.find_root().command.list_commands(ctx)  # type: ignore[attr-defined,no-any-return]


@app.command("help", hidden=True)
def _help(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND",
            help="A command, such as `bench sr`.",
            autocompletion=_complete_commands,
        ),
    ] = None,
) -> None:
    """Show the help of a command, as COMMAND --help does."""
    root = ctx.find_root()
    root.command.main([*(command or []), "--help"], prog_name=root.info_name, standalone_mode=False)


@app.command("version", hidden=True)
def _version() -> None:
    """Print the version, as --version does."""
    typer.echo(f"restore {__version__}")


def _print_version(wanted: bool) -> None:
    if wanted:
        _version()
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            metavar="",
            help="Print the version and exit.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    pass
