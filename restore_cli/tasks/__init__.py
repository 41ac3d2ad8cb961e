"""What a user can ask for. A task says its options, how a network is fed and a photo restored."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from restore_cli.errors import UsageError
from restore_cli.tasks.restoration import (
    Finding,
    NetworkInput,
    NetworkRun,
    Restoration,
    Trained,
)

if TYPE_CHECKING:  # the command line reads the tasks for its help, and must not wait for torch
    from restore_cli.image import Picture, Pixels
    from restore_cli.models.checkpoint import Checkpoint

TASKS = {  # command -> file:class of this package
    "denoise": "denoise:Denoise",
    "deblock": "deblock:Deblock",
    "derain": "derain:Derain",
    "inpaint": "inpaint:Inpaint",
    "sr": "sr:Sr",
    "dehaze": "dehaze:Dehaze",
    "deblur": "deblur:Deblur",
}
APPROXIMATE = (
    "looks at the whole photo, so its tiles are approximate; --tile 0 avoids that, with more"
    " memory."
)
FIXED = (
    "takes {0} x {0} pixels at once, so it runs in tiles that are blended, which is approximate."
)


def option(default: Any, help: str, metavar: str, parse: Callable[[str], Any]) -> Any:
    """A task's field, as the command line offers it.

    Args:
        default: None where nothing is given, or where the task finds out by itself, which the
            command line calls "auto"; () for an option that may be repeated.
        help: one sentence.
        metavar: what a value looks like, "FLOAT|auto"; words in lower case are values.
        parse: makes the value of a word; raises UsageError for nonsense.
    """
    return field(default=default, metadata={"help": help, "metavar": metavar, "parse": parse})


class Networks(Protocol):
    """What runs networks over a picture for a task."""

    @property
    def chosen(self) -> Checkpoint:
        """The model that the user chose, or the task's default."""

    def find(self, name: str | None, task: str) -> Checkpoint:
        """A model for this picture by its name; None is the task's default."""

    def run(self, task: Task, model: Checkpoint, fed: NetworkInput, progress: float) -> NetworkRun:
        """Run a model's network, in tiles, on a picture of any channels.

        Args:
            progress: share of all the work that this is.
        """


@dataclass(frozen=True)
class Task:
    """What a user can ask for. Subclasses are frozen dataclasses: docstring is the help, fields are
    the options.

    A field made by `option` is offered on the command line.

    Attributes:
        name: the command.
        suffix: of output files: photo.SUFFIX.jpg.
        gray_via_luma: whether a gray network restores a color picture's luma and leaves its chroma,
            rather than each channel by itself.
        preserves_mean: whether the damage leaves a photo's mean color alone, so that restoring must
            not change it.
        noisy: whether noise is the damage, so that what is left of it is shown.
        enlarges: whether a result may be larger than the photo, so that a network may be that
            enlarges.
        keeps_most_pixels: whether most of a photo stays as it is, so that no lossy format is chosen
            for the result.
        has_blocking: whether blocking is a part of the damage, so that PSNR-B tells more.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    gray_via_luma: ClassVar[bool] = False
    preserves_mean: ClassVar[bool] = True
    noisy: ClassVar[bool] = False
    enlarges: ClassVar[bool] = False
    keeps_most_pixels: ClassVar[bool] = False
    has_blocking: ClassVar[bool] = False

    def look(self, picture: Picture) -> Self | None:
        """This task, with what it has to know of a photo before a model is chosen; None where that
        is nothing.
        """

    @property
    def model(self) -> str | None:
        """Name of the model that suits these options and the photo, if it is not the task's
        default.
        """
        return None

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput | None:
        """What a network is given of a picture; None is its pixels as they are.

        Args:
            picture: its pixels are H x W x C in [0, 1], NaN where they are missing.
            trained: what the network was trained for.
        """

    def advise(self, found: Finding) -> str | None:
        """A sentence on what would suit a photo better, or none."""

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result of a picture of so many pixels."""
        return height, width

    def enlargement(self, height: int, width: int) -> float:
        """How many times wider or higher the result is than a picture of so many pixels."""
        tall, wide = self.target_size(height, width)
        return max(tall / height, wide / width)

    def unrestored(self, observed: Pixels) -> Pixels:
        """What is observed, at the result's size: what a result must be better than."""
        return observed

    def finish(self, output: Pixels, observed: Pixels) -> Pixels:
        """Turn a network's output, which may be changed, into pixels in [0, 1] of the result's
        size.
        """
        from restore_cli.image import is_gray, to_gray

        if output.shape[2] == 3 and is_gray(observed):
            output[:] = to_gray(output)
        if self.preserves_mean:
            _keep_mean(output, observed)
        return output.clip(0, 1, out=output)

    def restore(
        self, picture: Picture, mask: Pixels | None, networks: Networks, strength: float = 1.0
    ) -> Restoration:
        """Restore a picture: feed the network, run it, finish what it gives.

        Args:
            picture: H x W x C in [0, 1].
            mask: H x W in [0, 1] at the result's size, where the change is made; None is
                everywhere.
            networks: what runs networks; `networks.chosen` is to restore the picture.
            strength: 0 to 1, how much of the change is made; at 0 no network is run.

        Raises:
            UsageError, RestoreError: the picture, the mask or the network is not for this task.
        """
        unrestored = self.unrestored(picture.pixels)
        return self.run(picture, unrestored, mask, networks, networks.chosen, strength)

    def run(
        self,
        picture: Picture,
        unrestored: Pixels,
        mask: Pixels | None,
        networks: Networks,
        model: Checkpoint,
        strength: float = 1.0,
        progress: float = 1.0,
    ) -> Restoration:
        """Restore a picture by one model, or by the task's default where its result is no picture.

        Args:
            unrestored: what it is made of where nothing is changed, at the result's size.
            progress: share of all the work that this is.
        """
        fed = self.feed(picture, model)
        if not strength * fed.report.strength or (mask is not None and not mask.any()):
            return Restoration(
                unrestored, unrestored, picture.pixels, mask, fed.report, changed=False
            )
        run = replace(self.run_network(fed, networks, model, progress), input=fed)
        warnings = fed.report.warnings
        if fault := run.find_fault():
            model = networks.find(None, self.name)
            fed = self.feed(picture, model)
            run = replace(self.run_network(fed, networks, model, 0), input=fed)
            warnings = (*fed.report.warnings, f"{fault}; it was restored by {model.name}.")
        geometry = model.network.geometry
        if run.result.tile and not geometry.local:
            words = FIXED.format(geometry.largest) if geometry.largest else APPROXIMATE
            warnings = (*warnings, f"{model.name} {words}")
        return Restoration(
            self.finish(run.result.pixels, picture.pixels),
            unrestored,
            picture.pixels,
            mask,
            replace(fed.report, warnings=warnings),
            (run,),
        )

    def feed(self, picture: Picture, model: Checkpoint) -> NetworkInput:
        """What a model's network is given of a picture."""
        trained = Trained(model.conditions, model.network.geometry)
        return self.prepare(picture, trained) or NetworkInput(picture.pixels)

    def run_network(
        self, fed: NetworkInput, networks: Networks, model: Checkpoint, progress: float
    ) -> NetworkRun:
        """Run a network over the whole of a picture."""
        return networks.run(self, model, fed, progress)


def _keep_mean(restored: Pixels, observed: Pixels) -> None:
    """Shift each channel, in place, to the mean that it was observed with: networks tint by up to a
    level.
    """
    import cv2
    import numpy as np

    channels = restored.shape[2]
    shift = np.subtract(cv2.mean(restored)[:channels], cv2.mean(observed)[:channels])
    restored -= shift.astype(np.float32)


def find_task(name: str) -> type[Task]:
    """The task's class by its command name.

    Raises:
        UsageError: there is no such task.
    """
    if name not in TASKS:
        raise UsageError(f"There is no task {name!r}; choose {', '.join(TASKS)}.")
    file, _, cls = TASKS[name].partition(":")
    task: type[Task] = getattr(importlib.import_module(f"{__name__}.{file}"), cls)
    return task
