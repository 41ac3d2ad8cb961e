"""What is asked of a batch, and who hears of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from restore_cli.engine import Settings
from restore_cli.pipeline.files import FileJob
from restore_cli.report.comparison import Comparison
from restore_cli.tasks import Task


@dataclass(frozen=True)
class Request:
    """What to restore, and how.

    Attributes:
        task: with its options.
        items: inputs and outputs, from `files.plan`.
        model: as `catalog.choose` takes it; None is the task's default.
        settings: how to run the network.
        jpeg_quality: 1 to 100, of JPEG, WebP and AVIF; None is 95, or that of a better JPEG that
            was read, or 99 where little is mended of a good one.
        max_pixels: of a picture that is read, as `read_picture` has it.
        skip_existing: leave inputs alone whose output exists.
        strength: 0 to 1, how much of the change is made.
        check_tiles: measure what tiling changes.
        offline: never download.
        debug: raise the first error instead of going on.
    """

    task: Task
    items: Sequence[FileJob]
    model: str | None = None
    settings: Settings = field(default_factory=Settings)
    jpeg_quality: int | None = None
    max_pixels: int | None = None
    skip_existing: bool = False
    strength: float = 1.0
    check_tiles: bool = False
    offline: bool = False
    debug: bool = False


@dataclass(frozen=True)
class Callbacks:
    """What is called while a file is restored.

    Attributes:
        on_download: with the bytes done and the bytes in all, 0 if not known, of a model that is
            downloaded.
        on_progress: with a share more of the current picture, and the megapixels of its result that
            this is.
        on_comparison: with the PSNR of a picture that was written, infinite if it is not known, and
            a function that makes its comparison with the input and the reference, if there is one;
            None if no comparisons are wanted.
    """

    on_download: Callable[[int, int], None] = lambda done, total: None
    on_progress: Callable[[float, float], None] = lambda share, megapixels: None
    on_comparison: Callable[[float, Callable[[], Comparison]], None] | None = None
