"""Checkpoints: loads ready-to-run networks from a catalog entry or a file, and saves them.

    name -> choose -> Entry -> ensure_local -> file -> load -> Checkpoint (ready to run)
    path ------------------------------------------^

A checkpoint of ours is a self-contained safetensors file with a JSON `Header` in its metadata.
Foreign checkpoints are read as tensors only, never as code, and are recognized by their hash or by
the keys and shapes of their tensors.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from restore_cli.atomic import write_whole
from restore_cli.download import Progress
from restore_cli.errors import WeightsError
from restore_cli.levels import Levels
from restore_cli.models.build import check_network, check_spandrel, make_network
from restore_cli.models.catalog import Entry, choose
from restore_cli.models.eight_bits import pack
from restore_cli.models.header import Header, parse_header, to_metadata
from restore_cli.models.read_file import read_file
from restore_cli.models.recognize import describe_network, recognize
from restore_cli.models.store import ensure_local
from restore_cli.storage import sha256_of
from restore_cli.tables import brief

if TYPE_CHECKING:  # torch takes a second to import, and `restore models list` does not need it
    from restore_cli.network import Restorer

_ONNX = ".onnx"


@dataclass(frozen=True)
class Checkpoint:
    """A network in evaluation mode, and what is known about it.

    Attributes:
        name: the entry's name, or the path of the file.
        network: the network.
        header: the header.
        sha256: of the file; empty if it was not loaded from one.
    """

    name: str
    network: Restorer
    header: Header
    sha256: str = ""

    @property
    def task(self) -> str:
        """The task of the model; empty if it is not known."""
        return self.header.task

    @property
    def channels(self) -> int:
        """Image channels, 1 or 3."""
        return self.header.channels

    @property
    def conditions(self) -> Levels:
        """The degradation levels that it was trained for."""
        return self.header.conditions

    @property
    def has_one_view(self) -> bool:
        """Whether photos must not be flipped or rotated for it: its blur has a fixed angle."""
        return isinstance(self.conditions.get("angle"), (int, float))


def load(
    model: Entry | Path, *, offline: bool = False, progress: Progress | None = None
) -> Checkpoint:
    """Load the network of an entry or of any checkpoint file, on the CPU in float32.

    A foreign file is identified by its hash, or else by the keys and shapes of its tensors. In the
    latter case a fixed level of a catalog entry with the same layout is not adopted, because the
    layout does not determine it.

    Raises:
        WeightsError: as `ensure_local`; or the file is not a checkpoint, is damaged, contains code,
            or does not fit its network.
    """
    if not isinstance(model, Path):
        check_spandrel(model.name, model)  # before the download
        state = read_file(ensure_local(model, offline=offline, progress=progress))[1]
        return Checkpoint(model.name, make_network(model.name, model, state), model, model.sha256)
    if model.suffix.lower() == _ONNX:
        return _load_onnx(model)
    header, state = read_file(model)
    sha256 = sha256_of(model)
    if header is None:
        name, header, network = recognize(model, sha256, state)
        if network:
            check_network(network, header, model)
        return Checkpoint(name, network or make_network(name, header, state), header, sha256)

    import torch

    from restore_cli import archs

    with torch.device("meta"):  # no memory for an untrusted header before it fits
        archs.build(header.arch, header.params, archs.Room.of(state))
    network = make_network(str(model), header, state)
    check_network(network, header, model)
    return Checkpoint(str(model), network, header, sha256)


@cache
def load_default(task: str) -> Restorer:
    """Load the default network of a task for color, once; raises WeightsError as `load`."""
    return load(choose(None, task, 3)).network


def _load_onnx(path: Path) -> Checkpoint:
    """Load an ONNX file, and its header if `restore models export` wrote the file."""
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
    return Checkpoint(str(path), network, header, sha256_of(path))


def save(network: Restorer, path: Path, header: Header, *, in_8_bits: bool = False) -> None:
    """Write the header and the network's `checkpoint_state` to a file, atomically.

    In 8 bits, the kernels take half the space.

    Raises:
        WeightsError: the file cannot be written.
    """
    from safetensors.torch import save as serialize

    state = network.checkpoint_state()
    data = serialize(pack(state) if in_8_bits else state, to_metadata(header))
    try:
        write_whole(path, data)
    except OSError as error:
        raise WeightsError(f"Cannot write the checkpoint {path}: {error.strerror}.") from error


def traits(path: Path) -> dict[str, str]:
    """Return facts about a file that its header lacks: data types and license.

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
    with suppress(Exception):  # a pickle, which has no metadata
        with safe_open(path, "pt") as file:
            own = file.metadata() or {}
        found["license"] = brief(own.get("license") or own.get("modelspec.license") or "")
    return found
