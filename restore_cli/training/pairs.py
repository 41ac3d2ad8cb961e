"""Training pairs: patches of images held in memory, damaged by the task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore_cli.engine import Geometry
from restore_cli.errors import PictureError, UsageError
from restore_cli.image import is_image_name, read_picture, to_gray, to_rgb
from restore_cli.tasks import Image, Task
from restore_cli.training.recipe import Levels

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Corpus:
    """Clean images, H x W x C bytes, parted into those to train on and those held out."""

    training: list[Bytes]
    holdout: list[Image]
    unreadable: tuple[str, ...]


def load_corpus(data: Path, folders: Iterable[str], channels: int, every: int) -> Corpus:
    """Read all images below some folders; every n-th of the sorted names is held out.

    Held-out images are cut to their middle, 256 pixels a side at most: enough to score, quick to run.

    Raises:
        UsageError: a folder is missing or the folders hold no image.
    """
    paths: list[Path] = []
    for folder in folders:
        if not (data / folder).is_dir():
            raise UsageError(f"{data / folder} is no folder; give --data the folder that holds {folder}.")
        paths += sorted(path for path in (data / folder).rglob("*") if is_image_name(path))
    images: list[Bytes] = []
    unreadable: list[str] = []
    for path in paths:
        try:
            pixels = read_picture(path).pixels
        except PictureError as error:
            unreadable.append(str(error))
            continue
        if pixels.shape[2] != channels:
            pixels = to_gray(pixels) if channels == 1 else to_rgb(pixels)
        images.append((pixels * 255).round().astype(np.uint8))
    if not images:
        raise UsageError(f"No image can be read below {data}; give --data a folder of images.")
    held = [_to_float(_middle(image)) for image in images[::every]]
    return Corpus([image for i, image in enumerate(images) if i % every], held, tuple(unreadable))


def _middle(image: Bytes, side: int = 256) -> Bytes:
    top, left = (max(0, (size - side) // 2) for size in image.shape[:2])
    return image[top : top + side, left : left + side]


def _to_float(image: Bytes) -> Image:
    return np.divide(image, 255, dtype=np.float32)


class Patches:
    """Draws batches; the same seed and step give the same batch, so that a resumed training goes on exactly.

    An image is drawn in proportion to its side, not its area: a photo four times as large comes twice as
    often, which keeps few large photos from drowning many small ones.
    """

    def __init__(self, images: list[Bytes], task: type[Task], levels: Levels, geometry: Geometry) -> None:
        self.images, self.task, self.levels, self.geometry = images, task, levels, geometry
        sides = np.sqrt([image.shape[0] * image.shape[1] for image in images])
        self.share = sides / sides.sum()

    def batch(self, size: int, patch: int, seed: int, step: int) -> tuple[Tensor, Tensor]:
        """Observed input, N x (channels + conditions) x P x P, and clean target, N x channels x P x P."""
        rng = np.random.default_rng([seed, step])
        pairs = [self._pair(patch, rng) for _ in range(size)]
        observed, clean = (
            torch.from_numpy(np.stack(side)).permute(0, 3, 1, 2) for side in zip(*pairs, strict=True)
        )
        return observed, clean

    def _pair(self, patch: int, rng: np.random.Generator) -> tuple[Image, Image]:
        image = self.images[rng.choice(len(self.images), p=self.share)]
        missing = [max(0, patch - size) for size in image.shape[:2]]
        if any(missing):
            image = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="symmetric")
        top, left = (rng.integers(size - patch + 1) for size in image.shape[:2])
        cut = np.rot90(image[top : top + patch, left : left + patch], int(rng.integers(4)))
        clean = _to_float(cut[:, ::-1] if rng.integers(2) else cut)
        task = self.task.draw(self.levels, rng)
        return stack_input(task, task.degrade(clean, rng), self.levels, self.geometry), clean


def stack_input(task: Task, observed: Image, levels: Levels, geometry: Geometry) -> Image:
    """The network's whole input, H x W x (channels + conditions)."""
    feed = task.prepare(observed, levels, geometry.conditions)
    planes = [np.broadcast_to(np.float32(plane), observed.shape[:2])[:, :, None] for plane in feed.conditions]
    return np.concatenate([feed.pixels, *planes], axis=2)
