"""The request for a training: its recipe, images and output files."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from restore_cli.atomic import lock
from restore_cli.errors import UsageError
from restore_cli.training.log import read_rows
from restore_cli.training.recipe import Recipe


@dataclass(frozen=True)
class Request:
    """One training.

    Attributes:
        recipe: decides the weights, together with the images; the other attributes do not.
        data: the folder that contains the recipe's folders.
        out: the best checkpoint. Next to it are NAME.last.safetensors, the latest checkpoint,
            NAME.state.safetensors, to resume from, and NAME.csv, the log.
        device: as in `engine.find_device`.
        resume: continue from the state, if there is one; the recipe may be longer or shorter.
        validation: a folder of validation images to use instead of held-out ones.
        workers: processes that draw batches ahead; None uses as many as an accelerator needs, and
            none for a CPU.
        compile: compile the network with torch.compile, which pays off in long trainings on a GPU.
        logdir: a folder for TensorBoard's logs.
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
        """The latest checkpoint."""
        return self.out.with_suffix(".last.safetensors")

    @property
    def state(self) -> Path:
        """The file to resume from."""
        return self.out.with_suffix(".state.safetensors")

    @property
    def log(self) -> Path:
        """The CSV file of the log."""
        return self.out.with_suffix(".csv")

    def count_workers(self, device: torch.device) -> int:
        """Return the number of processes that draw batches ahead."""
        if self.workers is not None:
            return self.workers
        return 0 if device.type == "cpu" else min(8, max(1, (os.cpu_count() or 2) - 1))

    def check_replaced(self) -> None:
        """Check that no file would be replaced that this training did not write.

        Raises:
            UsageError: one would be.
            RestoreError: there is a file with the name of the log, which is none.
        """
        for path in (self.out, self.last, self.state, self.log):
            if path.exists() and not self.resume:
                raise UsageError(
                    f"Cannot write {path}: it already exists. Use --resume to continue, or choose"
                    " another --out."
                )
        if self.state.exists():
            return
        for path in (self.out, self.last):
            if path.exists():
                raise UsageError(
                    f"Cannot resume: {self.state} does not exist, and {path} would be replaced."
                    " Move it away, or choose another --out."
                )
        if self.log.exists():  # of a training that was killed before its first state
            read_rows(self.log)

    def _check_places(self) -> None:
        """Check, before any work is done, that all output files can be written.

        Raises:
            UsageError: one of them cannot be written.
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
                f"Cannot write {path}: {error.strerror}. Choose another --out."
            ) from error

    @contextmanager
    def reserve(self) -> Iterator[None]:
        """Reserve the output files, by a locked file that is removed at the end.

        Raises:
            UsageError: one of them cannot be written, or another training writes them.
        """
        self._check_places()
        path = self.out.with_name(f".{self.out.name}.lock")
        with path.open("wb") as file:
            if lock(file.fileno(), inherited=False) is False:  # workers may outlive a kill
                raise UsageError(
                    f"Cannot write {self.out}: another training is writing it. Wait until it ends,"
                    " or choose another --out."
                )
            try:
                yield
            finally:
                with suppress(OSError):  # Windows cannot remove an open file
                    path.unlink()
