"""The papers' recipes: one for each row of their tables, with a variant for each column."""

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
CPU = "cpu"  # variant of every recipe that takes half an hour on one core

Keys = Mapping[str, Any]  # keys of a `training.recipe.Recipe`


@dataclass(frozen=True)
class Row:
    """A row of a paper's table.

    Attributes:
        name: full name, such as "rednet/denoise-30".
        paper: title of the paper.
        about: description of the row.
        keys: the paper's recipe.
        variants: keys that override the recipe, by the name of the variant.
    """

    name: str
    paper: str
    about: str
    keys: Keys
    variants: Mapping[str, Keys]

    def vary(self, *names: str) -> dict[str, Any]:
        """Return the keys of the recipe with variants; "cpu" is applied last.

        Raises:
            UsageError: there is no such variant.
        """
        for name in names:
            if name not in self.variants:
                raise UsageError(
                    f"Unknown variant {name!r} of {self.name}; choose {', '.join(self.variants)}."
                )
        return merge(self.keys, *(self.variants[name] for name in sorted(names, key=CPU.__eq__)))


@dataclass(frozen=True)
class _Table:
    """A table of a paper: the keys that all rows share, and the keys of each row."""

    about: str
    rows: Mapping[str, Keys]
    recipe: Keys = field(default_factory=dict)
    variants: Mapping[str, Keys] = field(default_factory=dict)


@dataclass(frozen=True)
class _Paper:
    """A paper's file: the keys that all tables share, and the tables."""

    title: str
    tables: Mapping[str, Keys]
    recipe: Keys = field(default_factory=dict)
    variants: Mapping[str, Keys] = field(default_factory=dict)


@cache
def rows() -> Mapping[str, Row]:
    """Return all rows by name, paper by paper.

    Raises:
        RestoreError: a file is invalid.
    """
    return {row.name: row for paper in PAPERS for row in _read(paper)}


def read_keys(full_name: str) -> dict[str, Any]:
    """Return the keys of a recipe by its name with variants, "rednet/denoise-30:red10:cpu".

    Raises:
        UsageError: there is no such row or variant.
    """
    name, *variants = full_name.split(":")
    if name not in rows():
        raise UsageError(f"Unknown recipe {name!r}; `restore train --list` shows all.")
    return rows()[name].vary(*variants)


def merge(*parts: Keys) -> dict[str, Any]:
    """Merge keys; later ones override earlier ones, and `params` of the same network are merged."""
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
    """Add the training levels as validation levels, unless the keys have their own."""
    return {"validation": [keys["levels"]], **keys} if "levels" in keys else keys
