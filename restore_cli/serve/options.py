"""The options of a request: those of the task's command, and some that all tasks share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import Field, dataclass
from typing import Any

from restore_cli.errors import PictureError, UsageError, WeightsError
from restore_cli.image import FORMATS, format_of
from restore_cli.models import catalog, store
from restore_cli.tasks import Task, option, option_fields, parse_strength


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
    if text.isdecimal() and 1 <= int(text) <= 100:
        return int(text)
    raise UsageError(f"{text!r} is not a valid quality; expected a number from 1 to 100.")


def _parse_flag(text: str) -> bool:
    if text in ("true", "false"):
        return text == "true"
    raise UsageError(f"{text!r} is not valid here; expected true or false.")


@dataclass(frozen=True)
class Common:
    """The options that all tasks share; see the options of the commands.

    Attributes:
        model: name of a model; None is the task's default.
        strength: blend between the photo and the result, 0 to 1.
        ensemble: whether to average over eight flips and rotations.
        format: Pillow's name of the output format; "" is the photo's own.
        jpeg_quality: 1 to 100, for JPEG, WebP and AVIF; None keeps that of the photo.
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
    ensemble: bool = option(
        False,
        help="Average over eight flips and rotations: slightly better, but eight times slower.",
        metavar="true|false",
        parse=_parse_flag,
    )
    format: str = option(
        "",
        help="Format of the result, such as png or jpg; by default that of the photo.",
        metavar="FORMAT",
        parse=_parse_format,
    )
    jpeg_quality: int | None = option(
        None,
        help="Quality for JPEG, WebP and AVIF, 1 to 100; by default 95, or the photo's if higher.",
        metavar="N",
        parse=_parse_quality,
    )


def fields_of(task: type[Task]) -> dict[str, Field[Any]]:
    """All options of a request for a task, by name."""
    return option_fields(task) | option_fields(Common)


def parse(task: type[Task], given: Iterable[tuple[str, str]]) -> tuple[Task, Common]:
    """Create a task and the shared options from names and texts; an empty text is the default.

    Raises:
        UsageError: an option is unknown or invalid, or the model is for another task.
    """
    known = fields_of(task)
    values: dict[str, Any] = {}
    for name, text in given:
        key = name.replace("-", "_")
        if key not in known:
            raise UsageError(
                f"Unknown option {name!r} of {task.name}; expected {', '.join(known)}."
            )
        if text:
            value = known[key].metadata["parse"](text)
            repeatable = known[key].default == ()
            values[key] = (*values.get(key, ()), value) if repeatable else value
    shared = option_fields(Common).keys()
    common = Common(**{key: value for key, value in values.items() if key in shared})
    if common.model:
        catalog.choose(common.model, task.name, 3)
    own = {key: value for key, value in values.items() if key not in shared}
    return task(**own), common


def models_of(task: type[Task]) -> list[str]:
    """The names of a task's models that need no download, the default first."""
    entries = catalog.in_order(
        entry
        for entry in catalog.entries().values()
        if entry.task == task.name and store.path_of(entry).is_file()
    )
    return list(dict.fromkeys(entry.short or entry.name for entry in entries))


def schema_of(task: type[Task]) -> dict[str, Any]:
    """The JSON schema of the multipart form of a task."""
    properties: dict[str, Any] = {
        "photo": {
            "type": "string",
            "format": "binary",
            "description": f"The photo: {', '.join(FORMATS)}.",
        },
        "mask": {
            "type": "string",
            "format": "binary",
            "description": "An image of the photo's size: white areas are"
            f" {'filled in' if task.keeps_most_pixels else 'restored'}, black ones kept.",
        },
    }
    for name, item in fields_of(task).items():
        plain: dict[str, Any] = {"type": "string"}
        if words := words_of(item):
            plain["enum"] = words
        shape = {"type": "array", "items": plain} if item.default == () else plain
        properties[name] = {**shape, "description": item.metadata["help"]}
    return {"type": "object", "required": ["photo"], "properties": properties}


def words_of(item: Field[Any]) -> list[str]:
    """The values of an option that has no others."""
    words = item.metadata["metavar"].split("|")
    return words if all(map(str.islower, words)) else []
