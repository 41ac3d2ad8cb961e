"""Rain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from restore_cli.tasks import Networks, Task
from restore_cli.tasks.restoration import Restoration

if TYPE_CHECKING:
    from restore_cli.image import Picture, Pixels

DARKER = 8.0  # by how many levels of 255 a photo may become darker; most rain takes up to 4
UNCERTAIN = (
    "The photo became much darker: it may have no rain, or dense rain in front of something dark."
    " Check it; a lower `--strength` changes less."
)


@dataclass(frozen=True)
class Derain(Task):
    """Remove rain from photos."""

    name: ClassVar[str] = "derain"
    suffix: ClassVar[str] = "derained"
    skips_frames: ClassVar[bool] = True
    preserves_mean: ClassVar[bool] = False
    turns: ClassVar[int] = 1  # rain falls

    def restore(
        self, picture: Picture, mask: Pixels | None, networks: Networks, strength: float = 1.0
    ) -> Restoration:
        """Restore a picture, and warn if it lost much light."""
        import numpy as np

        before = picture.pixels.mean(dtype=np.float64)  # the network may overwrite the picture
        done = super().restore(picture, mask, networks, strength)
        share = strength * (1.0 if mask is None else float(mask.mean()))
        darker = 255 * share * (before - done.pixels.mean(dtype=np.float64))
        return done.warn(UNCERTAIN) if darker > DARKER else done
