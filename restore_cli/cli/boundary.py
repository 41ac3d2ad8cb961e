"""The error boundary: every error becomes one sentence on stderr and an exit code."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from restore_cli.cli.display import print_error
from restore_cli.cli.options import DEBUG
from restore_cli.errors import ExitCode, RestoreError


class ErrorHandlingGroup(TyperGroup):
    """The group of all commands, which turns errors into a sentence and an exit code.

    With --debug errors pass through.
    """

    def make_context(self, *words: Any, **options: Any) -> Any:
        """Read the words; raises typer.Exit where help cannot be printed, or at an interrupt."""
        try:
            return super().make_context(*words, **options)
        except KeyboardInterrupt as error:
            print_error("Interrupted.")
            raise typer.Exit(ExitCode.INTERRUPTED) from error
        except OSError as error:
            print_error(_sentence(error))
            raise typer.Exit(ExitCode.FAILED) from error

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
            raise typer.Exit(ExitCode.INTERRUPTED) from error
        except BrokenPipeError as error:  # the reader of stdout has left, `| head`
            raise typer.Exit(ExitCode.FAILED) from error
        except Exception as error:
            if ctx.meta.get(DEBUG):
                raise
            print_error(_sentence(error))
            raise typer.Exit(getattr(error, "exit_code", ExitCode.FAILED)) from error


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
