"""What became of each input, as values."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Record:
    """The outcome for one input. What does not apply is None.

    Attributes:
        input, output: paths, "-" for standard input and output.
        status: "done", "skipped", "planned" or "failed".
        task, model: what ran, no model where nothing could change, "a + b" where a finds damage and
            b fills the rest; `options` are the task's, as used (an estimated sigma in place of
            "auto").
        device, precision, tile: how the last model ran; tile 0 is the whole picture at once.
        width, height, channels, depth: of the picture, depth in bits a sample.
        output_width, output_height: of what was written.
        seconds: reading, restoring and writing, without loading the model; megapixels_per_s of the
            output.
        noise_before, noise_after: estimated noise level, 0..255 scale.
        psnr, ssim, psnr_y, ssim_y: against the reference, RGB (or gray) and BT.601 luma; dB for
            psnr.
        input_psnr: of the unrestored input against the reference, for comparison.
        tile_difference: largest difference of tiled and whole output on a crop, 0..1.
        warnings: sentences for the user; error: why it failed.
    """

    input: str
    status: str
    output: str | None = None
    task: str | None = None
    model: str | None = None
    options: dict[str, float | str] | None = None
    device: str | None = None
    precision: str | None = None
    tile: int | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    depth: int | None = None
    output_width: int | None = None
    output_height: int | None = None
    seconds: float | None = None
    megapixels_per_s: float | None = None
    noise_before: float | None = None
    noise_after: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    psnr_y: float | None = None
    ssim_y: float | None = None
    input_psnr: float | None = None
    tile_difference: float | None = None
    warnings: tuple[str, ...] = ()
    error: str | None = None

    def to_json(self) -> str:
        """One line of JSON without the fields that do not apply; an infinite PSNR becomes null."""
        fields = {
            name: _finite(value) for name, value in asdict(self).items() if value not in (None, ())
        }
        return json.dumps(fields, ensure_ascii=False)


def _finite(value: object) -> object:
    if isinstance(value, float):
        return None if value in (float("inf"), float("-inf")) else round(value, 6)
    return value
