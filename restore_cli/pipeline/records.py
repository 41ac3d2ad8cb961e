"""The record of a photo: before its first step, after its last, or of its failure."""

from __future__ import annotations

from dataclasses import replace

from restore_cli.errors import EncodingError, EngineError, PictureError, RestoreError
from restore_cli.image import Picture
from restore_cli.noise import measure_noise
from restore_cli.pipeline.files import STREAM, FileJob
from restore_cli.pipeline.plan import Choice, Plan
from restore_cli.pipeline.steps import Progress
from restore_cli.report.record import Record
from restore_cli.storage import StorageError


def failed(item: FileJob, plan: Plan, error: Exception) -> Record:
    """The record of a file that failed."""
    sentence, temporary = _sentence(item, error), _is_temporary(error) or None
    return Record(item.input, "failed", item.output, plan.name, error=sentence, temporary=temporary)


def describe(item: FileJob, picture: Picture, choice: Choice, warnings: tuple[str, ...]) -> Record:
    """The record of a photo before its first step."""
    return Record(
        item.input,
        "done",
        item.output,
        found=choice.found,
        findings=choice.findings,
        width=picture.width,
        height=picture.height,
        channels=picture.channels,
        depth=picture.depth,
        warnings=warnings,
    )


def complete(record: Record, plan: Plan, end: Progress) -> Record:
    """Add what the steps have done to the record of a photo."""
    parts, picture = end.records, end.picture
    if not parts:
        noise = measure_noise(picture.opaque_pixels(), picture.visible).level
        return replace(record, task=plan.name, noise_before=noise)
    last = next((part for part in reversed(parts) if part.model), parts[-1])
    differences = [part.tile_difference for part in parts if part.tile_difference is not None]
    record = replace(
        record,
        task=" | ".join(part.task for part in parts),
        model=" | ".join(part.model for part in parts if part.model) or None,
        device=last.device,
        precision=last.precision,
        tile=last.tile,
        noise_before=parts[0].noise_before,
        tile_difference=max(differences, default=None),
        warnings=(*record.warnings, *end.warnings),
    )
    if plan.lists_steps:
        return replace(record, steps=parts)
    return replace(record, options=parts[0].options, estimated=parts[0].estimated)


def _is_temporary(error: BaseException) -> bool:
    """Whether disk, network, memory or a process failed, instead of the photo."""
    if isinstance(error, OSError):  # a decoder's error has no number
        return error.errno is not None
    known = isinstance(error, (MemoryError, EngineError, StorageError))
    return known or (error.__cause__ is not None and _is_temporary(error.__cause__))


def _sentence(item: FileJob, error: Exception) -> str:
    match error:
        case PictureError() if not isinstance(error, EncodingError):
            return str(error)  # names the file
        case RestoreError():
            return f"{item.name}: {error}"
        case MemoryError():
            return (
                f"Cannot restore {item.name}: out of memory. Use a smaller --tile, or close other"
                " programs."
            )
        case OSError(strerror=reason) if reason:
            if item.output == STREAM and not error.filename:
                return f"Cannot write to standard output: {reason}. Check where it is redirected."
            return f"Cannot write {error.filename or item.output}: {reason}. Choose another folder."
    return f"{item.name}: Unexpected {type(error).__name__}: {error}. Use --debug for details."
