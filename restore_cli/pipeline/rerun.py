"""Restores a photo again as its provenance says, and compares the results."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from restore_cli.device import find_device
from restore_cli.engine import Settings
from restore_cli.errors import PictureError, RestoreError, UsageError, WeightsError
from restore_cli.image import Picture, read_file, read_picture, sha256_of_pixels
from restore_cli.models import catalog
from restore_cli.pipeline.batch import restore_files
from restore_cli.pipeline.provenance import read_runs
from restore_cli.pipeline.request import Callbacks, Request
from restore_cli.report.provenance import PastStep, Provenance

Equality = Literal["file", "pixels", "no"]  # all bytes are equal, or only the pixels


@dataclass(frozen=True, eq=False)
class Made:
    """A photo that was restored with its provenance.

    Attributes:
        data: the contents of the file.
        picture: the photo.
        run: its last run.
    """

    data: bytes
    picture: Picture
    run: Provenance


@dataclass(frozen=True, eq=False)
class Rerun:
    """The result of another run, compared with that of the recorded one.

    Attributes:
        result: whether the results are equal.
        original: whether the originals are equal.
        largest: the largest difference of a sample on the 0..255 scale; None if sizes differ.
        changed: whether the photo was changed after the recorded run.
        differences: sentences about the models, options and versions that differ.
        data: the new file.
    """

    result: Equality
    original: Equality
    largest: float | None
    changed: bool
    differences: tuple[str, ...]
    data: bytes

    def to_plain(self) -> dict[str, object]:
        """All but the file as JSON values."""
        return {name: value for name, value in vars(self).items() if name != "data"}


def read_made(file: Path, max_pixels: int | None = None) -> Made:
    """Read a photo and its provenance.

    Args:
        file: its path.
        max_pixels: see `read_picture`.

    Raises:
        PictureError: the photo or its provenance cannot be read.
        UsageError: it has no provenance.
    """
    data = read_file(file, max_pixels)
    picture = read_picture(data, str(file), max_pixels=max_pixels)
    runs = read_runs(picture)
    if not runs:
        raise UsageError(
            f"Cannot rerun {file}: its metadata does not say how it was made. Restore it with"
            " --provenance."
        )
    return Made(data, picture, runs[-1])


def find_models(steps: Sequence[PastStep], given: str | None) -> list[str]:
    """Find the model of each step by its sha256 in the catalog, or else use the given one.

    A name or path in the metadata is never used, because anybody may have written it.

    Args:
        steps: the steps.
        given: name or path of a model that is not in the catalog, see `catalog.choose`.

    Raises:
        WeightsError: a model is not in the catalog, and none is given.
        UsageError: a model is given, but not needed.
    """
    known = {entry.sha256: entry.name for entry in catalog.entries().values()}
    missing = [step.model for step in steps if step.model.sha256 not in known]
    if missing and not given:
        raise WeightsError(f"Cannot find {missing[0]} in the catalog. Give its file as --model.")
    if given and not missing:
        raise UsageError("Cannot use --model: the models are in the catalog. Leave it out.")
    return [known.get(step.model.sha256, str(given)) for step in steps]


def settings_of(run: Provenance, device: str | None) -> Settings:
    """How to run the networks as in a run.

    Args:
        run: the run.
        device: the device; None is the one of the run if it is available, or else any.
    """
    networks = [network for step in run.steps for network in step.runs]
    kinds = {network.device for network in networks}
    precisions = {network.precision for network in networks}
    if device is None and len(kinds) == 1:
        with suppress(UsageError):
            device = find_device(kinds.pop()).type
    precision = precisions.pop() if len(precisions) == 1 else "auto"
    return Settings(device or "auto", precision, run.tile, run.ensemble)


def rerun(made: Made, request: Request, callbacks: Callbacks) -> Rerun:
    """Restore the original again, and compare the result with a photo; no file is written.

    Args:
        made: the photo.
        request: how to restore the original, which is its only item, to standard output.
        callbacks: report downloads and progress.

    Raises:
        RestoreError: the original cannot be restored.
    """
    (item,) = [item for item in request.items if item]
    output = io.BytesIO()
    (record,) = restore_files(request, stdout=output, callbacks=callbacks)
    if record.error:
        raise RestoreError(record.error)
    data, original = output.getvalue(), read_file(item.input, request.max_pixels)
    again = read_picture(data, max_pixels=request.max_pixels)
    largest = _largest_difference(made.picture, again)
    digest, old = hashlib.sha256(original).hexdigest(), made.run
    same_file = digest == old.input_sha256
    same_pixels = (
        same_file
        or sha256_of_pixels(read_picture(original, max_pixels=request.max_pixels))
        == old.input_pixels_sha256
    )
    runs: tuple[Provenance, ...] = ()
    with suppress(PictureError):  # another original may have broken XMP
        runs = read_runs(again)
    new = [one for one in runs[-1:] if one.input_sha256 == digest]  # none in a copied photo
    return Rerun(
        result=_equality(data == made.data, largest == 0),
        original=_equality(same_file, same_pixels),
        largest=largest,
        changed=sha256_of_pixels(made.picture) != old.pixels_sha256,
        differences=tuple(_differences(old, new[0])) if new else (),
        data=data,
    )


def _equality(files: bool, pixels: bool) -> Equality:
    return "file" if files else "pixels" if pixels else "no"


def _largest_difference(one: Picture, other: Picture) -> float | None:
    """The largest difference of a sample on the 0..255 scale; None if the shapes differ."""
    layers = [
        [picture.pixels]
        + ([] if picture.alpha is None else [picture.alpha / np.iinfo(picture.alpha.dtype).max])
        for picture in (one, other)
    ]
    if [layer.shape for layer in layers[0]] != [layer.shape for layer in layers[1]]:
        return None
    return max(float(np.abs(a - b).max()) * 255 for a, b in zip(*layers, strict=True))


def _differences(old: Provenance, new: Provenance) -> Iterator[str]:
    """Sentences about what differs between two runs with the same tasks."""
    if new.version != old.version:
        yield f"This is restore-cli {new.version}, and it was {old.version}."
    if new.mask_sha256 != old.mask_sha256:
        yield "The mask is another one."
    for before, now in zip(old.steps, new.steps, strict=True):
        if now.model.sha256 != before.model.sha256:
            yield f"The model of {now.task} is {now.model}, and it was {before.model}."
        for old_run, new_run in zip(before.runs, now.runs, strict=False):
            if new_run != old_run:
                yield f"The network of {now.task} was {old_run}, and now it is {new_run}."
        if now.used != before.used:
            used, was = (
                ", ".join(f"{key} {value}" for key, value in step.used.items())
                for step in (now, before)
            )
            yield f"The options of {now.task} are {used or 'none'}, and they were {was or 'none'}."
