"""Networks in ONNX files, run by the optional package onnxruntime.

A file that `restore models export` wrote states its receptive field and its condition planes. For
any other file, scale and grid are found by running it on small images, and its tiles are
approximate. Only plain networks are supported: one image in, one image out, all weights in the
file, and no operators of other libraries.
"""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restore_cli.errors import EngineError, WeightsError
from restore_cli.network import Geometry, Restorer
from restore_cli.tables import brief
from restore_cli.tiles import OVERLAP

GRIDS = (1, 2, 4, 8, 16, 32, 64)  # tried one after another
SIDES = (16, 4096)  # pixels, range of a fixed input size
ENLARGES = 16  # largest scale
SEEN = 4096  # pixels, the largest radius that a file may state
FLOATS = 256  # numbers in memory per output pixel, at least, since some layers' sizes are unknown
PER_PIXEL, AT_ONCE = 2**14, 2**30  # largest output of a layer in numbers, per pixel and in total
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")  # of operators built into onnxruntime
ENDLESS = ("Loop", "Scan")  # operators that may never finish
EXPORTED = ("task", "channels", "conditions", "scale", "multiple", "radius", "trained")
Numbers = NDArray[np.float32]


class Onnx(Restorer):
    """A network that onnxruntime runs, on the CPU.

    Args:
        run: runs the network on N x planes x H x W, float32.
        geometry: the network's geometry.
        size: fixed input height and width, if any; smaller inputs are padded by mirroring.
        stated: the file's metadata, empty unless `restore models export` wrote it.
        traits: other facts about the file as text.
    """

    on_cpu = True

    def __init__(
        self,
        run: Callable[[Numbers], Numbers],
        geometry: Geometry,
        size: tuple[int, int] | None,
        stated: Mapping[str, str],
        traits: Mapping[str, str],
    ) -> None:
        super().__init__()
        self.geometry, self.stated, self.traits = geometry, stated, traits
        self._run, self._size = run, size

    def forward(self, x: Tensor) -> Tensor:  # N, planes, H, W -> N, channels, scale*H, scale*W
        height, width = (side * self.geometry.scale for side in x.shape[2:])
        image = x.float().cpu().numpy()
        if self._size:
            rest = [(0, whole - side) for whole, side in zip(self._size, x.shape[2:], strict=True)]
            image = np.pad(image, [(0, 0), (0, 0), *rest], mode="symmetric")
        return torch.from_numpy(self._run(image)[:, :, :height, :width]).to(x)


def import_runtime() -> Any:
    """Import onnxruntime, which otherwise sends usage data to Microsoft; raises ImportError."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read when it is imported
    return importlib.import_module("onnxruntime")


def read(path: Path) -> Onnx:
    """Load the network of an ONNX file.

    Raises:
        WeightsError: onnxruntime is not installed; or the file cannot be read, is damaged, refers
            to other files or libraries, or does not map an image to an image.
    """
    try:
        onnx, runtime = importlib.import_module("onnx"), import_runtime()
    except ImportError as error:
        raise WeightsError(
            f"Cannot load {path}: ONNX Runtime is not installed. Run `pip install"
            " 'restore-cli[onnx]'`."
        ) from error
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"Cannot read the checkpoint {path}: {error.strerror}.") from error
    try:
        return _make(data, onnx, runtime)
    except ValueError as error:
        raise WeightsError(f"Cannot load {path}: {error}. Use another file.") from error


def _make(data: bytes, onnx: Any, runtime: Any) -> Onnx:
    """Make the network from a file's bytes; raises ValueError if it is not supported."""
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # an error class of protobuf
        raise ValueError("it is damaged, or not an ONNX file") from error
    _check_plain(model, onnx)
    kind, (planes, *sides) = _input(model.graph, onnx)
    stated = {entry.key: entry.value for entry in model.metadata_props}
    size = _fixed(sides)
    if size or not all(key in stated for key in EXPORTED):
        stated = {}
    count = planes or 3
    height, width = size or _try_size(GRIDS[-1])  # a multiple of all grids
    largest = _largest(model, (count, height, width), onnx)
    run = _session(data, kind, runtime)
    geometry = (
        _stated_geometry(stated, run, planes) if stated else _found_geometry(run, count, size)
    )
    floats = max(6 * largest // (height * width), FLOATS * geometry.scale**2)
    geometry = replace(geometry, floats=floats)
    opset = next(
        (entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0
    )
    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    sizes = [math.prod(one.dims) for one in model.graph.initializer if one.data_type in kinds]
    numbers = sum(size for size in sizes if size > 1)  # others are constants
    traits = {
        "parameters": f"{numbers:,}",
        "stored as": "ONNX, " + np.dtype(kind).name,
        "size of pictures": f"{width} x {height}, others in tiles" if size else "any",
        "opset": str(opset),
        "written by": brief(f"{model.producer_name} {model.producer_version}".strip()),
    }
    return Onnx(run, geometry, size, stated, traits).eval()


def _check_plain(model: Any, onnx: Any) -> None:
    """Raise ValueError if a file refers to others or may never finish."""
    own = {function.domain for function in model.functions}
    for part in _parts(model):
        if isinstance(part, onnx.TensorProto) and (part.external_data or part.data_location):
            raise ValueError("it stores weights in other files, which are never opened")
        if isinstance(part, onnx.NodeProto):
            name = brief(f"{part.domain}:{part.op_type}".lstrip(":"))
            if part.domain not in (*DOMAINS, *own):
                raise ValueError(
                    f"it needs the operator {name} from another library, which is never loaded"
                )
            if part.op_type in ENDLESS:
                raise ValueError(f"it has the operator {name}, which may never finish")


def _parts(message: Any) -> Iterator[Any]:
    """Yield a protobuf message and all messages inside it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _parts(part)


def _input(graph: Any, onnx: Any) -> tuple[str, list[int]]:
    """Return the data type, channels, height and width of the input; a free size is 0."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [one for one in graph.input if one.name not in weights]
    for what, ports in (("inputs", inputs), ("outputs", graph.output)):
        if len(ports) != 1:
            names = brief(", ".join(one.name for one in ports) or "none")
            raise ValueError(f"it has {len(ports)} {what} ({names}), not one")
    kind = inputs[0].type.tensor_type
    types = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16"}
    if kind.elem_type not in types:
        name = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
        raise ValueError(f"its input has the data type {name}, not float32 or float16")
    shape = [dim.dim_value if dim.dim_value > 0 else 0 for dim in kind.shape.dim]
    if len(shape) != 4:
        raise ValueError(f"its input has {len(shape)} dimensions, not four (N x C x H x W)")
    if shape[0] > 1:
        raise ValueError(f"it has a fixed batch size of {shape[0]}, not 1")
    if shape[3] in (1, 3) and shape[1] not in (1, 3):
        raise ValueError("its input is N x H x W x C, not N x C x H x W")
    return types[kind.elem_type], shape[1:]


def _fixed(sides: list[int]) -> tuple[int, int] | None:
    """Return the fixed input height and width of a network, or None if any size works."""
    if not any(sides):
        return None
    height, width = (side or max(sides) for side in sides)
    if min(height, width) < SIDES[0] or max(height, width) > SIDES[1]:
        raise ValueError(
            f"its fixed input size is {width} x {height}, but sides must be from {SIDES[0]} to"
            f" {SIDES[1]} pixels"
        )
    return height, width


def _try_size(grid: int) -> tuple[int, int]:
    """Return the height and width of a small image, both odd multiples of a grid."""
    odd = max(1, 48 // grid // 2 * 2 - 1)
    return grid * odd, grid * (odd + 2)


def _largest(model: Any, shape: tuple[int, int, int], onnx: Any) -> int:
    """Return the size of the largest layer for an input of this shape, or 0 if unknown.

    Raises:
        ValueError: it is too large, as in a file that was built to exhaust the memory.
    """
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    del sized.graph.value_info[:]
    weights = {tensor.name for tensor in sized.graph.initializer}
    port = next(one for one in sized.graph.input if one.name not in weights)
    for side, dim in zip((1, *shape), port.type.tensor_type.shape.dim, strict=True):
        dim.dim_value = side
    with suppress(Exception):  # unknown shapes are found later by running the file
        sized = onnx.shape_inference.infer_shapes(sized, data_prop=True)
    layers = [
        [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*sized.graph.value_info, *sized.graph.output)
    ]
    most = max(map(math.prod, layers), default=0)
    if most > min(AT_ONCE, PER_PIXEL * max(math.prod(shape[1:]), math.prod(_try_size(GRIDS[-1])))):
        raise ValueError(
            f"it computes {most:,} numbers for an image of {shape[2]} x {shape[1]} pixels"
        )
    return max(
        (math.prod(layer) for layer in layers if len(layer) == 4 and layer[0] == 1), default=0
    )


def _session(data: bytes, kind: str, runtime: Any) -> Callable[[Numbers], Numbers]:
    """Return a function that runs a file with as many threads as PyTorch uses."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.enable_cpu_mem_arena = False  # it would hold the memory of the largest tile
    options.log_severity_level = 4  # errors are raised, not logged
    try:
        # A fallback would print a message.
        session = runtime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:
        reason = brief(" ".join(str(error).split()))
        raise ValueError(
            f"onnxruntime {runtime.__version__} does not accept it ({reason})"
        ) from error
    (port,) = session.get_inputs()
    quiet = runtime.RunOptions()
    quiet.log_severity_level = 4

    def run(image: Numbers) -> Numbers:
        try:
            (output,) = session.run(None, {port.name: image.astype(kind, copy=False)}, quiet)
            return np.asarray(output, np.float32)
        except Exception as error:
            reason = " ".join(str(error).split())
            if "allocate" in reason:
                raise MemoryError(reason) from error
            raise EngineError(
                f"Cannot run the network: {brief(reason)}. Use another --model."
            ) from error

    return run


def _stated_geometry(
    stated: Mapping[str, str], run: Callable[[Numbers], Numbers], planes: int
) -> Geometry:
    """Read the geometry from the metadata of our export, and check it against the network."""
    try:
        keys = ("channels", "conditions", "scale", "multiple", "radius")
        geometry = Geometry(
            **{key: int(stated[key]) for key in keys}, local=stated.get("local") != "False"
        )
    except ValueError as error:
        raise ValueError("its metadata are damaged") from error
    bounds = {
        "channels": (1, 3),
        "conditions": (0, 64),
        "scale": (1, ENLARGES),
        "multiple": (1, GRIDS[-1]),
    }
    for key, (low, high) in {**bounds, "radius": (0, SEEN)}.items():
        if not low <= getattr(geometry, key) <= high:
            raise ValueError(f"its {key} is {getattr(geometry, key)}, not from {low} to {high}")
    if planes != geometry.channels + geometry.conditions:
        raise ValueError(f"its input has {planes} channels, which contradicts its metadata")
    height, width = 3 * geometry.multiple, 5 * geometry.multiple
    if _scale(run, planes, geometry.channels, height, width) != geometry.scale:
        raise ValueError(f"its scale is not {geometry.scale}, as its metadata state")
    return geometry


def _found_geometry(
    run: Callable[[Numbers], Numbers], channels: int, size: tuple[int, int] | None
) -> Geometry:
    """Find the geometry of a network without metadata: the first grid on which it works."""
    if channels not in (1, 3):
        raise ValueError(f"its input has {channels} channels, not 1 or 3")
    if size:
        scale = _scale(run, channels, channels, *size)
        largest = min(size)
        return Geometry(
            channels, scale=scale, radius=min(OVERLAP, largest // 8), local=False, largest=largest
        )
    fault = ValueError()
    for grid in GRIDS:
        try:
            scale = _scale(run, channels, channels, *_try_size(grid))
            return Geometry(channels, scale=scale, multiple=grid, radius=OVERLAP, local=False)
        except ValueError as error:
            fault = error
    raise fault


def _scale(
    run: Callable[[Numbers], Numbers], planes: int, channels: int, height: int, width: int
) -> int:
    """Run a network on an image of this size and return its scale; raises ValueError if none."""
    image = np.random.default_rng(0).random((1, planes, height, width), np.float32)
    try:
        output = run(image)
    except (EngineError, MemoryError) as error:
        raise ValueError(
            f"it fails on an image of {width} x {height} pixels ({brief(str(error))})"
        ) from error
    scale: int = (output.shape or (0,))[-1] // width
    if output.shape != (1, channels, scale * height, scale * width) or not 1 <= scale <= ENLARGES:
        raise ValueError(
            f"it turns {list(image.shape)} into {list(output.shape)}, which is not an image"
        )
    return scale
