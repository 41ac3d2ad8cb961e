"""Writes the tables of models into README.md, models.md and public-models.md.

They follow from weights.toml and the networks themselves.

    python scripts/models_table.py

A test fails when a page is stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import torch
from rich.filesize import decimal

from restore_cli.archs import build
from restore_cli.cli.model_facts import color, trained_for
from restore_cli.datasets.known import known_sets
from restore_cli.degradations import find_degradation
from restore_cli.levels import describe
from restore_cli.models import catalog
from restore_cli.models.catalog import Bundled, Entry, in_order
from restore_cli.models.scores import Score
from restore_cli.tasks import TASKS

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
START, END = (
    "<!-- scripts/models_table.py writes what stands here -->\n",
    "<!-- and no further -->\n",
)


def write() -> dict[Path, str]:
    """The pages, by their paths.

    Raises:
        ValueError: a page does not have each of the two marks once.
    """
    entries = [
        replace(entry, scores=tuple(map(_titled, entry.scores)))
        for entry in in_order(catalog.entries().values())
    ]
    models = [entry for entry in entries if not _is_public(entry)]
    parts = {
        PAGE.parents[1] / "README.md": _overview(models),
        PAGE: "\n".join(_tables(models)),
        PAGE.with_name("public-models.md"): "\n".join(_public(filter(_is_public, entries))),
    }
    pages = {}
    for path, part in parts.items():
        head, rest = path.read_text(encoding="utf-8").split(START)
        _, tail = rest.split(END)
        pages[path] = f"{head}{START}\n{part}\n{END}{tail}"
    return pages


def _titled(score: Score) -> Score:
    """The score, its set called as papers do: "LIVE1"."""
    source = known_sets().get(score.set.lower())
    return replace(score, set=source.title) if source else score


def _overview(models: Sequence[Entry]) -> str:
    """A line for each default of a command: what it is for, and its first score, at the middle
    level.
    """
    rows = []
    for model in models:
        if not model.default or model.task not in TASKS:
            continue
        damage = trained_for(model).partition(",")[0]
        score = ", ".join(str(series.middle) for series in model.series()[:1])
        rows.append(
            [f"`{model.name}`", model.task, f"{color(model)}, {damage}", _size(model), score]
        )
    return _table(["model", "task", "for", "size", "PSNR in dB"], rows)


def _is_public(entry: Entry) -> bool:
    return bool(entry.good) and not isinstance(entry.source, Bundled)


def _public(models: Iterable[Entry]) -> Iterator[str]:
    """For each task its public models, by what they are good for."""
    for task, group in groupby(models, key=lambda model: model.task):
        yield f"### {task}\n"
        rows = [
            [
                f"`{model.name}`",
                ", ".join(f"`{name}`" for name in model.names[1:]),
                f"{model.good}, {color(model)}",
                model.speed,
                _size(model),
                f"{model.license}, {model.terms}" if model.terms else model.license,
                ", ".join(map(str, model.series())),
                model.paper,
            ]
            for model in group
        ]
        head = [
            "model",
            "short names",
            "good for",
            "speed",
            "size",
            "license",
            "PSNR in dB",
            "paper",
        ]
        yield _table(head, rows)


def _tables(models: Sequence[Entry]) -> Iterator[str]:
    """For each task its models and their scores, and at the end the protocols."""
    notes: dict[str, str] = {}
    for task, group in groupby(models, key=lambda model: model.task):
        found = list(group)
        yield f"### {task}\n"
        yield _table(
            ["model", "network", "parameters", "for", "size", "license"],
            [
                [
                    _name(model),
                    f"`{model.arch}`",
                    _count(model),
                    f"{color(model)}, {trained_for(model)}",
                    _size(model),
                    model.license,
                ]
                for model in found
            ],
        )
        if any(model.scores for model in found):
            yield _scores(found, find_degradation(task).headline_metric.name, notes)
    yield "".join(f"{note}: {protocol}\n" for protocol, note in notes.items())


def _scores(models: Sequence[Entry], scored: str, notes: dict[str, str]) -> str:
    """All scores of a task's models: by set, a column for each level; what is new to `notes` is
    added.
    """
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for model in models:
        for score in model.scores:
            note = (
                "the authors'"
                if score.protocol.published
                else notes.setdefault(score.protocol.text, f"[^{len(notes) + 1}]")
            )
            figures = f"{score.psnr:.2f}" + ("" if score.ssim is None else f" / {score.ssim:.4f}")
            levels = describe(score.levels)
            cells.setdefault((score.title, f"`{model.name}`", note), {})[levels] = figures
    columns = list(dict.fromkeys(level for row in cells.values() for level in row))
    sets = list(dict.fromkeys(name for name, _, _ in cells))
    rows = [
        [name, model, *(row.get(level, "") for level in columns), note]
        for (name, model, note), row in sorted(
            cells.items(), key=lambda item: sets.index(item[0][0])
        )
    ]
    return _table(
        [f"{scored} / SSIM", "model", *(level or "as given" for level in columns), "protocol"], rows
    )


def _name(model: Entry) -> str:
    return f"`{model.name}`" + (", default" if model.default else "")


def _size(model: Entry) -> str:
    where = "" if isinstance(model.source, Bundled) else "downloaded"
    return ", ".join(filter(None, (decimal(model.size) if model.size else "", where)))


def _count(model: Entry) -> str:
    with torch.device("meta"):  # shapes without memory
        network = build(model.arch, model.params)
    return f"{sum(parameter.numel() for parameter in network.parameters()):,}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (f"| {' | '.join(cells)} |\n" for cells in (head, *rows))
    return f"{next(lines)}|{'---|' * len(head)}\n{''.join(lines)}"


if __name__ == "__main__":
    for path, text in write().items():
        path.write_text(text, encoding="utf-8")
