"""Runs a network on windows of an image; a GPU computes while the next windows are prepared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from restore_cli.device import autocast
from restore_cli.errors import EngineError
from restore_cli.image import Pixels
from restore_cli.network import Restorer
from restore_cli.tiles import Box, cut_window

Condition = float | Pixels  # one value for the entire image, or an H x W map


@dataclass(frozen=True, eq=False)
class Batch:
    """Windows that a device is restoring.

    Attributes:
        windows: their positions; all have one size.
        inputs: N x (channels + conditions) x h x w, on the device.
        outputs: of the network, in the computer's memory.
        extremes: the lowest and the highest output.
        precision: with which it is computed.
        copied: what to wait for before outputs and extremes are read; None if they are complete.
    """

    windows: Sequence[Box]
    inputs: Tensor
    outputs: Tensor
    extremes: Tensor
    precision: str
    copied: torch.cuda.Event | None = None


class Forward:
    """Runs a network on windows of one image.

    On a CUDA device, `start` does not wait: the device computes on its main stream, and copies on
    another one, from and to pinned memory.

    Args:
        network: on the device.
        pixels: the image, H x W x channels.
        conditions: one entry for each condition plane.
        device: of the network.
        precision: "fp32", "bf16" or "fp16"; becomes "fp32" once a result is not finite.
        turns: rotations, each also mirrored, to average over; 0 to run the network once.
        compiled: whether to run the network as compiled by torch.compile.
    """

    def __init__(
        self,
        network: Restorer,
        pixels: Pixels,
        conditions: Sequence[Condition],
        device: torch.device,
        precision: str,
        turns: int = 0,
        compiled: bool = False,
    ) -> None:
        self._network, self._pixels, self._conditions = network, pixels, conditions
        self._device, self.precision, self._turns = device, precision, turns
        self._compiled = compiled
        self._copies: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def start(self, windows: Sequence[Box]) -> Batch:
        """Start to restore windows of one size."""
        planes, precision = self._cut(windows), self.precision
        if self._copies is None:
            inputs = planes.to(self._device).permute(0, 3, 1, 2)
            outputs = self._compute(inputs, precision)
            return Batch(windows, inputs, outputs.cpu(), _extremes(outputs).cpu(), precision)
        computing = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._copies):
            inputs = planes.to(self._device, non_blocking=True).permute(0, 3, 1, 2)
        computing.wait_stream(self._copies)
        inputs.record_stream(computing)
        outputs = self._compute(inputs, precision)
        extremes = _extremes(outputs)
        self._copies.wait_stream(computing)
        with torch.cuda.stream(self._copies):
            copy, ends = _download(outputs, self._copies), _download(extremes, self._copies)
            return Batch(windows, inputs, copy, ends, precision, self._copies.record_event())

    @torch.inference_mode()
    def finish(self, batch: Batch) -> list[Pixels]:
        """Wait for the windows, and return each one as h x w x channels.

        Raises:
            EngineError: the network's output is not finite, even in fp32.
        """
        if batch.copied:
            batch.copied.synchronize()
        outputs, extremes = batch.outputs, batch.extremes
        if not extremes.isfinite().all() and batch.precision != "fp32":
            self.precision = "fp32"
            outputs = self._compute(batch.inputs, "fp32").cpu()
            extremes = _extremes(outputs)
        if not extremes.isfinite().all():
            raise EngineError(
                "Cannot restore this photo: the model's output is not finite. Use another --model,"
                " or --device cpu."
            )
        scale = self._network.geometry.scale
        return [
            output[:, : window.size[0] * scale, : window.size[1] * scale]
            .permute(1, 2, 0)
            .float()
            .numpy()
            for output, window in zip(outputs, batch.windows, strict=True)
        ]

    def _cut(self, windows: Sequence[Box]) -> Tensor:
        """Cut windows and their conditions as N x h x w x planes."""
        multiple, channels = self._network.geometry.multiple, self._pixels.shape[2]
        height, width = (-(-side // multiple) * multiple for side in windows[0].size)
        shape = len(windows), height, width, channels + len(self._conditions)
        batch = torch.empty(shape, pin_memory=self._copies is not None)
        for planes, window in zip(batch.numpy(), windows, strict=True):
            image = cut_window(self._pixels, window, multiple)
            planes[..., :channels] = image.transpose(1, 2, 0)
            for index, condition in enumerate(self._conditions, channels):
                planes[..., index] = (
                    condition
                    if isinstance(condition, (int, float))
                    else cut_window(condition[:, :, None], window, multiple)[0]
                )
        return batch

    def _compute(self, inputs: Tensor, precision: str) -> Tensor:
        network = self._network.compiled if self._compiled else self._network
        with autocast(self._device, precision):
            if not self._turns:
                return network(inputs.contiguous(memory_format=torch.channels_last))
            total = torch.zeros(())
            for mirrored in (False, True):
                for turns in range(self._turns):
                    turned = torch.rot90(inputs.flip(3) if mirrored else inputs, turns, (2, 3))
                    back = torch.rot90(network(turned.contiguous()).float(), -turns, (2, 3))
                    total = total.to(back) + (back.flip(3) if mirrored else back)
            return total / (2 * self._turns)


def _extremes(values: Tensor) -> Tensor:
    return torch.stack(values.aminmax())  # NaN spreads to both


def _download(values: Tensor, stream: torch.cuda.Stream) -> Tensor:
    """Copy a tensor to the computer's memory, on the current stream, without waiting."""
    values.record_stream(stream)
    copy = torch.empty_like(values, device="cpu", pin_memory=True)
    return copy.copy_(values, non_blocking=True)
