"""Formats models as text: a few lines for each, or all details of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from textwrap import shorten
from typing import Any

from rich.filesize import decimal

from restore_cli.levels import Choice, Range, describe_level
from restore_cli.models import store
from restore_cli.models.catalog import Bundled, Entry, in_order
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.models.header import Header

EXTRA = "restore-cli[community]"
_HASHED = {  # by `Entry.verified`
    "bytes": ", computed from the file",
    "pointer": ", from the Git LFS pointer",
    "catalog": ", from a third-party catalog",
}


def to_lines(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a table of models by task, with the scores below each model; items may span lines."""
    entries = in_order(entries)
    rows = [("model", "images", "size", "speed", "license", "where")]
    for entry in entries:
        size = decimal(entry.size) if entry.size else ""
        name = f"{entry.name} *" if entry.default else entry.name
        rows.append((name, color(entry), size, _speed(entry), entry.license, _where(entry)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    yield f"{head}\n    short names: good for\n    dataset, levels: PSNR in dB"
    for name, group in groupby(zip(entries, lines, strict=True), key=lambda pair: pair[0].task):
        yield f"{name}:"
        for entry, line in group:
            yield "\n    ".join([line, _purpose(entry), *map(str, entry.series())])


def to_record(model: Entry | Header) -> dict[str, Any]:
    """Return all details as JSON values."""
    plain = model.to_plain()
    if isinstance(model, Entry):
        plain |= {"where": _where(model), "path": str(store.path_of(model))}
    return plain


def to_facts(model: Entry | Header) -> dict[str, str | list[str]]:
    """Return all details as text; each item of a list is a line."""
    from restore_cli.degradations import DEGRADATIONS, MEASURES, find_degradation
    from restore_cli.report.figures import PSNR

    series = model.series()
    protocols = dict.fromkeys(one.protocol.text for one in series if not one.protocol.published)
    marks = {protocol: f" [{number}]" for number, protocol in enumerate(protocols, 1)}
    known = model.task in DEGRADATIONS | MEASURES
    metric = find_degradation(model.task).headline_metric if known else PSNR
    common: dict[str, str | list[str]] = {
        "task": model.task or "any that keeps the image size",
        "images": color(model),
        "trained for": trained_for(model),
        "architecture": f"{model.arch} {_pairs(model.params)}",
        **(_costs(model) if model.is_built else {}),
        "precisions": ", ".join(model.precisions),
        "recipe": _pairs(model.recipe),
        "data": model.data,
        "commit": model.commit,
        f"{metric.name} in {metric.unit}": [
            f"{one}{marks.get(one.protocol.text, '')}" for one in series
        ],
        "protocols": [f"{mark.lstrip()} {protocol}" for protocol, mark in marks.items()],
    }
    if not isinstance(model, Entry):
        return common
    return {
        "model": model.name,
        "short name": ", ".join(model.names[1:]),
        "good for": model.good,
        "speed": _speed(model),
        **common,
        "default for": model.task if model.default else "",
        "needs": EXTRA if model.by_spandrel else "",
        "paper": model.paper,
        "license": f"{model.license}, {model.terms}" if model.terms else model.license,
        "size": f"{model.size:,} bytes" if model.size else "",
        "sha256": f"{model.sha256}{_HASHED.get(model.verified, '')}",
        "source": str(model.source),
        "where": f"{_where(model)}, {store.path_of(model)}",
    }


def _costs(model: Header) -> dict[str, str]:
    """Return the size of its network and its computation per pixel."""
    from restore_cli import archs
    from restore_cli.bench.costs import measure_costs
    from restore_cli.report.figures import PARAMETERS, WORK

    found = measure_costs(archs.build(model.arch, model.params))
    work = f"{found[WORK]:,.0f} kFLOP per output pixel (a multiply-add counts as two)"
    return {"parameters": f"{found[PARAMETERS]:,.0f}", "work": work}


def describe_download(entry: Entry) -> str:
    """What is downloaded, from where and to where: a sentence for the first use of a model."""
    size = f"{decimal(entry.size)}, " if entry.size else ""
    return (
        f"Downloading {entry.name} ({size}license: {entry.license}) from {entry.source.site}. It is"
        f" kept in {store.cache_dir()}, so that this happens once."
    )


def _where(entry: Entry) -> str:
    if isinstance(entry.source, Bundled):
        return "bundled"
    return "cached" if store.path_of(entry).is_file() else "download"


def _speed(entry: Entry) -> str:
    """Return the speed that the table states, or else one guessed from the file size."""
    return entry.speed or ("slow" if (entry.size or 0) > 50e6 else "fast")


def to_traits(loaded: Checkpoint) -> dict[str, str]:
    """Return what follows from the network of a loaded file."""
    geometry = loaded.network.geometry
    count = sum(parameter.numel() for parameter in loaded.network.parameters())
    exact = f"exact, with a halo of {geometry.halo} pixels"
    return {
        "scale": str(geometry.scale),
        "parameters": f"{count:,}",
        "tiles": exact
        if geometry.local
        else "approximate, because the network looks at the entire photo",
    }


def _purpose(entry: Entry) -> str:
    """Return its short names, purpose, license terms and required extra in one short line."""
    names = ", ".join(entry.names[1:])
    words = f"{names}: " * bool(names) + (entry.good or trained_for(entry) or entry.task)
    limits = ", ".join(filter(None, [entry.terms, f"needs {EXTRA}" * entry.by_spandrel]))
    return shorten(words + f" ({limits})" * bool(limits), 76, placeholder=" ...")


def color(model: Header) -> str:
    """Return the kind of images that it restores, "gray" or "color"."""
    return "gray" if model.channels == 1 else "color"


def trained_for(model: Header) -> str:
    """Return the degradation levels: "quality 5 to 90, subsampling 4:4:4 or 4:2:0"."""
    recipe, levels = model.recipe, model.conditions
    if recipe.get("pairs") and not (recipe.get("folders") or recipe.get("halved")):
        fixed = {key: one for key, one in levels.items() if not isinstance(one, Range | Choice)}
        levels = {"real": "pairs", **fixed}
    return ", ".join(f"{key} {describe_level(level)}".rstrip() for key, level in levels.items())


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in values.items())
