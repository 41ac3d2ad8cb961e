"""Options of `restore bench`, as annotated types."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restore_cli.cli import options
from restore_cli.cli.completion import complete_list, model_names, set_names, suite_names
from restore_cli.metrics.perceptual import METRICS
from restore_cli.tasks import TASKS

WHAT, _OUT = "Benchmark", "Output"  # panels


Sets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SET",
        help="Set names (see `restore bench sets`) or folders of images.",
        autocompletion=set_names,
    ),
]


Data = Annotated[
    list[Path] | None,
    options.option(WHAT, "DIR", "Folder that contains image sets, or a single set."),
]
Metrics = Annotated[
    list[str] | None,
    options.option(
        WHAT,
        "NAME,...",
        f"Additional metrics: {', '.join(METRICS)}.",
        autocompletion=complete_list(lambda _: METRICS),
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh", metavar=options.FLAG, help="Ignore the cached results of an interrupted run."
    ),
]
Report = Annotated[
    list[Path] | None,
    options.option(
        _OUT,
        "FILE",
        "Write a report as .html, .md, .csv, .json or .toml; repeatable.",
    ),
]
Show = Annotated[
    int,
    options.option(
        _OUT,
        "N",
        "Number of worst images per set and level to show in an HTML report; by default 2.",
        min=0,
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    options.flag(_OUT, "Print all rows as JSON, with the results of each image.", "--json"),
]
Suite = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Suite to run: papers or bundled.",
        autocompletion=suite_names,
    ),
]
Pairs = Annotated[
    str,
    options.option(
        WHAT,
        "CLEAN:DAMAGED",
        "Subfolders of each set with ground-truth and degraded images.",
    ),
]
Level = Annotated[
    list[str] | None,
    options.option(WHAT, "KEY=VALUE,VALUE,...", "Degradation level"),
]
Degrade = Annotated[
    list[str] | None,
    options.option(
        WHAT,
        "KEY=VALUE,VALUE,...",
        "Treat all images as clean and degrade them at this level.",
    ),
]
Models = Annotated[
    list[str] | None,
    options.option(
        WHAT,
        "NAME|FILE,...",
        "Models to benchmark; by default the task's default model.",
        autocompletion=complete_list(model_names),
    ),
]
Baselines = Annotated[
    list[str] | None,
    options.option(WHAT, "NAME,...", "Baselines to compare with"),
]


Published = Annotated[
    bool, options.flag(WHAT, "Include published results of papers.", "--published")
]
Gray = Annotated[bool, options.flag(WHAT, "Convert images to luma first.", "--gray")]
FullRange = Annotated[
    bool,
    options.flag(
        WHAT,
        "Convert images to full-range gray instead of luma, as MATLAB's rgb2gray does.",
        "--full-range",
    ),
]
Clip = Annotated[bool, options.flag(WHAT, "Quantize degraded images to 8 bits.", "--clip")]
Tasks = Annotated[
    list[str] | None,
    options.option(
        WHAT,
        "TASK,...",
        "Run only the benchmarks of these tasks, denoise,sr; by default of all.",
        "--task",
        autocompletion=complete_list(lambda _: TASKS),
    ),
]
