"""The tasks: their options, how a network is fed, and how a photo is restored."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from restore_cli.errors import UsageError
from restore_cli.tasks.restoration import (
    Finding,
    NetworkInput,
    NetworkRun,
    Observed,
    Restoration,
    Trained,
)

if TYPE_CHECKING:  # for help texts the tasks are imported without torch, which is slow
    from restore_cli.image import Picture, Pixels
    from restore_cli.models.checkpoint import Checkpoint

TASKS = {  # command -> module:class in this package
    "denoise": "denoise:Denoise",
    "deblock": "deblock:Deblock",
    "derain": "derain:Derain",
    "inpaint": "inpaint:Inpaint",
    "sr": "sr:Sr",
    "dehaze": "dehaze:Dehaze",
    "deblur": "deblur:Deblur",
}
APPROXIMATE = (
    "looks at the entire photo, so its tiles are approximate;"
    " --tile 0 avoids that, but needs more memory."
)
FIXED = "takes {0} x {0} pixels at once, so it runs in blended tiles, which is approximate."


def _show(value: float | str) -> str:
    return str(value).removesuffix(".0")


def option(
    default: Any,
    help: str,
    metavar: str,
    parse: Callable[[str], Any],
    show: Callable[[Any], str] = _show,
    absent: str = "",
) -> Any:
    """Define a field of a task that is a command line option.

    Args:
        default: None if there is no value, or if the task finds it by itself, which the command
            line calls "auto"; () for a repeatable option.
        help: one sentence.
        metavar: form of a value, such as "FLOAT|auto"; lower-case words are values.
        parse: converts the text of a value; raises UsageError if it is invalid.
        show: converts a value to its text.
        absent: the text of the value that None means, if it is always the same.
    """
    words = {"help": help, "metavar": metavar, "parse": parse, "show": show, "absent": absent}
    return field(default=default, metadata=words)


def option_fields(kind: type[Any]) -> dict[str, Field[Any]]:
    """The fields of a task, or of another dataclass, that are options, by name."""
    return {item.name: item for item in fields(kind) if "parse" in item.metadata}


def parse_strength(text: str | float) -> float:
    """Parse a share from 0 to 1, or a percentage."""
    number, percent = (
        (text, False) if isinstance(text, float) else (text.removesuffix("%"), text[-1:] == "%")
    )
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UsageError(
            f"{text!r} is not a valid strength; expected a number from 0 to 1, or 0% to 100%."
        )
    return share


class Networks(Protocol):
    """Finds and runs networks on a picture for a task."""

    @property
    def chosen(self) -> Checkpoint:
        """The model that the user chose, or the task's default."""

    def find(self, name: str | None, task: str) -> Checkpoint:
        """A model for this picture by its name; None is the task's default."""

    def run(self, task: Task, model: Checkpoint, fed: NetworkInput, progress: float) -> NetworkRun:
        """Run a model's network, in tiles, on a picture with one or three channels.

        Args:
            progress: share of the total work that this run is, 0 to 1.
        """


@dataclass(frozen=True)
class Task:
    """A task that a user can request, with its options.

    Subclasses are frozen dataclasses: the docstring is the help of the command, and the fields
    defined with `option` are its options.

    Attributes:
        name: name of the command.
        suffix: suffix of output files, as in photo.SUFFIX.jpg.
        gray_via_luma: whether a gray network restores only the luma of a color picture, instead of
            each channel separately.
        preserves_mean: whether the degradation keeps a photo's mean color, so that the restored
            photo must have it too.
        noisy: whether the degradation is noise, so that the remaining noise is reported.
        enlarges: whether the result may be larger than the photo, so that upscaling networks fit.
        keeps_most_pixels: whether most of the photo is unchanged, so that a lossy output format is
            not chosen by default.
        skips_frames: whether a frame of one color around the photo is left out.
        has_blocking: whether the degradation includes blocking, so that PSNR-B is informative.
        maps: condition planes with a value for each pixel, which take memory.
        turns: rotations by a quarter turn that leave the damage as likely, for an ensemble: 4, or 1
            if it has a direction; a mirrored photo is always as likely.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    gray_via_luma: ClassVar[bool] = False
    preserves_mean: ClassVar[bool] = True
    noisy: ClassVar[bool] = False
    enlarges: ClassVar[bool] = False
    keeps_most_pixels: ClassVar[bool] = False
    skips_frames: ClassVar[bool] = False
    has_blocking: ClassVar[bool] = False
    maps: ClassVar[int] = 0
    turns: ClassVar[int] = 4

    def given(self) -> tuple[str, ...]:
        """The options that differ from their defaults, as KEY=VALUE; one may be repeated."""
        pairs: list[str] = []
        for item in fields(self):
            value = getattr(self, item.name)
            if "show" in item.metadata and value != item.default:
                values = value if item.default == () else (value,)
                pairs += [f"{item.name}={item.metadata['show'](one)}" for one in values]
        return tuple(pairs)

    def look(self, picture: Picture) -> Self:  # noqa: ARG002
        """This task, with what it measures in a photo to choose a model."""
        return self

    @property
    def model(self) -> str | None:
        """Name of the model for these options and the photo; None is the task's default."""
        return None

    @property
    def noise(self) -> float | None:
        """The noise that `look` measured, on the 0..255 scale; None if it did not."""
        return None

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:  # noqa: ARG002
        """Create the network's input for a picture: by default, its pixels without changes.

        Args:
            picture: pixels H x W x C in [0, 1]; missing pixels are NaN.
            trained: levels and geometry of the network, which is or will be trained in this way.
        """
        return NetworkInput(picture.pixels)

    def advise(self, found: Finding) -> str | None:
        """Suggest in a sentence what would suit a photo better, or return None."""

    def target_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the result for a picture of this size, in pixels."""
        return height, width

    def enlargement(self, height: int, width: int) -> float:
        """Factor by which the result is larger than a picture of this size, in pixels."""
        tall, wide = self.target_size(height, width)
        return max(tall / height, wide / width)

    def unrestored(self, observed: Pixels) -> Pixels:
        """The observed pixels at the result's size, which a result should improve on."""
        return observed

    def finish(self, output: Pixels, observed: Observed) -> Pixels:
        """Turn a network's output, in place, into pixels in [0, 1] at the result's size."""
        from restore_cli.image import to_gray

        if output.shape[2] == 3 and observed.gray:
            output[:] = to_gray(output)
        if self.preserves_mean:
            _keep_mean(output, observed, 1 / 255 if self.noisy else 1)
        return output.clip(0, 1, out=output)

    def restore(
        self, picture: Picture, mask: Pixels | None, networks: Networks, strength: float = 1.0
    ) -> Restoration:
        """Restore a picture: prepare the input, run the network, finish its output.

        Args:
            picture: H x W x C in [0, 1].
            mask: H x W in [0, 1] at the result's size, 1 where the picture is changed; None means
                everywhere.
            networks: finds and runs networks; `networks.chosen` restores the picture.
            strength: blend between input and result, 0 to 1; at 0 no network is run.

        Raises:
            UsageError, RestoreError: the picture, mask or network does not fit this task.
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
        """Restore a picture with one model, or with the default if that model's output is unusable.

        Args:
            unrestored: the observed pixels at the result's size.
            progress: share of the total work that this run is, 0 to 1.
        """
        observed, fed = Observed.of(picture.pixels), self.feed(picture, model)
        if not strength * fed.report.strength or (mask is not None and not mask.any()):
            return Restoration(
                unrestored, unrestored, picture.pixels, mask, fed.report, changed=False
            )
        run = replace(self.run_network(fed, networks, model, progress), input=fed)
        warnings = fed.report.warnings
        if problem := run.find_problem():
            model = networks.find(None, self.name)
            fed = self.feed(picture, model)
            run = replace(self.run_network(fed, networks, model, 0), input=fed)
            warnings = (
                *fed.report.warnings,
                f"{problem}. The photo was restored with {model.name} instead.",
            )
        geometry = model.network.geometry
        if run.result.tile and not geometry.local:
            note = FIXED.format(geometry.largest) if geometry.largest else APPROXIMATE
            warnings = (*warnings, f"{model.name} {note}")
        return Restoration(
            self.finish(run.result.pixels, observed),
            unrestored,
            picture.pixels,
            mask,
            replace(fed.report, warnings=warnings),
            (run,),
        )

    def feed(self, picture: Picture, model: Checkpoint) -> NetworkInput:
        """Create the input of a model's network for a picture."""
        return self.prepare(picture, Trained(model.conditions, model.network.geometry))

    def run_network(
        self, fed: NetworkInput, networks: Networks, model: Checkpoint, progress: float
    ) -> NetworkRun:
        """Run a network on a picture."""
        return networks.run(self, model, fed, progress)


def _keep_mean(restored: Pixels, observed: Observed, most: float) -> None:
    """Shift each channel, in place, to its observed mean, but by at most `most`.

    Networks tint by up to a level. Noise that is clipped at black or white changes the mean by
    more, which must not come back.
    """
    import cv2
    import numpy as np

    shift = np.subtract(cv2.mean(restored)[: restored.shape[2]], observed.mean)
    restored -= shift.clip(-most, most).astype(np.float32)


def find_task(name: str) -> type[Task]:
    """Find a task's class by the name of its command.

    Raises:
        UsageError: the task is unknown.
    """
    if name not in TASKS:
        raise UsageError(f"Unknown task {name!r}; expected {', '.join(TASKS)}.")
    file, _, cls = TASKS[name].partition(":")
    task: type[Task] = getattr(importlib.import_module(f"{__name__}.{file}"), cls)
    return task
