"""Writes into the XMP of a photo what was done to it, and reads it.

`RUNS` has one item for each run of this program, as JSON. Other programs see the same run in the
history of XMP (xmpMM:History, Adobe XMP specification part 2, 2.1).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from restore_cli import __version__
from restore_cli.errors import PictureError
from restore_cli.image import (
    HOLDS,
    MARKER_BYTES,
    Picture,
    Property,
    append_items,
    encode_picture,
    is_altered,
    read_list,
    read_picture,
    sha256_of_pixels,
)
from restore_cli.models.catalog import Entry
from restore_cli.report.provenance import PastModel, PastRun, PastStep, Provenance

if TYPE_CHECKING:  # torch takes a second to import, and `restore info` does not need it
    from restore_cli.models.checkpoint import Checkpoint
    from restore_cli.pipeline.plan import Step
    from restore_cli.pipeline.request import Request
    from restore_cli.tasks.restoration import NetworkRun, Restoration

RUNS = Property("urn:restore-cli:provenance:1.0/", "restore", "Runs")
_HISTORY = Property("http://ns.adobe.com/xap/1.0/mm/", "xmpMM", "History")
_EVENT = "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#"
_ACTION, _AGENT, _WHEN, _PARAMETERS = (
    Property(_EVENT, "stEvt", name) for name in ("action", "softwareAgent", "when", "parameters")
)


def record_step(step: Step, model: Checkpoint, change: Restoration) -> PastStep:
    """Record what a step has done.

    Args:
        step: the step as it was requested.
        model: the model that was chosen.
        change: what was done.
    """
    return PastStep(
        task=step.task.name,
        given=step.task.given(),
        used=dict(change.report.options),
        strength=step.strength,
        model=_record_model(model),
        runs=tuple(map(_record_network, change.runs)),
    )


def _record_model(model: Checkpoint) -> PastModel:
    name = model.header.name if isinstance(model.header, Entry) else ""
    return PastModel(name, model.sha256)


def _record_network(run: NetworkRun) -> PastRun:
    used, kind = run.result, run.result.device.partition(":")[0]
    return PastRun(_record_model(run.model), kind, used.precision, used.tile)


def record_run(
    request: Request, data: bytes, picture: Picture, mask_sha256: str | None
) -> Provenance:
    """Record how a photo is restored; its steps and the output are not known yet.

    Args:
        request: how it is restored.
        data: the contents of the input file.
        picture: the input photo.
        mask_sha256: of the file of the mask, if there is one.
    """
    return Provenance(
        version=__version__,
        date=request.date or f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        input_sha256=hashlib.sha256(data).hexdigest(),
        input_pixels_sha256=sha256_of_pixels(picture),
        mask_sha256=mask_sha256,
        tile=request.settings.tile,
        ensemble=request.settings.ensemble,
    )


def stamp(
    picture: Picture, format: str, quality: int, run: Provenance
) -> tuple[Picture, tuple[str, ...]]:
    """Add a run to the XMP of a photo that is about to be encoded.

    Args:
        picture: the restored photo, with the metadata of the input.
        format: Pillow's name of the format.
        quality: of a lossy format.
        run: what was done.

    Returns:
        The photo, and a sentence if the run could not be added.
    """
    if "XMP" not in HOLDS[format]:
        return picture, (
            f"{format} cannot store metadata, so the provenance was not written. Use PNG or TIFF.",
        )
    data, _ = encode_picture(picture, format, jpeg_quality=quality)
    written = read_picture(data, max_pixels=picture.width * picture.height)
    run = replace(
        run,
        pixels_sha256=sha256_of_pixels(written),
        jpeg_quality=quality if is_altered(picture, format) else None,
    )
    event = {
        _ACTION: "edited",
        _AGENT: f"restore-cli {run.version}",
        _WHEN: run.date,
        _PARAMETERS: run.command,
    }
    old = picture.metadata.xmp
    try:
        packet = append_items(old, {RUNS: run.to_json(), _HISTORY: event})
        if format == "JPEG" and len(packet) > MARKER_BYTES:
            raise ValueError(f"JPEG stores at most {MARKER_BYTES} bytes")
    except ValueError as error:
        return picture, (
            f"The provenance was not written, and the XMP was kept as it is: {error}.",
        )
    return replace(picture, metadata=replace(picture.metadata, xmp=packet)), ()


def read_runs(picture: Picture) -> tuple[Provenance, ...]:
    """Read the runs that made a photo, the oldest first.

    Raises:
        PictureError: they are damaged, or were not written by this program.
    """
    try:
        texts = read_list(picture.metadata.xmp, RUNS) if picture.metadata.xmp else ()
    except ValueError as error:
        raise PictureError(f"The XMP cannot be read: {error}.") from error
    return tuple(map(Provenance.from_json, texts))
