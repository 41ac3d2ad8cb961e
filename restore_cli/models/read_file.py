"""Reads checkpoint files: tensors and headers only, never code."""

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

_WRAPPERS = ("params_ema", "params", "state_dict", "model", "net")  # keys of nested state dicts


def read_file(path: Path) -> tuple[Header | None, dict[str, Tensor]]:
    """Read a checkpoint's tensors, and its header if it is one of ours.

    Raises:
        WeightsError: the file is not a checkpoint, is damaged, or contains code.
    """
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise WeightsError(f"Cannot read the checkpoint {path}: {error.strerror}.") from error
    if start[8:] == b"{":  # after the length of its JSON
        header, state = _read_safetensors(path)
    elif start.startswith((b"PK", b"\x80")):  # a zip archive, or a pickle of PyTorch before 1.6
        header, state = None, _read_pickle(path)
    else:
        raise WeightsError(f"{path} is not a safetensors or PyTorch checkpoint.")
    named = isinstance(state, dict) and all(isinstance(key, str) for key in state)
    if not named or not all(map(_is_plain, state.values())):
        raise WeightsError(f"{path} does not contain a state dict, which maps names to tensors.")
    # PyTorch adds this prefix in training on several GPUs.
    if header is None and all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    size = sum(value.nbytes for value in state.values())
    if size > 2 * path.stat().st_size:  # tensors may share memory
        raise WeightsError(
            f"Cannot load {path}: its tensors have more numbers than the file holds. Use another"
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
    """Read a pickle, which may contain any value except code."""
    import torch

    try:
        _check_unpacked(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+) was not", str(error))
        raise WeightsError(
            f"Cannot load {path}: it contains"
            f" {brief(found[1]) if found else 'objects other than tensors'}, which could run code."
            " Use a safetensors file or a plain state dict."
        ) from error
    except WeightsError:
        raise
    except Exception as error:  # PyTorch raises all kinds of errors for damaged files
        raise WeightsError(f"{path} is damaged, or not a PyTorch checkpoint.") from error
    for _ in range(2):  # the state of a training may contain that of the network
        if isinstance(state, dict):
            state = next(
                (state[key] for key in _WRAPPERS if isinstance(state.get(key), dict)), state
            )
    return state


def _is_plain(value: object) -> bool:
    """Whether a value is a dense tensor of real numbers."""
    import torch

    if not isinstance(value, torch.Tensor):
        return False
    dense = value.layout == torch.strided and value.device.type == "cpu"
    return dense and not (value.is_quantized or value.is_complex())


def _check_unpacked(path: Path) -> None:
    """Raise WeightsError for a compressed archive, because PyTorch never compresses."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > path.stat().st_size:
            raise WeightsError(
                f"Cannot load {path}: it unpacks to {size:,} bytes, more than its own size. Use a"
                " file that PyTorch wrote."
            )
