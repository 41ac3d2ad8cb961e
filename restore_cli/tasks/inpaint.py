"""Missing areas, given by a mask or boxes, or detected."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from restore_cli.errors import RestoreError, UsageError
from restore_cli.tasks import Networks, Task, option
from restore_cli.tasks.restoration import (
    NetworkInput,
    NetworkRun,
    Observed,
    Restoration,
    TaskReport,
    Trained,
)

if TYPE_CHECKING:  # for help texts the tasks are imported without numpy, which is slow
    from restore_cli.image import Mask, Picture, Pixels
    from restore_cli.models.checkpoint import Checkpoint

Paint = Literal["text", "scratches"]  # what can be detected
FINDERS = ("finder", "blind")  # models for soft and hard paint, and for hard paint exactly
MOST = 0.5  # share of a photo that is rarely missing
INVERTED = "White and gray areas are filled, black ones kept; invert the mask if that is wrong."


def parse_box(text: str) -> tuple[int, int, int, int]:
    """Parse "x,y,w,h": the upper left corner, width and height, in pixels."""
    parts = text.split(",")
    if len(parts) != 4 or not all(re.fullmatch(r" *[0-9]{1,9} *", part) for part in parts):
        raise UsageError(
            f"{text!r} is not a valid box;"
            " expected x,y,width,height in pixels, such as 10,20,300,40."
        )
    x, y, width, height = map(int, parts)
    if not width or not height:
        raise UsageError(f"{text!r} is not a valid box; expected a width and height of at least 1.")
    return x, y, width, height


def show_box(box: tuple[int, int, int, int]) -> str:
    """The text of a box."""
    return ",".join(map(str, box))


def parse_grow(text: str) -> int:
    """Parse a number of pixels."""
    try:
        return int(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not valid for --grow; expected a number of pixels."
        ) from error


def parse_detect(text: str) -> Paint:
    """Parse "text" or "scratches"."""
    if text == "text":
        return "text"
    if text == "scratches":
        return "scratches"
    raise UsageError(f"{text!r} is not valid for --detect; expected text or scratches.")


@dataclass(frozen=True)
class Inpaint(Task):
    """Fill in areas given by a mask or boxes, or detected (text, scratches).

    Attributes:
        box: rectangles to fill: x, y, width and height in pixels.
        detect: "text" or "scratches" to detect and remove.
        grow: pixels by which missing areas grow on every side.
        blind: "text" or "scratches" to remove without a mask, which is how they are detected.
    """

    name: ClassVar[str] = "inpaint"
    suffix: ClassVar[str] = "inpainted"
    preserves_mean: ClassVar[bool] = False
    keeps_most_pixels: ClassVar[bool] = True
    maps: ClassVar[int] = 1

    box: tuple[tuple[int, int, int, int], ...] = option(
        (),
        help="Rectangle to fill, in pixels of the upright photo, cropped to it; repeatable.",
        metavar="X,Y,W,H",
        parse=parse_box,
        show=show_box,
    )
    detect: Literal["text", "scratches"] | None = option(
        None,
        help="Detect and remove overlaid text or scratches; --save-mask saves where they are.",
        metavar="text|scratches",
        parse=parse_detect,
    )
    grow: int = option(
        0,
        help="Grow the mask by this many pixels on every side.",
        metavar="INTEGER",
        parse=parse_grow,
    )
    blind: str | None = None

    def __post_init__(self) -> None:
        if self.grow < 0:
            raise UsageError(f"{self.grow} is not valid for --grow; expected 0 pixels or more.")
        if self.detect:
            parse_detect(self.detect)

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:
        """Fill missing pixels roughly, and add a plane with 1 for missing pixels and 0 elsewhere.

        For a network that detects damage, the plane is the kind: 0 is text, 1 is scratches.
        """
        if self.blind:
            plane = float(self.blind == "scratches")
            return NetworkInput(picture.pixels, (plane,) * trained.geometry.conditions)
        from restore_cli.tasks.missing import find_missing

        missing = find_missing(picture.pixels)
        warnings: tuple[str, ...] = ()
        if self.detect and not missing.any():
            warnings = (f"No {self.detect} detected; the photo was not changed.",)
        return NetworkInput(
            self.unrestored(picture.pixels),
            (missing.astype("float32"),) * trained.geometry.conditions,
            TaskReport({"missing": f"{missing.mean():.2%}"}, warnings),
            missing,
        )

    def restore(
        self, picture: Picture, mask: Pixels | None, networks: Networks, strength: float = 1.0
    ) -> Restoration:
        """Detect damage if requested, add mask and boxes, and fill the missing areas.

        If the chosen model only detects damage, the default model fills the areas.

        Raises:
            UsageError: there is no mask, box or detection, or the model needs --detect.
            RestoreError: there is nothing to fill, or nothing to fill it from.
        """
        model = networks.chosen
        finds = bool(model.conditions.get("blind"))
        unrestored = self.unrestored(picture.pixels)  # including the pixels under the mask
        if self.blind:
            return self.run(picture, unrestored, None, networks, model, strength)
        if finds and not self.detect:
            raise UsageError(
                "Cannot use this model without --detect. Add it, or use another --model."
            )
        if not self.detect:
            observed, where = self._mark(picture, mask)
            marked = replace(picture, pixels=observed)
            made = self.run(marked, unrestored, where, networks, model, strength)
            if mask is None or where.mean() <= MOST:
                return made
            return made.warn(f"The mask covers {where.mean():.0%} of the photo. {INVERTED}")
        return self._find_and_fill(picture, unrestored, mask, networks, strength, finds)

    def _find_and_fill(
        self,
        picture: Picture,
        unrestored: Pixels,
        mask: Pixels | None,
        networks: Networks,
        strength: float,
        finds: bool,
    ) -> Restoration:
        """Detect damage, also at strength 0 because the mask may be saved, and fill it.

        Args:
            finds: whether the chosen model is the one that detects.
        """
        import numpy as np

        from restore_cli.tasks.detection import locate

        model = networks.chosen
        finder = Inpaint(blind=self.detect)
        finders = [model] if finds else [networks.find(name, self.name) for name in FINDERS]
        share = 1 / len(finders)
        runs = [networks.run(finder, one, finder.feed(picture, one), share) for one in finders]
        seen = Observed.of(picture.pixels)
        made = [finder.finish(run.result.pixels, seen) for run in runs]
        known, doubt = locate(str(self.detect), made, picture.pixels, keep_edges=not self.grow)
        observed, where = self._mark(replace(picture, pixels=known), mask)
        where = np.maximum(where, (known != picture.pixels).any(axis=2))
        if finds and strength and where.any():
            model = networks.find(None, self.name)
        marked = replace(picture, pixels=observed)
        filled = self.run(marked, unrestored, where, networks, model, strength, 0)
        warnings = (*filled.report.warnings, *filter(None, [doubt]))
        options = {**filled.report.options, "missing": f"{where.mean():.2%}"}
        report = replace(filled.report, options=options, warnings=warnings)
        return replace(filled, report=report, runs=(*runs, *filled.runs))

    def _mark(self, picture: Picture, mask: Pixels | None) -> tuple[Pixels, Pixels]:
        """Set missing pixels to NaN; also returns H x W, 1 where they are and 0 elsewhere."""
        import numpy as np

        from restore_cli.tasks.missing import find_missing, mark

        found = bool(self.detect) or bool(find_missing(picture.pixels).any())
        if mask is None and not self.box and not found:
            raise UsageError("Cannot inpaint: no area is given. Use --mask, --box or --detect.")
        observed = mark(picture.pixels, mask, self.box, self.grow)
        missing = find_missing(observed)
        if not missing.any() and not self.detect:
            raise RestoreError(
                "Cannot inpaint: the mask has no white pixels. Paint the areas to fill in white."
            )
        seen = picture.visible
        if seen is not None and not self.detect and not (missing & seen).any():
            raise RestoreError(
                "Cannot inpaint: only transparent pixels are marked, and these stay transparent."
                " Remove the transparency first."
            )
        if seen is not None:  # hidden pixels have the color of the nearest visible one
            known = (seen & ~missing).astype("uint8")
            observed = replace(picture, pixels=observed, alpha=known).opaque_pixels().copy()
            observed[missing] = np.nan
        return observed, missing.astype("float32")

    def run_network(
        self, fed: NetworkInput, networks: Networks, model: Checkpoint, progress: float
    ) -> NetworkRun:
        """Fill gaps from coarse to fine.

        A network that looks at the entire picture does not need a coarse guess; it runs on the
        missing area and its surroundings.
        """
        import numpy as np

        from restore_cli.image import Picture
        from restore_cli.tasks.missing import coarsen, refine

        if fed.missing is None:
            return networks.run(self, model, fed, progress)
        if not model.network.geometry.local:
            return self._run_around(fed, fed.missing, networks, model, progress)
        observed = np.where(fed.missing[..., None], np.float32(np.nan), fed.pixels)
        smaller = coarsen(observed)
        if smaller is not None:
            guess = self.run_network(self.feed(Picture(smaller), model), networks, model, 0)
            fed = replace(fed, pixels=refine(fed.pixels, observed, guess.result.pixels))
        return networks.run(self, model, fed, progress)

    def _run_around(
        self,
        fed: NetworkInput,
        missing: Mask,
        networks: Networks,
        model: Checkpoint,
        progress: float,
    ) -> NetworkRun:
        """Run a network on the missing area and its surroundings; the rest is not changed."""
        import numpy as np

        from restore_cli.tasks.missing import around

        part = around(missing)
        planes = tuple(one if isinstance(one, float) else one[part] for one in fed.conditions)
        cut = replace(fed, pixels=np.ascontiguousarray(fed.pixels[part]), conditions=planes)
        run = networks.run(self, model, cut, progress)
        pixels = fed.pixels.copy()
        pixels[part] = run.result.pixels
        return replace(run, result=replace(run.result, pixels=pixels))

    def unrestored(self, observed: Pixels) -> Pixels:
        """The observed pixels with gaps filled smoothly, see `fill`."""
        from restore_cli.tasks.missing import fill, find_missing

        return fill(observed, find_missing(observed))
