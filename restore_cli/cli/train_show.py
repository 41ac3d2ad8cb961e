"""What `restore train` prints without training: recipes, networks, and the plan."""

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
    """Print the papers' recipes, one per line below the title of the paper."""
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
    """Print the networks, each with its description and parameters."""
    from restore_cli import archs

    for name, network in archs.known().items():
        about = inspect.cleandoc(network.__doc__ or "").partition("\n\n")[0]
        params = " ".join(map(_default, inspect.signature(network).parameters.values()))
        print_result(name)
        for text in (" ".join(about.split()), params):
            print_result(textwrap.fill(text, 100, initial_indent="    ", subsequent_indent="    "))


def _default(parameter: inspect.Parameter) -> str:
    """Format a parameter as --param takes it: "widths=[64,96]", or the name if it is required."""
    value = parameter.default
    if value is parameter.empty:
        return parameter.name
    value = list(value) if isinstance(value, tuple) else value
    return f"{parameter.name}={value}".replace(" ", "")


def show_plan(request: Request) -> None:
    """Print the complete recipe as TOML, with its cost in comments."""
    from restore_cli.training.estimate import plan

    found = plan(request)
    for note in found.unreadable:
        print_note(f"left out: {note}")
    print_result(f"# parameters {found.parameters:,}")
    print_result(f"# one patch {found.flops / 1e9:.3g} GFLOP forward")
    print_result(f"# memory about {found.memory / 1e6:,.0f} MB")
    print_result(f"# images {found.images} for training, {found.holdout} for validation")
    print_result(to_toml(request.recipe.to_plain()).rstrip())
