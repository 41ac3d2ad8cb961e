"""What a checkpoint without a header of ours is, by its bytes, or its tensors' names and shapes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore_cli.download import sha256_of
from restore_cli.errors import WeightsError
from restore_cli.levels import Choice, Range
from restore_cli.models.build import find_geometry
from restore_cli.models.catalog import Entry, downloads
from restore_cli.models.header import SPANDREL, Header

if TYPE_CHECKING:
    from torch import Tensor

    from restore_cli.network import Geometry, Restorer


def recognize(path: Path, state: Mapping[str, Tensor]) -> tuple[str, Header, Restorer | None]:
    """The name and header of a checkpoint without one, and its network if that is made already.

    It is the entry's of these bytes, or says by its keys and shapes what network it is, or has the
    layout of an entry, or is known to the optional package of others' networks.
    """
    from restore_cli import archs

    foreign = downloads()
    sha256 = sha256_of(path)
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
    hint = "Spandrel does not know them, either."
    try:
        if network := archs.build_by_spandrel(state):
            header = describe_network(f"{SPANDREL}{network.architecture}", {}, network.geometry)
            if network.task:
                header = replace(header, task=network.task, conditions=network.levels)
            return str(path), header, network
    except ImportError as error:
        hint = str(error)
    except WeightsError as error:
        raise WeightsError(f"{path} is refused. {error}") from error
    known = ", ".join(dict.fromkeys(like.arch.partition(":")[2] for like in layouts.values()))
    found = ", ".join(f"{key} {list(value.shape)}" for key, value in list(state.items())[:3])
    raise WeightsError(
        f"{path} has no header of ours, and its {len(state)} tensors, such as {found}, are of no"
        " known"
        f" network; known are {known}. {hint}"
    )


def describe_network(arch: str, params: Mapping[str, Any], geometry: Geometry) -> Header:
    """A header for a network of others; what it does that does not enlarge, only its user knows."""
    larger = geometry.scale > 1
    return Header(
        task="sr" if larger else "",
        arch=arch,
        params=params,
        channels=geometry.channels,
        conditions={"scale": geometry.scale} if larger else {},
    )
