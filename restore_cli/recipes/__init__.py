"""The recipes of the papers: one for each row of their tables, and a variant of it for each
column.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from restore_cli.errors import RestoreError, UsageError
from restore_cli.tables import fill_in, read_toml

PAPERS = ("rednet", "xunit", "bt", "irae", "generative")
CPU = "cpu"  # the variant of every recipe that takes half an hour on one core

Keys = Mapping[str, Any]  # of a `training.recipe.Recipe`


@dataclass(frozen=True)
class Row:
    """A row of a paper's table.

    Attributes:
        name: what it is asked for by, "rednet/denoise-30".
        paper, about: whose it is, and what is trained for.
        keys: its recipe as the paper has it.
        variants: keys that take the place of the recipe's, by the name of the variant.
    """

    name: str
    paper: str
    about: str
    keys: Keys
    variants: Mapping[str, Keys]

    def vary(self, *names: str) -> dict[str, Any]:
        """The keys of a recipe with variants, of which "cpu" comes last.

        Raises:
            UsageError: there is no such variant.
        """
        for name in names:
            if name not in self.variants:
                raise UsageError(
                    f"Cannot vary {self.name} by {name!r}: its variants are"
                    f" {', '.join(self.variants)}."
                )
        return merge(self.keys, *(self.variants[name] for name in sorted(names, key=CPU.__eq__)))


@dataclass(frozen=True)
class _Table:
    """A table of a paper: what holds for all rows, and what each adds to it; `about` of a row is
    its own.
    """

    about: str
    rows: Mapping[str, Keys]
    recipe: Keys = field(default_factory=dict)
    variants: Mapping[str, Keys] = field(default_factory=dict)


@dataclass(frozen=True)
class _Paper:
    """A file: what holds for all tables, and the tables."""

    title: str
    tables: Mapping[str, Keys]
    recipe: Keys = field(default_factory=dict)
    variants: Mapping[str, Keys] = field(default_factory=dict)


@cache
def rows() -> Mapping[str, Row]:
    """All rows by name, in the order of the papers.

    Raises:
        RestoreError: a file has a mistake.
    """
    return {row.name: row for paper in PAPERS for row in _read(paper)}


def read_keys(full_name: str) -> dict[str, Any]:
    """The keys of a recipe by its name and variants, "rednet/denoise-30:red10:cpu".

    Raises:
        UsageError: there is no such row or variant.
    """
    name, *variants = full_name.split(":")
    if name not in rows():
        raise UsageError(f"There is no recipe {name!r}; `restore train --list` shows all.")
    return rows()[name].vary(*variants)


def merge(*parts: Keys) -> dict[str, Any]:
    """Keys, of which later ones take the place of earlier ones, but that parameters of one network
    add up.
    """
    merged: dict[str, Any] = {}
    for part in parts:
        adds = part.get("arch", merged.get("arch")) == merged.get("arch")
        params = (
            {**merged.get("params", {}), **part.get("params", {})}
            if adds
            else part.get("params", {})
        )
        merged |= {**part, **({"params": params} if params or "params" in merged else {})}
    return merged


def _read(paper: str) -> Iterator[Row]:
    folder = resources.files(__name__)
    found = fill_in(
        _Paper, read_toml(Path(str(folder / f"{paper}.toml")), RestoreError), paper, RestoreError
    )
    common = read_toml(Path(str(folder / f"{CPU}.toml")), RestoreError)
    for title, values in found.tables.items():
        table = fill_in(_Table, values, f"{paper}, {title}", RestoreError)
        names = dict.fromkeys([*found.variants, *table.variants, CPU])
        variants = {
            name: merge(
                common if name == CPU else {},
                found.variants.get(name, {}),
                table.variants.get(name, {}),
            )
            for name in sorted(names, key=CPU.__eq__)
        }
        for name, own in table.rows.items():
            keys = merge(found.recipe, table.recipe, _fixed(own))
            yield Row(
                f"{paper}/{title}-{name}", found.title, f"{table.about}: {name}", keys, variants
            )


def _fixed(keys: Keys) -> Keys:
    """The keys, validated at the levels that they are trained for unless they say at which."""
    return {"validation": [keys["levels"]], **keys} if "levels" in keys else keys
