"""Builds the network that a header describes and loads a checkpoint's tensors into it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restore_cli.errors import WeightsError
from restore_cli.models.eight_bits import unpack
from restore_cli.models.header import SPANDREL, Header

if TYPE_CHECKING:
    from torch import Tensor

    from restore_cli.network import Geometry, Restorer


def make_network(name: str, header: Header, state: Mapping[str, Tensor]) -> Restorer:
    """Build the network of a header and load its weights; returns it in evaluation mode."""
    from restore_cli import archs

    check_spandrel(name, header)
    if header.by_spandrel:
        return _make_by_spandrel(name, header, state)
    network = archs.build(header.arch, header.params)
    try:
        network.load_state_dict(_fit(network, state))
    except ValueError as error:
        raise WeightsError(f"{name} does not fit {header.arch}: {error}.") from error
    network.precisions = header.precisions
    return network.eval()


def check_spandrel(name: str, header: Header) -> None:
    """Raise WeightsError if the network needs spandrel and spandrel is not available."""
    if header.by_spandrel:
        from restore_cli.archs.community import load_spandrel

        try:
            load_spandrel()
        except ImportError as error:
            arch = header.arch.removeprefix(SPANDREL)
            raise WeightsError(
                f"Cannot run {name}: its network {arch} needs spandrel. {error}"
            ) from error


def _make_by_spandrel(name: str, header: Header, state: Mapping[str, Tensor]) -> Restorer:
    """Build the network with spandrel, and check that it is the one in the header."""
    from restore_cli import archs

    network = archs.build_by_spandrel(state)
    if not network:
        raise WeightsError(
            f"{name} does not fit {header.arch}: its tensors belong to an unknown network."
        )
    geometry = network.geometry
    found = f"{network.architecture} with {geometry.channels} channels and scale {geometry.scale}"
    scale = header.conditions.get("scale", 1)
    if (
        found
        != f"{header.arch.removeprefix(SPANDREL)} with {header.channels} channels and scale {scale}"
    ):
        raise WeightsError(f"{name} does not fit {header.arch}: its tensors belong to {found}.")
    return network


def check_network(network: Restorer, header: Header, path: Path) -> None:
    """Run the network on a small image; raises WeightsError if it contradicts its header."""
    import torch

    geometry = network.geometry
    planes = geometry.channels + geometry.conditions
    side = (
        -(-32 // geometry.multiple) * geometry.multiple
        if header.by_spandrel
        else max(2, geometry.multiple)
    )
    try:
        with torch.inference_mode():
            made = tuple(network(torch.zeros(1, planes, side, side)).shape)
    except Exception as error:  # parameters that fit the tensors can still contradict each other
        raise WeightsError(
            f"Cannot run the network of {path}: its parameters contradict each other. Use another"
            " file."
        ) from error
    expected = (1, header.channels, geometry.scale * side, geometry.scale * side)
    scales = geometry.scale in (1, header.conditions.get("scale", geometry.scale))
    if geometry.channels != header.channels or made != expected or not scales:
        raise WeightsError(
            f"Cannot run the network of {path}: it turns {[1, planes, side, side]} into"
            f" {list(made)}, which contradicts its header. Use another file."
        )


def find_geometry(
    arch: str, params: Mapping[str, Any], state: Mapping[str, Tensor]
) -> Geometry | None:
    """Return the network's geometry if it accepts this state dict, else None."""
    import torch

    from restore_cli import archs

    with suppress(ValueError, WeightsError):
        with torch.device("meta"):  # shapes only, no memory
            network = archs.build(arch, params, archs.Room.of(state))
        _fit(network, state)
        return network.geometry
    return None


def _fit(network: Restorer, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Convert a state dict to the network's own keys.

    Raises:
        ValueError: keys or shapes differ from the network's; the message says how.
    """
    wanted = network.state_dict()
    try:
        converted = network.convert_state(unpack(state))
    except (LookupError, ValueError, RuntimeError) as error:
        raise ValueError("some of its keys or shapes do not belong to that network") from error
    differences = {
        "missing": wanted.keys() - converted.keys(),
        "unexpected": converted.keys() - wanted.keys(),
        "with a different shape": {
            f"{key} {list(converted[key].shape)} for {list(wanted[key].shape)}"
            for key in wanted.keys() & converted.keys()
            if converted[key].shape != wanted[key].shape
        },
    }
    found = "; ".join(
        f"{len(keys)} {what}, such as {min(keys)}" for what, keys in differences.items() if keys
    )
    if found:
        raise ValueError(found)
    return converted
