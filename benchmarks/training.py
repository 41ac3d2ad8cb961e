"""What training costs on a CPU: networks beside their plain form, and `restore train` beside a network.

    python benchmarks/training.py [DATA] [--steps 10] [--rounds 3] [--batch 8]

A step of a network (forward, L1, backward) in bfloat16 and channels_last is timed in turn with the same step
in PyTorch's own operations, in processor time, which other load disturbs less than the clock; printed is the
least of all rounds. With DATA follows what the rest of a training costs, bare and trained: bare is forward,
L1 and backward of DnCNN (17 layers, 64 features) on one batch of 16 patches of 64x64 that lies ready. The
training draws and damages such batches from the images below DATA, and moves the weights, by Adam, and their
average. Printed: patches a second in each round, the ratio of the medians, and the share of time that the
training waited for data.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from restore_cli.archs import build, infoaccum, layers, xunit
from restore_cli.archs.infoaccum import DenseLayer
from restore_cli.archs.invertible import Flow, Step
from restore_cli.jobs.train import Request, make_network, train
from restore_cli.training.recipe import Recipe


def plainly_accumulated(layer: DenseLayer, x: Tensor) -> Tensor:
    """A dense layer in float32: PyTorch 2.13's bfloat16 gradient of dilated convolutions crashes."""
    with torch.autocast("cpu", enabled=False):
        paths = [path for path in layer.paths if isinstance(path, nn.Conv2d)]
        seen = torch.cat([nn.Conv2d.forward(path, x.float()) for path in paths], dim=1)
    return torch.cat([x, layer.activation(seen)], dim=1)


def plainly_run(_flow: Flow, steps: list[Step], x: Tensor, backwards: bool) -> Tensor:
    """IRAE's steps, module by module."""
    for step in steps:
        x = x if backwards else step.mixing(step.norm(x))
        told, changed = x.chunk(2, dim=1)
        raw, shift = (step.coupling.net(told) * step.coupling.log_scale.exp()).chunk(2, dim=1)
        scale = step.floor + (1 - step.floor) * torch.sigmoid(raw + 2)
        changed = changed / scale - shift if backwards else (changed + shift) * scale
        x = torch.cat([told, changed], dim=1)
        x = step.norm.inverse(step.mixing.inverse(x)) if backwards else x
    return x


PLAIN: list[tuple[str, dict[str, Any], list[Any]]] = [  # network, parameters, what is put back to be plain
    (
        "xunit:XDnCNN",
        {},
        [(module, "trains_on_cpu", lambda _x: False) for module in (layers, xunit)],
    ),
    (
        "infoaccum:InfoAccumUNet",
        {"width": 16},
        [(infoaccum, "trains_on_cpu", lambda _x: False), (DenseLayer, "forward", plainly_accumulated)],
    ),
    ("invertible:IRAE", {"steps": 8}, [(Flow, "_run", plainly_run)]),
]


def compare(arch: str, params: dict[str, Any], patches: list[Any], rounds: int, batch: int) -> None:
    """Print the processor time of a step, ours and plain."""
    network = build(arch, params).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.initialise()
    observed, clean = torch.rand(2, batch, network.geometry.channels, 64, 64)
    times: dict[bool, list[float]] = {False: [], True: []}
    for plain in (False, True) * (rounds + 1):
        with ExitStack() as stack:
            for owner, name, other in patches if plain else ():
                stack.enter_context(mock.patch.object(owner, name, other))
            started = time.process_time()
            network.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16):
                restored = network(observed)
            l1_loss(restored.float(), clean).backward()  # type: ignore[no-untyped-call]
            times[plain].append(time.process_time() - started)
    ours, plainly = (min(times[plain][1:]) for plain in (False, True))  # the first warms up
    print(
        f"{arch:24} {1000 * plainly:8.0f} ms -> {1000 * ours:6.0f} ms   {plainly / ours:.2f} times as fast",
        flush=True,
    )


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
    """Measure all, in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8, help="patches of 64x64 a step of a network")
    options = parser.parse_args()
    for arch, params, patches in PLAIN:
        compare(arch, params, patches, options.rounds, options.batch)
    if not options.data:
        return
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
