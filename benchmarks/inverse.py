"""Measures how exactly an IRAE can be inverted: the largest error of an input computed from output.

    python benchmarks/inverse.py mine.safetensors photo.png ...
    python benchmarks/inverse.py 0.0 photo.png ...

The network is a checkpoint, or an untrained one with this floor of its couplings. The error is
measured on the corner of each photo, up to 256 x 256 pixels, with empty condition planes, and on
uniform noise, in float32 and float64. The script also prints the smallest scale of all couplings on
the photos: errors grow by its inverse.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from unittest import mock

import torch
from torch import Tensor

from restore_cli.archs import invertible
from restore_cli.archs.invertible import IRAE
from restore_cli.image import read_picture, to_rgb
from restore_cli.models.checkpoint import load


def choose(name: str) -> IRAE:
    """Load the network of a checkpoint, or initialize one with a floor."""
    if name.endswith(".safetensors"):
        network = load(Path(name)).network
        assert isinstance(network, IRAE), "the checkpoint is not an IRAE"
        return network
    torch.manual_seed(0)
    network = IRAE(floor=float(name))
    network.init_weights()
    return network.eval()


def read(path: Path, network: IRAE) -> Tensor:
    """Read the corner of a photo and add empty condition planes; 1, channels + conditions, H, W."""
    pixels = to_rgb(read_picture(path).pixels)
    grid = network.geometry.multiple
    height, width = (min(256, side // grid * grid) for side in pixels.shape[:2])
    photo = torch.from_numpy(pixels[:height, :width].transpose(2, 0, 1).copy())[None]
    return torch.nn.functional.pad(photo, (0, 0, 0, 0, 0, network.geometry.conditions))


def smallest_scale(network: IRAE, image: Tensor) -> float:
    """Return the smallest scale of all couplings for an image."""
    scales: list[float] = []

    def watch(*args: object) -> tuple[Tensor, ...]:
        found = take(*args)  # type: ignore[arg-type]
        scales.append(found[6].min().item())
        return found

    take = invertible.take
    with torch.no_grad(), mock.patch.object(invertible, "take", watch):
        network.through(image)
    return min(scales)


def main() -> None:
    """Run the network forward and backward, and print the errors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("network")
    parser.add_argument("photos", type=Path, nargs="+")
    options = parser.parse_args()
    network = choose(options.network)
    photos = [read(path, network) for path in options.photos]
    random = torch.Generator().manual_seed(0)
    noises = [torch.rand(photo.shape, generator=random) for photo in photos]
    print(f"smallest scale: {min(smallest_scale(network, photo) for photo in photos):.2g}")
    for dtype in (torch.float32, torch.float64):
        network = network.to(dtype)
        for name, images in (("photos", photos), ("noise", noises)):
            with torch.no_grad():
                errors = [network.inverse(network.through(one.to(dtype))) - one for one in images]
            worst = max(error.abs().max().item() for error in errors)
            print(f"{name} {str(dtype).removeprefix('torch.')}: {worst:.2g}")


if __name__ == "__main__":
    main()
