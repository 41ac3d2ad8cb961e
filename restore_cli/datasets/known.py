"""The known sets, listed in sets.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from restore_cli.download import Hub, Url
from restore_cli.errors import RestoreError
from restore_cli.tables import fill_in, read_toml


@dataclass(frozen=True, kw_only=True)
class SetEntry:
    """A set of sets.toml.

    Attributes:
        name: the name on the command line, "set5".
        title: the name in papers, "Set5".
        paper: where the set comes from.
        tasks: names of the tasks that are benchmarked on it.
        images: number of images; a pair counts once.
        channels: 1 for gray, 3 for color.
        layout: "plain", or "pairs" of clean and degraded images.
        clean: False for photos with real damage, without ground truth.
        damage: how the degraded images of pairs were made.
        license: terms of its authors, or "not stated".
        note: where to get it if it cannot be downloaded, and other remarks.
        source: the zip or tar archive, or None.
        sha256: checksum of the archive, or "" if none was published.
        members: the folder in the archive that contains the images, or "" for all of it.
    """

    name: str
    title: str
    paper: str
    images: int
    channels: int
    tasks: tuple[str, ...] = ()
    layout: str = "plain"
    clean: bool = True
    damage: str = ""
    license: str = "not stated"
    note: str = ""
    source: Hub | Url | None = None
    sha256: str = ""
    members: str = ""

    def __post_init__(self) -> None:
        fault = self.source.problem() if self.source else ""
        if self.layout not in ("plain", "pairs"):
            fault = f"layout must be plain or pairs, not {self.layout!r}"
        if self.sha256 and not re.fullmatch("[0-9a-f]{64}", self.sha256):
            fault = "sha256 must be 64 hexadecimal digits"
        if not self.source and not self.note:
            fault = "without a download, note must say where to get the set"
        if fault:
            raise RestoreError(f"{self.name}: {fault}.")


@cache
def known_sets() -> Mapping[str, SetEntry]:
    """The sets of sets.toml by name.

    Raises:
        RestoreError: sets.toml is invalid.
    """
    return read_table(Path(__file__).with_name("sets.toml"))


def read_table(path: Path) -> Mapping[str, SetEntry]:
    """Read a table of sets, strictly.

    Raises:
        RestoreError: the table is invalid; the message names the set and the key.
    """
    return {
        name: _read_entry(name, values) for name, values in read_toml(path, RestoreError).items()
    }


def _read_entry(name: str, values: Mapping[str, Any]) -> SetEntry:
    others = dict(values)
    if "hub" in others:
        others["source"] = fill_in(Hub, others.pop("hub"), name, RestoreError)
    elif "url" in others:
        others["source"] = fill_in(Url, {"url": others.pop("url")}, name, RestoreError)
    return fill_in(SetEntry, {**others, "name": name}, name, RestoreError)
