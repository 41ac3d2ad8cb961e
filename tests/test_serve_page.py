"""The page of `restore serve` in a browser: the installed Chromium, driven by Playwright."""

from __future__ import annotations

import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from PIL import Image

from restore_cli.serve.app import create_app
from restore_cli.serve.config import Config

pytestmark = pytest.mark.weights
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server in a thread of this process."""
    app = create_app(Config(offline=True, max_upload=10**6), tmp_path_factory.mktemp("kept"))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Open]:
    """Open the page; its console must stay empty, and it must load nothing from elsewhere."""
    contexts, faults = [], []

    def open_page(path: str = "", **settings: Any) -> Any:
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda message: faults.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        allowed = ("data:", address)
        page.on("request", lambda it: it.url.startswith(allowed) or faults.append(it.url[:200]))
        page.goto(address + path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two small photos with the same name."""
    paths = [tmp_path / "a" / "photo.png", tmp_path / "b" / "photo.png"]
    for path in paths:
        path.parent.mkdir()
        Image.effect_noise((48, 40), 40).convert("RGB").save(path)
    return paths


def wait_for(page: Any, text: str) -> None:
    page.locator("#status", has_text=text).wait_for()


def test_photos_are_restored_compared_and_downloaded(
    open_page: Open, photos: list[Path], tmp_path: Path
) -> None:
    page = open_page()
    page.select_option("#task", "sr")
    assert page.locator("#denoise-sigma").is_hidden()
    page.fill("#sr-scale", "3")
    bad = tmp_path / "notes.png"
    bad.write_text("text")
    page.set_input_files("#files", [*photos, bad])
    page.click("#start")
    wait_for(page, "3 of 3 photos finished, 1 failed")
    states = page.locator("#photos .state").all_inner_texts()
    assert states[0].startswith("144 × 120 pixels") and "Cannot read notes.png" in states[2]

    page.click("[data-act=compare] >> nth=0")
    viewer = page.frame_locator("#frame")
    viewer.locator("#scale", has_text="%").wait_for()
    assert viewer.locator("h1").inner_text() == "photo.png"
    assert viewer.locator(".caption").all_inner_texts()[1] == "enlarged"

    with page.expect_download() as one:
        page.click("[data-act=download] >> nth=1")
    one.value.save_as(tmp_path / "one.png")
    assert one.value.suggested_filename == "photo.enlarged.png"
    with Image.open(tmp_path / "one.png") as image:
        assert image.size == (144, 120)
    with page.expect_download() as pack:
        page.click("#zip")
    pack.value.save_as(tmp_path / "all.zip")
    names = zipfile.ZipFile(tmp_path / "all.zip").namelist()
    assert names == ["photo.enlarged.png", "photo.enlarged (2).png"]

    page.click("#clear")
    assert page.locator("#photos li").count() == 0 and page.locator("#viewer").is_hidden()


def test_the_keyboard_alone_is_enough(open_page: Open, photos: list[Path]) -> None:
    page = open_page()

    def press_until(selector: str) -> None:
        for _ in range(40):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"the Tab key does not reach {selector}")

    press_until("#task")
    page.keyboard.type("Remove noise")
    press_until("#denoise-sigma")
    page.keyboard.type("30")
    press_until("summary")
    page.keyboard.press("Enter")
    press_until("#common-format")
    page.keyboard.type("jpg")
    with page.expect_file_chooser() as chooser:  # before the next keys, so that it is in place
        press_until("#files")
        page.keyboard.press("Space")
    chooser.value.set_files(photos[0])
    press_until("#start")
    page.keyboard.press("Enter")
    wait_for(page, "1 of 1 photos finished")
    press_until("[data-act=compare]")
    page.keyboard.press("Enter")
    viewer = page.frame_locator("#frame")
    viewer.locator("#scale", has_text="%").wait_for()
    assert page.evaluate("document.activeElement.id") == "frame"
    page.keyboard.press("b")  # a key of the viewer
    assert viewer.locator("[data-mode=blink]").get_attribute("aria-pressed") == "true"


def test_the_page_fits_a_phone_and_follows_dark_mode(open_page: Open, photos: list[Path]) -> None:
    phone = {"width": 360, "height": 740}
    page = open_page(viewport=phone, is_mobile=True, has_touch=True, color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(paper)
    page.select_option("#task", "denoise")
    page.set_input_files("#files", photos)
    page.locator(".further summary").tap()
    page.locator("#start").tap()
    wait_for(page, "2 of 2 photos finished")
    page.locator("[data-act=compare]").first.tap()
    viewer = page.frame_locator("#frame")
    viewer.locator("#scale", has_text="%").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert viewer.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == dark
    page.locator("#theme").tap()
    light = page.evaluate(paper)
    assert light != dark
    assert (
        viewer.locator("body").evaluate("body => getComputedStyle(body).backgroundColor") == light
    )


def test_photos_can_be_dropped_and_large_ones_are_refused(open_page: Open) -> None:
    page = open_page()
    page.evaluate(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(2e6)], "large.png"));
            const drop = new DragEvent("drop", {dataTransfer: data, bubbles: true});
            document.getElementById("drop").dispatchEvent(drop);
        }"""
    )
    page.click("#start")
    wait_for(page, "1 of 1 photos finished")
    assert page.locator(".state").inner_text() == "The file is larger than 1 MB."
    page.click("[data-act=remove]")
    assert page.evaluate("document.activeElement.id") == "files"


def test_the_page_of_the_api_needs_nothing_else(open_page: Open) -> None:
    page = open_page("docs", viewport={"width": 360, "height": 740})
    assert page.locator("h2", has_text="POST /v1/denoise").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
