"""One offline page: pictures compared down to their pixels, and benchmarks as a table and
charts.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
from bisect import insort
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from restore_cli.atomic import check_place, write_text
from restore_cli.errors import UsageError

FOLDED = (
    "images",
    "median",
    "worst",
    "seconds",
    "peak MB",
    "parameters",
)  # columns shown on request
COSTS = ("seconds/MP", "kFLOP/pixel")  # that the scatter can show beside a row's quality
RISING = ("PSNR", "SSIM", "median", "worst", "MP/s")  # how columns begin in which more is better
PHOTOS = 50  # on the page of a batch, and
CHARACTERS = (
    2**28
)  # of their pictures: Chromium takes 2**29, and writing them takes four times the memory


@dataclass(frozen=True, eq=False)
class Version:
    """One version of a picture.

    Attributes:
        name: "input", "house" or "reference".
        pixels: H x W x C, C = 1 (gray) or 3 (RGB); shown clipped to [0, 1] in 8 bits, NaN as black.
        note: stands below the name, "28.41 dB".
    """

    name: str
    pixels: NDArray[np.float32]
    note: str = ""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Versions of one picture, the damaged one first and a reference last; the first two are shown
    first.

    Raises ValueError unless there are two versions or more, all of one height and width.
    """

    title: str
    versions: tuple[Version, ...]

    def __post_init__(self) -> None:
        if len(self.versions) < 2:
            raise ValueError("a comparison takes two versions or more")
        if len({version.pixels.shape[:2] for version in self.versions}) > 1:
            raise ValueError(f"the versions of {self.title} differ in size")


@dataclass(frozen=True)
class Row:
    """One model on one set at one level of damage.

    Attributes:
        measured: False for a published figure, which is shown apart from those measured.
        figures: "PSNR", "SSIM", "parameters" and so on, in the order of the columns; None is
            missing.
        images: PSNR in dB of each image by its name; may be empty.
        note: "winner", "not told apart from house", the source of a published figure.
        quality: the figure by which the models are compared, "PSNR Y".
        about: library, version and settings of a method that is no model of ours.
        details: all figures of each image by its name; may be empty.
        files: sha256 of the model's checkpoints, by their names.
    """

    task: str
    set: str
    level: str
    model: str
    protocol: str
    measured: bool
    figures: Mapping[str, float | None]
    images: Mapping[str, float]
    note: str = ""
    quality: str = "PSNR"
    about: str = ""
    details: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def worst(self) -> str:
        """The name of the image of the lowest PSNR; nothing where no images are known."""
        return min(self.images, key=lambda name: self.images[name], default="")

    @property
    def basis(self) -> str:
        """What rows that may be compared have in common: "sr, as published: luma"."""
        return f"{self.task}{'' if self.measured else ', as published'}: {self.protocol}"


@dataclass(frozen=True)
class Cell:
    """A figure as it is read and as it is sorted; both are empty where it is missing."""

    text: str = ""
    value: str = ""


@dataclass
class Gallery:
    """A page of what a batch compares, encoded as it comes: the comparisons of lowest rank, in its
    order.

    It has room for PHOTOS, or fewer once their pictures take CHARACTERS; one alone may take more.

    Attributes:
        path: of the page; a file that is there is replaced.
        what: ends the title, "denoised".
        kept: rank and contents of the comparisons on the page.
        left_out: how many found no room.
    """

    path: Path
    what: str
    kept: list[tuple[float, dict[str, Any]]] = field(default_factory=list)
    left_out: int = 0

    @property
    def photos(self) -> str:
        """ "photo.jpg", "12 photos" or "50 of 60 photos"."""
        shown, offered = len(self.kept), len(self.kept) + self.left_out
        if offered == 1:
            return str(self.kept[0][1]["title"])
        return f"{shown} of {offered} photos" if self.left_out else f"{shown} photos"

    def add(self, rank: float, compare: Callable[[], Comparison]) -> None:
        """Offer a comparison, which is made only where there may be room for it."""
        if self.left_out and rank >= self.kept[-1][0]:
            self.left_out += 1
            return
        insort(self.kept, (rank, _embed(compare())), key=itemgetter(0))
        while len(self.kept) > PHOTOS or (len(self.kept) > 1 and self._characters() > CHARACTERS):
            self.kept.pop()
            self.left_out += 1

    def _characters(self) -> int:
        return sum(len(version["source"]) for _, one in self.kept for version in one["versions"])

    def write(self) -> None:
        """Write the page, unless there is nothing on it; raises RestoreError if that fails."""
        if self.kept:
            comparisons = [one for _, one in self.kept]
            title = f"{self.photos}, {self.what}"
            write_text(
                self.path, _render([_asset("viewer.js")], title=title, comparisons=comparisons)
            )


def render_comparisons(title: str, comparisons: Sequence[Comparison]) -> str:
    """The page of a viewer, which needs neither other files nor a network."""
    return _render(
        [_asset("viewer.js")], title=title, comparisons=[_embed(one) for one in comparisons]
    )


def render_bench(
    title: str,
    rows: Sequence[Row],
    comparisons: Sequence[Comparison],
    *,
    notes: Sequence[str] = (),
) -> str:
    """The page of a benchmark: table, protocols, charts, and a viewer if there are comparisons, in
    order.

    Args:
        notes: paragraphs below the protocols, such as what the figures are.

    Raises:
        UsageError: plotly is not installed.
    """
    scripts = [_plotly(), _asset("bench.js"), *([_asset("viewer.js")] if comparisons else [])]
    columns = list(dict.fromkeys(name for row in rows for name in row.figures))
    numbers = {name: _cells([row.figures.get(name) for row in rows]) for name in columns}
    points = [
        {
            "group": " · ".join((row.task, row.set, row.level)),
            "model": row.model,
            "measured": row.measured,
            "figure": row.quality,
            "quality": _finite(row.figures.get(row.quality)),
            "costs": _costs(row.figures),
            "images": [[name, _finite(value)] for name, value in row.images.items()],
        }
        for row in rows
    ]
    return _render(
        scripts,
        title=title,
        comparisons=[_embed(one) for one in comparisons],
        notes=notes,
        columns=columns,
        folded=FOLDED,
        rising=[name for name in columns if name.startswith(RISING)],
        bases=list(dict.fromkeys(row.basis for row in rows)),
        rows=[(row, [numbers[name][index] for name in columns]) for index, row in enumerate(rows)],
        tasks=sorted({row.task for row in rows}),
        sets=sorted({row.set for row in rows}),
        bench={"costs": COSTS, "rows": points},
    )


def check_charts() -> None:
    """Raise UsageError where the page of a benchmark cannot be made, before any work is done."""
    _plotly()


def check_page(path: Path, *, overwrite: bool = False) -> None:
    """Raise UsageError where a page cannot be written under this name, before any work is done."""
    check_place(path, (".html", ".htm"), overwrite=overwrite)


def _render(scripts: Sequence[str], **values: Any) -> str:
    """Fill in the template; its policy lets these scripts run and no other, and nothing be
    loaded.
    """
    digests = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts
    ]
    return fill_in(
        "page.html.j2",
        **{"bench": None, **values},
        policy=Markup(" ".join(f"'sha256-{digest}'" for digest in digests)),
        style=Markup(_asset("page.css")),
        scripts=[Markup(text) for text in scripts],
    )


def fill_in(template: str, **values: Any) -> str:
    """A file of `page/` with these values; texts among them are escaped."""
    environment = Environment(
        loader=PackageLoader("restore_cli.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(values)


def _asset(name: str) -> str:
    """The text of a file of the page."""
    return (resources.files("restore_cli.report") / "page" / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """The text of plotly.js."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UsageError("Charts need plotly; run `pip install 'restore-cli[report]'`.") from error
    return str(get_plotlyjs())


def _embed(comparison: Comparison) -> dict[str, Any]:
    height, width = comparison.versions[0].pixels.shape[:2]
    versions = [
        {"name": version.name, "note": version.note, "source": _png(version.pixels)}
        for version in comparison.versions
    ]
    return {"title": comparison.title, "width": width, "height": height, "versions": versions}


def _png(pixels: NDArray[np.float32]) -> str:
    """A data URI."""
    samples = np.rint(np.nan_to_num(pixels).clip(0, 1) * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(samples[..., 0] if samples.shape[2] == 1 else samples).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _costs(figures: Mapping[str, float | None]) -> dict[str, float]:
    """By name those of COSTS that are known of a row."""
    speed, work = figures.get("MP/s"), figures.get("kFLOP/pixel")
    found = zip(COSTS, (1 / speed if speed else None, work), strict=True)
    return {name: cost for name, cost in found if cost and math.isfinite(cost)}


def _finite(value: float | None) -> float | None:
    """None for what JSON cannot hold."""
    return float(value) if value is not None and math.isfinite(value) else None


def _cells(values: Sequence[float | None]) -> list[Cell]:
    """The cells of a column: its largest figure has four digits, the others as many decimals."""
    largest = max((abs(value) for value in values if value and math.isfinite(value)), default=1.0)
    decimals = min(max(3 - math.floor(math.log10(largest)), 0), 4)

    def cell(value: float | None) -> Cell:
        if value is None or math.isnan(value):
            return Cell()
        if math.isinf(value):
            return Cell("∞" if value > 0 else "-∞", "Infinity" if value > 0 else "-Infinity")
        if isinstance(value, int):
            return Cell(f"{value:,}", str(value))
        short = value and abs(value) < 10**-decimals
        return Cell(f"{value:.2g}" if short else f"{value:,.{decimals}f}", repr(float(value)))

    return [cell(value) for value in values]
