"""What the help of a task says of its models: which to name where none is bundled."""

from __future__ import annotations

from restore_cli.models import catalogue as weights


def name_model(task: str) -> str | None:
    """The model that can be downloaded for a task; None where one is bundled, or none is known."""
    entries = [entry for entry in weights.entries().values() if entry.task == task]
    if not entries or _has_bundled(task):
        return None
    return entries[0].short or entries[0].name


def add_hint(summary: str, task: str) -> str:
    """A task's summary, which ends with where a model comes from if none is bundled."""
    if _has_bundled(task):
        return summary
    model = name_model(task)
    hint = f"--model {model} downloads one" if model else "train your own"
    return f"{summary.rstrip('.')} (no model is bundled; {hint})."


def example_options(task: str) -> str:
    """The options without which a task's example cannot run, each after a blank."""
    if _has_bundled(task):
        return _REQUIRED.get(task, "")
    return f"{_REQUIRED.get(task, '')} --model {name_model(task) or 'mine.safetensors'}"


_REQUIRED = {"inpaint": " --mask mask.png", "sr": " --scale 3"}


def _has_bundled(task: str) -> bool:
    return any(
        entry.task == task and isinstance(entry.source, weights.Bundled)
        for entry in weights.entries().values()
    )
