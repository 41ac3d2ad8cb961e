"""The HTML page of a benchmark: table, protocols, charts and worst images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restore_cli.errors import UsageError
from restore_cli.report.comparison import Comparison
from restore_cli.report.figures import SPEED, WORK, Figure
from restore_cli.report.html import asset, embed, render_page
from restore_cli.report.row import Row

_COSTS = ("seconds/MP", "kFLOP/pixel")  # that the scatter plot can show against quality


@dataclass(frozen=True)
class _Cell:
    """A figure as shown and as a value to sort by; both are empty if it is missing."""

    text: str = ""
    value: str = ""


def render_bench(
    title: str,
    rows: Sequence[Row],
    comparisons: Sequence[Comparison],
    *,
    notes: Sequence[str] = (),
) -> str:
    """Render the page: table, protocols and charts, and a viewer if there are comparisons.

    Args:
        title: heading of the page.
        rows: rows of the table.
        comparisons: images for the viewer.
        notes: paragraphs below the protocols, such as the definitions of the figures.

    Raises:
        UsageError: plotly is not installed.
    """
    scripts = [plotly(), asset("bench.js"), *([asset("viewer.js")] if comparisons else [])]
    columns = list(dict.fromkeys(figure for row in rows for figure in row.figures))
    numbers = [_cells([row.figures.get(one) for row in rows], one.digits) for one in columns]
    points = [
        {
            "group": " · ".join((row.task, row.set_title, row.level_title)),
            "model": row.model,
            "measured": row.measured,
            "figure": row.quality.name,
            "quality": _finite(row.figures.get(row.quality)),
            "costs": _costs(row.figures),
            "images": [[name, _finite(value)] for name, value in row.images.items()],
        }
        for row in rows
    ]
    return render_page(
        scripts,
        title=title,
        comparisons=[embed(one) for one in comparisons],
        notes=notes,
        columns=[figure.name for figure in columns],
        hidden=[figure.name for figure in columns if figure.hidden],
        higher_is_better=[figure.name for figure in columns if figure.higher_is_better],
        protocols=list(dict.fromkeys(row.comparison_group for row in rows)),
        rows=[(row, [cells[index] for cells in numbers]) for index, row in enumerate(rows)],
        tasks=sorted({row.task for row in rows}),
        sets=sorted({row.set_title for row in rows}),
        bench={"costs": _COSTS, "rows": points},
    )


def plotly() -> str:
    """The source of plotly.js; raises UsageError if plotly is not installed."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise UsageError(
            "Cannot draw charts: plotly is not installed. Run `pip install 'restore-cli[report]'`."
        ) from error
    return str(get_plotlyjs())


def _costs(figures: Mapping[Figure, float | None]) -> dict[str, float]:
    """The costs of _COSTS that are known for a row, by name."""
    speed, work = figures.get(SPEED), figures.get(WORK)
    found = zip(_COSTS, (1 / speed if speed else None, work), strict=True)
    return {name: cost for name, cost in found if cost and math.isfinite(cost)}


def _finite(value: float | None) -> float | None:
    """The value, or None if JSON cannot represent it."""
    return float(value) if value is not None and math.isfinite(value) else None


def _cells(values: Sequence[float | None], decimals: int | None) -> list[_Cell]:
    """The cells of a column; by default, as many decimals as give its largest value four digits."""
    largest = max((abs(value) for value in values if value and math.isfinite(value)), default=1.0)
    if decimals is None:
        decimals = min(max(3 - math.floor(math.log10(largest)), 0), 4)

    def cell(value: float | None) -> _Cell:
        if value is None or math.isnan(value):
            return _Cell()
        if math.isinf(value):
            return _Cell("∞" if value > 0 else "-∞", "Infinity" if value > 0 else "-Infinity")
        if isinstance(value, int):
            return _Cell(f"{value:,}", str(value))
        short = value and abs(value) < 10**-decimals
        return _Cell(f"{value:.2g}" if short else f"{value:,.{decimals}f}", repr(float(value)))

    return [cell(value) for value in values]
