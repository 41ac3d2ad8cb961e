"""Training batches: patches of images, degraded by the recipe or taken from real pairs."""

from __future__ import annotations

import math

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.utils.data import Dataset

from restore_cli.degradations import find_degradation, photo_noise
from restore_cli.degradations.grain import mottle
from restore_cli.errors import UsageError
from restore_cli.image import Pixels, to_gray, to_rgb
from restore_cli.network import Geometry
from restore_cli.training.network_input import stack_input
from restore_cli.training.recipe import Recipe
from restore_cli.training.samples import Bytes, Sample, to_float

Batch = tuple[Tensor, Tensor]

_MAX_GRAIN = 15.0  # highest noise level, on the 0..255 scale, that belongs to the clean patch


class Patches(Dataset[Batch]):
    """Batches by step.

    Only seed and step decide what is in a batch, so that a resumed training continues exactly.
    An image is drawn in proportion to its side, not its area: a photo four times as large comes
    twice as often. So a few large photos do not dominate many small ones.

    Args:
        samples: the images to cut patches from.
        recipe: how to cut and degrade patches.
        geometry: of the network that gets the patches.
        rank: of this process among those that train together; each draws its own part of a batch.

    Raises:
        UsageError: there is not enough memory for a batch.
    """

    def __init__(
        self, samples: list[Sample], recipe: Recipe, geometry: Geometry, rank: int = 0
    ) -> None:
        self.samples, self.recipe, self.geometry, self.rank = samples, recipe, geometry, rank
        self.kind = find_degradation(recipe.task)
        side = max(recipe.sides)
        needed = 4 * recipe.batch * side**2 * (2 * geometry.channels + geometry.conditions)
        free = psutil.virtual_memory().available
        if needed > free:
            raise UsageError(
                f"Cannot hold a batch of {recipe.batch} patches of {side} pixels: it needs"
                f" {needed / 1e9:,.0f} GB, and {free / 1e9:,.0f} GB are free. Lower batch or patch."
            )
        self.shares = np.cumsum(np.sqrt([math.prod(sample.clean.shape[:2]) for sample in samples]))

    def __getitem__(self, step: int) -> Batch:
        """Return the batch of a step.

        Returns:
            Observed input, N x (channels + conditions) x p x p, and clean target, N x channels x
            P x P.
        """
        size, seed = self.recipe.batch, self.recipe.seed
        places = range(self.rank * size, (self.rank + 1) * size)
        pairs = [self._pair(np.random.default_rng([seed, step, place]), step) for place in places]
        observed, clean = (
            torch.from_numpy(np.stack(side)).permute(0, 3, 1, 2)
            for side in zip(*pairs, strict=True)
        )
        return observed, clean

    def _pair(self, rng: np.random.Generator, step: int) -> tuple[Pixels, Pixels]:
        sample = self.samples[
            np.searchsorted(self.shares, rng.random() * self.shares[-1], side="right")
        ]
        sides, seed = self.recipe.sides, self.recipe.seed
        drawn = np.random.default_rng([seed, step]).integers(len(sides))  # one for the batch
        clean, damaged = self._cut(sample, sides[drawn], rng)
        clean, damaged = self._vary(clean, damaged, rng)
        damage = self.kind.draw(self.recipe.levels, rng)
        if (fitting := damage.crop_to_scale(clean)).shape != clean.shape:
            raise UsageError(
                f"Cannot train on patches of {len(clean)} pixels: the scale does not divide them."
                f" Use --patch {len(fitting)}."
            )
        task, observed, clean = (
            damage.pair(clean, rng) if damaged is None else damage.real_pair(clean, damaged)
        )
        if clean.shape[2] < self.geometry.channels:
            clean, observed = to_rgb(clean), to_rgb(observed)
        stacked = stack_input(task, observed, self.recipe.levels, self.geometry)
        if step < self.recipe.pretrain:
            stacked[..., : self.geometry.channels] = clean
        return stacked, clean

    def _cut(
        self, sample: Sample, patch: int, rng: np.random.Generator
    ) -> tuple[Pixels, Pixels | None]:
        """Cut the same place from both images, and augment it as the recipe says."""
        side = patch // sample.scale
        cuts = [self._choose(sample, side, rng) for _ in range(self.recipe.detail)]
        cut = max(cuts, key=_measure_detail)
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        turns = turns if self.recipe.augment == "turn" else 0
        mirrored = mirrored and self.recipe.augment != "none"
        clean = to_float(_turn(_pad(cut.clean, sample.scale * side), turns, mirrored))
        if cut.damaged is None:
            return clean, None
        return clean, to_float(_turn(_pad(cut.damaged, side), turns, mirrored))

    def _choose(self, sample: Sample, side: int, rng: np.random.Generator) -> Sample:
        grid = self.kind.grid if sample.damaged is not None else 1
        corner = [grid * int(rng.integers(max(0, size - side) // grid + 1)) for size in sample.size]
        return sample.crop(corner, side)

    def _vary(
        self, clean: Pixels, damaged: Pixels | None, rng: np.random.Generator
    ) -> tuple[Pixels, Pixels | None]:
        """Enlarge patches, add noise, or make them gray, in the shares of the recipe."""
        recipe = self.recipe
        if recipe.enlarged and damaged is None and rng.random() < recipe.enlarged:
            clean = _enlarge(clean, rng.uniform(1, 2))
        if recipe.grain and damaged is None and rng.random() < recipe.grain:
            clean = mottle(clean, photo_noise.draw_level(rng, _MAX_GRAIN), rng).clip(0, 1)
        if recipe.gray and clean.shape[2] == 3 and rng.random() < recipe.gray:
            clean, damaged = to_gray(clean), None if damaged is None else to_gray(damaged)
        return clean, damaged


def _measure_detail(cut: Sample) -> float:
    """Return the variance of the Laplacian of the green channel."""
    import cv2

    green = np.ascontiguousarray(cut.clean[..., cut.clean.shape[2] // 2])
    return float(cv2.Laplacian(green, cv2.CV_32F).var())


def _pad(image: Bytes, side: int) -> Bytes:
    """Mirror an image beyond its lower and right edges to the side of a patch, if it is smaller."""
    missing = [(0, side - size) for size in image.shape[:2]]
    if any(after for _, after in missing):
        return np.pad(image, [*missing, (0, 0)], mode="symmetric")
    return image


def _turn(image: Bytes, turns: int, mirrored: bool) -> Bytes:
    image = np.rot90(image, turns)
    return image[:, ::-1] if mirrored else image


def _enlarge(image: Pixels, factor: float) -> Pixels:
    """Enlarge the corner of an image to the size of the image."""
    import cv2

    height, width, channels = image.shape
    corner = image[: math.ceil(height / factor), : math.ceil(width / factor)]
    larger = cv2.resize(corner, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(larger.reshape(height, width, channels).clip(0, 1), np.float32)
