"""The networks, one file per paper; `build` makes one from an architecture and parameters."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from restore_cli.errors import WeightsError
from restore_cli.network import Restorer
from restore_cli.tables import brief

if TYPE_CHECKING:
    from restore_cli.archs.community import Community

# `arch` and `params` may come from an untrusted file. These bounds are far above those of any
# published restoration network: for each number and each list of `params`, and for the grid to
# which the engine pads an image.
LARGEST = 4096
LONGEST = 256
COARSEST = 256
INFERRED = (  # networks whose arguments follow from keys and shapes
    "rrdb:RRDBNet",
    "compact:Compact",
    "span:SPAN",
    "smfanet:SMFANet",
    "nafnet:NAFNet",
    "prenet:PReNet",
    "restormer:Restormer",
    "aodnet:AODNet",
)


@dataclass(frozen=True)
class Room:
    """The largest allowed size of a network.

    Attributes:
        tensors: number of parameter tensors, two for a convolution with a bias; the largest network
            of ours has 672.
        numbers: total number of parameters; 2**30 are 4 GiB in float32.
    """

    tensors: int = 10_000
    numbers: int = 2**30

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Self:
        """Allow a bit more than twice the size of a state dict.

        With this margin, loading can report tensors that are missing. A byte holds up to eight
        numbers (`BTNet.checkpoint_state`).
        """
        numbers = sum(
            value.numel() * (8 if value.dtype == torch.uint8 else 1) for value in state.values()
        )
        return cls(min(100 + 2 * len(state), cls.tensors), min(2**20 + 2 * numbers, cls.numbers))


ROOM = Room()


def build(arch: str, params: Mapping[str, Any], room: Room = ROOM) -> Restorer:
    """Build a network from its architecture and parameters.

    Args:
        arch: "file:Class" of this package, in any case.
        params: the arguments of the class.
        room: the largest allowed size, checked while the network is being built.

    Raises:
        WeightsError: the class is unknown or rejects these parameters, or the network is too large.
    """
    found = _find(arch)
    try:
        _check(params)
        with _bounded(room), warnings.catch_warnings():
            # Raised for a layer of width 0.
            warnings.filterwarnings("error", "Initializing zero-element tensors")
            known = inspect.signature(found).parameters
            if strange := [key for key in params if key not in known]:
                raise ValueError(
                    f"unknown parameter {', '.join(strange)}; expected {', '.join(known)}"
                )
            network = found(**params)
        if network.geometry.multiple > COARSEST:
            raise ValueError(
                f"its grid of {network.geometry.multiple} pixels is coarser than {COARSEST}"
            )
    except Exception as error:  # a constructor can fail in any way with strange parameters
        reason = " ".join(str(error).split()) or type(error).__name__
        raise WeightsError(
            f"Cannot build the network {arch} from {brief(repr(dict(params)))}: {brief(reason)}."
        ) from error
    return network


def known() -> dict[str, type[Restorer]]:
    """Return all networks by their `arch`, sorted, without former names.

    Networks of optional packages are not included, because they are not built from parameters.
    """
    modules = (
        importlib.import_module(f"{__name__}.{file.name}")
        for file in pkgutil.iter_modules(__path__)
    )
    found = {
        f"{module.__name__.rpartition('.')[2]}:{name}": member
        for module in modules
        for name, member in vars(module).items()
        if inspect.isclass(member) and issubclass(member, Restorer)
        if (member.__module__, member.__name__) == (module.__name__, name)
        if name not in ("Community", "Onnx")
    }
    return dict(sorted(found.items()))


def infer(state: Mapping[str, Tensor]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the architectures that a state dict could belong to, with their parameters."""
    for arch in INFERRED:
        with suppress(LookupError, ValueError):
            yield arch, _find(arch).infer(state)


def build_by_spandrel(state: Mapping[str, Tensor]) -> Community | None:
    """Build a network from a state dict with spandrel; returns None if spandrel cannot.

    Raises:
        ImportError, WeightsError: as `community.find`.
    """
    from restore_cli.archs import community

    with _bounded(Room.of(state)):
        return community.find(state)


def _find(arch: str) -> type[Restorer]:
    """Find the class of an architecture."""
    file, _, name = arch.partition(":")
    try:
        members = vars(importlib.import_module(f"{__name__}.{file}")).items()
        found = next(member for key, member in members if key.lower() == name.lower())
    except (ImportError, StopIteration, ValueError) as error:
        raise WeightsError(
            f"Unknown architecture {brief(repr(arch))}: expected FILE:CLASS such as 'unet:UNet'."
        ) from error
    if not (isinstance(found, type) and issubclass(found, Restorer) and found is not Restorer):
        raise WeightsError(f"{brief(arch)} is not a restoration network.")
    return found


def _check(params: Mapping[str, Any]) -> None:
    """Raise ValueError for values that could fill the memory before any layer exists."""
    for key, value in params.items():
        values = value if isinstance(value, (list, tuple)) else [value]
        if len(values) > LONGEST:
            raise ValueError(f"{brief(repr(key))} has {len(values)} entries, more than {LONGEST}")
        for one in values:
            if isinstance(one, (int, float)) and not -LARGEST <= one <= LARGEST:
                raise ValueError(f"{brief(repr(key))} is not within {LARGEST}")


@contextmanager
def _bounded(room: Room) -> Iterator[None]:
    """Raise ValueError as soon as the modules that this thread creates exceed the room."""
    thread, tensors, numbers = threading.get_ident(), 0, 0

    def count(_module: nn.Module, _name: str, parameter: Tensor) -> None:
        nonlocal tensors, numbers
        if threading.get_ident() == thread:
            tensors, numbers = tensors + 1, numbers + math.prod(parameter.shape)
            if tensors > room.tensors or numbers > room.numbers:
                raise ValueError(
                    f"it has more than {room.tensors:,} tensors or {room.numbers:,} numbers"
                )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()
