"""Scores a denoiser on folders of clean images: mean PSNR and SSIM for each folder and noise level.

    python benchmarks/denoise.py --model house --sigma 15,25,50 DATA/set12 DATA/bsd68
    python benchmarks/denoise.py --model house --toml DATA/cbsd68        # a `scores` table for weights.toml

Protocol, that of KAIR: noise of sigma/255 added in float and not clipped, numpy's legacy generator with seed
0 anew for each image, H x W x C order; the result clipped and rounded to 8 bits; PSNR over all samples, mean
over images. Gray images are scored with the gray model, others with the colour model. The noisy input's own
PSNR stands beside each score: on Set12 it must read 24.64 at sigma 15, 20.20 at 25 and 14.18 at 50 (for it
alone nothing is clipped).
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from restore_cli.engine import Settings, run
from restore_cli.image import is_image_name, read_picture
from restore_cli.metrics import psnr, ssim
from restore_cli.tasks.denoise import Denoise
from restore_cli.weights import choose, load

PROTOCOL = "float noise, 8-bit result"


def score(folder: Path, sigma: float, model: str, settings: Settings) -> dict[str, Any]:
    """Mean scores of a model on a folder at one level."""
    paths = sorted(path for path in folder.iterdir() if is_image_name(path))
    images = [read_picture(path).pixels for path in paths]
    found = choose(model, "denoise", images[0].shape[2])
    loaded = load(found)
    task = Denoise(sigma=sigma)
    rows = []
    for clean in images:
        noisy = task.degrade(clean, np.random.RandomState(0))
        feed = task.prepare(noisy, loaded.conditions, loaded.network.geometry)
        result = run(loaded.network, feed.pixels, feed.conditions, settings)
        restored = task.finish(result.pixels, noisy)
        restored = (np.rint(restored * 255) / 255).astype(np.float32)
        rows.append((psnr(noisy, clean), psnr(restored, clean), ssim(restored, clean)))
    noisy_psnr, mean_psnr, mean_ssim = np.mean(rows, axis=0).tolist()
    return {
        "model": loaded.name,
        "set": folder.name,
        "images": len(images),
        "precision": result.precision,
        "sigma": sigma,
        "noisy": noisy_psnr,
        "psnr": mean_psnr,
        "ssim": mean_ssim,
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--model", default="house")
    parser.add_argument(
        "--sigma", default="15,25,50", type=lambda text: [float(part) for part in text.split(",")]
    )
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--ensemble", action="store_true")
    parser.add_argument("--toml", action="store_true")
    options = parser.parse_args()
    settings = Settings(precision=options.precision, ensemble=options.ensemble)
    for folder in options.folders:
        for sigma in options.sigma:
            row = score(folder, sigma, options.model, settings)
            if options.toml:
                scores = f"psnr = {row['psnr']:.3f}, ssim = {row['ssim']:.4f}"
                print(
                    f'    {{ set = "{row["set"]}", sigma = {sigma:g}, {scores}, protocol = "{PROTOCOL}" }},'
                )
            else:
                print(
                    "  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
                )


if __name__ == "__main__":
    main()
