"""Sets up a training before its first step, or after the last step of a saved state."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from restore_cli.training.data import TrainingData, load_data
from restore_cli.training.distributed import Group
from restore_cli.training.loader import batches
from restore_cli.training.objectives import Adversary
from restore_cli.training.optimizer import Optimizer
from restore_cli.training.patches import Batch, Patches
from restore_cli.training.request import Request
from restore_cli.training.start import make_network
from restore_cli.training.state import State


@dataclass(frozen=True)
class Setup:
    """The parts of a training.

    Attributes:
        state: everything that changes, loaded if the training is resumed.
        forward: the network, compiled or distributed if requested.
        data: the images.
        feed: batches from the state's step on, on the CPU.
        notes: messages for the user.
    """

    state: State
    forward: nn.Module
    data: TrainingData
    feed: Iterator[Batch]
    notes: tuple[str, ...]


def set_up(request: Request, group: Group) -> Setup:
    """Build the network, read the images, and load the state of a resumed training.

    Raises:
        UsageError, RestoreError, WeightsError: as `loop.train`.
    """
    recipe, device = request.recipe, group.device
    torch.backends.cudnn.benchmark = True  # all patches have the same few sizes
    network = make_network(recipe).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    channels = network.geometry.channels
    data = load_data(request.data, recipe, channels, request.validation)
    patches = Patches(data.training, recipe, network.geometry, group.rank)
    network.train()
    if group.size > 1:  # weights that the first batch initializes must exist before they are shared
        with torch.no_grad():
            network(patches[0][0].to(device))
    forward: nn.Module = torch.compile(network) if request.compile else network  # type: ignore[assignment]
    if group.size > 1:
        forward = DistributedDataParallel(forward)
    average = copy.deepcopy(network).eval().requires_grad_(False)
    adversary = Adversary(channels, recipe, group) if recipe.adversarial else None
    state = State(network, average, Optimizer(network, recipe), adversary)
    notes = [f"left out: {error}" for error in data.unreadable]
    if request.resume and request.state.exists():
        state.load(request.state, recipe)
    elif request.resume:
        notes.append(f"{request.state} does not exist; the training starts at the first step.")
    held = hashlib.sha256()
    for sample in data.holdout:
        for image in (sample.clean, sample.damaged):
            held.update(b"" if image is None else image.tobytes())
    if state.moment.validate_on(held.hexdigest()):
        notes.append("the validation images are others than before; their best score is a new one.")
    workers, pinned = request.count_workers(device), device.type == "cuda"
    feed = batches(patches, state.moment.step, workers, pinned)
    return Setup(state, forward, data, feed, tuple(notes))
