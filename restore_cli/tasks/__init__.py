"""The kinds of damage. A task says once what the damage is, how a network is fed and what it gives
back.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from restore_cli.degradations import Image, Random, round_to_bytes
from restore_cli.errors import UsageError
from restore_cli.metrics import psnr

if TYPE_CHECKING:  # the command line reads the tasks for its help, and must not wait for torch
    from restore_cli.image import Picture
    from restore_cli.network import Geometry

TASKS = {  # command -> file:class of this package
    "denoise": "denoise:Denoise",
    "deblock": "deblock:Deblock",
    "derain": "derain:Derain",
    "inpaint": "inpaint:Inpaint",
    "sr": "sr:Sr",
    "dehaze": "dehaze:Dehaze",
    "deblur": "deblur:Deblur",
}
MEASURES = {"noise": "noise:Noise"}  # what networks learn to measure, which is no command


@dataclass(frozen=True)
class Feed:
    """What a network gets: the image, H x W x C in [0, 1], and its condition planes; what to tell
    the user.

    `noise` is the noise level on the 0..255 scale, where the task estimated it; `strength`, 0 to 1,
    how much of the network's change is for the better.
    """

    pixels: Image
    conditions: tuple[float | Image, ...] = ()
    options: Mapping[str, float | str] | None = None
    warnings: tuple[str, ...] = ()
    noise: float | None = None
    strength: float = 1.0


def option(
    default: Any,
    help: str,
    metavar: str,
    parse: Callable[[str], Any],
    level: bool = False,
) -> Any:
    """A task's field, as the command line offers it.

    Args:
        default: None where nothing is given, or where the task finds out by itself, which the
            command line calls "auto"; () for an option that may be repeated.
        help: one sentence.
        metavar: what a value looks like, "FLOAT|auto"; words in lower case are values.
        parse: makes the value of a word; raises UsageError for nonsense.
        level: whether benchmarks may set it beside the levels of damage.
    """
    told = {"help": help, "metavar": metavar, "parse": parse, "level": level}
    return field(default=default, metadata=told)


@dataclass(frozen=True)
class Task(ABC):
    """A kind of damage. Subclasses are frozen dataclasses: docstring is the help, fields are the
    options.

    A field made by `option` is offered on the command line; any other only to recipes.

    Attributes:
        name: the command.
        suffix: of output files: photo.SUFFIX.jpg.
        luma: whether a gray network restores a colour picture's luma and leaves its chroma, rather
            than each channel by itself.
        steady: whether the damage leaves a photo's mean colour alone, so that restoring must not
            change it.
        noisy: whether noise is the damage, so that what is left of it is shown.
        enlarges: whether a result may be larger than the photo, so that a network may be that
            enlarges.
        exact: whether most of a photo stays as it is, so that no lossy format is chosen for the
            result.
        protocol: how benchmarks damage a clean image.
        blocks: whether blocking is a part of the damage, so that PSNR-B tells more.
        scored: by which figure results are compared: "PSNR", over all channels, or "PSNR Y", on
            luma.
        levels: what a network is trained for when its recipe does not say; see `draw`.
        validation: the levels at which it is scored then.
    """

    name: ClassVar[str]
    suffix: ClassVar[str]
    luma: ClassVar[bool] = False
    steady: ClassVar[bool] = True
    noisy: ClassVar[bool] = False
    enlarges: ClassVar[bool] = False
    exact: ClassVar[bool] = False
    protocol: ClassVar[str]
    blocks: ClassVar[bool] = False
    scored: ClassVar[str] = "PSNR"
    levels: ClassVar[Mapping[str, Any]]
    validation: ClassVar[tuple[Mapping[str, Any], ...]]

    @classmethod
    def damage_fields(cls) -> list[Field[Any]]:
        """The fields that are levels of damage; others are options of restoring alone."""
        return [
            item
            for item in fields(cls)
            if item.metadata.get("level", True) or item.name in cls.levels
        ]

    @classmethod
    def draw(cls, levels: Mapping[str, Any], rng: Random) -> Self:
        """A task with each option fixed, or drawn: [low, high] uniformly, a list of words one of
        them.
        """

        def value(level: Any) -> Any:
            if not isinstance(level, (list, tuple)):
                return level
            return (
                level[rng.choice(len(level))] if isinstance(level[0], str) else rng.uniform(*level)
            )

        return cls(**{key: value(level) for key, level in levels.items()})

    def look(self, picture: Picture) -> Self:  # noqa: ARG002
        """This task, with what it has to know of a photo before a model is chosen."""
        return self

    @property
    def model(self) -> str | None:
        """Name of the model that suits these options and the photo, if it is not the task's
        default.
        """
        return None

    @property
    def paired(self) -> bool:
        """Whether a set's real pairs have this damage."""
        return True

    def fit(self, clean: Image) -> Image:
        """The part of a clean image that `degrade` takes: all of it, but for tasks that change its
        size.
        """
        return clean

    @abstractmethod
    def degrade(self, clean: Image, rng: Random) -> Image:
        """Damage a clean image, H x W x C in [0, 1]; used by training and measuring alike."""

    def pair(self, clean: Image, rng: Random) -> tuple[Self, Image, Image]:
        """A pair for training.

        Returns:
            This task, with what there is to say of the damage; what a network is given, by its
            `prepare`; and what it is to make of it, the clean image.
        """
        return self, self.degrade(clean, rng), clean

    def prepare(
        self,
        pixels: Image,
        trained: Mapping[str, Any],  # noqa: ARG002
        geometry: Geometry,  # noqa: ARG002
        picture: Picture | None = None,  # noqa: ARG002
    ) -> Feed:
        """Turn a picture's pixels into a network's input: they themselves, unless a task says
        otherwise.

        Args:
            pixels: H x W x C in [0, 1].
            trained: the levels the checkpoint was trained for, as in weights.toml.
            geometry: the network's: its scale, and how many condition planes it takes.
            picture: where the pixels come from, if it is a file: what else is known of them.
        """
        return Feed(pixels)

    def advise(self, picture: Picture, noise: float, trained: Mapping[str, Any]) -> str:  # noqa: ARG002
        """A sentence on what would suit a photo better, or none.

        Args:
            noise: the photo's noise level on the 0..255 scale, as it was measured.
            trained: the levels the checkpoint was trained for.
        """
        return ""

    def coarsen(self, observed: Image) -> Image | None:  # noqa: ARG002
        """A smaller picture that is to be restored first, if the network does not reach far
        enough.
        """
        return None

    def refine(self, pixels: Image, observed: Image, restored: Image) -> Image:
        """A network's input, with what is known from the smaller picture, restored."""
        raise NotImplementedError

    def enlargement(self, height: int, width: int) -> float:  # noqa: ARG002
        """How many times wider or higher the result is than a picture of so many pixels."""
        return 1

    def detector(self, trained: Mapping[str, Any]) -> tuple[Task, tuple[str | None, ...]] | None:  # noqa: ARG002
        """The task and the models whose results show where the picture is damaged, if that is to be
        found.

        Args:
            trained: the levels that the chosen model was trained for; None in place of another
                one's name says that it finds the damage itself.
        """
        return None

    def locate(self, restored: Sequence[Image], observed: Image) -> tuple[Image, str]:
        """What is known of the picture by the detectors' results, and a sentence if in doubt.

        Returns:
            What was observed, NaN where it is damaged, and restored already where that is better.
        """
        raise NotImplementedError

    def mark(self, pixels: Image, mask: Image | None) -> tuple[Image, Image | None]:
        """Take note of a mask, H x W in [0, 1], which says where the picture is to be changed.

        Returns:
            The pixels that `prepare` is to be given, and the mask by which the change is made, None
            for all.
        """
        return pixels, mask

    def finish(self, restored: Image, observed: Image) -> Image:
        """Turn a network's output, and what was observed, into pixels in [0, 1] of the result's
        size.
        """
        from restore_cli.image import to_gray

        if restored.shape[2] == 3 and is_gray(observed):
            restored[:] = to_gray(restored)
        if self.steady:
            keep_colour(restored, observed)
        return restored.clip(0, 1, out=restored)

    def plain(self, observed: Image) -> Image:
        """What is observed, at the result's size, without restoration: what a result is better
        than.
        """
        return observed

    def inside(self, image: Image) -> Image:
        """The part of a result that is scored: all of it, but for tasks that leave out its
        border.
        """
        return image

    def score(self, restored: Image, clean: Image) -> float:
        """PSNR in dB by the task's protocol; the restored image is rounded to 8 bits, its luma is
        not.
        """
        from restore_cli.image import luma

        restored, clean = self.inside(round_to_bytes(restored)), self.inside(clean)
        if self.scored == "PSNR Y" and clean.shape[2] == 3:
            restored, clean = luma(restored), luma(clean)
        return psnr(restored, clean)


def span(level: Any) -> tuple[float, float, str]:
    """Lowest and highest of what a network was trained for, a value or [low, high], and both in
    words.
    """
    low, high = np.broadcast_to(level, 2).tolist()
    return low, high, f"{low:g}" if low == high else f"{low:g} to {high:g}"


def is_gray(image: Image) -> bool:
    """Whether all channels are the same, and missing together."""
    return all(
        np.array_equal(image[..., 0], image[..., i], equal_nan=True)
        for i in range(1, image.shape[2])
    )


def keep_colour(restored: Image, observed: Image) -> None:
    """Shift each channel, in place, to the mean that it was observed with: networks tint by up to a
    level.
    """
    import cv2

    channels = restored.shape[2]
    shift = np.subtract(cv2.mean(restored)[:channels], cv2.mean(observed)[:channels])
    restored -= shift.astype(np.float32)


def find_task(name: str) -> type[Task]:
    """The task's class by its command name.

    Raises:
        UsageError: there is no such task.
    """
    known = TASKS | MEASURES
    if name not in known:
        raise UsageError(f"There is no task {name!r}; choose {', '.join(TASKS)}.")
    file, _, cls = known[name].partition(":")
    task: type[Task] = getattr(importlib.import_module(f"{__name__}.{file}"), cls)
    return task
