"""What was done to a photo, as its metadata records it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, TypeVar

from restore_cli.errors import PictureError
from restore_cli.tables import brief, fill_in

_T = TypeVar("_T")
_WHERE = "The provenance in the metadata"


@dataclass(frozen=True)
class PastModel:
    """A model.

    Attributes:
        name: in the catalog; empty for another file, whose name may be private.
        sha256: of its file.
    """

    name: str
    sha256: str

    def __post_init__(self) -> None:
        _check_sha256(self.sha256)

    def __str__(self) -> str:
        return self.name or f"a model file with sha256 {self.sha256}"


@dataclass(frozen=True)
class PastRun:
    """A network that was run.

    Attributes:
        model: its model.
        device: "cpu", "cuda" or "mps".
        precision: "fp32", "bf16" or "fp16".
        tile: size of the tiles; 0 is the entire photo at once.
    """

    model: PastModel
    device: str
    precision: str
    tile: int

    def __str__(self) -> str:
        tiles = f", in tiles of {self.tile} pixels" if self.tile else ""
        return f"{self.model} in {self.precision} on {self.device}{tiles}"


@dataclass(frozen=True)
class PastStep:
    """A task that was carried out.

    Attributes:
        task: its name.
        given: the options that were not the default, as KEY=VALUE with texts of the command line.
        used: the options as used, such as an estimated sigma.
        strength: blend between input and result, 0 to 1.
        model: the model that was chosen, by the user or by the task.
        runs: the networks that were run; empty if nothing could change.
    """

    task: str
    given: tuple[str, ...]
    used: Mapping[str, float | str]
    strength: float
    model: PastModel
    runs: tuple[PastRun, ...]

    def __post_init__(self) -> None:
        short = all(isinstance(text, str) and len(text) <= 200 for text in self.given)
        plain = all(isinstance(value, (int, float, str)) for value in self.used.values())
        if not short or not plain or not 0 <= self.strength <= 1:
            raise PictureError(f"{_WHERE} has invalid options: {brief(repr(self))}.")

    @property
    def command(self) -> str:
        """The task and its options as on a command line."""
        words = [f"--{text.replace('=', ' ', 1)}" for text in self.given]
        if self.strength < 1:
            words.append(f"--strength {self.strength:g}")
        return " ".join([self.task, *words])


@dataclass(frozen=True)
class Provenance:
    """How a photo was made from another one.

    Attributes:
        version: of this program.
        date: when, in UTC, as 2026-01-31T12:00:00Z.
        input_sha256: of the input file.
        input_pixels_sha256: of its decoded pixels, see `sha256_of_pixels`.
        mask_sha256: of the file of the mask, if there was one.
        steps: the tasks in their order.
        tile: the requested size of tiles; None is automatic, and 0 the entire photo.
        ensemble: whether results of flips and rotations were averaged.
        jpeg_quality: of a lossy output.
        pixels_sha256: of the pixels of the output, as they read back.
    """

    version: str
    date: str
    input_sha256: str
    input_pixels_sha256: str
    mask_sha256: str | None
    steps: tuple[PastStep, ...] = ()
    tile: int | None = None
    ensemble: bool = False
    jpeg_quality: int | None = None
    pixels_sha256: str | None = None

    def __post_init__(self) -> None:
        hashes = self.input_sha256, self.input_pixels_sha256, self.mask_sha256, self.pixels_sha256
        _check_sha256(*filter(None, hashes))
        if not 1 <= (self.jpeg_quality or 1) <= 100:
            raise PictureError(f"{_WHERE} has an invalid quality: {self.jpeg_quality}.")

    @property
    def command(self) -> str:
        """All steps as on a command line, such as "deblock | sr --scale 2"."""
        return " | ".join(step.command for step in self.steps)

    def to_json(self) -> str:
        """Format as one line of ASCII."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote, strictly, because anybody may have written it.

        Raises:
            PictureError: the text is something else.
        """
        try:
            values = json.loads(text)
            steps = tuple(map(_read_step, _list(values, "steps")))
            return _read(cls, {**_table(values), "steps": steps})
        except (ValueError, RecursionError) as error:
            raise PictureError(f"{_WHERE} is not valid JSON.") from error


def _read_step(values: Any) -> PastStep:
    model = _read(PastModel, _table(values).get("model"))
    runs = tuple(map(_read_run, _list(values, "runs")))
    return _read(PastStep, {**_table(values), "model": model, "runs": runs})


def _read_run(values: Any) -> PastRun:
    model = _read(PastModel, _table(values).get("model"))
    return _read(PastRun, {**_table(values), "model": model})


def _read(kind: type[_T], values: Any) -> _T:
    return fill_in(kind, _table(values), _WHERE, PictureError)


def _table(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise PictureError(f"{_WHERE} is damaged: {brief(repr(values))} is not a table.")
    return values


def _list(values: Any, key: str) -> list[Any]:
    found = _table(values).get(key)
    if not isinstance(found, list):
        raise PictureError(f"{_WHERE} is damaged: {key} is not a list.")
    return found


def _check_sha256(*texts: str) -> None:
    for text in texts:
        if not re.fullmatch("[0-9a-f]{64}", text):
            raise PictureError(f"{_WHERE} has an invalid sha256: {brief(text)}.")
