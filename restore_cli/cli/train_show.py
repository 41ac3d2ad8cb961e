"""What `restore train` shows without training: recipes, networks, and its plan."""

from __future__ import annotations

import inspect
import textwrap
from itertools import groupby
from typing import TYPE_CHECKING

from restore_cli import recipes
from restore_cli.cli.display import print_note, print_result
from restore_cli.tables import to_toml

if TYPE_CHECKING:
    from restore_cli.training.request import Request


def show_recipes() -> None:
    """Print the recipes of papers, a line each below their paper's title."""
    rows = recipes.rows().values()
    width = max(len(row.name) for row in rows)
    for title, group in groupby(rows, lambda row: row.paper):
        print_result(title)
        for row in group:
            print_result(
                f"  {row.name:{width}}  {row.about};"
                f" {' '.join(f':{name}' for name in row.variants)}"
            )


def show_archs() -> None:
    """Print the networks, below each what it is and its parameters."""
    from restore_cli import archs

    for name, network in archs.known().items():
        about = inspect.cleandoc(network.__doc__ or "").partition("\n\n")[0]
        params = " ".join(map(_default, inspect.signature(network).parameters.values()))
        print_result(name)
        for text in (" ".join(about.split()), params):
            print_result(textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    "))


def _default(parameter: inspect.Parameter) -> str:
    """As --param takes it: "widths=[64,96]", or the name alone where it must be given."""
    value = parameter.default
    if value is parameter.empty:
        return parameter.name
    value = list(value) if isinstance(value, tuple) else value
    return f"{parameter.name}={value}".replace(" ", "")


def show_plan(request: Request) -> None:
    """Print the whole recipe, as TOML that `restore train` takes, and in comments what it would
    take.
    """
    from restore_cli.training.estimate import plan

    found = plan(request)
    for note in found.unreadable:
        print_note(f"left out: {note}")
    print_result(f"# parameters {found.parameters:,}")
    print_result(f"# one patch {found.flops / 1e9:.3g} GFLOP forward")
    print_result(f"# memory about {found.memory / 1e6:,.0f} MB")
    print_result(f"# images {found.images} to train on, {found.holdout} to score with")
    print_result(to_toml(request.recipe.to_plain()).rstrip())
