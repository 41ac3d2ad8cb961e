"""`restore config`: the defaults that hold, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping

from restore_cli.cli import PHOTO_COMMANDS
from restore_cli.cli.defaults import Default, find_defaults, find_project_file, user_file
from restore_cli.cli.display import print_note, print_result
from restore_cli.cli.examples import examples
from restore_cli.tables import read_value, to_toml
from restore_cli.tasks import TASKS

EPILOG = examples("config")


def config() -> None:
    """Show the defaults of options, and the file or variable that each comes from.

    Defaults are those of the commands that restore photos. An option on the command line overrides
    an environment variable (RESTORE_DEVICE, or RESTORE_SR_SCALE for one command), which overrides
    the project's restore.toml, which overrides the user's config.toml.

    The output is TOML, as in these files: options of all commands are at the top, and those of one
    command in a table such as \\[sr].
    """
    found = {command: find_defaults(command) for command in PHOTO_COMMANDS}
    first, *others = (found[task].items() for task in TASKS)
    shared = dict(item for item in first if all(item in other for other in others))
    _show(shared)
    for command, defaults in found.items():
        own = {key: one for key, one in defaults.items() if shared.get(key) != one}
        if own:
            print_result(f"[{command}]")
            _show(own)
    project = find_project_file()
    print_note(f"Project file: {project or 'none in this folder or above it'}")
    print_note(f"User file: {user_file()}{'' if user_file().exists() else ' (does not exist)'}")


def _show(defaults: Mapping[str, Default]) -> None:
    for option, default in defaults.items():
        value: object = default.value
        if isinstance(value, str):
            number = read_value(value)
            if isinstance(number, bool | int | float) and str(number).lower() == value:
                value = number
        line = to_toml({option: value})
        print_result(f"{line.rstrip()}  # {default.origin}")
