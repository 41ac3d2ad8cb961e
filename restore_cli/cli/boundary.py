"""The error boundary: every error becomes one sentence on stderr and an exit code."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from restore_cli.cli.display import print_error
from restore_cli.cli.options import DEBUG, ORIGINS
from restore_cli.errors import ExitCode, RestoreError, UsageError, WeightsError


class ErrorHandlingGroup(TyperGroup):
    """The group of all commands: turns errors into a sentence and an exit code.

    With --debug, errors pass through.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Parse the arguments; raises typer.Exit if help cannot be printed, or at an interrupt."""
        try:
            return super().make_context(*args, **kwargs)
        except UsageError as error:
            print_error(str(error))
            raise typer.Exit(ExitCode.USAGE) from error
        except KeyboardInterrupt as error:
            print_error("Interrupted.")
            raise typer.Exit(ExitCode.INTERRUPTED) from error
        except OSError as error:
            if not isinstance(error, BrokenPipeError):  # the reader has closed it, as `| head` does
                print_error(_sentence(error))
            raise typer.Exit(ExitCode.FAILED) from error

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Refuse empty arguments, such as those of unset variables, which would mean a folder."""
        for before, word in itertools.pairwise(["", *args]):
            option, sign, value = word.partition("=") if word[:2] == "--" else (before, "=", word)
            if sign and not value and option != "--suffix":
                what = f"value for {option}" if option[:1] == "-" else "name"
                raise UsageError(f"Cannot use an empty {what}. Leave it out, or give one.")
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; raises typer.Exit instead of any other error."""
        try:
            value = super().invoke(ctx)
            sys.stdout.flush()  # here, where a closed pipe can still be handled
            return value
        except (typer.Exit, typer.TyperException):
            raise
        except KeyboardInterrupt as error:
            print_error(f"Interrupted. {str(error) or 'Finished outputs were kept.'}")
            raise typer.Exit(ExitCode.INTERRUPTED) from error
        except BrokenPipeError as error:
            raise typer.Exit(ExitCode.FAILED) from error
        except Exception as error:
            if ctx.meta.get(DEBUG):
                raise
            sentence = _sentence(error)
            if isinstance(error, UsageError | WeightsError) and (origins := ctx.meta.get(ORIGINS)):
                sentence += f" Some options are set in {', '.join(origins)}."
            print_error(sentence)
            raise typer.Exit(getattr(error, "exit_code", ExitCode.FAILED)) from error


def _sentence(error: Exception) -> str:
    match error:
        case RestoreError():
            return str(error)
        case MemoryError():
            return "Cannot continue: out of memory. Use a smaller --tile, or close other programs."
        case ImportError() if "failed to map segment" in str(error):
            return "Cannot load the libraries: out of memory. Close other programs."
        case OSError(strerror=reason, filename=file) if reason and file:
            return f"Cannot access {file}: {reason}."
        case FileNotFoundError():
            return "The current folder no longer exists. Change to another one."
        case OSError(strerror=reason) if reason:
            return f"Cannot write to standard output: {reason}."
    return (
        f"Unexpected {type(error).__name__}: {error}. Please report it, with the output of --debug."
    )
