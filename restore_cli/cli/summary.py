"""The summary after a batch: counts, time, mean noise and PSNR, and where the outputs are."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from restore_cli.report.record import Record

_NAMED = 3  # folders that are named; the others are counted


@dataclass
class Mean:
    """The mean of two figures of photos, before and after; photos without both are left out."""

    before: float = 0.0
    after: float = 0.0
    photos: int = 0

    def add(self, before: float | None, after: float | None) -> None:
        """Add the figures of a photo."""
        if before is None or after is None or not math.isfinite(before + after):
            return
        self.photos += 1
        self.before += (before - self.before) / self.photos
        self.after += (after - self.after) / self.photos

    def __str__(self) -> str:
        plural = "s" * (self.photos > 1)
        return f"{self.before:.1f} -> {self.after:.1f}, mean of {self.photos} photo{plural}"


@dataclass
class Summary:
    """What is known about a batch; it stays small for any number of photos."""

    counts: Counter[str] = field(default_factory=Counter)
    noise: Mean = field(default_factory=Mean)
    psnr: Mean = field(default_factory=Mean)
    folders: dict[str, None] = field(default_factory=dict)  # of outputs, in their order

    def add(self, record: Record) -> None:
        """Add the record of a photo."""
        self.counts[record.status] += 1
        self.noise.add(record.noise_before, record.noise_after)
        self.psnr.add(record.input_psnr, record.psnr)
        if record.status == "done" and record.output not in (None, "-"):
            self.folders[os.path.dirname(record.output or "") or "."] = None

    @property
    def results(self) -> str:
        """How many photos had which result: "97 done, 3 failed"."""
        named = ((self.counts[name], name) for name in ("done", "skipped", "failed"))
        return ", ".join(f"{count} {name}" for count, name in named if count)

    def rows(self, seconds: float, megapixels: float) -> Iterator[tuple[str, str]]:
        """The lines of a table, as name and value.

        Args:
            seconds: how long the batch took.
            megapixels: of all photos that are done.
        """
        yield "photos", self.results
        speed = f", {megapixels / seconds:.2g} MP/s" if megapixels else ""
        yield "time", f"{seconds:.1f} s{speed}"
        if self.noise.photos:
            yield "noise", str(self.noise)
        if self.psnr.photos:
            yield "PSNR in dB", str(self.psnr)
        if self.folders:
            named = list(self.folders)[:_NAMED]
            rest = len(self.folders) - len(named)
            yield "outputs", ", ".join(named) + f" and {rest} other folders" * (rest > 0)
