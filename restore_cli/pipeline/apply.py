"""Restores one picture in memory: a task restores it, then strength and mask are applied."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from restore_cli import engine
from restore_cli.engine import Settings
from restore_cli.errors import UsageError
from restore_cli.image import Picture, Pixels, find_inside, to_rgb
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.pipeline.networks import Models, PictureNetworks, check_task
from restore_cli.tasks import Task, parse_strength
from restore_cli.tasks.inpaint import Inpaint
from restore_cli.tasks.restoration import NetworkRun, Observed, Restoration

_HIGHEST = 8.0  # of pixels in [0, 1] with strong noise; higher values are not in this range


def restore(
    picture: Picture,
    task: Task,
    model: Checkpoint | str | None = None,
    settings: Settings | None = None,
    *,
    strength: float = 1.0,
    mask: Pixels | None = None,
) -> Picture:
    """Restore one picture; metadata are kept, and alpha, which `Sr` resizes.

    A gray network restores a color picture channel by channel, or only its luma, depending on the
    task; a color network restores a gray picture as three equal channels and returns their gray.

    Args:
        picture: a picture of any size.
        task: the task with its options.
        model: a name, a path, or the result of `load`; by default the task's own model.
        settings: how to run the network.
        strength: blend between input and result, 0 to 1.
        mask: H x W in [0, 1] at the result's size, 1 where the picture is changed.

    Raises:
        WeightsError, UsageError: as from `load` and `engine.run`; or the pixels, the strength or
            the mask are not valid.
        RestoreError: the picture does not suit the task, such as a box outside of it, or the tiles
            are too small.
        EngineError: out of memory, or the network's output is unusable.
    """
    strength = parse_strength(float(strength))
    low, high = (least.reduce(picture.pixels, axis=None) for least in (np.fmin, np.fmax))  # no NaN
    missing = task.name != Inpaint.name and np.isnan(picture.pixels).any()
    if missing or max(-low, high) > _HIGHEST:
        raise UsageError(
            "Cannot use these pixels: expected finite numbers in [0, 1]. Divide values of 8 bits by"
            " 255."
        )
    models, task = Models(), task.look(picture)
    if mask is not None:
        mask = _check_mask(mask, task.target_size(picture.height, picture.width))
    if isinstance(model, Checkpoint):
        check_task(model, task.name)
    else:
        scale = task.enlargement(picture.height, picture.width)
        model = models.find(model or task.model, task.name, picture.channels, scale)
    change = apply(picture, task, model, models, settings or Settings(), strength, mask)
    return result_of(picture, task, change)


def _check_mask(mask: Pixels, size: tuple[int, int]) -> Pixels:
    """Return a mask in float32; raises UsageError if its size or values are not valid."""
    if mask.shape != size:
        raise UsageError(
            f"Cannot use a mask of shape {mask.shape}: the result has {size}, height and width."
        )
    whole = np.issubdtype(mask.dtype, np.integer)
    if whole or not (np.all(mask >= 0) and np.all(mask <= 1)):
        raise UsageError("Cannot use the mask: its values are not floats from 0 to 1. Divide them.")
    return np.asarray(mask, np.float32)


def result_of(picture: Picture, task: Task, change: Restoration) -> Picture:
    """The picture after a task has changed it; later tasks estimate which artifacts are left."""
    result = picture.with_pixels(change.pixels)
    resized = change.pixels.shape != picture.pixels.shape
    if (change.changed or resized) and not task.keeps_most_pixels:
        result = replace(result, jpeg_quality=None)
    return result


def restore_fully(
    picture: Picture, task: Task, model: Checkpoint, settings: Settings | None = None
) -> Pixels:
    """Restore a picture with a network at full strength, to evaluate the network.

    The network is run even if the task would not change the picture, blend the result with it or
    use another network. Pixels that are not missing are kept if others are missing.

    Args:
        picture: a picture without alpha; missing pixels are NaN.
        task: a task that does not detect damage.
        model: the model with the network.
        settings: how to run the network.

    Returns:
        H x W x C in [0, 1] at the result's size.
    """
    scale = task.enlargement(picture.height, picture.width)
    networks = PictureNetworks(model, Models(), picture.channels, scale, settings or Settings())
    fed = task.feed(picture, model)
    run = task.run_network(fed, networks, model, 1)
    restored = task.finish(run.result.pixels, Observed.of(picture.pixels))
    if fed.missing is None or not fed.missing.any():
        return restored
    return _blend(restored, task.unrestored(picture.pixels), 1, fed.missing.astype(np.float32))


def apply(
    picture: Picture,
    task: Task,
    model: Checkpoint,
    models: Models,
    settings: Settings,
    strength: float = 1.0,
    mask: Pixels | None = None,
    on_progress: Callable[[float], None] = lambda share: None,
    overwrite: bool = False,
) -> Restoration:
    """Restore a picture with a task, and apply strength and mask.

    A frame of one color is kept as it is if the task skips it: it would disturb what is measured.

    Args:
        picture: missing pixels are NaN.
        task: the task with its options.
        model: the model that restores the picture.
        models: finds other models that the task needs.
        settings: how to run networks.
        strength: blend between input and result, 0 to 1.
        mask: H x W in [0, 1] at the result's size, 1 where the picture is changed.
        on_progress: called with each further share of the work, 0 to 1.
        overwrite: write the result over the picture's pixels if possible, to save memory.
    """
    if task.skips_frames and (inside := find_inside(picture.pixels)):
        part, hole = picture.crop(*inside), None if mask is None else mask[inside]
        made = apply(part, task, model, models, settings, strength, hole, on_progress)
        if not made.changed:
            return replace(made, pixels=picture.pixels, unrestored=picture.pixels, mask=mask)
        pixels = picture.pixels.copy()
        pixels[inside] = made.pixels
        return replace(
            made, pixels=pixels, unrestored=picture.pixels, observed=picture.pixels, mask=mask
        )
    opaque = replace(picture, pixels=picture.opaque_pixels())
    networks = PictureNetworks(
        chosen=model,
        models=models,
        channels=picture.channels,
        scale=task.enlargement(picture.height, picture.width),
        settings=settings,
        on_progress=on_progress,
        overwrite=overwrite
        and replaces_all(task, strength, mask is not None)
        and picture.alpha is None,  # the color of transparent pixels is kept
    )
    made = task.restore(opaque, mask, networks, strength)
    if not made.changed:
        return made
    share = strength * made.report.strength
    return replace(made, pixels=_blend(made.pixels, made.unrestored, share, made.mask))


def replaces_all(task: Task, strength: float, masked: bool) -> bool:
    """Whether all pixels of a picture are replaced, so that none is needed afterwards."""
    return strength == 1 and not (masked or task.enlarges or task.keeps_most_pixels)


def _blend(restored: Pixels, observed: Pixels, strength: float, mask: Pixels | None) -> Pixels:
    """Blend between observed (0) and restored (1) pixels; at 0 the observed ones stay exact.

    Args:
        restored: is changed in place.
    """
    if strength == 1 and mask is None:
        return restored
    restored -= observed
    restored *= np.float32(strength) if mask is None else np.float32(strength) * mask[..., None]
    restored += observed
    return restored


def check_tiles(run: NetworkRun, settings: Settings) -> float | None:
    """The largest difference that tiling makes on a crop, 0 to 1; None without tiles."""
    network, pixels = run.model.network, run.input.pixels
    pixels = to_rgb(pixels) if network.geometry.channels == 3 else pixels[..., :1]
    return engine.check_tiles(network, pixels, run.input.conditions, settings)
