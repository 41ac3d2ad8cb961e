"""Presets: chains with a name, those of the package and the user's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from restore_cli.cli.chain import parse_chain
from restore_cli.cli.defaults import config_folder
from restore_cli.cli.values import suggest
from restore_cli.errors import UsageError
from restore_cli.pipeline.plan import Chain
from restore_cli.tables import fill_in, read_toml

_SHIPPED = Path(__file__).with_name("presets.toml")


@dataclass(frozen=True)
class Preset:
    """A chain with a name.

    Attributes:
        chain: the chain, as for `restore run`.
        description: what it is for, in a sentence.
    """

    chain: str
    description: str = ""


def own_presets() -> Path:
    """The file of the user's own presets."""
    return config_folder() / "presets.toml"


def read_presets() -> dict[str, Preset]:
    """All presets by name; one of the user replaces one of the package with the same name.

    Raises:
        UsageError: a file cannot be read, or has a table that is not a preset.
    """
    presets: dict[str, Preset] = {}
    for path in (_SHIPPED, own_presets()):
        if not path.exists():
            continue
        for name, table in read_toml(path, UsageError).items():
            where = f"The preset {name} of {path}"
            if not isinstance(table, dict):
                raise UsageError(f"{where} is not a table; expected [{name}] with a chain.")
            presets[name] = fill_in(Preset, table, where, UsageError)
    return presets


def find_preset(name: str) -> Chain:
    """The chain of a preset.

    Raises:
        UsageError: there is no such preset, or its chain is not valid.
    """
    presets = read_presets()
    if name not in presets:
        raise UsageError(f"Unknown preset {name!r}. {suggest(name, presets)}")
    try:
        return parse_chain(presets[name].chain)
    except UsageError as error:
        raise UsageError(f"Preset {name}: {error}") from error
