"""The HTML page of a batch: photos before and after."""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any

from restore_cli.atomic import check_place, write_text
from restore_cli.report.comparison import Comparison

_MAX_PHOTOS = 50
# Size of the embedded images: Chromium accepts 2**29, and writing needs four times the memory.
_MAX_CHARACTERS = 2**28


def check_page(path: Path, *, overwrite: bool = False) -> None:
    """Raise UsageError if a page cannot be written to this path, before any work is done."""
    check_place(path, (".html", ".htm"), overwrite=overwrite)


@dataclass
class Gallery:
    """A page with the comparisons of lowest rank in a batch, which are encoded as they arrive.

    It shows up to 50 comparisons, or fewer if their images exceed 256 MB; a single one may be
    larger.

    Attributes:
        path: path of the page; an existing file is replaced.
        what: end of the title, "denoised".
        kept: rank and content of the comparisons on the page, in order of rank.
        left_out: number of comparisons that did not fit.
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
        """Add a comparison; `compare` is called only if it may fit."""
        if self.left_out and rank >= self.kept[-1][0]:
            self.left_out += 1
            return
        from restore_cli.report.html import embed  # loads the template engine

        insort(self.kept, (rank, embed(compare())), key=itemgetter(0))
        while len(self.kept) > _MAX_PHOTOS or (
            len(self.kept) > 1 and self._characters() > _MAX_CHARACTERS
        ):
            self.kept.pop()
            self.left_out += 1

    def _characters(self) -> int:
        return sum(len(version["source"]) for _, one in self.kept for version in one["versions"])

    def write(self) -> None:
        """Write the page unless it is empty; raises RestoreError if that fails."""
        from restore_cli.report.html import asset, render_page

        if self.kept:
            comparisons = [one for _, one in self.kept]
            title = f"{self.photos}, {self.what}"
            write_text(
                self.path, render_page([asset("viewer.js")], title=title, comparisons=comparisons)
            )
