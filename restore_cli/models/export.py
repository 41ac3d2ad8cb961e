"""Exports a checkpoint's network to ONNX or in 8 bits, and compares the file with the network."""

from __future__ import annotations

import copy
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from restore_cli.archs.onnx import import_runtime
from restore_cli.atomic import write_whole
from restore_cli.errors import EngineError, RestoreError, UsageError
from restore_cli.levels import to_plain_levels
from restore_cli.models import checkpoint
from restore_cli.models.checkpoint import Checkpoint
from restore_cli.network import Geometry, Restorer

_TOLERANCE = 1e-4  # 1/40 of an 8-bit level


def export(loaded: Checkpoint, path: Path) -> float:
    """Write a network as an ONNX file, atomically, if its output equals PyTorch's.

    The `input` is N x (channels + conditions) x H x W, float32, with the image in [0, 1] and with H
    and W divisible by `multiple`. The `output` is N x channels x scale*H x scale*W and may leave
    [0, 1]. The file's metadata are task, channels, conditions (planes after the image), scale,
    multiple, radius (the halo of tiles), local (whether that halo makes tiles exact) and trained
    (the degradation levels that the network was trained for, as JSON).

    Returns:
        The largest absolute difference from PyTorch, at the exported size and at another one.

    Raises:
        UsageError: ONNX is not installed, or the network was loaded from an ONNX file.
        EngineError: the network cannot be exported, or the outputs differ by more than 1e-4; then
            no file is written.
        RestoreError: the file cannot be written.
    """
    try:
        import onnx  # noqa: F401 (the exporter needs it)

        import_runtime()
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(
            "Cannot export: ONNX is not installed. Run `pip install 'restore-cli[export]'`."
        ) from error
    if loaded.network.on_cpu:
        raise UsageError(f"Cannot export {loaded.name}: it is an ONNX file already. Copy the file.")
    network = copy.deepcopy(loaded.network).cpu().eval()
    network.fold_for_inference()
    samples = _samples(network.geometry)
    try:
        file = _write(network, samples[0], _metadata(loaded))
        difference = max(_compare(network, sample, file) for sample in samples)
    except Exception as error:  # the exporter and the runtime raise errors of many kinds
        reason = str(error).partition("\n")[0].rstrip(".")
        raise EngineError(f"Cannot export {loaded.name}: {reason}.") from error
    if not difference <= _TOLERANCE:
        raise EngineError(
            f"Cannot export {loaded.name}: its output in ONNX differs by {difference:.2g}."
        )
    try:
        write_whole(path, file)
    except OSError as error:
        raise RestoreError(f"Cannot write {path}: {error.strerror}.") from error
    return difference


def shrink(loaded: Checkpoint, path: Path) -> float:
    """Write a checkpoint with kernels in 8 bits, atomically.

    Returns:
        The largest absolute difference from the network's output, for smooth noise.

    Raises:
        UsageError: the network is not one of ours.
        WeightsError: the file cannot be written.
    """
    if loaded.network.on_cpu or loaded.header.by_spandrel:
        raise UsageError(
            f"Cannot export {loaded.name} as safetensors: its network is not built in. Export to"
            " .onnx."
        )
    checkpoint.save(loaded.network, path, loaded.header, in_8_bits=True)
    small = checkpoint.load(path).network
    with torch.no_grad():
        return max(
            float((small(sample) - loaded.network(sample)).abs().max())
            for sample in _samples(loaded.network.geometry)
        )


def _samples(geometry: Geometry) -> list[Tensor]:
    """Return inputs of two sizes: an even multiple of the grid to export with, and an odd one.

    They are smooth like photos: noise can make networks leave the range of values for any photo.
    """
    planes, unit = geometry.channels + geometry.conditions, -(-8 // geometry.multiple)
    sizes = [(2, 2 * unit, 3 * unit), (1, 4 * unit - 1, 2 * unit - 1)]
    random = torch.Generator().manual_seed(0)
    samples = []
    for batch, rows, columns in sizes:
        height, width = rows * geometry.multiple, columns * geometry.multiple
        coarse = torch.rand(batch, planes, -(-height // 4), -(-width // 4), generator=random)
        samples.append(interpolate(0.2 + 0.6 * coarse, (height, width), mode="bilinear"))
    return samples


def _metadata(loaded: Checkpoint) -> dict[str, str]:
    geometry = loaded.network.geometry
    return {
        "task": loaded.task,
        "channels": str(geometry.channels),
        "conditions": str(geometry.conditions),
        "scale": str(geometry.scale),
        "multiple": str(geometry.multiple),
        "radius": str(geometry.radius),
        "local": str(geometry.local),
        "trained": json.dumps(to_plain_levels(loaded.conditions)),
    }


def _write(network: Restorer, sample: Tensor, metadata: dict[str, str]) -> bytes:
    batch, rows, columns = (torch.export.Dim(name) for name in ("batch", "rows", "columns"))
    multiple = network.geometry.multiple
    with _silence(), torch.no_grad():
        program = torch.onnx.export(
            network,
            (sample,),
            dynamo=True,
            input_names=["input"],
            output_names=["output"],
            dynamic_shapes=({0: batch, 2: multiple * rows, 3: multiple * columns},),
            verbose=False,
        )
    assert program is not None  # the older exporter returns None
    for node in program.model.graph:
        node.metadata_props.clear()  # stack traces that contain the paths of this machine
    program.model.metadata_props.update(metadata)
    return bytes(program.model_proto.SerializeToString())


@contextmanager
def _silence() -> Iterator[None]:
    """Silence notes on a missing torchvision and on PyTorch's own deprecated calls."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*treespec, LeafSpec.* is deprecated", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _compare(network: Restorer, sample: Tensor, file: bytes) -> float:
    """Return the largest absolute difference between the outputs of the file and the network."""
    session = import_runtime().InferenceSession(file, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"input": sample.numpy()})
    with torch.no_grad():
        return float((network(sample) - torch.from_numpy(output)).abs().max())
