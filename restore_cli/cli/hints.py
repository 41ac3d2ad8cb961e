"""Hints in the help of a task: which model to use if none is bundled."""

from __future__ import annotations

from restore_cli.models import catalog

# Options that the examples of a task need.
_REQUIRED = {"inpaint": " --mask mask.png", "sr": " --scale 3"}


def add_hint(summary: str, task: str) -> str:
    """Extend a task's summary by where a model comes from, if none is bundled."""
    if _has_bundled(task):
        return summary
    model = _find_model(task)
    hint = f"--model {model} downloads one" if model else "train your own"
    return f"{summary.rstrip('.')} (no model is bundled; {hint})."


def example_options(task: str) -> str:
    """The options that a task's example needs to run, each after a space."""
    required = _REQUIRED.get(task, "")
    if _has_bundled(task):
        return required
    return f"{required} --model {_find_model(task) or 'mine.safetensors'}"


def _has_bundled(task: str) -> bool:
    return any(isinstance(entry.source, catalog.Bundled) for entry in _entries(task))


def _find_model(task: str) -> str | None:
    """The first model of a task without a bundled one, or None."""
    return next((entry.short or entry.name for entry in _entries(task)), None)


def _entries(task: str) -> list[catalog.Entry]:
    return [entry for entry in catalog.entries().values() if entry.task == task]
