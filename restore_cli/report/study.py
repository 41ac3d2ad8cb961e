"""Writes a study as a table and a chart: Markdown, JSON, SVG and HTML."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from statistics import mean

from markupsafe import Markup

from restore_cli.atomic import write_text
from restore_cli.report.escaping import markdown_cell
from restore_cli.report.html import fill_in

# A palette that color-blind people can distinguish.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
LEFT, TOP, WIDTH, HEIGHT = 64, 64, 620, 300  # of the plot area, in pixels
TICKS = 6  # maximum number of ticks on a continuous axis


@dataclass(frozen=True)
class Mark:
    """A point of a chart.

    Attributes:
        curve, label, x: name of the curve, label of the point, and its position on the axis.
        parameters: number of parameters of its network.
        scores: PSNR in dB, one per seed.
        steps, minutes: mean length of its trainings.
    """

    curve: str
    label: str
    x: float
    parameters: int
    scores: tuple[float, ...]
    steps: float
    minutes: float

    @property
    def psnr(self) -> float:
        """The mean PSNR over the seeds, in dB."""
        return mean(self.scores)


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes:
        title, figure, shows: what is compared, the figure of the paper, and what that shows.
        axis, figures: captions below and above the plot.
        varied: meaning of the labels of the points.
        note: how the points were made.
        marks: the points, curve by curve.
        fixed: whether the axis has one tick per label instead of a continuous scale.
    """

    title: str
    figure: str
    shows: str
    axis: str
    varied: str
    figures: str
    note: str
    marks: tuple[Mark, ...]
    fixed: bool


def write_study(folder: Path, name: str, chart: Chart) -> list[Path]:
    """Write NAME.html, .svg, .md and .json, and return their paths; existing files are replaced.

    Raises:
        RestoreError: a file cannot be written.
    """
    texts = {
        "html": fill_in(
            "study.html.j2", chart=chart, drawn=Markup(to_svg(chart)), table=_table(chart)
        ),
        "svg": to_svg(chart),
        "md": to_markdown(chart),
        "json": json.dumps(asdict(chart), indent=1) + "\n",
    }
    for suffix, text in texts.items():
        write_text(folder / f"{name}.{suffix}", text)
    return [folder / f"{name}.{suffix}" for suffix in texts]


def to_markdown(chart: Chart) -> str:
    """The table, below a line that states what is measured."""
    heads, *rows = _table(chart)
    lines = [heads, ["---", "---", *["---:"] * len(heads[2:])], *rows]
    table = "\n".join(f"| {' | '.join(map(markdown_cell, line))} |" for line in lines)
    return f"{chart.title}: {chart.figures}. {chart.note}\n\n{table}\n"


def to_svg(chart: Chart) -> str:
    """The chart: curves through the means, and bars from the lowest to the highest seed."""
    xs = [mark.x for mark in chart.marks]
    ys = [score for mark in chart.marks for score in mark.scores]
    across, up = _Scale.around(xs, 0.06), _Scale.around(ys, 0.12)
    curves = []
    for name, color in zip(dict.fromkeys(mark.curve for mark in chart.marks), cycle(COLORS)):
        marks = sorted(
            (mark for mark in chart.marks if mark.curve == name), key=lambda mark: mark.x
        )
        places = [(LEFT + WIDTH * across.place(mark.x), _height(up, mark.psnr)) for mark in marks]
        spans = [(_height(up, max(mark.scores)), _height(up, min(mark.scores))) for mark in marks]
        curves.append(
            {"name": name, "color": color, "marks": list(zip(marks, places, spans, strict=True))}
        )
    below = {mark.label: mark.x for mark in chart.marks} if chart.fixed else across.ticks()
    return fill_in(
        "study.svg.j2",
        chart=chart,
        curves=curves,
        left=LEFT,
        top=TOP,
        right=LEFT + WIDTH,
        bottom=TOP + HEIGHT,
        across=[(label, LEFT + WIDTH * across.place(x)) for label, x in below.items()],
        up=[(label, _height(up, y)) for label, y in up.ticks().items()],
    )


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float

    @classmethod
    def around(cls, values: Sequence[float], margin: float) -> _Scale:
        """A scale for all values, with a margin as a share of their range on either side."""
        low, high = min(values), max(values)
        room = margin * (high - low) or max(abs(high), 1) * 0.01
        return cls(low - room, high + room)

    def place(self, value: float) -> float:
        """The position of a value, 0 to 1."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> dict[str, float]:
        """Round values on the scale, by their labels."""
        rough = (self.high - self.low) / TICKS
        unit = 10 ** math.floor(math.log10(rough))
        step = next(unit * factor for factor in (1, 2, 5, 10) if unit * factor >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        digits = max(0, -math.floor(math.log10(step)))
        return {f"{number * step:,.{digits}f}": number * step for number in range(first, last + 1)}


def _height(scale: _Scale, value: float) -> float:
    return TOP + HEIGHT * (1 - scale.place(value))


def _table(chart: Chart) -> list[list[str]]:
    """The heading of the table and a row per point, with its position if no other column has it."""
    own = not chart.fixed and chart.axis != "parameters"
    heads = ["curve", chart.varied, *([chart.axis] if own else [])]
    rows = [
        [
            mark.curve,
            mark.label,
            *([f"{mark.x:.1f}"] if own else []),
            f"{mark.parameters:,}",
            f"{mark.psnr:.2f}",
            _spread(mark.scores),
            f"{mark.steps:,.0f}",
            f"{mark.minutes:.1f}",
        ]
        for mark in chart.marks
    ]
    return [[*heads, "parameters", "PSNR", "spread", "steps", "minutes"], *rows]


def _spread(scores: Sequence[float]) -> str:
    """The range of the scores, "30.12 to 30.15"."""
    return f"{min(scores):.2f} to {max(scores):.2f}" if len(scores) > 1 else "one seed"
