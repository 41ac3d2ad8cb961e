"""The text of a chain: tasks with their options, joined by "|"."""

from __future__ import annotations

import shlex

import typer

from restore_cli.cli.restore import step_command
from restore_cli.cli.values import suggest
from restore_cli.errors import UsageError
from restore_cli.pipeline.plan import Chain, Step
from restore_cli.tasks import TASKS, find_task


def parse_chain(text: str) -> Chain:
    """Parse a chain such as "deblock | denoise --sigma 10 | sr --scale 2".

    Raises:
        UsageError: a step is not a task with options of that task; names the step.
    """
    splitter = shlex.shlex(text, posix=True, punctuation_chars="|")
    splitter.whitespace_split, splitter.commenters, splitter.escape = True, "", ""
    try:
        words = list(splitter)
    except ValueError as error:
        raise UsageError(f"Cannot read the chain {text!r}: a quotation mark is missing.") from error
    steps: list[list[str]] = [[]]
    for word in words:
        if set(word) == {"|"}:
            steps.extend([] for _ in word)
        else:
            steps[-1].append(word)
    return Chain(tuple(_parse_step(number, *step) for number, step in enumerate(steps, 1)))


def is_chain(text: str) -> bool:
    """Whether a text begins like a chain: with the name of a task."""
    return text.partition("|")[0].split()[:1] in [[task] for task in TASKS]


def _parse_step(number: int, name: str = "", *args: str) -> Step:
    """Parse the words of a step; raises UsageError."""
    where = f"Cannot run step {number} of the chain"
    if not name:
        raise UsageError(f'{where}: it is empty. Name a task between two "|".')
    if name not in TASKS:
        raise UsageError(f"{where}: {name!r} is not a task. {suggest(name, TASKS)}")
    app = typer.Typer(add_completion=False)
    app.command(name, add_help_option=False)(step_command(find_task(name)))
    command = typer.main.get_command(app)
    try:
        step: Step = command.invoke(command.make_context(name, list(args)))
    except UsageError as error:
        raise UsageError(f"{where}, {name}: {error}") from error
    except typer.TyperException as error:
        reason = error.format_message().rstrip(".")
        names = ", ".join(f"--{item.name}" for item in command.params)
        raise UsageError(f"{where}, {name}: {reason}. Its options are {names}.") from error
    return step
