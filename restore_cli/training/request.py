"""What is asked of a training: its recipe, its images and where it writes."""

from __future__ import annotations

import errno
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from restore_cli.errors import UsageError
from restore_cli.training.recipe import Recipe


@dataclass(frozen=True)
class Request:
    """One training.

    Attributes:
        recipe: what decides the weights; all else does not.
        data: the folder that holds the recipe's folders.
        out: where the best checkpoint goes; beside it NAME.last.safetensors, the newest,
            NAME.state.safetensors, to resume from, and NAME.csv, the log.
        device: as `engine.find_device` takes it.
        resume: go on from the state, if there is one; the recipe may have become longer.
        validation: a folder of images to score with, in place of those held out.
        workers: processes that draw batches ahead; None is as many as an accelerator needs, none
            for a CPU.
        compile: compile the network with torch.compile, which pays in long trainings on a GPU.
        logdir: a folder for TensorBoard.
    """

    recipe: Recipe
    data: Path
    out: Path
    device: str = "auto"
    resume: bool = False
    validation: Path | None = None
    workers: int | None = None
    compile: bool = False
    logdir: Path | None = None

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.out.with_suffix(".last.safetensors")

    @property
    def state(self) -> Path:
        """The file to resume from."""
        return self.out.with_suffix(".state.safetensors")

    @property
    def log(self) -> Path:
        """The table of all moments."""
        return self.out.with_suffix(".csv")

    def count_workers(self, device: torch.device) -> int:
        """How many processes draw batches ahead."""
        if self.workers is not None:
            return self.workers
        return 0 if device.type == "cpu" else min(8, max(1, (os.cpu_count() or 2) - 1))

    def check_places(self) -> None:
        """Raise UsageError where what a training writes cannot be written, before any work is
        done.
        """
        path = self.out
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            for path in (self.out, self.last, self.state, self.log):
                if path.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
                with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}."):
                    pass
        except OSError as error:
            raise UsageError(
                f"Cannot write {path}: {error.strerror}. Give another --out."
            ) from error
