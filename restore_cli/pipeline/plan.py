"""What is done to a photo: one or more steps, each a task with its model and strength."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from restore_cli.tasks import Task

if TYPE_CHECKING:  # for help texts it is imported without numpy, which is slow
    from restore_cli.image import Picture


class Plan(Protocol):
    """Decides which steps a photo goes through; it travels to other processes.

    Attributes:
        lists_steps: whether a record has a part for each step.
        looks: whether the steps depend on the photo.
    """

    lists_steps: ClassVar[bool]
    looks: ClassVar[bool]

    @property
    def name(self) -> str:
        """What records of photos that were not restored call it."""

    @property
    def suffix(self) -> str:
        """Suffix of output files, as in photo.SUFFIX.jpg."""

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps that may be chosen, in their order; with the name they determine results."""

    def choose(self, picture: Picture, /) -> Choice:
        """The steps for a photo."""


@dataclass(frozen=True)
class Step:
    """A task with its model and strength; alone, it is the plan of a task's command.

    Attributes:
        task: the task with its options.
        model: name or path, see `catalog.choose`; None is the task's default.
        strength: blend between input and result, 0 to 1.
    """

    lists_steps: ClassVar[bool] = False
    looks: ClassVar[bool] = False

    task: Task
    model: str | None = None
    strength: float = 1.0

    @property
    def name(self) -> str:
        """The name of the task."""
        return self.task.name

    @property
    def suffix(self) -> str:
        """The suffix of the task."""
        return self.task.suffix

    @property
    def label(self) -> str:
        """The task, and the model if one is named: "denoise (photo)"."""
        return f"{self.task.name} ({self.model})" if self.model else self.task.name

    @property
    def steps(self) -> tuple[Step, ...]:
        """This step."""
        return (self,)

    def choose(self, _: Picture, /) -> Choice:
        """This step, for every photo."""
        return Choice(self.steps)


@dataclass(frozen=True)
class Choice:
    """What is done to a photo, and why.

    Attributes:
        steps: the steps in their order; without any, the photo is not changed.
        found: what was found in the photo, and what follows from it: lines for the user.
        findings: the figures of it, by name.
    """

    steps: tuple[Step, ...]
    found: tuple[str, ...] = ()
    findings: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Chain:
    """Several steps, the same for every photo.

    Attributes:
        steps: the steps in their order.
    """

    lists_steps: ClassVar[bool] = True
    looks: ClassVar[bool] = False
    suffix: ClassVar[str] = "restored"

    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """The names of the tasks: "deblock | denoise"."""
        return " | ".join(step.task.name for step in self.steps)

    def choose(self, _: Picture, /) -> Choice:
        """All steps, for every photo."""
        return Choice(self.steps)


def result_size(steps: Sequence[Step], height: int, width: int) -> tuple[int, int]:
    """Height and width of a photo in pixels after some steps."""
    for step in steps:
        height, width = step.task.target_size(height, width)
    return height, width


def keeps_most_pixels(plan: Plan) -> bool:
    """Whether every step keeps most of the photo, so that a lossy format is not the default."""
    return all(step.task.keeps_most_pixels for step in plan.steps)
