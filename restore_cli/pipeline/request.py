"""The request for a batch, and the callbacks that report its progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from restore_cli.engine import Settings
from restore_cli.pipeline.files import FileJob
from restore_cli.pipeline.plan import Plan
from restore_cli.report.comparison import Comparison


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
        jpeg_quality: 1 to 100, for JPEG, WebP and AVIF; None is 95, or the input's if higher, or 99
            when deblocking a good JPEG.
        max_pixels: largest input, see `read_picture`.
        skip_existing: whether to skip inputs with an existing output.
        retry_failed: whether to restore photos again that the journal lists as failed.
        check_tiles: whether to measure the effect of tiling.
        checksums: whether records have the checksums of the files.
        offline: whether downloads are forbidden.
        debug: whether to raise the first error instead of continuing.
    """

    plan: Plan
    items: Iterable[FileJob | None]
    settings: Settings = field(default_factory=Settings)
    devices: tuple[str, ...] = ()
    ray: str | None = None
    jpeg_quality: int | None = None
    max_pixels: int | None = None
    skip_existing: bool = False
    retry_failed: bool = False
    check_tiles: bool = False
    checksums: bool = False
    offline: bool = False
    debug: bool = False


@dataclass(frozen=True)
class Callbacks:
    """Functions that are called while files are restored.

    Attributes:
        on_download: called with the bytes done and the total bytes of a model, 0 if unknown.
        on_progress: called with each further share of the current photo, 0 to 1, and the megapixels
            of the result that it amounts to.
        on_comparison: called with the PSNR of a written photo, infinite if unknown, and a function
            that creates its comparison with the input and any reference; None for no comparisons.
    """

    on_download: Callable[[int, int], None] = lambda done, total: None
    on_progress: Callable[[float, float], None] = lambda share, megapixels: None
    on_comparison: Callable[[float, Callable[[], Comparison]], None] | None = None
