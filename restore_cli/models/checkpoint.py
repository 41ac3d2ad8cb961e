"""Checkpoints: networks that run, loaded from an entry of the catalog or from any file.

    name -> choose -> Entry -> ensure_local -> file -> load -> Checkpoint (a network that runs)
    path ------------------------------------------^

A checkpoint of ours is a safetensors file whose metadata hold a JSON `Header`, so that it needs
nothing else. Foreign checkpoints are read as tensors only, never as code, and recognized by the
keys and shapes of the catalog's downloadable entries.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from restore_cli.atomic import write_whole
from restore_cli.download import Progress
from restore_cli.errors import WeightsError
from restore_cli.levels import Levels
from restore_cli.models.build import check_network, check_spandrel, make_network
from restore_cli.models.catalog import Entry
from restore_cli.models.header import Header, parse_header, to_metadata
from restore_cli.models.read_file import read_file
from restore_cli.models.recognize import describe_network, recognize
from restore_cli.models.store import ensure_local
from restore_cli.tables import brief

if TYPE_CHECKING:  # torch takes a second to import, and `restore models list` needs none of it
    from restore_cli.network import Restorer

_ONNX = ".onnx"


@dataclass(frozen=True)
class Checkpoint:
    """A network in evaluation mode, and the header it came with; `name` is the entry's, or the
    path.
    """

    name: str
    network: Restorer
    header: Header

    @property
    def task(self) -> str:
        """The command it is for."""
        return self.header.task

    @property
    def channels(self) -> int:
        """Image channels, 1 or 3."""
        return self.header.channels

    @property
    def conditions(self) -> Levels:
        """The damage it was trained for."""
        return self.header.conditions


def load(
    model: Entry | Path, *, offline: bool = False, progress: Progress | None = None
) -> Checkpoint:
    """Make the network of an entry, or of any checkpoint file, and fill it; on the CPU, float32.

    A foreign file that is no entry's, byte for byte, gets the network that its keys and shapes
    tell, or that of the entry whose layout it has; a fixed level is not taken over, for no layout
    tells it.

    Raises:
        WeightsError: as `ensure_local`; or the file is no checkpoint, is damaged, holds code, or
            does not fit its network.
    """
    if not isinstance(model, Path):
        check_spandrel(model.name, model)  # before it is fetched
        state = read_file(ensure_local(model, offline=offline, progress=progress))[1]
        return Checkpoint(model.name, make_network(model.name, model, state), model)
    if model.suffix.lower() == _ONNX:
        return _load_onnx(model)
    header, state = read_file(model)
    if header is None:
        name, header, network = recognize(model, state)
        if network:
            check_network(network, header, model)
        return Checkpoint(name, network or make_network(name, header, state), header)

    import torch

    from restore_cli import archs

    with torch.device("meta"):  # no memory for what a stranger's header asks, before it fits
        archs.build(header.arch, header.params, archs.Room.of(state))
    network = make_network(str(model), header, state)
    check_network(network, header, model)
    return Checkpoint(str(model), network, header)


def _load_onnx(path: Path) -> Checkpoint:
    """The network of an ONNX file, and what the file says if `restore models export` wrote it."""
    from restore_cli.archs import onnx

    network = onnx.read(path)
    header = describe_network("onnx", {}, network.geometry)
    if network.stated:
        try:
            trained = json.loads(network.stated["trained"])
        except (ValueError, RecursionError) as error:
            raise WeightsError(f"The header of {path} is damaged.") from error
        values = {**header.to_plain(), "task": network.stated["task"], "conditions": trained}
        header = parse_header(values, f"The header of {path}")
    return Checkpoint(str(path), network, header)


def save(network: Restorer, path: Path, header: Header) -> None:
    """Write a checkpoint that `load` reads, in one step: the header, and the tensors that
    `checkpoint_state` gives.

    Raises:
        WeightsError: it cannot be written.
    """
    from safetensors.torch import save as serialize

    data = serialize(network.checkpoint_state(), to_metadata(header))
    try:
        write_whole(path, data)
    except OSError as error:
        raise WeightsError(f"The checkpoint {path} cannot be written: {error.strerror}.") from error


def traits(path: Path) -> dict[str, str]:
    """What a file says of itself beside its header: how numbers are stored, and under which
    license.

    Raises:
        WeightsError: as `load`.
    """
    from safetensors import safe_open

    from restore_cli.archs import onnx

    if path.suffix.lower() == _ONNX:
        return dict(onnx.read(path).traits)
    state = read_file(path)[1]
    kinds = sorted({str(value.dtype).removeprefix("torch.") for value in state.values()})
    found = {"stored as": ", ".join(kinds)}
    with suppress(Exception):  # a pickle, which has no place for it
        with safe_open(path, "pt") as file:
            own = file.metadata() or {}
        found["license"] = brief(own.get("license") or own.get("modelspec.license") or "")
    return found
