"""Trains VGG-6(K) with each weight quantizer, as in the BT paper, and prints the test accuracy.

    python benchmarks/classify.py                               # ten digits, drawn by the script
    python benchmarks/classify.py DIR --width 64 --steps 20000  # DIR/{train,test}/CLASS/*
    python benchmarks/classify.py DIR --holdout 0.2             # DIR/CLASS/*, a fifth for testing
    python benchmarks/classify.py DIR --published cifar10       # with figures from classify.toml

The training uses Adam, batches of 128, crops of the image padded by 4 pixels, and cutout, as in
sections 3.3 and 4.1. The paper does not state learning rate, schedule and length: here the rate
falls from 1e-3 to 0 along a cosine in --steps. --regularizer is the weight of the transition term
in the loss, 0.1 in the paper; each quantizer is trained with each of its values.
"""

from __future__ import annotations

import math
import tomllib
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn.functional import cross_entropy, pad

from restore_cli.archs.binarized import VGG6, transition
from restore_cli.image import is_image_name

Labelled = tuple[Tensor, Tensor]  # images N x 3 x side x side, float32 in [0, 1]; classes N


def draw_glyphs(count: int, side: int, seed: int) -> Labelled:
    """Draw digits of random place, size, slant and colors, with noise."""
    rng = np.random.default_rng(seed)
    images, classes = np.empty((count, side, side, 3), np.float32), rng.integers(10, size=count)
    for image, digit in zip(images, classes, strict=True):
        stencil = Image.new("L", (side, side))
        font = ImageFont.load_default(side * rng.uniform(0.6, 0.9))
        place = tuple(side / 2 + rng.uniform(-0.12, 0.12, 2) * side)
        ImageDraw.Draw(stencil).text(place, str(digit), 255, font, anchor="mm")
        mask = (
            np.asarray(stencil.rotate(rng.uniform(-20, 20), Image.Resampling.BICUBIC))[:, :, None]
            / 255
        )
        paper = rng.random(3)
        ink = (paper + rng.uniform(0.3, 0.7, 3)) % 1
        image[:] = paper + (ink - paper) * mask + rng.normal(0, 0.1, image.shape)
    return torch.from_numpy(images.clip(0, 1)).permute(0, 3, 1, 2), torch.from_numpy(classes)


def read_folder(folder: Path, kinds: list[str], side: int) -> Labelled:
    """Read the images of FOLDER/CLASS/*, class by class."""
    paths = [
        sorted(path for path in (folder / kind).iterdir() if is_image_name(path)) for kind in kinds
    ]
    size, box = (side, side), Image.Resampling.BOX
    images = [
        np.asarray(Image.open(path).convert("RGB").resize(size, box)) for path in chain(*paths)
    ]
    classes = [number for number, kind in enumerate(paths) for _ in kind]
    return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) / 255, torch.tensor(classes)


def read_sets(folder: Path, side: int, holdout: float) -> tuple[Labelled, Labelled]:
    """Read training and test images.

    Args:
        holdout: share of the images to test on, every n-th one; 0 reads the folders train and test.
    """
    root = folder if holdout else folder / "train"
    kinds = sorted(path.name for path in root.iterdir() if path.is_dir())
    images, classes = read_folder(root, kinds, side)
    if not holdout:
        return (images, classes), read_folder(folder / "test", kinds, side)
    held = torch.arange(len(classes)) % round(1 / holdout) == 0
    return (images[~held], classes[~held]), (images[held], classes[held])


def published(name: str, width: int) -> dict[tuple[str, float], float]:
    """Return the paper's accuracies in percent, by quantizer and weight of the transition term."""
    tables = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    row = tables.get(name, {}).get(str(width), {"plain": [], "transition": []})
    kinds = {
        "plain": (0.0, ("none", "bwn", "twn", "ttq", "lq", "bt")),
        "transition": (0.1, ("bwn", "twn", "bt")),
    }
    return {
        (quantizer, weight): value
        for kind, (weight, quantizers) in kinds.items()
        for quantizer, value in zip(quantizers, row[kind], strict=False)
    }


def augment(images: Tensor, rng: torch.Generator) -> Tensor:
    """Shift each image by up to 4 pixels over black, and add a black square of 1/4 of its side."""
    side = images.shape[-1]
    padded, result = pad(images, (4, 4, 4, 4)), torch.empty_like(images)
    for number, numbers in enumerate(
        torch.randint(1 << 16, (len(images), 4), generator=rng).tolist()
    ):
        (top, left), (y, x) = (
            (value % 9 for value in numbers[:2]),
            (value % side for value in numbers[2:]),
        )
        result[number] = padded[number, :, top : top + side, left : left + side]
        result[number, :, y : y + side // 4, x : x + side // 4] = 0
    return result


def accuracy(
    train: Labelled, test: Labelled, quantizer: str, regularizer: float, options: Namespace
) -> float:
    """Train a classifier, and return its accuracy in percent."""
    torch.manual_seed(options.seed)
    rng = torch.Generator().manual_seed(options.seed)
    network = VGG6(
        int(train[1].max()) + 1, options.width, side=options.side, quantizer=quantizer
    ).to(options.device)
    adam = torch.optim.Adam(network.parameters(), lr=options.lr)
    for step in range(options.steps):
        adam.param_groups[0]["lr"] = (
            options.lr * 0.5 * (1 + math.cos(math.pi * step / options.steps))
        )
        chosen = torch.randint(len(train[1]), (options.batch,), generator=rng)
        scores = network(augment(train[0][chosen], rng).to(options.device))
        loss = cross_entropy(scores, train[1][chosen].to(options.device))
        if regularizer:
            loss = loss - regularizer * transition(network)
        adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        adam.step()
    network.eval()
    with torch.inference_mode():
        parts = torch.split(test[0], 256)
        answers = torch.cat([network(part.to(options.device)).argmax(1).cpu() for part in parts])
    return 100 * float((answers == test[1]).float().mean())


def main() -> None:
    """Train with each quantizer and print the accuracies."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument(
        "--quantizer", default="none,bwn,twn,ttq,lq,bt", type=lambda text: text.split(",")
    )
    parser.add_argument("--regularizer", type=float, nargs="+", default=[0.0, 0.1])
    training = {"width": 16, "steps": 300, "batch": 128, "lr": 1e-3, "seed": 0, "device": "cpu"}
    for name, value in {**training, "side": 32, "holdout": 0.0, "published": ""}.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    options = parser.parse_args()
    if options.folder is None:
        train, test = (
            draw_glyphs(count, options.side, seed) for count, seed in ((4000, 1), (2000, 2))
        )
    else:
        try:
            train, test = read_sets(options.folder, options.side, options.holdout)
        except (OSError, ValueError) as error:
            parser.error(
                f"Cannot read {options.folder} as a folder of classes: {error}. See --help for the"
                " expected layout."
            )
    figures = published(options.published, options.width)
    print(
        f"VGG-6({options.width}), {len(train[1])} training images; accuracy in % on"
        f" {len(test[1])} test images"
    )
    print("quantizer" + "".join(f"  lambda {value:<6g}" for value in options.regularizer))
    for quantizer in options.quantizer:
        values = options.regularizer if quantizer != "none" else [0.0]
        cells = []
        for value in values:
            paper = figures.get((quantizer, value))
            listed = "" if paper is None else f" ({paper:.2f})"
            cells.append(f"{accuracy(train, test, quantizer, value, options):.2f}{listed}")
        print(f"{quantizer:9}" + "".join(f"  {cell:>13}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
