"""The HTML pages of reports: content and escaping."""

from __future__ import annotations

import base64
import io
import json
import re
import sys
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from PIL import Image

from restore_cli.errors import UsageError
from restore_cli.report.bench_page import render_bench
from restore_cli.report.comparison import Comparison, Version
from restore_cli.report.figures import PARAMETERS, PSNR, SPEED, SSIM, WORK, Figure
from restore_cli.report.html import render_comparisons
from restore_cli.report.row import Row

HOSTILE = '</script><b onclick="x">&amp;\'{{ 7 * 7 }}'


class Page(HTMLParser):
    """The tags of a page, the text outside scripts, and each script by its type."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.data: dict[str, str] = {}
        self._script: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._script = dict(attrs).get("id") or "" if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._script is None:
            self.text += data
        else:
            self.data[self._script] = data
            self._script = None

    def read(self, name: str) -> Any:
        return json.loads(self.data[name])


def noise(height: int = 9, width: int = 7, channels: int = 3, seed: int = 0) -> np.ndarray:
    samples = np.random.default_rng(seed).integers(0, 256, (height, width, channels))
    return (samples / 255).astype(np.float32)


def pair(name: str = "input", title: str = "one") -> Comparison:
    return Comparison(title, (Version(name, noise()), Version("output", noise(seed=1), "28.41 dB")))


def row(model: str = "default", **other: Any) -> Row:
    words = {
        "task": "denoise",
        "set": "Set12",
        "level": {"sigma": 25},
        "protocol": "8 bit",
        "measured": True,
    }
    figures = {PSNR: 30.0, WORK: 38.0}
    return Row(
        **({**words, "model": model, "figures": figures, "images": {"01.png": 30.0}} | other)
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_are_embedded_exactly(channels: int) -> None:
    pixels = noise(channels=channels)
    page = Page(
        render_comparisons("t", [Comparison("c", (Version("a", pixels), Version("b", 1 - pixels)))])
    )
    (comparison,) = page.read("comparisons")
    for version, expected in zip(comparison["versions"], (pixels, 1 - pixels), strict=True):
        kind, _, data = version["source"].partition(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.mode == ("L" if channels == 1 else "RGB")
            decoded = np.asarray(image).reshape(expected.shape)
        np.testing.assert_array_equal(decoded, np.rint(expected * 255))
    assert (comparison["width"], comparison["height"]) == (7, 9)


def test_nan_is_black_and_other_values_are_clipped() -> None:
    pixels = np.array([[[np.nan], [-1.0], [2.0]]], np.float32)
    page = Page(
        render_comparisons("t", [Comparison("c", (Version("a", pixels), Version("b", pixels)))])
    )
    data = page.read("comparisons")[0]["versions"][0]["source"].partition(",")[2]
    assert np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).tolist() == [[0, 0, 255]]


def test_names_are_escaped() -> None:
    rows = [
        row(
            HOSTILE,
            task=HOSTILE,
            note=HOSTILE,
            figures={Figure(HOSTILE): 1.0},
            images={HOSTILE: 1.0},
            quality=Figure(HOSTILE),
        )
    ]
    comparisons = [pair(HOSTILE, HOSTILE)]
    page = render_bench(HOSTILE, rows, comparisons, notes=[HOSTILE])
    parsed = Page(page)
    assert not any(tag == "b" or "onclick" in attributes for tag, attributes in parsed.tags)
    assert "49" not in parsed.text
    assert parsed.text.count(HOSTILE) >= 7
    assert parsed.read("comparisons")[0]["versions"][0]["name"] == HOSTILE
    assert parsed.read("bench")["rows"][0]["model"] == HOSTILE


def test_only_its_own_scripts_run_and_nothing_is_loaded() -> None:
    page = Page(render_bench("t", [row()], [pair()]))
    (policy,) = [a["content"] or "" for tag, a in page.tags if a.get("http-equiv")]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'" and rules["img-src"] == "data:"
    assert re.fullmatch(r"('sha256-[\w+/=]+' ?)+", rules["script-src"])
    for tag, attributes in page.tags:
        assert tag not in ("iframe", "object", "embed")
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#")), tag


def test_a_page_without_charts_is_small() -> None:
    alone = render_comparisons("t", [pair()])
    assert "plotly" not in alone.lower()
    assert len(alone) < 50_000
    assert "plotly" in render_bench("t", [row()], []).lower()


def test_charts_without_plotly_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(UsageError, match=r"restore-cli\[report\]"):
        render_bench("t", [row()], [])
    render_comparisons("t", [pair()])


def test_cells_show_rounded_figures_and_sort_by_value() -> None:
    rows = [
        row("a", figures={PSNR: 28.4149, SSIM: 1.0, PARAMETERS: 1900000, SPEED: float("inf")}),
        row("b", figures={PSNR: None, SSIM: 0.9, PARAMETERS: 4}),
        row("c", figures={PSNR: float("nan"), SPEED: 0.00123}, measured=False),
    ]
    page = render_bench("t", rows, [])
    cells = re.findall(r'data-value="(.*?)">(.*?)</td>', page)
    assert cells[:4] == [
        ("28.4149", "28.41"), ("1.0", "1.0000"), ("1900000", "1,900,000"), ("Infinity", "∞"),
    ]  # fmt: skip
    assert cells[4:8] == [("", ""), ("0.9", "0.9000"), ("4", "4"), ("", "")]
    assert cells[8:] == [("", ""), ("", ""), ("", ""), ("0.00123", "0.0012")]


def test_measured_and_published_rows_are_separate() -> None:
    page = render_bench("t", [row("theirs", measured=False), row("ours")], [])
    assert page.index("ours</th>") < page.index("Published results") < page.index("theirs</th>")


def test_every_protocol_is_on_the_page() -> None:
    rows = [row("ours", protocol="RGB"), row("theirs", protocol="luma", measured=False)]
    page = Page(render_bench("t", rows, [], notes=["Y is luma."]))
    for text in ("denoise: RGB", "denoise, as published: luma", "Y is luma."):
        assert text in page.text


def test_without_comparisons_there_is_no_viewer() -> None:
    assert 'id="stage"' not in render_bench("t", [row()], [])


@pytest.mark.parametrize("shapes", [[(4, 4, 3)], [(4, 4, 3), (4, 5, 3)]])
def test_a_comparison_needs_two_versions_of_one_size(shapes: list[tuple[int, ...]]) -> None:
    with pytest.raises(ValueError, match="versions"):
        Comparison("c", tuple(Version("v", np.zeros(shape, np.float32)) for shape in shapes))
