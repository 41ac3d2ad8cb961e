"""The HTML pages in a browser: the installed Chromium, driven by Playwright."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from restore_cli.atomic import write_text
from restore_cli.report.bench_page import render_bench
from restore_cli.report.comparison import Comparison, Version
from restore_cli.report.figures import (
    IMAGES,
    MEDIAN,
    PARAMETERS,
    PEAK_MEMORY,
    PSNR,
    PSNR_B_Y,
    PSNR_Y,
    SECONDS,
    SPEED,
    SSIM,
    SSIM_Y,
    WORK,
    WORST,
)
from restore_cli.report.html import render_comparisons
from restore_cli.report.row import Row

Open = Callable[..., Any]
WIDTH, HEIGHT = 200, 120


def pictures() -> tuple[Version, ...]:
    """An image whose pixels encode their position, its negative, and a gray image."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    place = np.stack([columns, rows, (columns // 16 + rows // 16) % 2 * 255], axis=2) / 255
    negative, gray = 1 - place, np.full((HEIGHT, WIDTH, 1), 0.5)
    versions = [("before", place, ""), ("after", negative, "28.41 dB"), ("reference", gray, "")]
    return tuple(Version(name, pixels.astype(np.float32), note) for name, pixels, note in versions)


def rows() -> list[Row]:
    made = []
    for index, (model, psnr, cost) in enumerate(
        [("bt", 29.5, 20.0), ("default", 30.04, 38.0), ("dncnn", 9.9, 1110.0), ("lost", None, 5.0)]
    ):
        images = {f"{image:02}.png": (psnr or 0) + image / 10 for image in range(12)}
        figures = {PSNR: psnr, WORK: cost, PARAMETERS: 10 ** (index + 3)}
        made.append(Row("denoise", "Set12", {"sigma": 25}, model, "8 bit", True, figures, images))
    paper = {PSNR: 30.44, WORK: 1110.0}
    made.append(
        Row("denoise", "Set12", {"sigma": 25}, "dncnn", "paper", False, paper, {}, "its table 2")
    )
    made.append(
        Row("sr", "Set5", {"scale": 2}, "<i>bt</i>", "luma", True, {PSNR: 36.5}, {"baby.png": 38.0})
    )
    return made


@pytest.fixture
def open_page(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Open a page from a file; its console must stay empty, and it must not load anything."""
    contexts, faults = [], []

    def open_page(html: str, *, width: int = 1000, height: int = 800, **settings: Any) -> Any:
        path = tmp_path / "page.html"
        write_text(path, html)
        context = browser.new_context(viewport={"width": width, "height": height}, **settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        allowed = ("data:", path.as_uri())
        page.on(
            "request", lambda asked: asked.url.startswith(allowed) or faults.append(asked.url[:200])
        )
        page.goto(path.as_uri())
        if 'id="stage"' in html:
            page.locator("#scale", has_text="%").wait_for()
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture
def viewer(open_page: Open) -> Any:
    return open_page(render_comparisons("Pictures", [Comparison("first", pictures())]))


def settle(page: Any) -> None:
    """Wait until all changes are drawn."""
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def colors(page: Any, x: float, y: float) -> list[list[int]]:
    """The color of every pane at a relative position; transparent is an empty list."""
    settle(page)
    samples: list[list[int]] = page.evaluate(
        """([x, y]) => [...document.querySelectorAll('.pane canvas')].map(canvas => {
            const [column, row] = [Math.floor(x * canvas.width), Math.floor(y * canvas.height)];
            const copy = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
            copy.drawImage(canvas, -column, -row);
            return [...copy.getImageData(0, 0, 1, 1).data];
        })""",
        [x, y],
    )
    return [sample[:3] if sample[3] else [] for sample in samples]


def middle(page: Any, selector: str) -> tuple[float, float]:
    box = page.locator(selector).bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def zoom(page: Any) -> int:
    settle(page)
    return int(page.locator("#scale").inner_text().rstrip("%"))


def test_dragging_the_divider_changes_what_is_seen(viewer: Any) -> None:
    (left,), (right,) = colors(viewer, 0.4, 0.52), colors(viewer, 0.6, 0.52)
    assert left[0] == pytest.approx(255 * 0.4 * WIDTH / 255, abs=25)  # red encodes the column
    assert right[0] == pytest.approx(255 - 0.6 * WIDTH, abs=25)  # the negative
    x, y = middle(viewer, "#divider")
    viewer.mouse.move(x, y)
    viewer.mouse.down()
    viewer.mouse.move(x + 250, y, steps=5)
    viewer.mouse.up()
    (moved,) = colors(viewer, 0.6, 0.52)
    assert moved[0] == pytest.approx(255 - right[0], abs=1)
    assert int(viewer.get_attribute("#divider", "aria-valuenow")) > 70
    viewer.mouse.move(x, y)
    assert colors(viewer, 0.6, 0.52) == [moved]  # the divider was released


def test_arrow_keys_move_the_divider(viewer: Any) -> None:
    divider = viewer.locator("#divider")
    assert divider.get_attribute("role") == "slider"
    divider.focus()
    for key, expected in [
        ("ArrowRight", 51), ("Shift+ArrowRight", 61), ("ArrowLeft", 60), ("End", 100), ("Home", 0),
    ]:  # fmt: skip
        viewer.keyboard.press(key)
        settle(viewer)
        assert divider.get_attribute("aria-valuenow") == str(expected)
    (seen,) = colors(viewer, 0.4, 0.52)
    assert seen[0] == pytest.approx(255 - 0.4 * WIDTH, abs=25)  # only the version after is visible


def test_zoom_is_synchronized_in_all_panes(viewer: Any) -> None:
    viewer.click("[data-mode=side]")
    x, y = middle(viewer, ".pane >> nth=1")
    viewer.mouse.move(x + 40, y + 20)
    start = zoom(viewer)
    for _ in range(4):
        viewer.mouse.wheel(0, -300)
        settle(viewer)
    assert zoom(viewer) > 4 * start
    viewer.mouse.down()
    viewer.mouse.move(x - 10, y - 15, steps=3)
    viewer.mouse.up()
    for place in [(0.1, 0.2), (0.5, 0.5), (0.85, 0.7)]:
        before, after, reference = colors(viewer, *place)
        assert [sum(pair) for pair in zip(before, after, strict=True)] == [255] * 3
        assert reference == [128] * 3


def test_zoom_keeps_the_pixel_under_the_pointer(viewer: Any) -> None:
    viewer.keyboard.press("0")
    x, y = middle(viewer, "#stage")
    viewer.keyboard.press("+")
    viewer.keyboard.press("+")
    settle(viewer)
    viewer.mouse.move(x - 122, y - 62)
    said = viewer.locator("#readout").inner_text()
    viewer.mouse.wheel(0, -400)
    settle(viewer)
    viewer.mouse.move(x - 122, y - 62.5)
    assert viewer.locator("#readout").inner_text() == said
    column = int(said.split()[1].rstrip(","))
    assert f"before {column} " in said and f"after {255 - column} " in said


def test_versions_modes_and_swapping_keep_zoom_and_position(viewer: Any) -> None:
    for key in "0+++":
        viewer.keyboard.press(key)
    viewer.locator("#stage").focus()
    viewer.keyboard.press("ArrowRight")
    assert zoom(viewer) == 800
    (before,) = colors(viewer, 0.25, 0.4)
    viewer.keyboard.press("x")
    (swapped,) = colors(viewer, 0.25, 0.4)
    assert [sum(pair) for pair in zip(before, swapped, strict=True)] == [255] * 3
    viewer.select_option("#left", label="reference")
    assert colors(viewer, 0.25, 0.4) == [[128] * 3]
    viewer.select_option("#left", label="before")
    for mode in "sd":
        viewer.keyboard.press("Tab")  # leave the list, where keys select an entry
        viewer.keyboard.press(mode)
    assert zoom(viewer) == 800
    assert colors(viewer, 0.25, 0.4) == [before]


def test_blink_mode_alternates_the_versions(viewer: Any) -> None:
    viewer.keyboard.press("b")
    (first,) = colors(viewer, 0.6, 0.52)
    assert not viewer.locator("#divider").is_visible()
    viewer.keyboard.press("b")
    (second,) = colors(viewer, 0.6, 0.52)
    assert [sum(pair) for pair in zip(first, second, strict=True)] == [255] * 3
    assert viewer.locator(".caption").inner_text().split("\n") == ["after", "28.41 dB"]
    viewer.mouse.click(*middle(viewer, "#stage"))
    assert colors(viewer, 0.6, 0.52) == [first]


def test_zoom_reaches_32_times_with_exact_pixels(viewer: Any) -> None:
    for _ in range(12):
        viewer.keyboard.press("+")
    assert zoom(viewer) == 3200
    values = {tuple(colors(viewer, 0.2 + step / 500, 0.52)[0]) for step in range(64)}
    # The 64 positions span about 120 screen pixels, which are 4 or 5 image pixels.
    assert len(values) <= 5
    viewer.keyboard.press("f")
    assert zoom(viewer) < 1000


def test_keys_and_lists_switch_comparisons(open_page: Open) -> None:
    flipped = tuple(Version(v.name, v.pixels[:, ::-1], v.note) for v in pictures())
    page = open_page(
        render_comparisons("t", [Comparison("one", pictures()), Comparison("two", flipped)])
    )
    (one,) = colors(page, 0.4, 0.52)
    page.keyboard.press("n")
    page.locator("#stage[aria-label^=two]").wait_for()
    (two,) = colors(page, 0.4, 0.52)
    assert one[0] + two[0] == pytest.approx(WIDTH - 1, abs=1)
    page.select_option("#comparison", label="one")
    page.locator("#stage[aria-label^=one]").wait_for()
    assert colors(page, 0.4, 0.52) == [one]


def test_touch_drags_and_pinches_on_a_phone(open_page: Open) -> None:
    html = render_comparisons(
        "A rather long name of a picture.png", [Comparison("first", pictures())]
    )
    page = open_page(
        html, width=360, height=640, has_touch=True, is_mobile=True, device_scale_factor=2
    )
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    stage = page.locator("#stage").bounding_box()
    assert stage["width"] > 300 and stage["height"] > 250 and stage["y"] + stage["height"] <= 640
    fingers = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        points_ = [{"x": x, "y": y, "id": index} for index, (x, y) in enumerate(points)]
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points_})

    x, y = middle(page, "#divider")
    touch("touchStart", (x, y))
    touch("touchMove", (x - 100, y))
    touch("touchEnd")
    settle(page)
    assert int(page.get_attribute("#divider", "aria-valuenow")) < 25

    start = zoom(page)
    touch("touchStart", (x - 20, y + 60), (x + 20, y + 60))
    touch("touchMove", (x - 40, y + 60), (x + 40, y + 60))
    touch("touchMove", (x - 60, y + 60), (x + 60, y + 60))
    touch("touchEnd")
    assert zoom(page) == pytest.approx(3 * start, rel=0.05)


def test_light_and_dark(open_page: Open) -> None:
    html = render_bench("t", rows(), [])
    paper = "getComputedStyle(document.body).backgroundColor"
    light = open_page(html).evaluate(paper)
    page = open_page(html, color_scheme="dark")
    dark = page.evaluate(paper)
    assert light != dark
    page.locator("#theme").press("Space")
    assert page.evaluate(paper) == light


@pytest.fixture
def bench(open_page: Open) -> Any:
    comparisons = [Comparison("first", pictures())]
    return open_page(render_bench("Benchmark", rows(), comparisons, notes=["How it was measured."]))


def models(page: Any) -> list[str]:
    found: list[str] = page.locator("tbody tr:not(.divide):not([hidden]) th").all_inner_texts()
    return found


def test_the_table_sorts_both_ways_with_published_rows_last(bench: Any) -> None:
    head = bench.locator("thead button", has_text="PSNR")
    head.click()
    best_first = ["<i>bt</i>", "default", "bt", "dncnn", "lost", "dncnn"]
    assert models(bench) == best_first
    assert bench.locator("th[aria-sort=descending]").inner_text() == "PSNR"
    head.press("Enter")
    assert models(bench) == ["dncnn", "bt", "default", "<i>bt</i>", "lost", "dncnn"]
    assert bench.locator("th[aria-sort=ascending]").inner_text() == "PSNR"
    bench.locator("thead button", has_text="kFLOP/pixel").click()
    assert models(bench)[0] == "lost"  # the cheapest comes first
    bench.locator("thead button", has_text="Model").press("Space")
    assert models(bench) == ["<i>bt</i>", "bt", "default", "dncnn", "lost", "dncnn"]
    assert bench.locator("th[aria-sort=descending]").count() == 0


def test_the_table_filters(bench: Any) -> None:
    bench.select_option("select[name=set]", "Set5")
    assert models(bench) == ["<i>bt</i>"]
    bench.select_option("select[name=set]", "")
    bench.fill("input[name=text]", "dncnn table")
    assert models(bench) == ["dncnn"]
    assert bench.locator("#count").inner_text() == "1 of 6 rows"


def test_charts_show_the_chosen_set(bench: Any) -> None:
    drawn = "id => document.getElementById(id).querySelectorAll('path.point').length"
    assert bench.evaluate(drawn, "scatter") == 4  # without the row that lacks PSNR
    assert bench.evaluate(drawn, "spread") == 4 * 12
    bench.select_option("#group", label="sr · Set5 · scale 2")
    assert bench.evaluate(drawn, "spread") == 1
    assert bench.evaluate(drawn, "scatter") == 1  # its cost is unknown
    assert "<i>bt</i>" in bench.locator("#spread").inner_text()


FULL = {
    IMAGES: 12, PSNR: 30.04, SSIM: 0.8553, PSNR_Y: 31.36, SSIM_Y: 0.8712,
    PSNR_B_Y: 31.2, MEDIAN: 29.9, WORST: 25.1, SECONDS: 0.6, SPEED: 0.1,
    PEAK_MEMORY: 210.0, PARAMETERS: 1_860_364, WORK: 156.0,
}  # fmt: skip


def full(model: str, note: str = "", **other: Any) -> Row:
    """A row with all figures of a benchmark."""
    images = {"barbara.png": 25.1, "boats.png": 33.0}
    words = {
        "protocol": "noise of one kind " * 8,
        "measured": True,
        "figures": FULL,
        "images": images,
    }
    return Row("denoise", "kodak24", {"sigma": 25}, model, note=note, **(words | other))


def test_the_main_columns_fit_the_window(open_page: Open) -> None:
    long = "Somebody et al., " + "A Rather Long Title " * 7 + "Table 9"
    paper = full("dncnn", long, measured=False, figures={PSNR: 30.4, SSIM: 0.86}, images={})
    rows = [full("default", "best"), full("xdncnn", "-0.31 [-0.40, -0.22] dB to default"), paper]
    page = open_page(render_bench("t", rows, [], notes=["What they are."]), width=1280)
    for text in (
        "PSNR Y",
        "SSIM Y",
        "kFLOP/pixel",
        "Protocol",
        "-0.31 [-0.40, -0.22] dB to default",
    ):
        cell = page.locator("#figures").get_by_text(text, exact=True)
        end = """cell => {
            const range = new Range();
            range.selectNodeContents(cell);
            return range.getBoundingClientRect().right;
        }"""
        assert cell.evaluate(end) < 1280 - 38, text
    assert max(row.bounding_box()["height"] for row in page.locator("tbody tr").all()) < 50
    worst = page.locator("td", has_text="25.10, barbara.png").first
    assert not worst.is_visible()
    page.check("#all")
    assert worst.is_visible()
    assert (
        page.locator("li#protocol-2").inner_text()
        == f"denoise, as published: {rows[0].protocol}".strip()
    )


def test_the_scatter_plot_shows_every_method(open_page: Open) -> None:
    library = full("tv", figures={PSNR: 28.0, SPEED: 0.05})
    paper = full("paper", measured=False, figures={PSNR: 30.4}, images={})
    page = open_page(
        render_bench(
            "t", [full("input", figures={PSNR: 20.0}), full("default"), library, paper], []
        )
    )
    drawn = """[...document.querySelectorAll('#scatter .scatterlayer')]
        .map(layer => layer.querySelectorAll('path.point').length)"""
    # The model and the baseline; in the strip on the right, the input and the paper.
    assert page.evaluate(drawn) == [2, 2]
    assert "Hollow markers are published" in page.locator("#read").inner_text()
    page.select_option("#cost", "kFLOP/pixel")
    assert page.evaluate(drawn) == [1, 3]
    names = page.locator("#legend li").all_inner_texts()
    assert names == ["● input", "● default", "● tv", "● paper"]


def test_images_with_infinite_psnr_are_listed(open_page: Open) -> None:
    images = {"a.png": 30.0, "b.png": float("inf"), "c.png": 31.0}
    page = open_page(render_bench("t", [full("default", images=images), full("other")], []))
    assert page.locator("#equal").inner_text().endswith("infinite PSNR: default (1 of 3).")


def test_a_bench_fits_a_phone_and_has_a_viewer(open_page: Open) -> None:
    html = render_bench("Benchmark", rows(), [Comparison("first", pictures())])
    page = open_page(html, width=360, height=640, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.locator("[data-mode=side]").tap()
    assert len(colors(page, 0.5, 0.5)) == 3
