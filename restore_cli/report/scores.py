"""Measured rows as the `scores` of weights.toml."""

from __future__ import annotations

import json
from typing import Any

from restore_cli.levels import to_plain
from restore_cli.report.figures import SSIM, SSIM_Y
from restore_cli.report.row import Colors, Row

_FLAGS: dict[Colors, str] = {
    "": "",
    "luma": ", luma = true",
    "gray": ", luma = true, full_range = true",
}


def to_score(row: Row) -> str:
    """Format a row as one line of TOML: set, level, PSNR, SSIM and protocol.

    PSNR is the figure by which models are compared, and SSIM is measured on the same channels.
    """
    levels = {key: to_plain(level) for key, level in row.level.items() if level is not None}
    keys = {"set": row.set} | levels
    values = [f"{key} = {_literal(value)}" for key, value in keys.items()]
    values.append(f"psnr = {row.figures[row.quality]:.4f}")
    ssim = row.figures.get(SSIM)
    if row.quality.luma:  # it is left out if it equals that over all channels
        ssim = row.figures.get(SSIM_Y, ssim)
    if ssim is not None:
        values.append(f"ssim = {ssim:.4f}")
    protocol = f"text = {json.dumps(row.protocol)}{_FLAGS[row.colors]}"
    return f"{{ {', '.join(values)}, protocol = {{ {protocol} }} }}"


def _literal(plain: Any) -> str:
    return f"{plain:g}" if type(plain) in (int, float) else json.dumps(plain)
