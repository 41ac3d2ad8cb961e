"""Missing pixels: given by a mask or boxes, or found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from restore_cli.errors import RestoreError, UsageError
from restore_cli.tasks import Networks, Task, option
from restore_cli.tasks.restoration import (
    NetworkInput,
    NetworkRun,
    Restoration,
    TaskReport,
    Trained,
)

if TYPE_CHECKING:  # the command line reads the tasks for its help, and must not wait for numpy
    from restore_cli.image import Mask, Picture, Pixels
    from restore_cli.models.checkpoint import Checkpoint

Paint = Literal["text", "scratches"]  # what can be found
FINDERS = ("finder", "blind")  # models that find it: soft and hard paint; hard paint to the pixel


def parse_box(word: str) -> tuple[int, int, int, int]:
    """ "x,y,w,h": the left upper corner, width and height, in pixels."""
    parts = word.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise UsageError(
            f"The box is {word!r}; give x,y,width,height in pixels, such as 10,20,300,40."
        )
    x, y, width, height = map(int, parts)
    if not width or not height:
        raise UsageError(f"The box {word!r} is empty; give it a width and a height of at least 1.")
    return x, y, width, height


def parse_grow(word: str) -> int:
    """A number of pixels."""
    try:
        return int(word)
    except ValueError as error:
        raise UsageError(
            f"The mask is to grow by {word!r}; give a whole number of pixels."
        ) from error


def parse_detect(word: str) -> Paint:
    """ "text" or "scratches"."""
    if word == "text":
        return "text"
    if word == "scratches":
        return "scratches"
    raise UsageError(f"What is to be detected is {word!r}; choose text or scratches.")


@dataclass(frozen=True)
class Inpaint(Task):
    """Fill in missing parts of photos: what is white in --mask, boxes, and text or scratches that
    it finds.

    Attributes:
        box: rectangles that are missing, x, y, width and height in pixels.
        detect: "text" or "scratches" that lie on the photo, to be found.
        grow: pixels by which all that is missing grows on every side.
        blind: "text" or "scratches" that a network takes away without being given a mask, which is
            what finds them.
    """

    name: ClassVar[str] = "inpaint"
    suffix: ClassVar[str] = "inpainted"
    preserves_mean: ClassVar[bool] = False
    keeps_most_pixels: ClassVar[bool] = True

    box: tuple[tuple[int, int, int, int], ...] = option(
        (),
        help="A part that is missing, in the upright photo; what reaches beyond it is cut; may be"
        " repeated.",
        metavar="X,Y,W,H",
        parse=parse_box,
    )
    detect: Literal["text", "scratches"] | None = option(
        None,
        help="Find text or scratches on the photo, and fill them in; --save-mask shows what was"
        " found.",
        metavar="text|scratches",
        parse=parse_detect,
    )
    grow: int = option(
        0,
        help="Pixels by which what is missing grows on every side.",
        metavar="INTEGER",
        parse=parse_grow,
    )
    blind: str | None = None

    def __post_init__(self) -> None:
        if self.grow < 0:
            raise UsageError(f"The mask is to grow by {self.grow}; give a whole number of pixels.")
        if self.detect:
            parse_detect(self.detect)

    def prepare(self, picture: Picture, trained: Trained) -> NetworkInput:
        """Fill missing pixels roughly, and give a plane that is 1 where they are and 0 elsewhere.

        To a network that is to find damage the plane says what: 0 is text, 1 scratches.
        """
        if self.blind:
            plane = float(self.blind == "scratches")
            return NetworkInput(picture.pixels, (plane,) * trained.geometry.conditions)
        from restore_cli.tasks.missing import find_missing

        missing = find_missing(picture.pixels)
        warnings: tuple[str, ...] = ()
        if self.detect and not missing.any():
            warnings = (f"Found no {self.detect}; nothing is changed.",)
        return NetworkInput(
            self.unrestored(picture.pixels),
            (missing.astype("float32"),) * trained.geometry.conditions,
            TaskReport({"missing": f"{missing.mean():.2%}"}, warnings),
            missing,
        )

    def restore(
        self, picture: Picture, mask: Pixels | None, networks: Networks, strength: float = 1.0
    ) -> Restoration:
        """Find the damage, if it is to be found, add the mask and the boxes, and fill them in.

        A chosen model that finds damage does no more than that; the default fills what it finds.

        Raises:
            UsageError: nothing says what is missing, or the model needs --detect.
            RestoreError: mask and boxes leave nothing to fill, or nothing to fill it from.
        """
        model = networks.chosen
        finds = bool(model.conditions.get("blind"))
        unrestored = self.unrestored(picture.pixels)  # what lies under the mask, too
        if self.blind:
            return self.run(picture, unrestored, None, networks, model, strength)
        if finds and not self.detect:
            raise UsageError(
                "This model finds what is painted over a photo; give it --detect, or another"
                " --model."
            )
        if not self.detect:
            observed, where = self._mark(picture.pixels, mask)
            marked = replace(picture, pixels=observed)
            return self.run(marked, unrestored, where, networks, model, strength)
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
        """At strength 0, too, for the mask of what is found may be kept.

        Args:
            finds: whether the chosen model is the one that finds.
        """
        import numpy as np

        from restore_cli.tasks.detection import locate

        model = networks.chosen
        finder = Inpaint(blind=self.detect)
        finders = [model] if finds else [networks.find(name, self.name) for name in FINDERS]
        share = 1 / len(finders)
        runs = [networks.run(finder, one, finder.feed(picture, one), share) for one in finders]
        made = [finder.finish(run.result.pixels, picture.pixels) for run in runs]
        known, doubt = locate(str(self.detect), made, picture.pixels, keep_edges=not self.grow)
        observed, where = self._mark(known, mask)
        where = np.maximum(where, (known != picture.pixels).any(axis=2))
        if finds and strength and where.any():
            model = networks.find(None, self.name)
        marked = replace(picture, pixels=observed)
        filled = self.run(marked, unrestored, where, networks, model, strength, 0)
        warnings = (*filled.report.warnings, *filter(None, [doubt]))
        report = replace(filled.report, warnings=warnings)
        return replace(filled, report=report, runs=(*runs, *filled.runs))

    def _mark(self, pixels: Pixels, mask: Pixels | None) -> tuple[Pixels, Pixels]:
        """The pixels, NaN where they are missing, and H x W, 1 where they are and 0 elsewhere."""
        from restore_cli.tasks.missing import find_missing, mark

        found = bool(self.detect) or bool(find_missing(pixels).any())
        if mask is None and not self.box and not found:
            raise UsageError("Nothing says what is missing; give --mask, --box or --detect.")
        observed = mark(pixels, mask, self.box, self.grow)
        missing = find_missing(observed)
        if not missing.any() and not self.detect:
            raise RestoreError(
                "nothing is missing, for its mask is nowhere half white or more; make white what is"
                " missing."
            )
        return observed, missing.astype("float32")

    def run_network(
        self, fed: NetworkInput, networks: Networks, model: Checkpoint, progress: float
    ) -> NetworkRun:
        """Fill gaps from coarse to fine.

        A network that looks at the whole picture needs no coarser guess; it sees what is missing,
        and as much again around it.
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
        """Run a network over what is missing and as much again around it; the rest stays."""
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
        """Missing pixels smoothly filled; see `fill`."""
        from restore_cli.tasks.missing import fill, find_missing

        return fill(observed, find_missing(observed))
