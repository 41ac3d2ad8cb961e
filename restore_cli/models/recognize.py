"""Recognizes a checkpoint without a header by its hash or by its tensors' keys and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore_cli.errors import WeightsError
from restore_cli.levels import Choice, Range
from restore_cli.models.build import find_geometry
from restore_cli.models.catalog import Entry, downloads
from restore_cli.models.header import SPANDREL, Header

if TYPE_CHECKING:
    from torch import Tensor

    from restore_cli.network import Geometry, Restorer


def recognize(
    path: Path, sha256: str, state: Mapping[str, Tensor]
) -> tuple[str, Header, Restorer | None]:
    """Find the name and header of a checkpoint without one, and its network if already built.

    The checkpoint is recognized, in this order, by the sha256 of a catalog entry, by keys and
    shapes that determine a network's arguments, by the layout of a catalog entry, or by the
    optional package spandrel.

    Raises:
        WeightsError: the checkpoint is not recognized or not supported.
    """
    from restore_cli import archs

    foreign = downloads()
    for entry in foreign:
        if entry.sha256 == sha256:
            return entry.name, entry, None
    for arch, params in archs.infer(state):
        if geometry := find_geometry(arch, params, state):
            return str(path), describe_network(arch, params, geometry), None
    layouts: dict[tuple[str, str], Entry] = {}
    for entry in foreign:
        if not entry.by_spandrel:
            layouts.setdefault((entry.arch, repr(entry.params)), entry)
    for like in layouts.values():
        if find_geometry(like.arch, like.params, state):
            ranges = {
                key: level
                for key, level in like.conditions.items()
                if isinstance(level, (Range, Choice))
            }
            header = Header(
                task=like.task,
                arch=like.arch,
                params=like.params,
                channels=like.channels,
                conditions=ranges,
            )
            return str(path), header, None
    hint = "Spandrel does not recognize it, either."
    try:
        if network := archs.build_by_spandrel(state):
            header = describe_network(f"{SPANDREL}{network.architecture}", {}, network.geometry)
            if network.task:
                header = replace(header, task=network.task, conditions=network.levels)
            return str(path), header, network
    except ImportError as error:
        hint = str(error)
    except WeightsError as error:
        raise WeightsError(f"Cannot load {path}: {error}. Use another model.") from error
    if any(key.startswith("average.") for key in state):
        raise WeightsError(
            f"Cannot load {path}: it is the state of a training. Use its checkpoint, without .state"
            " in the name."
        )
    known = ", ".join(dict.fromkeys(like.arch.partition(":")[2] for like in layouts.values()))
    found = ", ".join(f"{key} {list(value.shape)}" for key, value in list(state.items())[:3])
    raise WeightsError(
        f"{path} was not written by restore, and its {len(state)} tensors, such as {found}, match"
        f" no supported architecture ({known}). {hint}"
    )


def describe_network(arch: str, params: Mapping[str, Any], geometry: Geometry) -> Header:
    """Return a header for a foreign network; unless it enlarges, its task is not known."""
    larger = geometry.scale > 1
    return Header(
        task="sr" if larger else "",
        arch=arch,
        params=params,
        channels=geometry.channels,
        conditions={"scale": geometry.scale} if larger else {},
    )
