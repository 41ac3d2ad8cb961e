"""Words in, words out: the only place that knows Typer, Rich and exit codes."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from restore_cli import __version__
from restore_cli.cli import bench, compare, models, restore, study, train
from restore_cli.cli.display import print_error
from restore_cli.cli.options import DEBUG, Debug
from restore_cli.errors import RestoreError


class Boundary(TyperGroup):
    """The single error boundary: one sentence on stderr and an exit code; --debug lets errors
    through.
    """

    def make_context(self, *words: Any, **options: Any) -> Any:
        """Read the words; raises typer.Exit where help cannot be printed, or at an interrupt."""
        try:
            return super().make_context(*words, **options)
        except KeyboardInterrupt as error:
            print_error("Interrupted.")
            raise typer.Exit(130) from error
        except OSError as error:
            print_error(_sentence(error))
            raise typer.Exit(1) from error

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for; raises typer.Exit in place of any other error."""
        try:
            value = super().invoke(ctx)
            sys.stdout.flush()  # here, where a closed pipe can still be answered
            return value
        except (typer.Exit, typer.TyperException):
            raise
        except KeyboardInterrupt as error:
            print_error(f"Interrupted. {str(error) or 'Finished outputs are kept.'}")
            raise typer.Exit(130) from error
        except BrokenPipeError as error:  # the reader of stdout has left, `| head`
            raise typer.Exit(1) from error
        except Exception as error:
            if ctx.meta.get(DEBUG):
                raise
            print_error(_sentence(error))
            raise typer.Exit(getattr(error, "exit_code", 1)) from error


def _sentence(error: Exception) -> str:
    match error:
        case RestoreError():
            return str(error)
        case MemoryError():
            return "Memory is too short; close other programs or use a smaller --tile."
        case ImportError() if "failed to map segment" in str(error):
            return "Memory is too short to load the libraries; close other programs."
        case OSError(strerror=reason, filename=file) if reason and file:
            return f"{file}: {reason}; choose another place."
        case FileNotFoundError():
            return "The current folder does not exist any more; change to another one."
        case OSError(strerror=reason) if reason:
            return f"Cannot write to standard output: {reason}."
    return (
        f"Unexpected {type(error).__name__}: {error}. Please report it with the output of --debug."
    )


app = typer.Typer(
    cls=Boundary,
    help="Image restoration on the command line.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
restore.add_commands(app)
app.command("compare", epilog=compare.EPILOG)(compare.compare)
app.command("train")(train.train)
app.command("study")(study.study)
app.add_typer(bench.app, name="bench")
app.add_typer(models.app, name="models")


def _complete_commands(ctx: typer.Context) -> list[str]:
    return ctx.find_root().command.list_commands(ctx)  # type: ignore[attr-defined,no-any-return]


@app.command("help", hidden=True)
def print_help(
    ctx: typer.Context,
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND", help="As in `bench sr`.", autocompletion=_complete_commands
        ),
    ] = None,
) -> None:
    """Same as COMMAND --help."""
    root = ctx.find_root()
    root.command.main([*(command or []), "--help"], prog_name=root.info_name, standalone_mode=False)


@app.command("version", hidden=True)
def print_version() -> None:
    """Same as --version."""
    typer.echo(f"restore {__version__}")


def _print_version(wanted: bool) -> None:
    if wanted:
        print_version()
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            "-V",
            metavar="",
            help="Print the version.",
            callback=_print_version,
            is_eager=True,
        ),
    ] = False,
    debug: Debug = False,
) -> None:
    pass
