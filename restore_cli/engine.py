"""Runs a network on an image of any size: exact tiles, ensemble, and smaller tiles if needed.

Tiling is exact because a tile is cut with a halo at least as wide as the network's receptive field,
starts on the network's grid, and ends at the image's borders. The network's own zero padding then
acts at the image's borders only, as it would without tiles; its effects at the other edges stay
within the halo. Networks with global operations, such as attention, see only a part of the image in
a tile; their tiles overlap and are blended, which is approximate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from restore_cli import memory
from restore_cli.device import autocast as autocast
from restore_cli.device import find_device as find_device
from restore_cli.device import find_precision, free_memory
from restore_cli.errors import EngineError, UsageError
from restore_cli.forward import Batch, Condition, Forward
from restore_cli.image import Pixels
from restore_cli.network import Geometry, Restorer
from restore_cli.tiles import Box, Canvas, Limits, Tile, split, within

# Side of a tile by device. On a CPU, 48 megapixels take 2.2 GB in bf16 (benchmarks/README.md).
_AUTO_TILE = {"cpu": 1024, "mps": 1024, "cuda": 2048}
_SMALLEST_TILE = 16  # pixels
_PROGRAM = 300_000_000  # bytes of Python, PyTorch and a network


@dataclass(frozen=True)
class Settings:
    """How to run a network.

    Args:
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
        precision: "auto", "fp32", "bf16" or "fp16"; "auto" picks the fastest one that the device
            computes natively and that the checkpoint is known to tolerate.
        tile: side of a tile without its halo, in input pixels; None picks a size that fits the free
            memory, 0 runs the entire image at once.
        ensemble: average over flips and rotations (section 3.5 of RED-Net), which takes up to eight
            times as long.
        compile: run the network as compiled by torch.compile, which takes a minute at the start.
        turns: the rotations of an ensemble, by a quarter turn each, 1 to 4; each is also mirrored.

    Raises:
        UsageError: the tile or the turns are not valid.
    """

    device: str = "auto"
    precision: str = "auto"
    tile: int | None = None
    ensemble: bool = False
    compile: bool = False
    turns: int = 4

    def __post_init__(self) -> None:
        tile = self.tile or _SMALLEST_TILE
        if not isinstance(tile, int) or tile < _SMALLEST_TILE or self.turns not in range(1, 5):
            raise UsageError(
                "Cannot use these settings: expected a tile of None, 0, or"
                f" {_SMALLEST_TILE} or more pixels, and 1 to 4 turns."
            )


@dataclass(frozen=True)
class Result:
    """A restored image and how it was computed; `tile` is the smallest side used, 0 if untiled."""

    pixels: Pixels
    device: str
    precision: str
    tile: int


def run(
    network: Restorer,
    pixels: Pixels,
    conditions: Sequence[Condition] = (),
    settings: Settings | None = None,
    on_tile: Callable[[float], None] = lambda share: None,
    overwrite: bool = False,
) -> Result:
    """Run a network on an image.

    The network is moved to the device, into the memory layout that is fastest there, and stays
    there.

    Args:
        network: in evaluation mode.
        pixels: H x W x channels, float32, any size from 1 x 1.
        conditions: one entry for each condition plane of the network.
        settings: how to run it; by default everything is automatic.
        on_tile: called after each tile with its share of the image; the shares add up to 1.
        overwrite: write the result over `pixels` if the network allows it, to save memory.

    Returns:
        The result, scale*H x scale*W x channels, float32, not clipped.

    Raises:
        UsageError: the device is not available, or the network does not accept the channels or
            conditions.
        EngineError: memory runs out even with the smallest tile, or the network's output is not
            finite even in fp32.
    """
    settings = settings or Settings()
    geometry = network.geometry
    channels = pixels.shape[2]
    if channels != geometry.channels or len(conditions) != geometry.conditions:
        raise UsageError(
            f"The network takes {geometry.channels} channels and {geometry.conditions} conditions,"
            f" not {channels} and {len(conditions)}."
        )
    if network.on_cpu:
        if settings.device not in ("auto", "cpu"):
            raise UsageError(
                f"Cannot run this network on {settings.device}: ONNX files run on the CPU only. Use"
                " --device cpu."
            )
        settings = replace(settings, device="cpu", precision="fp32", compile=False)
    device = find_device(settings.device)
    settings = replace(settings, precision=find_precision(settings.precision, device, network))
    # Tensors with five dimensions do not support this memory format.
    flat = all(value.ndim < 5 for value in network.state_dict().values())
    layout = torch.channels_last if flat else torch.preserve_format
    network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    return _run_tiles(network, pixels, conditions, device, settings, on_tile, overwrite)


def _run_tiles(
    network: Restorer,
    pixels: Pixels,
    conditions: Sequence[Condition],
    device: torch.device,
    settings: Settings,
    on_tile: Callable[[float], None],
    overwrite: bool,
) -> Result:
    """Run a network tile by tile, and halve the tiles whenever memory runs out."""
    geometry = network.geometry
    height, width, channels = pixels.shape
    smallest = _smallest_tile(network)
    tile = _tile_side(network, device, settings, (height, width))
    over = pixels if overwrite and _can_overwrite(geometry) else None
    canvas = Canvas((height, width, channels), geometry.scale, blends=not geometry.local, over=over)
    pending = deque(_cut(network, Box(0, 0, height, width), tile, settings))
    forward = Forward(
        network,
        pixels,
        conditions,
        device,
        settings.precision,
        settings.turns if settings.ensemble else 0,
        settings.compile,
    )
    count = _batch_size(network, device, settings, pending[0].window)
    ahead = 2 if device.type == "cuda" else 1  # batches that are started before one is finished
    running: deque[tuple[list[Tile], Batch]] = deque()
    finished = 0
    with memory.reuse():
        while pending or running:
            batch = None
            if pending and len(running) < ahead:
                parts = [pending.popleft() for _ in range(min(count, len(pending)))]
            else:
                parts, batch = running.popleft()
            try:
                if batch is None:
                    running.append((parts, forward.start([part.window for part in parts])))
                    continue
                restored = forward.finish(batch)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                pending.extendleft(reversed(parts))
                if count > 1:
                    count = 1
                elif tile > smallest:
                    tile = max(smallest, tile // 2 // geometry.multiple * geometry.multiple)
                    pending = deque(
                        smaller
                        for whole in pending
                        for smaller in within(whole, _cut(network, whole.window, tile, settings))
                    )
                else:
                    raise EngineError(
                        f"Cannot restore this photo: out of memory, even with tiles of {tile}"
                        " pixels. Close other programs, or use --device cpu."
                    ) from error
                memory.release()
                if device.type == "cuda":
                    torch.cuda.empty_cache()
                continue
            for part, window in zip(parts, restored, strict=True):
                canvas.add(part, window)
                on_tile(part.box.area / (height * width))
            finished += len(parts)
            waiting = [*pending, *(part for parts, _ in running for part in parts)]
            canvas.settle([part.window for part in waiting])
    used = tile if finished > 1 else 0
    return Result(canvas.finish(), str(device), forward.precision, used)


def check_tiles(
    network: Restorer, pixels: Pixels, conditions: Sequence[Condition], settings: Settings
) -> float | None:
    """Measure how much tiles change the result on a crop from the image's center, in fp32.

    The crop is five halos wide and high, so that inner tiles have cut edges.

    Returns:
        The largest absolute difference between tiled and untiled output, where 1 is white; None if
        the image fits into one tile, or the network's input has a fixed size.
    """
    geometry = network.geometry
    tile = max(128, geometry.halo)
    height, width = pixels.shape[:2]
    if geometry.largest or max(height, width) <= tile:
        return None
    length = 3 * tile + 2 * geometry.halo
    top, left = (max(0, (side - length) // 2) for side in (height, width))
    rows, columns = slice(top, top + length), slice(left, left + length)
    crop = np.ascontiguousarray(pixels[rows, columns])
    planes = [plane if isinstance(plane, float) else plane[rows, columns] for plane in conditions]
    whole, tiled = (
        run(network, crop, planes, replace(settings, tile=side, precision="fp32")).pixels
        for side in (0, tile)
    )
    return float(np.abs(whole - tiled).max())


def estimate_memory(
    network: Restorer,
    height: int,
    width: int,
    settings: Settings | None = None,
    overwrite: bool = False,
    maps: int = 0,
) -> int:
    """Estimate the peak memory of a process that restores a photo, in bytes.

    It covers the program, the photo before and after in float32, and what the network needs on a
    CPU; on other devices the network's memory is not in the process.

    Args:
        network: whose channels and scale the photo has.
        height, width: of the photo.
        settings: as for `run`.
        overwrite: whether the result is written over the photo, as for `run`.
        maps: condition planes of the network that have a value for each pixel.

    Raises:
        UsageError: the device or the precision is not available.
    """
    geometry, settings = network.geometry, settings or Settings()
    device = find_device("cpu" if network.on_cpu else settings.device)
    precision = find_precision(settings.precision, device, network)
    settings = replace(settings, precision=precision)
    tile = _tile_side(network, device, settings, (height, width))
    window = _cut(network, Box(0, 0, height, width), tile, settings)[0].window
    after = geometry.scale**2 * height
    if overwrite and _can_overwrite(geometry):
        after = window.bottom - window.top  # a row of tiles waits
    images = (
        4 * (geometry.channels * (height + after) + min(maps, geometry.conditions) * height) * width
    )
    if device.type != "cpu":
        return _PROGRAM + images
    return _PROGRAM + images + int(window.area * _bytes_per_pixel(network, precision))


def _can_overwrite(geometry: Geometry) -> bool:
    return geometry.local and geometry.scale == 1


def _cut(network: Restorer, region: Box, tile: int, settings: Settings) -> list[Tile]:
    """Cut tiles with this side, or any tiles with its area if the user has not chosen the side."""
    geometry = network.geometry
    side = tile + 2 * geometry.halo
    freely = settings.tile is None and not geometry.largest
    limits = Limits(area=side**2) if freely else Limits(side)
    return split(region, limits, geometry.halo, geometry.multiple)


def _smallest_tile(network: Restorer) -> int:
    multiple = network.geometry.multiple
    return max(multiple, _SMALLEST_TILE // multiple * multiple)


def _tile_side(
    network: Restorer, device: torch.device, settings: Settings, size: tuple[int, int]
) -> int:
    """Choose the side of tiles; `settings` has a resolved precision."""
    geometry, wanted, smallest = network.geometry, settings.tile, _smallest_tile(network)
    multiple, halo, largest = geometry.multiple, geometry.halo, geometry.largest
    if largest:
        return max(size) if max(size) <= largest else largest - 2 * halo
    if wanted is None:
        free, needed = free_memory(device), _bytes_per_pixel(network, settings.precision)
        affordable = int((free / 4 / needed) ** 0.5)
        wanted = min(geometry.tile or _AUTO_TILE[device.type], affordable - 2 * halo)
        if wanted < halo:  # most of the work would be spent on halos
            wanted = 0 if size[0] * size[1] * needed <= free / 2 else max(wanted, halo // 2)
    whole = -(-max(size) // multiple) * multiple
    return whole if wanted == 0 or wanted >= whole else max(smallest, wanted // multiple * multiple)


def _batch_size(network: Restorer, device: torch.device, settings: Settings, window: Box) -> int:
    """The number of windows that a GPU restores at a time, with the pixels of a tile for a GPU.

    A CPU gains nothing from batches.
    """
    if device.type != "cuda":
        return 1
    affordable = free_memory(device) / 4 / _bytes_per_pixel(network, settings.precision)
    return max(1, int(min(_AUTO_TILE["cuda"] ** 2, affordable) / window.area))


def _bytes_per_pixel(network: Restorer, precision: str) -> float:
    """Estimate the bytes for one input pixel as ten times the largest activation.

    The factor covers the input, output, skips and workspace of a layer, and the gaps between blocks
    of memory: the default networks took 8.8 to 12.3 times in bf16, and 7.0 to 10.3 times in fp32.
    """
    if floats := network.geometry.floats:
        return 4 * floats
    return 10 * (4 if precision == "fp32" else 2) * network.largest_activation


def _is_out_of_memory(error: Exception) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    said = ("out of memory", "not enough memory", "can't allocate memory", "invalid buffer size")
    return any(words in text for words in said)
