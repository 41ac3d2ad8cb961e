"""The display of `restore train`: progress bar, log lines, and what happens on Ctrl-C."""

from __future__ import annotations

import shlex
from contextlib import suppress
from typing import TYPE_CHECKING

from restore_cli.cli.display import print_note, print_result
from restore_cli.cli.progress import show_progress
from restore_cli.cli.signals import Worker
from restore_cli.tasks import TASKS

if TYPE_CHECKING:
    from restore_cli.training.progress import Beat, Progress
    from restore_cli.training.request import Request


def run_training(request: Request) -> None:
    """Train, and print the path of the checkpoint.

    Raises:
        KeyboardInterrupt: the training was interrupted; its state is saved.
        RestoreError: as `training.loop.train`.
    """
    from restore_cli.training.loop import train

    recipe = request.recipe
    moment = None
    stopped = begun = False
    with show_progress("training") as bar, Worker() as worker:

        def show(beat: Beat) -> None:
            nonlocal begun
            if stopped:
                raise KeyboardInterrupt
            begun = True
            bar.update(beat.done, 1, describe_beat(beat, moment, recipe.objective))

        moments = train(request, show)
        try:
            for moment in worker.each(moments):
                for note in moment.notes:
                    print_note(note)
                if moment.scores or (moment.images_per_s and not bar.visible):
                    print_note(describe(moment, recipe.objective))
        except KeyboardInterrupt:
            stopped = True
            if begun:
                print_note("finishing this step to save the state; interrupt again to stop at once")
                with suppress(KeyboardInterrupt):  # from `show`, or from another signal
                    worker.wait()
                    moments.close()
            if request.state.exists():
                print_note(f"{request.state} is saved; use --resume to continue")
            raise
    if moment:  # of several processes only the first yields anything
        print_result(str(request.out))
        if recipe.task in TASKS:
            model = shlex.quote(str(request.out))
            scale = recipe.levels.get("scale", 2)
            more = f" --scale {scale}" if isinstance(scale, int) and scale != 2 else ""
            if recipe.task == "inpaint":
                found = "scratches" if recipe.levels.get("damage") == "scratches" else "text"
                more = f" --detect {found}" if recipe.levels.get("blind") else " --mask mask.png"
            print_note(f"use it with: restore {recipe.task} photo.jpg --model {model}{more}")


def describe(moment: Progress, objective: str = "objective") -> str:
    """Describe a moment of a training in one line.

    Returns:
        "step 200  l1 0.0213  66 patches/s  3 h left  sigma 25: 28.91 dB (input 20.17), best".
    """
    left = moment.seconds * (1 - moment.done) / max(moment.done, 1e-9)
    parts = [_pace(moment.step, moment, objective), f"{format_time(max(left, 0))} left"]
    if moment.scores:
        labels = [f"{words}: " if words else "" for words in moment.levels]
        scores = ", ".join(
            f"{label}{score:.2f} {moment.figure.unit} (input {before:.2f})"
            for label, score, before in zip(labels, moment.scores, moment.inputs, strict=True)
        )
        parts.append(f"{scores}{', best' if moment.saved else ''}")
    return "  ".join(parts)


def describe_beat(beat: Beat, moment: Progress | None, objective: str) -> str:
    """Describe a step for the progress bar, which shows the remaining time by itself.

    Args:
        moment: the last one, or None if there has been none.
    """
    if beat.image:
        return f"step {beat.step}  {beat.doing}"
    return _pace(beat.step, moment, objective)


def _pace(step: int, moment: Progress | None, objective: str) -> str:
    if not moment or not moment.images_per_s:
        return f"step {step}"
    return f"step {step}  {objective} {moment.objective:.5f}  {moment.images_per_s:.3g} patches/s"


def format_time(seconds: float) -> str:
    """Format a duration for people: "45 s", "12 min", "3 h 05 min"."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min"
