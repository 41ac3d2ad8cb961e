"""The log of a training: a CSV file, and optionally TensorBoard."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from restore_cli.atomic import write_whole
from restore_cli.errors import RestoreError, UsageError
from restore_cli.image import Pixels


class Log:
    """A table of figures, with one row for each `Progress` of a training.

    Args:
        path: the CSV file; a resumed training drops the rows after the step that it resumes from.
        step: that step.
        logdir: folder for TensorBoard's event files, or None.

    Raises:
        RestoreError: the log of a resumed training is damaged.
        UsageError: TensorBoard is not installed.
    """

    def __init__(self, path: Path, step: int, logdir: Path | None = None) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if step and path.exists():
            self.rows = [row for row in read_rows(path) if int(row["step"]) <= step]
        self.board: Any = None
        if logdir:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise UsageError(
                    "Cannot write TensorBoard logs: TensorBoard is not installed. Run"
                    " `pip install 'restore-cli[logs]'`."
                ) from error
            self.board = SummaryWriter(str(logdir), purge_step=step or None)

    def write(self, figures: Mapping[str, float | int]) -> None:
        """Add a row.

        Args:
            figures: values by column name; "step" is required.

        Raises:
            RestoreError: the file cannot be written.
        """
        self.rows.append(
            {key: f"{value:.6g}" for key, value in figures.items()} | {"step": figures["step"]}
        )
        columns = {key: None for row in self.rows for key in row}
        table = io.StringIO()
        writer = csv.DictWriter(table, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        try:
            write_whole(self.path, table.getvalue().encode("utf-8"))
        except OSError as error:
            raise RestoreError(
                f"Cannot write {self.path}: {error.strerror}. Free some disk space."
            ) from error
        if self.board:
            for name, value in figures.items():
                if name != "step":
                    self.board.add_scalar(name, value, figures["step"])

    def show(self, step: int, pictures: Sequence[Sequence[Pixels]]) -> None:
        """Write sample images to TensorBoard.

        Args:
            pictures: rows of degraded, restored and clean image, each H x W x C in [0, 1].
        """
        if self.board:
            for index, row in enumerate(pictures):
                row = [image.clip(0, 1) for image in row]
                self.board.add_image(
                    f"sample {index}", np.concatenate(row, axis=1), step, dataformats="HWC"
                )

    def close(self) -> None:
        """Close the files of TensorBoard."""
        if self.board:
            self.board.close()


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows of a log; raises RestoreError if the file is damaged, or no log."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            int(row["step"])
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise RestoreError(
            f"Cannot continue the log {path}: it is damaged. Move it away."
        ) from error
    return rows
