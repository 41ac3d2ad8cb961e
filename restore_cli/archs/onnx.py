"""Networks of ONNX files by onnxruntime, which is optional.

A file that `restore models export` wrote says how far its network sees and what it takes besides a
picture. Of any other, scale and grid are found by running it on small pictures, and its tiles are
approximate. Only plain networks are run: one picture in, one out, all numbers in the file, and no
operator of other libraries.
"""

from __future__ import annotations

import importlib
import math
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

GRIDS = (1, 2, 4, 8, 16, 32, 64)  # of which one size after the other is tried
SIDES = (16, 4096)  # pixels, of a size that is fixed
ENLARGES = 16  # times at most
SEEN = 4096  # pixels of the largest radius that an export may state
FLOATS = (
    256  # numbers that a network holds at least for a pixel of its result, for all that is known
)
PER_PIXEL, AT_ONCE = 2**14, 2**30  # numbers that one of its layers may make of a pixel, and in all
DOMAINS = (
    "",
    "ai.onnx",
    "ai.onnx.ml",
    "com.microsoft",
)  # of operators that are a part of onnxruntime
ENDLESS = ("Loop", "Scan")  # operators that may never end
EXPORTED = ("task", "channels", "conditions", "scale", "multiple", "radius", "trained")
Numbers = NDArray[np.float32]


class Onnx(Restorer):
    """A network that onnxruntime runs, on the CPU.

    Args:
        run: makes of N x planes x H x W, float32, what the network makes of it.
        geometry: what the engine must know of it.
        size: height and width of the only pictures that it takes; smaller ones are continued by
            mirroring.
        stated: what the file states, if `restore models export` wrote it.
        traits: what else there is to know of the file, in words.
    """

    on_cpu = True

    def __init__(
        self,
        run: Callable[[Numbers], Numbers],
        geometry: Geometry,
        size: tuple[int, int] | None = None,
        stated: Mapping[str, str] | None = None,
        traits: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.geometry, self.stated, self.traits = geometry, stated or {}, traits or {}
        self._run, self._size = run, size

    def forward(self, x: Tensor) -> Tensor:  # N, planes, H, W -> N, channels, scale*H, scale*W
        height, width = (side * self.geometry.scale for side in x.shape[2:])
        picture = x.float().cpu().numpy()
        if self._size:
            rest = [(0, whole - side) for whole, side in zip(self._size, x.shape[2:], strict=True)]
            picture = np.pad(picture, [(0, 0), (0, 0), *rest], mode="symmetric")
        return torch.from_numpy(self._run(picture)[:, :, :height, :width]).to(x)


def read(path: Path) -> Onnx:
    """The network of an ONNX file.

    Raises:
        WeightsError: onnxruntime is not installed; the file cannot be read, is damaged, refers to
            other files or libraries, or takes or makes something else than a picture.
    """
    try:
        onnx, runtime = (importlib.import_module(name) for name in ("onnx", "onnxruntime"))
    except ImportError as error:
        raise WeightsError(
            f"Cannot load {path}: ONNX Runtime is not installed. Run `pip install"
            " 'restore-cli[onnx]'`."
        ) from error
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"The checkpoint {path} cannot be read: {error.strerror}.") from error
    try:
        return _make(data, onnx, runtime)
    except ValueError as error:
        raise WeightsError(f"Cannot load {path}: {error}. Get another file.") from error


def _make(data: bytes, onnx: Any, runtime: Any) -> Onnx:
    """The network of a file's bytes; raises ValueError for what does not fit."""
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's, whose class is not ours to import
        raise ValueError("it is no ONNX file, or is damaged") from error
    _check_plain(model, onnx)
    kind, (planes, *sides) = _input(model.graph, onnx)
    stated = {entry.key: entry.value for entry in model.metadata_props}
    size = _fixed(sides)
    if size or not all(key in stated for key in EXPORTED):
        stated = {}
    count = planes or 3
    height, width = size or _try_size(GRIDS[-1])  # which all grids have in common
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
    numbers = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
    traits = {
        "parameters": f"{numbers:,}",
        "stored as": "ONNX, " + np.dtype(kind).name,
        "size of pictures": f"{width} x {height}, others in tiles" if size else "any",
        "opset": str(opset),
        "written by": brief(f"{model.producer_name} {model.producer_version}".strip()),
    }
    return Onnx(run, geometry, size, stated, traits).eval()


def _check_plain(model: Any, onnx: Any) -> None:
    """Raise ValueError for what reaches beyond the file, or may never end."""
    own = {function.domain for function in model.functions}
    for part in _parts(model):
        if isinstance(part, onnx.TensorProto) and (part.external_data or part.data_location):
            raise ValueError("it keeps numbers in other files, which are never opened")
        if isinstance(part, onnx.NodeProto):
            name = brief(f"{part.domain}:{part.op_type}".lstrip(":"))
            if part.domain not in (*DOMAINS, *own):
                raise ValueError(f"it needs the operator {name}, whose library is never loaded")
            if part.op_type in ENDLESS:
                raise ValueError(f"it has the operator {name}, which may never end")


def _parts(message: Any) -> Iterator[Any]:
    """A protobuf message, and all messages in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type:
            for part in [value] if hasattr(value, "ListFields") else value:
                yield from _parts(part)


def _input(graph: Any, onnx: Any) -> tuple[str, list[int]]:
    """The type of numbers that a network takes, and channels, height and width, 0 where they are
    free.
    """
    kept = {tensor.name for tensor in graph.initializer}
    inputs = [one for one in graph.input if one.name not in kept]
    for what, ports in (("takes", inputs), ("makes", graph.output)):
        if len(ports) != 1:
            names = brief(", ".join(one.name for one in ports) or "none")
            raise ValueError(f"it {what} {len(ports)} things ({names}), not one picture")
    kind = inputs[0].type.tensor_type
    types = {onnx.TensorProto.FLOAT: "float32", onnx.TensorProto.FLOAT16: "float16"}
    if kind.elem_type not in types:
        name = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
        raise ValueError(f"its input has numbers of the type {name}, neither float32 nor float16")
    shape = [dim.dim_value if dim.dim_value > 0 else 0 for dim in kind.shape.dim]
    if len(shape) != 4:
        raise ValueError(f"its input has {len(shape)} dimensions, not the four of N x C x H x W")
    if shape[0] > 1:
        raise ValueError(f"it takes {shape[0]} pictures at once, not one")
    if shape[3] in (1, 3) and shape[1] not in (1, 3):
        raise ValueError("its input is N x H x W x C, not N x C x H x W")
    return types[kind.elem_type], shape[1:]


def _fixed(sides: list[int]) -> tuple[int, int] | None:
    """Height and width of the only pictures that a network takes, None if it takes any."""
    if not any(sides):
        return None
    height, width = (side or max(sides) for side in sides)
    if min(height, width) < SIDES[0] or max(height, width) > SIDES[1]:
        raise ValueError(
            f"it takes pictures of {width} x {height} pixels alone, not of {SIDES[0]} to"
            f" {SIDES[1]} a side"
        )
    return height, width


def _try_size(grid: int) -> tuple[int, int]:
    """Height and width of a small picture, odd multiples of a grid."""
    odd = max(1, 48 // grid // 2 * 2 - 1)
    return grid * odd, grid * (odd + 2)


def _largest(model: Any, shape: tuple[int, int, int], onnx: Any) -> int:
    """Numbers in the largest layer for a picture of this shape, as far as they follow, or 0.

    Raises:
        ValueError: they are too many, as of a file that is made to fill the memory.
    """
    sized = onnx.ModelProto()
    sized.CopyFrom(model)
    del sized.graph.value_info[:]
    kept = {tensor.name for tensor in sized.graph.initializer}
    port = next(one for one in sized.graph.input if one.name not in kept)
    for side, dim in zip((1, *shape), port.type.tensor_type.shape.dim, strict=True):
        dim.dim_value = side
    with suppress(Exception):  # what does not follow is found by running it
        sized = onnx.shape_inference.infer_shapes(sized, data_prop=True)
    layers = [
        [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*sized.graph.value_info, *sized.graph.output)
    ]
    most = max(map(math.prod, layers), default=0)
    if most > min(AT_ONCE, PER_PIXEL * max(math.prod(shape[1:]), math.prod(_try_size(GRIDS[-1])))):
        raise ValueError(
            f"it makes {most:,} numbers of a picture of {shape[2]} x {shape[1]} pixels"
        )
    return max(
        (math.prod(layer) for layer in layers if len(layer) == 4 and layer[0] == 1), default=0
    )


def _session(data: bytes, kind: str, runtime: Any) -> Callable[[Numbers], Numbers]:
    """What runs a file, with as many threads as PyTorch."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = torch.get_num_threads(), 1
    options.enable_cpu_mem_arena = False  # which would keep the memory of the largest tile
    options.log_severity_level = 4  # what fails is raised
    try:
        session = runtime.InferenceSession(
            data, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )  # which would print
    except Exception as error:
        reason = brief(" ".join(str(error).split()))
        raise ValueError(
            f"onnxruntime {runtime.__version__} does not take it ({reason})"
        ) from error
    (given,) = session.get_inputs()
    quiet = runtime.RunOptions()
    quiet.log_severity_level = 4

    def run(picture: Numbers) -> Numbers:
        try:
            (made,) = session.run(None, {given.name: picture.astype(kind, copy=False)}, quiet)
            return np.asarray(made, np.float32)
        except Exception as error:
            reason = " ".join(str(error).split())
            if "allocate" in reason:
                raise MemoryError(reason) from error
            raise EngineError(
                f"The network cannot be run: {brief(reason)}. Try another --model."
            ) from error

    return run


def _stated_geometry(
    stated: Mapping[str, str], run: Callable[[Numbers], Numbers], planes: int
) -> Geometry:
    """The geometry that an export of ours states, if the network agrees."""
    try:
        keys = ("channels", "conditions", "scale", "multiple", "radius")
        geometry = Geometry(
            **{key: int(stated[key]) for key in keys}, local=stated.get("local") != "False"
        )
    except ValueError as error:
        raise ValueError("what it states of its network is damaged") from error
    bounds = {
        "channels": (1, 3),
        "conditions": (0, 64),
        "scale": (1, ENLARGES),
        "multiple": (1, GRIDS[-1]),
    }
    for key, (low, high) in {**bounds, "radius": (0, SEEN)}.items():
        if not low <= getattr(geometry, key) <= high:
            raise ValueError(f"its {key} of {getattr(geometry, key)} is not from {low} to {high}")
    if planes != geometry.channels + geometry.conditions:
        raise ValueError(f"it takes {planes} channels, not those that it states")
    height, width = 3 * geometry.multiple, 5 * geometry.multiple
    if _scale(run, planes, geometry.channels, height, width) != geometry.scale:
        raise ValueError(f"it does not enlarge {geometry.scale} times, as it states")
    return geometry


def _found_geometry(
    run: Callable[[Numbers], Numbers], channels: int, size: tuple[int, int] | None
) -> Geometry:
    """The geometry of a network that states none: the first grid on which it makes pictures of
    pictures.
    """
    if channels not in (1, 3):
        raise ValueError(f"it takes {channels} channels, not 1 or 3")
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
    """How many times a network enlarges a picture of this size; raises ValueError where that is
    none.
    """
    picture = np.random.default_rng(0).random((1, planes, height, width), np.float32)
    try:
        made = run(picture)
    except (EngineError, MemoryError) as error:
        raise ValueError(
            f"it fails on a picture of {width} x {height} pixels ({brief(str(error))})"
        ) from error
    scale: int = (made.shape or (0,))[-1] // width
    if made.shape != (1, channels, scale * height, scale * width) or not 1 <= scale <= ENLARGES:
        raise ValueError(
            f"it makes {list(made.shape)} of {list(picture.shape)}, which is no picture"
        )
    return scale
