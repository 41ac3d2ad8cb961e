"""Keeps the images of a training in memory, and on the disk if there are too many."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterable, Iterator

import numpy as np
import psutil

from restore_cli.errors import RestoreError
from restore_cli.models.store import cache_dir
from restore_cli.training.samples import Bytes, Sample

_MEMORY_SHARE = 4  # images use up to a quarter of the free memory


def keep(samples: Iterable[Sample]) -> list[Sample]:
    """Return all samples; those that do not fit into memory are views of one mapped file.

    Raises:
        RestoreError: the file cannot be written.
    """
    left = psutil.virtual_memory().available // _MEMORY_SHARE
    kept: list[Sample] = []
    samples = iter(samples)
    for sample in samples:
        left -= sample.nbytes
        kept.append(sample)
        if left < 0:
            break
    rest = next(samples, None)
    if rest is not None:
        try:
            kept += _map(itertools.chain([rest], samples))
        except OSError as error:
            raise RestoreError(
                f"Cannot keep images in a file in {cache_dir()}: {error.strerror}. Set"
                " RESTORE_CACHE to a folder with more room."
            ) from error
    return kept


def _map(samples: Iterable[Sample]) -> Iterator[Sample]:
    """Yield the samples as views of an unnamed file; raises OSError."""
    shapes = []
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=cache_dir()) as file:
        for sample in samples:
            images = [image for image in (sample.clean, sample.damaged) if image is not None]
            shapes.append([image.shape for image in images])
            for image in images:
                file.write(np.ascontiguousarray(image).data)
        file.flush()
        data = np.memmap(file, np.uint8, "r")  # remains valid when the file is closed
        return _split(data, shapes)


def _split(data: Bytes, shapes: Iterable[list[tuple[int, ...]]]) -> Iterator[Sample]:
    start = 0
    for sizes in shapes:
        images = []
        for shape in sizes:
            images.append(data[start : start + math.prod(shape)].reshape(shape))
            start += math.prod(shape)
        yield Sample(*images)
