"""Published results of papers, shown next to measured results but never mixed with them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from restore_cli.degradations import find_degradation
from restore_cli.errors import RestoreError
from restore_cli.tables import fill_in, read_toml

_KINDS = ("psnr", "ssim")


@dataclass(frozen=True)
class PublishedResult:
    """The published result of one model on one set.

    Attributes:
        paper, where: the paper, and its table or section, which may quote an earlier paper.
        task: name of the task, "denoise".
        set: name of the set, as in sets.toml if it is listed there.
        level: the levels that the paper states, {"sigma": 25}.
        model: name of the model in the paper.
        psnr, ssim: in dB, and in [-1, 1]; None if not published.
        protocol: how it was measured.
        luma: whether it is measured on luma or gray instead of all channels.
    """

    paper: str
    where: str
    task: str
    set: str
    level: Mapping[str, Any]
    model: str
    psnr: float | None
    ssim: float | None
    protocol: str
    luma: bool


@dataclass(frozen=True)
class _Table:
    """A table of published.toml; each row has a set, its level, and the psnr and ssim per model."""

    paper: str
    where: str
    task: str
    protocol: str
    models: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]
    luma: bool = False


def published(task: str, set: str, level: Mapping[str, Any]) -> tuple[PublishedResult, ...]:
    """The results in published.toml for a task, a set and a level.

    Args:
        task: name of the task.
        set: name of the set, in upper or lower case.
        level: the levels of the degradation; a result matches if all levels that its paper states
            are equal, and all others are the usual ones of the degradation.

    Raises:
        RestoreError: the table is invalid.
    """
    return tuple(
        figure
        for figure in everything()
        if task == figure.task and set.lower() == figure.set and _matches(figure, level)
    )


def _matches(figure: PublishedResult, level: Mapping[str, Any]) -> bool:
    usual = {field.name: field.default for field in fields(find_degradation(figure.task))}
    others = level.keys() - figure.level.keys()
    return figure.level.items() <= level.items() and all(level[key] == usual[key] for key in others)


@cache
def everything() -> tuple[PublishedResult, ...]:
    """All results in published.toml; raises RestoreError as `read_figures`."""
    return read_figures(Path(__file__).with_name("published.toml"))


def read_figures(path: Path) -> tuple[PublishedResult, ...]:
    """Read a file of tables, strictly.

    Raises:
        RestoreError: a table is invalid; the message names the table and its key or row.
    """
    tables = read_toml(path, RestoreError)
    return tuple(
        figure
        for name, values in tables.items()
        for figure in _figures(name, fill_in(_Table, values, name, RestoreError))
    )


def _figures(name: str, table: _Table) -> Iterator[PublishedResult]:
    for row in table.rows:
        if not isinstance(row, Mapping) or not isinstance(row.get("set"), str):
            raise RestoreError(f"{name} contains a row without a set: {row}.")
        level = {key: value for key, value in row.items() if key not in ("set", *_KINDS)}
        columns = [_column(name, table, row, kind) for kind in _KINDS]
        if all(value is None for column in columns for value in column):
            raise RestoreError(f"{name} contains a row without psnr and ssim: {row}.")
        for model, psnr, ssim in zip(table.models, *columns, strict=True):
            if psnr is not None or ssim is not None:
                yield PublishedResult(
                    table.paper,
                    table.where,
                    table.task,
                    row["set"],
                    level,
                    model,
                    psnr,
                    ssim,
                    table.protocol,
                    table.luma,
                )


def _column(name: str, table: _Table, row: Mapping[str, Any], kind: str) -> list[float | None]:
    """One value per model; NaN becomes None."""
    values = row.get(kind, [math.nan] * len(table.models))
    if not isinstance(values, list) or len(values) != len(table.models):
        raise RestoreError(
            f"{name}: {kind} must be a list of {len(table.models)} numbers, one per model: {row}."
        )
    limit = 100 if kind == "psnr" else 1
    if not all(isinstance(value, float) and not abs(value) > limit for value in values):
        raise RestoreError(f"{name}: {kind} must be floats up to {limit}: {row}.")
    return [None if math.isnan(value) else value for value in values]
