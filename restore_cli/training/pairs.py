"""Training pairs: patches of images that are decoded once, damaged by the task or found damaged."""

from __future__ import annotations

import itertools
import math
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from restore_cli.degradations import find_degradation, photo_noise
from restore_cli.degradations.grain import mottle
from restore_cli.errors import PictureError, RestoreError, UsageError
from restore_cli.image import Picture, is_image_name, read_picture, resize, to_gray, to_rgb
from restore_cli.image import Pixels as Image
from restore_cli.levels import parse_levels
from restore_cli.models.store import cache_dir
from restore_cli.network import Geometry
from restore_cli.tasks import Task
from restore_cli.tasks.restoration import NetworkInput, Trained
from restore_cli.training.recipe import Levels, Recipe

Bytes = NDArray[np.uint8]
Batch = tuple[Tensor, Tensor]
Source = tuple[
    tuple[Path, ...], int
]  # a file or a real pair, and the part of its size that is taken: 1 or 2

MEMORY_SHARE = 4  # images take up to this fraction of the free memory; more are mapped from a file
GRAIN = 15.0  # the most noise, on the 0..255 scale, that patches are given which keep it
HELD_SIDE = 256  # pixels; of held-out images the middle is enough to score, and quick to run


@dataclass(frozen=True)
class Sample:
    """An image, H x W x C bytes, and its damaged twin where the pair is real."""

    clean: Bytes
    damaged: Bytes | None = None


@dataclass(frozen=True)
class Corpus:
    """Images parted into those to train on and those held out, whose middle alone is kept."""

    training: list[Sample]
    holdout: list[Sample]
    unreadable: tuple[str, ...]


def load_corpus(
    data: Path, recipe: Recipe, channels: int, validation: Path | None = None
) -> Corpus:
    """Read the images of a recipe; every n-th of the sorted names is held out, or those of another
    folder.

    Raises:
        UsageError: a folder is missing, pairs do not fit, or there is no image to train or score
            with.
        RestoreError: what finds no room in memory finds none on the disk either.
    """
    excluded = set()
    if recipe.exclude:
        try:
            excluded = set((data / recipe.exclude).read_text(encoding="utf-8").splitlines())
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise UsageError(
                f"Cannot read {data / recipe.exclude}: {reason}. Check exclude."
            ) from error
    unreadable: list[str] = []
    folders = recipe.folders or (() if recipe.pairs or recipe.halved else (".",))
    sources = [(pair, 1) for words in recipe.pairs for pair in _paired(data, words)]
    sources += _sources(data, folders, 1) + _sources(data, recipe.halved, 2)
    sources = [
        (pair, part)
        for pair, part in sources
        if pair[0].relative_to(data).as_posix() not in excluded
    ]
    samples = _Store().keep(_samples(sources, channels, unreadable))
    if validation:
        apart = _sources(validation, (".",), 1)
        held = [_middle(sample) for sample in _samples(apart, channels, unreadable)]
        training = samples
    else:
        held = [_middle(sample) for sample in samples[:: recipe.holdout]]
        training = [sample for i, sample in enumerate(samples) if i % recipe.holdout]
    for images, place in ((training, data), (held, validation or data)):
        if not images:
            raise UsageError(f"No image can be read below {place}; give a folder of images.")
    return Corpus(training, held, tuple(unreadable))


def _images(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is no folder; check its path, and give --data the folder above it."
        )
    return sorted(path for path in folder.rglob("*") if is_image_name(path))


def _sources(data: Path, folders: Iterable[str], part: int) -> list[Source]:
    return [((path,), part) for folder in folders for path in _images(data / folder)]


def _paired(data: Path, words: str) -> Iterator[tuple[Path, ...]]:
    """The files of CLEAN:DAMAGED that have the same path but for their suffix."""
    clean, _, damaged = words.partition(":")
    twins = {
        path.relative_to(data / damaged).with_suffix(""): path for path in _images(data / damaged)
    }
    for path in _images(data / clean):
        twin = twins.get(path.relative_to(data / clean).with_suffix(""))
        if twin is None:
            raise UsageError(f"{path} has no twin of its name in {data / damaged}.")
        yield path, twin


def _samples(sources: Iterable[Source], channels: int, unreadable: list[str]) -> Iterator[Sample]:
    for pair, part in sources:
        try:
            images = [_read(path, channels, part) for path in pair]
        except PictureError as error:
            unreadable.append(str(error))
            continue
        sizes = [image.shape[:2] for image in images]
        if any(a % b for a, b in zip(sizes[0], sizes[-1], strict=True)):
            raise UsageError(
                f"{pair[0]} and {pair[-1]} do not fit: {sizes[0]} and {sizes[-1]} pixels."
            )
        yield Sample(*images)


def _read(path: Path, channels: int, part: int) -> Bytes:
    pixels = read_picture(path).pixels
    if part > 1:
        pixels = resize(pixels, *(max(1, size // part) for size in pixels.shape[:2])).clip(0, 1)
    if pixels.shape[2] != channels:
        pixels = to_gray(pixels) if channels == 1 else to_rgb(pixels)
    return (pixels * 255).round().astype(np.uint8)


class _Store:
    """Keeps images as bytes in memory, and beyond its share of the memory in an unnamed file."""

    def __init__(self) -> None:
        self.left = psutil.virtual_memory().available // MEMORY_SHARE

    def keep(self, samples: Iterable[Sample]) -> list[Sample]:
        """All samples, those that found no room in memory as views of one mapped file."""
        kept: list[Sample] = []
        samples = iter(samples)
        for sample in samples:
            self.left -= sample.clean.nbytes + (
                0 if sample.damaged is None else sample.damaged.nbytes
            )
            kept.append(sample)
            if self.left < 0:
                break
        rest = next(samples, None)
        if rest is not None:
            try:
                kept += _map(itertools.chain([rest], samples))
            except OSError as error:
                raise RestoreError(
                    f"Cannot keep images in a file in {cache_dir()}: {error.strerror}. Set"
                    " RESTORE_CACHE to a"
                    " folder with more room."
                ) from error
        return kept


def _map(samples: Iterable[Sample]) -> Iterator[Sample]:
    """The samples as views of a file that has no name; raises OSError."""
    shapes = []
    cache_dir().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=cache_dir()) as file:
        for sample in samples:
            images = [image for image in (sample.clean, sample.damaged) if image is not None]
            shapes.append([image.shape for image in images])
            for image in images:
                file.write(image.data)
        file.flush()
        return _cut(
            np.memmap(file, np.uint8, "r"), shapes
        )  # the mapping outlives the file's handle


def _cut(data: Bytes, shapes: Iterable[list[tuple[int, ...]]]) -> Iterator[Sample]:
    start = 0
    for sizes in shapes:
        images = []
        for shape in sizes:
            images.append(data[start : start + math.prod(shape)].reshape(shape))
            start += math.prod(shape)
        yield Sample(*images)


def _middle(sample: Sample) -> Sample:
    images = [image for image in (sample.damaged, sample.clean) if image is not None]
    side = HELD_SIDE // (images[-1].shape[0] // images[0].shape[0])
    corner = [max(0, (size - side) // 2) for size in images[0].shape[:2]]
    cut = [
        _crop(image, corner, side, image.shape[0] // images[0].shape[0]).copy() for image in images
    ]
    return Sample(*reversed(cut))


def _crop(image: Bytes, corner: list[int], side: int, scale: int) -> Bytes:
    top, left = (scale * at for at in corner)
    return image[top : top + scale * side, left : left + scale * side]


def to_float(image: Bytes) -> Image:
    """The image in [0, 1]."""
    return np.divide(image, 255, dtype=np.float32)


class Patches(Dataset[Batch]):
    """Batches by step: seed and step alone decide what is in one, so that a resumed training goes
    on exactly.

    An image is drawn in proportion to its side, not its area: a photo four times as large comes
    twice as often, which keeps few large photos from drowning many small ones.

    Args:
        samples: what to cut patches from.
        recipe, geometry: what to cut and how to damage it, and for which network.
        rank: of this process among those that train together; it takes its own part of their batch.

    Raises:
        UsageError: there is no memory for a batch.
    """

    def __init__(
        self, samples: list[Sample], recipe: Recipe, geometry: Geometry, rank: int = 0
    ) -> None:
        self.samples, self.recipe, self.geometry, self.rank = samples, recipe, geometry, rank
        self.damage = find_degradation(recipe.task)
        side = max(recipe.sides)
        needed = 4 * recipe.batch * side**2 * (2 * geometry.channels + geometry.conditions)
        free = psutil.virtual_memory().available
        if needed > free:
            raise UsageError(
                f"Cannot hold a batch of {recipe.batch} patches of {side} pixels: it takes"
                f" {needed / 1e9:,.0f} GB, and {free / 1e9:,.0f} GB are free. Lower batch or patch."
            )
        self.shares = np.cumsum(np.sqrt([math.prod(sample.clean.shape[:2]) for sample in samples]))

    def __getitem__(self, step: int) -> Batch:
        """Observed input, N x (channels + conditions) x p x p, and clean target, N x channels x P x
        P.
        """
        size, seed = self.recipe.batch, self.recipe.seed
        places = range(self.rank * size, (self.rank + 1) * size)
        pairs = [self._pair(np.random.default_rng([seed, step, place]), step) for place in places]
        observed, clean = (
            torch.from_numpy(np.stack(side)).permute(0, 3, 1, 2)
            for side in zip(*pairs, strict=True)
        )
        return observed, clean

    def _pair(self, rng: np.random.Generator, step: int) -> tuple[Image, Image]:
        sample = self.samples[
            np.searchsorted(self.shares, rng.random() * self.shares[-1], side="right")
        ]
        sides = self.recipe.sides
        drawn = np.random.default_rng([self.recipe.seed, step]).integers(
            len(sides)
        )  # one for all of a batch
        cuts = self._cut(sample, sides[drawn], rng)
        clean, damaged = (None if image is None else to_float(image) for image in cuts)
        assert clean is not None
        if self.recipe.enlarged and damaged is None and rng.random() < self.recipe.enlarged:
            clean = _enlarge(clean, rng.uniform(1, 2))
        if self.recipe.grain and damaged is None and rng.random() < self.recipe.grain:
            clean = mottle(clean, photo_noise.draw_level(rng, GRAIN), rng).clip(0, 1)
        if self.recipe.gray and clean.shape[2] == 3 and rng.random() < self.recipe.gray:
            clean, damaged = to_gray(clean), None if damaged is None else to_gray(damaged)
        damage = self.damage.draw(self.recipe.levels, rng)
        if damage.crop_to_scale(clean).shape != clean.shape:
            raise UsageError(
                f"{damage} does not fit patches of {len(clean)} pixels; choose another --patch."
            )
        task, observed, clean = (
            (damage.task(), damaged, clean) if damaged is not None else damage.pair(clean, rng)
        )
        if clean.shape[2] < self.geometry.channels:
            clean, observed = to_rgb(clean), to_rgb(observed)
        whole = stack_input(task, observed, self.recipe.levels, self.geometry)
        if step < self.recipe.pretrain:
            whole[..., : self.geometry.channels] = clean
        return whole, clean

    def _cut(self, sample: Sample, patch: int, rng: np.random.Generator) -> list[Bytes | None]:
        """The same place of both images, turned and mirrored at random if the recipe says so."""
        smaller = sample.clean if sample.damaged is None else sample.damaged
        scale = sample.clean.shape[0] // smaller.shape[0]
        side = patch // scale
        corner = [int(rng.integers(max(0, size - side) + 1)) for size in smaller.shape[:2]]
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        turns = turns if self.recipe.augment == "turn" else 0
        mirrored = mirrored and self.recipe.augment != "none"
        cuts: list[Bytes | None] = []
        for image, factor in ((sample.clean, scale), (sample.damaged, 1)):
            if image is None:
                cuts.append(None)
                continue
            cut = _crop(image, corner, side, factor)
            missing = [(0, factor * side - size) for size in cut.shape[:2]]
            if any(after for _, after in missing):
                cut = np.pad(cut, [*missing, (0, 0)], mode="symmetric")
            cut = np.rot90(cut, turns)
            cuts.append(cut[:, ::-1] if mirrored else cut)
        return cuts


def _enlarge(image: Image, factor: float) -> Image:
    """The corner of an image, enlarged to the size of the whole."""
    import cv2

    height, width, channels = image.shape
    corner = image[: math.ceil(height / factor), : math.ceil(width / factor)]
    larger = cv2.resize(corner, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger.reshape(height, width, channels).clip(0, 1), np.float32)


def stack_input(task: Task, observed: Image, levels: Levels, geometry: Geometry) -> Image:
    """The network's whole input, H x W x (channels + conditions).

    Raises:
        UsageError: the network takes another number of conditions than the task gives.
    """
    fed = task.prepare(Picture(observed), Trained(parse_levels(levels), geometry))
    feed = fed or NetworkInput(observed)
    if len(feed.conditions) != geometry.conditions:
        raise UsageError(
            f"The network takes {geometry.conditions} conditions where {task.name} gives"
            f" {len(feed.conditions)}; set its parameter conditions."
        )
    size = feed.pixels.shape[:2]
    planes = [np.broadcast_to(np.float32(plane), size)[:, :, None] for plane in feed.conditions]
    return np.concatenate([feed.pixels, *planes], axis=2)


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
        worker_init_fn=_still,
    )
    return iter(loader)


def _still(_worker: int) -> None:
    """A worker is one thread: OpenCV would start as many as there are cores."""
    import cv2

    cv2.setNumThreads(0)
