"""The command line: the only package that uses Typer and Rich.

`PANELS` is all that `restore --help` needs; a command is imported when it runs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

import restore_cli
from restore_cli.cli.boundary import ErrorHandlingGroup
from restore_cli.cli.examples import examples
from restore_cli.cli.help import topics
from restore_cli.cli.options import ORIGINS, Debug
from restore_cli.tasks import TASKS

# By panel of the help: each command with the first line of its own help. One that is not a task is
# the function NAME of cli/NAME.py with its EPILOG, or the group `app`, or what `add_command` adds.
PANELS = {
    "Restore": {
        "auto": "Find out what damages each photo, and restore it.",
        "denoise": "Remove noise from photos.",
        "deblock": "Remove JPEG compression artifacts from photos.",
        "derain": "Remove rain from photos.",
        "inpaint": "Fill in areas given by a mask or boxes, or detected (text, scratches).",
        "sr": "Upscale photos.",
        "dehaze": "Remove haze and fog from photos.",
        "deblur": "Sharpen blurred photos.",
        "run": "Restore photos with a chain of these commands, or with a preset.",
        "config": "Show the defaults of options, and the file or variable that each comes from.",
    },
    "Models": {
        "models": "List, show, fetch, add, remove, verify and export models.",
    },
    "Evaluate": {
        "compare": "Write an HTML page that compares photos: divider, side by side, or blinking.",
        "bench": "Benchmark models on image sets, for one task or for a predefined suite.",
        "info": "Show the size, depth, quality and metadata of photos, and how they were made.",
        "rerun": "Restore a photo again as its metadata says, and compare the results.",
    },
    "Serve": {
        "serve": "Restore photos in a web browser, or by HTTP.",
    },
    "Train": {
        "train": "Train a model from a recipe.",
        "study": "Train a series of small networks and plot a figure from a paper.",
    },
    "Help": {
        "doctor": "Check the installation: versions, devices, memory, models, and a self-test.",
        "help": "Show the help of a command, as COMMAND --help does, or a topic.",
    },
}
PHOTO_COMMANDS = ("auto", *TASKS, "run")  # those with defaults from files


class LazyCommand(TyperCommand):
    """A command or group that knows only its name and summary until it runs."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments with the real command, and the user's defaults of its options."""
        command = self.load()
        if self.name in PHOTO_COMMANDS and not kwargs.get("resilient_parsing"):
            from restore_cli.cli.defaults import default_map, find_defaults, without_rivals

            words = list(args[1] if len(args) > 1 else kwargs["args"])
            found = without_rivals(find_defaults(str(self.name)), words)
            kwargs["default_map"] = default_map(str(self.name), found)
            kwargs["parent"].meta[ORIGINS] = sorted({default.origin for default in found.values()})
        return command.make_context(*args, **kwargs)

    def load(self) -> Any:
        """Import the real command."""
        return load_command(str(self.name))


def load_command(name: str) -> Any:
    """Import a command or group."""
    holder = typer.Typer()
    _add_command(holder, name)
    command = typer.main.get_group(holder).commands[name]
    _join_lines(command)
    return command


def _join_lines(command: Any) -> None:
    """Join the lines of each paragraph of the help of a command and its subcommands."""
    if command.help:
        command.help = "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n"))
    for inner in getattr(command, "commands", {}).values():
        _join_lines(inner)


def _add_command(app: typer.Typer, name: str) -> None:
    """Import a command and add it to the app."""
    if name in TASKS:
        from restore_cli.cli import restore

        restore.add_command(app, name)
        return
    module = import_module(f"restore_cli.cli.{name}")
    if hasattr(module, "add_command"):
        module.add_command(app)
    elif hasattr(module, "app"):
        app.add_typer(module.app, name=name)
    else:
        app.command(name, epilog=module.EPILOG)(getattr(module, name))


app = typer.Typer(
    cls=ErrorHandlingGroup,
    help="Restore damaged photos: noise, JPEG artifacts, rain, missing areas, low resolution.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog=f"{examples('restore')}\n\nTopics of `restore help`: {', '.join(topics())}.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _panel, _commands in PANELS.items():
    for _name, _summary in _commands.items():
        app.command(_name, cls=LazyCommand, help=_summary, rich_help_panel=_panel)(lambda: None)


@app.command("version", hidden=True)
def _version() -> None:
    """Print the version, as --version does."""
    typer.echo(f"restore {restore_cli.__version__}")


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
