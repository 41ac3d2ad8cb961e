"""The networks, one file per paper; `build` makes one from its entry in weights.toml."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from restore_cli.engine import Restorer
from restore_cli.errors import WeightsError


def build(arch: str, params: Mapping[str, Any]) -> Restorer:
    """Make the network that `arch` ("file:Class", a class of this package) and its parameters describe.

    Raises:
        WeightsError: there is no such class, or it does not take these parameters.
    """
    file, _, name = arch.partition(":")
    try:
        network = getattr(importlib.import_module(f"{__name__}.{file}"), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise WeightsError(
            f"Unknown architecture {arch!r}: expected FILE:CLASS such as 'unet:UNet'."
        ) from error
    if not (
        isinstance(network, type) and issubclass(network, Restorer)
    ):  # `arch` may come from a stranger's file
        raise WeightsError(f"{arch} is no restoration network.")
    try:
        return network(**params)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"Architecture {arch} cannot be built from {dict(params)}: {error}.") from error
