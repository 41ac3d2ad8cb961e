"""What a client can have done to a photo, with options that are those of the commands."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, dataclass
from functools import cache
from typing import Any

from restore_cli.errors import PictureError, UsageError, WeightsError
from restore_cli.image import FORMATS, READ_ONLY, format_of
from restore_cli.models import catalog, store
from restore_cli.pipeline.auto import CHOICES, Auto, parse_only
from restore_cli.pipeline.plan import Plan, Step
from restore_cli.tasks import TASKS, Task, find_task, option, option_fields, parse_strength


def _parse_model(text: str) -> str:
    """Return the name of a model of the catalog; a path or URL is not one."""
    try:
        catalog.find(text)
    except WeightsError as error:
        raise UsageError(str(error).replace("model or file", "model")) from error
    return text


def _parse_format(text: str) -> str:
    """Pillow's name of a format, given by a file extension such as jpg."""
    try:
        return format_of(f"photo.{text.lower()}")
    except PictureError as error:
        raise UsageError(str(error)) from error


def _parse_quality(text: str) -> int:
    if text.isdecimal() and len(text) <= 3 and 1 <= int(text) <= 100:
        return int(text)
    raise UsageError(f"{text!r} is not a valid quality; expected a number from 1 to 100.")


def _parse_flag(text: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise UsageError(f"{text!r} is not valid here; expected true or false.")


@dataclass(frozen=True)
class _StepOptions:
    """The options of every task, besides its own.

    Attributes:
        model: name of a model; None is the task's default.
        strength: blend between the photo and the result, 0 to 1.
    """

    model: str | None = option(
        None, help="Name of a model; by default the task's own.", metavar="NAME", parse=_parse_model
    )
    strength: float = option(
        1.0,
        help="Blend between the photo (0) and the restored photo (1); also a percentage.",
        metavar="SHARE",
        parse=parse_strength,
    )


@dataclass(frozen=True)
class _AutoOptions:
    """The options of `restore auto`.

    Attributes:
        only: names of the tasks that may be used.
    """

    only: tuple[str, ...] = option(
        CHOICES,
        help=f"Use only these: {', '.join(CHOICES)}.",
        metavar="TASK,...",
        parse=parse_only,
    )


@dataclass(frozen=True)
class Common:
    """The options of every request.

    Attributes:
        ensemble: whether to average over flips and rotations.
        format: Pillow's name of the output format; "" is the photo's own.
        jpeg_quality: 1 to 100, for lossy formats; None is 95, or the photo's if higher.
    """

    ensemble: bool = option(
        False,
        help="Average over flips and rotations: slightly better, but up to eight times slower.",
        metavar="true|false",
        parse=_parse_flag,
    )
    format: str = option(
        "",
        help="Format of the result, such as png or jpg; by default that of the photo, or PNG if a"
        " lossy photo is filled in or has a mask.",
        metavar="FORMAT",
        parse=_parse_format,
    )
    jpeg_quality: int | None = option(
        None,
        help="Quality for JPEG, WebP, AVIF, HEIC and JPEG XL, 1 to 100; by default 95, or the"
        " photo's own quality if higher.",
        metavar="N",
        parse=_parse_quality,
    )


@dataclass(frozen=True)
class Action:
    """What a client can have done to a photo.

    Attributes:
        name: last part of its address, and name of the command.
        summary: what it does, in a sentence.
        mask: what happens in the white areas of a mask.
        own: its options, apart from those of all requests.
        models: names of models to choose from, which need no download; the default comes first.
        plan: makes the plan from the values of its options.
    """

    name: str
    summary: str
    mask: str
    own: Mapping[str, Field[Any]]
    models: Sequence[str]
    plan: Callable[[Mapping[str, Any]], Plan]

    @property
    def options(self) -> dict[str, Field[Any]]:
        """All options of a request."""
        return {**self.own, **option_fields(Common)}

    def parse(self, given: Iterable[tuple[str, str]]) -> tuple[Plan, Common]:
        """Read options from names and texts; an empty text means the default.

        Raises:
            UsageError: an option is unknown or invalid, or the model is for another task.
        """
        known, values = self.options, dict[str, Any]()
        for name, text in given:
            key = name.replace("-", "_")
            if key not in known:
                raise UsageError(
                    f"Unknown option {name!r} of {self.name}; expected {', '.join(known)}."
                )
            if text:
                value = known[key].metadata["parse"](text)
                repeatable = known[key].default == ()
                values[key] = (*values.get(key, ()), value) if repeatable else value
        shared = option_fields(Common).keys()
        common = Common(**{key: values.pop(key) for key in shared & values.keys()})
        return self.plan(values), common


@cache
def actions() -> Mapping[str, Action]:
    """Everything that a client can have done, by name."""
    auto = Action(
        "auto",
        "Find out what damages each photo, and restore it.",
        "restored",
        option_fields(_AutoOptions),
        (),
        lambda values: Auto(**values),
    )
    return {"auto": auto, **{name: _act(find_task(name)) for name in TASKS}}


def _act(task: type[Task]) -> Action:
    def plan(values: Mapping[str, Any]) -> Step:
        shared = option_fields(_StepOptions).keys()
        step = {key: value for key, value in values.items() if key in shared}
        made = task(**{key: value for key, value in values.items() if key not in shared})
        if "model" in step:
            catalog.choose(step["model"], task.name, 3)
        return Step(made, **step)

    return Action(
        task.name,
        (task.__doc__ or "").partition("\n")[0],
        "filled in" if task.keeps_most_pixels else "restored",
        {**option_fields(task), **option_fields(_StepOptions)},
        _find_models(task.name),
        plan,
    )


def _find_models(task: str) -> list[str]:
    entries = catalog.in_order(
        entry
        for entry in catalog.entries().values()
        if entry.task == task and store.path_of(entry).is_file()
    )
    return list(dict.fromkeys(entry.short or entry.name for entry in entries))


def schema_of(action: Action) -> dict[str, Any]:
    """The JSON schema of the multipart form of an action."""
    file = {"type": "string", "format": "binary"}
    mask = f"An image of the photo's size: white areas are {action.mask}, black areas are kept."
    properties: dict[str, Any] = {
        "photo": {**file, "description": f"The photo: {', '.join(FORMATS | READ_ONLY)}."},
        "mask": {**file, "description": mask},
    }
    for name, item in action.options.items():
        plain: dict[str, Any] = {"type": "string"}
        if words := words_of(item):
            plain["enum"] = words
        shape = {"type": "array", "items": plain} if item.default == () else plain
        properties[name] = {**shape, "description": item.metadata["help"]}
    return {"type": "object", "required": ["photo"], "properties": properties}


def words_of(item: Field[Any]) -> list[str]:
    """The values of an option that has no others."""
    words: list[str] = item.metadata["metavar"].split("|")
    return words if all(map(str.islower, words)) else []
