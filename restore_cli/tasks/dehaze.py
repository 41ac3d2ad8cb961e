"""Haze and fog."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from restore_cli.haze import measure_removed, reduce_scene
from restore_cli.tasks import Networks, Task
from restore_cli.tasks.restoration import NetworkInput, NetworkRun, Observed, Restoration, Trained

if TYPE_CHECKING:
    from restore_cli.image import Picture, Pixels
    from restore_cli.models.checkpoint import Checkpoint

SIDE = 512  # pixels on the long side at which a photo is shown to a network
_WINDOW = 49  # side of the windows in which haze is even, in pixels of the small photo
_STYLE = "style"  # the level of networks that know photos without haze
_LEAST = 1e-4  # variance below which the contrast of a window is not measured
DARKER, CLEARER = 8.0, 1.2  # a scene that got so much darker should get so much clearer
UNCERTAIN = (
    "The photo became darker, but hardly clearer: it may have no haze. Check its colors;"
    " a lower `--strength` changes less."
)


@dataclass(frozen=True)
class Dehaze(Task):
    """Remove haze and fog from photos."""

    name: ClassVar[str] = "dehaze"
    suffix: ClassVar[str] = "dehazed"
    skips_frames: ClassVar[bool] = True
    preserves_mean: ClassVar[bool] = False
    turns: ClassVar[int] = 1  # haze grows towards the horizon

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:
        """Reduce a large photo, if the network was trained for photos with and without haze.

        Only the whole scene shows whether a part of it is hazy or pale.
        """
        if _STYLE not in trained.levels or max(picture.pixels.shape[:2]) <= SIDE:
            return super().prepare(picture, trained)
        return NetworkInput(reduce_scene(picture.pixels, SIDE))

    def run_network(
        self, fed: NetworkInput, networks: Networks, model: Checkpoint, progress: float
    ) -> NetworkRun:
        """Run a network, and keep of its change what is a gain and an offset of each place."""
        if _STYLE not in model.conditions:
            return super().run_network(fed, networks, model, progress)
        small = fed.pixels.copy()  # the network may overwrite its input
        run = super().run_network(fed, networks, model, progress)
        even = _transfer(run.result.pixels, small, small)
        return replace(run, result=replace(run.result, pixels=even))

    def restore(
        self, picture: Picture, mask: Pixels | None, networks: Networks, strength: float = 1.0
    ) -> Restoration:
        """Restore a picture, and warn if it seems to have had no haze."""
        before = reduce_scene(picture.pixels)  # the network may overwrite the picture
        done = super().restore(picture, mask, networks, strength)
        darker, clearer = measure_removed(before, reduce_scene(done.pixels))
        share = strength * (1.0 if mask is None else float(mask.mean()))
        return done.warn(UNCERTAIN) if share * darker >= DARKER and clearer < CLEARER else done

    def finish(self, output: Pixels, observed: Observed) -> Pixels:
        """Repeat the change of a reduced photo on all its pixels."""
        size = output.shape[:2]
        if size != observed.size:
            output = _transfer(output, reduce_scene(observed.pixels, SIDE), observed.pixels)
        return super().finish(output, observed)


def _transfer(output: Pixels, small: Pixels, observed: Pixels) -> Pixels:
    """Repeat a change of a small photo on a large one.

    Haze changes each place linearly (Koschmieder's law), so that its removal has a gain and an
    offset, which a guided filter finds (He and Sun, "Fast Guided Filter", 2015). A window without
    contrast has a gain near 1.

    Args:
        output: the changed small photo, h x w x C.
        small: the small photo, h x w x c with C or 1 channels.
        observed: the large photo, H x W x c.

    Returns:
        H x W x C, not clipped.
    """
    import numpy as np

    last = observed.shape[2] - 1
    changed = np.empty((*observed.shape[:2], output.shape[2]), np.float32)
    for channel in range(output.shape[2]):
        own = min(channel, last)
        changed[..., channel] = _change(output[..., channel], small[..., own], observed[..., own])
    return changed


def _change(after: Pixels, before: Pixels, observed: Pixels) -> Pixels:
    import numpy as np

    level, wanted = _mean(before), _mean(after)
    variance = _mean(before * before) - level * level
    covariance = _mean(before * after) - level * wanted
    gain = np.asarray((covariance + _LEAST) / (variance + _LEAST), np.float32)
    size = observed.shape[::-1]
    return _enlarge(_mean(gain), *size) * observed + _enlarge(_mean(wanted - gain * level), *size)


def _mean(plane: Pixels) -> Pixels:
    import cv2
    import numpy as np

    window = (_WINDOW, _WINDOW)
    return np.asarray(cv2.blur(plane, window, borderType=cv2.BORDER_REFLECT), np.float32)


def _enlarge(plane: Pixels, width: int, height: int) -> Pixels:
    import cv2
    import numpy as np

    return np.asarray(cv2.resize(plane, (width, height)), np.float32)
