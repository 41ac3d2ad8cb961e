"""The networks, one file per paper; `build` makes one from its entry in weights.toml."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from restore_cli.engine import Restorer
from restore_cli.errors import WeightsError


def build(arch: str, params: Mapping[str, Any]) -> Restorer:
    """Make the network that `arch` ("file:Class" of this package, in any case) and its parameters describe.

    Raises:
        WeightsError: there is no such class, or it does not take these parameters.
    """
    file, _, name = arch.partition(":")
    try:
        members = vars(importlib.import_module(f"{__name__}.{file}")).items()
        found = next(member for key, member in members if key.lower() == name.lower())
    except (ImportError, StopIteration, ValueError) as error:
        raise WeightsError(
            f"Unknown architecture {arch!r}: expected FILE:CLASS such as 'unet:UNet'."
        ) from error
    if not (
        isinstance(found, type) and issubclass(found, Restorer)
    ):  # `arch` may come from a stranger's file
        raise WeightsError(f"{arch} is no restoration network.")
    try:
        return found(**params)
    except (TypeError, ValueError, LookupError, ArithmeticError, RuntimeError) as error:
        raise WeightsError(f"Architecture {arch} cannot be built from {dict(params)}: {error}.") from error
