"""Restores the photo of a job, in the thread of the queue."""

from __future__ import annotations

import os
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from restore_cli.errors import (
    EngineError,
    LicenseError,
    PictureError,
    RestoreError,
    TooLargeError,
    UsageError,
    WeightsError,
)
from restore_cli.image import (
    Picture,
    is_image_name,
    megapixels,
    read_picture,
    resize,
    suffix_of,
    written_format,
)
from restore_cli.models import store
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.pipeline.compare import make_alike
from restore_cli.pipeline.files import FileJob, choose_format
from restore_cli.pipeline.networks import Models
from restore_cli.pipeline.photo import PhotoRestorer
from restore_cli.pipeline.plan import Plan, keeps_most_pixels, result_size
from restore_cli.pipeline.records import failed
from restore_cli.pipeline.request import Callbacks, Request
from restore_cli.report.comparison import Comparison, Version
from restore_cli.report.record import Record

_LONGEST_NAME = 100
_UNSAFE = re.compile(r'[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069"*/:<>?\\|]')


class CanceledError(Exception):
    """A photo is no longer wanted."""


def clean_name(name: str | None) -> str:
    """The last part of a file name from a client, without characters that a system forbids."""
    last = re.split(r"[/\\]", name or "")[-1]
    stem, extension = os.path.splitext(_UNSAFE.sub("_", last).strip(". "))
    return stem[:_LONGEST_NAME] + extension[:_LONGEST_NAME] or "photo"


@dataclass(frozen=True)
class Order:
    """A photo to restore, and how.

    Attributes:
        request: what to do; its items are not used.
        name: the photo's name, which is never used as a path.
        folder: holds the files of this order only.
        format: Pillow's name of the output format; "" is the photo's own.
        masked: whether there is a mask.
    """

    request: Request
    name: str
    folder: Path
    format: str = ""
    masked: bool = False

    @property
    def photo(self) -> Path:
        """The uploaded photo."""
        return self.folder / "photo"

    @property
    def mask(self) -> Path:
        """The uploaded mask."""
        return self.folder / "mask"

    @property
    def result(self) -> Path:
        """The restored photo."""
        return self.folder / "result"


@dataclass(frozen=True)
class Outcome:
    """What became of a photo.

    Attributes:
        record: the same as that of `--json`.
        name: file name of the result, "photo.denoised.jpg"; "" if it failed.
        media_type: of the result, "image/jpeg".
        status: HTTP status; other than 200, the record has the error.
    """

    record: Record
    name: str = ""
    media_type: str = ""
    status: int = 200


@dataclass
class Worker:
    """Restores one photo after the other; keeps the models of the last one, in case they recur."""

    _kind: tuple[object, ...] = ()
    _loaded: dict[str, Checkpoint] = field(default_factory=dict)

    def restore(self, order: Order, report: Callable[[float], None]) -> Outcome:
        """Restore a photo.

        Args:
            order: the photo.
            report: called with each further share of the work; may raise CanceledError.
        """
        item = FileJob(order.name, str(order.result), order.name)
        try:
            return self._restore(order, item, report)
        except CanceledError:
            raise
        except Exception as error:  # as in a batch, a failure is a record, too
            if not isinstance(error, RestoreError):
                traceback.print_exception(error)
            record = failed(item, order.request.plan, error)
            sentence = str(error) if isinstance(error, UsageError | WeightsError) else record.error
            record = replace(record, output=None, error=_hide_paths(str(sentence), order))
            return Outcome(record, status=status_of(error))

    def _restore(self, order: Order, item: FileJob, report: Callable[[float], None]) -> Outcome:
        request, plan = order.request, order.request.plan
        kind = tuple((step.task.name, step.model) for step in plan.steps)
        if self._kind != kind:
            self._kind, self._loaded = kind, {}
        models = Models(request.offline, lambda *_: report(0), self._loaded)
        callbacks = Callbacks(on_progress=lambda share, _: report(share))
        restorer = PhotoRestorer(request, callbacks=callbacks, models=models)
        loaded = restorer.decode(item, order.photo.read_bytes())
        _check_result(plan, loaded.picture, request.max_pixels, order.name)
        exact = keeps_most_pixels(plan) or order.masked
        format = order.format or choose_format(loaded.picture.format, exact)
        mask = str(order.mask) if order.masked else ""
        item = replace(item, format=format, mask_in=mask)
        record = restorer.save(item, restorer.restore(item, loaded))
        name = _result_name(order.name, plan.suffix, format)
        media_type = Image.MIME.get(format, f"image/{format.lower()}")
        return Outcome(replace(record, output=name), name, media_type)


def status_of(error: Exception) -> int:
    """The HTTP status for an error."""
    match error:
        case TooLargeError():
            return 413
        case PictureError(__cause__=OSError(errno=int())):  # the disk is full
            return 507
        case PictureError():
            return 400
        case LicenseError():
            return 403
        case WeightsError():  # a download failed
            return 502
        case EngineError():
            return 500
        case RestoreError():  # such as an option, or a mask that does not fit
            return 422
    return 500


def compare(order: Order) -> Comparison:
    """The photo before and after, at the same size."""
    before, after = (
        read_picture(path.read_bytes(), max_pixels=order.request.max_pixels)
        for path in (order.photo, order.result)
    )
    height, width = after.height, after.width
    pixels, note = before.pixels, ""
    if pixels.shape[:2] != (height, width):
        change = "enlarged" if height >= before.height else "reduced"
        pixels, note = resize(pixels, height, width).clip(0, 1), f"{change} to {width} x {height}"
    versions = (
        Version("input", pixels, note, before.metadata.icc),
        Version(order.request.plan.suffix, after.pixels, icc=after.metadata.icc),
    )
    return Comparison(order.name, tuple(make_alike(versions)))


def _hide_paths(sentence: str, order: Order) -> str:
    places = {order.mask: "mask", order.result: "result", store.cache_dir(): "the cache"}
    for path, word in places.items():
        sentence = sentence.replace(str(path), word)
    return sentence


def _check_result(plan: Plan, picture: Picture, most: int | None, name: str) -> None:
    height, width = result_size(plan.steps, picture.height, picture.width)
    if most and height * width > most:
        raise TooLargeError(
            f"Cannot restore {name}: the result would have {megapixels(height * width)} megapixels,"
            f" above the limit of {megapixels(most)}. Request a smaller one."
        )


def _result_name(name: str, suffix: str, format: str) -> str:
    """Name the result as the command does: photo.denoised.jpg."""
    stem, extension = os.path.splitext(name)
    if not is_image_name(name):
        stem, extension = name, ""
    same = extension and written_format(name) == format
    return f"{stem}.{suffix}{extension if same else suffix_of(format)}"
