"""`restore info`: what is known about photos, and how they were made."""

from __future__ import annotations

import json as jsonlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

from restore_cli.cli.display import (
    describe_options,
    print_error,
    print_result,
    print_text,
    print_warning,
)
from restore_cli.cli.examples import examples
from restore_cli.cli.options import Debug, Json, MaxPixels
from restore_cli.cli.signals import call
from restore_cli.errors import ExitCode, PictureError

if TYPE_CHECKING:
    from restore_cli.pipeline.facts import Facts
    from restore_cli.report.provenance import Provenance

EPILOG = (
    f"{examples('info')}\n\nExit codes: 0 all photos read, 1 some failed, 2 invalid"
    " arguments, 130 interrupted."
)


def info(
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Photos; - reads standard input.")
    ],
    max_pixels: MaxPixels = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show the size, depth, quality and metadata of photos, and how they were made.

    A photo that was restored with --provenance shows the date, the options and the models, the
    checksums of the original, and whether its pixels were changed since.
    """
    from restore_cli.image import read_file
    from restore_cli.pipeline.facts import read_facts

    failed = False
    for file in files:
        try:
            data = call(read_file, sys.stdin.buffer if file == "-" else file, max_pixels)
            facts = call(read_facts, data, file, max_pixels)
        except PictureError as error:
            if debug:
                raise
            print_error(str(error))
            failed = True
            continue
        if json:
            print_result(jsonlib.dumps(facts.to_plain(), ensure_ascii=False))
            continue
        for line in _describe(facts):
            print_text(line)
        for warning in facts.warnings:
            text, _, _ = warning.partition("; --pages")  # which `info` does not have
            print_warning(f"{file}: {text.rstrip('.')}.")
    if failed:
        raise typer.Exit(ExitCode.FAILED)


def _describe(facts: Facts) -> Iterator[str]:
    yield "standard input" if facts.file == "-" else facts.file
    color = "gray" if facts.channels == 1 else "color"
    yield (
        f"  {facts.format}, {facts.width} x {facts.height} pixels, {color}"
        f"{' with transparency' if facts.alpha else ''}, {facts.depth} bits per channel,"
        f" {decimal(facts.bytes)}"
    )
    details = [f"color profile {facts.profile}" if facts.profile else "no color profile"]
    if facts.jpeg_quality:
        details.insert(0, f"JPEG quality {facts.jpeg_quality}")
    if facts.dpi:
        details.append(" x ".join(f"{number:g}" for number in dict.fromkeys(facts.dpi)) + " dpi")
    yield f"  {', '.join(details)}"
    yield f"  metadata: {', '.join(facts.metadata) or 'none'}"
    for run in facts.runs:
        yield from _describe_run(run)
    if facts.runs:
        since = "the same as" if facts.unchanged else "not the same as"
        yield f"  pixels: {since} when it was restored"
    else:
        yield "  provenance: none"


def _describe_run(run: Provenance) -> Iterator[str]:
    yield f"  restored by restore-cli {run.version} on {run.date}: {run.command}"
    for step in run.steps:
        used = describe_options(step.used)
        ran = " + ".join(map(str, step.runs)) or f"{step.model}, which changed nothing"
        yield f"    {', '.join([step.task, *used])}: {ran}"
    settings = [
        "averaged over flips and rotations" if run.ensemble else "",
        f"saved with quality {run.jpeg_quality}" if run.jpeg_quality else "",
        f"with a mask, sha256 {run.mask_sha256}" if run.mask_sha256 else "",
    ]
    if any(settings):
        yield f"    {', '.join(filter(None, settings))}"
    yield f"    original: sha256 {run.input_sha256}"
