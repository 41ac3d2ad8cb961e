"""Options of `restore bench`, as annotated types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from restore_cli.cli import options
from restore_cli.metrics.perceptual import METRICS

WHAT, _OUT = "Benchmark", "Output"  # panels


def panel_option(
    text: str, metavar: str | None, panel: str, complete: Callable[..., Any] | None = None
) -> Any:
    """An option in a help panel, whose help does not show the default."""
    return typer.Option(
        metavar=metavar,
        help=text,
        rich_help_panel=panel,
        show_default=False,
        autocompletion=complete,
    )


def _set_names() -> list[str]:
    from restore_cli.datasets.known import known_sets

    return list(known_sets())


def _suite_names() -> list[str]:
    """The names of the suites, for shell completion."""
    return ["papers", "bundled"]


Sets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SET",
        help="Set names (see `restore bench sets`) or folders of images.",
        autocompletion=_set_names,
    ),
]


Data = Annotated[
    list[Path] | None,
    panel_option("Folder that contains image sets, or a single set.", "DIR", WHAT),
]
Metrics = Annotated[
    list[str] | None,
    panel_option(
        f"Additional metrics: {', '.join(METRICS)}.",
        "NAME,...",
        WHAT,
        options.complete_list(lambda: METRICS),
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
    panel_option("Write a report as .html, .md, .csv, .json or .toml; repeatable.", "FILE", _OUT),
]
Show = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help="Number of worst images per set and level to show in an HTML report; by default 2.",
        rich_help_panel=_OUT,
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar=options.FLAG,
        help="Print all rows as JSON, with the results of each image.",
        rich_help_panel=_OUT,
    ),
]
Suite = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="Suite to run: papers or bundled.",
        show_default=False,
        autocompletion=_suite_names,
    ),
]
OldSuite = Annotated[
    str | None,
    panel_option(
        "Deprecated: use `restore bench suite NAME`. Removed in the next release.",
        "NAME",
        WHAT,
        _suite_names,
    ),
]
Pairs = Annotated[
    str,
    panel_option(
        "Subfolders of each set with ground-truth and degraded images.", "CLEAN:DAMAGED", WHAT
    ),
]
Level = Annotated[list[str] | None, panel_option("Degradation level", "KEY=VALUE,VALUE,...", WHAT)]
Degrade = Annotated[
    list[str] | None,
    panel_option(
        "Treat all images as clean and degrade them at this level.", "KEY=VALUE,VALUE,...", WHAT
    ),
]
Models = Annotated[
    list[str] | None,
    panel_option(
        "Models to benchmark; by default the task's default model.",
        "NAME|FILE,...",
        WHAT,
        options.complete_list(options.model_names),
    ),
]
Baselines = Annotated[list[str] | None, panel_option("Baselines to compare with", "NAME,...", WHAT)]


def _switch(name: str, text: str) -> Any:
    return typer.Option(name, metavar=options.FLAG, help=text, rich_help_panel=WHAT)


Published = Annotated[bool, _switch("--published", "Include published results of papers.")]
Gray = Annotated[bool, _switch("--gray", "Convert images to luma first.")]
FullRange = Annotated[
    bool,
    _switch(
        "--full-range",
        "Convert images to full-range gray instead of luma, as MATLAB's rgb2gray does.",
    ),
]
Clip = Annotated[bool, _switch("--clip", "Quantize degraded images to 8 bits.")]
