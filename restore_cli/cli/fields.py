"""Commands composed from the fields of a task, and KEY=VALUE arguments."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restore_cli.errors import UsageError
from restore_cli.tables import read_value
from restore_cli.tasks import option_fields as option_fields

if TYPE_CHECKING:
    from restore_cli.tasks import Task


def compose(
    run: Callable[..., Any],
    slots: Sequence[str],
    own: Mapping[str, Sequence[inspect.Parameter]],
    fill: Callable[[dict[str, Any]], Mapping[str, Any]],
    annotations: Mapping[str, Any] | None = None,
) -> Callable[..., Any]:
    """Create a command with the parameters of `run`, with some of them replaced by others.

    Args:
        run: takes all its parameters by keyword.
        slots: the names of the parameters that are replaced.
        own: the parameters that replace them, all keyword-only, by the name of the parameter of
            `run` that they precede.
        fill: makes the values of `slots` from the values of `own`, by name.
        annotations: types that replace those of parameters of `run`, by name.
    """
    offered: list[inspect.Parameter] = []
    for item in inspect.signature(run, eval_str=True).parameters.values():
        kind = (annotations or {}).get(item.name, item.annotation)
        offered += own.get(item.name, ())
        offered += [item.replace(annotation=kind)] if item.name not in slots else []

    def command(**values: Any) -> Any:
        given = {item.name: values.pop(item.name) for items in own.values() for item in items}
        return run(**values, **fill(given))

    command.__signature__ = inspect.Signature(offered)  # type: ignore[attr-defined]
    command.__annotations__ = {}
    return command


def parameter(name: str, kind: Any, default: Any = None) -> inspect.Parameter:
    """A parameter of a composed command; `kind` is its annotated type."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def task_parameter(item: dataclasses.Field[Any]) -> inspect.Parameter:
    """The option for a task's field, with its help, parser and default."""
    metavar = item.metadata["metavar"]
    values = [word for word in metavar.split("|") if word.islower()]  # "auto" in FLOAT|auto
    automatic = item.default is None and "auto" in values
    option = typer.Option(
        metavar=metavar,
        help=item.metadata["help"] + r" \[default: auto]" * automatic,  # \[ is not markup
        parser=item.metadata["parse"],
        autocompletion=lambda: values,
    )
    if item.default == ():
        return parameter(item.name, Annotated[list[str] | None, option])
    return parameter(item.name, Annotated[str, option], item.default)


def make_task(task: type[Task], values: Mapping[str, Any]) -> Task:
    """Create a task from the values of its fields; a repeatable option gives a list or None."""
    repeated = {item.name for item in dataclasses.fields(task) if item.default == ()}
    return task(
        **{key: tuple(value or ()) if key in repeated else value for key, value in values.items()}
    )


def split_keys(option: str, args: Sequence[str] | None) -> Iterator[tuple[str, str]]:
    """Split KEY=VALUE arguments into key and text; errors name the `option`.

    Raises:
        UsageError: an argument lacks "=".
    """
    for arg in args or ():
        key, equals, text = arg.partition("=")
        if not equals:
            raise UsageError(f"{arg!r} is not a valid {option}; expected KEY=VALUE.")
        yield key, text


def fill_task(task: type[Task], option: str, args: Sequence[str]) -> Task:
    """Create a task with the options of KEY=VALUE arguments; errors name the `option`.

    Raises:
        UsageError: a key is unknown, or a value is invalid.
    """
    known = option_fields(task)
    given: dict[str, Any] = {}
    for key, text in split_keys(option, args):
        name = key.replace("-", "_")
        if name not in known:
            expected = ", ".join(option_fields(task))
            raise UsageError(
                f"Unknown option {key!r} of {task.name} in {option}; expected {expected}."
            )
        value = known[name].metadata["parse"](text)
        given[name] = (*given.get(name, ()), value) if known[name].default == () else value
    return task(**given)


def parse_keys(option: str, args: Sequence[str] | None) -> dict[str, Any]:
    """Parse KEY=VALUE arguments with TOML values; text that is not TOML stays a string.

    Raises:
        UsageError: an argument lacks "=".
    """
    return {key: read_value(text) for key, text in split_keys(option, args)}
