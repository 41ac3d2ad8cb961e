"""How exactly an IRAE checkpoint is undone: the largest error of the input found again from the output.

    python benchmarks/inverse.py mine.safetensors photo.png

Of the photo's corner, 256 pixels a side at most, with empty planes where the network takes conditions, and of
uniform noise, in float32 and float64.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from restore_cli.archs.invertible import IRAE
from restore_cli.image import read_picture, to_rgb
from restore_cli.weights import load


def main() -> None:
    """Run forwards and backwards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("photo", type=Path)
    options = parser.parse_args()
    network = load(options.checkpoint).network
    assert isinstance(network, IRAE), "the checkpoint is no IRAE"
    grid = network.geometry.multiple
    pixels = read_picture(options.photo).pixels
    pixels = to_rgb(pixels) if pixels.shape[2] == 1 else pixels
    height, width = (min(256, side // grid * grid) for side in pixels.shape[:2])
    photo = torch.from_numpy(pixels[:height, :width].transpose(2, 0, 1).copy())[None]
    photo = torch.nn.functional.pad(photo, (0, 0, 0, 0, 0, network.geometry.conditions))
    noise = torch.rand(photo.shape, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float32, torch.float64):
        network = network.to(dtype)
        for name, image in (("photo", photo), ("noise", noise)):
            with torch.no_grad():
                found = network.inverse(network.through(image.to(dtype)))
            print(f"{name} {str(dtype).removeprefix('torch.')}: {(found - image).abs().max().item():.2g}")


if __name__ == "__main__":
    main()
