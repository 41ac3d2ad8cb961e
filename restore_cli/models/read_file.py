"""Reads the files of checkpoints, foreign ones as tensors only, never as code."""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore_cli.errors import WeightsError
from restore_cli.models.header import Header, from_metadata
from restore_cli.tables import brief

if TYPE_CHECKING:
    from torch import Tensor

_WRAPPERS = ("params_ema", "params", "state_dict", "model", "net")  # keys that hold the tensors


def read_file(path: Path) -> tuple[Header | None, dict[str, Tensor]]:
    """A checkpoint's tensors, and its header if it is one of ours.

    Raises:
        WeightsError: the file is no checkpoint, is damaged, or holds code.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"The checkpoint {path} cannot be read: {error.strerror}.") from error
    if start[8:] == b"{":  # after the length of its JSON
        header, state = _read_safetensors(path)
    elif start.startswith((b"PK", b"\x80")):  # a zip archive, or a pickle of PyTorch before 1.6
        header, state = None, _read_pickle(path)
    else:
        raise WeightsError(f"{path} is no checkpoint, neither of safetensors nor of PyTorch.")
    named = isinstance(state, dict) and all(isinstance(key, str) for key in state)
    if not named or not all(map(_is_plain, state.values())):
        raise WeightsError(f"{path} holds no state dict, a mapping from names to tensors.")
    if header is None and all(key.startswith("module.") for key in state):  # of several GPUs
        state = {key.removeprefix("module."): value for key, value in state.items()}
    size = sum(value.nbytes for value in state.values())
    if size > 2 * path.stat().st_size:  # some may be there twice
        raise WeightsError(
            f"Cannot load {path}: its tensors have more numbers than the file holds. Get another"
            " file."
        )
    return header, state


def _read_safetensors(path: Path) -> tuple[Header | None, dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            header = from_metadata(path, file.metadata() or {})
            state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not iterable itself)
    except SafetensorError as error:
        raise WeightsError(f"The checkpoint {path} is damaged: {brief(str(error))}.") from error
    return header, state


def _read_pickle(path: Path) -> Any:
    """What is in it, which may be anything that is no code."""
    import torch

    try:
        _check_unpacked(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+) was not", str(error))
        raise WeightsError(
            f"Cannot load {path}: it holds more than tensors and was not opened, for"
            f" {brief(found[1]) if found else 'they'} could run code."
            " Get it as a safetensors file, or as a state dict."
        ) from error
    except WeightsError:
        raise
    except Exception as error:  # PyTorch's reader has no error of its own for damaged files
        raise WeightsError(f"The checkpoint {path} is damaged, or none of PyTorch's.") from error
    for _ in range(2):  # a training's state may keep the network's in it
        if isinstance(state, dict):
            state = next(
                (state[key] for key in _WRAPPERS if isinstance(state.get(key), dict)), state
            )
    return state


def _is_plain(value: object) -> bool:
    """Whether it is a tensor whose numbers are there, and real."""
    import torch

    if not isinstance(value, torch.Tensor):
        return False
    dense = value.layout == torch.strided and value.device.type == "cpu"
    return dense and not (value.is_quantized or value.is_complex())


def _check_unpacked(path: Path) -> None:
    """Raise WeightsError for an archive that unpacks to more than its size: PyTorch compresses
    nothing.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > path.stat().st_size:
            raise WeightsError(
                f"Cannot load {path}: it unpacks to {size:,} bytes, more than its own size, as no"
                " file that"
                " PyTorch wrote. Get another file."
            )
