"""Describes how the rows of a case are measured."""

from __future__ import annotations

import numpy as np

from restore_cli.bench.cases import Case
from restore_cli.datasets.known import known_sets


def describe_protocol(case: Case) -> str:
    """Describe degradation, colors, rounding and border: "real pairs; results rounded ..."."""
    request, damage = case.request, case.damage
    entry = known_sets().get(case.images.name.lower())
    parts = ["real pairs" if case.real else damage.describe()]
    if case.real and entry and entry.damage:
        parts[0] += f", {entry.damage}"
    if case.real and damage.crop_to_scale(np.zeros((97, 97, 1), np.float32)).shape[0] < 97:
        parts.append("clean sides cut to a multiple of the scale")
    if request.gray:
        kind = "gray of full range" if request.full_range else "luma"
        parts.append(f"of the {kind}, rounded to 8 bits")
    if request.clip:
        parts.append("damaged images rounded to 8 bits")
    parts.append("results rounded to 8 bits, the input scored as it is")
    if request.metrics:
        names = " and ".join(metric.figure.name for metric in request.metrics)
        parts.append(f"{names} by pyiqa, all rounded to 8 bits")
    if damage.crop_border(np.zeros((100, 100, 1), np.float32)).shape[0] < 100:
        parts.append("borders of the scale left out")
    return "; ".join(parts)
