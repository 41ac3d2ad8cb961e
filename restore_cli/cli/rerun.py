"""`restore rerun`: restores a photo again as its metadata says, and compares the results."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restore_cli.atomic import check_place
from restore_cli.cli.completion import model_names
from restore_cli.cli.display import print_result, print_text
from restore_cli.cli.examples import examples
from restore_cli.cli.fields import fill_task
from restore_cli.cli.options import Accept, Debug, Json, MaxPixels, Offline, Overwrite
from restore_cli.cli.progress import BatchProgress, Downloads, show_progress
from restore_cli.cli.signals import Worker, call
from restore_cli.errors import ExitCode, UsageError
from restore_cli.image import format_of, is_image_name, suffix_of, write_encoded
from restore_cli.models import store
from restore_cli.tasks import find_task

if TYPE_CHECKING:
    from restore_cli.pipeline.request import Request
    from restore_cli.pipeline.rerun import Made, Rerun

EPILOG = (
    f"{examples('rerun')}\n\nExit codes: 0 the results are equal, 1 they differ or a photo cannot"
    " be read, 2 invalid arguments or no provenance, 3 model missing or damaged, 130 interrupted."
)


def rerun(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Photo that was restored with --provenance.")
    ],
    original: Annotated[
        Path,
        typer.Option("--from", metavar="ORIGINAL", help="Photo that it was made from."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT",
            help="Write the new result, in the format of FILE; by default nothing is written.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    mask: Annotated[
        Path | None,
        typer.Option(metavar="MASK", help="Mask, if the photo was restored with one."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Model, if the one that was used is not in the catalog, such as your own.",
            autocompletion=model_names,
        ),
    ] = None,
    accept: Accept = None,
    offline: Offline = False,
    device: Annotated[
        str | None,
        typer.Option(
            metavar="DEVICE",
            help="Device to run on: auto, cpu, cuda, cuda:N or mps; by default as before.",
        ),
    ] = None,
    max_pixels: MaxPixels = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Restore a photo again as its metadata says, and compare the results.

    The result is equal if all bytes are, or all pixels. Otherwise the largest difference is shown,
    and what may explain it: another original, model, version, device or precision.

    Of several runs that made FILE one after the other, the last one is repeated.
    """
    from restore_cli.pipeline.files import STREAM, FileJob
    from restore_cli.pipeline.plan import Chain, Step
    from restore_cli.pipeline.request import Request
    from restore_cli.pipeline.rerun import find_models, read_made, settings_of

    made = call(read_made, file, max_pixels)
    run, format = made.run, made.picture.format
    if output:
        _check_output(output, overwrite, format, [file, original, *([mask] if mask else [])])
    if bool(mask) != bool(run.mask_sha256):
        hint = "Leave out --mask" if mask else "Give it as --mask"
        raise UsageError(
            f"Cannot rerun {file}: it was restored {'without' if mask else 'with'} a mask. {hint}."
        )
    for name in accept or ():
        store.accept_license(name)
    tasks = [fill_task(find_task(step.task), "the metadata", step.given) for step in run.steps]
    models = find_models(run.steps, model)
    strengths = [step.strength for step in run.steps]
    name, drawn = original.name, str(mask or "")
    request = Request(
        plan=Chain(tuple(map(Step, tasks, models, strengths))),
        items=[FileJob(str(original), STREAM, name, mask_in=drawn, format=format)],
        settings=settings_of(run, device),
        jpeg_quality=run.jpeg_quality,
        max_pixels=max_pixels,
        provenance=True,
        date=run.date,
        offline=offline,
        debug=debug,
    )
    result = _rerun(made, request, json)
    if output:
        write_encoded(result.data, output)
    if json:
        print_result(jsonlib.dumps(result.to_plain()))
    else:
        for line in _describe(result, file, original):
            print_text(line)
    if result.result == "no":
        raise typer.Exit(ExitCode.FAILED)


def _check_output(output: Path, overwrite: bool, format: str, inputs: Sequence[Path]) -> None:
    """Raise UsageError if the output cannot be written, before any work is done."""
    if any(path.exists() and output.exists() and path.samefile(output) for path in inputs):
        raise UsageError(f"Cannot write {output}: it is an input. Give another name.")
    if not is_image_name(output) or format_of(output) != format:
        raise UsageError(
            f"Cannot write {output}: the result is a {format} file. Give a name that ends with"
            f" {suffix_of(format)}."
        )
    check_place(output, (output.suffix.lower(),), overwrite=overwrite)


def _rerun(made: Made, request: Request, quiet: bool) -> Rerun:
    from restore_cli.pipeline.request import Callbacks
    from restore_cli.pipeline.rerun import rerun

    with show_progress("rerun", quiet) as bar, Worker() as worker:
        batch = BatchProgress(bar, 1, Downloads(quiet))
        callbacks = Callbacks(on_download=batch.download, on_progress=batch.restore)
        return worker.call(rerun, made, request, callbacks)


def _describe(result: Rerun, file: Path, original: Path) -> Iterator[str]:
    if result.result == "file":
        yield f"{file}: equal, all bytes"
    elif result.result == "pixels":
        yield f"{file}: equal, all pixels; other bytes of the file differ"
    elif result.largest is None:
        yield f"{file}: different, in size or channels"
    else:
        yield f"{file}: different, by up to {result.largest:.3g} of 255"
    if result.changed:
        yield f"  The pixels of {file} were changed after it was restored."
    if result.original == "pixels":
        yield f"  {original} has the pixels of the original, but is another file."
    elif result.original == "no":
        yield f"  {original} is not the original: its pixels differ."
    yield from (f"  {sentence}" for sentence in result.differences)
