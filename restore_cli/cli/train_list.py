"""`restore train` with several models: runs a list, some at a time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from restore_cli.cli.display import print_note, print_result
from restore_cli.cli.train_progress import format_time
from restore_cli.cli.train_recipe import checkpoint_name
from restore_cli.errors import RestoreError, UsageError


def train_list(models: list[str], slots: int, options: Mapping[str, object]) -> None:
    """Train each model in its own process, `slots` at a time, and resume interrupted trainings.

    Raises:
        UsageError: there are no models, or two have the same name.
        RestoreError: some trainings failed; raised when all others are done.
    """
    from restore_cli.training.queue import run_queue

    names = list(map(checkpoint_name, models))
    if not names or len(set(names)) < len(names):
        raise UsageError("Cannot train a list: it needs models or recipes with different names.")
    shared = [
        arg
        for key, value in options.items()
        if value is not None
        for arg in (f"--{key}", str(value))
    ]
    commands = {
        name: ["train", model, *shared, "--resume", "--out", f"{name}.safetensors"]
        for name, model in zip(names, models, strict=True)
    }
    failed = []
    with closing(run_queue(commands, slots, Path("train.log"))) as events:
        for event in events:
            spent = f" after {format_time(event.seconds)}" if event.seconds else ""
            reason = ", an earlier list is still training it" if event.kind == "waiting" else ""
            print_note(f"{event.job}: {event.kind}{spent}{reason}")
            if event.kind == "finished":
                print_result(f"{event.job}.safetensors")
            elif event.kind == "failed":
                failed.append(event.job)
    if failed:
        raise RestoreError(
            f"Cannot train {', '.join(failed)}: {'it' if len(failed) == 1 else 'they'} failed. See"
            f" {' and '.join(f'{name}.log' for name in failed)}."
        )
