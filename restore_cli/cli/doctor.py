"""`restore doctor`: checks the installation, and says what is wrong and what to do."""

from __future__ import annotations

from json import dumps
from typing import Annotated, Any

import typer

from restore_cli.cli.display import print_error, print_result
from restore_cli.cli.examples import examples
from restore_cli.cli.options import FLAG, Debug
from restore_cli.cli.signals import Worker
from restore_cli.errors import ExitCode

EPILOG = f"{examples('doctor')}\n\nExit codes: 0 all is well, 1 something is wrong."


def doctor(
    json: Annotated[bool, typer.Option("--json", metavar=FLAG, help="Print JSON.")] = False,
    debug: Debug = False,  # noqa: ARG001 (read by the error boundary)
) -> None:
    """Check the installation: versions, devices, memory, models, and a self-test.

    The self-test restores a small noisy picture with the default denoiser on each device, in fp32
    and bf16. It shows the gain in PSNR, the PSNR between the result and that of the CPU in fp32,
    and the speed in megapixels per second. Nothing is changed or downloaded.
    """
    from restore_cli.diagnostics import examine

    shown: dict[str, dict[str, Any]] = {}
    problems = []
    with Worker() as worker:
        for section, finding in worker.each(examine()):
            if section not in shown and not json:
                print_result(section)
            shown.setdefault(section, {})[finding.name.replace(" ", "_")] = finding.value
            if not json:
                print_result(f"  {finding.name:<14}{finding.text or finding.value}")
            if finding.problem:
                problems.append(finding.problem)
    if json:
        print_result(dumps({"ok": not problems, "problems": problems, **shown}, indent=2))
    elif not problems:
        print_result("Everything works.")
    for problem in problems:
        print_error(problem)
    if problems:
        raise typer.Exit(ExitCode.FAILED)
