"""Loads batches ahead in worker processes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from torch.utils.data import DataLoader

from restore_cli.training.patches import Batch, Patches


def batches(patches: Patches, start: int, workers: int, pinned: bool) -> Iterator[Batch]:
    """Return an endless iterator of the batches from a step on.

    With workers, the first batch is also drawn in this process: an error of a worker would be
    reported with its traceback.

    Args:
        workers: processes that draw batches ahead; 0 draws them in this process.
        pinned: keep batches in page-locked memory, which is faster to copy to a GPU.
    """
    if workers:
        patches[start]
    loader: DataLoader[Batch] = DataLoader(
        patches,
        batch_size=None,
        sampler=itertools.count(start),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=pinned,
        worker_init_fn=_single_threaded,
    )
    return iter(loader)


def _single_threaded(_worker: int) -> None:
    """Limit a worker to one thread; OpenCV would start one for each core."""
    import cv2

    cv2.setNumThreads(0)
