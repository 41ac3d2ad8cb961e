"""What `restore train` costs beside the bare network: DnCNN on a CPU, in turn, in one run.

    python benchmarks/training.py DATA [--steps 10] [--rounds 3]

Bare is forward, L1 and backward of DnCNN (17 layers, 64 features) in bfloat16 and channels_last on one batch
of 16 patches of 64x64 that lies ready. The training draws and damages such batches from the images below
DATA, and moves the weights, by Adam, and their average. Printed: patches a second in each round, the ratio
of the medians, and the share of time that the training waited for data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from torch.nn.functional import l1_loss

from restore_cli.jobs.train import Request, make_network, train
from restore_cli.training.recipe import Recipe


def bare(recipe: Recipe, steps: int) -> float:
    """Patches a second of forward and backward alone."""
    network = make_network(recipe).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (recipe.batch, 1, recipe.sides[0], recipe.sides[0])
    observed, clean = torch.rand(shape), torch.rand(shape)
    started = time.perf_counter()
    for _ in range(steps):
        network.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16):
            restored = network(observed)
        l1_loss(restored.float(), clean).backward()  # type: ignore[no-untyped-call]
    return steps * recipe.batch / (time.perf_counter() - started)


def main() -> None:
    """Measure both, in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    recipe = Recipe.parse(
        {
            "task": "denoise",
            "arch": "baselines:DnCNN",
            "levels": {"sigma": 25},
            "validation": [{"sigma": 25}],
            "steps": options.steps,
            "validate_every": options.steps,
            "optimizer": "adam",
            "holdout": 1000,
        }
    )
    bare(recipe, 2)  # to warm up
    bares, trainings, waits = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.rounds):
            bares.append(bare(recipe, options.steps))
            *_, last = train(Request(recipe, options.data, Path(folder) / "dncnn.safetensors", "cpu"))
            trainings.append(last.images_per_s)
            waits.append(last.waiting)
            print(f"bare {bares[-1]:.1f}   training {trainings[-1]:.1f} patches/s", flush=True)
    ratio = median(trainings) / median(bares)
    print(
        f"{torch.get_num_threads()} threads: training runs at {ratio:.0%} of the bare network,"
        f" {median(waits):.1%} of its time waiting for data"
    )


if __name__ == "__main__":
    main()
