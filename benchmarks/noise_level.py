"""How well `--sigma auto` finds the noise level: mean absolute error on a folder of clean images.

    python benchmarks/noise_level.py DATA/cbsd68

Noise of each level is added to every image (seed 0), once in float and unclipped, once clipped and rounded to
8 bits as in a file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from restore_cli.image import is_image_name, read_picture
from restore_cli.metrics import estimate_noise
from restore_cli.tasks.denoise import Denoise


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sigma", type=float, nargs="+", default=[5, 15, 25, 50])
    options = parser.parse_args()
    images = [read_picture(path).pixels for path in sorted(options.folder.iterdir()) if is_image_name(path)]
    for sigma in options.sigma:
        for kind in ("float", "8 bits"):
            errors = []
            for clean in images:
                noisy = Denoise(sigma=sigma).degrade(clean, np.random.RandomState(0))
                if kind == "8 bits":
                    noisy = (np.rint(noisy.clip(0, 1) * 255) / 255).astype(np.float32)
                errors.append(estimate_noise(noisy) - sigma)
            mean, worst = np.abs(errors).mean(), np.abs(errors).max()
            print(f"sigma {sigma:g}, {kind}: mean absolute error {mean:.2f}, worst {worst:.2f}", flush=True)


if __name__ == "__main__":
    main()
