"""The outcome for each input of a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Status = Literal["done", "skipped", "planned", "failed"]


@dataclass(frozen=True)
class StepRecord:
    """The outcome of one step; see `Record` for the fields that both have.

    Attributes:
        width, height: of the step's result.
        seconds: time that the step took, without loading the model.
        noise_before: estimated noise level before the step, on the 0..255 scale.
    """

    task: str
    model: str | None = None
    options: dict[str, float | str] | None = None
    estimated: tuple[str, ...] = ()
    device: str | None = None
    precision: str | None = None
    tile: int | None = None
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    noise_before: float | None = None
    tile_difference: float | None = None

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Self:
        """Read a part of what `Record.to_json` wrote, perhaps in another version."""
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        return cls(**known | {"estimated": tuple(known.get("estimated", ()))})


@dataclass(frozen=True)
class Record:
    """The outcome for one input; fields that do not apply are None.

    Attributes:
        input, output: paths; "-" is standard input or output.
        status: "done", "skipped", "planned" or "failed".
        task, model: what ran; model is None if nothing could change, and "a + b" if a detects the
            damage and b fills the rest. Several steps are joined as in "deblock | denoise".
        options: the options of the task as used, with an estimated sigma instead of "auto".
        estimated: the options that were estimated from the photo.
        found: what `restore auto` found in the photo, and what it does; lines for the user.
        findings: the figures of `findings.Findings`, by name.
        steps: a part for each step of `restore run`, which has options and estimated.
        device, precision, tile: how the last model ran; tile 0 is the entire photo at once.
        width, height, channels, depth: of the input; depth in bits per sample.
        pages: number of frames or pages that were restored, with --pages all; the other fields are
            those of the first one that changed, except for the time, the speed and the warnings.
        output_width, output_height: of the output.
        seconds: time to read, restore and write, without loading the model.
        megapixels_per_s: speed, in megapixels of the output.
        noise_before, noise_after: estimated noise level on the 0..255 scale; in a batch, only for
            --json and --report, unless the task needs it.
        psnr, ssim, psnr_y, ssim_y: against the reference, over RGB or gray, and on BT.601 luma;
            psnr in dB.
        input_psnr: of the unrestored input against the reference, in dB.
        tile_difference: largest difference between tiled and untiled output on a crop, 0..1.
        memory: estimated peak memory in bytes, with --dry-run.
        input_sha256, output_sha256: checksums of the files, with --resume.
        warnings: sentences for the user.
        error: why the input failed.
        temporary: whether it may succeed without a change of the input or the options, such as with
            more disk space; --resume tries it again.
    """

    input: str
    status: Status
    output: str | None = None
    task: str | None = None
    model: str | None = None
    options: dict[str, float | str] | None = None
    estimated: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    findings: Mapping[str, Any] | None = None
    steps: tuple[StepRecord, ...] = ()
    device: str | None = None
    precision: str | None = None
    tile: int | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    depth: int | None = None
    pages: int | None = None
    output_width: int | None = None
    output_height: int | None = None
    seconds: float | None = None
    megapixels_per_s: float | None = None
    noise_before: float | None = None
    noise_after: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    psnr_y: float | None = None
    ssim_y: float | None = None
    input_psnr: float | None = None
    tile_difference: float | None = None
    memory: int | None = None
    input_sha256: str | None = None
    output_sha256: str | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None
    temporary: bool | None = None

    def to_json(self) -> str:
        """Format as one line of JSON, without fields that are None; infinite values become null."""
        return json.dumps(_present(asdict(self)), ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str | bytes) -> Self:
        """Read what `to_json` wrote, perhaps in another version of the program."""
        fields = json.loads(line)
        known = {name: fields[name] for name in cls.__dataclass_fields__ if name in fields}
        known |= {name: tuple(known.get(name, ())) for name in ("warnings", "estimated", "found")}
        return cls(**known | {"steps": tuple(map(StepRecord.from_dict, known.get("steps", ())))})


def _present(fields: Mapping[str, object]) -> dict[str, object]:
    """The fields that have a value, with at most six decimals."""
    return {name: _plain(value) for name, value in fields.items() if value not in (None, ())}


def _plain(value: object) -> object:
    if isinstance(value, float):
        return None if value in (float("inf"), float("-inf")) else round(value, 6)
    if isinstance(value, dict):
        return _present(value)
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
