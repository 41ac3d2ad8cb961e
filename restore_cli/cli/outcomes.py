"""The output of a batch: a line per photo, then reports, page and totals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from restore_cli.cli.display import (
    describe,
    list_found,
    name_input,
    print_error,
    print_note,
    print_result,
    print_table,
    print_warning,
    stderr,
)
from restore_cli.cli.progress import BatchProgress
from restore_cli.cli.summary import Summary
from restore_cli.errors import ExitCode
from restore_cli.report.batch_report import write_report
from restore_cli.report.record import Record

if TYPE_CHECKING:
    from restore_cli.report.gallery import Gallery


@dataclass
class Outcomes:
    """Renders the records of a batch as they arrive.

    Args:
        batch: the progress of the batch.
        advice: how to continue after an interruption.
        reports: files to write all records to.
        page: the page that compares before and after.
        json: print records as JSON lines.
        quiet: print only errors.
    """

    batch: BatchProgress
    advice: str
    reports: Sequence[Path] = ()
    page: Gallery | None = None
    json: bool = False
    quiet: bool = False
    _summary: Summary = field(default_factory=Summary)
    _records: list[Record] = field(default_factory=list)

    def render(self, records: Iterable[Record]) -> None:
        """Show all records; reports and page are written even if the batch is interrupted.

        Raises:
            typer.Exit: an input failed.
            KeyboardInterrupt: its text says how to continue.
        """
        with ExitStack() as last:
            for path in reversed(self.reports):  # the last callback runs first
                last.callback(self._write_report, path)
            if self.page:
                last.callback(self.page.write)
            try:
                for record in records:
                    self._show(record)
            except KeyboardInterrupt as error:
                if self.batch.photos == 1:
                    raise
                count, failed = self.batch.done - self.batch.failed, self.batch.failed
                done = f"{count} of {self.batch.photos} photos are done"
                if self.batch.photos is None:
                    done = f"{count} photos are done" if count != 1 else "1 photo is done"
                if failed:
                    done += f", {failed} failed"
                raise KeyboardInterrupt(f"{done}. {self.advice}") from error
        if not self.quiet:
            if self.batch.photos != 1:
                self._print_totals()
            self._print_page()
        if self._summary.counts["failed"]:
            raise typer.Exit(ExitCode.FAILED)

    def _write_report(self, path: Path) -> None:
        if self._records:
            write_report(self._records, path)

    def _show(self, record: Record) -> None:
        self._summary.add(record)
        self.batch.finish(record)
        if self.reports:
            self._records.append(record)
        if self.json:
            print_result(record.to_json())
        if record.error:
            print_error(record.error)
        elif not self.quiet:
            for line in list_found(record):
                print_note(line)
            print_note(describe(record))
            for warning in record.warnings:
                print_warning(f"{name_input(record)}: {warning}")

    def _print_totals(self) -> None:
        """Print a table on a terminal, and otherwise one line."""
        if self.json or not stderr.is_terminal:
            print_note(f"{self._summary.results or 'no photos'} in {self.batch.seconds:.1f} s")
            return
        print_table(self._summary.rows(self.batch.seconds, self.batch.megapixels))

    def _print_page(self) -> None:
        page = self.page
        if page and not page.kept:
            print_note(f"nothing was restored; {page.path} was not written")
        elif page and page.left_out:
            print_warning(
                f"{page.path} shows {page.photos}:"
                " the first, or with --reference those with the lowest PSNR."
            )
