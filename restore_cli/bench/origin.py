"""Describes the machine and settings of the current run."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

import torch

from restore_cli import __version__
from restore_cli.device import find_processor
from restore_cli.engine import Settings, find_device
from restore_cli.report.row import Origin


def find_origin(settings: Settings, command: str) -> Origin:
    """Describe this machine, the settings and the command line."""
    device = find_device(settings.device)
    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return Origin(
        version=__version__,
        command=command,
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=", ".join(filter(None, (system, find_processor(), f"{os.cpu_count()} CPUs"))),
        device=gpu,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        precision=settings.precision,
    )
