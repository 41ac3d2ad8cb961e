"""Options of `restore bench`, as annotated types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from restore_cli.cli import options
from restore_cli.metrics.perceptual import METRICS

WHAT, _OUT = "What to measure", "Results"  # panels


def word(
    text: str, metavar: str | None, panel: str, complete: Callable[..., Any] | None = None
) -> Any:
    """An option of a panel, without a default in its help."""
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
    """What suites are called, to complete a word."""
    return ["papers", "bundled"]


Sets = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="SET",
        help="Names, as of `restore bench sets`, or folders of images.",
        autocompletion=_set_names,
    ),
]


Data = Annotated[
    list[Path] | None, word("Folder that contains the sets, or is itself a set.", "DIR", WHAT)
]
Metrics = Annotated[
    list[str] | None,
    word(
        f"Additional metrics: {', '.join(METRICS)}.",
        "NAME,...",
        WHAT,
        options.complete_list(lambda: METRICS),
    ),
]
Fresh = Annotated[
    bool,
    typer.Option(
        "--fresh", metavar=options.FLAG, help="Start over; ignore results of an interrupted run."
    ),
]
Report = Annotated[
    list[Path] | None,
    word("Write a report, as .html, .md, .csv, .json or .toml; may be repeated.", "FILE", _OUT),
]
Show = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help="Worst images of each set and level that an HTML report shows; by default 2.",
        rich_help_panel=_OUT,
        show_default=False,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        metavar=options.FLAG,
        help="Print all rows, with the figures of each image, as JSON.",
        rich_help_panel=_OUT,
    ),
]
Suite = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="papers or bundled.",
        show_default=False,
        autocompletion=_suite_names,
    ),
]
OldSuite = Annotated[
    str | None,
    word(
        "Same as the command suite; deprecated, and removed in the next release.",
        "NAME",
        WHAT,
        _suite_names,
    ),
]
Pairs = Annotated[str, word("Folders of real pairs in each set.", "CLEAN:DAMAGED", WHAT)]
Level = Annotated[list[str] | None, word("Level of the damage", "KEY=VALUE,VALUE,...", WHAT)]
Degrade = Annotated[
    list[str] | None,
    word(
        "Take the images as clean even if they are not, and add damage of this level.",
        "KEY=VALUE,VALUE,...",
        WHAT,
    ),
]
Models = Annotated[
    list[str] | None,
    word(
        "Models; by default the task's own.",
        "NAME|FILE,...",
        WHAT,
        options.complete_list(options.model_names),
    ),
]
Peers = Annotated[list[str] | None, word("Other methods to compare with", "NAME,...", WHAT)]


def _switch(name: str, text: str) -> Any:
    return typer.Option(name, metavar=options.FLAG, help=text, rich_help_panel=WHAT)


Published = Annotated[bool, _switch("--published", "Also show figures from papers.")]
Gray = Annotated[bool, _switch("--gray", "Convert images to luma first.")]
FullRange = Annotated[
    bool,
    _switch(
        "--full-range",
        "With --gray: gray of full range, as MATLAB's rgb2gray, in place of luma.",
    ),
]
Clip = Annotated[bool, _switch("--clip", "Round damaged images to 8 bits.")]
