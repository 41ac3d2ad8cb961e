"""Batches that worker processes draw ahead."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from torch.utils.data import DataLoader

from restore_cli.training.patches import Batch, Patches


def batches(patches: Patches, start: int, workers: int, pinned: bool) -> Iterator[Batch]:
    """The batches from a step on, without end; `workers` processes draw them ahead, 0 draws them
    here.
    """
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
    """A worker is one thread: OpenCV would start as many as there are cores."""
    import cv2

    cv2.setNumThreads(0)
