"""Measures the cost of training on a CPU.

    python benchmarks/training.py [DATA] [--steps 10] [--rounds 3] [--batch 8] [--only unet]
    python benchmarks/training.py --processes [--seconds 10] [--rounds 3]

A training step (forward, L1, backward, Muon, moving average) in bfloat16 and channels_last is
compared with the same step in PyTorch's own operations and optimizer, without `memory.reuse`. Both
alternate. The script prints the lowest processor time of all rounds, which other load disturbs less
than wall-clock time.

With DATA, the rest of a training is measured: "bare" is forward, L1 and backward of DnCNN (17
layers, 64 features) on one batch of 16 patches of 64x64 in memory. The training also draws and
degrades such batches from the images in DATA, and updates the weights with Adam and their average.
The script prints patches per second in each round, the ratio of the medians, and the share of time
that the training waited for data.

With --processes, the script prints patches per second, in wall-clock time, of one process with two
threads, and of two processes with one thread each. This is only meaningful on two idle cores.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing.synchronize import Barrier
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from restore_cli import memory
from restore_cli.archs import layers, unet
from restore_cli.archs.infoaccum import DenseLayer
from restore_cli.archs.invertible import Flow, Step
from restore_cli.device import autocast
from restore_cli.training import optimizer
from restore_cli.training.loop import train
from restore_cli.training.optimizer import Optimizer
from restore_cli.training.recipe import Recipe
from restore_cli.training.request import Request
from restore_cli.training.start import make_network
from restore_cli.training.state import State
from restore_cli.training.step import learn


def plainly_accumulated(layer: DenseLayer, x: Tensor) -> Tensor:
    """Run a dense layer in float32; PyTorch 2.13 crashes on bfloat16 dilated convolutions."""
    with torch.autocast("cpu", enabled=False):
        paths = [path for path in layer.paths if isinstance(path, nn.Conv2d)]
        seen = torch.cat([nn.Conv2d.forward(path, x.float()) for path in paths], dim=1)
    return torch.cat([x, layer.activation(seen)], dim=1)


def plainly_run(_flow: Flow, steps: list[Step], x: Tensor, backwards: bool) -> Tensor:
    """Run IRAE's steps module by module."""
    for step in steps:
        x = x if backwards else step.mixing(step.norm(x))
        kept, changed = x.chunk(2, dim=1)
        raw, shift = (step.coupling.net(kept) * step.coupling.log_scale.exp()).chunk(2, dim=1)
        scale = step.floor + (1 - step.floor) * torch.sigmoid(raw + 2)
        changed = changed / scale - shift if backwards else (changed + shift) * scale
        x = torch.cat([kept, changed], dim=1)
        x = step.norm.inverse(step.mixing.inverse(x)) if backwards else x
    return x


class PlainMuon(torch.optim.Muon):
    """PyTorch's Muon, with the learning rate scale of this project."""

    def __init__(self, matrices: list[nn.Parameter], lr: float, weight_decay: float) -> None:
        super().__init__(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")


DEFAULT = {
    "channels": 3,
    "widths": [32, 64, 96, 128, 160],
    "blocks": [2, 2, 1, 1, 1],
    "unshuffle": 1,
}
SIDES = {"unet:UNet": 128}  # of the patches; 64 for all others
NETWORKS: dict[str, dict[str, Any]] = {
    "unet:UNet": DEFAULT,
    "rednet:REDNet": {},
    "xunit:XDnCNN": {},
    "infoaccum:InfoAccumUNet": {"width": 16},
    "invertible:IRAE": {"steps": 8},
}
PLAIN: list[tuple[Any, str, Any]] = [  # replacements that restore PyTorch's own operations
    *((module, "computes_on_cpu", lambda _x: False) for module in (layers, unet)),
    (DenseLayer, "forward", plainly_accumulated),
    (Flow, "_run", plainly_run),
    (optimizer, "Muon", PlainMuon),
]


@contextmanager
def plainly(plain: bool) -> Iterator[None]:
    """Use PyTorch's own operations and optimizer, or those of this project."""
    with ExitStack() as stack:
        if not plain:
            stack.enter_context(memory.reuse())
        for owner, name, other in PLAIN if plain else ():
            stack.enter_context(mock.patch.object(owner, name, other))
        yield


class Trial:
    """A training on one batch in memory."""

    def __init__(self, arch: str, batch: int) -> None:
        self.recipe = Recipe.parse(
            {
                "task": "denoise",
                "arch": arch,
                "params": NETWORKS[arch],
                "patch": SIDES.get(arch, 64),
            }
        )
        network = make_network(self.recipe).train()
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = copy.deepcopy(network).eval().requires_grad_(False)
        self.state = State(network, average, Optimizer(network, self.recipe))
        geometry, side = network.geometry, self.recipe.sides[0]
        self.observed, self.clean = (
            torch.rand(batch, planes, side, side).to(memory_format=torch.channels_last)
            for planes in (geometry.channels + geometry.conditions, geometry.channels)
        )

    def step(self) -> None:
        """Train one step."""
        learn(self.state, self.state.network, self.recipe, self.observed, self.clean, 1e-4)
        self.state.update_average(self.recipe.ema)
        self.state.moment.step += 1


def compare(arch: str, rounds: int, batch: int, steps: int = 2) -> None:
    """Print the processor time of a step, in PyTorch and in this project."""
    trials = {}
    for plain in (False, True):
        with plainly(plain):
            trials[plain] = Trial(arch, batch)
    times: dict[bool, list[float]] = {False: [], True: []}
    for plain in (False, True) * rounds:
        with plainly(plain):
            trials[plain].step()  # to warm up
            for _ in range(steps):
                started = time.process_time()
                trials[plain].step()
                times[plain].append(time.process_time() - started)
    ours, plainly_timed = min(times[False]), min(times[True])
    side = trials[False].recipe.sides[0]
    times_ms = f"{1000 * plainly_timed:8.0f} ms -> {1000 * ours:6.0f} ms"
    ratio = f"{plainly_timed / ours:.2f} times as fast"
    print(f"{arch:24} {batch} x {side}x{side}  {times_ms}   {ratio}", flush=True)


def work(threads: int, seconds: float, batch: int, ready: Barrier, speeds: Any) -> None:
    """Train the default network for some seconds, and put its patches per second into a queue."""
    torch.set_num_threads(threads)
    with memory.reuse():
        trial = Trial("unet:UNet", batch)
        trial.step()
        ready.wait()
        started, steps = time.monotonic(), 0
        while time.monotonic() - started < seconds:
            trial.step()
            steps += 1
        speeds.put(steps * batch / (time.monotonic() - started))


def compare_processes(rounds: int, batch: int, seconds: float) -> None:
    """Print patches per second of one process with two threads, and of two processes."""
    context = multiprocessing.get_context("spawn")
    for _ in range(rounds):
        for processes in (1, 2):
            ready, speeds = context.Barrier(processes), context.Queue()
            workers = [
                context.Process(target=work, args=(2 // processes, seconds, batch, ready, speeds))
                for _ in range(processes)
            ]
            for worker in workers:
                worker.start()
            total = sum(speeds.get() for _ in workers)
            for worker in workers:
                worker.join()
            print(f"{processes} x {2 // processes} threads: {total:.1f} patches/s", flush=True)


def bare(recipe: Recipe, steps: int) -> float:
    """Return the patches per second of only forward and backward."""
    network = make_network(recipe).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    shape = (recipe.batch, 1, recipe.sides[0], recipe.sides[0])
    observed, clean = torch.rand(shape), torch.rand(shape)
    started = time.perf_counter()
    for _ in range(steps):
        network.zero_grad(set_to_none=True)
        with autocast(torch.device("cpu"), recipe.precision):
            restored = network(observed)
        l1_loss(restored.float(), clean).backward()  # type: ignore[no-untyped-call]
    return steps * recipe.batch / (time.perf_counter() - started)


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8, help="patches per step")
    parser.add_argument("--only", default="", help="measure only networks with this in their name")
    parser.add_argument(
        "--processes", action="store_true", help="only compare threads with processes"
    )
    parser.add_argument("--seconds", type=float, default=10, help="duration of each round of those")
    options = parser.parse_args()
    if options.processes:
        compare_processes(options.rounds, options.batch, options.seconds)
        return
    for arch in NETWORKS:
        if options.only in arch:
            compare(arch, options.rounds, options.batch)
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
            *_, last = train(
                Request(recipe, options.data, Path(folder) / "dncnn.safetensors", "cpu")
            )
            trainings.append(last.images_per_s)
            waits.append(last.waiting)
            print(f"bare {bares[-1]:.1f}   training {trainings[-1]:.1f} patches/s", flush=True)
    ratio = median(trainings) / median(bares)
    print(
        f"{torch.get_num_threads()} threads: training runs at {ratio:.0%} of the bare network's"
        f" speed, and waits for data {median(waits):.1%} of the time"
    )


if __name__ == "__main__":
    main()
