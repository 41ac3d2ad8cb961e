"""The request for a batch, and the callbacks that report its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from restore_cli.engine import Settings
from restore_cli.models.catalog import Entry
from restore_cli.pipeline.files import Existing, FileJob
from restore_cli.pipeline.plan import Plan
from restore_cli.report.comparison import Comparison

PageChoice = Literal["first", "all"]


@dataclass(frozen=True)
class Request:
    """What to restore, and how.

    Attributes:
        plan: the steps that the photos go through.
        items: inputs and outputs, from `files.plan`; None means that the next one is not known yet.
        settings: how to run the networks.
        devices: one device for each process; with at most one, no other process is started.
        ray: address of the Ray cluster whose actors restore the photos, "local" for one on this
            computer; `devices` has one device for each actor, or none for all GPUs or CPU cores.
        pages: "all" restores all frames or pages of a file, "first" only the first one.
        jpeg_quality: 1 to 100, for lossy formats; None is 95, or the input's if higher, or 99
            when deblocking a good JPEG.
        max_pixels: largest input, see `read_picture`.
        existing: what to do with outputs that exist, also if they were created during the run.
        retry_failed: whether to restore photos again that the journal lists as failed.
        check_tiles: whether to measure the effect of tiling.
        noise_levels: whether records have the noise before and after, which takes about as long to
            measure as a photo of 0.1 megapixels takes to restore.
        checksums: whether records have the checksums of the files.
        provenance: whether to write into the output's metadata how it was made.
        date: in UTC, as 2026-01-31T12:00:00Z, for the provenance; empty is the current one.
        offline: whether downloads are forbidden.
        debug: whether to raise the first error instead of continuing.
    """

    plan: Plan
    items: Iterable[FileJob | None]
    settings: Settings = field(default_factory=Settings)
    devices: tuple[str, ...] = ()
    ray: str | None = None
    pages: PageChoice = "first"
    jpeg_quality: int | None = None
    max_pixels: int | None = None
    existing: Existing = "overwrite"
    retry_failed: bool = False
    check_tiles: bool = False
    noise_levels: bool = True
    checksums: bool = False
    provenance: bool = False
    date: str = ""
    offline: bool = False
    debug: bool = False


@dataclass(frozen=True)
class Callbacks:
    """Functions that are called while files are restored.

    Attributes:
        on_download: called with a model, its bytes that are downloaded, and all its bytes, 0 if
            unknown.
        on_progress: called with each further share of the current photo, 0 to 1, and the megapixels
            of the result that it amounts to.
        on_comparison: called with the PSNR of a written photo, infinite if unknown, and a function
            that creates its comparison with the input and any reference; None for no comparisons.
    """

    on_download: Callable[[Entry, int, int], None] = lambda entry, done, total: None
    on_progress: Callable[[float, float], None] = lambda share, megapixels: None
    on_comparison: Callable[[float, Callable[[], Comparison]], None] | None = None
